#include "skim.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "failing.h"
#include "guard.h"
#include "skim_oracle.h"

static const char OPENAI[] =
    "{\"id\":\"$skip\",\"object\":\"chunk\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"$"
    "skip\","
    "\"content\":\"$text\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}";
static const char ANTHROPIC[] = "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":"
                                "\"text_delta\",\"text\":\"$text\"}}";
static const char OTHERS[] = "{\"yes\":true,\"no\":false,\"n\":1.5,\"i\":-7,\"s\":\"x\\ny\",\"t\":["
                             "\"$text\"],\"skip\":[\"$skip\","
                             "[]],\"none\":{}}";

#define DELTA(members) "{\"choices\":[{\"index\":0,\"delta\":{" members "}}]}"

static const struct {
    const char *pattern, *event;
    int rc;
    const char *text;
} cases[] = {
    {OPENAI, DELTA("\"content\":\"hi\""), 1, "hi"},
    {OPENAI, DELTA("\"content\":\"\""), 1, ""},
    {OPENAI, DELTA("\"role\":\"assistant\",\"content\":\"hi\""), 1, "hi"},
    {OPENAI, DELTA("\"content\":\"hi\",\"role\":{\"a\":[1,{}]}"), 1, "hi"},
    {OPENAI, " { \"choices\" : [ { \"delta\" : { \"content\" : \"hi\" } } ] } ", 1, "hi"},
    {OPENAI, "\xEF\xBB\xBF{\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}", 1, "hi"},
    {OPENAI,
        "{\"usage\":null,\"id\":\"1\",\"object\":\"chunk\",\"choices\":[{\"finish_reason\":null,"
        "\"delta\":{\"content\":\"hi\"}}]}",
        1, "hi"},
    /* strings */
    {OPENAI, DELTA("\"content\":\"a\\n\\\"\\\\\\u00e9\\ud83d\\ude00 \xC3\xA9\""), 1,
        "a\n\"\\\xC3\xA9\xF0\x9F\x98\x80 \xC3\xA9"},
    {OPENAI, DELTA("\"c\\u006fntent\":\"hi\""), 1, "hi"},
    {OPENAI, DELTA("\"content\":\"\\ud83d\""), 1, "\xEF\xBF\xBD"},
    {OPENAI, DELTA("\"content\":\"\\ude00\\ud83d\""), 1, "\xEF\xBF\xBD\xEF\xBF\xBD"},
    {OPENAI, DELTA("\"content\":\"\xF0\x9F\x98\""), 1, "\xEF\xBF\xBD"},
    {OPENAI, DELTA("\"content\":\"\xC0\xAF\xED\xA0\x80\""), 1,
        "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
    {OPENAI, DELTA("\"content\":\"\\x\""), 0, ""},
    {OPENAI, DELTA("\"content\":\"\n\""), 0, ""},
    /* more or less than a plain delta */
    {OPENAI, DELTA("\"content\":null"), 0, ""},
    {OPENAI, DELTA("\"role\":\"assistant\""), 0, ""},
    {OPENAI, DELTA("\"content\":\"hi\",\"content\":\"hi\""), 0, ""},
    {OPENAI, DELTA("\"content\":\"hi\",\"refusal\":null"), 0, ""},
    {OPENAI, DELTA("\"content\":\"hi\",\"role\":1,\"role\":1"), 0, ""},
    {OPENAI, DELTA("\"tool_calls\":[]"), 0, ""},
    {OPENAI, DELTA("") "x", 0, ""},
    {OPENAI, "{\"choices\":[]}", 0, ""},
    {OPENAI, "{\"choices\":[{\"delta\":{\"content\":\"a\"}},{\"delta\":{\"content\":\"b\"}}]}", 0,
        ""},
    {OPENAI, "{\"choices\":{\"0\":{\"delta\":{\"content\":\"a\"}}}}", 0, ""},
    {OPENAI, "{\"choices\":[[\"content\"]]}", 0, ""},
    {OPENAI, "{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"a\"}}]}", 0, ""},
    {OPENAI, "{\"choices\":[{\"index\":0.0,\"delta\":{\"content\":\"a\"}}]}", 0, ""},
    {OPENAI, "{\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}", 0, ""},
    {OPENAI, "{\"object\":\"chunks\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}", 0, ""},
    {OPENAI, "{\"choices\":[{\"delta\":{\"content\":\"a\"}}]} {}", 0, ""},
    {OPENAI, "[DONE]", 0, ""},
    {OPENAI, "", 0, ""},
    {OPENAI, "null", 0, ""},
    {ANTHROPIC,
        "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":"
        "\"hi\"}}",
        1, "hi"},
    {ANTHROPIC,
        "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"thinking_delta\","
        "\"text\":"
        "\"hi\"}}",
        0, ""},
    {OTHERS,
        "{\"t\":[\"hi\"],\"yes\":true,\"no\":false,\"n\":15e-1,\"i\":-7,\"s\":\"x\\u000ay\","
        "\"skip\":[{\"t\":[]},[]],\"none\":{}}",
        1, "hi"},
    {OTHERS, "{\"t\":[\"hi\"],\"yes\":false}", 0, ""},
    {OTHERS, "{\"t\":[\"hi\"],\"no\":null}", 0, ""},
    {OTHERS, "{\"t\":[\"hi\"],\"n\":1.25}", 0, ""},
    {OTHERS, "{\"t\":[\"hi\"],\"i\":7}", 0, ""},
    {OTHERS, "{\"t\":[\"hi\"],\"s\":\"x\"}", 0, ""},
    {OTHERS, "{\"t\":[\"hi\"],\"skip\":[]}", 0, ""},
    {OTHERS, "{\"t\":[\"hi\"],\"skip\":[[]]}", 0, ""},
    {OTHERS, "{\"t\":[\"hi\"],\"skip\":[1,[],1]}", 0, ""},
    {OTHERS, "{\"t\":[\"hi\"],\"none\":{\"a\":1}}", 0, ""},
    {OTHERS, "{\"t\":[]}", 0, ""},
    {OTHERS, "{\"t\":[\"hi\",\"hi\"]}", 0, ""},
    {"\"$text\"", " \"hi\"\n", 1, "hi"},
    {"\"$text\"", "\"hi\"", 1, "hi"},
    {"\"$text\"", "{}", 0, ""},
    {"[\"\",\"$text\"]", "[\"\",\"hi\"]", 1, "hi"},
    {"[\"\",{\"\":{}},\"$text\"]", "[\"\",{\"\":{}},\"hi\"]", 1, "hi"},
    {"{\"\":\"$text\"}", "{\"\":\"hi\"}", 1, "hi"},
};
enum { CASES = sizeof cases / sizeof *cases };

static llm_skim *compile(const char *pattern) {
    llm_err err = {0};
    llm_skim *s = llm_skim_new(pattern, strlen(pattern), &err);
    cr_assert(s, "%s", err.msg);
    return s;
}

static void check(llm_skim *s, llm_skim_memo *memo, const char *event, int i) {
    llm_buffer out;
    llm_buffer_init(&out);
    llm_buffer_append(&out, "<", 1);
    int rc = llm_skim_text(s, memo, event, strlen(cases[i].event), &out);
    cr_assert_eq(rc, cases[i].rc, "%s: %d", cases[i].event, rc);
    llm_buffer_append(&out, "", 1);
    cr_assert_str_eq(llm_buffer_data(&out) + 1, cases[i].text);
    llm_buffer_clear(&out);
}

/* Each event is skimmed twice (the second time with its own memo) after each other one. */
Test(skim, cases) {
    for (int i = 0; i < CASES; i++) {
        llm_skim *s = compile(cases[i].pattern);
        guarded g = guard_text(cases[i].event, strlen(cases[i].event));
        for (int other = 0; other < CASES; other++) {
            if (cases[other].pattern != cases[i].pattern) continue;
            llm_skim_memo memo;
            llm_skim_memo_init(&memo);
            check(s, &memo, cases[other].event, other);
            check(s, &memo, g.text, i);
            check(s, &memo, g.text, i);
            llm_skim_memo_clear(&memo);
        }
        guard_free(&g);
        llm_skim_free(s);
    }
}

#define END "}}]}"

/* What begins or ends like the latest delta must not pass for it. */
Test(skim, the_memo_does_not_guess) {
    static const struct {
        const char *rest, *text; /* NULL: no plain delta */
    } after[] = {
        {"\"b\"" END, "b"},
        {"\"b\"}}}}", NULL},
        {"\"b\"}}]", NULL},
        {"\"b\"}}]}}", NULL},
        {"\"\"" END, ""},
        {"\"" END, NULL},
        {"" END, NULL},
        {"\"a\",\"content\":\"b\"" END, NULL},
        {"\"a\",\"role\":\"b\"" END, "a"},
        {"\"a\\\"" END, NULL},
        {"\"a\\\\\"" END, "a\\"},
        {"\"a\" " END, "a"},
        {" \"a\"" END, "a"},
        {"\xEF\xBB\xBF\"a\"" END, NULL},
        {"null" END, NULL},
        {"\"\\u00e9\"" END, "\xC3\xA9"},
    };
    static const char latest[] = "{\"choices\":[{\"delta\":{\"content\":\"a\"" END;
    llm_skim *s = compile(OPENAI);
    for (size_t i = 0; i < sizeof after / sizeof *after; i++) {
        char event[200];
        int len = snprintf(
            event, sizeof event, "{\"choices\":[{\"delta\":{\"content\":%s", after[i].rest);
        llm_skim_memo memo;
        llm_buffer out;
        llm_skim_memo_init(&memo);
        llm_buffer_init(&out);
        cr_assert_eq(llm_skim_text(s, &memo, latest, sizeof latest - 1, &out), 1);
        int rc = llm_skim_text(s, &memo, event, (size_t)len, &out);
        cr_assert_eq(rc, after[i].text != NULL, "%s: %d", after[i].rest, rc);
        llm_buffer_append(&out, "", 1);
        cr_assert_str_eq(llm_buffer_data(&out) + 1, after[i].text ? after[i].text : "");
        llm_buffer_clear(&out);
        llm_skim_memo_clear(&memo);
    }
    llm_skim_free(s);
}

Test(skim, patterns_that_make_no_sense) {
    static const struct {
        const char *pattern;
        int code;
        const char *msg;
    } wrong[] = {
        {"{}", LLM_EINVAL, "a pattern with $text 0 times"},
        {"[\"$text\",\"$text\"]", LLM_EINVAL, "a pattern with $text 2 times"},
        {"{\"$text\":1}", LLM_EINVAL, "a pattern with $text 0 times"},
        {"{\"a\":\"$text\"", LLM_ESYNTAX, NULL},
        {"\"$text\" 1", LLM_ESYNTAX, NULL},
        {"", LLM_ESYNTAX, NULL},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        llm_err err = {0};
        cr_assert_null(llm_skim_new(wrong[i].pattern, strlen(wrong[i].pattern), &err));
        cr_assert_eq(err.code, wrong[i].code, "%s: %s", wrong[i].pattern, err.msg);
        if (wrong[i].msg) cr_assert_str_eq(err.msg, wrong[i].msg);
    }
    llm_skim_free(NULL);
}

Test(skim, a_pattern_has_at_most_32_members) {
    char pattern[200] = "[\"$text\"";
    for (int i = 1; i < 32; i++) strcat(pattern, ",1");
    llm_err err;
    strcat(pattern, "]");
    llm_skim_free(compile(pattern));
    strcpy(pattern + strlen(pattern) - 1, ",1]");
    cr_assert_null(llm_skim_new(pattern, strlen(pattern), &err));
    cr_assert_eq(err.code, LLM_EINVAL);
    cr_assert_str_eq(err.msg, "a pattern of too many members");
}

/* --- random events, against the oracle ---------------------------------------------------------- */

static uint32_t seed = 1;

static unsigned random_below(unsigned n) {
    seed = seed * 1664525 + 1013904223; /* Numerical Recipes */
    return (seed >> 8) % n;
}

static void put(llm_buffer *b, const char *text) { llm_buffer_append(b, text, strlen(text)); }

static void put_random_string(llm_buffer *b) {
    static const char *const pieces[] = {"a", "hello ", "\\n", "\\\"", "\\\\", "\\u0000", "\\ud83d",
        "\\ude00", "\xC3\xA9", "\xF0\x9F\x98\x80", "\xF0\x9F", "\xFF", "\xED\xA0\x80", "\\/", "}]}",
        "\\x"};
    put(b, "\"");
    for (unsigned n = random_below(4); n > 0; n--)
        put(b, pieces[random_below(15 + !random_below(30))]);
    put(b, "\"");
}

static void put_random_value(llm_buffer *b) {
    static const char *const values[] = {
        "null", "0", "1", "0.0", "true", "\"chunk\"", "[]", "{\"a\":[1,{\"content\":\"x\"}]}"};
    if (random_below(2)) {
        put_random_string(b);
    } else {
        put(b, values[random_below(sizeof values / sizeof *values)]);
    }
}

static void put_delta(llm_buffer *b) {
    put(b, "{");
    if (!random_below(4)) put(b, "\"role\":\"assistant\",");
    if (!random_below(20)) put(b, "\"refusal\":null,");
    put(b, "\"content\":");
    if (random_below(15)) {
        put_random_string(b);
    } else {
        put_random_value(b);
    }
    if (!random_below(20)) put(b, ",\"content\":\"twice\"");
    put(b, "}");
}

static void put_choice(llm_buffer *b) {
    put(b, "{");
    if (random_below(3)) put(b, random_below(12) ? "\"index\":0," : "\"index\":1,");
    if (random_below(30)) {
        put(b, "\"delta\":");
        put_delta(b);
    }
    if (random_below(3))
        put(b, random_below(12) ? ",\"finish_reason\":null" : ",\"finish_reason\":\"stop\"");
    put(b, "}");
}

static void put_event(llm_buffer *b) {
    put(b, random_below(10) ? "{" : " {\n");
    if (random_below(3)) put(b, random_below(2) ? "\"id\":\"x1\"," : "\"id\":7,");
    if (!random_below(20)) {
        put(b, "\"id\":");
        put_random_value(b);
        put(b, ",");
    }
    put(b, "\"choices\":[");
    if (random_below(20)) put_choice(b);
    if (!random_below(20)) {
        put(b, ",");
        put_choice(b);
    }
    put(b, random_below(10) ? "]}" : "],\"usage\":null}");
    if (!random_below(20)) b->end -= random_below(5);
}

Test(skim, random_events_are_taken_as_their_trees_say) {
    enum { EVENTS = 30000 };
    llm_skim *s = compile(OPENAI);
    llm_skim_memo memo;
    llm_buffer event, is, wanted;
    int plain = 0, remembered = 0;
    llm_skim_memo_init(&memo);
    llm_buffer_init(&event);
    llm_buffer_init(&is);
    llm_buffer_init(&wanted);
    for (int i = 0; i < EVENTS; i++) {
        llm_buffer_reset(&event, 4096);
        llm_buffer_reset(&is, 4096);
        llm_buffer_reset(&wanted, 4096);
        put_event(&event);
        const char *data = llm_buffer_data(&event);
        size_t len = llm_buffer_len(&event), before_len = memo.before_len;
        int rc = llm_skim_text(s, &memo, data, len, &is);
        cr_assert_eq(
            rc, oracle_text(OPENAI, sizeof OPENAI - 1, data, len, &wanted), "%.*s", (int)len, data);
        cr_assert_eq(llm_buffer_len(&is), llm_buffer_len(&wanted));
        size_t is_len = llm_buffer_len(&is);
        cr_assert(
            is_len == 0 || memcmp(llm_buffer_data(&is), llm_buffer_data(&wanted), is_len) == 0);
        plain += rc;
        remembered += rc && memo.before_len == before_len;
    }
    cr_assert(plain > EVENTS / 4 && plain < EVENTS * 3 / 4, "%d plain", plain);
    cr_assert_gt(remembered, EVENTS / 100);
    llm_buffer_clear(&event);
    llm_buffer_clear(&is);
    llm_buffer_clear(&wanted);
    llm_skim_memo_clear(&memo);
    llm_skim_free(s);
}

/* --- memory ------------------------------------------------------------------------------------- */

static int work(void) {
    static const char event[] = DELTA("\"role\":\"a\\nb\",\"content\":\"h\\u0069\"");
    llm_err err = {0};
    llm_buffer out;
    llm_skim_memo memo;
    llm_buffer_init(&out);
    llm_skim_memo_init(&memo);
    llm_skim *s = llm_skim_new(OPENAI, sizeof OPENAI - 1, &err);
    int rc = s ? 1 : err.code;
    for (int i = 0; rc == 1 && i < 2; i++)
        rc = llm_skim_text(s, &memo, event, sizeof event - 1, &out);
    if (rc == 1) cr_assert_eq(llm_buffer_len(&out), 4);
    llm_buffer_clear(&out);
    llm_skim_memo_clear(&memo);
    llm_skim_free(s);
    return rc;
}

Test(skim, memory_may_run_out_anywhere) {
    bool failed;
    int n = 0;
    do {
        fail_after(n++);
        int rc = work();
        failed = fail_stop();
        cr_assert_eq(rc, failed ? LLM_ENOMEM : 1);
    } while (failed);
    cr_assert_gt(n, 4);
}
