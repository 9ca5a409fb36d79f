/* transfer: one HTTP exchange, from the request to the last record of its reply. See http.h.
 * The callbacks below run inside libcurl: they record into t and mark its operation ready. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "framer.h"
#include "http_private.h"
#include "sse.h"

enum {
    HIGH_WATER = 1 << 20, /* recorded but not yet taken: then the peer has to wait */
    KEPT = 1 << 16,       /* an emptied buffer of at most this size keeps its memory */
    END_WITHIN_NS = 250000000,
    CROWD = 256,   /* more transfers than this receive into small buffers */
    MAX_SENDS = 2, /* libcurl may send again once when a reused connection was dead */
};

static const long SMALL_BUFFER = 2048;

struct llm_transfer {
    llm_op op; /* first */
    llm_http *http;
    llm_easy *easy; /* NULL once it is over */
    llm_buffer body, headers, records;
    size_t open_text; /* bytes of the last record if it is TEXT and may grow, else 0 */
    size_t taken;     /* bytes of the record that the last llm_transfer_next showed */
    llm_framer *framer;
    char frame[16];
    const llm_skim *skim;
    llm_skim_memo memo;
    uint64_t content_ns, first_ns, silence_ns, deadline_ns; /* the first is a time, as the last */
    size_t max_bytes, received, header_bytes;
    long status, pending_status;
    int sends;
    bool started, content, paused, begun, over, finished, sent;
    llm_err error;
};

/* A record is this head, the event's name, the data. */
typedef struct head {
    size_t data_len;
    uint32_t kind, event_len;
} head;

/* --- time -------------------------------------------------------------------------------------- */

static uint64_t add(uint64_t time_ns, uint64_t duration_ns) {
    return duration_ns ? time_ns + duration_ns : LLM_NEVER;
}

static void set_due(llm_transfer *t) {
    uint64_t due = t->deadline_ns;
    if (t->started) {
        uint64_t silent = add(t->content_ns, t->content ? t->silence_ns : t->first_ns);
        if (silent < due) due = silent;
    }
    llm_op_due(&t->op, due);
}

static void saw_content(llm_transfer *t) {
    t->content = true;
    t->content_ns = llm_loop_now(t->http->loop);
    if (!t->over) set_due(t);
}

void llm_transfer_touch(llm_transfer *t) { saw_content(t); }

void llm_transfer_expect_end(llm_transfer *t) {
    t->first_ns = t->silence_ns = END_WITHIN_NS;
    t->content_ns = llm_clock_ns();
    if (!t->over) set_due(t);
}

/* --- the end ------------------------------------------------------------------------------------ */

static int fail(llm_transfer *t, int code, const char *text) {
    if (t->error.code == 0) llm_fail(&t->error, code, "%s", text);
    return code;
}

/* Takes the easy handle out of the multi handle; an exchange in flight is cut off by that. */
static void detach(llm_transfer *t) {
    const llm_curl *curl = t->http->curl;
    if (t->easy && !llm_loop_foreign(t->http->loop)) {
        curl_off_t uploaded = 0;
        curl->easy_getinfo(t->easy->curl, CURLINFO_SIZE_UPLOAD_T, &uploaded);
        t->sent = t->started && (size_t)uploaded >= llm_buffer_len(&t->body);
        curl->multi_remove_handle(t->http->multi, t->easy->curl);
        llm_easy_release(t->http, t->easy, t->error.code == 0);
    }
    t->easy = NULL;
}

static void end(llm_transfer *t) {
    detach(t);
    t->over = true;
    llm_op_due(&t->op, LLM_NEVER);
    llm_op_ready(&t->op);
}

static void on_expire(llm_op *op) {
    llm_transfer *t = (llm_transfer *)op;
    uint64_t now = llm_loop_now(t->http->loop);
    bool total = t->deadline_ns <= now;
    if (!total && (t->paused || llm_buffer_len(&t->records))) {
        t->content_ns = now; /* the reader owes us a look: the silence is not the peer's */
        set_due(t);
        return;
    }
    if (total) {
        fail(t, LLM_ETIMEOUT, "the deadline passed");
    } else {
        double limit_s = (double)(t->content ? t->silence_ns : t->first_ns) / 1e9;
        llm_fail(
            &t->error, LLM_ETIMEOUT, "no %scontent for %.3g s", t->content ? "more " : "", limit_s);
    }
    end(t);
}

static bool is_lost_connection(long system_error) {
    return system_error == ECONNRESET || system_error == EPIPE || system_error == ETIMEDOUT ||
           system_error == ENETUNREACH || system_error == EHOSTUNREACH;
}

/* CURLE_RECV_ERROR is libcurl's word for broken chunks too, but only a lost connection leaves a
 * system error; over TLS it may leave none. */
