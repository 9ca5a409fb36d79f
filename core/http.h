/* http: one HTTP exchange after another over libcurl's multi interface, driven by a loop.
 *
 * A transfer is started, then pulled: llm_transfer_next gives what has come so far and says when
 * there is nothing yet; the loop queues the transfer's operation when there is something again.
 * libcurl's callbacks only record. libcurl itself is opened by the first transfer.
 *
 * Rules kept here: connections are reused and limited; redirects are not followed; only http and
 * https are spoken, TLS is verified; http:// never goes through a proxy from the environment; a
 * request is sent again by libcurl at most once, and only when a reused connection turned out to
 * be dead before a byte came back. Time is measured on content, not on bytes. */
#ifndef LLM_HTTP_H
#define LLM_HTTP_H

#include <stdbool.h>

#include "buffer.h"
#include "loop.h"
#include "skim.h"

typedef struct llm_http llm_http;
typedef struct llm_transfer llm_transfer;

typedef struct llm_http_limits {
    long max_connections, max_connections_per_host; /* 0: 100 and 30 */
} llm_http_limits;

typedef struct llm_request {
    const char *method; /* "GET", "POST" with a body, or another that is sent like GET */
    const char *url;
    const char *headers;  /* "Name: value" lines, each ended by \n, every one of them checked */
    const char *body;     /* copied; NULL for none */
    size_t body_len;      /* bytes */
    const char *frame;    /* llm_framer name for a 2xx reply of that kind; others are one body */
    const llm_skim *skim; /* NULL, or outlives the transfer */
    const char *ca_file;  /* NULL: the system's */
    const char *proxy;    /* NULL: from the environment, https only */
    uint64_t connect_ms;  /* to connect; 0: never times out, as with the three below */
    uint64_t first_ms;    /* from sending to the first content */
    uint64_t silence_ms;  /* longest time without content after that */
    uint64_t deadline_ms; /* for all of it */
    size_t max_bytes;     /* of the decoded reply; 0: LLM_HTTP_MAX_BYTES */
} llm_request;

enum { LLM_HTTP_MAX_BYTES = 128 << 20, LLM_HTTP_MAX_HEADERS = 256 << 10 };

/* limits NULL: the defaults. Freed in any order with its loop and its transfers: the memory goes
 * with the last of them. */
llm_http *llm_http_new(llm_loop *loop, const llm_http_limits *limits, llm_err *err);
void llm_http_free(llm_http *http); /* NULL allowed */

/* NULL, or why this header line may not be sent (RFC 9110: token name, no CR, LF, NUL, no blanks
 * around the value). */
const char *llm_header_fault(
    const char *name, size_t name_len, const char *value, size_t value_len);
/* The first value of a header (name in lower case) in a block of "name: value\r\n" lines, or NULL.
 * Not NUL-terminated; valid as long as the block is. */
const char *llm_header_find(const llm_buffer *block, const char *name, size_t *len);
/* NULL, or why the end of a reply with this header block cannot be known for certain: whoever takes
 * a guess may read the next reply of the connection as part of it (RFC 9112, section 6.3). */
const char *llm_header_framing_fault(const llm_buffer *block);

typedef enum llm_item_kind {
    LLM_ITEM_TEXT,  /* a run of text that the skimmer took from one or more events */
    LLM_ITEM_EVENT, /* one frame; its event is "body" for a reply that is not a stream */
    LLM_ITEM_REST,  /* as EVENT, but the stream ended before the frame's terminator: is it whole? */
    LLM_ITEM_END,   /* the reply is complete as far as HTTP goes */
    LLM_ITEM_ERROR, /* the transfer failed: code and message in the transfer */
} llm_item_kind;

typedef struct llm_item {
    llm_item_kind kind;
    const char *event, *data; /* valid until the next call on the transfer */
    size_t event_len, data_len;
} llm_item;

/* NULL with err: LLM_EINVAL, LLM_ENOMEM, LLM_ESYSTEM, LLM_ECLOSED (in a forked child). The caller
 * owns the transfer and ends it with llm_transfer_cancel, finished or not. */
llm_transfer *llm_transfer_start(llm_http *http, const llm_request *request, llm_err *err);
void llm_transfer_cancel(llm_transfer *t); /* NULL allowed; closes the connection if in flight */

/* 1 an item (END and ERROR repeat), 0 nothing yet: wait for llm_transfer_op. */
int llm_transfer_next(llm_transfer *t, llm_item *item);
/* Content that the skimmer did not see was found in an event: the silence begins anew. */
void llm_transfer_touch(llm_transfer *t);

/* The reply is complete for its reader: the connection gets a quarter of a second to end in order,
 * so that it can be used again. */
void llm_transfer_expect_end(llm_transfer *t);

llm_op *llm_transfer_op(llm_transfer *t);
long llm_transfer_status(const llm_transfer *t); /* 0 until the headers are complete */
/* The reply's header block: "name: value\r\n" lines of the final response. */
const llm_buffer *llm_transfer_headers(const llm_transfer *t);
/* The first value of a header (name in lower case), or NULL. Not NUL-terminated. */
const char *llm_transfer_header(const llm_transfer *t, const char *name, size_t *len);
const llm_err *llm_transfer_error(const llm_transfer *t); /* code 0 while all is well */
/* "connect", "response", "stream" or "done": how far it came. */
const char *llm_transfer_phase(const llm_transfer *t);
/* Of a stream of server-sent events: see llm_sse_resumption. NULL for any other reply. */
const llm_buffer *llm_transfer_resumption(const llm_transfer *t, uint32_t *retry_ms);
bool llm_transfer_sent(const llm_transfer *t); /* the whole request left: it may be billed */

#endif
