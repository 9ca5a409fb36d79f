/* The loop: timers, the ready queue, descriptors, the pollable descriptor, forks. Built a second
 * time over the poll() fallback, which has no descriptor to hand out. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "failing.h"
#include "loop.h"

enum { MS = 1000000 }; /* nanoseconds */

static llm_loop *loop;

static void set_up(void) {
    llm_err err;
    loop = llm_loop_new(&err);
    cr_assert(loop, "%s", err.msg);
}

static void tear_down(void) {
    cr_assert_eq(llm_loop_live(loop), 0);
    llm_loop_free(loop);
}

TestSuite(loop, .init = set_up, .fini = tear_down, .timeout = 20);

static void step(uint64_t timeout_ns) { cr_assert_eq(llm_loop_step(loop, timeout_ns, NULL), 0); }

static void make(llm_op *op) { cr_assert_eq(llm_op_init(op, loop, llm_op_ready), 0); }

/* --- time ------------------------------------------------------------------------------------- */

Test(loop, an_operation_expires_when_it_is_due) {
    llm_op op;
    make(&op);
    uint64_t start = llm_clock_ns();
    llm_op_due(&op, start + 20 * MS);
    while (!op.ready) step(LLM_NEVER);
    uint64_t took = llm_clock_ns() - start;
    cr_assert(took >= 20 * MS && took < 60 * MS, "%llu ns", (unsigned long long)took);
    cr_assert_eq(op.due_ns, LLM_NEVER);
    cr_assert_eq(llm_loop_next(loop), op.id);
    cr_assert_eq(llm_loop_next(loop), 0);
    llm_op_clear(&op);
    llm_op_clear(&op);
}

Test(loop, operations_expire_in_the_order_of_their_times) {
    enum { COUNT = 200 };
    llm_op ops[COUNT];
    uint64_t base = llm_clock_ns() - 1000 * MS;
    for (int i = 0; i < COUNT; i++) {
        make(&ops[i]);
        llm_op_due(&ops[i], base + (uint64_t)(i * 7919 % COUNT));
    }
    step(0);
    for (int i = 0; i < COUNT; i++) {
        int wanted = 0;
        while (wanted * 7919 % COUNT != i) wanted++;
        cr_assert_eq(llm_loop_next(loop), ops[wanted].id);
    }
    for (int i = 0; i < COUNT; i++) llm_op_clear(&ops[i]);
}

/* Random moves, against a plain array: exactly what is due expires, whatever stood in between. */
Test(loop, the_heap_agrees_with_a_list) {
    enum { COUNT = 64, ROUNDS = 4000 };
    llm_op ops[COUNT];
    srand(7);
    for (int i = 0; i < COUNT; i++) make(&ops[i]);
    for (int round = 0; round < ROUNDS; round++) {
        llm_op *op = &ops[rand() % COUNT];
        uint64_t now = llm_clock_ns();
        switch (rand() % 5) {
        case 0: llm_op_due(op, now - (uint64_t)(rand() % 1000)); break;
        case 1: llm_op_due(op, LLM_NEVER); break;
        case 2:
            llm_op_clear(op);
            make(op);
            break;
        default: llm_op_due(op, now + 3600 * 1000ull * MS + (uint64_t)rand()); break;
        }
        if (round % 8) continue;
        bool is_due[COUNT];
        for (int i = 0; i < COUNT; i++) is_due[i] = ops[i].due_ns <= llm_clock_ns();
        step(0);
        while (llm_loop_next(loop)) continue;
        for (int i = 0; i < COUNT; i++) {
            cr_assert_eq(ops[i].ready, is_due[i], "round %d, operation %d", round, i);
            ops[i].ready = false;
        }
    }
    for (int i = 0; i < COUNT; i++) llm_op_clear(&ops[i]);
}

