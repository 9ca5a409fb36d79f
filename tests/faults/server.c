/* A server that answers chat completions wrongly, for specs. The first segment of the path names the
 * fault (faults.c lists them); NAME-then-ok is NAME for the first request and a good answer after it.
 *   llm-faults [port]   prints "port N", "reset-port N", "other-port N"; on the second every connection
 *                       is reset at once, the third counts what redirects carry to another origin.
 *   GET /-/count/NAME /-/connections/NAME /-/open/NAME /-/last/NAME, GET /-/reset
 * It lives as long as somebody reads its stdout and its parent lives, so it dies with the spec. */
#include "faults.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

struct record {
    char name[64];
    int count;       /* requests */
    int connections; /* that carried at least one of them */
    int open;        /* being answered now */
    char *last;      /* the last request; owned */
    struct record *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct record *records; /* guarded by lock; a record is never freed, only cleared */
static int ports[3];           /* faults, reset, other; set before the first thread starts */

static struct record *record_of(const char *name) {
    struct record *record = records;
    while (record && strcmp(record->name, name) != 0) record = record->next;
    if (record) return record;
    record = calloc(1, sizeof *record);
    if (!record) abort();
    snprintf(record->name, sizeof record->name, "%s", name);
    record->next = records;
    return records = record;
}

static void clear_records(void) {
    for (struct record *record = records; record; record = record->next) {
        record->count = record->connections = 0;
        free(record->last);
        record->last = NULL;
    }
}

static bool control(llm_fault_conn *conn, const char *what) {
    char name[64] = "";
    char number[16];
    char *last = NULL;
    sscanf(what, "%*15[^/ ]/%63[^/ ?]", name);
    pthread_mutex_lock(&lock);
    struct record *record = record_of(name);
    int value = record->count;
    if (strncmp(what, "connections/", 12) == 0) value = record->connections;
    if (strncmp(what, "open/", 5) == 0) value = record->open;
    if (strncmp(what, "last/", 5) == 0) last = strdup(record->last ? record->last : "");
    if (strncmp(what, "reset", 5) == 0) clear_records();
    pthread_mutex_unlock(&lock);
    snprintf(number, sizeof number, "%d", value);
    bool keep = llm_fault_answer_text(conn, last ? last : number);
    free(last);
    return keep;
}

/* Notes the request and returns which one of its name it is, from 1. */
static int note(llm_fault_conn *conn, struct record *record) {
    char *copy = strdup(conn->request);
    pthread_mutex_lock(&lock);
    int seen = ++record->count;
    record->open++;
    if (conn->turn == 1) record->connections++;
    free(record->last);
    record->last = copy;
    pthread_mutex_unlock(&lock);
    return seen;
}

static bool serve_request(llm_fault_conn *conn, bool is_other) {
    char path[128] = "";
    sscanf(conn->request, "%*15s /%127[^ ?]", path);
    if (strncmp(path, "-/", 2) == 0) return control(conn, path + 2);
    snprintf(conn->name, sizeof conn->name, "%.*s", (int)strcspn(path, "/"), path);
    conn->turn++;
    pthread_mutex_lock(&lock);
    struct record *record = record_of(is_other ? "other" : conn->name);
    pthread_mutex_unlock(&lock);
    int seen = note(conn, record);
    char *then_ok = strstr(conn->name, "-then-ok");
    if (then_ok && seen == 1) *then_ok = '\0';
    if (then_ok && seen > 1) strcpy(conn->name, "ok");
    bool keep = llm_fault_answer(conn);
    pthread_mutex_lock(&lock);
    record->open--;
    pthread_mutex_unlock(&lock);
    return keep;
}

static bool receive(llm_fault_conn *conn) {
    if (conn->request_len + 4096 > conn->cap) {
        conn->cap = conn->cap * 2 + 8192;
        conn->request = realloc(conn->request, conn->cap);
        if (!conn->request) abort();
    }
    char *end = conn->request + conn->request_len;
    ssize_t count = recv(conn->fd, end, conn->cap - conn->request_len - 1, 0);
    if (count <= 0) return false;
    conn->request_len += (size_t)count;
    conn->request[conn->request_len] = '\0';
    return true;
}

static bool read_request(llm_fault_conn *conn) {
    size_t whole = 0;
    conn->request_len = 0;
    while (whole == 0 || conn->request_len < whole) {
        if (!receive(conn)) return false;
        char *body = strstr(conn->request, "\r\n\r\n");
        if (whole || !body) continue;
        char *length = strcasestr(conn->request, "\r\ncontent-length:");
        size_t body_len = length && length < body ? strtoul(length + 17, NULL, 10) : 0;
        whole = (size_t)(body + 4 - conn->request) + body_len;
        char *expect = strcasestr(conn->request, "\r\nexpect: 100");
        if (expect && expect < body) llm_fault_send(conn, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    }
    return true;
}

static void *serve(void *argument) {
    int *accepted = argument; /* {socket, is it the other port} */
    llm_fault_conn conn = {.fd = accepted[0], .port = ports[0], .other_port = ports[2]};
    bool is_other = accepted[1] != 0;
    free(accepted);
    setsockopt(conn.fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    while (read_request(&conn) && serve_request(&conn, is_other)) continue;
    close(conn.fd);
    free(conn.request);
    return NULL;
}

static void accept_one(int listener, int which) {
    int fd = accept(listener, NULL, NULL);
    if (fd < 0) return;
    if (which == 1) {
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
        close(fd);
        return;
    }
    pthread_t thread;
    pthread_attr_t detached;
    int *accepted = malloc(2 * sizeof *accepted);
    if (!accepted) abort();
    accepted[0] = fd;
    accepted[1] = which == 2;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&thread, &detached, serve, accepted) != 0) abort();
    pthread_attr_destroy(&detached);
}

static int listen_on(int port, int *bound) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, 1024) != 0) {
        perror("llm-faults");
        exit(1);
    }
    getsockname(fd, (struct sockaddr *)&address, &size);
    *bound = ntohs(address.sin_port);
    return fd;
}

int main(int argc, char **argv) {
    pid_t parent = getppid();
    struct pollfd waiting[4] = {{.fd = STDOUT_FILENO}};
    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < 3; i++) {
        int port = i == 0 && argc > 1 ? atoi(argv[1]) : 0;
        waiting[i + 1] = (struct pollfd){.fd = listen_on(port, &ports[i]), .events = POLLIN};
    }
    printf("port %d\nreset-port %d\nother-port %d\n", ports[0], ports[1], ports[2]);
    fflush(stdout);
    while (getppid() == parent && !(waiting[0].revents & (POLLERR | POLLHUP))) {
        poll(waiting, 4, 200);
        for (int i = 0; i < 3; i++)
            if (waiting[i + 1].revents) accept_one(waiting[i + 1].fd, i);
    }
    _exit(0); /* the threads still hold their connections */
}
