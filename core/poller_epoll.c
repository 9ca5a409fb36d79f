/* poller over epoll, with a timerfd in the set so that the one descriptor covers time as well. */
#include "poller.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "loop.h"

struct llm_poller {
    int epoll, timer;
};

static uint32_t to_epoll(unsigned events) {
    return (events & LLM_READ ? EPOLLIN : 0u) | (events & LLM_WRITE ? EPOLLOUT : 0u) |
           (events & LLM_HANGUP ? EPOLLRDHUP : 0u);
}

static unsigned from_epoll(uint32_t events) {
    return (events & (EPOLLIN | EPOLLHUP | EPOLLERR) ? LLM_READ : 0u) |
           (events & (EPOLLOUT | EPOLLERR) ? LLM_WRITE : 0u) |
           (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR) ? LLM_HANGUP : 0u);
}

llm_poller *llm_poller_new(llm_err *err) {
    llm_poller *p = malloc(sizeof *p);
    if (!p) return llm_fail(err, LLM_ENOMEM, "out of memory"), NULL;
    p->epoll = epoll_create1(EPOLL_CLOEXEC);
    p->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = p->timer};
    if (p->epoll < 0 || p->timer < 0 || epoll_ctl(p->epoll, EPOLL_CTL_ADD, p->timer, &event) < 0) {
        llm_fail(err, LLM_ESYSTEM, "cannot create the event loop: %s", strerror(errno));
        llm_poller_free(p);
        return NULL;
    }
    return p;
}

void llm_poller_free(llm_poller *p) {
    if (!p) return;
    if (p->timer >= 0) close(p->timer);
    if (p->epoll >= 0) close(p->epoll);
    free(p);
}

int llm_poller_fd(const llm_poller *p) { return p->epoll; }

int llm_poller_set(llm_poller *p, int fd, unsigned before, unsigned now) {
    struct epoll_event event = {.events = to_epoll(now), .data.fd = fd};
    int operation = !now ? EPOLL_CTL_DEL : before ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(p->epoll, operation, fd, &event) == 0 || !now) return 0;
    /* The descriptor was closed and its number given out again: the kernel has forgotten it. */
    if (errno == ENOENT) operation = EPOLL_CTL_ADD;
    if (errno == EEXIST) operation = EPOLL_CTL_MOD;
    return epoll_ctl(p->epoll, operation, fd, &event) == 0 ? 0 : LLM_ESYSTEM;
}

static int milliseconds(uint64_t timeout_ns) {
    if (timeout_ns == LLM_NEVER) return -1;
    uint64_t ms = timeout_ns / 1000000 + (timeout_ns % 1000000 != 0);
    return ms > 3600000 ? 3600000 : (int)ms; /* an hour at once is enough */
}

/* To the nanosecond where the kernel can (Linux 5.11), else to the millisecond. */
static int wait_events(int epoll, struct epoll_event *events, int room, uint64_t timeout_ns) {
    struct timespec timeout = {
        .tv_sec = (time_t)(timeout_ns / 1000000000),
        .tv_nsec = (long)(timeout_ns % 1000000000),
    };
    bool is_bounded = timeout_ns != LLM_NEVER;
    int count = epoll_pwait2(epoll, events, room, is_bounded ? &timeout : NULL, NULL);
    if (count >= 0 || errno != ENOSYS) return count;
    return epoll_wait(epoll, events, room, milliseconds(timeout_ns));
}

int llm_poller_wait(llm_poller *p, uint64_t timeout_ns, llm_poller_event *events, int room) {
    enum { BATCH = 128 };
    struct epoll_event got[BATCH];
    int count = wait_events(p->epoll, got, room < BATCH ? room : BATCH, timeout_ns);
    if (count < 0) return errno == EINTR ? 0 : LLM_ESYSTEM;
    int kept = 0;
    for (int i = 0; i < count; i++) {
        uint64_t expirations;
        if (got[i].data.fd != p->timer) {
            events[kept++] = (llm_poller_event){got[i].data.fd, from_epoll(got[i].events)};
        } else if (read(p->timer, &expirations, sizeof expirations) < 0) {
            continue; /* armed anew in between */
        }
    }
    return kept;
}

void llm_poller_arm(llm_poller *p, uint64_t delay_ns) {
    struct itimerspec when = {0};
    if (delay_ns != LLM_NEVER) {
        when.it_value.tv_sec = (time_t)(delay_ns / 1000000000);
        when.it_value.tv_nsec = (long)(delay_ns % 1000000000);
        if (delay_ns == 0) when.it_value.tv_nsec = 1; /* all zero would disarm */
    }
    timerfd_settime(p->timer, 0, &when, NULL);
}
