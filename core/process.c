/* process: see process.h. Descriptors are in their blocking mode, since those of our parent are
 * shared with others: each is asked with poll() before it is used, and a write is at most PIPE_BUF
 * bytes, which a writable pipe or socket always takes. */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/prctl.h>
#endif

extern char **environ;

struct llm_process {
    llm_source source;
    llm_op op;
    pid_t pid; /* 0: not started, or our parent */
    bool is_parent;
    int pidfd;  /* -1: the system has none, or no longer needed */
    int fds[3]; /* its input, output and errors; -1: closed */
    llm_process_state state;
    int number; /* exit code or signal */
};

enum { LOOK_AGAIN_NS = 10 * 1000000, PATIENCE_MS = 1000 };

/* --- what only some systems have ---------------------------------------------------------------- */

#if defined(SYS_pidfd_open)
static int open_pidfd(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }
#else
static int open_pidfd(pid_t pid) { return (void)pid, -1; }
#endif

#if defined(__linux__)
static void die_with(pid_t parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127); /* it was faster */
}
#else
static void die_with(pid_t parent) { (void)parent; }
#endif

#if defined(CLOSE_RANGE_CLOEXEC)
static void inherit_nothing(void) { close_range(3, UINT_MAX, CLOSE_RANGE_CLOEXEC); }
#else
static void inherit_nothing(void) {}
#endif

/* --- descriptors -------------------------------------------------------------------------------- */

static void close_fd(int *fd) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

static void close_ours(llm_process *p, int *fd) {
    if (*fd >= 0) llm_loop_watch(p->op.loop, *fd, 0, &p->source);
    close_fd(fd);
}

/* Above the standard ones, so that dup2 onto those never meets one of ours. */
static int raise_fd(int *fd) {
    if (*fd > STDERR_FILENO) return 0;
    int raised = fcntl(*fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    close_fd(fd);
    *fd = raised;
    return raised < 0 ? -1 : 0;
}

static int open_pipe(int *reader, int *writer) {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0) return -1;
    *reader = fds[0], *writer = fds[1];
    return raise_fd(reader) < 0 || raise_fd(writer) < 0 ? -1 : 0;
}

static bool is_possible(int fd, short events) {
    struct pollfd one = {.fd = fd, .events = events};
    return poll(&one, 1, 0) > 0;
}

static void await(llm_process *p, int fd, unsigned events) {
    llm_loop_watch(p->op.loop, fd, events, &p->source);
}

/* --- the child ---------------------------------------------------------------------------------- */

typedef struct failure {
    int number;  /* errno */
    bool of_cwd; /* else of the program */
} failure;

/* Caught signals become standard ones by themselves; of the ignored ones a user may have meant
 * SIGHUP and SIGINT, while a host ignores those that say what an error code says, too. */
static void reset_signals(void) {
    struct sigaction standard = {.sa_handler = SIG_DFL};
    sigset_t none;
    for (int number = 1; number < NSIG; number++) {
        struct sigaction now;
        if (sigaction(number, NULL, &now) < 0) continue;
        bool is_kept = now.sa_handler == SIG_IGN && number != SIGPIPE && number != SIGXFSZ;
        if (!is_kept) sigaction(number, &standard, NULL);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Between fork and exec, where only what is safe in a signal handler is safe. */
static void become(const llm_process_setup *setup, const int theirs[3], int report, pid_t parent) {
    failure f = {0};
    die_with(parent);
    setpgid(0, 0);
    reset_signals();
    for (int fd = 0; fd < 3; fd++) {
        if (theirs[fd] >= 0) dup2(theirs[fd], fd);
    }
    inherit_nothing();
    if (setup->cwd && chdir(setup->cwd) < 0) {
        f.of_cwd = true;
    } else {
        environ = (char **)setup->envp;
        execvp(setup->argv[0], setup->argv);
    }
    f.number = errno;
    if (write(report, &f, sizeof f) < 0) f.number = 0; /* nobody is left to tell */
    _exit(127);
}

static int tell(const llm_process_setup *setup, const failure *f, llm_err *err) {
    const char *reason = strerror(f->number);
    if (!f->of_cwd) return llm_fail(err, LLM_ESYSTEM, "cannot run %s: %s", setup->argv[0], reason);
    return llm_fail(
        err, LLM_ESYSTEM, "cannot run %s in %s: %s", setup->argv[0], setup->cwd, reason);
}

/* Signals are blocked meanwhile: a handler of ours must not run in the child. */
static pid_t fork_quietly(sigset_t *before) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, before);
    return fork();
}

