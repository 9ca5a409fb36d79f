/* The bytes were made with Python's struct and zlib; the recordings of spec/fixtures/bedrock are of
 * another implementation. */
#include "eventstream.h"

#include <criterion/criterion.h>

#include "failing.h"
#include "framing.h"

/* Event "e" with the payload {}. */
#define ONE                                                                        \
    "\x00\x00\x00\x38\x00\x00\x00&&~\xa9\xd3\x0d:message-type\x07\x00\x05\x65vent" \
    "\x0b:event-type\x07\x00\x01\x65{}\x08\xe0;w"

static const framing_case cases[] = {
    /* nothing */
    {BYTES(""), "", 0},
    /* no headers, no payload */
    {BYTES("\x00\x00\x00\x10\x00\x00\x00\x00\x05\xc2H\xeb}\x98\xc8\xff"), "message||;", 0},
    /* two */
    {BYTES(ONE ONE), "e||{};e||{};", 0},
    /* values of every type */
    {BYTES("\x00\x00\x00\x7f\x00\x00\x00m-"
           "\xa3\xb5\x92\x01t\x00\x01\x66\x01\x01\x62\x02\x31\x01s\x03\x31\x32\x01i\x04\x31\x32\x33"
           "\x34\x01l\x05\x31\x32\x33\x34\x35\x36\x37\x38\x01y\x06\x00\x03\x61\x62\x63\x01\x64\x08"
           "\x31\x32\x33\x34\x35\x36\x37\x38\x01u\x09xxxxxxxxxxxxxxxx\x0d:message-"
           "type\x07\x00\x05\x65vent\x0b:event-type\x07\x00\x01\x65{}\xbf\xdb\x80Q"),
        "e||{};", 0},
    /* exception */
    {BYTES("\x00\x00\x00\x62\x00\x00\x00@\xf0\x0c\xba\xd4\x0d:message-"
           "type\x07\x00\x09\x65xception\x0f:exception-type\x07\x00\x13throttlingException{"
           "\"message\":\"slow\"}T\xa7s\xd3"),
        "throttlingException||{\"message\":\"slow\"};", 0},
    /* error without payload */
    {BYTES("\x00\x00\x00X\x00\x00\x00H\x15\x46\x92\xc1\x0d:message-type\x07\x00\x05\x65rror\x0b:"
           "error-code\x07\x00\x0dInternalError\x0e:error-message\x07\x00\x04oopsS#_v"),
        "InternalError||oops;", 0},
    /* error with payload */
    {BYTES("\x00\x00\x00N\x00\x00\x00<\xad\x8e\x45\xc6\x0d:message-type\x07\x00\x05\x65rror\x0b:"
           "error-code\x07\x00\x01\x45\x0e:error-message\x07\x00\x04oops{}\x12\xf7\xd0,"),
        "E||{};", 0},
    /* cut in its checksum: nothing */
    {BYTES(ONE "\x00\x00\x00\x38\x00\x00\x00&&~\xa9\xd3\x0d:message-type\x07\x00\x05\x65vent\x0b:"
               "event-type\x07\x00\x01\x65{}\x08\xe0;"),
        "e||{};", 0},
    /* cut in its prelude: nothing */
    {BYTES(ONE "\x00\x00\x00\x38\x00\x00\x00"), "e||{};", 0},
    /* wrong length */
    {BYTES(ONE "\x00\x00\x00\x39\x00\x00\x00&&~\xa9\xd3\x0d:message-type\x07\x00\x05\x65vent\x0b:"
               "event-type\x07\x00\x01\x65{}\x08\xe0;w"),
        "e||{};!syntax", 0},
    /* wrong prelude checksum */
    {BYTES(ONE "\x00\x00\x00\x38\x00\x00\x00&\xa6~\xa9\xd3\x0d:message-"
               "type\x07\x00\x05\x65vent\x0b:event-type\x07\x00\x01\x65{}\x08\xe0;w"),
        "e||{};!syntax", 0},
    /* wrong payload */
    {BYTES("\x00\x00\x00\x38\x00\x00\x00&&~\xa9\xd3\x0d:message-type\x07\x00\x05\x65vent\x0b:event-"
           "type\x07\x00\x01\x65{x\x08\xe0;w"),
        "!syntax", 0},
    /* wrong checksum */
    {BYTES("\x00\x00\x00\x38\x00\x00\x00&&~\xa9\xd3\x0d:message-type\x07\x00\x05\x65vent\x0b:event-"
           "type\x07\x00\x01\x65{}\x08\xe0;v"),
        "!syntax", 0},
    /* shorter than its own frame */
    {BYTES("\x00\x00\x00\x0f\x00\x00\x00\x00\xe7rH\xb8"), "!syntax", 0},
    /* headers longer than the message */
    {BYTES("\x00\x00\x00\x14\x00\x00\x00\x05\x80(\x1a\xa4"), "!syntax", 0},
    /* larger than 24 MiB */
    {BYTES("\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff"), "!too_big", 0},
    /* no such type */
    {BYTES("\x00\x00\x00\x13\x00\x00\x00\x03\xdbkc\x81\x01x\x0a\x64\xab\x3f:"), "!syntax", 0},
    /* a string without a length */
    {BYTES("\x00\x00\x00\x14\x00\x00\x00\x04\xf7/*2\x01x\x07\x00\xd9{\x87\xcf"), "!syntax", 0},
    /* a string that is too short */
    {BYTES("\x00\x00\x00\x17\x00\x00\x00\x07)\x86\x01X\x01x\x07\x00\x03\x61\x62\x1c\x06n\xec"),
        "!syntax", 0},
    /* a name that is too long */
    {BYTES("\x00\x00\x00\x12\x00\x00\x00\x02\x91\x0cz\xa7\x05xXh;U"), "!syntax", 0},
    /* a name without a value */
    {BYTES("\x00\x00\x00\x12\x00\x00\x00\x02\x91\x0cz\xa7\x01x<\x04\xfeQ"), "!syntax", 0},
    /* an integer that is too short */
    {BYTES("\x00\x00\x00\x16\x00\x00\x00\x06\x63\xe1\x18~\x01x\x04\x61\x62\x63\xaa[\x92\xac"),
        "!syntax", 0},
};