static bool is_lost(const llm_curl *curl, CURL *easy) {
    long system_error = 0;
    const char *scheme = NULL;
    curl->easy_getinfo(easy, CURLINFO_OS_ERRNO, &system_error);
    curl->easy_getinfo(easy, CURLINFO_SCHEME, &scheme);
    return is_lost_connection(system_error) || (scheme && strcasecmp(scheme, "https") == 0);
}

/* Which of our codes a libcurl result is. */
static int code_of(const llm_transfer *t, CURLcode result) {
    int lost = t->status ? LLM_ECUT : LLM_ENETWORK; /* the reply had begun: its rest was cut off */
    switch (result) {
    case CURLE_OPERATION_TIMEDOUT: return LLM_ETIMEOUT;
    case CURLE_URL_MALFORMAT: return LLM_EINVAL;
    case CURLE_PARTIAL_FILE: return LLM_ECUT;
    case CURLE_RECV_ERROR:
        return t->started && !is_lost(t->http->curl, t->easy->curl) ? LLM_EPROTOCOL : lost;
    case CURLE_HTTP2_STREAM:
    case CURLE_SEND_ERROR: return lost;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_HTTP2:
    case CURLE_OUT_OF_MEMORY:
    case CURLE_WRITE_ERROR: return LLM_EPROTOCOL;
    default: return LLM_ENETWORK;
    }
}

void llm_transfer_finished(llm_transfer *t, CURLcode result) {
    if (result != CURLE_OK && t->error.code == 0) {
        const char *text = t->easy->error;
        if (!*text) text = t->http->curl->easy_strerror(result);
        /* libcurl says so of a header line of more than 100 kB, too. */
        if (result == CURLE_OUT_OF_MEMORY) text = "a header line is too long, or memory is out";
        fail(t, code_of(t, result), text);
    }
    end(t);
}

/* --- what libcurl calls -------------------------------------------------------------------------- */

/* The connection stands and the request is about to leave. */
static int on_send(void *user, char *ip, char *local_ip, int port, int local_port) {
    (void)ip, (void)local_ip, (void)port, (void)local_port;
    llm_transfer *t = user;
    if (++t->sends > MAX_SENDS) {
        fail(t, LLM_ENETWORK, "the connection was lost twice before a reply");
        return CURL_PREREQFUNC_ABORT;
    }
    t->started = true;
    t->content_ns = llm_loop_now(t->http->loop);
    set_due(t);
    return CURL_PREREQFUNC_OK;
}

static int end_headers(llm_transfer *t) {
    if (t->pending_status < 200) return 0;
    t->status = t->pending_status;
    const char *fault = llm_header_framing_fault(&t->headers);
    if (!fault) return 0;
    return llm_fail(&t->error, LLM_EPROTOCOL, "the reply's end is not certain: %s", fault);
}

static size_t on_header(char *line, size_t size, size_t count, void *user) {
    llm_transfer *t = user;
    size_t len = size * count;
    t->header_bytes += len;
    if (t->header_bytes > LLM_HTTP_MAX_HEADERS) {
        fail(t, LLM_EPROTOCOL, "the reply's headers are larger than 256 KiB");
        return 0;
    }
    if (len > 9 && strncmp(line, "HTTP/", 5) == 0) {
        llm_buffer_reset(&t->headers, KEPT);
        const char *space = memchr(line, ' ', len);
        t->pending_status = space ? strtol(space, NULL, 10) : 0;
        return len;
    }
    if (len <= 2 && (line[0] == '\r' || line[0] == '\n')) return end_headers(t) ? 0 : len;
    if (llm_buffer_append(&t->headers, line, len) == 0) return len;
    fail(t, LLM_ENOMEM, "out of memory");
    return 0;
}

static bool content_type_has(const llm_transfer *t, const char *part) {
    size_t len, part_len = strlen(part);
    const char *type = llm_transfer_header(t, "content-type", &len);
    for (size_t i = 0; type && i + part_len <= len; i++) {
        if (strncasecmp(type + i, part, part_len) == 0) return true;
    }
    return false;
}

/* A reply that is not the stream that was asked for is one body: an error, or a page. */
static const char *frame_of(const llm_transfer *t) {
    bool good = t->status >= 200 && t->status < 300 && !content_type_has(t, "html");
    if (good && content_type_has(t, "application/json")) good = false;
    return good ? t->frame : "json";
}

static int push_head(llm_transfer *t, uint32_t kind, const llm_frame *frame) {
    head h = {.kind = kind};
    if (frame) h.data_len = frame->data_len, h.event_len = (uint32_t)frame->event_len;
    return llm_buffer_append(&t->records, &h, sizeof h);
}

