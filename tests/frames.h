/* frames: what a framer makes of bytes, as one line of text. A frame is written "event|id|data;",
 * one that finish gave has a "+" in front, an error is its name behind "!". */
#ifndef LLM_TEST_FRAMES_H
#define LLM_TEST_FRAMES_H

#include <stdlib.h>
#include <string.h>

#include "framer.h"

static inline void frames_put(llm_buffer *out, const char *text, size_t len) {
    if (llm_buffer_append(out, text, len) != 0) abort();
}

static inline void frames_put_frame(llm_buffer *out, const llm_frame *frame) {
    frames_put(out, frame->event, frame->event_len);
    frames_put(out, "|", 1);
    frames_put(out, frame->id, frame->id_len);
    frames_put(out, "|", 1);
    frames_put(out, frame->data, frame->data_len);
    frames_put(out, ";", 1);
}

static inline void frames_put_error(llm_buffer *out, int rc) {
    frames_put(out, "!", 1);
    frames_put(out, llm_code_name(rc), strlen(llm_code_name(rc)));
}

static inline int frames_feed(llm_framer *f, const char *bytes, size_t len, llm_buffer *out) {
    llm_frame frame;
    int rc;
    llm_framer_feed(f, bytes, len);
    while ((rc = llm_framer_next(f, &frame, NULL)) == 1) frames_put_frame(out, &frame);
    return rc;
}

/* Feeds a copy of exactly this size, gone as soon as the framer says it has read it. */
static inline int frames_feed_part(llm_framer *f, const char *bytes, size_t len, llm_buffer *out) {
    char *part = malloc(len ? len : 1);
    if (len) memcpy(part, bytes, len);
    int rc = frames_feed(f, part, len, out);
    free(part);
    return rc;
}

/* The frames of text: fed where it stands (step 0), or its first bytes and then step at a time. */
static inline void frames_of(
    llm_framer *f, const char *text, size_t len, size_t first, size_t step, llm_buffer *out) {
    int rc = step ? frames_feed_part(f, text, first, out) : frames_feed(f, text, len, out);
    for (size_t at = first; step && rc == 0 && at < len; at += step) {
        rc = frames_feed_part(f, text + at, step < len - at ? step : len - at, out);
    }
    llm_frame frame;
    if (rc == 0 && (rc = llm_framer_finish(f, &frame, NULL)) == 1) {
        frames_put(out, "+", 1);
        frames_put_frame(out, &frame);
    } else if (rc < 0 && llm_framer_next(f, &frame, NULL) != rc) {
        abort(); /* an error is final */
    }
    if (rc < 0) frames_put_error(out, rc);
}

#endif