Test(loop, says_how_long_there_is_nothing_to_do) {
    llm_op op;
    make(&op);
    cr_assert_eq(llm_loop_timeout(loop), LLM_NEVER);
    llm_op_due(&op, llm_clock_ns() + 1000ull * MS);
    uint64_t left = llm_loop_timeout(loop);
    cr_assert(left > 900 * MS && left <= 1000 * MS);
    llm_op_ready(&op);
    cr_assert_eq(llm_loop_timeout(loop), 0);
    llm_loop_next(loop);
    llm_op_due(&op, llm_clock_ns() - 1);
    cr_assert_eq(llm_loop_timeout(loop), 0);
    llm_op_clear(&op);
    cr_assert_eq(llm_loop_timeout(loop), LLM_NEVER);
}

/* An operation that is pushed later again and again, as each piece of a stream does. */
Test(loop, moving_later_does_not_expire_early) {
    llm_op op;
    make(&op);
    llm_op_due(&op, llm_clock_ns() + 5 * MS);
    llm_op_due(&op, llm_clock_ns() + 30 * MS);
    uint64_t start = llm_clock_ns();
    while (!op.ready) step(LLM_NEVER);
    cr_assert_geq(llm_clock_ns() - start, 29 * MS);
    llm_op_clear(&op);
}

static void on_alarm(int number) { (void)number; }

Test(loop, a_signal_ends_the_wait) {
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval soon = {.it_value = {.tv_usec = 20000}};
    setitimer(ITIMER_REAL, &soon, NULL);
    uint64_t start = llm_clock_ns();
    step(5000ull * MS);
    cr_assert_lt(llm_clock_ns() - start, 1000ull * MS);
}

/* --- ready ------------------------------------------------------------------------------------ */

Test(loop, what_is_ready_comes_once_and_in_order) {
    llm_op ops[4];
    for (int i = 0; i < 4; i++) make(&ops[i]);
    for (int i = 0; i < 4; i++) llm_op_ready(&ops[i]);
    llm_op_ready(&ops[0]);
    cr_assert_eq(llm_loop_next(loop), ops[0].id);
    cr_assert(ops[0].ready, "readiness is sticky");
    llm_op_ready(&ops[0]); /* now behind the others */
    for (int i = 1; i < 4; i++) cr_assert_eq(llm_loop_next(loop), ops[i].id);
    cr_assert_eq(llm_loop_next(loop), ops[0].id);
    cr_assert_eq(llm_loop_next(loop), 0);
    for (int i = 0; i < 4; i++) llm_op_clear(&ops[i]);
}

Test(loop, a_cleared_operation_leaves_the_queue) {
    for (int gone = 0; gone < 3; gone++) {
        llm_op ops[3];
        for (int i = 0; i < 3; i++) make(&ops[i]);
        for (int i = 0; i < 3; i++) llm_op_ready(&ops[i]);
        llm_op_clear(&ops[gone]);
        for (int i = 0; i < 3; i++) {
            if (i != gone) cr_assert_eq(llm_loop_next(loop), ops[i].id);
        }
        cr_assert_eq(llm_loop_next(loop), 0);
        for (int i = 0; i < 3; i++) llm_op_clear(&ops[i]);
    }
}

/* --- descriptors ------------------------------------------------------------------------------ */

typedef struct recorder {
    llm_source source; /* first */
    int calls, fd;
    unsigned events;
} recorder;

static void on_io(llm_source *source, int fd, unsigned events) {
    recorder *r = (recorder *)source;
    r->calls++, r->fd = fd, r->events = events;
}

static void on_timer(llm_source *source) { ((recorder *)source)->calls += 100; }

static void record(recorder *r) {
    *r = (recorder){.source = {.io = on_io, .timer = on_timer}};
    llm_source_init(&r->source, loop);
}

static unsigned events_of(recorder *r) {
    r->events = 0;
    step(0);
    return r->events;
}

