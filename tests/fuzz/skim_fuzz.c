/* The first line is a pattern, each further one an event of one stream: what core/skim takes is
 * what the trees of pattern and event say. */
#include "skim.h"

#include "../skim_oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct line {
    const char *text;
    size_t len;
} line;

static line next_line(const char **at, const char *end) {
    const char *lf = memchr(*at, '\n', (size_t)(end - *at));
    line l = {*at, (size_t)((lf ? lf : end) - *at)};
    *at = lf ? lf + 1 : end;
    return l;
}

static void compare(const llm_skim *s, llm_skim_memo *memo, line pattern, line event) {
    llm_buffer is, wanted;
    llm_buffer_init(&is);
    llm_buffer_init(&wanted);
    int rc = llm_skim_text(s, memo, event.text, event.len, &is);
    if (rc != oracle_text(pattern.text, pattern.len, event.text, event.len, &wanted)) abort();
    size_t len = llm_buffer_len(&is);
    if (len != llm_buffer_len(&wanted)) abort();
    if (len && memcmp(llm_buffer_data(&is), llm_buffer_data(&wanted), len) != 0) abort();
    llm_buffer_clear(&is);
    llm_buffer_clear(&wanted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    const char *at = (const char *)data, *end = at + size;
    line pattern = next_line(&at, end);
    llm_skim *s = llm_skim_new(pattern.text, pattern.len, NULL);
    if (!s) return 0;
    llm_skim_memo memo;
    llm_skim_memo_init(&memo);
    while (at < end) compare(s, &memo, pattern, next_line(&at, end));
    llm_skim_memo_clear(&memo);
    llm_skim_free(s);
    return 0;
}
