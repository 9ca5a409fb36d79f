/* The server against raw sockets on the loopback interface: client and server share one thread,
 * the clients never block. */
#include "server.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static llm_loop *loop;
static llm_server *server;
static llm_buffer heard; /* by the client that listen_to was last called for */

static void set_up(void) {
    static const llm_server_setup small = {.max_body_bytes = 1000};
    llm_err err;
    loop = llm_loop_new(&err);
    server = llm_server_new(loop, &small, &err);
    cr_assert(server, "%s", err.msg);
}

static void tear_down(void) {
    llm_server_free(server);
    cr_assert_eq(llm_loop_live(loop), 0);
    llm_loop_free(loop);
    llm_buffer_clear(&heard);
}

TestSuite(server, .init = set_up, .fini = tear_down, .timeout = 20);

static int dial(void) {
    struct sockaddr_in address = {.sin_family = AF_INET,
        .sin_port = htons((uint16_t)llm_server_port(server)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void say(int fd, const char *text) {
    ssize_t len = (ssize_t)strlen(text);
    cr_assert_eq(send(fd, text, (size_t)len, MSG_NOSIGNAL), len);
}

/* Everything there is now; false when the server closed. */
static bool listen_to(int fd) {
    for (;;) {
        char *room = llm_buffer_reserve(&heard, 1 << 16);
        ssize_t count = recv(fd, room, 1 << 16, MSG_DONTWAIT);
        if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return true;
        if (count <= 0) return false;
        llm_buffer_grow(&heard, (size_t)count);
    }
}

static bool heard_text(int fd, const char *text) {
    listen_to(fd);
    size_t len = llm_buffer_len(&heard);
    return len && memmem(llm_buffer_data(&heard), len, text, strlen(text));
}

static void forget(void) { llm_buffer_take(&heard, llm_buffer_len(&heard)); }

static void step(uint64_t ms) {
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

static llm_server_request *accept_one(void) {
    llm_server_request *r = NULL;
    UNTIL((r = llm_server_accept(server)));
    return r;
}

static const char get[] = "GET /v1/a%20b?x=1&y HTTP/1.1\r\nHost: t\r\nX-Name:  some value \r\n\r\n";

static llm_server_request *ask(int fd) {
    say(fd, get);
    return accept_one();
}

/* --- whole answers ---------------------------------------------------------------------------------- */

Test(server, shows_the_request) {
    int fd = dial();
    say(fd, "POST /v1/a%20b?x=1&y HTTP/1.1\r\nHost: t\r\nX-Name:  some value \r\n"
            "Content-Length: 10\r\n\r\nhello");
    step(5);
    cr_assert_null(llm_server_accept(server), "half a body is no request");
    cr_assert_not(llm_server_op(server)->ready);
    say(fd, "worl\n");
    llm_server_request *r = accept_one();
    cr_assert_not(llm_server_op(server)->ready);
    cr_assert_str_eq(llm_server_method(r), "POST");
    cr_assert_str_eq(llm_server_path(r), "/v1/a%20b?x=1&y");
    size_t len;
    const char *value = llm_server_header(r, "x-name", &len);
    cr_assert(len == 10 && memcmp(value, "some value", 10) == 0);
    cr_assert_null(llm_server_header(r, "x-other", &len));
    cr_assert_eq(llm_buffer_len(llm_server_body(r)), 10);
    cr_assert_arr_eq(llm_buffer_data(llm_server_body(r)), "helloworl\n", 10);
    llm_server_request_free(r);
    close(fd);
}

Test(server, answers_and_keeps_the_connection) {
    int fd = dial();
    for (int i = 0; i < 3; i++) {
        llm_server_request *r = ask(fd);
        cr_assert_eq(llm_server_respond(r, 201, "X-A: 1\nX-B: two words\n", "body", 4), 0);
        cr_assert_eq(llm_server_respond(r, 200, NULL, NULL, 0), LLM_EINVAL, "only once");
        llm_server_request_free(r);
        UNTIL(heard_text(fd, "\r\n\r\nbody"));
        cr_assert(heard_text(fd, "HTTP/1.1 201 ") && heard_text(fd, "X-B: two words\r\n"));
        cr_assert(heard_text(fd, "Content-Length: 4\r\n"));
        forget();
        cr_assert(listen_to(fd), "still open");
    }
    close(fd);
}

Test(server, becomes_ready_when_the_answer_is_complete) {
    int fd = dial();
    llm_server_request *r = ask(fd);
    llm_server_respond(r, 204, NULL, NULL, 0);
    cr_assert_not(llm_server_request_op(r)->ready);
    UNTIL(llm_server_request_op(r)->ready);
    cr_assert_not(llm_server_gone(r));
    cr_assert_eq(llm_server_begin(r, 200, NULL), LLM_ECLOSED);
    llm_server_request_free(r);
    close(fd);
}

Test(server, takes_pipelined_requests_in_turn) {
    int fd = dial();
    say(fd, get);
    say(fd, get);
    for (int i = 0; i < 2; i++) {
        llm_server_request *r = accept_one();
        step(5);
        cr_assert_null(llm_server_accept(server), "the second one waits for the first answer");
        llm_server_respond(r, 200, NULL, "one", 3);
        UNTIL(heard_text(fd, "\r\n\r\none"));
        forget();
        llm_server_request_free(r);
    }
    close(fd);
}

Test(server, refuses_what_cannot_be_an_answer) {
    int fd = dial();
    llm_server_request *r = ask(fd);
    cr_assert_eq(llm_server_respond(r, 99, NULL, NULL, 0), LLM_EINVAL);
    cr_assert_eq(llm_server_respond(r, 600, NULL, NULL, 0), LLM_EINVAL);
    cr_assert_eq(llm_server_respond(r, 200, "no colon\n", NULL, 0), LLM_EINVAL);
    cr_assert_eq(llm_server_respond(r, 200, "A: no end", NULL, 0), LLM_EINVAL);
    cr_assert_eq(llm_server_respond(r, 200, "Content-Length: 7\n", NULL, 0), LLM_EINVAL);
    cr_assert_eq(llm_server_write(r, "x", 1), LLM_EINVAL, "nothing is begun");
    cr_assert_eq(llm_server_finish(r), LLM_EINVAL);
    cr_assert_eq(llm_server_respond(r, 200, NULL, "good", 4), 0, "and still it may be answered");
    UNTIL(heard_text(fd, "good"));
    llm_server_request_free(r);
    close(fd);
}

/* --- what is refused before it is queued ---------------------------------------------------------------- */

struct refusal {
    const char *request, *status;
};

Test(server, refuses_bad_requests) {
    static const struct refusal cases[] = {
        {"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1001\r\n\r\n", " 413 "},
        {"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            " 400 "},
        {"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", " 400 "},
        {"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip\r\n\r\n", " 400 "},
        {"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: -1\r\n\r\n", " 400 "},
        {"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 99999999999999999999\r\n\r\n", " 413 "},
        {"GET / HTTP/1.1\r\n\r\n", " 400 "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int fd = dial();
        forget();
        say(fd, cases[i].request);
        UNTIL(!listen_to(fd));
        cr_assert(heard_text(fd, cases[i].status), "case %zu: %.*s", i, (int)llm_buffer_len(&heard),
            llm_buffer_data(&heard));
        cr_assert_null(llm_server_accept(server));
        close(fd);
    }
}

Test(server, refuses_headers_that_are_too_large) {
    int fd = dial();
    char line[40000] = "GET / HTTP/1.1\r\nHost: t\r\nX: ";
    memset(line + strlen(line), 'x', sizeof line - strlen(line) - 1);
    say(fd, line);
    UNTIL(heard_text(fd, " 431 "));
    close(fd);
}

static const char chunked[] = "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";

/* A chunk of size bytes. */
static void say_chunk(int fd, int size) {
    char text[4096];
    cr_assert_lt(size, 4000);
    int head = snprintf(text, sizeof text, "%x\r\n", size);
    memset(text + head, 'x', (size_t)size);
    memcpy(text + head + size, "\r\n", 3);
    say(fd, text);
}

Test(server, takes_a_chunked_body_up_to_the_limit) {
    int fd = dial();
    say(fd, chunked);
    say_chunk(fd, 600);
    say_chunk(fd, 400);
    say(fd, "0\r\n\r\n");
    llm_server_request *r = accept_one();
    cr_assert_eq(llm_buffer_len(llm_server_body(r)), 1000);
    llm_server_request_free(r);
    close(fd);
}

Test(server, refuses_a_chunked_body_at_its_end) {
    int fd = dial();
    say(fd, chunked);
    say_chunk(fd, 600);
    say_chunk(fd, 401);
    say(fd, "0\r\n\r\n");
    UNTIL(!listen_to(fd));
    cr_assert(heard_text(fd, " 413 "));
    close(fd);
}

Test(server, cuts_a_chunked_body_that_does_not_end) {
    int fd = dial();
    say(fd, chunked);
    for (int i = 0; i < 4; i++) say_chunk(fd, 600);
    UNTIL(!listen_to(fd));
    cr_assert_eq(llm_buffer_len(&heard), 0);
    close(fd);
}

/* --- streams ---------------------------------------------------------------------------------------- */

Test(server, streams_piece_by_piece) {
    int fd = dial();
    llm_server_request *r = ask(fd);
    cr_assert_eq(llm_server_begin(r, 200, "Content-Type: text/event-stream\n"), 0);
    UNTIL(heard_text(fd, "Transfer-Encoding: chunked\r\n"));
    UNTIL(llm_server_request_op(r)->ready);
    for (int i = 0; i < 5; i++) {
        char chunk[] = "7\r\npiece 0\r\n";
        chunk[9] = (char)('0' + i);
        cr_assert_eq(llm_server_write(r, chunk + 3, 7), 0);
        cr_assert_eq(llm_server_backlog(r), 7);
        cr_assert_not(llm_server_request_op(r)->ready);
        UNTIL(heard_text(fd, chunk));
        UNTIL(llm_server_request_op(r)->ready);
        cr_assert_eq(llm_server_backlog(r), 0);
    }
    cr_assert_eq(llm_server_write(r, NULL, 0), 0);
    cr_assert_eq(llm_server_finish(r), 0);
    cr_assert_eq(llm_server_write(r, "x", 1), LLM_EINVAL);
    UNTIL(heard_text(fd, "\r\n0\r\n\r\n"));
    llm_server_request_free(r);
    r = ask(fd);
    cr_assert(r, "the connection is used again");
    llm_server_request_free(r);
    close(fd);
}

/* Streamed to an old client, the end of the connection is the end of the body. */
Test(server, streams_to_http_1_0) {
    int fd = dial();
    say(fd, "GET / HTTP/1.0\r\n\r\n");
    llm_server_request *r = accept_one();
    llm_server_begin(r, 200, NULL);
    llm_server_write(r, "all", 3);
    llm_server_finish(r);
    UNTIL(!listen_to(fd));
    cr_assert(heard_text(fd, "\r\n\r\nall") && !heard_text(fd, "chunked"));
    llm_server_request_free(r);
    close(fd);
}

Test(server, an_idle_stream_costs_no_steps) {
    int fd = dial();
    llm_server_request *r = ask(fd);
    llm_server_begin(r, 200, NULL);
    UNTIL(llm_server_request_op(r)->ready);
    step(1);
    uint64_t start = llm_clock_ns();
    step(30);
    cr_assert_gt(llm_clock_ns() - start, 25000000, "woken for nothing");
    llm_server_request_free(r);
    close(fd);
}

enum { PIECE = 64 << 10, TOTAL = 32 << 20 };

/* The writer waits when more than a piece is in the backlog; the client reads now and then. */
Test(server, a_slow_client_holds_the_writer_back) {
    static char piece[PIECE];
    int fd = dial(), waits = 0;
    size_t written = 0, most = 0, read = 0;
    llm_server_request *r = ask(fd);
    llm_server_begin(r, 200, NULL);
    while (written < TOTAL) {
        cr_assert_eq(llm_server_write(r, piece, PIECE), 0);
        written += PIECE;
        size_t backlog = llm_server_backlog(r);
        if (backlog > most) most = backlog;
        if (backlog <= PIECE) continue;
        for (int i = 0; i < 20 && !llm_server_request_op(r)->ready; i++) step(0);
        if (llm_server_request_op(r)->ready) continue;
        waits++;
        while (!llm_server_request_op(r)->ready) {
            listen_to(fd);
            read += llm_buffer_len(&heard);
            forget();
            step(1);
        }
        cr_assert_eq(llm_server_backlog(r), 0);
    }
    cr_assert_gt(waits, 0, "the client was never slow");
    cr_assert_leq(most, 2 * PIECE);
    llm_server_finish(r);
    UNTIL(heard_text(fd, "\r\n0\r\n\r\n"));
    cr_assert_gt(read + llm_buffer_len(&heard), TOTAL);
    llm_server_request_free(r);
    close(fd);
}

/* --- clients that leave -------------------------------------------------------------------------------- */

Test(server, sees_the_client_go_while_it_waits) {
    int fd = dial();
    llm_server_request *r = ask(fd);
    step(5);
    cr_assert_not(llm_server_request_op(r)->ready);
    close(fd);
    UNTIL(llm_server_request_op(r)->ready);
    cr_assert(llm_server_gone(r));
    cr_assert_eq(llm_server_respond(r, 200, NULL, NULL, 0), LLM_ECLOSED);
    llm_server_request_free(r);
}

Test(server, sees_the_client_go_in_a_stream) {
    int fd = dial();
    llm_server_request *r = ask(fd);
    llm_server_begin(r, 200, NULL);
    llm_server_write(r, "x", 1);
    UNTIL(llm_server_request_op(r)->ready);
    llm_server_request_op(r)->ready = false;
    close(fd);
    UNTIL(llm_server_request_op(r)->ready);
    cr_assert(llm_server_gone(r));
    cr_assert_eq(llm_server_write(r, "x", 1), LLM_ECLOSED);
    cr_assert_eq(llm_server_finish(r), LLM_ECLOSED);
    step(1);
    cr_assert_eq(llm_server_backlog(r), 0);
    llm_server_request_free(r);
}

/* A stream to a client that does not read, when no more goes into the socket. */
static llm_server_request *ask_without_reading(int fd) {
    static char much[16 << 20];
    llm_server_request *r = ask(fd);
    llm_server_begin(r, 200, NULL);
    llm_server_write(r, much, sizeof much);
    for (size_t before = 0; before != llm_server_backlog(r);) {
        before = llm_server_backlog(r);
        for (int i = 0; i < 5; i++) step(2);
    }
    cr_assert(!llm_server_request_op(r)->ready && llm_server_backlog(r) > 0);
    return r;
}

/* Here the connection is libmicrohttpd's to watch: it waits for room to send. */
Test(server, sees_the_client_go_with_a_backlog) {
    int fd = dial();
    llm_server_request *r = ask_without_reading(fd);
    close(fd);
    UNTIL(llm_server_request_op(r)->ready);
    cr_assert(llm_server_gone(r));
    llm_server_request_free(r);
}

Test(server, drops_a_request_whose_client_left_the_queue) {
    int fd = dial(), other = dial();
    say(fd, get);
    UNTIL(llm_server_op(server)->ready);
    close(fd);
    for (int i = 0; i < 5; i++) step(1);
    cr_assert_null(llm_server_accept(server));
    llm_server_request *r = ask(other);
    cr_assert_not(llm_server_gone(r));
    llm_server_request_free(r);
    close(other);
}

/* --- aborts ---------------------------------------------------------------------------------------------- */

Test(server, aborts_before_the_answer) {
    int fd = dial();
    llm_server_request *r = ask(fd);
    llm_server_abort(r);
    UNTIL(!listen_to(fd));
    cr_assert_eq(llm_buffer_len(&heard), 0);
    UNTIL(llm_server_request_op(r)->ready);
    cr_assert_not(llm_server_gone(r));
    cr_assert_eq(llm_server_respond(r, 200, NULL, NULL, 0), LLM_ECLOSED);
    llm_server_request_free(r);
    close(fd);
}

Test(server, aborts_in_the_middle) {
    int fd = dial();
    llm_server_request *r = ask(fd);
    llm_server_begin(r, 200, NULL);
    llm_server_write(r, "half", 4);
    UNTIL(llm_server_request_op(r)->ready);
    llm_server_abort(r);
    llm_server_abort(r);
    UNTIL(!listen_to(fd));
    cr_assert(heard_text(fd, "4\r\nhalf\r\n") && !heard_text(fd, "\r\n0\r\n"));
    llm_server_request_free(r);
    close(fd);
}

/* A client that does not read must not be able to keep what we want to be rid of. */
Test(server, aborts_at_once_with_a_backlog) {
    int fd = dial();
    llm_server_request *r = ask_without_reading(fd);
    llm_server_abort(r);
    UNTIL(llm_server_request_op(r)->ready);
    cr_assert_eq(llm_server_backlog(r), 0);
    llm_server_request_free(r);
    UNTIL(!listen_to(fd));
    cr_assert_not(heard_text(fd, "\r\n0\r\n"));
    close(fd);
}

Test(server, freeing_an_unfinished_request_aborts_it) {
    int fd = dial();
    llm_server_request *r = ask(fd);
    llm_server_begin(r, 200, NULL);
    llm_server_request_free(r);
    UNTIL(!listen_to(fd));
    cr_assert_not(heard_text(fd, "\r\n0\r\n"));
    close(fd);
}

/* --- many, and the end ------------------------------------------------------------------------------------- */

enum { MANY = 200 };

Test(server, two_hundred_at_once) {
    int fds[MANY];
    llm_server_request *requests[MANY];
    for (int i = 0; i < MANY; i++) {
        char line[80];
        fds[i] = dial();
        snprintf(line, sizeof line, "GET /%d HTTP/1.1\r\nHost: t\r\n\r\n", i);
        say(fds[i], line);
        step(0);
    }
    for (int i = 0; i < MANY; i++) requests[i] = accept_one();
    cr_assert_eq(llm_loop_live(loop), MANY + 1);
    for (int i = MANY; i-- > 0;) {
        const char *path = llm_server_path(requests[i]);
        if (i % 2) {
            llm_server_respond(requests[i], 200, NULL, path, strlen(path));
        } else {
            llm_server_begin(requests[i], 200, NULL);
            llm_server_write(requests[i], path, strlen(path));
            llm_server_finish(requests[i]);
        }
        llm_server_request_free(requests[i]);
    }
    for (int i = 0; i < MANY; i++) {
        char line[80];
        snprintf(line, sizeof line, "\r\n/%d", i);
        forget();
        UNTIL(heard_text(fds[i], line));
        close(fds[i]);
    }
}

Test(server, sends_what_was_answered_before_it_is_freed) {
    int fd = dial();
    llm_server_request *r = ask(fd);
    llm_server_respond(r, 200, NULL, "last words", 10);
    llm_server_request_free(r);
    llm_server_free(server);
    server = NULL;
    cr_assert(!listen_to(fd) && heard_text(fd, "last words"));
    close(fd);
}

/* Brings a request into one of the states that it can be in when the server goes. */
static llm_server_request *in_state(int state, int *fd) {
    static char much[8 << 20];
    *fd = dial();
    if (state == 0) return say(*fd, chunked), say_chunk(*fd, 9), step(5), NULL; /* coming in */
    if (state == 1) return say(*fd, get), step(5), NULL;                        /* in the queue */
    llm_server_request *r = ask(*fd);
    if (state == 3) llm_server_respond(r, 200, NULL, "x", 1);
    if (state >= 4) llm_server_begin(r, 200, NULL);
    if (state == 5) UNTIL(llm_server_request_op(r)->ready);
    if (state >= 6) llm_server_write(r, much, sizeof much);
    if (state == 7) step(5);
    if (state == 8) llm_server_finish(r);
    if (state == 9) llm_server_abort(r);
    if (state == 10) close(*fd), *fd = -1, step(5);
    return r;
}

enum { STATES = 11 };

Test(server, may_be_freed_in_every_state) {
    for (int i = 0; i < 2 * STATES; i++) {
        int fd;
        llm_server_request *r = in_state(i / 2, &fd);
        if (i % 2) llm_server_request_free(r);
        llm_server_free(server);
        if (r && i % 2 == 0) {
            if (i / 2 != 3) cr_assert_eq(llm_server_write(r, "x", 1), LLM_ECLOSED);
            llm_server_abort(r);
            llm_server_request_free(r);
        }
        cr_assert_eq(llm_loop_live(loop), 0, "state %d", i);
        if (fd >= 0) close(fd);
        server = llm_server_new(loop, NULL, NULL);
        cr_assert(server);
    }
}

static int child_life(llm_server_request *r) {
    llm_err err;
    bool ok = llm_server_respond(r, 200, NULL, "child", 5) == LLM_ECLOSED &&
              llm_server_begin(r, 200, NULL) == LLM_ECLOSED && !llm_server_new(loop, NULL, &err) &&
              err.code == LLM_ECLOSED;
    llm_server_abort(r);
    llm_server_request_free(r);
    llm_server_free(server);
    return ok && llm_loop_live(loop) == 0 ? 0 : 1;
}

Test(server, a_forked_child_may_only_free) {
    int fd = dial(), queued = dial(), status;
    llm_server_request *r = ask(fd);
    say(queued, get);
    UNTIL(llm_server_op(server)->ready);
    pid_t pid = fork();
    if (pid == 0) _exit(child_life(r));
    waitpid(pid, &status, 0);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    llm_server_respond(r, 200, NULL, "parent", 6);
    UNTIL(heard_text(fd, "parent"));
    llm_server_request_free(r);
    close(fd);
    r = accept_one();
    close(queued);
    UNTIL(llm_server_gone(r));
    llm_server_request_free(r);
}

Test(server, says_why_it_cannot_listen) {
    llm_err err;
    llm_server_setup setup = {.port = llm_server_port(server)};
    cr_assert_null(llm_server_new(loop, &setup, &err));
    cr_assert(err.code == LLM_ESYSTEM && strstr(err.msg, "in use"), "%s", err.msg);
    setup = (llm_server_setup){.host = "example.com"};
    cr_assert_null(llm_server_new(loop, &setup, &err));
    cr_assert_eq(err.code, LLM_EINVAL);
    setup = (llm_server_setup){.port = 65536};
    cr_assert_null(llm_server_new(loop, &setup, &err));
    cr_assert_eq(err.code, LLM_EINVAL);
    setup = (llm_server_setup){.host = "localhost"};
    llm_server *other = llm_server_new(loop, &setup, &err);
    cr_assert(other);
    llm_server_free(other);
}
