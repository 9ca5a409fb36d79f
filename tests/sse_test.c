#include "sse.h"

#include <criterion/criterion.h>

#include "failing.h"
#include "framing.h"

#define BOM "\xEF\xBB\xBF"
#define TEN "0123456789"

/* html.spec.whatwg.org, 9.2.6 */
static const framing_case cases[] = {
    {BYTES(""), "", 0},
    {BYTES("\n\n\r\r\n\r\n"), "", 0},
    /* ends of lines */
    {BYTES("data: a\n\ndata: b\n\n"), "message||a;message||b;", 0},
    {BYTES("data: a\r\rdata: b\r\r"), "message||a;message||b;", 0},
    {BYTES("data: a\r\n\r\ndata: b\r\n\r\n"), "message||a;message||b;", 0},
    {BYTES("data: a\n\rdata: b\r\n\n"), "message||a;message||b;", 0},
    {BYTES("data: a\r\n\rdata: b\n\r\n\n"), "message||a;message||b;", 0},
    {BYTES("data: a\rdata: b\ndata: c\r\n\n"), "message||a\nb\nc;", 0},
    {BYTES("data: \xE2\x80\xA8\xC2\x85\v\f\n\n"), "message||\xE2\x80\xA8\xC2\x85\v\f;", 0},
    /* byte order mark: one, at the start */
    {BYTES(BOM "data: a\n\n"), "message||a;", 0},
    {BYTES(BOM), "", 0},
    {BYTES(BOM "\n" BOM "data: a\n\n"), "", 0},
    {BYTES(BOM BOM "data: a\n\n"), "", 0},
    {BYTES("\xEF\xBB"
           "data: a\n\n"),
        "", 0},
    {BYTES(BOM "data: a"), "+message||a;", 0},
    /* the value and its one space */
    {BYTES("data:a\n\n"), "message||a;", 0},
    {BYTES("data:  a \n\n"), "message|| a ;", 0},
    {BYTES("data:\ta\n\n"), "message||\ta;", 0},
    {BYTES("data: a: b:\n\n"), "message||a: b:;", 0},
    {BYTES("data: \0\xFF\n\n"), "message||", 0}, /* str_eq sees as far as the NUL */
    /* data lines */
    {BYTES("data: a\ndata:\ndata: b\n\n"), "message||a\n\nb;", 0},
    {BYTES("data\n\ndata\ndata\n\ndata:"), "message||;message||\n;+message||;", 0},
    {BYTES("data: a\n: between\nid: 1\ndata: b\n\n"), "message|1|a\nb;", 0},
    /* what is no field */
    {BYTES(": comment\n:\n\n"), "", 0},
    {BYTES("dat: a\nDATA: b\n data: c\ndatas: d\ndata : e\nevents: f\nids: g\n\n"), "", 0},
    {BYTES("retry: 3000\ndata: a\n\n"), "message||a;", 0},
    {BYTES("<html>\n<body>502 Bad Gateway</body>\n</html>\n\n"), "", 0},
    /* event */
    {BYTES("event: a\ndata: b\n\ndata: c\n\n"), "a||b;message||c;", 0},
    {BYTES("event: a\n\ndata: b\n\n"), "message||b;", 0},
    {BYTES("event: a\nevent: b\ndata: c\n\n"), "b||c;", 0},
    {BYTES("event: a\nevent\ndata: c\n\n"), "message||c;", 0},
    {BYTES("data: a\nevent: b\n\n"), "b||a;", 0},
    /* id */
    {BYTES("id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n"), "message|1|a;message|1|b;message||c;",
        0},
    {BYTES("id: 1\n\ndata: a\n\n"), "message|1|a;", 0},
    {BYTES("id: 1\nid: 2\0003\ndata: a\n\n"), "message|1|a;", 0},
    {BYTES("id: 1\ndata: a\n\nid: 22\nid: 333\ndata: b\n\n"), "message|1|a;message|333|b;", 0},
    /* what the end leaves open */
    {BYTES("data: a\n\ndata: b"), "message||a;+message||b;", 0},
    {BYTES("data: a\ndata: b\n"), "+message||a\nb;", 0},
    {BYTES("data: a\r"), "+message||a;", 0},
    {BYTES("data: a\r\n"), "+message||a;", 0},
    {BYTES("data: a\n\nid: 1\nevent: b"), "message||a;", 0},
    {BYTES("event: a\nid: 1\ndata"), "+a|1|;", 0},
    /* limits: of the data with the LFs between its lines, and of every line */
    {BYTES("data: " TEN "\n\n"), "message||" TEN ";", 10},
    {BYTES(BOM "data: " TEN "\r\n\r\n"), "message||" TEN ";", 10},
    {BYTES("data: 1\n\ndata: " TEN "1\n\n"), "message||1;!too_big", 10},
    {BYTES("data: 01234\ndata: 6789\n\n"), "message||01234\n6789;", 10},
    {BYTES("data: 01234\ndata: 67890\n\n"), "!too_big", 10},
    {BYTES("data\ndata\ndata\n\n"), "message||\n\n;", 2},
    {BYTES("data\ndata\ndata\ndata\n\n"), "!too_big", 2},
    {BYTES(": " TEN TEN TEN "\ndata: 1\n\n"), "!too_big", 10},
    {BYTES("event: " TEN TEN TEN "\n\n"), "!too_big", 10},
    {BYTES("id: " TEN TEN TEN), "!too_big", 10},
};

