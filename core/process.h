/* process: other programs as peers, over pipes and a loop. Nothing here waits, and nothing is
 * buffered: what a child writes stays in its pipe until it is read, what does not fit into its input
 * stays with the caller.
 *
 * A child is the leader of a process group of its own, which is killed as a whole with its handle.
 * It inherits no descriptor but its standard ones, no blocked and no caught signal. When the thread
 * that started it ends by whatever means, the child is killed (Linux); grandchildren of a process
 * that was killed with SIGKILL see the end of their input. */
#ifndef LLM_PROCESS_H
#define LLM_PROCESS_H

#include <stdbool.h>
#include <stddef.h>

#include "loop.h"

typedef struct llm_process llm_process;

typedef struct llm_process_setup {
    char *const *argv;   /* at least one word, then NULL; argv[0] is looked for in envp's PATH */
    char *const *envp;   /* "NAME=value", then NULL: all of its environment */
    const char *cwd;     /* NULL: ours */
    bool capture_stderr; /* else it is ours */
} llm_process_setup;

typedef enum { LLM_RUNNING, LLM_EXITED, LLM_KILLED, LLM_LOST } llm_process_state;

/* Returns when the program runs. NULL with err: LLM_EINVAL (no word), LLM_ENOMEM, LLM_ESYSTEM (which
 * names the program or the directory), LLM_ECLOSED (the loop is another process's). */
llm_process *llm_process_start(llm_loop *loop, const llm_process_setup *setup, llm_err *err);

/* Our own parent: LLM_STDOUT is what comes on our standard input, what is written goes to our
 * standard output. Until llm_process_cancel descriptor 0 is empty and 1 is standard error, so that
 * no print and no read of others gets between. It is always LLM_RUNNING. One at a time. */
llm_process *llm_process_parent(llm_loop *loop, llm_err *err);

/* NULL allowed. Kills the group of a child, waits until it is gone (at most a second) and frees. */
void llm_process_cancel(llm_process *p);

/* Becomes ready each time that something was waited for: bytes came after a read gave none, there
 * is room after a write took less than all, the child ended, what llm_op_due was set to. */
llm_op *llm_process_op(llm_process *p);
int llm_process_pid(const llm_process *p); /* 0: our parent */

enum { LLM_STDOUT = 1, LLM_STDERR = 2 };

/* Takes at most room bytes of a stream: 1 with their number in *len, 0 none yet, LLM_ECLOSED after
 * the last or when the stream is not ours to read. */
int llm_process_read(llm_process *p, int stream, void *into, size_t room, size_t *len);
/* Gives as many bytes as fit, their number in *taken. 0, or LLM_ECLOSED when nobody reads them. */
int llm_process_write(llm_process *p, const void *bytes, size_t len, size_t *taken);
/* No more will be written: the child sees the end of its input. */
void llm_process_finish(llm_process *p);

/* The state, and in *number the exit code or the signal. LLM_LOST: somebody else in this process
 * took the exit code. A child that ended keeps its process id until llm_process_cancel. */
llm_process_state llm_process_status(llm_process *p, int *number);
/* Sends a signal to the group, as long as anything is left of it. */
void llm_process_kill(llm_process *p, int number);

#endif