Test(loop, watches_what_it_is_asked_to) {
    int pair[2];
    recorder r;
    record(&r);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    cr_assert_eq(llm_loop_watch(loop, pair[0], LLM_READ, &r.source), 0);
    cr_assert_eq(events_of(&r), 0);
    cr_assert_eq(write(pair[1], "x", 1), 1);
    cr_assert_eq(events_of(&r), LLM_READ);
    cr_assert_eq(r.fd, pair[0]);
    llm_loop_watch(loop, pair[0], LLM_WRITE, &r.source);
    cr_assert_eq(events_of(&r), LLM_WRITE);
    llm_loop_watch(loop, pair[0], 0, &r.source);
    cr_assert_eq(events_of(&r), 0);
    llm_loop_watch(loop, pair[0], LLM_HANGUP, &r.source);
    cr_assert_eq(events_of(&r), 0);
    close(pair[1]);
    cr_assert(events_of(&r) & LLM_HANGUP);
    llm_loop_watch(loop, pair[0], 0, &r.source);
    close(pair[0]);
    llm_source_clear(&r.source);
}

Test(loop, a_source_has_a_timer) {
    recorder r;
    record(&r);
    llm_source_due(&r.source, llm_clock_ns() + 5 * MS);
    cr_assert_leq(llm_loop_timeout(loop), 5 * MS);
    while (!r.calls) step(LLM_NEVER);
    step(0);
    cr_assert_eq(r.calls, 100);
    llm_source_clear(&r.source);
}

/* An edge-triggered outer loop tells us once, so one step has to deliver all. */
Test(loop, one_step_delivers_everything) {
    enum { COUNT = 300 };
    int pairs[COUNT][2];
    recorder r;
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){1024, 1024});
    record(&r);
    for (int i = 0; i < COUNT; i++) {
        cr_assert_eq(pipe(pairs[i]), 0);
        cr_assert_eq(write(pairs[i][1], "x", 1), 1);
        cr_assert_eq(llm_loop_watch(loop, pairs[i][0], LLM_READ, &r.source), 0);
    }
    step(0);
    cr_assert_geq(r.calls, COUNT);
    for (int i = 0; i < COUNT; i++) {
        llm_loop_watch(loop, pairs[i][0], 0, &r.source);
        close(pairs[i][0]), close(pairs[i][1]);
    }
    llm_source_clear(&r.source);
}

/* A connection between two requests: nobody wants it, the system's set may still hold it. */
Test(loop, an_announced_descriptor_may_rest) {
    int pair[2];
    recorder r;
    record(&r);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    llm_loop_announce(loop, pair[0]);
    llm_loop_watch(loop, pair[0], LLM_READ, &r.source);
    llm_loop_watch(loop, pair[0], 0, &r.source);
    cr_assert_eq(write(pair[1], "x", 1), 1);
    cr_assert_eq(events_of(&r), 0);
    llm_loop_watch(loop, pair[0], LLM_READ, &r.source);
    cr_assert_eq(events_of(&r), LLM_READ, "it is wanted again");
    llm_loop_watch(loop, pair[0], 0, &r.source);
    close(pair[1]);
    step(0); /* the peer has closed: seen once, and then not again and again */
    uint64_t start = llm_clock_ns();
    step(20 * MS);
    cr_assert_geq(llm_clock_ns() - start, 19 * MS);
    llm_loop_forget(loop, pair[0]);
    llm_loop_forget(loop, 100000);
    close(pair[0]);
    llm_source_clear(&r.source);
}

Test(loop, a_number_that_is_given_out_again_is_a_new_descriptor) {
    recorder r;
    record(&r);
    for (int i = 0; i < 3; i++) {
        int pair[2];
        cr_assert_eq(pipe(pair), 0);
        if (i != 1) llm_loop_announce(loop, pair[0]);
        cr_assert_eq(llm_loop_watch(loop, pair[0], LLM_READ, &r.source), 0);
        cr_assert_eq(write(pair[1], "x", 1), 1);
        cr_assert_eq(events_of(&r), LLM_READ);
        if (i != 1)
            llm_loop_forget(loop, pair[0]);
        else
            llm_loop_watch(loop, pair[0], 0, &r.source);
        close(pair[0]), close(pair[1]);
    }
    llm_source_clear(&r.source);
}

