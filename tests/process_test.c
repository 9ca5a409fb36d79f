/* Child processes: what they are given, what comes back, how they end; and our own parent. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "buffer.h"
#include "failing.h"
#include "process.h"

enum { MS = 1000000 }; /* nanoseconds */

static llm_loop *loop;
static llm_buffer out;
static char *nothing[] = {NULL};

static void set_up(void) {
    llm_err err;
    loop = llm_loop_new(&err);
    cr_assert(loop, "%s", err.msg);
}

static void tear_down(void) {
    cr_assert_eq(llm_loop_live(loop), 0);
    llm_loop_free(loop);
    llm_buffer_clear(&out);
}

TestSuite(process, .init = set_up, .fini = tear_down, .timeout = 20);

static llm_process *start(char *const *argv, llm_err *err) {
    return llm_process_start(loop, &(llm_process_setup){.argv = argv, .envp = nothing}, err);
}

static llm_process *shell(char *line) {
    llm_err err = {0};
    char *argv[] = {"sh", "-c", line, NULL};
    llm_process *p = start(argv, &err);
    cr_assert(p, "%s", err.msg);
    return p;
}

static void step(void) { cr_assert_eq(llm_loop_step(loop, LLM_NEVER, NULL), 0); }

/* All that a stream gives, as a string in out. */
static const char *all_of(llm_process *p, int stream) {
    char piece[1000];
    size_t len;
    int rc;
    while ((rc = llm_process_read(p, stream, piece, sizeof piece, &len)) >= 0) {
        if (rc == 0) step();
        if (rc == 1) llm_buffer_append(&out, piece, len);
    }
    cr_assert_eq(rc, LLM_ECLOSED);
    llm_buffer_append(&out, "", 1);
    return llm_buffer_data(&out);
}

static llm_process_state end_of(llm_process *p, int *number) {
    llm_process_state state;
    while ((state = llm_process_status(p, number)) == LLM_RUNNING) step();
    return state;
}

static bool is_gone(int pid) {
    char path[64], state = 'Z';
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file) return true;
    if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1) state = 'Z';
    fclose(file);
    return state == 'Z';
}

static void await_gone(int pid) {
    for (int i = 0; i < 200 && !is_gone(pid); i++) usleep(10000);
    cr_assert(is_gone(pid), "process %d lives on", pid);
}

/* --- what goes in and what comes out ------------------------------------------------------------ */

Test(process, carries_bytes_both_ways) {
    llm_process *p = shell("cat; exit 3");
    size_t taken;
    cr_assert_eq(llm_process_write(p, "one\0two", 7, &taken), 0);
    cr_assert_eq(taken, 7);
    llm_process_finish(p);
    all_of(p, LLM_STDOUT);
    cr_assert_eq(llm_buffer_len(&out), 8);
    cr_assert_arr_eq(llm_buffer_data(&out), "one\0two", 7);
    int code;
    cr_assert_eq(end_of(p, &code), LLM_EXITED);
    cr_assert_eq(code, 3);
    cr_assert_eq(llm_process_read(p, LLM_STDERR, &code, 1, &taken), LLM_ECLOSED, "not captured");
    llm_process_cancel(p);
}

Test(process, captures_errors_and_has_the_environment_and_folder_it_was_given) {
    char *argv[] = {"sh", "-c", "echo $A-$HOME >&2; pwd >&2", NULL};
    char *envp[] = {"A=b c", NULL};
    llm_process_setup setup = {argv, envp, "/usr", true};
    setenv("HOME", "/home/ours", 1);
    llm_process *p = llm_process_start(loop, &setup, NULL);
    cr_assert_str_eq(all_of(p, LLM_STDERR), "b c-\n/usr\n");
    llm_process_cancel(p);
}