static int spawn(llm_process *p, const llm_process_setup *setup, int theirs[3], llm_err *err) {
    int reader = -1, report = -1;
    sigset_t before;
    if (open_pipe(&reader, &report) < 0) {
        int rc = llm_fail(err, LLM_ESYSTEM, "cannot open a pipe: %s", strerror(errno));
        return close_fd(&reader), close_fd(&report), rc;
    }
    pid_t parent = getpid(), pid = fork_quietly(&before);
    if (pid == 0) become(setup, theirs, report, parent);
    int number = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close_fd(&report);
    failure f = {.number = number};
    ssize_t got = pid < 0 ? (ssize_t)sizeof f : 0;
    while (pid > 0 && (got = read(reader, &f, sizeof f)) < 0 && errno == EINTR) continue;
    close_fd(&reader);
    if (got != sizeof f) return p->pid = pid, 0; /* the report was closed by exec */
    if (pid > 0) waitpid(pid, NULL, 0);
    return tell(setup, &f, err);
}

/* --- start and end ------------------------------------------------------------------------------ */

static void look_at_status(llm_process *p) {
    siginfo_t info = {0};
    int rc;
    if (p->state != LLM_RUNNING || !p->pid) return;
    while ((rc = waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOHANG | WNOWAIT)) < 0) {
        if (errno != EINTR) break;
    }
    if (rc == 0 && info.si_pid == 0) return;
    p->number = rc < 0 ? 0 : info.si_status;
    p->state = rc < 0 ? LLM_LOST : info.si_code == CLD_EXITED ? LLM_EXITED : LLM_KILLED;
    close_ours(p, &p->pidfd);
    llm_op_ready(&p->op);
}

static void on_io(llm_source *source, int fd, unsigned events) {
    llm_process *p = (llm_process *)source;
    (void)events;
    if (fd == p->pidfd) {
        look_at_status(p);
    } else {
        await(p, fd, 0);
        llm_op_ready(&p->op);
    }
}

/* Where there is no pidfd the child is looked at in turns. */
static void on_timer(llm_source *source) {
    llm_process *p = (llm_process *)source;
    look_at_status(p);
    if (p->state == LLM_RUNNING) llm_source_due(source, llm_loop_now(source->loop) + LOOK_AGAIN_NS);
}

static llm_process *process_new(llm_loop *loop, llm_err *err) {
    if (llm_loop_foreign(loop)) {
        return llm_fail(err, LLM_ECLOSED, "this event loop was created in another process"), NULL;
    }
    llm_process *p = calloc(1, sizeof *p);
    if (!p || llm_op_init(&p->op, loop, llm_op_ready)) {
        return free(p), llm_fail(err, LLM_ENOMEM, "out of memory"), NULL;
    }
    p->pidfd = p->fds[0] = p->fds[1] = p->fds[2] = -1;
    p->source.io = on_io, p->source.timer = on_timer;
    llm_source_init(&p->source, loop);
    return p;
}

static int open_pipes(llm_process *p, bool has_stderr, int theirs[3], llm_err *err) {
    if (open_pipe(&theirs[0], &p->fds[0]) == 0 && open_pipe(&p->fds[1], &theirs[1]) == 0 &&
        (!has_stderr || open_pipe(&p->fds[2], &theirs[2]) == 0)) {
        return 0;
    }
    return llm_fail(err, LLM_ESYSTEM, "cannot open a pipe: %s", strerror(errno));
}

static void watch_end(llm_process *p) {
    p->pidfd = open_pidfd(p->pid);
    if (p->pidfd >= 0 && llm_loop_watch(p->op.loop, p->pidfd, LLM_READ, &p->source) != 0) {
        close_fd(&p->pidfd);
    }
    if (p->pidfd < 0) llm_source_due(&p->source, llm_clock_ns() + LOOK_AGAIN_NS);
}

llm_process *llm_process_start(llm_loop *loop, const llm_process_setup *setup, llm_err *err) {
    if (!setup->argv[0] || !*setup->argv[0]) {
        return llm_fail(err, LLM_EINVAL, "there is no program to run"), NULL;
    }
    llm_process *p = process_new(loop, err);
    if (!p) return NULL;
    int theirs[3] = {-1, -1, -1};
    int rc = open_pipes(p, setup->capture_stderr, theirs, err);
    if (rc == 0) rc = spawn(p, setup, theirs, err);
    for (int i = 0; i < 3; i++) close_fd(&theirs[i]);
    if (rc != 0) return llm_process_cancel(p), NULL;
    watch_end(p);
    return p;
}