Test(sse, cases) { framing_check_all("sse", cases, sizeof cases / sizeof *cases); }

Test(sse, hands_out_nul_and_invalid_bytes_as_they_are) {
    const char text[] = "data: \0\xFF\n\n";
    llm_framer *f = llm_framer_new("sse", 100, NULL);
    llm_frame frame;
    llm_framer_feed(f, text, sizeof text - 1);
    cr_assert_eq(llm_framer_next(f, &frame, NULL), 1);
    cr_assert_eq(frame.data_len, 2);
    cr_assert_arr_eq(frame.data, "\0\xFF", 2);
    cr_assert_eq(frame.data, text + 6, "an event in one chunk is not copied");
    llm_framer_free(f);
}

Test(sse, an_error_says_the_limit_and_is_final) {
    llm_framer *f = llm_framer_new("sse", 3, NULL);
    llm_frame frame;
    llm_err err;
    for (int i = 0; i < 3; i++) {
        llm_framer_feed(f, "data: 1234\n\ndata: 1\n\n", 21);
        cr_assert_eq(llm_framer_next(f, &frame, &err), LLM_ETOOBIG);
        cr_assert_eq(err.code, LLM_ETOOBIG);
        cr_assert_str_eq(err.msg, "an event of more than 3 bytes");
    }
    cr_assert_eq(llm_framer_finish(f, &frame, NULL), LLM_ETOOBIG);
    llm_framer_free(f);
}