Test(process, names_the_program_that_cannot_be_run) {
    llm_err err;
    char *argv[] = {"no-such-program", NULL}, *none[] = {NULL}, *ls[] = {"ls", NULL};
    cr_assert_null(start(argv, &err));
    cr_assert_eq(err.code, LLM_ESYSTEM);
    cr_assert_str_eq(err.msg, "cannot run no-such-program: No such file or directory");
    cr_assert_null(start(none, &err));
    cr_assert_eq(err.code, LLM_EINVAL);
    llm_process_setup elsewhere = {.argv = ls, .envp = nothing, .cwd = "/no-such-folder"};
    cr_assert_null(llm_process_start(loop, &elsewhere, &err));
    cr_assert_str_eq(err.msg, "cannot run ls in /no-such-folder: No such file or directory");
    cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1, "no zombie is left");
}

Test(process, has_no_descriptor_and_no_signal_state_of_ours) {
    sigset_t blocked;
    int ours = open("/dev/null", O_RDONLY); /* as fopen leaves it: inherited */
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    llm_process *p = shell("for fd in /proc/self/fd/*; do [ -e $fd ] && echo ${fd##*/}; done;"
                           "grep -E 'SigBlk|SigIgn' /proc/self/status");
    cr_assert_str_eq(
        all_of(p, LLM_STDOUT), "0\n1\n2\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000001\n");
    cr_assert(fcntl(ours, F_GETFD) == 0 && close(ours) == 0);
    llm_process_cancel(p);
}

Test(process, a_flood_waits_in_its_pipe) {
    llm_process *p = shell("exec yes");
    int pid = llm_process_pid(p), number;
    size_t len, total = 0;
    char piece[4096];
    while (total < 4 << 20) {
        int rc = llm_process_read(p, LLM_STDOUT, piece, sizeof piece, &len);
        cr_assert_geq(rc, 0);
        if (rc == 0) step();
        if (rc == 1) total += len;
    }
    cr_assert_eq(llm_process_status(p, &number), LLM_RUNNING);
    llm_process_cancel(p);
    cr_assert_eq(kill(pid, 0), -1, "gone, and reaped");
}

Test(process, what_a_child_does_not_read_stays_with_us) {
    llm_process *p = shell("read line; echo $line; cat | wc -c");
    static char bytes[1 << 20] = "go\n";
    size_t taken, total = 0;
    int waits = 0;
    memset(bytes + 3, 'x', sizeof bytes - 3);
    while (total < sizeof bytes) {
        cr_assert_eq(llm_process_write(p, bytes + total, sizeof bytes - total, &taken), 0);
        total += taken;
        if (total < sizeof bytes) step(), waits++;
    }
    cr_assert_gt(waits, 0);
    llm_process_finish(p);
    cr_assert_str_eq(all_of(p, LLM_STDOUT), "go\n1048573\n");
    llm_process_cancel(p);
}

Test(process, one_that_never_reads_takes_what_its_pipe_holds) {
    llm_process *p = shell("exec sleep 100");
    static char bytes[1 << 20];
    size_t taken, more;
    cr_assert_eq(llm_process_write(p, bytes, sizeof bytes, &taken), 0);
    cr_assert(taken >= 4096 && taken < sizeof bytes, "%zu", taken);
    cr_assert_eq(llm_process_write(p, bytes, sizeof bytes, &more), 0);
    cr_assert_eq(more, 0);
    llm_process_cancel(p);
}

Test(process, one_that_closed_its_input_is_an_error_and_no_signal) {
    llm_process *p = shell("exec <&-; echo closed; sleep 100");
    char word[8];
    size_t len;
    while (llm_process_read(p, LLM_STDOUT, word, sizeof word, &len) == 0) step();
    cr_assert_eq(llm_process_write(p, "x", 1, &len), LLM_ECLOSED);
    cr_assert_eq(llm_process_write(p, "x", 1, &len), LLM_ECLOSED);
    sigset_t pending;
    sigpending(&pending);
    cr_assert_not(sigismember(&pending, SIGPIPE));
    llm_process_cancel(p);
}

