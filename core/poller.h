/* poller: what the loop waits with. poller_epoll.c has one pollable descriptor, poller_poll.c is
 * the fallback for systems without epoll; one of them is built. Private to loop.c. */
#ifndef LLM_POLLER_H
#define LLM_POLLER_H

#include <stdint.h>

#include "error.h"

typedef struct llm_poller llm_poller;

typedef struct llm_poller_event {
    int fd;
    unsigned events; /* LLM_READ | LLM_WRITE | LLM_HANGUP */
} llm_poller_event;

llm_poller *llm_poller_new(llm_err *err);
void llm_poller_free(llm_poller *p);    /* NULL allowed */
int llm_poller_fd(const llm_poller *p); /* -1 for none */
/* Changes what fd is watched for from before to now (0: not at all). 0 or LLM_ESYSTEM. */
int llm_poller_set(llm_poller *p, int fd, unsigned before, unsigned now);
/* Fills at most room events; their count, 0 after a signal too, or LLM_ESYSTEM. */
int llm_poller_wait(llm_poller *p, uint64_t timeout_ns, llm_poller_event *events, int room);
/* Makes the descriptor readable in delay_ns (0: now, UINT64_MAX: never). */
void llm_poller_arm(llm_poller *p, uint64_t delay_ns);

#endif
