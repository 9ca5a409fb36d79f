/* loop: see loop.h. Timers stand in a binary heap by a lower bound of their time (moving a timer
 * later touches nothing); descriptors in a table by number; what is ready in a linked queue. */
#include "loop.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "poller.h"

typedef struct slot {
    llm_source *source;
    unsigned wanted, registered;
    bool announced; /* stays registered while nobody wants it, see llm_loop_announce */
} slot;

struct llm_loop {
    llm_poller *poller;
    llm_source *sources;
    slot *slots; /* by descriptor */
    int slot_count;
    llm_op **heap; /* heap[1 … heap_count], capacity at least live + 1 */
    uint32_t heap_count, heap_capacity, live;
    llm_op *first, *last; /* ready queue */
    uint64_t next_id, now_ns, armed_ns;
    unsigned generation;
    bool exported; /* somebody polls our descriptor: keep its timer armed */
    bool released; /* by its owner: gone with the last operation and source */
};

/* Counts forks, so that a loop knows that it was inherited. The only state outside a loop. */
static atomic_uint fork_generation;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static void forked(void) { atomic_fetch_add(&fork_generation, 1); }
static void watch_forks(void) { pthread_atfork(NULL, NULL, forked); }

uint64_t llm_clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

llm_loop *llm_loop_new(llm_err *err) {
    pthread_once(&fork_once, watch_forks);
    llm_loop *loop = calloc(1, sizeof *loop);
    if (!loop) return llm_fail(err, LLM_ENOMEM, "out of memory"), NULL;
    loop->poller = llm_poller_new(err);
    if (!loop->poller) return free(loop), NULL;
    loop->generation = atomic_load(&fork_generation);
    loop->now_ns = llm_clock_ns();
    loop->armed_ns = LLM_NEVER;
    loop->next_id = 1;
    return loop;
}

static void free_if_unused(llm_loop *loop) {
    if (!loop->released || loop->live || loop->sources) return;
    llm_poller_free(loop->poller);
    free(loop->slots);
    free(loop->heap);
    free(loop);
}

void llm_loop_free(llm_loop *loop) {
    if (!loop) return;
    loop->released = true;
    free_if_unused(loop);
}

bool llm_loop_foreign(const llm_loop *loop) {
    return loop->generation != atomic_load(&fork_generation);
}

uint64_t llm_loop_now(const llm_loop *loop) { return loop->now_ns; }
uint32_t llm_loop_live(const llm_loop *loop) { return loop->live; }

/* --- time ------------------------------------------------------------------------------------ */

static uint64_t next_due(const llm_loop *loop) {
    if (loop->first) return 0;
    uint64_t due = loop->heap_count ? loop->heap[1]->heap_ns : LLM_NEVER;
    for (llm_source *s = loop->sources; s; s = s->next) due = s->due_ns < due ? s->due_ns : due;
    return due;
}

static uint64_t until(uint64_t due, uint64_t now) {
    return due == LLM_NEVER ? LLM_NEVER : due > now ? due - now : 0;
}

uint64_t llm_loop_timeout(llm_loop *loop) { return until(next_due(loop), llm_clock_ns()); }

static void arm(llm_loop *loop, uint64_t due) {
    if (!loop->exported || due == loop->armed_ns) return;
    loop->armed_ns = due;
    llm_poller_arm(loop->poller, due == 0 ? 0 : until(due, llm_clock_ns()));
}

/* A due time that is earlier than what the outer loop sleeps for has to wake it. */
static void arm_earlier(llm_loop *loop, uint64_t due) {
    if (due < loop->armed_ns) arm(loop, due);
}

int llm_loop_pollfd(llm_loop *loop) {
    if (!loop->exported) {
        loop->exported = true;
        arm_earlier(loop, next_due(loop));
    }
    return llm_poller_fd(loop->poller);
}

static void place(llm_loop *loop, llm_op *op, uint32_t at) {
    loop->heap[at] = op;
    op->heap = at;
}

