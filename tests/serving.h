/* What the programs that test the server share: one server, and clients over raw sockets that never
 * block, all in one thread. Included once a program. */
#ifndef LLM_TEST_SERVING_H
#define LLM_TEST_SERVING_H

#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server.h"

static llm_loop *loop;
static llm_server *server;
static llm_buffer heard; /* by the client that listen_to was last called for */

static inline void set_up(void) {
    static const llm_server_setup small = {.max_body_bytes = 1000};
    llm_err err;
    loop = llm_loop_new(&err);
    server = llm_server_new(loop, &small, &err);
    cr_assert(server, "%s", err.msg);
}

static inline void tear_down(void) {
    llm_server_free(server);
    cr_assert_eq(llm_loop_live(loop), 0);
    llm_loop_free(loop);
    llm_buffer_clear(&heard);
}

TestSuite(server, .init = set_up, .fini = tear_down, .timeout = 20);

static inline int dial(void) {
    struct sockaddr_in address = {.sin_family = AF_INET,
        .sin_port = htons((uint16_t)llm_server_port(server)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static inline void say(int fd, const char *text) {
    ssize_t len = (ssize_t)strlen(text);
    cr_assert_eq(send(fd, text, (size_t)len, MSG_NOSIGNAL), len);
}

/* Everything there is now; false when the server closed. */
static inline bool listen_to(int fd) {
    for (;;) {
        char *room = llm_buffer_reserve(&heard, 1 << 16);
        ssize_t count = recv(fd, room, 1 << 16, MSG_DONTWAIT);
        if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return true;
        if (count <= 0) return false;
        llm_buffer_grow(&heard, (size_t)count);
    }
}

static inline bool heard_text(int fd, const char *text) {
    listen_to(fd);
    size_t len = llm_buffer_len(&heard);
    return len && memmem(llm_buffer_data(&heard), len, text, strlen(text));
}

static inline void forget(void) { llm_buffer_take(&heard, llm_buffer_len(&heard)); }

static inline void step(uint64_t ms) {
    cr_assert_eq(llm_loop_step(loop, ms * 1000000, NULL), 0);
    while (llm_loop_next(loop)) {}
}

#define UNTIL(condition)                                                          \
    do {                                                                          \
        uint64_t end = llm_clock_ns() + 5000000000;                               \
        while (!(condition)) {                                                    \
            cr_assert_lt(llm_clock_ns(), end, "never came true: %s", #condition); \
            step(2);                                                              \
        }                                                                         \
    } while (0)

static inline llm_server_request *accept_one(void) {
    llm_server_request *r = NULL;
    UNTIL((r = llm_server_accept(server)));
    return r;
}

static const char get[] = "GET /v1/a%20b?x=1&y HTTP/1.1\r\nHost: t\r\nX-Name:  some value \r\n\r\n";

static inline llm_server_request *ask(int fd) {
    say(fd, get);
    return accept_one();
}

#endif
