/* The answers. Three tables (whole answers, endless ones, redirects) and the few that need code.
 * A good answer says "Hello, world" in three deltas, then usage 9 in, 3 out. */
#include "faults.h"
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DATA(json) "data: " json "\n\n"
#define HEAD "\"id\":\"chatcmpl-1\",\"created\":1700000000,\"model\":\"gpt-4o-mini\","
#define CHUNK(delta, finish)                                                                       \
    DATA(                                                                                          \
        "{" HEAD "\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":" delta \
        ",\"finish_reason\":" finish "}]}")
#define SAY(text) CHUNK("{\"content\":\"" text "\"}", "null")
#define ROLE CHUNK("{\"role\":\"assistant\",\"content\":\"\"}", "null")
#define FINISH CHUNK("{}", "\"stop\"")
#define USAGE_JSON "\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3,\"total_tokens\":12}"
#define USAGE DATA("{" HEAD "\"object\":\"chat.completion.chunk\",\"choices\":[]," USAGE_JSON "}")
#define DONE DATA("[DONE]")
#define HELLO ROLE SAY("Hello")
#define GOOD HELLO SAY(", ") SAY("world") FINISH USAGE DONE
#define PLAIN                                                                                  \
    "{" HEAD "\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":{\"role\":" \
    "\"assistant\",\"content\":\"Hello, world\"},\"finish_reason\":\"stop\"}]," USAGE_JSON "}"
#define ERROR(message, type, code) \
    "{\"error\":{\"message\":\"" message "\",\"type\":\"" type "\",\"code\":\"" code "\"}}"
#define OVERLOADED ERROR("The server is overloaded", "server_error", "overloaded")

#define STATUS(line) "HTTP/1.1 " line "\r\n"
#define OK STATUS("200 OK")
#define JSON "Content-Type: application/json\r\n"
#define SSE "Content-Type: text/event-stream\r\n"
#define HTML "Content-Type: text/html\r\n"

enum framing { RAW, LENGTH, CHUNKED }; /* how the body follows the head */
enum then { KEEP, CLOSE, RESET, HOLD };
struct canned {
    const char *name, *head, *body;
    enum framing framing;
    enum then then; /* after CHUNKED, only KEEP sends the last chunk */
};

static const struct canned answers[] = {
    {"ok-stream", OK SSE, GOOD, CHUNKED, KEEP},
    {"ok-plain", OK JSON, PLAIN, LENGTH, KEEP},
    /* silence and broken connections */
    {"reset-after-send", "", "", RAW, RESET},
    {"close-after-send", "", "", RAW, CLOSE},
    {"stall-before-headers", "", "", RAW, HOLD},
    {"stall-after-headers", OK SSE, "", CHUNKED, HOLD},
    {"stall-after-first-event", OK SSE, HELLO, CHUNKED, HOLD},
    {"half-body-stall", OK JSON "Content-Length: 5000\r\n\r\n{\"id\":\"1\",\"choi", "", RAW, HOLD},
    {"reset-after-first-event", OK SSE, HELLO, CHUNKED, RESET},
    /* ends that are none, and an end that is one although the connection stays */
    {"no-terminal", OK SSE, HELLO SAY(", "), CHUNKED, KEEP},
    {"no-terminal-close", OK SSE "\r\n" HELLO SAY(", "), "", RAW, CLOSE},
    {"cut-in-json-line", OK SSE, HELLO "data: {\"choices\":[{\"index\":0,\"del", CHUNKED, KEEP},
    {"short-content-length", OK JSON "Content-Length: 5000\r\n\r\n" PLAIN, "", RAW, CLOSE},
    {"no-final-chunk", OK SSE, HELLO, CHUNKED, CLOSE},
    {"done-no-final-chunk", OK SSE, GOOD, CHUNKED, CLOSE},
    {"done-hold", OK SSE, GOOD, CHUNKED, HOLD},
    /* bodies that are not what was asked for */
    {"html-200", OK HTML, "<html><body>Please log in to this network</body></html>", LENGTH, KEEP},
    {"json-for-stream", OK JSON, PLAIN, LENGTH, KEEP},
    {"empty-200", OK JSON, "", LENGTH, KEEP},
    {"empty-stream", OK SSE, "", CHUNKED, KEEP},
    {"braces-200", OK JSON, "{}", LENGTH, KEEP},
    {"status-204", STATUS("204 No Content") "\r\n", "", RAW, KEEP},
    {"bad-json", OK SSE, HELLO DATA("{\"choices\":[{]}"), CHUNKED, KEEP},
    /* not HTTP */
    {"garbage", "\x16\x03\x01 no protocol at all\r\n\xff\xfe\r\n\r\n", "", RAW, CLOSE},
    {"http09", "Hello, world\n", "", RAW, CLOSE},
    {"bad-chunk-size", OK SSE "Transfer-Encoding: chunked\r\n\r\nzz\r\n" HELLO, "", RAW, CLOSE},
    {"negative-content-length", OK JSON "Content-Length: -5\r\n\r\n" PLAIN, "", RAW, CLOSE},
    {"huge-content-length", OK JSON "Content-Length: 99999999999999999999\r\n\r\n" PLAIN, "", RAW,
        CLOSE},
    {"double-content-length", OK JSON "Content-Length: 5\r\nContent-Length: 7\r\n\r\n" PLAIN, "",
        RAW, CLOSE},
    {"length-and-chunked", OK SSE "Content-Length: 5\r\n", GOOD, CHUNKED, CLOSE},
    {"bad-encoding", OK SSE "Content-Encoding: gzip\r\n", GOOD, CHUNKED, KEEP},
    /* what the provider says went wrong */
    {"error-first", OK SSE, "event: error\n" DATA(OVERLOADED), CHUNKED, KEEP},
    {"error-mid", OK SSE, HELLO DATA(OVERLOADED), CHUNKED, KEEP},
    {"error-200", OK JSON, OVERLOADED, LENGTH, KEEP},
    {"s429", STATUS("429 Too Many Requests") JSON "Retry-After: 0\r\nretry-after-ms: 10\r\n",
        ERROR("Rate limit reached", "requests", "rate_limit_exceeded"), LENGTH, KEEP},
    {"s429-long", STATUS("429 Too Many Requests") JSON "Retry-After: 999\r\n",
        ERROR("Rate limit reached", "requests", "rate_limit_exceeded"), LENGTH, KEEP},
    {"s429-quota", STATUS("429 Too Many Requests") JSON,
        ERROR("You exceeded your current quota", "insufficient_quota", "insufficient_quota"),
        LENGTH, KEEP},
    {"s500", STATUS("500 Internal Server Error") JSON,
        ERROR("The server had an error", "server_error", "internal"), LENGTH, KEEP},
    {"s503", STATUS("503 Service Unavailable") JSON "Retry-After: 0\r\n", OVERLOADED, LENGTH, KEEP},
    {"s400-context", STATUS("400 Bad Request") JSON,
        ERROR("This model's maximum context length is 128000 tokens", "invalid_request_error",
            "context_length_exceeded"),
        LENGTH, KEEP},
    {"s404-model", STATUS("404 Not Found") JSON,
        ERROR("The model `nope` does not exist", "invalid_request_error", "model_not_found"),
        LENGTH, KEEP},
    {"html-502", STATUS("502 Bad Gateway") HTML, "<html><h1>502 Bad Gateway</h1></html>", LENGTH,
        KEEP},
};

/* Answers that never end: the text again and again, step bytes at a time (0: all of it). */
static const struct endless {
    const char *name, *head, *text;
    size_t step; /* bytes */
    int pause_ms;
} endless[] = {
    {"keepalive-only", OK SSE "\r\n", ": keep-alive\n\n", 0, 20},
    {"keepalive-after-first-event", OK SSE "\r\n" HELLO, ": keep-alive\n\n", 0, 20},
    {"empty-deltas", OK SSE "\r\n" ROLE, SAY(""), 0, 20},
    {"slow-bytes", OK SSE "\r\n", SAY("Hello"), 1, 20},
    {"slow-headers", "", OK SSE, 1, 20},
    {"endless-headers", OK SSE, "X-Filler: and one more\r\n", 0, 0},
    {"endless-103", "", STATUS("103 Early Hints") "Link: </style.css>\r\n\r\n", 0, 0},
    {"endless-body", OK JSON "\r\n{\"id\":\"", "0123456789abcdef", 0, 0},
    {"endless-line", OK SSE "\r\ndata: {\"id\":\"", "0123456789abcdef", 0, 0},
    {"endless-events", OK SSE "\r\n" ROLE, SAY("Hello"), 0, 0},
    {"endless-text", OK SSE "\r\n" ROLE, SAY("Hello"), 0, 20},
};

/* redirect-CODE-FORM; each form holds "%d" for the port it leads to, if any. */
static const struct form {
    const char *name, *location;
    bool to_other;
} forms[] = {
    {"port", "http://127.0.0.1:%d/ok/v1/chat/completions", true},
    {"host", "http://localhost:%d/ok/v1/chat/completions", true},
    {"https", "https://127.0.0.1:%d/ok/v1/chat/completions", true},
    {"slashes", "//127.0.0.1:%d/ok/v1/chat/completions", true},
    {"user", "http://api.openai.com@127.0.0.1:%d/ok/v1/chat/completions", true},
    {"chain", "http://127.0.0.1:%d/redirect-307-back/v1/chat/completions", true},
    {"back", "http://127.0.0.1:%d/ok/v1/chat/completions", false},
    {"same", "/ok/v1/chat/completions", false},
    {"meta", "http://169.254.169.254/", false},
    {"file", "file:///etc/passwd", false},
    {"gopher", "gopher://127.0.0.1:%d/1", true},
    {"dict", "dict://127.0.0.1:%d/d:x", true},
    {"ftp", "ftp://127.0.0.1:%d/x", true},
};

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

bool llm_fault_send(llm_fault_conn *conn, const void *bytes, size_t len) {
    const char *at = bytes;
    while (len > 0) {
        ssize_t sent = send(conn->fd, at, len, MSG_NOSIGNAL);
        if (sent <= 0) return false;
        at += sent;
        len -= (size_t)sent;
    }
    return true;
}

static bool put(llm_fault_conn *conn, const char *text) {
    return llm_fault_send(conn, text, strlen(text));
}

static void pause_for(int duration_ms) { poll(NULL, 0, duration_ms); }

static bool put_chunk(llm_fault_conn *conn, const char *bytes, size_t len) {
    char *chunk = malloc(len + 24);
    if (!chunk) return false;
    int size = snprintf(chunk, 24, "%zx\r\n", len);
    memcpy(chunk + size, bytes, len);
    memcpy(chunk + (size_t)size + len, "\r\n", 2);
    bool sent = llm_fault_send(conn, chunk, (size_t)size + len + 2);
    free(chunk);
    return sent;
}

/* One chunk and one write an event, as vendors do. */
static bool put_events(llm_fault_conn *conn, const char *events) {
    while (*events) {
        const char *end = strstr(events, "\n\n");
        size_t len = end ? (size_t)(end + 2 - events) : strlen(events);
        if (!put_chunk(conn, events, len)) return false;
        events += len;
    }
    return true;
}

static bool put_with_length(llm_fault_conn *conn, const char *head, const char *body) {
    char length[48];
    snprintf(length, sizeof length, "Content-Length: %zu\r\n\r\n", strlen(body));
    return put(conn, head) && put(conn, length) && put(conn, body);
}

bool llm_fault_answer_text(llm_fault_conn *conn, const char *text) {
    return put_with_length(conn, OK "Content-Type: text/plain\r\n", text);
}

/* Until the client gives up. */
static void hold(llm_fault_conn *conn) {
    char byte;
    while (recv(conn->fd, &byte, 1, 0) > 0) continue;
}

static bool answer_canned(llm_fault_conn *conn, const struct canned *answer) {
    switch (answer->framing) {
    case RAW: put(conn, answer->head); break;
    case LENGTH: put_with_length(conn, answer->head, answer->body); break;
    case CHUNKED:
        put(conn, answer->head);
        put(conn, "Transfer-Encoding: chunked\r\n\r\n");
        put_events(conn, answer->body);
        if (answer->then == KEEP) put(conn, "0\r\n\r\n");
        break;
    }
    if (answer->then == HOLD) hold(conn);
    if (answer->then == RESET) {
        pause_for(10); /* or the reset overtakes what was sent */
        setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    }
    return answer->then == KEEP;
}

static const struct canned *find_answer(const char *name) {
    for (size_t i = 0; i < COUNT(answers); i++)
        if (strcmp(answers[i].name, name) == 0) return &answers[i];
    return NULL;
}

static bool answer_ok(llm_fault_conn *conn) {
    bool stream =
        strstr(conn->request, "\"stream\":true") || strstr(conn->request, "\"stream\": true");
    return answer_canned(conn, find_answer(stream ? "ok-stream" : "ok-plain"));
}

static bool answer_endless(llm_fault_conn *conn, const struct endless *fault) {
    char block[65536]; /* the text as often as it fits, or once when it comes with pauses */
    size_t text_len = strlen(fault->text), len = 0;
    while (len == 0 || (!fault->pause_ms && len + text_len <= sizeof block)) {
        memcpy(block + len, fault->text, text_len);
        len += text_len;
    }
    size_t step = fault->step ? fault->step : len, at = 0;
    bool sent = put(conn, fault->head);
    while (sent) {
        sent = llm_fault_send(conn, block + at, step);
        at = (at + step) % len;
        if (fault->pause_ms) pause_for(fault->pause_ms);
    }
    return false;
}

static bool answer_redirect(llm_fault_conn *conn) {
    char head[512], location[256];
    int code = atoi(conn->name + strlen("redirect-"));
    const char *name = strrchr(conn->name, '-') + 1;
    if (strcmp(name, "self") == 0) {
        snprintf(location, sizeof location, "/%s/v1/chat/completions", conn->name);
    } else {
        const struct form *form = forms;
        while (form < forms + COUNT(forms) - 1 && strcmp(form->name, name) != 0) form++;
        const char *port = strstr(form->location, "%d");
        int before = port ? (int)(port - form->location) : (int)strlen(form->location);
        int length = snprintf(location, sizeof location, "%.*s", before, form->location);
        if (port)
            snprintf(location + length, sizeof location - (size_t)length, "%d%s",
                form->to_other ? conn->other_port : conn->port, port + 2);
    }
    snprintf(head, sizeof head, "HTTP/1.1 %d Elsewhere\r\nLocation: %s\r\n", code, location);
    return put_with_length(conn, head, "");
}

/* Says the key back, as OpenAI does (masked there, not here): nothing of it may reach a log. */
static bool answer_unauthorized(llm_fault_conn *conn) {
    char body[512], key[256] = "";
    const char *header = strcasestr(conn->request, "\r\nauthorization: bearer ");
    if (header) sscanf(header + 24, "%255[^\r]", key);
    snprintf(body, sizeof body,
        ERROR("Incorrect API key provided: %s", "invalid_request_error", "invalid_api_key"), key);
    return put_with_length(conn, STATUS("401 Unauthorized") JSON, body);
}

/* One header line of 400 kB; below, 1.2 MB in lines of 1 kB. */
static bool answer_huge_header(llm_fault_conn *conn) {
    char filler[1001];
    memset(filler, 'a', 1000);
    filler[1000] = '\0';
    bool sent = put(conn, OK JSON "X-Filler: ");
    for (int i = 0; i < 400 && sent; i++) sent = put(conn, filler);
    return sent && put(conn, "\r\n") && put_with_length(conn, "", PLAIN);
}

static bool answer_many_headers(llm_fault_conn *conn) {
    char filler[990], line[1024];
    memset(filler, 'a', sizeof filler - 1);
    filler[sizeof filler - 1] = '\0';
    bool sent = put(conn, OK JSON);
    for (int i = 0; i < 1200 && sent; i++) {
        snprintf(line, sizeof line, "X-Filler-%d: %s\r\n", i, filler);
        sent = put(conn, line);
    }
    return sent && put_with_length(conn, "", PLAIN);
}

/* A deflate block in which one zero byte stands for 1032 spaces: 300 kB become 310 MB. */
static bool answer_gzip_bomb(llm_fault_conn *conn) {
    static const unsigned char start[] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3, 0xed, 0xc1, 0x31, 1,
        0, 0, 0, 0xc2, 0xa0, 0x2a, 0xeb, 0x9f, 0xd2, 0x0c, 0xfe, 0x40, 1};
    static const char zeros[3000];
    bool sent = put(conn, OK SSE "Content-Encoding: gzip\r\nConnection: close\r\n\r\n") &&
                llm_fault_send(conn, start, sizeof start);
    for (int i = 0; i < 100 && sent; i++) sent = llm_fault_send(conn, zeros, sizeof zeros);
    return false;
}

