/* ndjson: see ndjson.h. A line that lies wholly in the fed bytes is handed out in place; only what
 * straddles two feeds is copied. */
#include "ndjson.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { KEEP_BYTES = 1 << 16 }; /* memory that outlives a long line */

typedef struct ndjson {
    llm_framer base;
    size_t max_bytes;
    const char *at, *end; /* fed, borrowed */
    llm_buffer line;      /* the start of a line whose end has not come, or the one given last */
    bool spent;           /* line was given out: the next call drops it */
    int error;
} ndjson;

static llm_framer *ndjson_create(size_t max_bytes) {
    ndjson *f = calloc(1, sizeof *f);
    if (!f) return NULL;
    f->base.type = &llm_ndjson_type;
    f->max_bytes = max_bytes;
    f->at = f->end = "";
    llm_buffer_init(&f->line);
    return &f->base;
}

static void ndjson_destroy(llm_framer *base) {
    ndjson *f = (ndjson *)base;
    llm_buffer_clear(&f->line);
    free(f);
}

static void ndjson_feed(llm_framer *base, const char *bytes, size_t len) {
    ndjson *f = (ndjson *)base;
    f->at = len ? bytes : "";
    f->end = f->at + len;
}

/* 1 and the next line without its LF, 0 when the fed bytes hold no whole one; the rest is kept. */
static int next_line(ndjson *f, const char **line, size_t *len) {
    const char *lf = memchr(f->at, '\n', (size_t)(f->end - f->at));
    size_t before = llm_buffer_len(&f->line);
    *line = f->at;
    *len = (size_t)((lf ? lf : f->end) - f->at);
    f->at = lf ? lf + 1 : f->end;
    if (before + *len > f->max_bytes + 1) return LLM_ETOOBIG; /* one more: it may be a CR */
    if (lf && before == 0) return 1;
    if (llm_buffer_append(&f->line, *line, *len) != 0) return LLM_ENOMEM;
    if (!lf) return 0;
    f->spent = true;
    *line = llm_buffer_data(&f->line);
    *len += before;
    return 1;
}

static bool is_blank(const char *line, size_t len) {
    size_t i = 0;
    while (i < len && (line[i] == ' ' || line[i] == '\t')) i++;
    return i == len;
}

/* Like next_line, but lines are without CR, not blank and not too long. */
static int next_text(ndjson *f, const char **line, size_t *len) {
    int rc;
    do {
        if (f->spent) llm_buffer_reset(&f->line, KEEP_BYTES);
        f->spent = false;
        rc = next_line(f, line, len);
        if (rc != 1) return rc;
        if (*len > 0 && (*line)[*len - 1] == '\r') --*len;
    } while (is_blank(*line, *len));
    return *len > f->max_bytes ? LLM_ETOOBIG : 1;
}

static int ndjson_next(llm_framer *base, llm_frame *frame, llm_err *err) {
    ndjson *f = (ndjson *)base;
    const char *line = NULL;
    size_t len = 0;
    int rc = f->error ? f->error : next_text(f, &line, &len);
    if (rc == 1) *frame = (llm_frame){"message", line, "", 7, len, 0};
    if (rc >= 0) return rc;
    f->error = rc;
    if (rc == LLM_ENOMEM) return llm_fail(err, rc, "out of memory");
    return llm_fail(err, rc, "a line of more than %zu bytes", f->max_bytes);
}

/* The line that has no LF gets one. */
static int ndjson_finish(llm_framer *base, llm_frame *frame, llm_err *err) {
    ndjson_feed(base, "\n", 1);
    return ndjson_next(base, frame, err);
}

const llm_framer_type llm_ndjson_type = {
    .name = "ndjson",
    .create = ndjson_create,
    .destroy = ndjson_destroy,
    .feed = ndjson_feed,
    .next = ndjson_next,
    .finish = ndjson_finish,
};
