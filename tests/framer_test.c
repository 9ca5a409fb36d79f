#include "framer.h"

#include <criterion/criterion.h>

#include "failing.h"
#include "framing.h"

/* "json": the body, whatever it is */
static const framing_case cases[] = {
    {BYTES(""), "", 0},
    {BYTES("{}"), "+body||{};", 0},
    {BYTES("\r\n{\n}\r\n"), "+body||\r\n{\n}\r\n;", 0},
    {BYTES("<html>"), "+body||<html>;", 6},
    {BYTES("<html>"), "!too_big", 5},
};

Test(framer, bodies) { framing_check_all("json", cases, sizeof cases / sizeof *cases); }

Test(framer, finish_gives_a_body_once) {
    llm_framer *f = llm_framer_new("json", 100, NULL);
    llm_frame frame;
    llm_framer_feed(f, "{}", 2);
    cr_assert_eq(llm_framer_next(f, &frame, NULL), 0);
    cr_assert_eq(llm_framer_finish(f, &frame, NULL), 1);
    cr_assert_eq(llm_framer_finish(f, &frame, NULL), 0);
    llm_framer_free(f);
}

Test(framer, a_body_too_large_says_the_limit) {
    llm_framer *f = llm_framer_new("json", 3, NULL);
    llm_frame frame;
    llm_err err;
    llm_framer_feed(f, "1234", 4);
    cr_assert_eq(llm_framer_next(f, &frame, &err), LLM_ETOOBIG);
    cr_assert_str_eq(err.msg, "a body of more than 3 bytes");
    llm_framer_free(f);
}

Test(framer, a_name_that_nobody_knows_is_an_error) {
    llm_err err;
    cr_assert_null(llm_framer_new("xml", 100, &err));
    cr_assert_eq(err.code, LLM_EINVAL);
    cr_assert_str_eq(err.msg, "unknown framing 'xml' (sse, ndjson, eventstream or json)");
    llm_framer_free(NULL);
}

static int work(void) {
    llm_frame frame;
    llm_err err = {0};
    llm_framer *f = llm_framer_new("json", 1000, &err);
    if (!f) return err.code;
    llm_framer_feed(f, "{}", 2);
    int rc = llm_framer_next(f, &frame, &err);
    if (rc == 0) rc = llm_framer_finish(f, &frame, &err);
    cr_assert(rc < 0 ? err.code == rc : rc == 1);
    llm_framer_free(f);
    return rc < 0 ? rc : 0;
}

Test(framer, memory_may_run_out_anywhere) {
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