/* A stored block that promises 4096 bytes and ends after the first deltas. */
static bool answer_truncated_gzip(llm_fault_conn *conn) {
    static const unsigned char start[] = {
        0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 0, 0x10, 0xff, 0xef};
    put(conn, OK SSE "Content-Encoding: gzip\r\nConnection: close\r\n\r\n");
    llm_fault_send(conn, start, sizeof start);
    put(conn, HELLO);
    return false;
}

/* Good once; the next request on the same connection is read and then left without an answer. */
static bool answer_keepalive_die(llm_fault_conn *conn) {
    return conn->turn == 1 && answer_ok(conn);
}

/* big-event-N: one delta of N MiB, then a good end. */
static bool answer_big_event(llm_fault_conn *conn) {
    static const char open[] = "data: {" HEAD "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"";
    int blocks = atoi(conn->name + strlen("big-event-")) * 16;
    char block[65536];
    memset(block, 'a', sizeof block);
    bool sent = put(conn, OK SSE "Connection: close\r\n\r\n" ROLE) && put(conn, open);
    for (int i = 0; i < blocks && sent; i++) sent = llm_fault_send(conn, block, sizeof block);
    if (sent) put(conn, "\"},\"finish_reason\":null}]}\n\n" FINISH USAGE DONE);
    return false;
}

