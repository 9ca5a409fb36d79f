/* eventstream: see eventstream.h. What was fed is kept until a message is whole; a message is 12
 * bytes of prelude (its length, its headers' length, a checksum of both), headers, payload and a
 * checksum of all that. Integers are big-endian. */
#include "eventstream.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    PRELUDE = 12,
    CHECKSUM = 4,
    OVERHEAD = PRELUDE + CHECKSUM,
    LARGEST = 24 << 20, /* that the specification allows */
};

typedef struct eventstream {
    llm_framer base;
    size_t max_bytes;
    const char *fed; /* borrowed, not yet kept */
    size_t fed_len;
    llm_buffer kept;
    size_t spent; /* bytes at the front of kept: the message given last */
    int error;
} eventstream;

typedef struct slice {
    const char *text;
    size_t len;
} slice;

/* The headers that are read. */
typedef struct headers {
    slice message_type, event_type, exception_type, error_code, error_message;
} headers;

static llm_framer *eventstream_create(size_t max_bytes) {
    eventstream *f = calloc(1, sizeof *f);
    if (!f) return NULL;
    f->base.type = &llm_eventstream_type;
    f->max_bytes = max_bytes < LARGEST ? max_bytes : LARGEST;
    f->fed = "";
    llm_buffer_init(&f->kept);
    return &f->base;
}

static void eventstream_destroy(llm_framer *base) {
    eventstream *f = (eventstream *)base;
    llm_buffer_clear(&f->kept);
    free(f);
}

static void eventstream_feed(llm_framer *base, const char *bytes, size_t len) {
    eventstream *f = (eventstream *)base;
    f->fed = bytes;
    f->fed_len = len;
}

static uint32_t read_u32(const char *bytes) {
    const unsigned char *b = (const unsigned char *)bytes;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* CRC-32 of IEEE 802.3, four bits at a time. */
static uint32_t crc32_of(const char *bytes, size_t len) {
    static const uint32_t table[16] = {
        0x00000000,
        0x1db71064,
        0x3b6e20c8,
        0x26d930ac,
        0x76dc4190,
        0x6b6b51f4,
        0x4db26158,
        0x5005713c,
        0xedb88320,
        0xf00f9344,
        0xd6d6a3e8,
        0xcb61b38c,
        0x9b64c2b0,
        0x86d3d2d4,
        0xa00ae278,
        0xbdbdf21c,
    };
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < len; i++) {
        crc ^= (unsigned char)bytes[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

/* --- headers ------------------------------------------------------------------------------------ */

/* The bytes of a value whose type stands at *at, or -1. A string's and a byte array's length stands
 * in front of it and is skipped. */
static long value_len(const char **at, const char *end) {
    static const signed char fixed[] = {0, 0, 1, 2, 4, 8, -1, -1, 8, 16};
    unsigned type = (unsigned char)*(*at)++;
    if (type >= sizeof fixed) return -1;
    if (fixed[type] >= 0) return fixed[type];
    if (end - *at < 2) return -1;
    long len = (unsigned char)(*at)[0] << 8 | (unsigned char)(*at)[1];
    *at += 2;
    return len;
}

static bool is_named(slice name, const char *wanted) {
    return name.len == strlen(wanted) && memcmp(name.text, wanted, name.len) == 0;
}

static void keep(headers *h, slice name, slice value) {
    const struct {
        const char *name;
        slice *value;
    } known[] = {
        {":message-type", &h->message_type},
        {":event-type", &h->event_type},
        {":exception-type", &h->exception_type},
        {":error-code", &h->error_code},
        {":error-message", &h->error_message},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (is_named(name, known[i].name)) *known[i].value = value;
    }
}

static bool read_headers(const char *at, const char *end, headers *h) {
    while (at < end) {
        slice name = {at + 1, (unsigned char)*at};
        if ((size_t)(end - name.text) <= name.len) return false;
        at = name.text + name.len;
        long len = value_len(&at, end);
        if (len < 0 || end - at < len) return false;
        keep(h, name, (slice){at, (size_t)len});
        at += len;
    }
    return true;
}

/* --- messages ----------------------------------------------------------------------------------- */

static llm_frame frame_of(const headers *h, slice payload) {
    bool is_error = is_named(h->message_type, "error");
    slice event = is_error                                 ? h->error_code
                  : is_named(h->message_type, "exception") ? h->exception_type
                                                           : h->event_type;
    if (!event.len) event = (slice){"message", 7};
    if (is_error && !payload.len && h->error_message.len) payload = h->error_message;
    return (llm_frame){event.text, payload.text, "", event.len, payload.len, 0};
}

/* 1 when the message at the front is whole, 0 when bytes are missing. */
static int check(const eventstream *f, uint32_t *total, uint32_t *headers_len, llm_err *err) {
    const char *bytes = llm_buffer_data(&f->kept);
    size_t len = llm_buffer_len(&f->kept);
    if (len < PRELUDE) return 0;
    *total = read_u32(bytes);
    *headers_len = read_u32(bytes + 4);
    if (crc32_of(bytes, 8) != read_u32(bytes + 8)) {
        return llm_fail(err, LLM_ESYNTAX, "the checksum of a message's prelude is wrong");
    }
    if (*total < OVERHEAD || *headers_len > *total - OVERHEAD) {
        return llm_fail(err, LLM_ESYNTAX, "a message's lengths make no sense");
    }
    if (*total - OVERHEAD > f->max_bytes) {
        return llm_fail(err, LLM_ETOOBIG, "a message of more than %zu bytes", f->max_bytes);
    }
    if (len < *total) return 0;
    if (crc32_of(bytes, *total - CHECKSUM) != read_u32(bytes + *total - CHECKSUM)) {
        return llm_fail(err, LLM_ESYNTAX, "the checksum of a message is wrong");
    }
    return 1;
}

static int read_message(eventstream *f, llm_frame *frame, llm_err *err) {
    uint32_t total, headers_len;
    headers h = {0};
    llm_buffer_take(&f->kept, f->spent);
    f->spent = 0;
    if (llm_buffer_append(&f->kept, f->fed, f->fed_len)) {
        return llm_fail(err, LLM_ENOMEM, "out of memory");
    }
    f->fed_len = 0;
    int rc = check(f, &total, &headers_len, err);
    if (rc != 1) return rc;
    const char *begin = llm_buffer_data(&f->kept) + PRELUDE;
    if (!read_headers(begin, begin + headers_len, &h)) {
        return llm_fail(err, LLM_ESYNTAX, "a message's headers make no sense");
    }
    *frame = frame_of(&h, (slice){begin + headers_len, total - OVERHEAD - headers_len});
    f->spent = total;
    return 1;
}

static int eventstream_next(llm_framer *base, llm_frame *frame, llm_err *err) {
    eventstream *f = (eventstream *)base;
    if (f->error) return llm_fail(err, f->error, "the event stream is broken");
    int rc = read_message(f, frame, err);
    if (rc < 0) f->error = rc;
    return rc;
}

/* A message that is not whole is nothing. */
static int eventstream_finish(llm_framer *base, llm_frame *frame, llm_err *err) {
    return eventstream_next(base, frame, err);
}

const llm_framer_type llm_eventstream_type = {
    .name = "eventstream",
    .create = eventstream_create,
    .destroy = eventstream_destroy,
    .feed = eventstream_feed,
    .next = eventstream_next,
    .finish = eventstream_finish,
};
