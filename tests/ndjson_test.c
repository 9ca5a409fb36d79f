#include "ndjson.h"

#include <criterion/criterion.h>

#include "failing.h"
#include "framing.h"

#define TEN "0123456789"

static const framing_case cases[] = {
    {BYTES(""), "", 0},
    {BYTES("\n\r\n \t\n\r\n"), "", 0},
    {BYTES("{}\n[]\n"), "message||{};message||[];", 0},
    {BYTES("{}\r\n[]\r\n"), "message||{};message||[];", 0},
    {BYTES("{}\n\n \r\n[]\n"), "message||{};message||[];", 0},
    {BYTES(" {} \n"), "message|| {} ;", 0},
    {BYTES("a\rb\n"), "message||a\rb;", 0},
    {BYTES("a\r\r\n"), "message||a\r;", 0},
    {BYTES("{}\n[]"), "message||{};+message||[];", 0},
    {BYTES("{}\n[]\r"), "message||{};+message||[];", 0},
    {BYTES("{}\n \t"), "message||{};", 0},
    {BYTES("data: {}\n\n"), "message||data: {};", 0},
    {BYTES(TEN "\n" TEN "\r\n" TEN), "message||" TEN ";message||" TEN ";+message||" TEN ";", 10},
    {BYTES("1\n" TEN "1\n"), "message||1;!too_big", 10},
    {BYTES("1\n" TEN "\r\r\n"), "message||1;!too_big", 10},
    {BYTES("1\n" TEN "12"), "message||1;!too_big", 10},
    {BYTES("1\n" TEN "1"), "message||1;!too_big", 10},
    {BYTES("1\n            \n"), "message||1;!too_big", 10},
};

Test(ndjson, cases) { framing_check_all("ndjson", cases, sizeof cases / sizeof *cases); }

Test(ndjson, a_line_in_one_chunk_is_not_copied) {
    const char text[] = "{\"a\":1}\r\n";
    llm_framer *f = llm_framer_new("ndjson", 100, NULL);
    llm_frame frame;
    llm_framer_feed(f, text, sizeof text - 1);
    cr_assert_eq(llm_framer_next(f, &frame, NULL), 1);
    cr_assert_eq(frame.data, text);
    cr_assert_eq(frame.data_len, 7);
    llm_framer_free(f);
}

Test(ndjson, an_error_says_the_limit_and_is_final) {
    llm_framer *f = llm_framer_new("ndjson", 3, NULL);
    llm_frame frame;
    llm_err err;
    for (int i = 0; i < 3; i++) {
        llm_framer_feed(f, "1234\n1\n", 7);
        cr_assert_eq(llm_framer_next(f, &frame, &err), LLM_ETOOBIG);
        cr_assert_eq(err.code, LLM_ETOOBIG);
        cr_assert_str_eq(err.msg, "a line of more than 3 bytes");
    }
    cr_assert_eq(llm_framer_finish(f, &frame, NULL), LLM_ETOOBIG);
    llm_framer_free(f);
}

/* Quadratic time would take minutes. */
Test(ndjson, takes_linear_time, .timeout = 20) {
    enum { LEN = 1 << 21 };
    llm_framer *f = llm_framer_new("ndjson", LEN, NULL);
    llm_frame frame;
    for (size_t i = 0; i < LEN; i++) {
        llm_framer_feed(f, "x", 1);
        cr_assert_eq(llm_framer_next(f, &frame, NULL), 0);
    }
    cr_assert_eq(llm_framer_finish(f, &frame, NULL), 1);
    cr_assert_eq(frame.data_len, LEN);
    llm_framer_free(f);
}

static int work(void) {
    llm_frame frame;
    llm_err err = {0};
    llm_framer *f = llm_framer_new("ndjson", 1000, &err);
    if (!f) return err.code;
    llm_framer_feed(f, "1\n2", 3);
    int rc = llm_framer_next(f, &frame, &err);
    if (rc == 1) rc = llm_framer_next(f, &frame, &err);
    llm_framer_feed(f, "3", 1);
    if (rc == 0) rc = llm_framer_finish(f, &frame, &err);
    cr_assert(rc < 0 ? err.code == rc : rc == 1);
    llm_framer_free(f);
    return rc < 0 ? rc : 0;
}

Test(ndjson, memory_may_run_out_anywhere) {
    bool failed;
    int n = 0;
    do {
        fail_after(n++);
        int rc = work();
        failed = fail_stop();
        cr_assert_eq(rc, failed ? LLM_ENOMEM : 0);
    } while (failed);
    cr_assert_gt(n, 2);
}
