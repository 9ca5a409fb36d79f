/* What server.c (the daemon, requests coming in) and server_request.c (answers going out) share.
 * Nobody else includes it. */
#ifndef LLM_SERVER_PRIVATE_H
#define LLM_SERVER_PRIVATE_H

#include <microhttpd.h>

#include "server.h"

#define LLM_MHD_FUNCTIONS(X)         \
    X(start_daemon)                  \
    X(stop_daemon)                   \
    X(get_daemon_info)               \
    X(run)                           \
    X(get_timeout)                   \
    X(get_connection_info)           \
    X(get_connection_values)         \
    X(suspend_connection)            \
    X(resume_connection)             \
    X(queue_response)                \
    X(create_response_from_buffer)   \
    X(create_response_from_callback) \
    X(add_response_header)           \
    X(destroy_response)

#define LLM_MHD_MEMBER(name) __typeof__(MHD_##name) *name;
typedef struct llm_mhd {
    LLM_MHD_FUNCTIONS(LLM_MHD_MEMBER)
} llm_mhd;

typedef enum llm_answer {
    LLM_ANSWER_EARLY,   /* the request itself is still coming in */
    LLM_ANSWER_NONE,    /* the request is there, nobody has answered */
    LLM_ANSWER_PARTIAL, /* begun, more will be written */
    LLM_ANSWER_WHOLE,   /* nothing will be added */
    LLM_ANSWER_CUT,     /* nothing will be sent: the connection is being closed */
} llm_answer;

/* Freed when neither libmicrohttpd (connection) nor an owner (held) has it. */
struct llm_server_request {
    llm_op op; /* first; live while held */
    llm_server *server;
    struct MHD_Connection *connection; /* NULL once libmicrohttpd is done with the request */
    int fd;
    char *method, *path;
    llm_buffer headers, body, out;
    size_t handed;  /* bytes at the front of out that libmicrohttpd is sending */
    size_t dropped; /* bytes of a body that is too large */
    llm_answer answer;
    int refusal; /* the status of a request that never reaches the queue, 0 for none */
    bool suspended, held, gone;
    llm_server_request *next, *previous; /* of those with a connection */
    llm_server_request *next_waiting;    /* in the queue */
};

struct llm_server {
    llm_source source; /* first */
    llm_op op;
    const llm_mhd *mhd;
    struct MHD_Daemon *daemon;
    int listen_fd, epoll_fd, port;
    size_t max_body_bytes;
    llm_server_request *requests;     /* with a connection */
    llm_server_request *first, *last; /* the queue, each held by it */
};

/* Until resumed libmicrohttpd leaves the connection alone, so the loop watches for its hangup. */
void llm_server_suspend(llm_server_request *r);
void llm_server_resume(llm_server_request *r); /* does nothing when it is not suspended */
/* Takes r from the list of those with a connection; frees it unless it is held. */
void llm_server_detach(llm_server_request *r);
void llm_server_destroy(llm_server_request *r);

#endif
