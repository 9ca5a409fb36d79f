/* What the programs that test transfers share: one loop, one HTTP client, and a server that is
 * nothing but a listening socket, all in one thread that never blocks. Included once a program. */
#ifndef LLM_TEST_CALLING_H
#define LLM_TEST_CALLING_H

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http.h"

static llm_loop *loop;
static llm_http *http;
static int listener;
static char url[64];
static llm_buffer asked; /* what the server read since ask was last called */

static inline void set_up(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    llm_err err;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    cr_assert_eq(bind(listener, (struct sockaddr *)&address, len), 0);
    cr_assert_eq(listen(listener, 64), 0);
    getsockname(listener, (struct sockaddr *)&address, &len);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/v1", ntohs(address.sin_port));
    loop = llm_loop_new(&err);
    cr_assert(loop, "%s", err.msg);
    http = llm_http_new(loop, NULL, &err);
    cr_assert(http, "%s", err.msg);
}

static inline void tear_down(void) {
    llm_http_free(http);
    cr_assert_eq(llm_loop_live(loop), 0);
    llm_loop_free(loop);
    llm_buffer_clear(&asked);
    close(listener);
}

TestSuite(http, .init = set_up, .fini = tear_down, .timeout = 30);

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

/* The transfer of a request that the caller may have changed before. */
static inline llm_transfer *start(const llm_request *request) {
    llm_err err;
    llm_transfer *t = llm_transfer_start(http, request, &err);
    cr_assert(t, "%s", err.msg);
    return t;
}

static inline llm_request post(void) {
    return (llm_request){.method = "POST",
        .url = url,
        .headers = "X-A: b\n",
        .body = "{}",
        .body_len = 2,
        .frame = "sse",
        .connect_ms = 2000};
}

static inline int accepted(void) { return accept4(listener, NULL, NULL, SOCK_NONBLOCK); }

static inline int accept_one(void) {
    int fd;
    UNTIL((fd = accepted()) >= 0);
    return fd;
}

/* Reads what is there; false when the client has closed. */
static inline bool listen_to(int fd) {
    for (;;) {
        char *room = llm_buffer_reserve(&asked, 1 << 16);
        ssize_t count = recv(fd, room, 1 << 16, 0);
        if (count < 0 && errno == EAGAIN) return true;
        if (count <= 0) return false;
        llm_buffer_grow(&asked, (size_t)count);
    }
}

static inline bool has_asked(int fd) {
    listen_to(fd);
    size_t len = llm_buffer_len(&asked);
    const char *body = len ? memmem(llm_buffer_data(&asked), len, "\r\n\r\n", 4) : NULL;
    return body && body + 4 < llm_buffer_data(&asked) + len;
}

/* Waits for a whole request on the connection. */
static inline void ask(int fd) {
    llm_buffer_take(&asked, llm_buffer_len(&asked));
    UNTIL(has_asked(fd));
}

static inline bool was_asked(const char *text) {
    return memmem(llm_buffer_data(&asked), llm_buffer_len(&asked), text, strlen(text)) != NULL;
}

static inline void say(int fd, const char *text) {
    ssize_t len = (ssize_t)strlen(text);
    cr_assert_eq(send(fd, text, (size_t)len, MSG_NOSIGNAL), len);
}

static inline void reset(int fd) {
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    close(fd);
}

static llm_item item; /* what next_item showed */

static inline llm_item_kind next_item(llm_transfer *t) {
    UNTIL(llm_transfer_next(t, &item));
    return item.kind;
}

static inline bool shows(const char *text) {
    return item.data_len == strlen(text) && memcmp(item.data, text, item.data_len) == 0;
}

#define EVENTS "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
#define LENGTH(n) "Content-Length: " #n "\r\n\r\n"

#endif