static int push_event(llm_transfer *t, const llm_frame *frame) {
    t->open_text = 0;
    size_t len = sizeof(head) + frame->event_len + frame->data_len;
    if (!llm_buffer_reserve(&t->records, len)) return LLM_ENOMEM; /* all of it or nothing */
    push_head(t, LLM_ITEM_EVENT, frame);
    llm_buffer_append(&t->records, frame->event, frame->event_len);
    llm_buffer_append(&t->records, frame->data, frame->data_len);
    return 0;
}

/* 1: the event was a plain delta and its text stands at the end of the records. */
static int push_text(llm_transfer *t, const llm_frame *frame) {
    size_t before = t->open_text;
    if (!before && push_head(t, LLM_ITEM_TEXT, NULL)) return LLM_ENOMEM;
    size_t len_before = llm_buffer_len(&t->records);
    int rc = llm_skim_text(t->skim, &t->memo, frame->data, frame->data_len, &t->records);
    size_t added = llm_buffer_len(&t->records) - len_before;
    if (rc != 1 || added == 0) {
        if (!before) t->records.end -= sizeof(head);
        return rc;
    }
    t->open_text = (before ? before : sizeof(head)) + added;
    head h = {.kind = LLM_ITEM_TEXT, .data_len = t->open_text - sizeof(head)};
    memcpy(t->records.bytes + t->records.end - t->open_text, &h, sizeof h);
    saw_content(t);
    return 1;
}

static int record(llm_transfer *t, const llm_frame *frame) {
    /* The first event goes to the dialect always: it names the model and more. */
    int rc = t->skim && t->begun ? push_text(t, frame) : 0;
    t->begun = true;
    return rc ? (rc < 0 ? rc : 0) : push_event(t, frame);
}

static int take_in(llm_transfer *t, const char *bytes, size_t len) {
    if (!t->framer) t->framer = llm_framer_new(frame_of(t), t->max_bytes, &t->error);
    if (!t->framer) return t->error.code;
    llm_framer_feed(t->framer, bytes, len);
    llm_frame frame;
    int rc;
    while ((rc = llm_framer_next(t->framer, &frame, &t->error)) == 1) {
        rc = record(t, &frame);
        if (rc < 0) return fail(t, rc, "out of memory");
    }
    return rc;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *user) {
    llm_transfer *t = user;
    size_t len = size * count;
    if (llm_buffer_len(&t->records) > HIGH_WATER) {
        t->paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    t->received += len;
    if (t->received > t->max_bytes) {
        fail(t, LLM_ETOOBIG, "the reply is larger than max_response_bytes");
        return 0;
    }
    if (take_in(t, bytes, len) < 0) return 0;
    if (llm_buffer_len(&t->records)) llm_op_ready(&t->op);
    return len;
}

void llm_transfer_setup(const llm_curl *curl, CURL *easy) {
    curl->easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl->easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl->easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_send);
}

/* --- start and cancel ---------------------------------------------------------------------------- */

static uint64_t nanoseconds(uint64_t ms) {
    return ms > UINT64_MAX / 4000000 ? 0 : ms * 1000000; /* for ever is never */
}

static llm_transfer *transfer_new(llm_http *http, const llm_request *r) {
    llm_transfer *t = calloc(1, sizeof *t);
    if (!t) return NULL;
    llm_http_retain(http);
    t->http = http;
    t->first_ns = nanoseconds(r->first_ms);
    t->silence_ns = nanoseconds(r->silence_ms);
    t->deadline_ns = add(llm_clock_ns(), nanoseconds(r->deadline_ms));
    t->max_bytes = r->max_bytes ? r->max_bytes : LLM_HTTP_MAX_BYTES;
    t->skim = r->skim;
    llm_skim_memo_init(&t->memo);
    snprintf(t->frame, sizeof t->frame, "%s", r->frame ? r->frame : "json");
    if (llm_op_init(&t->op, http->loop, on_expire) == 0 &&
        llm_buffer_append(&t->body, r->body, r->body_len) == 0) {
        return t;
    }
    llm_transfer_cancel(t);
    return NULL;
}

