/* body: see body.h. */
#include "body.h"

#include <stdlib.h>

typedef struct body {
    llm_framer base;
    size_t max_bytes;
    const char *fed; /* borrowed, not yet kept */
    size_t fed_len;
    llm_buffer kept;
    int error;
} body;

static llm_framer *body_create(size_t max_bytes) {
    body *f = calloc(1, sizeof *f);
    if (!f) return NULL;
    f->base.type = &llm_body_type;
    f->max_bytes = max_bytes;
    llm_buffer_init(&f->kept);
    return &f->base;
}

static void body_destroy(llm_framer *base) {
    body *f = (body *)base;
    llm_buffer_clear(&f->kept);
    free(f);
}

static void body_feed(llm_framer *base, const char *bytes, size_t len) {
    body *f = (body *)base;
    f->fed = bytes;
    f->fed_len = len;
}

static int keep(body *f) {
    if (f->fed_len > f->max_bytes - llm_buffer_len(&f->kept)) return LLM_ETOOBIG;
    return llm_buffer_append(&f->kept, f->fed, f->fed_len);
}

static int body_next(llm_framer *base, llm_frame *frame, llm_err *err) {
    body *f = (body *)base;
    (void)frame;
    if (!f->error) f->error = keep(f);
    f->fed_len = 0;
    if (f->error == LLM_ETOOBIG) {
        return llm_fail(err, f->error, "a body of more than %zu bytes", f->max_bytes);
    }
    return f->error ? llm_fail(err, f->error, "out of memory") : 0;
}

static int body_finish(llm_framer *base, llm_frame *frame, llm_err *err) {
    body *f = (body *)base;
    int rc = body_next(base, frame, err);
    size_t len = llm_buffer_len(&f->kept);
    if (rc < 0 || len == 0) return rc;
    *frame = (llm_frame){"body", llm_buffer_data(&f->kept), "", 4, len, 0};
    llm_buffer_take(&f->kept, len); /* the bytes stay in place until the next call */
    return 1;
}

const llm_framer_type llm_body_type = {
    .name = "json",
    .create = body_create,
    .destroy = body_destroy,
    .feed = body_feed,
    .next = body_next,
    .finish = body_finish,
};