/* An id counts with the blank line behind its event, and not with the end of the stream. */
Test(sse, knows_where_a_stream_is_taken_up_again) {
    static const struct {
        const char *text, *id;
        uint32_t retry_ms;
    } rows[] = {
        {"data: a\n\n", "", 0},
        {"id: 1\ndata: a\n\n", "1", 0},
        {"id: 1\n\nid: 2\nretry: 500\ndata: \n\nid: 3\ndata: a", "2", 500},
        {"id: 1\n\nid\n\n", "", 0},
        {"retry: 1\nretry: 2x\nretry:\nretry: 123456789\nretry: -1\n\n", "", 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        llm_framer *f = llm_framer_new("sse", 100, NULL);
        llm_frame frame;
        uint32_t retry_ms;
        llm_framer_feed(f, rows[i].text, strlen(rows[i].text));
        while (llm_framer_next(f, &frame, NULL) == 1) continue;
        llm_framer_finish(f, &frame, NULL);
        const llm_buffer *id = llm_sse_resumption(f, &retry_ms);
        cr_assert_eq(llm_buffer_len(id), strlen(rows[i].id), "row %zu", i);
        cr_assert(*rows[i].id == 0 || *rows[i].id == *llm_buffer_data(id), "row %zu", i);
        cr_assert_eq(retry_ms, rows[i].retry_ms, "row %zu", i);
        llm_framer_free(f);
    }
}

/* Feeds "data: " and len times 'x' in chunks of 16 KiB; the length of the frame or an error. */
static long long long_event(size_t len, size_t max_bytes) {
    static char chunk[16384];
    memset(chunk, 'x', sizeof chunk);
    llm_framer *f = llm_framer_new("sse", max_bytes, NULL);
    llm_frame frame;
    llm_framer_feed(f, "data: ", 6);
    long long rc = llm_framer_next(f, &frame, NULL);
    while (rc == 0 && len > 0) {
        size_t n = len < sizeof chunk ? len : sizeof chunk;
        llm_framer_feed(f, chunk, n);
        rc = llm_framer_next(f, &frame, NULL);
        len -= n;
    }
    if (rc == 0) rc = llm_framer_finish(f, &frame, NULL);
    if (rc == 1) rc = (long long)frame.data_len;
    llm_framer_free(f);
    return rc;
}

Test(sse, an_event_may_be_64_mib_and_one_byte) {
    size_t len = ((size_t)64 << 20) + 1;
    cr_assert_eq(long_event(len, len), (long long)len);
    cr_assert_eq(long_event(len, (size_t)-1), (long long)len);
    cr_assert_eq(long_event(len, len - 1), LLM_ETOOBIG);
}

/* Quadratic time would take minutes. */
Test(sse, takes_linear_time, .timeout = 20) {
    enum { LEN = 1 << 22 };
    static char text[LEN];
    const char fill[] = {'\n', '\r', 'x', ':'};
    for (size_t i = 0; i < sizeof fill; i++) {
        memset(text, fill[i], LEN);
        llm_framer *f = llm_framer_new("sse", LEN, NULL);
        llm_frame frame;
        llm_framer_feed(f, text, LEN);
        cr_assert_eq(llm_framer_next(f, &frame, NULL), 0);
        for (size_t at = 0; at < LEN / 4; at++) {
            llm_framer_feed(f, text + at, 1);
            llm_framer_next(f, &frame, NULL);
        }
        llm_framer_free(f);
    }
}

/* 0 when all frames came as they should, else the error. */
static int work(void) {
    static const char *const chunks[] = {"data: a\nda", "ta: b\nevent: c\nid: 1", "23\n", "\n",
        "id:", "4\nda", "ta: whole", "\n\n", "data: x"};
    static const char *const expected[] = {"a\nb", "whole", "x"};
    llm_frame frame;
    llm_err err = {0};
    int rc = 0, count = 0;
    llm_framer *f = llm_framer_new("sse", 1000, &err);
    if (!f) return err.code;
    for (size_t i = 0; rc == 0 && i < sizeof chunks / sizeof *chunks; i++) {
        llm_framer_feed(f, chunks[i], strlen(chunks[i]));
        while ((rc = llm_framer_next(f, &frame, &err)) == 1) {
            cr_assert_eq(frame.data_len, strlen(expected[count]));
            cr_assert_arr_eq(frame.data, expected[count++], frame.data_len);
        }
    }
    if (rc == 0) rc = llm_framer_finish(f, &frame, &err);
    cr_assert(rc < 0 ? err.code == rc : count == 2 && *frame.data == 'x');
    llm_framer_free(f);
    return rc < 0 ? rc : 0;
}

Test(sse, memory_may_run_out_anywhere) {
    bool failed;
    int n = 0;
    do {
        fail_after(n++);
        int rc = work();
        failed = fail_stop();
        cr_assert_eq(rc, failed ? LLM_ENOMEM : 0);
    } while (failed);
    cr_assert_gt(n, 4);
}