/* Puts what is opened so in the place of a standard descriptor; the old one under another number. */
static int replace(int standard, int instead) {
    int kept = fcntl(standard, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (kept >= 0 && instead >= 0 && dup2(instead, standard) < 0) close_fd(&kept);
    return instead < 0 ? (close_fd(&kept), -1) : kept;
}

llm_process *llm_process_parent(llm_loop *loop, llm_err *err) {
    llm_process *p = process_new(loop, err);
    if (!p) return NULL;
    p->is_parent = true;
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    p->fds[1] = replace(STDIN_FILENO, nothing);
    p->fds[0] = replace(STDOUT_FILENO, STDERR_FILENO);
    close_fd(&nothing);
    if (p->fds[0] >= 0 && p->fds[1] >= 0) return p;
    llm_fail(err, LLM_ESYSTEM, "cannot take standard input and output: %s", strerror(errno));
    return llm_process_cancel(p), NULL;
}

static void give_back(llm_process *p) {
    if (p->fds[0] >= 0) dup2(p->fds[0], STDOUT_FILENO);
    if (p->fds[1] >= 0) dup2(p->fds[1], STDIN_FILENO);
}

/* A process that may not be killed is not waited for; an id that others freed is nobody's. */
static void kill_and_reap(llm_process *p) {
    if (p->state == LLM_LOST || (kill(-p->pid, SIGKILL) < 0 && errno != ESRCH)) return;
    if (p->pidfd >= 0) {
        struct pollfd one = {.fd = p->pidfd, .events = POLLIN};
        poll(&one, 1, PATIENCE_MS);
    }
    int options = p->pidfd >= 0 ? WNOHANG : 0;
    while (waitpid(p->pid, NULL, options) < 0 && errno == EINTR) continue;
}

void llm_process_cancel(llm_process *p) {
    if (!p) return;
    bool is_ours = !llm_loop_foreign(p->op.loop);
    if (is_ours && p->pid > 0) kill_and_reap(p);
    if (is_ours && p->is_parent) give_back(p);
    for (int i = 0; i < 3; i++) close_ours(p, &p->fds[i]);
    close_ours(p, &p->pidfd);
    llm_source_clear(&p->source);
    llm_op_clear(&p->op);
    free(p);
}

/* --- use ---------------------------------------------------------------------------------------- */

llm_op *llm_process_op(llm_process *p) { return &p->op; }
int llm_process_pid(const llm_process *p) { return p->pid; }

int llm_process_read(llm_process *p, int stream, void *into, size_t room, size_t *len) {
    int *fd = &p->fds[stream];
    if (*fd < 0) return LLM_ECLOSED;
    if (!is_possible(*fd, POLLIN)) return await(p, *fd, LLM_READ), 0;
    ssize_t got = read(*fd, into, room);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return await(p, *fd, LLM_READ), 0;
    if (got <= 0) return close_ours(p, fd), LLM_ECLOSED;
    *len = (size_t)got;
    return 1;
}

/* As many bytes as go without waiting, or -1: nobody reads them. */
static ssize_t write_some(int fd, const char *bytes, size_t len) {
    size_t done = 0;
    while (done < len && is_possible(fd, POLLOUT)) {
        ssize_t count = write(fd, bytes + done, len - done < PIPE_BUF ? len - done : PIPE_BUF);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0 && errno == EAGAIN) break;
        if (count < 0) return -1;
        done += (size_t)count;
    }
    return (ssize_t)done;
}

/* A closed pipe is an error code to us; the signal that comes with it is taken back. */
int llm_process_write(llm_process *p, const void *bytes, size_t len, size_t *taken) {
    *taken = 0;
    if (p->fds[0] < 0) return LLM_ECLOSED;
    sigset_t pipe_signal, before, pending;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
    ssize_t count = write_some(p->fds[0], bytes, len);
    if (count < 0 && !sigismember(&pending, SIGPIPE)) {
        sigtimedwait(&pipe_signal, NULL, &(struct timespec){0});
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (count < 0) return close_ours(p, &p->fds[0]), LLM_ECLOSED;
    *taken = (size_t)count;
    if (*taken < len) await(p, p->fds[0], LLM_WRITE);
    return 0;
}

void llm_process_finish(llm_process *p) {
    if (!p->is_parent) close_ours(p, &p->fds[0]);
}

llm_process_state llm_process_status(llm_process *p, int *number) {
    look_at_status(p);
    *number = p->number;
    return p->state;
}

void llm_process_kill(llm_process *p, int number) {
    if (p->pid && p->state != LLM_LOST) kill(-p->pid, number);
}