static void sift_up(llm_loop *loop, llm_op *op, uint32_t at) {
    while (at > 1 && loop->heap[at / 2]->heap_ns > op->heap_ns) {
        place(loop, loop->heap[at / 2], at);
        at /= 2;
    }
    place(loop, op, at);
}

static void sift_down(llm_loop *loop, llm_op *op, uint32_t at) {
    for (uint32_t child; (child = at * 2) <= loop->heap_count; at = child) {
        llm_op **heap = loop->heap;
        if (child < loop->heap_count && heap[child + 1]->heap_ns < heap[child]->heap_ns) child++;
        if (heap[child]->heap_ns >= op->heap_ns) break;
        place(loop, heap[child], at);
    }
    place(loop, op, at);
}

static void heap_remove(llm_loop *loop, llm_op *op) {
    uint32_t at = op->heap;
    if (!at) return;
    op->heap = 0;
    llm_op *moved = loop->heap[loop->heap_count--];
    if (moved == op) return;
    sift_up(loop, moved, at);
    sift_down(loop, moved, moved->heap);
}

void llm_op_due(llm_op *op, uint64_t due_ns) {
    llm_loop *loop = op->loop;
    op->due_ns = due_ns;
    if (op->heap && due_ns >= op->heap_ns) return; /* found out when the old time comes */
    if (due_ns == LLM_NEVER) return;
    op->heap_ns = due_ns;
    sift_up(loop, op, op->heap ? op->heap : ++loop->heap_count);
    arm_earlier(loop, due_ns);
}

/* Sources first: what they receive now may be what an operation waits for. */
static void expire_due(llm_loop *loop) {
    for (llm_source *s = loop->sources; s; s = s->next) {
        if (s->due_ns > loop->now_ns) continue;
        s->due_ns = LLM_NEVER;
        s->timer(s);
    }
    while (loop->heap_count && loop->heap[1]->heap_ns <= loop->now_ns) {
        llm_op *op = loop->heap[1];
        heap_remove(loop, op);
        if (op->due_ns > loop->now_ns) {
            llm_op_due(op, op->due_ns);
        } else {
            op->due_ns = LLM_NEVER;
            op->expire(op);
        }
    }
}

/* --- operations -------------------------------------------------------------------------------- */

int llm_op_init(llm_op *op, llm_loop *loop, void (*expire)(llm_op *op)) {
    if (loop->live + 2 > loop->heap_capacity) {
        uint32_t capacity = loop->heap_capacity ? loop->heap_capacity * 2 : 16;
        llm_op **heap = realloc(loop->heap, capacity * sizeof *heap);
        if (!heap) return LLM_ENOMEM;
        loop->heap = heap, loop->heap_capacity = capacity;
    }
    *op = (llm_op){.loop = loop, .id = loop->next_id++, .due_ns = LLM_NEVER, .expire = expire};
    loop->live++;
    return 0;
}

static void dequeue(llm_op *op) {
    llm_loop *loop = op->loop;
    if (!op->queued) return;
    *(op->previous ? &op->previous->next : &loop->first) = op->next;
    *(op->next ? &op->next->previous : &loop->last) = op->previous;
    op->next = op->previous = NULL;
    op->queued = false;
}

void llm_op_clear(llm_op *op) {
    llm_loop *loop = op->loop;
    if (!loop) return;
    dequeue(op);
    heap_remove(loop, op);
    loop->live--;
    op->loop = NULL;
    free_if_unused(loop);
}

void llm_op_ready(llm_op *op) {
    llm_loop *loop = op->loop;
    op->ready = true;
    if (op->queued) return;
    op->queued = true;
    op->previous = loop->last;
    *(loop->last ? &loop->last->next : &loop->first) = op;
    loop->last = op;
    arm_earlier(loop, 0);
}

uint64_t llm_loop_next(llm_loop *loop) {
    llm_op *op = loop->first;
    if (op)
        dequeue(op);
    else
        arm(loop, next_due(loop)); /* all is taken: sleep until the next time, not at once */
    return op ? op->id : 0;
}

/* --- descriptors --------------------------------------------------------------------------------- */

