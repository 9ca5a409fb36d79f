/* Transfers: what goes wrong, what is limited, and what happens without memory. */
#include "calling.h"

#include <sys/resource.h>

#include "failing.h"

enum { MIB = 1 << 20 };

static void expect_error(llm_transfer *t, int code) {
    cr_assert_eq(next_item(t), LLM_ITEM_ERROR);
    cr_assert_eq(next_item(t), LLM_ITEM_ERROR, "it repeats");
    const llm_err *err = llm_transfer_error(t);
    cr_assert_eq(err->code, code, "%s: %s", llm_code_name(err->code), err->msg);
    cr_assert(err->msg[0] && !strchr(err->msg, '\n'));
    llm_transfer_cancel(t);
}

/* --- replies that are wrong --------------------------------------------------------------------- */

enum then { CLOSE, RESET };

static const struct wrong {
    const char *reply;
    enum then then;
    int code;
} wrong[] = {
    {"", CLOSE, LLM_ENETWORK},
    {"", RESET, LLM_ENETWORK},
    {"HTTP/1.1 200 OK\r\nA: b\r\n", RESET, LLM_ENETWORK},
    {EVENTS "\r\n", RESET, LLM_ECUT},
    {EVENTS LENGTH(50) "data: x\n\n", CLOSE, LLM_ECUT},
    {EVENTS "Transfer-Encoding: chunked\r\n\r\n9\r\ndata", CLOSE, LLM_ECUT},
    {EVENTS "Transfer-Encoding: chunked\r\n\r\n9\r\ndata", RESET, LLM_ECUT},
    {EVENTS "Transfer-Encoding: chunked\r\n\r\nzz\r\ndata", CLOSE, LLM_EPROTOCOL},
    {EVENTS "Transfer-Encoding: chunked\r\n\r\n-9\r\ndata", CLOSE, LLM_EPROTOCOL},
    {EVENTS "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", CLOSE, LLM_EPROTOCOL},
    {EVENTS "Content-Length: 3\r\nContent-Length: 4\r\n\r\n", CLOSE, LLM_EPROTOCOL},
    {EVENTS "Content-Encoding: gzip\r\n" LENGTH(9) "data: x\n\n", CLOSE, LLM_EPROTOCOL},
    {"no HTTP at all\r\n\r\n", CLOSE, LLM_EPROTOCOL},
};

Test(http, tells_wrong_replies_apart) {
    llm_request request = post();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        llm_transfer *t = start(&request);
        int fd = accept_one();
        ask(fd);
        say(fd, wrong[i].reply);
        for (int n = 0; n < 3; n++) step(1); /* or the reset overtakes what was said */
        wrong[i].then == RESET ? reset(fd) : (void)close(fd);
        llm_item_kind kind = next_item(t);
        while (kind == LLM_ITEM_EVENT) kind = next_item(t);
        cr_assert_eq(kind, LLM_ITEM_ERROR, "case %zu", i);
        cr_assert_eq(llm_transfer_error(t)->code, wrong[i].code, "case %zu: %s", i,
            llm_transfer_error(t)->msg);
        cr_assert(llm_transfer_sent(t), "case %zu", i);
        llm_transfer_cancel(t);
    }
    cr_assert_lt(accepted(), 0);
}

Test(http, refused_is_not_sent) {
    llm_request request = post();
    request.url = "http://127.0.0.1:1/v1";
    llm_transfer *t = start(&request);
    cr_assert_eq(next_item(t), LLM_ITEM_ERROR);
    cr_assert_not(llm_transfer_sent(t));
    cr_assert_str_eq(llm_transfer_phase(t), "connect");
    expect_error(t, LLM_ENETWORK);
}

/* A request that was lost on its way cannot have been billed, and may be sent again. */
Test(http, half_a_request_is_not_sent) {
    static char body[16 * MIB];
    llm_request request = post();
    request.body = memset(body, 'a', sizeof body);
    request.body_len = sizeof body;
    llm_transfer *t = start(&request);
    int fd = accept_one();
    for (int n = 0; n < 5; n++) step(2);
    reset(fd);
    cr_assert_eq(next_item(t), LLM_ITEM_ERROR);
    cr_assert_not(llm_transfer_sent(t));
    expect_error(t, LLM_ENETWORK);
}

