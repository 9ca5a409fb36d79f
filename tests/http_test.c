/* Transfers: what is sent, what is shown, connections used again, cancelling, forks. What fails and
 * what is limited stands in http_limits_test.c. */
#include "calling.h"

#include <sys/wait.h>

static void answer(int fd, const char *text) {
    ask(fd);
    say(fd, text);
}

static void expect_end(llm_transfer *t) {
    cr_assert_eq(next_item(t), LLM_ITEM_END, "%s", llm_transfer_error(t)->msg);
    cr_assert_eq(next_item(t), LLM_ITEM_END, "it repeats");
    cr_assert_str_eq(llm_transfer_phase(t), "done");
    llm_transfer_cancel(t);
}

/* --- the request, and every kind of item -------------------------------------------------------- */

Test(http, sends_what_it_is_given) {
    llm_request request = post();
    request.frame = "json";
    request.headers = "X-A: b\nX-Empty;\nContent-Type: application/json\n";
    request.body = "{\"a\":\0}";
    request.body_len = 7;
    llm_transfer *t = start(&request);
    cr_assert_str_eq(llm_transfer_phase(t), "connect");
    int fd = accept_one();
    ask(fd);
    cr_assert(was_asked("POST /v1 HTTP/1.1\r\n"));
    cr_assert(was_asked("\r\nX-A: b\r\n") && was_asked("\r\nX-Empty:\r\n"));
    cr_assert(was_asked("\r\nContent-Length: 7\r\n") && !was_asked("Expect"));
    cr_assert_eq(memcmp(llm_buffer_data(&asked) + llm_buffer_len(&asked) - 7, request.body, 7), 0);
    cr_assert_eq(llm_transfer_status(t), 0);
    say(fd, "HTTP/1.1 103 Early Hints\r\nX-B: no\r\n\r\nHTTP/1.1 201 Created\r\nX-B:  c d \r\n");
    say(fd, LENGTH(2) "ok");
    cr_assert_eq(next_item(t), LLM_ITEM_EVENT);
    cr_assert_eq(llm_transfer_status(t), 201);
    size_t len;
    cr_assert_eq(memcmp(llm_transfer_header(t, "x-b", &len), "c d", 3), 0);
    cr_assert_eq(len, 3);
    cr_assert_null(llm_transfer_header(t, "x-c", &len));
    llm_transfer_cancel(t);
    close(fd);
}

Test(http, gets) {
    llm_request request = {.method = "GET", .url = url, .headers = "", .frame = "json"};
    llm_transfer *t = start(&request);
    int fd = accept_one();
    UNTIL((listen_to(fd), was_asked("\r\n\r\n")));
    cr_assert(was_asked("GET /v1 HTTP/1.1\r\n"));
    say(fd, "HTTP/1.1 200 OK\r\n" LENGTH(2) "[]");
    cr_assert_eq(next_item(t), LLM_ITEM_EVENT);
    cr_assert(shows("[]"));
    expect_end(t);
    close(fd);
}

static const char pattern[] = "{\"n\":1,\"t\":\"$text\"}";

Test(http, shows_every_kind_of_item) {
    llm_skim *skim = llm_skim_new(pattern, sizeof pattern - 1, NULL);
    llm_request request = post();
    request.skim = skim;
    llm_transfer *t = start(&request);
    int fd = accept_one();
    answer(fd, EVENTS "\r\n"
                      "data: {\"n\":1,\"t\":\"first\"}\n\n"
                      "data: {\"n\":1,\"t\":\"a\"}\n\ndata: {\"n\":1,\"t\":\"\"}\n\n"
                      "data: {\"n\":1,\"t\":\"b\"}\n\n"
                      "event: odd\ndata: {\"n\":2,\"t\":\"c\"}\n\n"
                      "data: {\"n\":1,\"t\":\"d\"}\n\ndata: left");
    shutdown(fd, SHUT_WR);
    cr_assert_eq(next_item(t), LLM_ITEM_EVENT);
    cr_assert(shows("{\"n\":1,\"t\":\"first\"}"), "the first event is the dialect's");
    cr_assert_eq(next_item(t), LLM_ITEM_TEXT);
    cr_assert(shows("ab"));
    cr_assert_eq(next_item(t), LLM_ITEM_EVENT);
    cr_assert(item.event_len == 3 && memcmp(item.event, "odd", 3) == 0);
    cr_assert_eq(next_item(t), LLM_ITEM_TEXT);
    cr_assert(shows("d"));
    cr_assert_eq(next_item(t), LLM_ITEM_REST);
    cr_assert(shows("left"));
    expect_end(t);
    llm_skim_free(skim);
    close(fd);
}