static slot *slot_of(llm_loop *loop, int fd) {
    if (fd < loop->slot_count) return &loop->slots[fd];
    int count = fd + 1 > loop->slot_count * 2 ? fd + 16 : loop->slot_count * 2;
    slot *slots = realloc(loop->slots, (size_t)count * sizeof *slots);
    if (!slots) return NULL;
    for (int i = loop->slot_count; i < count; i++) slots[i] = (slot){0};
    loop->slots = slots, loop->slot_count = count;
    return &slots[fd];
}

int llm_loop_watch(llm_loop *loop, int fd, unsigned events, llm_source *source) {
    if (llm_loop_foreign(loop)) return 0; /* the set is the parent's */
    slot *s = slot_of(loop, fd);
    if (!s) return LLM_ENOMEM;
    s->source = source, s->wanted = events;
    if (s->announced && (!events || events == s->registered)) return 0;
    int rc = llm_poller_set(loop->poller, fd, s->registered, events);
    s->registered = rc == 0 ? events : 0;
    return rc;
}

int llm_loop_announce(llm_loop *loop, int fd) {
    slot *s = slot_of(loop, fd);
    if (!s) return LLM_ENOMEM;
    *s = (slot){.announced = true};
    return 0;
}

void llm_loop_forget(llm_loop *loop, int fd) {
    if (fd >= loop->slot_count || llm_loop_foreign(loop)) return;
    slot *s = &loop->slots[fd];
    if (s->registered) llm_poller_set(loop->poller, fd, s->registered, 0);
    *s = (slot){0};
}

void llm_source_init(llm_source *source, llm_loop *loop) {
    source->loop = loop;
    source->due_ns = LLM_NEVER;
    source->next = loop->sources;
    loop->sources = source;
}

void llm_source_clear(llm_source *source) {
    llm_loop *loop = source->loop;
    llm_source **at = &loop->sources;
    while (*at && *at != source) at = &(*at)->next;
    if (*at) *at = source->next;
    for (int fd = 0; fd < loop->slot_count; fd++) {
        if (loop->slots[fd].source == source) loop->slots[fd].source = NULL;
    }
    free_if_unused(loop);
}

void llm_source_due(llm_source *source, uint64_t due_ns) {
    source->due_ns = due_ns;
    arm_earlier(source->loop, due_ns);
}

/* --- the step ------------------------------------------------------------------------------------ */

enum { BATCH = 128 };

static void deliver(llm_loop *loop, const llm_poller_event *event) {
    if (event->fd >= loop->slot_count) return;
    slot *s = &loop->slots[event->fd];
    if (s->wanted && s->source) {
        s->source->io(s->source, event->fd, event->events);
    } else if (s->registered) { /* an idle connection that the peer closed */
        llm_poller_set(loop->poller, event->fd, s->registered, 0);
        s->registered = 0;
    }
}

int llm_loop_step(llm_loop *loop, uint64_t timeout_ns, llm_err *err) {
    if (llm_loop_foreign(loop)) {
        return llm_fail(err, LLM_ECLOSED, "this event loop was created in another process");
    }
    uint64_t due = next_due(loop);
    if (due == LLM_NEVER && timeout_ns == LLM_NEVER && !loop->live) {
        return llm_fail(err, LLM_EINVAL, "deadlock: nothing is left that could end this wait");
    }
    uint64_t wait_ns = due == 0 ? 0 : until(due, llm_clock_ns());
    if (timeout_ns < wait_ns) wait_ns = timeout_ns;
    llm_poller_event events[BATCH];
    int count, left = loop->slot_count;
    do {
        count = llm_poller_wait(loop->poller, wait_ns, events, BATCH);
        if (count < 0) return llm_fail(err, count, "cannot wait for events");
        loop->now_ns = llm_clock_ns();
        for (int i = 0; i < count; i++) deliver(loop, &events[i]);
        wait_ns = 0, left -= count;
        /* An edge-triggered outer loop tells us only once; but busy descriptors never end. */
    } while (count == BATCH && left > 0);
    if (loop->armed_ns <= loop->now_ns) loop->armed_ns = LLM_NEVER; /* has fired */
    expire_due(loop);
    arm(loop, next_due(loop));
    return 0;
}
