/* loop: one pollable descriptor, timers, and a queue of the operations that became ready.
 *
 * A loop belongs to one thread and one Lua state. llm_loop_step waits, lets its sources do their
 * input and output, and queues what became ready; it runs no user code. A callback that a source
 * or an operation gives to the loop only records: it never frees an operation, never waits.
 *
 * Readiness is sticky: an operation is ready until its owner takes what is there and says so. */
#ifndef LLM_LOOP_H
#define LLM_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

typedef struct llm_loop llm_loop;
typedef struct llm_op llm_op;
typedef struct llm_source llm_source;

enum { LLM_READ = 1, LLM_WRITE = 2, LLM_HANGUP = 4 };

#define LLM_NEVER UINT64_MAX

/* Something a script waits for; embedded in transfers, timers and server requests. */
struct llm_op {
    llm_loop *loop;
    uint64_t id;                /* never comes twice in a loop, never 0 */
    bool ready;                 /* sticky: set by llm_op_ready, unset by the owner */
    bool queued;                /* stands in the ready queue */
    uint64_t due_ns;            /* when expire is called, LLM_NEVER for never */
    uint64_t heap_ns;           /* the heap's copy of due_ns: never later than due_ns */
    uint32_t heap;              /* 1-based place in the timer heap, 0 for none */
    void (*expire)(llm_op *op); /* due_ns has passed (it is LLM_NEVER again); only records */
    llm_op *next, *previous;    /* ready queue */
};

/* A user of descriptors: libcurl's multi handle, the HTTP server. Embedded by its owner. */
struct llm_source {
    llm_loop *loop;
    void (*io)(llm_source *source, int fd, unsigned events); /* fd is ready; only records */
    void (*timer)(llm_source *source); /* due_ns has passed, it is LLM_NEVER again; only records */
    uint64_t due_ns;                   /* set by llm_source_due */
    llm_source *next;
};

/* NULL with err filled when the system gives no descriptor or no memory. */
llm_loop *llm_loop_new(llm_err *err);
/* NULL allowed. The memory goes with the last operation and source, so that owners may let go in
 * any order, as a garbage collector does. */
void llm_loop_free(llm_loop *loop);

/* The descriptor that is readable when llm_loop_step(loop, 0) has something to do or something
 * ready is queued; -1 where the system offers none (poll() build). Owned by the loop. */
int llm_loop_pollfd(llm_loop *loop);
/* Nanoseconds from now until a step is due: 0 now, LLM_NEVER nothing to wait for but descriptors. */
uint64_t llm_loop_timeout(llm_loop *loop);
/* Waits at most timeout_ns (LLM_NEVER: as long as it takes, 0: not at all) until something became
 * ready. Returns 0, LLM_ECLOSED in a child process after fork, LLM_EINVAL when no operation is
 * live that could end a wait for ever, or LLM_ESYSTEM.
 * A signal ends the wait early and is not an error. */
int llm_loop_step(llm_loop *loop, uint64_t timeout_ns, llm_err *err);
/* Takes the next ready operation out of the queue; its id, or 0 when the queue is empty. */
uint64_t llm_loop_next(llm_loop *loop);
/* Monotonic nanoseconds: the clock itself, and the loop's copy of it from the latest step. */
uint64_t llm_clock_ns(void);
uint64_t llm_loop_now(const llm_loop *loop);
/* The number of live operations. */
uint32_t llm_loop_live(const llm_loop *loop);
/* True in a child process that inherited the loop by fork: nothing may be done with it but free. */
bool llm_loop_foreign(const llm_loop *loop);

/* Watches fd for events (LLM_READ | LLM_WRITE | LLM_HANGUP, 0: no longer). A descriptor has one
 * source a loop, and is no longer watched when it is closed. */
int llm_loop_watch(llm_loop *loop, int fd, unsigned events, llm_source *source);
/* An announced descriptor: its owner promises to call llm_loop_forget before closing it, and the
 * loop may keep it in the system's set while it is not watched, since that saves two system calls
 * a request on a connection that is used again. 0 or LLM_ENOMEM. */
int llm_loop_announce(llm_loop *loop, int fd);
void llm_loop_forget(llm_loop *loop, int fd);

/* source->io and source->timer are set by the caller before. */
void llm_source_init(llm_source *source, llm_loop *loop);
void llm_source_clear(llm_source *source); /* its descriptors are already unwatched */
void llm_source_due(llm_source *source, uint64_t due_ns); /* when timer is called */

/* Gives op its id and makes it live. 0 or LLM_ENOMEM. */
int llm_op_init(llm_op *op, llm_loop *loop, void (*expire)(llm_op *op));
void llm_op_clear(llm_op *op); /* idempotent; out of queue and heap, no longer live */
void llm_op_ready(llm_op *op); /* marks and queues */
/* Sets when expire is called. Moving it later is free. Never fails: room was made by llm_op_init. */
void llm_op_due(llm_op *op, uint64_t due_ns);

#endif
