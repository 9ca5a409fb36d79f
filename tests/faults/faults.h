/* The fault server's two halves: server.c reads requests and keeps the books, faults.c answers. A
 * connection belongs to its thread; nothing in it is shared. */
#ifndef LLM_TEST_FAULTS_H
#define LLM_TEST_FAULTS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    int fd;
    int port, other_port;    /* where the faults are, and where redirects to another origin lead */
    char name[64];           /* the fault asked for */
    int turn;                /* which request on this connection this is, from 1 */
    char *request;           /* the whole request as it came, NUL-terminated */
    size_t request_len, cap; /* bytes */
} llm_fault_conn;

/* Answers one request. True: the connection stays open for the next one. */
bool llm_fault_answer(llm_fault_conn *conn);
/* Answers a control request with plain text; keeps the connection. */
bool llm_fault_answer_text(llm_fault_conn *conn, const char *text);
/* False when the peer has gone. */
bool llm_fault_send(llm_fault_conn *conn, const void *bytes, size_t len);

#endif