/* --- the end ------------------------------------------------------------------------------------ */

Test(process, tells_the_signal_that_ended_it) {
    llm_process *p = shell("exec sleep 100");
    int number;
    cr_assert_eq(llm_process_status(p, &number), LLM_RUNNING);
    llm_process_kill(p, SIGTERM);
    cr_assert_eq(end_of(p, &number), LLM_KILLED);
    cr_assert_eq(number, SIGTERM);
    cr_assert_eq(end_of(p, &number), LLM_KILLED, "asked again");
    llm_process_cancel(p);
}

/* Fails where only the leader is signalled, and where the dead leader's id is not kept. */
Test(process, takes_its_own_children_along) {
    for (int leader_ends = 0; leader_ends < 2; leader_ends++) {
        llm_process *p = shell(leader_ends ? "sleep 100 & echo $!" : "sleep 100 & echo $!; wait");
        char line[16] = "";
        size_t len;
        int number;
        while (llm_process_read(p, LLM_STDOUT, line, sizeof line - 1, &len) == 0) step();
        if (leader_ends) cr_assert_eq(end_of(p, &number), LLM_EXITED);
        cr_assert_eq(kill(llm_process_pid(p), 0), 0, "its id is kept, so it is no one else's");
        cr_assert_not(is_gone(atoi(line)));
        llm_process_cancel(p);
        await_gone(atoi(line));
    }
}

Test(process, ends_with_us_however_we_end) {
    int fds[2], pid;
    cr_assert_eq(pipe(fds), 0);
    pid_t middle = fork();
    if (middle == 0) {
        char *argv[] = {"sleep", "100", NULL};
        llm_loop *own = llm_loop_new(NULL);
        llm_process *p =
            llm_process_start(own, &(llm_process_setup){.argv = argv, .envp = nothing}, NULL);
        pid = p ? llm_process_pid(p) : 0;
        if (write(fds[1], &pid, sizeof pid) < 0) _exit(1);
        pause();
    }
    cr_assert_eq(read(fds[0], &pid, sizeof pid), sizeof pid);
    cr_assert(pid > 0 && !is_gone(pid));
    kill(middle, SIGKILL);
    waitpid(middle, NULL, 0);
    await_gone(pid);
}

Test(process, many_at_once) {
    enum { COUNT = 100 };
    llm_process *children[COUNT];
    for (int i = 0; i < COUNT; i++) {
        char line[64];
        snprintf(line, sizeof line, "read x; exit %d", i);
        children[i] = shell(line);
    }
    cr_assert_eq(llm_loop_live(loop), COUNT);
    for (int i = COUNT - 1; i >= 0; i--) llm_process_finish(children[i]);
    for (int i = 0; i < COUNT; i++) {
        int code;
        cr_assert_eq(end_of(children[i], &code), LLM_EXITED);
        cr_assert_eq(code, i);
        llm_process_cancel(children[i]);
    }
    cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1, "none is left");
}

Test(process, may_be_closed_at_any_time_and_after_its_loop) {
    llm_process_cancel(NULL);
    llm_process_cancel(shell("exec sleep 100"));
    llm_process *p = shell("exit 0");
    char byte;
    size_t len;
    llm_process_read(p, LLM_STDOUT, &byte, 1, &len);
    llm_loop_free(loop);
    llm_process_cancel(p);
    set_up();
}

Test(process, a_due_operation_wakes_who_waits) {
    llm_process *p = shell("exec sleep 100");
    llm_op_due(llm_process_op(p), llm_clock_ns() + 5 * MS);
    uint64_t id;
    do {
        step();
    } while ((id = llm_loop_next(loop)) == 0);
    cr_assert_eq(id, llm_process_op(p)->id);
    llm_process_cancel(p);
}

/* --- systems and hosts that are different ------------------------------------------------------- */

