/* server: the daemon behind the loop, and requests on their way in. See server.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http.h"
#include "library.h"
#include "server_private.h"

enum { MAX_CONNECTIONS = 1000, IDLE_TIMEOUT_S = 60, POOL_BYTES = 32 << 10 };

/* --- libmicrohttpd ---------------------------------------------------------------------------- */

static llm_mhd mhd_functions;
static llm_err mhd_error;
static pthread_once_t mhd_once = PTHREAD_ONCE_INIT;

#define NAME_OF(name) "MHD_" #name,

static void open_mhd(void) {
    static const char *const symbols[] = {LLM_MHD_FUNCTIONS(NAME_OF)};
    enum { COUNT = sizeof symbols / sizeof *symbols };
    _Static_assert(sizeof(llm_mhd) == COUNT * sizeof(void *), "one pointer a function");
    void *functions[COUNT];
    if (llm_library_open("libmicrohttpd.so.12", symbols, functions, COUNT, &mhd_error)) return;
    memcpy(&mhd_functions, functions, sizeof functions);
}

static const llm_mhd *mhd_open(llm_err *err) {
    pthread_once(&mhd_once, open_mhd);
    if (!mhd_error.code) return &mhd_functions;
    llm_fail(err, mhd_error.code, "%s", mhd_error.msg);
    return NULL;
}

/* --- requests and connections ----------------------------------------------------------------- */

void llm_server_destroy(llm_server_request *r) {
    llm_op_clear(&r->op);
    free(r->method);
    free(r->path);
    llm_buffer_clear(&r->headers);
    llm_buffer_clear(&r->body);
    llm_buffer_clear(&r->out);
    free(r);
}

void llm_server_detach(llm_server_request *r) {
    *(r->previous ? &r->previous->next : &r->server->requests) = r->next;
    if (r->next) r->next->previous = r->previous;
    r->connection = NULL;
    r->suspended = false;
    llm_buffer_clear(&r->out);
    if (!r->held) llm_server_destroy(r);
}

void llm_server_suspend(llm_server_request *r) {
    r->suspended = true;
    r->server->mhd->suspend_connection(r->connection);
    llm_loop_watch(r->server->source.loop, r->fd, LLM_HANGUP, &r->server->source);
}

void llm_server_resume(llm_server_request *r) {
    if (!r->suspended) return;
    r->suspended = false;
    llm_loop_watch(r->server->source.loop, r->fd, 0, &r->server->source);
    r->server->mhd->resume_connection(r->connection);
    llm_source_due(&r->server->source, 0); /* libmicrohttpd's descriptor does not tell */
}

static void hung_up(llm_server *server, int fd) {
    llm_server_request *r = server->requests;
    while (r && !(r->suspended && r->fd == fd)) r = r->next;
    if (!r) return;
    r->gone = true;
    llm_server_abort(r);
    llm_op_ready(&r->op);
}

/* --- the daemon and the loop ------------------------------------------------------------------ */

static void run(llm_server *server) {
    MHD_UNSIGNED_LONG_LONG ms;
    uint64_t due = LLM_NEVER;
    server->mhd->run(server->daemon);
    if (server->mhd->get_timeout(server->daemon, &ms) == MHD_YES) {
        due = llm_clock_ns() + ms * 1000000;
    }
    llm_source_due(&server->source, due);
}

static void on_io(llm_source *source, int fd, unsigned events) {
    llm_server *server = (llm_server *)source;
    if (fd == server->epoll_fd) {
        run(server);
    } else if (events & LLM_HANGUP) {
        hung_up(server, fd);
    }
}

static void on_due(llm_source *source) { run((llm_server *)source); }

/* --- libmicrohttpd's callbacks ---------------------------------------------------------------- */

/* Called first, with the request line's target as it was sent. */
static void *on_target(void *user, const char *target, struct MHD_Connection *connection) {
    llm_server *server = user;
    llm_server_request *r = calloc(1, sizeof *r);
    char *path = strdup(target);
    if (!r || !path) return free(r), free(path), NULL;
    r->server = server;
    r->connection = connection;
    r->path = path;
    r->next = server->requests;
    if (r->next) r->next->previous = r;
    server->requests = r;
    return r;
}

static enum MHD_Result on_header(
    void *user, enum MHD_ValueKind kind, const char *name, const char *value) {
    (void)kind;
    llm_buffer *block = user;
    if (!value) value = "";
    bool ok = llm_buffer_append(block, name, strlen(name)) == 0 &&
              llm_buffer_append(block, ": ", 2) == 0 &&
              llm_buffer_append(block, value, strlen(value)) == 0 &&
              llm_buffer_append(block, "\r\n", 2) == 0;
    return ok ? MHD_YES : MHD_NO;
}

