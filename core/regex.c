/* regex: see regex.h. The library counts its steps anew at every place where a match may begin, so
 * the places are walked in windows and the time is looked at between them. */
#include "regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "library.h"

enum { WINDOW = 32 }; /* places between two looks at the clock */

#define FUNCTIONS(X)             \
    X(compile)                   \
    X(code_free)                 \
    X(pattern_info)              \
    X(compile_context_create)    \
    X(compile_context_free)      \
    X(set_compile_extra_options) \
    X(match)                     \
    X(match_data_create)         \
    X(match_data_free)           \
    X(match_context_create)      \
    X(match_context_free)        \
    X(set_match_limit)           \
    X(set_heap_limit)            \
    X(set_offset_limit)          \
    X(get_error_message)

#define SUFFIXED(name) PCRE2_SUFFIX(pcre2_##name##_)
#define MEMBER(name) __typeof__(SUFFIXED(name)) *name;
static struct { FUNCTIONS(MEMBER) } pcre;
static llm_err open_error;
static pthread_once_t once = PTHREAD_ONCE_INIT;

#define NAME_OF(name) "pcre2_" #name "_8",

static void open_library(void) {
    static const char *const symbols[] = {FUNCTIONS(NAME_OF)};
    enum { COUNT = sizeof symbols / sizeof *symbols };
    _Static_assert(sizeof pcre == COUNT * sizeof(void *), "one pointer a function");
    void *functions[COUNT];
    if (llm_library_open("libpcre2-8.so.0", symbols, functions, COUNT, &open_error)) return;
    memcpy(&pcre, functions, sizeof functions);
}

struct llm_regex {
    pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *context;
    bool is_anchored;
};

static int fail_syntax(int code, size_t offset, llm_err *err) {
    if (code == PCRE2_ERROR_HEAP_FAILED) return llm_fail(err, LLM_ENOMEM, "out of memory");
    unsigned char words[120];
    if (pcre.get_error_message(code, words, sizeof words) < 0) words[0] = 0;
    return llm_fail(err, LLM_ESYNTAX, "%s at byte %zu", (char *)words, offset + 1);
}

static pcre2_code *compile(const char *pattern, size_t len, llm_err *err) {
    pcre2_compile_context *context = pcre.compile_context_create(NULL);
    if (!context) {
        llm_fail(err, LLM_ENOMEM, "out of memory");
        return NULL;
    }
    pcre.set_compile_extra_options(context, PCRE2_EXTRA_ALT_BSUX);
    /* Without auto-possessification every step back is counted by the limit. */
    uint32_t options = PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_ALT_BSUX | PCRE2_NEVER_BACKSLASH_C |
                       PCRE2_ALLOW_EMPTY_CLASS | PCRE2_USE_OFFSET_LIMIT | PCRE2_NO_AUTO_POSSESS;
    int code = 0;
    size_t offset = 0;
    pcre2_code *compiled = pcre.compile((PCRE2_SPTR)pattern, len, options, &code, &offset, context);
    pcre.compile_context_free(context);
    if (!compiled) fail_syntax(code, offset, err);
    return compiled;
}

static int prepare(llm_regex *regex, llm_err *err) {
    regex->data = pcre.match_data_create(1, NULL);
    regex->context = pcre.match_context_create(NULL);
    if (!regex->data || !regex->context) return llm_fail(err, LLM_ENOMEM, "out of memory");
    pcre.set_match_limit(regex->context, LLM_REGEX_STEPS);
    pcre.set_heap_limit(regex->context, LLM_REGEX_HEAP_KIB);
    uint32_t options = 0;
    pcre.pattern_info(regex->code, PCRE2_INFO_ALLOPTIONS, &options);
    regex->is_anchored = options & PCRE2_ANCHORED;
    return 0;
}

llm_regex *llm_regex_new(const char *pattern, size_t len, llm_err *err) {
    pthread_once(&once, open_library);
    if (open_error.code) {
        llm_fail(err, open_error.code, "%s", open_error.msg);
        return NULL;
    }
    if (len > LLM_REGEX_PATTERN) {
        llm_fail(err, LLM_ETOOBIG, "the pattern is longer than %d bytes", LLM_REGEX_PATTERN);
        return NULL;
    }
    llm_regex *regex = calloc(1, sizeof *regex);
    if (!regex) {
        llm_fail(err, LLM_ENOMEM, "out of memory");
        return NULL;
    }
    regex->code = compile(pattern, len, err);
    if (!regex->code || prepare(regex, err)) {
        llm_regex_free(regex);
        return NULL;
    }
    return regex;
}

void llm_regex_free(llm_regex *regex) {
    if (!regex) return;
    pcre.match_context_free(regex->context);
    pcre.match_data_free(regex->data);
    pcre.code_free(regex->code);
    free(regex);
}

/* Processor time of this thread, so that a busy machine does not change the answer. */
static double cpu_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static int give_up(llm_err *err) {
    return llm_fail(err, LLM_ETOOBIG, "the pattern takes too long on this text");
}

static int fail_match(int rc, llm_err *err) {
    switch (rc) {
    case PCRE2_ERROR_NOMEMORY: return llm_fail(err, LLM_ENOMEM, "out of memory");
    case PCRE2_ERROR_MATCHLIMIT:
    case PCRE2_ERROR_DEPTHLIMIT:
    case PCRE2_ERROR_HEAPLIMIT:
    case PCRE2_ERROR_RECURSELOOP: return give_up(err);
    default: return llm_fail(err, LLM_ESYNTAX, "the text is not UTF-8");
    }
}

/* The place after a window, on the first byte of a character. */
static size_t window_end(const char *text, size_t len, size_t at) {
    size_t end = at + WINDOW < len ? at + WINDOW : len;
    while (end < len && ((unsigned char)text[end] & 0xC0) == 0x80) end++;
    return end;
}

int llm_regex_matches(llm_regex *regex, const char *text, size_t len, llm_err *err) {
    uint32_t options = 0;
    double start = 0;
    for (size_t at = 0;;) {
        size_t end = regex->is_anchored ? len : window_end(text, len, at);
        pcre.set_offset_limit(regex->context, end);
        int rc = pcre.match(
            regex->code, (PCRE2_SPTR)text, len, at, options, regex->data, regex->context);
        if (rc >= 0) return 1;
        if (rc != PCRE2_ERROR_NOMATCH) return fail_match(rc, err);
        if (end >= len) return 0;
        options = PCRE2_NO_UTF_CHECK;
        at = end;
        if (!start) start = cpu_ms();
        if (cpu_ms() - start > LLM_REGEX_CPU_MS) return give_up(err);
    }
}