Test(http, refuses_what_is_no_http) {
    static const char *const urls[] = {"file:///etc/passwd", "gopher://127.0.0.1/",
        "ftp://127.0.0.1/", "dict://127.0.0.1/", "http://", "http://[::1", "nothing"};
    llm_request request = post();
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        request.url = urls[i];
        llm_transfer *t = llm_transfer_start(http, &request, NULL);
        if (!t) continue;
        cr_assert_eq(next_item(t), LLM_ITEM_ERROR, "%s", urls[i]);
        cr_assert_not(llm_transfer_sent(t));
        llm_transfer_cancel(t);
    }
}

Test(http, refuses_a_header_line_that_is_too_long) {
    static char line[LLM_HTTP_MAX_HEADERS / 16 + 3];
    memset(line, 'a', sizeof line - 2);
    line[1] = ':';
    line[sizeof line - 2] = '\n';
    llm_err err;
    llm_request request = post();
    request.headers = line;
    cr_assert_null(llm_transfer_start(http, &request, &err));
    cr_assert_eq(err.code, LLM_EINVAL);
}

/* --- time --------------------------------------------------------------------------------------- */

static void expect_timeout(llm_transfer *t, uint64_t since_ns, uint64_t ms) {
    cr_assert_eq(next_item(t), LLM_ITEM_ERROR);
    uint64_t took_ms = (llm_clock_ns() - since_ns) / 1000000;
    cr_assert(took_ms >= ms && took_ms < ms + 200, "%d ms", (int)took_ms);
    expect_error(t, LLM_ETIMEOUT);
}

Test(http, waits_so_long_for_the_first_content) {
    llm_request request = post();
    request.first_ms = 50;
    uint64_t begin = llm_clock_ns();
    llm_transfer *t = start(&request);
    int fd = accept_one();
    ask(fd);
    say(fd, EVENTS "\r\n: a comment is no content\n\n");
    expect_timeout(t, begin, 50);
    UNTIL(!listen_to(fd));
    close(fd);
}

Test(http, waits_so_long_for_more) {
    llm_request request = post();
    request.first_ms = 1000;
    request.silence_ms = 40;
    llm_transfer *t = start(&request);
    int fd = accept_one();
    ask(fd);
    say(fd, EVENTS "\r\ndata: x\n\n");
    next_item(t);
    for (int i = 0; i < 5; i++) { /* the reader finds content in what was shown */
        llm_transfer_touch(t);
        for (uint64_t end = llm_clock_ns() + 15000000; llm_clock_ns() < end;) step(5);
        cr_assert_eq(llm_transfer_next(t, &item), 0);
    }
    llm_transfer_touch(t);
    uint64_t begin = llm_clock_ns();
    say(fd, ": still no content\n\n");
    expect_timeout(t, begin, 39);
    close(fd);
}

/* A reader that is busy elsewhere is not the peer's silence. */
Test(http, does_not_count_the_readers_time) {
    llm_request request = post();
    request.silence_ms = request.first_ms = 20;
    llm_transfer *t = start(&request);
    int fd = accept_one();
    ask(fd);
    say(fd, EVENTS "\r\ndata: x\n\n");
    for (uint64_t end = llm_clock_ns() + 70000000; llm_clock_ns() < end;) step(5);
    cr_assert_eq(next_item(t), LLM_ITEM_EVENT);
    llm_transfer_cancel(t);
    close(fd);
}

Test(http, ends_at_the_deadline) {
    llm_request request = post();
    request.deadline_ms = 60;
    uint64_t begin = llm_clock_ns();
    llm_transfer *t = start(&request);
    int fd = accept_one();
    ask(fd);
    say(fd, EVENTS "\r\n");
    while (llm_transfer_error(t)->code == 0) {
        say(fd, "data: x\n\n");
        step(5);
    }
    while (llm_transfer_next(t, &item) && item.kind == LLM_ITEM_EVENT) continue;
    expect_timeout(t, begin, 60);
    close(fd);
}