/* Two readings of where a body ends are how requests are smuggled past a proxy (RFC 9112, 6.3). */
static bool is_ambiguous(const llm_buffer *headers) {
    size_t coding_len, length_len, len;
    const char *coding = llm_header_find(headers, "transfer-encoding", &coding_len);
    const char *length = llm_header_find(headers, "content-length", &length_len);
    if (coding && (length || coding_len != 7 || strncasecmp(coding, "chunked", 7) != 0))
        return true;
    if (!length) return false;
    const char *last = length + length_len;
    llm_buffer rest = *headers;
    llm_buffer_take(&rest, (size_t)(last - llm_buffer_data(headers)));
    return llm_header_find(&rest, "content-length", &len) != NULL;
}

static bool is_too_large(const llm_server_request *r) {
    size_t len;
    const char *length = llm_header_find(&r->headers, "content-length", &len);
    return length && strtoull(length, NULL, 10) > r->server->max_body_bytes;
}

static enum MHD_Result refuse(llm_server_request *r) {
    const llm_mhd *mhd = r->server->mhd;
    const char *text = r->refusal == MHD_HTTP_BAD_REQUEST ? "the request's framing is ambiguous\n"
                                                          : "the request's body is too large\n";
    struct MHD_Response *response = mhd->create_response_from_buffer(
        strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT);
    if (!response) return MHD_NO;
    mhd->add_response_header(response, "Connection", "close");
    enum MHD_Result rc = mhd->queue_response(r->connection, (unsigned)r->refusal, response);
    mhd->destroy_response(response);
    r->answer = LLM_ANSWER_WHOLE;
    return rc;
}

static enum MHD_Result take_headers(llm_server_request *r, const char *method) {
    const llm_mhd *mhd = r->server->mhd;
    r->method = strdup(method);
    r->fd = mhd->get_connection_info(r->connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    int count = mhd->get_connection_values(r->connection, MHD_HEADER_KIND, NULL, NULL);
    int taken = mhd->get_connection_values(r->connection, MHD_HEADER_KIND, on_header, &r->headers);
    if (!r->method || taken != count) return MHD_NO;
    if (is_too_large(r)) r->refusal = MHD_HTTP_CONTENT_TOO_LARGE;
    if (is_ambiguous(&r->headers)) r->refusal = MHD_HTTP_BAD_REQUEST;
    return r->refusal ? refuse(r) : MHD_YES;
}

/* libmicrohttpd sends no answer in the middle of a body, so one of unknown length that grows too
 * large is read on and dropped, but not for ever. */
static enum MHD_Result take_body(llm_server_request *r, const char *bytes, size_t *len) {
    size_t limit = r->server->max_body_bytes, count = *len;
    *len = 0;
    if (r->refusal || count > limit - llm_buffer_len(&r->body)) {
        r->refusal = MHD_HTTP_CONTENT_TOO_LARGE;
        llm_buffer_clear(&r->body);
        r->dropped += count;
        return r->dropped > limit ? MHD_NO : MHD_YES;
    }
    return llm_buffer_append(&r->body, bytes, count) == 0 ? MHD_YES : MHD_NO;
}

static enum MHD_Result enqueue(llm_server_request *r) {
    llm_server *server = r->server;
    if (r->refusal) return refuse(r);
    if (llm_op_init(&r->op, server->source.loop, NULL)) return MHD_NO;
    r->answer = LLM_ANSWER_NONE;
    r->held = true;
    *(server->first ? &server->last->next_waiting : &server->first) = r;
    server->last = r;
    llm_server_suspend(r);
    llm_op_ready(&server->op);
    return MHD_YES;
}

/* Called with the headers, then with every piece of the body, then with nothing; and once more
 * when an unanswered request was aborted. */
static enum MHD_Result on_access(void *user, struct MHD_Connection *connection, const char *url,
    const char *method, const char *version, const char *bytes, size_t *len, void **state) {
    (void)user, (void)connection, (void)url, (void)version;
    llm_server_request *r = *state;
    if (!r || r->answer != LLM_ANSWER_EARLY) return MHD_NO;
    if (!r->method) return take_headers(r, method);
    return *len ? take_body(r, bytes, len) : enqueue(r);
}

/* Called before the connection is closed or used again. */
static void on_completed(void *user, struct MHD_Connection *connection, void **state,
    enum MHD_RequestTerminationCode code) {
    (void)user, (void)connection;
    llm_server_request *r = *state;
    *state = NULL;
    if (!r) return;
    if (code != MHD_REQUEST_TERMINATED_COMPLETED_OK && r->answer != LLM_ANSWER_CUT) r->gone = true;
    if (r->held) llm_op_ready(&r->op);
    llm_server_detach(r);
}

/* --- listening -------------------------------------------------------------------------------- */

static int read_address(const char *host, int port, struct addrinfo **address, llm_err *err) {
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM};
    if (port < 0 || port > 65535) return llm_fail(err, LLM_EINVAL, "%d is no port", port);
    if (!host || strcmp(host, "localhost") == 0) host = "127.0.0.1";
    if (getaddrinfo(host, NULL, &hints, address)) {
        return llm_fail(err, LLM_EINVAL, "cannot listen on %s: not an address", host);
    }
    struct sockaddr *name = (*address)->ai_addr; /* the port is at one place in both families */
    ((struct sockaddr_in *)name)->sin_port = htons((uint16_t)port);
    return 0;
}