/* --- the pollable descriptor -------------------------------------------------------------------- */

static int outer; /* the loop's descriptor, as a host sees it */

static bool readable(int timeout_ms) {
    struct pollfd waiting = {.fd = outer, .events = POLLIN};
    return poll(&waiting, 1, timeout_ms) == 1;
}

static bool has_descriptor(void) { return (outer = llm_loop_pollfd(loop)) >= 0; }

Test(loop, idle_is_not_readable) {
    if (!has_descriptor()) return;
    cr_assert_not(readable(0));
    step(0);
    cr_assert_not(readable(20));
}

Test(loop, is_readable_when_a_time_has_come_and_not_before) {
    llm_op op;
    make(&op);
    for (int i = 0; i < 3 && has_descriptor(); i++) {
        uint64_t start = llm_clock_ns();
        llm_op_due(&op, start + 15 * MS);
        cr_assert_not(readable(0));
        cr_assert(readable(1000));
        cr_assert_geq(llm_clock_ns() - start, 15 * MS);
        step(0);
        cr_assert(op.ready, "woken for nothing");
        cr_assert_eq(llm_loop_next(loop), op.id);
        cr_assert_eq(llm_loop_next(loop), 0);
        cr_assert_not(readable(0));
    }
    llm_op_clear(&op);
}

/* An earlier time is set while the host already sleeps for a later one, and the other way about. */
Test(loop, an_earlier_time_wakes_the_host) {
    llm_op late, soon;
    make(&late), make(&soon);
    if (has_descriptor()) {
        llm_op_due(&late, llm_clock_ns() + 10000ull * MS);
        llm_op_due(&soon, llm_clock_ns() + 5 * MS);
        cr_assert(readable(1000));
        step(0);
        cr_assert(soon.ready && !late.ready);
        while (llm_loop_next(loop)) continue;
        cr_assert_not(readable(10));
    }
    llm_op_clear(&late), llm_op_clear(&soon);
}

/* A host's handler threw half way: what is still queued has to wake it again. */
Test(loop, is_readable_while_something_is_queued) {
    llm_op ops[2];
    make(&ops[0]), make(&ops[1]);
    if (has_descriptor()) {
        llm_op_ready(&ops[0]), llm_op_ready(&ops[1]);
        for (int i = 0; i < 3; i++) {
            cr_assert(readable(0));
            step(0);
        }
        llm_loop_next(loop);
        step(0);
        cr_assert(readable(0), "one is left");
        llm_loop_next(loop);
        llm_loop_next(loop);
        step(0);
        cr_assert_not(readable(10));
    }
    llm_op_clear(&ops[0]), llm_op_clear(&ops[1]);
}

Test(loop, is_readable_when_a_descriptor_is) {
    int pair[2];
    char byte;
    recorder r;
    record(&r);
    cr_assert_eq(pipe(pair), 0);
    llm_loop_watch(loop, pair[0], LLM_READ, &r.source);
    if (has_descriptor()) {
        cr_assert_not(readable(0));
        cr_assert_eq(write(pair[1], "x", 1), 1);
        cr_assert(readable(0));
        step(0);
        cr_assert_eq(r.calls, 1);
        cr_assert_eq(read(pair[0], &byte, 1), 1);
        cr_assert_not(readable(0));
    }
    llm_loop_watch(loop, pair[0], 0, &r.source);
    close(pair[0]), close(pair[1]);
    llm_source_clear(&r.source);
}

/* --- forks, and the end ------------------------------------------------------------------------- */