/* A text that was shown does not grow, and what comes later is not shown twice. */
Test(http, shows_text_as_it_comes) {
    llm_skim *skim = llm_skim_new(pattern, sizeof pattern - 1, NULL);
    llm_request request = post();
    request.skim = skim;
    llm_transfer *t = start(&request);
    int fd = accept_one();
    answer(fd, EVENTS "\r\ndata: {}\n\n");
    next_item(t);
    for (int i = 0; i < 5; i++) {
        say(fd, "data: {\"n\":1,\"t\":\"x\"}\n\n");
        cr_assert_eq(next_item(t), LLM_ITEM_TEXT);
        cr_assert(shows("x"));
        cr_assert_eq(llm_transfer_next(t, &item), 0);
        cr_assert_not(llm_transfer_op(t)->ready);
    }
    llm_transfer_cancel(t);
    llm_skim_free(skim);
    close(fd);
}

Test(http, a_reply_that_is_no_stream_is_one_body) {
    static const char *const heads[] = {
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/event-stream\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: Text/HTML\r\n",
    };
    llm_request request = post();
    for (size_t i = 0; i < 3; i++) {
        llm_transfer *t = start(&request);
        int fd = accept_one();
        ask(fd);
        say(fd, heads[i]);
        say(fd, "Connection: close\r\n" LENGTH(9) "data: x\n\n");
        cr_assert_eq(next_item(t), LLM_ITEM_EVENT);
        cr_assert(item.event_len == 4 && memcmp(item.event, "body", 4) == 0);
        cr_assert(shows("data: x\n\n"));
        expect_end(t);
        close(fd);
    }
}

/* --- connections -------------------------------------------------------------------------------- */

static const char good[] = EVENTS LENGTH(9) "data: x\n\n";

static void exchange(const llm_request *request, int fd) {
    llm_transfer *t = start(request);
    answer(fd, good);
    cr_assert_eq(next_item(t), LLM_ITEM_EVENT);
    expect_end(t);
}

/* A new connection that has served one request and is idle. */
static int open_connection(const llm_request *request) {
    llm_transfer *t = start(request);
    int fd = accept_one();
    answer(fd, good);
    next_item(t);
    expect_end(t);
    return fd;
}

Test(http, uses_a_connection_again) {
    llm_request request = post();
    int fd = open_connection(&request);
    for (int i = 0; i < 3; i++) exchange(&request, fd);
    for (int i = 0; i < 12; i++) { /* more setups than are looked at for the same one */
        char other[80];
        snprintf(other, sizeof other, "%s/%d", url, i % 6);
        request.url = other;
        exchange(&request, fd);
        cr_assert(was_asked(other + strlen(url)));
    }
    cr_assert_lt(accepted(), 0);
    close(fd);
}

/* T13: the server reads a request on a kept connection and closes it without a byte. */
Test(http, sends_again_once_when_a_kept_connection_was_dead) {
    llm_request request = post();
    int fd = open_connection(&request);
    llm_transfer *t = start(&request);
    ask(fd);
    close(fd);
    fd = accept_one();
    answer(fd, good);
    cr_assert_eq(next_item(t), LLM_ITEM_EVENT);
    expect_end(t);
    close(fd);
}

/* Which of two connections has a whole request to read; -1 for none. */
static int asker(const int fds[2]) {
    llm_buffer_take(&asked, llm_buffer_len(&asked));
    return has_asked(fds[0]) ? 0 : has_asked(fds[1]) ? 1 : -1;
}

Test(http, never_sends_a_third_time) {
    llm_request request = post();
    llm_transfer *pair[2] = {start(&request), start(&request)};
    int fds[2] = {accept_one(), accept_one()}, who;
    for (int i = 0; i < 2; i++) answer(fds[i], good);
    for (int i = 0; i < 2; i++) next_item(pair[i]), expect_end(pair[i]);
    llm_transfer *t = start(&request);
    for (int i = 0; i < 2; i++) { /* each connection in turn dies with the request in it */
        UNTIL((who = asker(fds)) >= 0);
        close(fds[who]);
        fds[who] = -1;
    }
    cr_assert_eq(next_item(t), LLM_ITEM_ERROR);
    cr_assert_eq(llm_transfer_error(t)->code, LLM_ENETWORK);
    int third = accepted();
    llm_buffer_take(&asked, llm_buffer_len(&asked));
    cr_assert(third < 0 || !has_asked(third), "%s", llm_transfer_error(t)->msg);
    llm_transfer_cancel(t);
    close(third);
}

