/* server_request: answers on their way out, and what is known of a request. See server.h. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http.h"
#include "server_private.h"

enum { BLOCK_BYTES = 16 << 10 };

static bool foreign(const llm_server_request *r) { return llm_loop_foreign(r->op.loop); }

/* --- what came -------------------------------------------------------------------------------- */

const char *llm_server_method(const llm_server_request *r) { return r->method; }
const char *llm_server_path(const llm_server_request *r) { return r->path; }
const llm_buffer *llm_server_body(const llm_server_request *r) { return &r->body; }
llm_op *llm_server_request_op(llm_server_request *r) { return &r->op; }
bool llm_server_gone(const llm_server_request *r) { return r->gone; }
size_t llm_server_backlog(const llm_server_request *r) { return llm_buffer_len(&r->out); }

const char *llm_server_header(const llm_server_request *r, const char *name, size_t *len) {
    return llm_header_find(&r->headers, name, len);
}

/* --- the answer ------------------------------------------------------------------------------- */

/* Wants more to send. What it was given before has been handed to the system by now. */
static ssize_t on_read(void *user, uint64_t position, char *room, size_t max) {
    (void)position;
    llm_server_request *r = user;
    llm_buffer_take(&r->out, r->handed);
    size_t len = llm_buffer_len(&r->out);
    r->handed = len < max ? len : max;
    if (r->answer == LLM_ANSWER_CUT) return MHD_CONTENT_READER_END_WITH_ERROR;
    if (len == 0 && r->answer == LLM_ANSWER_WHOLE) return MHD_CONTENT_READER_END_OF_STREAM;
    if (len == 0) {
        llm_op_ready(&r->op);
        llm_server_suspend(r);
        return 0;
    }
    memcpy(room, llm_buffer_data(&r->out), r->handed);
    return (ssize_t)r->handed;
}

/* Cuts the lines apart in place. */
static int add_headers(const llm_mhd *mhd, struct MHD_Response *response, char *lines) {
    for (char *line = lines, *next; *line; line = next) {
        char *value = strstr(line, ": "), *stop = strchr(line, '\n');
        if (!stop || !value || value > stop) return LLM_EINVAL;
        *value = *stop = '\0';
        next = stop + 1;
        if (mhd->add_response_header(response, line, value + 2) != MHD_YES) return LLM_EINVAL;
    }
    return 0;
}

static int may_answer(const llm_server_request *r, int status) {
    if (foreign(r) || !r->connection || r->answer == LLM_ANSWER_CUT) return LLM_ECLOSED;
    if (r->answer != LLM_ANSWER_NONE || status < 200 || status > 599) return LLM_EINVAL;
    return 0;
}

/* Takes the response over. */
static int send_response(llm_server_request *r, int status, const char *headers,
    struct MHD_Response *response, llm_answer answer) {
    const llm_mhd *mhd = r->server->mhd;
    char *copy = strdup(headers ? headers : "");
    int rc = response && copy ? add_headers(mhd, response, copy) : LLM_ENOMEM;
    free(copy);
    if (rc == 0 && mhd->queue_response(r->connection, (unsigned)status, response) != MHD_YES) {
        rc = LLM_EINVAL;
    }
    if (response) mhd->destroy_response(response);
    if (rc) return rc;
    r->answer = answer;
    llm_server_resume(r);
    return 0;
}

int llm_server_respond(
    llm_server_request *r, int status, const char *headers, const void *body, size_t body_len) {
    int rc = may_answer(r, status);
    if (rc) return rc;
    struct MHD_Response *response = r->server->mhd->create_response_from_buffer(
        body_len, (void *)(uintptr_t)(body_len ? body : ""), MHD_RESPMEM_MUST_COPY);
    return send_response(r, status, headers, response, LLM_ANSWER_WHOLE);
}

int llm_server_begin(llm_server_request *r, int status, const char *headers) {
    int rc = may_answer(r, status);
    if (rc) return rc;
    struct MHD_Response *response = r->server->mhd->create_response_from_callback(
        MHD_SIZE_UNKNOWN, BLOCK_BYTES, on_read, r, NULL);
    return send_response(r, status, headers, response, LLM_ANSWER_PARTIAL);
}

static int may_add(const llm_server_request *r) {
    if (foreign(r) || !r->connection || r->answer == LLM_ANSWER_CUT) return LLM_ECLOSED;
    return r->answer == LLM_ANSWER_PARTIAL ? 0 : LLM_EINVAL;
}

int llm_server_write(llm_server_request *r, const void *bytes, size_t len) {
    int rc = may_add(r);
    if (rc || len == 0) return rc;
    if (llm_buffer_append(&r->out, bytes, len)) return LLM_ENOMEM;
    r->op.ready = false;
    llm_server_resume(r);
    return 0;
}

int llm_server_finish(llm_server_request *r) {
    int rc = may_add(r);
    if (rc) return rc;
    r->answer = LLM_ANSWER_WHOLE;
    llm_server_resume(r);
    return 0;
}

void llm_server_abort(llm_server_request *r) {
    if (foreign(r) || !r->connection || r->answer == LLM_ANSWER_CUT) return;
    r->answer = LLM_ANSWER_CUT;
    shutdown(r->fd, SHUT_RDWR); /* or a connection that waits to send would go on waiting */
    llm_server_resume(r);
}

void llm_server_request_free(llm_server_request *r) {
    if (!r) return;
    if (r->answer != LLM_ANSWER_WHOLE) llm_server_abort(r);
    r->held = false;
    if (!r->connection) {
        llm_server_destroy(r);
    } else if (foreign(r)) {
        close(r->fd);
        llm_server_detach(r);
    } else {
        llm_op_clear(&r->op); /* libmicrohttpd's last callback frees the rest */
    }
}
