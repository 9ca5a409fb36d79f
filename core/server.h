/* server: an HTTP/1.1 server over libmicrohttpd, driven by a loop. Requests are queued whole;
 * answers are written later, at once or piece by piece. libmicrohttpd's callbacks only record, and
 * the library is opened by the first server.
 *
 * Limits: bodies as set up (413), headers 32 KiB a request (431, libmicrohttpd's own), 1000
 * connections, 60 s without traffic unless an answer is awaited. Ambiguous framing is answered 400.
 * A client that closes its sending side counts as gone. */
#ifndef LLM_SERVER_H
#define LLM_SERVER_H

#include <stdbool.h>

#include "buffer.h"
#include "loop.h"

typedef struct llm_server llm_server;
typedef struct llm_server_request llm_server_request;

typedef struct llm_server_setup {
    const char *host;      /* a numeric address or "localhost"; NULL: 127.0.0.1 */
    int port;              /* 0: any free one */
    size_t max_body_bytes; /* 0: LLM_SERVER_MAX_BODY */
} llm_server_setup;

enum { LLM_SERVER_MAX_BODY = 64 << 20 };

/* Listens. setup NULL: the defaults. NULL with err: LLM_EINVAL, LLM_ENOMEM, LLM_ESYSTEM,
 * LLM_ECLOSED (the loop is another process's). The loop must outlive the server and its requests. */
llm_server *llm_server_new(llm_loop *loop, const llm_server_setup *setup, llm_err *err);
/* NULL allowed. Answers that are complete are sent as far as that goes without waiting; every
 * connection is closed. Requests that were accepted stay their owners', with their client gone. */
void llm_server_free(llm_server *server);
int llm_server_port(const llm_server *server);
llm_op *llm_server_op(llm_server *server); /* ready while requests stand in the queue */

/* The next request, owned by the caller, or NULL: none yet, wait for llm_server_op. */
llm_server_request *llm_server_accept(llm_server *server);
/* NULL allowed. A request without a complete answer is aborted; a complete one is still sent. */
void llm_server_request_free(llm_server_request *r);

/* What came; valid until the request is freed. */
const char *llm_server_method(const llm_server_request *r);
const char *llm_server_path(const llm_server_request *r); /* as sent: escaped, with its query */
/* The first value of a header (name in lower case), or NULL. Not NUL-terminated. */
const char *llm_server_header(const llm_server_request *r, const char *name, size_t *len);
const llm_buffer *llm_server_body(const llm_server_request *r);

/* An answer: respond, or begin, any number of writes, finish. All return 0, LLM_EINVAL (out of
 * turn, status not in 200 … 599, a header that the server sets itself), LLM_ENOMEM, or LLM_ECLOSED
 * (the client has gone, or this is a forked child). headers: "Name: value" lines, each ended by \n,
 * every one of them checked with llm_header_fault; NULL for none. Bytes are copied. */
int llm_server_respond(
    llm_server_request *r, int status, const char *headers, const void *body, size_t body_len);
int llm_server_begin(llm_server_request *r, int status, const char *headers);
/* Never refuses for fullness: who sees the backlog grow waits for the request's operation. */
int llm_server_write(llm_server_request *r, const void *bytes, size_t len);
int llm_server_finish(llm_server_request *r);
/* Cuts the connection without a proper end. What was not yet handed to the system is dropped. */
void llm_server_abort(llm_server_request *r);

/* Ready when all that was written has been handed to the system, when the answer is complete, and
 * when the client has gone; a write makes it unready. */
llm_op *llm_server_request_op(llm_server_request *r);
/* The client left before the answer was complete. */
bool llm_server_gone(const llm_server_request *r);
size_t llm_server_backlog(const llm_server_request *r); /* bytes written, not yet handed over */

#endif
