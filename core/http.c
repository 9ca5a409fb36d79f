/* http: the multi handle behind the loop, and the pool of easy handles. See http.h. */
#include "http.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http_private.h"

enum {
    DEFAULT_CONNECTIONS = 100,
    DEFAULT_CONNECTIONS_PER_HOST = 30,
    KEEP_ALIVE_S = 30,
    IDLE_EASIES = 256, /* kept for reuse; about 6 kB each */
    SEARCHED = 4,      /* how many idle handles are looked at for the same setup */
};

static const char ca_directory[] = "/etc/ssl/certs";
static const char ca_bundle[] = "/etc/ssl/certs/ca-certificates.crt";

/* --- libcurl's multi handle ------------------------------------------------------------------- */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *socket_user) {
    (void)easy, (void)socket_user;
    llm_http *http = user;
    unsigned events = what == CURL_POLL_REMOVE ? 0 : (unsigned)what & (LLM_READ | LLM_WRITE);
    return llm_loop_watch(http->loop, fd, events, &http->source);
}

static curl_socket_t on_open(void *user, curlsocktype purpose, struct curl_sockaddr *address) {
    (void)purpose;
    llm_http *http = user;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd < 0) return CURL_SOCKET_BAD;
    if (llm_loop_announce(http->loop, fd) == 0) return fd;
    close(fd); /* libcurl would not hear that it cannot be watched, and wait for ever */
    return CURL_SOCKET_BAD;
}

static int on_close(void *user, curl_socket_t fd) {
    llm_http *http = user;
    llm_loop_forget(http->loop, fd);
    return close(fd);
}

static int on_timer(CURLM *multi, long timeout_ms, void *user) {
    (void)multi;
    llm_http *http = user;
    uint64_t due = timeout_ms < 0 ? LLM_NEVER : llm_loop_now(http->loop);
    if (timeout_ms > 0) due = llm_clock_ns() + (uint64_t)timeout_ms * 1000000;
    llm_source_due(&http->source, due);
    return 0;
}

static void collect(llm_http *http) {
    int left;
    for (CURLMsg *message; (message = http->curl->multi_info_read(http->multi, &left));) {
        if (message->msg != CURLMSG_DONE) continue;
        CURLcode result = message->data.result;
        llm_transfer *t = NULL;
        http->curl->easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&t);
        llm_transfer_finished(t, result);
    }
}

static void on_io(llm_source *source, int fd, unsigned events) {
    llm_http *http = (llm_http *)source;
    int running;
    int mask = (int)(events & (LLM_READ | LLM_WRITE));
    http->curl->multi_socket_action(http->multi, fd, mask, &running);
    collect(http);
}

static void on_due(llm_source *source) {
    llm_http *http = (llm_http *)source;
    int running;
    http->curl->multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(http);
}

static int open_multi(llm_http *http, llm_err *err) {
    if (llm_loop_foreign(http->loop)) {
        return llm_fail(err, LLM_ECLOSED, "the HTTP client was created in another process");
    }
    if (http->multi) return 0;
    const llm_curl *curl = llm_curl_open(err);
    if (!curl) return LLM_ESYSTEM;
    CURLM *multi = curl->multi_init();
    if (!multi) return llm_fail(err, LLM_ENOMEM, "out of memory");
    curl->multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl->multi_setopt(multi, CURLMOPT_SOCKETDATA, http);
    curl->multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl->multi_setopt(multi, CURLMOPT_TIMERDATA, http);
    long total = http->limits.max_connections, host = http->limits.max_connections_per_host;
    if (!total) total = DEFAULT_CONNECTIONS;
    curl->multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, total);
    curl->multi_setopt(multi, CURLMOPT_MAXCONNECTS, total); /* idle ones are kept as well */
    curl->multi_setopt(
        multi, CURLMOPT_MAX_HOST_CONNECTIONS, host ? host : (long)DEFAULT_CONNECTIONS_PER_HOST);
    http->curl = curl;
    http->multi = multi;
    return 0;
}