llm_transfer *llm_transfer_start(llm_http *http, const llm_request *request, llm_err *err) {
    llm_easy *easy = llm_easy_acquire(http, request, err);
    if (!easy) return NULL;
    llm_transfer *t = transfer_new(http, request);
    if (!t) {
        llm_easy_release(http, easy, true);
        return llm_fail(err, LLM_ENOMEM, "out of memory"), NULL;
    }
    const llm_curl *curl = http->curl;
    const char *body = llm_buffer_len(&t->body) ? llm_buffer_data(&t->body) : "";
    bool is_crowded = http->transfers > CROWD;
    curl->easy_setopt(
        easy->curl, CURLOPT_BUFFERSIZE, is_crowded ? SMALL_BUFFER : (long)CURL_MAX_WRITE_SIZE);
    curl->easy_setopt(easy->curl, CURLOPT_PRIVATE, t);
    curl->easy_setopt(easy->curl, CURLOPT_HEADERDATA, t);
    curl->easy_setopt(easy->curl, CURLOPT_WRITEDATA, t);
    curl->easy_setopt(easy->curl, CURLOPT_PREREQDATA, t);
    if (strcmp(request->method, "POST") == 0) {
        curl->easy_setopt(easy->curl, CURLOPT_POSTFIELDS, body);
        curl->easy_setopt(
            easy->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)llm_buffer_len(&t->body));
    }
    t->easy = easy;
    CURLMcode rc = curl->multi_add_handle(http->multi, easy->curl);
    if (rc == CURLM_OK) return set_due(t), t;
    t->easy = NULL;
    llm_easy_release(http, easy, false);
    llm_transfer_cancel(t);
    return llm_fail(err, LLM_ENOMEM, "libcurl refuses the request"), NULL;
}

void llm_transfer_cancel(llm_transfer *t) {
    if (!t) return;
    llm_http *http = t->http;
    detach(t);
    llm_op_clear(&t->op);
    llm_framer_free(t->framer);
    llm_skim_memo_clear(&t->memo);
    llm_buffer_clear(&t->body);
    llm_buffer_clear(&t->headers);
    llm_buffer_clear(&t->records);
    free(t);
    llm_http_release(http);
}

/* --- what the owner reads -------------------------------------------------------------------------- */

static int show_record(llm_transfer *t, llm_item *item) {
    head h;
    const char *at = llm_buffer_data(&t->records);
    memcpy(&h, at, sizeof h);
    at += sizeof h;
    *item = (llm_item){h.kind, at, at + h.event_len, h.event_len, h.data_len};
    t->taken = sizeof h + h.event_len + h.data_len;
    if (t->taken == llm_buffer_len(&t->records)) t->open_text = 0;
    return 1;
}

/* The last frame may lack its terminator, and a body is known to be whole only now. */
static int show_rest(llm_transfer *t, llm_item *item) {
    llm_frame frame;
    t->finished = true;
    if (!t->framer || t->error.code) return 0;
    if (llm_framer_finish(t->framer, &frame, &t->error) != 1) return 0;
    bool is_body = strcmp(t->framer->type->name, "json") == 0;
    *item = (llm_item){is_body ? LLM_ITEM_EVENT : LLM_ITEM_REST, frame.event, frame.data,
        frame.event_len, frame.data_len};
    return 1;
}

static void resume(llm_transfer *t) {
    t->paused = false;
    t->content_ns = llm_clock_ns();
    if (!t->easy) return;
    CURLcode result = t->http->curl->easy_pause(t->easy->curl, CURLPAUSE_CONT);
    if (result != CURLE_OK) llm_transfer_finished(t, result); /* the multi handle never hears it */
}

int llm_transfer_next(llm_transfer *t, llm_item *item) {
    if (t->taken) {
        llm_buffer_take(&t->records, t->taken);
        t->taken = 0;
        if (!llm_buffer_len(&t->records)) llm_buffer_reset(&t->records, KEPT);
    }
    if (!llm_buffer_len(&t->records) && t->paused) resume(t);
    if (llm_buffer_len(&t->records)) return show_record(t, item);
    if (!t->over) {
        t->op.ready = false;
        return 0;
    }
    if (!t->finished && show_rest(t, item)) return 1;
    *item = (llm_item){.kind = t->error.code ? LLM_ITEM_ERROR : LLM_ITEM_END};
    return 1;
}

llm_op *llm_transfer_op(llm_transfer *t) { return &t->op; }
long llm_transfer_status(const llm_transfer *t) { return t->status; }
const llm_buffer *llm_transfer_headers(const llm_transfer *t) { return &t->headers; }
const llm_err *llm_transfer_error(const llm_transfer *t) { return &t->error; }
bool llm_transfer_sent(const llm_transfer *t) { return t->sent; }

const llm_buffer *llm_transfer_resumption(const llm_transfer *t, uint32_t *retry_ms) {
    bool is_stream = t->framer && t->framer->type == &llm_sse_type;
    return is_stream ? llm_sse_resumption(t->framer, retry_ms) : NULL;
}

const char *llm_transfer_phase(const llm_transfer *t) {
    if (t->over && !t->error.code) return "done";
    return !t->started ? "connect" : !t->content ? "response" : "stream";
}