/* A listener whose queue is full drops what knocks. */
Test(http, waits_so_long_to_connect) {
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    int knocking[4], full = socket(AF_INET, SOCK_STREAM, 0);
    getsockname(listener, (struct sockaddr *)&address, &len);
    address.sin_port = 0;
    cr_assert_eq(bind(full, (struct sockaddr *)&address, len), 0);
    listen(full, 0);
    getsockname(full, (struct sockaddr *)&address, &len);
    for (int i = 0; i < 4; i++) {
        knocking[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(knocking[i], (struct sockaddr *)&address, len);
    }
    char there[64];
    snprintf(there, sizeof there, "http://127.0.0.1:%d/", ntohs(address.sin_port));
    llm_request request = post();
    request.url = there;
    request.connect_ms = 50;
    uint64_t begin = llm_clock_ns();
    llm_transfer *t = start(&request);
    expect_timeout(t, begin, 49);
    for (int i = 0; i < 4; i++) close(knocking[i]);
    close(full);
}

/* --- size --------------------------------------------------------------------------------------- */

static const char event[] = "data: 0123456789abcdef0123456789abcdef0123456789abcdef01234567\n\n";
enum { EVENT_LEN = sizeof event - 1 };

static size_t begun; /* bytes of an event that went before no more did */

/* Says up to count events without ever waiting; how many went. */
static size_t flood(int fd, size_t count) {
    for (size_t i = 0; i < count; i++) {
        ssize_t went = send(fd, event + begun, EVENT_LEN - begun, MSG_NOSIGNAL);
        if (went > 0) begun += (size_t)went;
        if (begun < EVENT_LEN) return i;
        begun = 0;
    }
    return count;
}

static llm_transfer *flooded(const llm_request *request, int *fd) {
    llm_transfer *t = start(request);
    *fd = accept_one();
    int small = 1 << 16;
    begun = 0;
    setsockopt(*fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    ask(*fd);
    say(*fd, EVENTS "\r\n");
    return t;
}

Test(http, holds_the_peer_back_and_goes_on) {
    enum { TOTAL = 32 * MIB / EVENT_LEN };
    llm_request request = post();
    int fd;
    llm_transfer *t = flooded(&request, &fd);
    size_t said = 0, shown = 0, stuck = 0;
    while (stuck < 20) { /* nobody reads what comes */
        size_t more = flood(fd, 1000);
        said += more;
        stuck = more ? 0 : stuck + 1;
        step(1);
    }
    cr_assert_lt(said * EVENT_LEN, 12 * MIB, "it was buffered, not held back");
    while (shown < TOTAL) {
        said += flood(fd, TOTAL - said < 1000 ? TOTAL - said : 1000);
        if (!llm_transfer_next(t, &item)) {
            step(1);
            continue;
        }
        cr_assert_eq(item.kind, LLM_ITEM_EVENT);
        cr_assert_eq(item.data_len, EVENT_LEN - 8);
        shown++;
    }
    close(fd);
    cr_assert_eq(next_item(t), LLM_ITEM_END);
    llm_transfer_cancel(t);
}

/* The piece that libcurl keeps while we pause crosses the limit when it goes on. The multi handle
 * is not told of an error there, so such a transfer hung when the peer said no more. */
Test(http, the_limit_holds_when_it_goes_on) {
    llm_request request = post();
    int paused = 0;
    for (size_t events = 12000; events < 16000; events += 100) {
        int fd;
        request.max_bytes = events * EVENT_LEN - 1;
        llm_transfer *t = flooded(&request, &fd);
        for (size_t said = 0; said < events;) {
            said += flood(fd, events - said);
            step(1);
        }
        for (int n = 0; n < 3; n++) step(1);
        paused += !llm_transfer_error(t)->code;
        while (next_item(t) == LLM_ITEM_EVENT) continue;
        expect_error(t, LLM_ETOOBIG);
        close(fd);
    }
    cr_assert(paused > 0 && paused < 40, "%d transfers were paused below their limit", paused);
}

Test(http, a_cancelled_pause_leaves_nothing) {
    llm_request request = post();
    int fd;
    llm_transfer *t = flooded(&request, &fd);
    for (int i = 0; i < 60; i++) flood(fd, 1000), step(1);
    llm_transfer_cancel(t);
    char bytes[4096];
    while (recv(fd, bytes, sizeof bytes, 0) > 0) continue;
    cr_assert_eq(llm_loop_live(loop), 0);
    close(fd);
}

Test(http, limits_what_a_frame_and_the_headers_hold) {
    llm_request request = post();
    request.max_bytes = 1000;
    int fd;
    llm_transfer *t = flooded(&request, &fd);
    flood(fd, 100);
    llm_item_kind kind = next_item(t);
    while (kind == LLM_ITEM_EVENT) kind = next_item(t);
    expect_error(t, LLM_ETOOBIG);
    close(fd);
    t = start(&request);
    fd = accept_one();
    ask(fd);
    say(fd, "HTTP/1.1 200 OK\r\n");
    while (!llm_transfer_error(t)->code) {
        for (int i = 0; i < 100; i++) send(fd, event, EVENT_LEN - 1, MSG_NOSIGNAL);
        step(1);
    }
    expect_error(t, LLM_EPROTOCOL);
    close(fd);
}

/* --- without memory ----------------------------------------------------------------------------- */

static const char pattern[] = "{\"t\":\"$text\"}";
static const char stream[] = EVENTS "\r\n"
                                    "data: {\"first\":1}\n\ndata: {\"t\":\"a\"}\n\n"
                                    "data: {\"t\":\"b\\n\"}\n\ndata: {\"u\":1}\n\n";
static const char plain[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"a\":1}";

/* One exchange over a connection of its own. 0, or the code of what failed; the server's side
 * allocates nothing, its buffer is large enough. */
static int exchange(const llm_request *request, const char *reply) {
    llm_err err = {0};
    llm_transfer *t = llm_transfer_start(http, request, &err);
    if (!t) return err.code;
    int fd = -1, code = 0;
    bool said = false, over = false;
    while (!over) {
        llm_loop_step(loop, 1000000, NULL);
        if (fd < 0) fd = accepted();
        if (fd >= 0 && !said && has_asked(fd)) {
            say(fd, reply);
            said = shutdown(fd, SHUT_WR) == 0;
        }
        while (!over && llm_transfer_next(t, &item)) over = item.kind >= LLM_ITEM_END;
    }
    if (item.kind == LLM_ITEM_ERROR) code = llm_transfer_error(t)->code;
    llm_transfer_cancel(t);
    if (fd >= 0) close(fd);
    step(0);
    llm_buffer_take(&asked, llm_buffer_len(&asked));
    return code;
}

static void sweep(const char *reply) {
    llm_skim *skim = llm_skim_new(pattern, sizeof pattern - 1, NULL);
    llm_request request = post();
    request.skim = skim;
    request.headers = "Connection: close\n";
    bool failed;
    int n = 0;
    do {
        tear_down();
        set_up();
        cr_assert(llm_buffer_reserve(&asked, 1 << 20));
        fail_after(n++);
        int rc = exchange(&request, reply);
        failed = fail_stop();
        if (!failed) cr_assert_eq(rc, 0);
        if (rc) cr_assert(rc == LLM_ENOMEM || rc == LLM_ENETWORK, "%s", llm_code_name(rc));
        cr_assert_eq(exchange(&request, reply), 0, "the next request works");
    } while (failed);
    cr_assert_gt(n, 8);
    llm_skim_free(skim);
}

Test(http, survives_a_stream_without_memory) { sweep(stream); }
Test(http, survives_a_body_without_memory) { sweep(plain); }

/* S04: no descriptor is left for the connection. */
Test(http, says_so_without_descriptors) {
    llm_request request = post();
    struct rlimit before;
    int held = dup(listener);
    getrlimit(RLIMIT_NOFILE, &before);
    llm_transfer_cancel(start(&request)); /* libcurl is open now */
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){(rlim_t)held, before.rlim_max});
    llm_transfer *t = llm_transfer_start(http, &request, NULL);
    if (t) expect_error(t, LLM_ENETWORK);
    setrlimit(RLIMIT_NOFILE, &before);
    close(held);
}
