/* sse: see sse.h. Lines are cut first, then read as fields. An event with one data line that lies
 * wholly in the fed bytes is handed out in place; a line that straddles feeds becomes the data by
 * changing places with it; only the rest is copied. */
#include "sse.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEEP_BYTES = 1 << 16, /* memory that outlives a long event */
    LONGEST_NAME = 5,     /* of the fields that count: "event" */
    LONGEST_RETRY = 8,    /* digits */
    LINE_EXTRA = 16,      /* what a line may be longer than its data: byte order mark, "data: " */
};

typedef struct sse {
    llm_framer base;
    size_t max_bytes;
    const char *at, *end; /* fed, borrowed */
    const char *lf, *cr; /* the first LF and CR not before at, or end; each byte is searched once */
    llm_buffer line;     /* the start of a line whose end has not come */
    const char *only;    /* the one data line so far, in the fed bytes; else NULL */
    size_t only_len;
    llm_buffer data;  /* data lines, each with an LF behind it as WHATWG has it */
    llm_buffer event; /* event type */
    llm_buffer id;    /* last event id; lives on from event to event */
    llm_buffer seen;  /* the same, of the last event that is whole */
    uint32_t retry_ms;
    bool started;  /* the first line was seen: no byte order mark any more */
    bool after_cr; /* an LF now belongs to the CR before */
    bool given;    /* data and event were given out: the next call drops them */
    bool ending;   /* what comes now is not whole */
    int error;
} sse;

static llm_framer *sse_create(size_t max_bytes) {
    sse *f = calloc(1, sizeof *f);
    if (!f) return NULL;
    f->base.type = &llm_sse_type;
    f->max_bytes = max_bytes;
    f->at = f->end = f->lf = f->cr = "";
    llm_buffer_init(&f->line);
    llm_buffer_init(&f->data);
    llm_buffer_init(&f->event);
    llm_buffer_init(&f->id);
    llm_buffer_init(&f->seen);
    return &f->base;
}

static void sse_destroy(llm_framer *base) {
    sse *f = (sse *)base;
    llm_buffer_clear(&f->line);
    llm_buffer_clear(&f->data);
    llm_buffer_clear(&f->event);
    llm_buffer_clear(&f->id);
    llm_buffer_clear(&f->seen);
    free(f);
}

static const char *find(const sse *f, char c) {
    if (f->at < f->end && *f->at == c) return f->at; /* the blank line behind every event */
    const char *found = memchr(f->at, c, (size_t)(f->end - f->at));
    return found ? found : f->end;
}

static void sse_feed(llm_framer *base, const char *bytes, size_t len) {
    sse *f = (sse *)base;
    f->at = len ? bytes : "";
    f->end = f->at + len;
    f->lf = find(f, '\n');
    f->cr = find(f, '\r');
}

/* What WHATWG's data buffer holds, the LF behind every line counted. */
static size_t data_len(const sse *f) {
    return f->only ? f->only_len + 1 : llm_buffer_len(&f->data);
}

static const char *line_end(sse *f) {
    if (f->lf < f->at) f->lf = find(f, '\n');
    if (f->cr < f->at) f->cr = find(f, '\r');
    return f->lf < f->cr ? f->lf : f->cr;
}

static void skip_byte_order_mark(sse *f, const char **line, size_t *len) {
    if (!f->started && *len >= 3 && memcmp(*line, "\xEF\xBB\xBF", 3) == 0) *line += 3, *len -= 3;
    f->started = true;
}

/* 1 and the next line without its end, 0 when the fed bytes hold no whole one; the rest is kept. */
static int next_line(sse *f, const char **line, size_t *len) {
    if (f->after_cr && f->at < f->end) {
        f->at += *f->at == '\n';
        f->after_cr = false;
    }
    const char *stop = line_end(f);
    size_t before = llm_buffer_len(&f->line);
    *line = f->at;
    *len = (size_t)(stop - f->at);
    if (data_len(f) + before + *len > f->max_bytes + LINE_EXTRA) return LLM_ETOOBIG;
    bool whole = stop < f->end;
    if (before > 0 || !whole) {
        if (llm_buffer_append(&f->line, *line, *len) != 0) return LLM_ENOMEM;
        f->at = stop;
        if (!whole) return 0;
        *line = llm_buffer_data(&f->line);
        *len += before;
    }
    f->after_cr = *stop == '\r';
    f->at = stop + 1;
    skip_byte_order_mark(f, line, len);
    return 1;
}

static int append_line(sse *f, const char *value, size_t len) {
    int rc = llm_buffer_append(&f->data, value, len);
    return rc == 0 ? llm_buffer_append(&f->data, "\n", 1) : rc;
}

/* Before the fed bytes go, or a second line comes. */
static int keep_only(sse *f) {
    if (!f->only) return 0;
    const char *only = f->only;
    f->only = NULL;
    return append_line(f, only, f->only_len);
}

