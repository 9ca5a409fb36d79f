/* poller over poll(): no descriptor to hand out, so a host calls step often instead. */
#include "poller.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "loop.h"

struct llm_poller {
    struct pollfd *set;
    int count, capacity;
    int first; /* where to look for events next: busy descriptors must not hide others */
};

llm_poller *llm_poller_new(llm_err *err) {
    llm_poller *p = calloc(1, sizeof *p);
    if (!p) llm_fail(err, LLM_ENOMEM, "out of memory");
    return p;
}

void llm_poller_free(llm_poller *p) {
    if (p) free(p->set);
    free(p);
}

int llm_poller_fd(const llm_poller *p) {
    (void)p;
    return -1;
}

static short to_poll(unsigned events) {
    return (short)((events & LLM_READ ? POLLIN : 0) | (events & LLM_WRITE ? POLLOUT : 0) |
                   (events & LLM_HANGUP ? POLLRDHUP : 0));
}

static unsigned from_poll(short events) {
    return (events & (POLLIN | POLLHUP | POLLERR) ? LLM_READ : 0u) |
           (events & (POLLOUT | POLLERR) ? LLM_WRITE : 0u) |
           (events & (POLLRDHUP | POLLHUP | POLLERR) ? LLM_HANGUP : 0u);
}

static struct pollfd *find(llm_poller *p, int fd) {
    for (int i = 0; i < p->count; i++) {
        if (p->set[i].fd == fd) return &p->set[i];
    }
    return NULL;
}

int llm_poller_set(llm_poller *p, int fd, unsigned before, unsigned now) {
    (void)before;
    struct pollfd *entry = find(p, fd);
    if (!now) {
        if (entry) *entry = p->set[--p->count];
        return 0;
    }
    if (!entry && p->count == p->capacity) {
        int capacity = p->capacity ? p->capacity * 2 : 16;
        struct pollfd *set = realloc(p->set, (size_t)capacity * sizeof *set);
        if (!set) return LLM_ENOMEM;
        p->set = set, p->capacity = capacity;
    }
    if (!entry) entry = &p->set[p->count++];
    *entry = (struct pollfd){.fd = fd, .events = to_poll(now)};
    return 0;
}

int llm_poller_wait(llm_poller *p, uint64_t timeout_ns, llm_poller_event *events, int room) {
    uint64_t ms = timeout_ns / 1000000 + (timeout_ns % 1000000 != 0);
    int timeout_ms = timeout_ns == LLM_NEVER ? -1 : ms > 3600000 ? 3600000 : (int)ms;
    int count = poll(p->set, (nfds_t)p->count, timeout_ms);
    if (count < 0) return errno == EINTR ? 0 : LLM_ESYSTEM;
    int kept = 0;
    for (int i = 0; i < p->count && kept < room && kept < count; i++) {
        const struct pollfd *entry = &p->set[(p->first + i) % p->count];
        unsigned got = from_poll(entry->revents);
        if (got) events[kept++] = (llm_poller_event){entry->fd, got};
        if (kept == room) p->first = (p->first + i + 1) % p->count;
    }
    return kept;
}

void llm_poller_arm(llm_poller *p, uint64_t delay_ns) { (void)p, (void)delay_ns; }
