/* A server that streams at a model's pace: POST /INTERVAL_MS/EVENTS/... gets EVENTS deltas, one
 * each INTERVAL_MS, each in a write of its own. Streams that start together are spread over the
 * interval, as they would be in life. Prints its port; lives until it is killed.
 * Streams wait in one list in the order in which they are due. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

struct stream {
    int fd;
    int left;             /* events still to send; 0: reads a request */
    uint64_t interval_ns; /* between two of them */
    uint64_t due_ns;
    size_t request_len;
    char request[4096];
    struct stream *next, *previous; /* the list of those with events left */
};

static struct stream queue = {.next = &queue, .previous = &queue};
static int epoll_fd, timer_fd;

#define CHUNK(delta, finish)                                                                     \
    "data: {\"id\":\"chatcmpl-Ax4mWq0Yw2P9s8Zb\",\"object\":\"chat.completion.chunk\","          \
    "\"created\":1700000000,\"model\":\"gpt-4o-mini\",\"system_fingerprint\":\"fp_b705f0c291\"," \
    "\"choices\":[{\"index\":0,\"delta\":" delta ",\"finish_reason\":" finish "}]}\n\n"
static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                           "Connection: close\r\n\r\n" CHUNK("{\"role\":\"assistant\"}", "null");
static const char delta[] = CHUNK("{\"content\":\" token\"}", "null");
static const char tail[] = CHUNK("{}", "\"stop\"") "data: [DONE]\n\n";

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static void unlink_stream(struct stream *stream) {
    stream->next->previous = stream->previous;
    stream->previous->next = stream->next;
}

/* Nearly always the last place, since all intervals of a run are alike. */
static void enqueue(struct stream *stream) {
    struct stream *after = queue.previous;
    while (after != &queue && after->due_ns > stream->due_ns) after = after->previous;
    stream->previous = after;
    stream->next = after->next;
    after->next->previous = stream;
    after->next = stream;
}

static void set_timer(void) {
    struct itimerspec when = {{0, 0}, {0, 0}};
    if (queue.next != &queue) {
        when.it_value.tv_sec = (time_t)(queue.next->due_ns / 1000000000U);
        when.it_value.tv_nsec = (long)(queue.next->due_ns % 1000000000U);
    }
    timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void send_due(void) {
    uint64_t expirations, now = now_ns();
    if (read(timer_fd, &expirations, sizeof expirations) < 0 && errno != EAGAIN) exit(1);
    while (queue.next != &queue && queue.next->due_ns <= now) {
        struct stream *stream = queue.next;
        unlink_stream(stream);
        send(stream->fd, delta, sizeof delta - 1, 0);
        stream->due_ns += stream->interval_ns;
        if (--stream->left > 0) {
            enqueue(stream);
        } else {
            send(stream->fd, tail, sizeof tail - 1, 0);
            shutdown(stream->fd, SHUT_WR);
        }
    }
    set_timer();
}

static void start(struct stream *stream) {
    static uint64_t streams;
    int interval_ms = 0, events = 0;
    sscanf(stream->request, "POST /%d/%d/", &interval_ms, &events);
    stream->left = events;
    stream->interval_ns = (uint64_t)interval_ms * 1000000U;
    /* the golden ratio spreads any number of streams evenly */
    uint64_t phase = streams++ * 618034U % 1000000U;
    stream->due_ns = now_ns() + stream->interval_ns * phase / 1000000U;
    send(stream->fd, head, sizeof head - 1, 0);
    enqueue(stream);
    set_timer();
}

static void drop(struct stream *stream) {
    if (stream->left > 0) unlink_stream(stream);
    close(stream->fd);
    free(stream);
}

static void read_from(struct stream *stream) {
    size_t room = sizeof stream->request - 1 - stream->request_len;
    ssize_t count = recv(stream->fd, stream->request + stream->request_len, room, 0);
    if (count <= 0) {
        drop(stream);
        return;
    }
    stream->request_len += (size_t)count;
    stream->request[stream->request_len] = '\0';
    const char *body = strstr(stream->request, "\r\n\r\n");
    const char *length = strcasestr(stream->request, "content-length:");
    if (!body || stream->interval_ns) return;
    size_t body_len = length ? strtoul(length + 15, NULL, 10) : 0;
    if (stream->request_len >= (size_t)(body + 4 - stream->request) + body_len) start(stream);
}

static void accept_stream(int listener) {
    struct stream *stream = calloc(1, sizeof *stream);
    if (!stream) exit(1);
    stream->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    setsockopt(stream->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = stream};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, stream->fd, &event);
}

int main(void) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    struct epoll_event events[256], event = {.events = EPOLLIN};
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    signal(SIGPIPE, SIG_IGN);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 4096)) return 1;
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    epoll_fd = epoll_create1(0);
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    event.data.ptr = &listener;
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event);
    event.data.ptr = &timer_fd;
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &event);
    for (;;) {
        int count = epoll_wait(epoll_fd, events, 256, -1);
        for (int i = 0; i < count; i++) {
            void *source = events[i].data.ptr;
            if (source == &listener)
                accept_stream(listener);
            else if (source == &timer_fd)
                send_due();
            else
                read_from(source);
        }
    }
}