Test(http, does_not_use_a_connection_again_that_a_reply_was_cut_off_on) {
    llm_request request = post();
    llm_transfer *t = start(&request);
    int fd = accept_one();
    answer(fd, EVENTS LENGTH(900) "data: x\n\n");
    next_item(t);
    llm_transfer_cancel(t);
    UNTIL(!listen_to(fd));
    close(fd);
    close(open_connection(&request));
}

/* The terminal event came, the server keeps the connection open: the reader waits no longer than a
 * quarter of a second, and without expect_end for ever. */
Test(http, the_end_may_be_expected) {
    llm_request request = post();
    llm_transfer *t = start(&request);
    int fd = accept_one();
    answer(fd, EVENTS "Transfer-Encoding: chunked\r\n\r\n9\r\ndata: x\n\n\r\n");
    next_item(t);
    uint64_t before = llm_clock_ns();
    llm_transfer_expect_end(t);
    next_item(t);
    uint64_t took = llm_clock_ns() - before;
    cr_assert(took > 200000000 && took < 350000000, "%llu ns", (unsigned long long)took);
    llm_transfer_cancel(t);
    UNTIL(!listen_to(fd));
    close(fd);
}

Test(http, limits_connections_per_host) {
    llm_http_limits one = {.max_connections_per_host = 1};
    llm_http *narrow = llm_http_new(loop, &one, NULL);
    llm_request request = post();
    llm_transfer *first = llm_transfer_start(narrow, &request, NULL);
    llm_transfer *second = llm_transfer_start(narrow, &request, NULL);
    int fd = accept_one();
    ask(fd);
    for (int i = 0; i < 5; i++) step(2);
    cr_assert_lt(accepted(), 0);
    say(fd, good);
    next_item(first);
    expect_end(first);
    answer(fd, good);
    next_item(second);
    expect_end(second);
    llm_http_free(narrow);
    close(fd);
}

/* --- cancelling --------------------------------------------------------------------------------- */

Test(http, is_cancelled_in_every_phase) {
    static const char *const said[] = {"", "HTTP/1.1 200", EVENTS "\r\n", EVENTS "\r\ndata: x\n\n",
        EVENTS "\r\ndata: x\n\ndata: y", EVENTS LENGTH(9) "data: x\n\n"};
    llm_request request = post();
    llm_transfer_cancel(start(&request));
    step(1);
    int fd = accepted();
    if (fd >= 0) close(fd);
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        llm_transfer *t = start(&request);
        fd = accept_one();
        answer(fd, said[i]);
        for (int n = 0; n < 3; n++) step(1);
        while (i % 2 && llm_transfer_next(t, &item) && item.kind != LLM_ITEM_END) continue;
        llm_transfer_cancel(t);
        cr_assert_eq(llm_loop_live(loop), 0);
        shutdown(fd, SHUT_WR); /* the last one was complete: its connection is kept */
        UNTIL(!listen_to(fd) || i == 5);
        close(fd);
        step(1);
    }
    llm_transfer_cancel(NULL);
}

Test(http, is_freed_in_any_order) {
    for (int order = 0; order < 6; order++) {
        llm_loop *other_loop = llm_loop_new(NULL);
        llm_http *other = llm_http_new(other_loop, NULL, NULL);
        llm_request request = post();
        llm_transfer *t = llm_transfer_start(other, &request, NULL);
        llm_loop_step(other_loop, 1000000, NULL);
        int fd = accepted();
        for (int i = 0; i < 3; i++) {
            int which = (order + i * (order < 3 ? 1 : 2)) % 3;
            if (which == 0) llm_loop_free(other_loop);
            if (which == 1) llm_http_free(other);
            if (which == 2) llm_transfer_cancel(t);
        }
        if (fd >= 0) close(fd);
    }
}

/* --- forks -------------------------------------------------------------------------------------- */

static int in_child(llm_transfer *t) {
    llm_err err = {0};
    llm_request request = post();
    if (llm_transfer_start(http, &request, &err) || err.code != LLM_ECLOSED) return 1;
    llm_transfer_cancel(t);
    llm_http_free(http);
    llm_loop_free(loop);
    return 0;
}

/* A child that cleaned up what it inherited took the parent's socket out of their shared set. */
Test(http, a_child_refuses_and_the_parent_finishes) {
    llm_request request = post();
    llm_transfer *t = start(&request);
    int fd = accept_one(), status;
    answer(fd, EVENTS LENGTH(18) "data: x\n\n");
    cr_assert_eq(next_item(t), LLM_ITEM_EVENT);
    pid_t child = fork();
    if (child == 0) _exit(in_child(t));
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d", status);
    say(fd, "data: y\n\n");
    cr_assert_eq(next_item(t), LLM_ITEM_EVENT);
    cr_assert(shows("y"));
    expect_end(t);
    close(fd);
}