llm_http *llm_http_new(llm_loop *loop, const llm_http_limits *limits, llm_err *err) {
    llm_http *http = calloc(1, sizeof *http);
    if (!http) return llm_fail(err, LLM_ENOMEM, "out of memory"), NULL;
    http->loop = loop;
    if (limits) http->limits = *limits;
    http->source.io = on_io;
    http->source.timer = on_due;
    llm_source_init(&http->source, loop);
    return http;
}

/* --- easy handles ------------------------------------------------------------------------------- */

static void easy_free(const llm_curl *curl, llm_easy *easy) {
    curl->easy_cleanup(easy->curl);
    curl->slist_free_all(easy->headers);
    llm_buffer_clear(&easy->setup);
    free(easy);
}

static void free_if_unused(llm_http *http) {
    if (!http->released || http->transfers) return;
    bool ours = !llm_loop_foreign(http->loop); /* a child leaves the parent's connections alone */
    while (ours && http->idle) {
        llm_easy *easy = http->idle;
        http->idle = easy->next;
        easy_free(http->curl, easy);
    }
    if (ours && http->multi) http->curl->multi_cleanup(http->multi);
    llm_source_clear(&http->source);
    llm_buffer_clear(&http->setup);
    free(http);
}

void llm_http_free(llm_http *http) {
    if (!http) return;
    http->released = true;
    free_if_unused(http);
}

void llm_http_retain(llm_http *http) { http->transfers++; }

void llm_http_release(llm_http *http) {
    http->transfers--;
    free_if_unused(http);
}

static int add_setup(llm_buffer *setup, const char *text) {
    return llm_buffer_append(setup, text ? text : "", text ? strlen(text) + 1 : 1);
}

static int describe(llm_buffer *setup, const llm_request *r) {
    llm_buffer_reset(setup, 1 << 16);
    const char *parts[] = {r->method, r->url, r->headers, r->ca_file, r->proxy};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (add_setup(setup, parts[i])) return LLM_ENOMEM;
    }
    return llm_buffer_append(setup, &r->connect_ms, sizeof r->connect_ms);
}

static int set_headers(const llm_curl *curl, llm_easy *easy, const char *lines) {
    struct curl_slist *list = curl->slist_append(NULL, "Expect:");
    size_t len;
    for (const char *line = lines; list && line && *line; line += len + 1) {
        char text[LLM_HTTP_MAX_HEADERS / 16];
        len = strcspn(line, "\n");
        if (len >= sizeof text) return curl->slist_free_all(list), LLM_EINVAL;
        memcpy(text, line, len);
        text[len] = '\0';
        struct curl_slist *longer = curl->slist_append(list, text);
        if (!longer) curl->slist_free_all(list);
        list = longer;
    }
    if (!list) return LLM_ENOMEM;
    curl->slist_free_all(easy->headers);
    easy->headers = list;
    return curl->easy_setopt(easy->curl, CURLOPT_HTTPHEADER, list) ? LLM_ENOMEM : 0;
}

