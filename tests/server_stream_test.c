/* The server: answers that are written piece by piece, clients that leave, aborts. */
#include "serving.h"

/* --- streams ---------------------------------------------------------------------------------- */

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

/* --- clients that leave ----------------------------------------------------------------------- */

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

/* --- aborts ----------------------------------------------------------------------------------- */

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
