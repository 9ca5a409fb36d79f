/* The server: requests as they come in, whole answers, many at once, and the end. */
#include <stdio.h>
#include <sys/wait.h>

#include "serving.h"

/* --- whole answers ---------------------------------------------------------------------------- */

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

/* --- what is refused before it is queued ------------------------------------------------------ */

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

/* --- many, and the end ------------------------------------------------------------------------ */

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