/* Every byte a TCP segment of its own; the text has characters of two, three and four bytes. */
static bool answer_split(llm_fault_conn *conn) {
    static const char events[] =
        SAY("h\303\251llo \344\275\240\345\245\275 \360\237\230\200") FINISH DONE;
    bool sent = put(conn, OK SSE "Connection: close\r\n\r\n");
    for (size_t i = 0; i < sizeof events - 1 && sent; i++)
        sent = llm_fault_send(conn, events + i, 1);
    return false;
}

/* Lines end in CR LF, and each pair is cut between two segments. */
static bool answer_crlf(llm_fault_conn *conn) {
    const char *at = GOOD;
    bool sent = put(conn, OK SSE "Connection: close\r\n\r\n");
    while (*at && sent) {
        size_t len = strcspn(at, "\n");
        sent = llm_fault_send(conn, at, len) && put(conn, "\r") && put(conn, "\n");
        at += len + 1;
    }
    return false;
}

static const struct special {
    const char *name; /* the start of the fault's name */
    bool (*answer)(llm_fault_conn *conn);
} specials[] = {
    {"redirect-", answer_redirect},
    {"big-event-", answer_big_event},
    {"s401", answer_unauthorized},
    {"huge-header", answer_huge_header},
    {"many-headers", answer_many_headers},
    {"gzip-bomb", answer_gzip_bomb},
    {"truncated-gzip", answer_truncated_gzip},
    {"keepalive-die", answer_keepalive_die},
    {"utf8-split", answer_split},
    {"crlf", answer_crlf},
};

bool llm_fault_answer(llm_fault_conn *conn) {
    const struct canned *answer = find_answer(conn->name);
    if (answer) return answer_canned(conn, answer);
    for (size_t i = 0; i < COUNT(endless); i++)
        if (strcmp(endless[i].name, conn->name) == 0) return answer_endless(conn, &endless[i]);
    for (size_t i = 0; i < COUNT(specials); i++)
        if (strncmp(specials[i].name, conn->name, strlen(specials[i].name)) == 0)
            return specials[i].answer(conn);
    if (strcmp(conn->name, "ok") == 0) return answer_ok(conn);
    return put_with_length(conn, STATUS("404 Not Found") HTML, "no such fault\n");
}