static int in_child(recorder *r, llm_op *op, int fd) {
    llm_err err = {0};
    if (!llm_loop_foreign(loop)) return 1;
    if (llm_loop_step(loop, 0, &err) != LLM_ECLOSED || !err.msg[0]) return 2;
    llm_loop_watch(loop, fd, 0, &r->source); /* would take it out of the parent's set */
    llm_loop_forget(loop, fd);
    llm_source_clear(&r->source);
    llm_op_clear(op);
    llm_loop_free(loop);
    return 0;
}

Test(loop, a_child_refuses_and_the_parent_goes_on) {
    int pair[2], status;
    llm_op op;
    recorder r;
    record(&r);
    make(&op);
    llm_op_due(&op, llm_clock_ns() + 10 * MS);
    cr_assert_eq(pipe(pair), 0);
    llm_loop_watch(loop, pair[0], LLM_READ, &r.source);
    pid_t child = fork();
    if (child == 0) _exit(in_child(&r, &op, pair[0]));
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d", status);
    cr_assert_not(llm_loop_foreign(loop));
    cr_assert_eq(write(pair[1], "x", 1), 1);
    cr_assert_eq(events_of(&r), LLM_READ);
    while (!op.ready) step(LLM_NEVER);
    llm_loop_watch(loop, pair[0], 0, &r.source);
    close(pair[0]), close(pair[1]);
    llm_source_clear(&r.source);
    llm_op_clear(&op);
}

/* A garbage collector frees in any order; the sanitizer sees what is used too late or kept. */
Test(loop, is_freed_in_any_order) {
    for (int order = 0; order < 6; order++) {
        llm_loop *other = llm_loop_new(NULL);
        recorder r = {.source = {.io = on_io, .timer = on_timer}};
        llm_op op;
        llm_source_init(&r.source, other);
        cr_assert_eq(llm_op_init(&op, other, llm_op_ready), 0);
        llm_op_due(&op, llm_clock_ns());
        llm_op_ready(&op);
        for (int i = 0; i < 3; i++) {
            int which = (order + i * (order < 3 ? 1 : 2)) % 3;
            if (which == 0) llm_loop_free(other);
            if (which == 1) llm_source_clear(&r.source);
            if (which == 2) llm_op_clear(&op);
        }
    }
    llm_loop_free(NULL);
}

static int work_without_memory(void) {
    enum { COUNT = 40 };
    llm_op ops[COUNT];
    llm_err err;
    int made = 0, rc = 0;
    llm_loop *other = llm_loop_new(&err);
    if (!other) return err.code;
    recorder r = {.source = {.io = on_io, .timer = on_timer}};
    llm_source_init(&r.source, other);
    while (rc == 0 && made < COUNT) {
        rc = llm_op_init(&ops[made], other, llm_op_ready);
        if (rc == 0) llm_op_due(&ops[made++], llm_clock_ns());
    }
    int fd = rc == 0 ? dup2(STDIN_FILENO, 700) : -1;
    if (rc == 0) rc = llm_loop_watch(other, fd, LLM_WRITE, &r.source);
    llm_loop_watch(other, fd < 0 ? 0 : fd, 0, &r.source);
    if (fd >= 0) close(fd);
    for (int i = 0; i < made; i++) llm_op_clear(&ops[i]);
    llm_source_clear(&r.source);
    llm_loop_free(other);
    return rc;
}

Test(loop, survives_without_memory) {
    bool failed;
    int n = 0;
    int null = open("/dev/null", O_RDWR);
    dup2(null, STDIN_FILENO);
    close(null);
    int pair[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    dup2(pair[0], STDIN_FILENO); /* epoll takes no files */
    do {
        fail_after(n++);
        int rc = work_without_memory();
        failed = fail_stop();
        cr_assert_eq(rc, failed ? LLM_ENOMEM : 0, "after %d allocations", n - 1);
    } while (failed);
    cr_assert_gt(n, 4);
}