Test(eventstream, cases) { framing_check_all("eventstream", cases, sizeof cases / sizeof *cases); }

Test(eventstream, a_message_of_the_limit_passes) {
    framing_case fits = {BYTES(ONE), "e||{};", 40}, large = {BYTES(ONE), "!too_big", 39};
    framing_check_all("eventstream", &fits, 1);
    framing_check_all("eventstream", &large, 1);
}

/* Every flipped bit of a message is noticed. */
Test(eventstream, checksums_cover_every_bit) {
    char text[] = ONE;
    for (size_t bit = 0; bit < 8 * (sizeof text - 1); bit++) {
        llm_frame frame;
        llm_err err;
        text[bit / 8] ^= (char)(1 << bit % 8);
        llm_framer *f = llm_framer_new("eventstream", 1000, NULL);
        llm_framer_feed(f, text, sizeof text - 1);
        cr_assert_eq(llm_framer_next(f, &frame, &err), LLM_ESYNTAX, "bit %zu", bit);
        cr_assert_eq(llm_framer_next(f, &frame, &err), LLM_ESYNTAX);
        cr_assert_str_eq(err.msg, "the event stream is broken");
        llm_framer_free(f);
        text[bit / 8] ^= (char)(1 << bit % 8);
    }
}

static int work(void) {
    llm_frame frame;
    llm_err err = {0};
    llm_framer *f = llm_framer_new("eventstream", 1000, &err);
    if (!f) return err.code;
    llm_framer_feed(f, ONE ONE, 2 * (sizeof ONE - 1) - 1);
    int rc = llm_framer_next(f, &frame, &err);
    if (rc == 1) rc = llm_framer_next(f, &frame, &err);
    llm_framer_feed(f, "w", 1);
    if (rc == 0) rc = llm_framer_next(f, &frame, &err);
    cr_assert(rc < 0 ? err.code == rc : rc == 1);
    llm_framer_free(f);
    return rc < 0 ? rc : 0;
}

Test(eventstream, memory_may_run_out_anywhere) {
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
