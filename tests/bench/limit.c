/* What C can do with libcurl: socket_action on our own epoll, NOSIGNAL, a bare scan for "content".
 *   limit BASE_URL stream COUNT     COUNT streams at once, their text printed as it comes
 *   limit BASE_URL calls COUNT AT_ONCE   plain calls; prints the sum of their total_tokens
 * It knows nothing of errors, escapes or retries: it is a bound, not a client. */
#include <curl/curl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

struct transfer {
    CURL *easy;
    char *rest; /* what is not yet scanned: an unfinished line, or the body so far */
    size_t rest_len, cap;
};

static struct {
    CURLM *multi;
    int epoll_fd, timeout_ms;
    bool stream;
    int to_start, active;
    long tokens;
    char url[512];
    struct curl_slist *headers;
} bench;

static void print_delta(const char *line, size_t len) {
    static const char key[] = "\"content\":\"";
    const char *text = memmem(line, len, key, sizeof key - 1);
    if (!text) return;
    text += sizeof key - 1;
    const char *end = memchr(text, '"', len - (size_t)(text - line));
    if (end) fwrite(text, 1, (size_t)(end - text), stdout);
}

/* Prints the whole lines and returns how many bytes they were. */
static size_t scan(const char *bytes, size_t len) {
    size_t start = 0;
    const char *end;
    while ((end = memchr(bytes + start, '\n', len - start))) {
        size_t line_len = (size_t)(end - bytes) - start;
        if (line_len > 6 && memcmp(bytes + start, "data: ", 6) == 0)
            print_delta(bytes + start, line_len);
        start = (size_t)(end - bytes) + 1;
    }
    return start;
}

static size_t receive(char *bytes, size_t size, size_t len, void *userdata) {
    struct transfer *transfer = userdata;
    (void)size;
    size_t used = bench.stream && transfer->rest_len == 0 ? scan(bytes, len) : 0;
    if (transfer->rest_len + len - used > transfer->cap) {
        transfer->cap = (transfer->rest_len + len) * 2;
        transfer->rest = realloc(transfer->rest, transfer->cap);
        if (!transfer->rest) exit(1);
    }
    memcpy(transfer->rest + transfer->rest_len, bytes + used, len - used);
    transfer->rest_len += len - used;
    if (!bench.stream || used > 0) return len;
    used = scan(transfer->rest, transfer->rest_len);
    transfer->rest_len -= used;
    memmove(transfer->rest, transfer->rest + used, transfer->rest_len);
    return len;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *userdata, void *known) {
    (void)easy, (void)userdata;
    struct epoll_event event = {.data.fd = fd};
    if (what & CURL_POLL_IN && what != CURL_POLL_REMOVE) event.events |= EPOLLIN;
    if (what & CURL_POLL_OUT && what != CURL_POLL_REMOVE) event.events |= EPOLLOUT;
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(bench.epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    } else {
        epoll_ctl(bench.epoll_fd, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
        if (!known) curl_multi_assign(bench.multi, fd, &bench);
    }
    return 0;
}

/* A timeout of 0, which nearly every step asks for, is acted on before the next wait. */
static int on_timer(CURLM *multi, long timeout_ms, void *userdata) {
    (void)multi, (void)userdata;
    bench.timeout_ms = (int)timeout_ms;
    return 0;
}

static void start(struct transfer *transfer) {
    bench.to_start--;
    bench.active++;
    transfer->rest_len = 0;
    curl_multi_add_handle(bench.multi, transfer->easy);
}

static void prepare(struct transfer *transfer) {
    static const char body[] = "{\"model\":\"gpt-4o-mini\",\"messages\":[{\"role\":\"user\","
                               "\"content\":\"hi\"}],\"stream\":true}";
    CURL *easy = transfer->easy = curl_easy_init();
    curl_easy_setopt(easy, CURLOPT_URL, bench.url);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, bench.headers);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
}

static void finish(CURLMsg *message) {
    static const char key[] = "\"total_tokens\":";
    struct transfer *transfer;
    if (message->data.result != CURLE_OK) exit(1);
    bench.active--;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
    curl_multi_remove_handle(bench.multi, transfer->easy);
    if (!bench.stream) {
        char *at = memmem(transfer->rest, transfer->rest_len, key, sizeof key - 1);
        if (!at) exit(1);
        bench.tokens += strtol(at + sizeof key - 1, NULL, 10);
    }
    if (bench.to_start > 0) start(transfer);
}

static void act(const struct epoll_event *event) {
    int flags = 0, running;
    if (event->events & EPOLLIN) flags |= CURL_CSELECT_IN;
    if (event->events & EPOLLOUT) flags |= CURL_CSELECT_OUT;
    if (event->events & (EPOLLERR | EPOLLHUP)) flags |= CURL_CSELECT_ERR;
    curl_multi_socket_action(bench.multi, event->data.fd, flags, &running);
}

static void run(void) {
    struct epoll_event events[256];
    CURLMsg *message;
    int left, running;
    while (bench.active > 0) {
        int count =
            bench.timeout_ms == 0 ? 0 : epoll_wait(bench.epoll_fd, events, 256, bench.timeout_ms);
        for (int i = 0; i < count; i++) act(&events[i]);
        if (count == 0) {
            bench.timeout_ms = -1;
            curl_multi_socket_action(bench.multi, CURL_SOCKET_TIMEOUT, 0, &running);
        }
        while ((message = curl_multi_info_read(bench.multi, &left))) finish(message);
    }
}

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    bench.stream = strcmp(argv[2], "stream") == 0;
    bench.to_start = atoi(argv[3]);
    int at_once = argc > 4 ? atoi(argv[4]) : bench.to_start;
    struct transfer *transfers = calloc((size_t)at_once, sizeof *transfers);
    if (!transfers) return 1;
    snprintf(bench.url, sizeof bench.url, "%s/chat/completions", argv[1]);
    curl_global_init(CURL_GLOBAL_ALL);
    bench.headers = curl_slist_append(bench.headers, "Content-Type: application/json");
    bench.headers = curl_slist_append(bench.headers, "Authorization: Bearer k");
    bench.epoll_fd = epoll_create1(0);
    bench.multi = curl_multi_init();
    curl_multi_setopt(bench.multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(bench.multi, CURLMOPT_TIMERFUNCTION, on_timer);
    for (int i = 0; i < at_once; i++) {
        prepare(&transfers[i]);
        start(&transfers[i]);
    }
    run();
    if (!bench.stream) printf("%ld\n", bench.tokens);
    return fflush(stdout) == 0 ? 0 : 1;
}