Test(process, without_pidfd_it_is_looked_at_in_turns) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof filter / sizeof *filter, .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        cr_skip_test("no seccomp here");
    }
    llm_process *p = shell("sleep 0.03; exit 7");
    int code;
    cr_assert_eq(end_of(p, &code), LLM_EXITED);
    cr_assert_eq(code, 7);
    llm_process_cancel(p);
    p = shell("exec sleep 100");
    int pid = llm_process_pid(p);
    llm_process_cancel(p);
    cr_assert_eq(kill(pid, 0), -1);
}

Test(process, a_host_that_reaps_all_children_takes_the_code) {
    signal(SIGCHLD, SIG_IGN);
    llm_process *p = shell("exit 7");
    int number;
    cr_assert_eq(end_of(p, &number), LLM_LOST);
    llm_process_kill(p, SIGKILL); /* whoever has that number now */
    llm_process_cancel(p);
    signal(SIGCHLD, SIG_DFL);
}

Test(process, a_fork_of_ours_leaves_the_children_alone) {
    llm_process *p = shell("exec sleep 100");
    llm_err err;
    pid_t copy = fork();
    if (copy == 0) {
        bool is_refused = !llm_process_parent(loop, &err) && err.code == LLM_ECLOSED;
        llm_process_cancel(p);
        _exit(is_refused ? 0 : 1);
    }
    int status;
    waitpid(copy, &status, 0);
    cr_assert_eq(status, 0);
    cr_assert_not(is_gone(llm_process_pid(p)));
    llm_process_cancel(p);
}

Test(process, memory_may_run_out_anywhere) {
    bool failed;
    int n = 0;
    do {
        llm_err err = {0};
        char *argv[] = {"true", NULL};
        llm_loop *own = llm_loop_new(NULL);
        fail_after(n++);
        llm_process *p =
            llm_process_start(own, &(llm_process_setup){.argv = argv, .envp = nothing}, &err);
        failed = fail_stop();
        cr_assert(p || err.code == LLM_ENOMEM);
        llm_process_cancel(p);
        llm_loop_free(own);
    } while (failed);
    cr_assert_gt(n, 2);
}

/* --- our parent --------------------------------------------------------------------------------- */

/* What a program that is somebody's child does: its prints do not get between. */
static int serve(int in, int parents_out, int errors) {
    dup2(in, 0), dup2(parents_out, 1), dup2(errors, 2);
    llm_loop *own = llm_loop_new(NULL);
    llm_process *p = llm_process_parent(own, NULL);
    char bytes[64];
    size_t len, taken;
    while (llm_process_read(p, LLM_STDOUT, bytes, sizeof bytes, &len) == 0) {
        llm_loop_step(own, LLM_NEVER, NULL);
    }
    if (read(0, bytes + len, 1) != 0) return 1; /* our input is empty */
    if (write(1, "noise\n", 6) != 6) return 2;
    llm_process_finish(p);
    llm_process_kill(p, SIGKILL);
    if (llm_process_write(p, bytes, len, &taken) != 0 || taken != len) return 3;
    llm_process_cancel(p);
    llm_loop_free(own);
    return write(1, "after\n", 6) == 6 ? 0 : 4;
}

static void expect(int fd, const char *text) {
    char got[64] = "";
    cr_assert_eq(read(fd, got, strlen(text)), (ssize_t)strlen(text));
    cr_assert_str_eq(got, text);
}

Test(process, our_parent_is_a_peer_like_a_child) {
    int in[2], ours[2], errors[2], status;
    cr_assert(pipe(in) == 0 && pipe(ours) == 0 && pipe(errors) == 0);
    pid_t child = fork();
    if (child == 0) _exit(serve(in[0], ours[1], errors[1]));
    cr_assert_eq(write(in[1], "hello\n", 6), 6);
    expect(ours[0], "hello\n");
    waitpid(child, &status, 0);
    cr_assert_eq(status, 0);
    expect(ours[0], "after\n");
    expect(errors[0], "noise\n");
}
