/* framer: cuts a byte stream into frames; one interface over sse, ndjson, eventstream, json.
 *
 *     llm_framer *f = llm_framer_new("sse", max_bytes, &err);
 *     llm_framer_feed(f, bytes, len);                 // borrowed until next has returned 0
 *     while ((rc = llm_framer_next(f, &frame, &err)) == 1) use(&frame);
 *     if (rc == 0 && at_end) rc = llm_framer_finish(f, &frame, &err);
 *
 * Feed again only after next returned 0. A frame is valid until the next call on the framer; where
 * it can, it points into the bytes fed. An error is final. */
#ifndef LLM_FRAMER_H
#define LLM_FRAMER_H

#include "buffer.h"

typedef struct llm_frame {
    const char *event, *data, *id; /* never NULL; event is "message" where the stream names none */
    size_t event_len, data_len, id_len;
} llm_frame;

typedef struct llm_framer llm_framer;

/* What a format provides. One constant a format: llm_sse_type, llm_ndjson_type,
 * llm_eventstream_type, llm_body_type. */
typedef struct llm_framer_type {
    const char *name;
    llm_framer *(*create)(size_t max_bytes); /* NULL when memory is out */
    void (*destroy)(llm_framer *f);
    void (*feed)(llm_framer *f, const char *bytes, size_t len);
    int (*next)(llm_framer *f, llm_frame *frame, llm_err *err);
    int (*finish)(llm_framer *f, llm_frame *frame, llm_err *err);
} llm_framer_type;

struct llm_framer {
    const llm_framer_type *type; /* first member of every format's own struct */
};

/* name: "sse" (WHATWG event stream), "ndjson" (a JSON text a line), "eventstream" (AWS's binary
 * messages), "json" (all bytes are one frame with event "body", given by finish). max_bytes bounds
 * one frame: more is LLM_ETOOBIG.
 * NULL with err LLM_EINVAL (unknown name) or LLM_ENOMEM. */
llm_framer *llm_framer_new(const char *name, size_t max_bytes, llm_err *err);
void llm_framer_free(llm_framer *f); /* NULL allowed */

static inline void llm_framer_feed(llm_framer *f, const char *bytes, size_t len) {
    f->type->feed(f, bytes, len);
}
/* 1 a frame, 0 need more bytes, negative: LLM_ETOOBIG, LLM_ENOMEM, LLM_ESYNTAX. */
static inline int llm_framer_next(llm_framer *f, llm_frame *frame, llm_err *err) {
    return f->type->next(f, frame, err);
}
/* After the last byte: 1 and the frame that the end left without its terminator (a reader that
 * follows WHATWG drops it, a reader of model streams looks whether it is whole), or 0. */
static inline int llm_framer_finish(llm_framer *f, llm_frame *frame, llm_err *err) {
    return f->type->finish(f, frame, err);
}

#endif