static int port_of(int fd) {
    struct sockaddr_storage name;
    socklen_t len = sizeof name;
    if (getsockname(fd, (struct sockaddr *)&name, &len) < 0) return -1;
    return ntohs(((struct sockaddr_in *)&name)->sin_port);
}

/* The descriptor, or a negative code. */
static int listen_on(const char *host, int port, llm_err *err) {
    struct addrinfo *address;
    int rc = read_address(host, port, &address, err), on = 1;
    if (rc) return rc;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || bind(fd, address->ai_addr, address->ai_addrlen) < 0 ||
        listen(fd, SOMAXCONN) < 0) {
        rc = llm_fail(err, LLM_ESYSTEM, "cannot listen on port %d: %s", port, strerror(errno));
        if (fd >= 0) close(fd);
    }
    freeaddrinfo(address);
    return rc ? rc : fd;
}

static int start_daemon(llm_server *server, llm_err *err) {
    const llm_mhd *mhd = server->mhd;
    server->daemon = mhd->start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
        on_access, server, MHD_OPTION_LISTEN_SOCKET, server->listen_fd, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)MAX_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_TIMEOUT_S,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_URI_LOG_CALLBACK, on_target, server, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
        server, MHD_OPTION_END);
    if (!server->daemon) return llm_fail(err, LLM_ESYSTEM, "the HTTP server does not start");
    server->epoll_fd = mhd->get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    int rc = llm_loop_watch(server->source.loop, server->epoll_fd, LLM_READ, &server->source);
    return rc ? llm_fail(err, rc, "cannot watch the HTTP server") : 0;
}

static llm_server *server_alloc(llm_loop *loop, const llm_server_setup *setup, llm_err *err) {
    llm_server *server = calloc(1, sizeof *server);
    if (!server || llm_op_init(&server->op, loop, NULL)) {
        llm_fail(err, LLM_ENOMEM, "out of memory");
        return free(server), NULL;
    }
    server->source.io = on_io;
    server->source.timer = on_due;
    llm_source_init(&server->source, loop);
    server->max_body_bytes = setup->max_body_bytes ? setup->max_body_bytes : LLM_SERVER_MAX_BODY;
    server->listen_fd = -1;
    return server;
}

llm_server *llm_server_new(llm_loop *loop, const llm_server_setup *setup, llm_err *err) {
    static const llm_server_setup defaults;
    if (!setup) setup = &defaults;
    if (llm_loop_foreign(loop)) {
        llm_fail(err, LLM_ECLOSED, "this event loop was created in another process");
        return NULL;
    }
    const llm_mhd *mhd = mhd_open(err);
    if (!mhd) return NULL;
    llm_server *server = server_alloc(loop, setup, err);
    if (!server) return NULL;
    server->mhd = mhd;
    server->listen_fd = listen_on(setup->host, setup->port, err);
    if (server->listen_fd < 0 || start_daemon(server, err)) return llm_server_free(server), NULL;
    server->port = port_of(server->listen_fd);
    return server;
}

static void stop_daemon(llm_server *server) {
    server->mhd->run(server->daemon); /* what was answered a moment ago */
    for (llm_server_request *r = server->requests; r; r = r->next) {
        if (!r->suspended) continue;
        r->gone = true;
        llm_server_abort(r);
    }
    llm_loop_watch(server->source.loop, server->epoll_fd, 0, &server->source);
    server->mhd->stop_daemon(server->daemon);
}

/* A forked child shares the epoll set and the connections with its parent: libmicrohttpd must not
 * touch them, so the child forgets the daemon and closes its copies of the descriptors. */
static void forget_daemon(llm_server *server) {
    for (llm_server_request *r = server->requests, *next; r; r = next) {
        next = r->next;
        r->gone = true;
        if (r->fd) close(r->fd);
        llm_server_detach(r);
    }
    close(server->listen_fd);
    close(server->epoll_fd);
}

void llm_server_free(llm_server *server) {
    if (!server) return;
    if (!server->daemon) {
        if (server->listen_fd >= 0) close(server->listen_fd);
    } else if (llm_loop_foreign(server->source.loop)) {
        forget_daemon(server);
    } else {
        stop_daemon(server);
    }
    for (llm_server_request *r = server->first, *next; r; r = next) {
        next = r->next_waiting;
        llm_server_destroy(r);
    }
    llm_source_clear(&server->source);
    llm_op_clear(&server->op);
    free(server);
}

int llm_server_port(const llm_server *server) { return server->port; }
llm_op *llm_server_op(llm_server *server) { return &server->op; }

llm_server_request *llm_server_accept(llm_server *server) {
    llm_server_request *r = server->first;
    while (r && r->gone) {
        server->first = r->next_waiting;
        llm_server_request_free(r);
        r = server->first;
    }
    if (r) server->first = r->next_waiting;
    server->op.ready = server->first != NULL;
    return r;
}