static void set_security(const llm_curl *curl, CURL *easy, const llm_request *r) {
    curl->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl->easy_setopt(easy, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
    if (strncmp(r->url, "http://", 7) == 0 && !r->proxy) {
        curl->easy_setopt(easy, CURLOPT_NOPROXY, "*");
    }
    if (r->proxy) curl->easy_setopt(easy, CURLOPT_PROXY, r->proxy);
    if (r->ca_file) {
        curl->easy_setopt(easy, CURLOPT_CAINFO, r->ca_file);
        curl->easy_setopt(easy, CURLOPT_CAPATH, NULL);
    } else if (access(ca_bundle, R_OK) == 0) {
        /* The bundle is there, so the hashed directory beside it is too, and nothing of that is
         * read before a certificate asks for it; the bundle would be parsed whole each time. */
        curl->easy_setopt(easy, CURLOPT_CAINFO, NULL);
        curl->easy_setopt(easy, CURLOPT_CAPATH, ca_directory);
    }
}

static int set_up(llm_http *http, llm_easy *easy, const llm_request *r) {
    const llm_curl *curl = http->curl;
    curl->easy_reset(easy->curl);
    curl->easy_setopt(easy->curl, CURLOPT_NOSIGNAL, 1L);
    curl->easy_setopt(easy->curl, CURLOPT_QUICK_EXIT, 1L);
    curl->easy_setopt(easy->curl, CURLOPT_ERRORBUFFER, easy->error);
    curl->easy_setopt(easy->curl, CURLOPT_MAXAGE_CONN, (long)KEEP_ALIVE_S);
    curl->easy_setopt(easy->curl, CURLOPT_TCP_KEEPALIVE, 1L);
    curl->easy_setopt(easy->curl, CURLOPT_ACCEPT_ENCODING, "");
    curl->easy_setopt(
        easy->curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L); /* the proxy's are no reply */
    curl->easy_setopt(
        easy->curl, CURLOPT_CONNECTTIMEOUT_MS, r->connect_ms ? (long)r->connect_ms : 86400000L);
    if (strcmp(r->method, "POST") == 0) {
        curl->easy_setopt(easy->curl, CURLOPT_POST, 1L);
    } else {
        curl->easy_setopt(easy->curl, CURLOPT_CUSTOMREQUEST, r->method);
    }
    set_security(curl, easy->curl, r);
    curl->easy_setopt(easy->curl, CURLOPT_OPENSOCKETFUNCTION, on_open);
    curl->easy_setopt(easy->curl, CURLOPT_OPENSOCKETDATA, http);
    curl->easy_setopt(easy->curl, CURLOPT_CLOSESOCKETFUNCTION, on_close);
    curl->easy_setopt(easy->curl, CURLOPT_CLOSESOCKETDATA, http);
    llm_transfer_setup(curl, easy->curl);
    if (curl->easy_setopt(easy->curl, CURLOPT_URL, r->url)) return LLM_ENOMEM;
    return set_headers(curl, easy, r->headers);
}

static llm_easy *easy_new(const llm_curl *curl) {
    llm_easy *easy = calloc(1, sizeof *easy);
    if (!easy) return NULL;
    easy->curl = curl->easy_init();
    if (easy->curl) return easy;
    free(easy);
    return NULL;
}

static bool same(const llm_buffer *a, const llm_buffer *b) {
    size_t len = llm_buffer_len(a);
    return len == llm_buffer_len(b) && memcmp(llm_buffer_data(a), llm_buffer_data(b), len) == 0;
}

/* An idle handle: one with the wanted setup if it is among the first, else the first. */
static llm_easy *take_idle(llm_http *http) {
    llm_easy **at = &http->idle;
    for (int i = 0; i < SEARCHED && *at && !same(&(*at)->setup, &http->setup); i++) {
        at = &(*at)->next;
    }
    if (!*at || !same(&(*at)->setup, &http->setup)) at = &http->idle;
    llm_easy *easy = *at;
    if (easy) *at = easy->next, http->idle_count--;
    return easy;
}

llm_easy *llm_easy_acquire(llm_http *http, const llm_request *request, llm_err *err) {
    int rc = open_multi(http, err);
    if (rc) return NULL;
    if (describe(&http->setup, request)) return llm_fail(err, LLM_ENOMEM, "out of memory"), NULL;
    llm_easy *easy = take_idle(http);
    if (!easy) easy = easy_new(http->curl);
    if (!easy) return llm_fail(err, LLM_ENOMEM, "out of memory"), NULL;
    easy->error[0] = '\0';
    if (same(&easy->setup, &http->setup)) return easy;
    llm_buffer_reset(&easy->setup, 1 << 16);
    rc = set_up(http, easy, request);
    if (rc == 0) {
        const llm_buffer *setup = &http->setup;
        rc = llm_buffer_append(&easy->setup, llm_buffer_data(setup), llm_buffer_len(setup));
    }
    if (rc == 0) return easy;
    llm_fail(err, rc, rc == LLM_EINVAL ? "a request header is too long" : "out of memory");
    llm_easy_release(http, easy, false);
    return NULL;
}

void llm_easy_release(llm_http *http, llm_easy *easy, bool is_reusable) {
    if (!is_reusable || http->idle_count >= IDLE_EASIES) {
        easy_free(http->curl, easy);
        return;
    }
    easy->next = http->idle;
    http->idle = easy;
    http->idle_count++;
}