static int add_data(sse *f, const char *value, size_t len) {
    if (data_len(f) + len > f->max_bytes) return LLM_ETOOBIG;
    bool in_line = llm_buffer_len(&f->line) > 0;
    if (data_len(f) > 0) {
        int rc = keep_only(f);
        return rc == 0 ? append_line(f, value, len) : rc;
    }
    if (!in_line) {
        f->only = value, f->only_len = len;
        return 0;
    }
    size_t name_len = (size_t)(value - llm_buffer_data(&f->line));
    llm_buffer unused = f->data;
    f->data = f->line, f->line = unused;
    llm_buffer_take(&f->data, name_len);
    return llm_buffer_append(&f->data, "\n", 1);
}

static void empty(llm_buffer *b) {
    if (llm_buffer_len(b) > 0) llm_buffer_reset(b, KEEP_BYTES);
}

static int set(llm_buffer *b, const char *value, size_t len) {
    empty(b);
    return llm_buffer_append(b, value, len);
}

static bool is(const char *name, size_t len, const char *known) {
    return len == strlen(known) && memcmp(name, known, len) == 0;
}

/* Digits and nothing else, as WHATWG has it. */
static void set_retry(sse *f, const char *value, size_t len) {
    uint32_t ms = 0;
    if (len == 0 || len > LONGEST_RETRY) return;
    for (size_t i = 0; i < len; i++) {
        if (value[i] < '0' || value[i] > '9') return;
        ms = ms * 10 + (uint32_t)(value[i] - '0');
    }
    f->retry_ms = ms;
}

static int add_field(sse *f, const char *line, size_t len) {
    size_t name_len = 0;
    while (name_len < len && name_len < LONGEST_NAME && line[name_len] != ':') name_len++;
    bool bare = name_len == len;
    if (!bare && line[name_len] != ':') return 0;
    const char *value = line + name_len + !bare;
    size_t value_len = (size_t)(line + len - value);
    if (value_len > 0 && *value == ' ') value++, value_len--;
    if (is(line, name_len, "data")) return add_data(f, value, value_len);
    if (is(line, name_len, "event")) return set(&f->event, value, value_len);
    if (is(line, name_len, "id") && !memchr(value, 0, value_len)) {
        return set(&f->id, value, value_len);
    }
    if (is(line, name_len, "retry")) set_retry(f, value, value_len);
    return 0;
}

static void drop_event(sse *f) {
    f->only = NULL;
    empty(&f->data);
    empty(&f->event);
    f->given = false;
}

static int give(sse *f, llm_frame *frame) {
    size_t event_len = llm_buffer_len(&f->event), id_len = llm_buffer_len(&f->id);
    frame->event = event_len ? llm_buffer_data(&f->event) : "message";
    frame->event_len = event_len ? event_len : strlen("message");
    frame->id = id_len ? llm_buffer_data(&f->id) : "";
    frame->id_len = id_len;
    frame->data = f->only ? f->only : llm_buffer_data(&f->data);
    frame->data_len = data_len(f) - 1;
    f->given = true;
    return 1;
}

static int see_id(sse *f) {
    bool is_known = llm_buffer_len(&f->id) == 0 && llm_buffer_len(&f->seen) == 0;
    if (is_known || f->ending) return 0;
    return set(&f->seen, llm_buffer_data(&f->id), llm_buffer_len(&f->id));
}

static int next_event(sse *f, llm_frame *frame) {
    const char *line;
    size_t len;
    int rc;
    if (f->given) drop_event(f);
    while ((rc = next_line(f, &line, &len)) == 1) {
        if (len > 0) {
            rc = add_field(f, line, len);
            if (rc < 0) return rc;
        } else if ((rc = see_id(f)) < 0) {
            return rc;
        } else if (data_len(f) > 0) {
            return give(f, frame);
        } else {
            drop_event(f);
        }
        empty(&f->line);
    }
    return rc < 0 ? rc : keep_only(f);
}

static int sse_next(llm_framer *base, llm_frame *frame, llm_err *err) {
    sse *f = (sse *)base;
    int rc = f->error ? f->error : next_event(f, frame);
    if (rc >= 0) return rc;
    f->error = rc;
    if (rc == LLM_ENOMEM) return llm_fail(err, rc, "out of memory");
    return llm_fail(err, rc, "an event of more than %zu bytes", f->max_bytes);
}

/* The line and the event that have no end get one. */
static int sse_finish(llm_framer *base, llm_frame *frame, llm_err *err) {
    ((sse *)base)->ending = true;
    sse_feed(base, "\n\n", 2);
    return sse_next(base, frame, err);
}

const llm_framer_type llm_sse_type = {
    .name = "sse",
    .create = sse_create,
    .destroy = sse_destroy,
    .feed = sse_feed,
    .next = sse_next,
    .finish = sse_finish,
};

const llm_buffer *llm_sse_resumption(const llm_framer *base, uint32_t *retry_ms) {
    const sse *f = (const sse *)base;
    *retry_ms = f->retry_ms;
    return &f->seen;
}
