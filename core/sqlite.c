/* sqlite: see sqlite.h. */
#include "sqlite.h"

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "library.h"

#define FUNCTIONS(X)        \
    X(open_v2)              \
    X(close_v2)             \
    X(busy_timeout)         \
    X(extended_errcode)     \
    X(errmsg)               \
    X(db_readonly)          \
    X(changes)              \
    X(prepare_v3)           \
    X(finalize)             \
    X(step)                 \
    X(reset)                \
    X(clear_bindings)       \
    X(bind_parameter_count) \
    X(bind_null)            \
    X(bind_int64)           \
    X(bind_double)          \
    X(bind_text)            \
    X(column_count)         \
    X(column_type)          \
    X(column_int64)         \
    X(column_double)        \
    X(column_text)          \
    X(column_bytes)

#define MEMBER(name) __typeof__(sqlite3_##name) *name;
static struct { FUNCTIONS(MEMBER) } sqlite;
static llm_err open_error;
static pthread_once_t once = PTHREAD_ONCE_INIT;

#define NAME_OF(name) "sqlite3_" #name,

static void open_library(void) {
    static const char *const symbols[] = {FUNCTIONS(NAME_OF)};
    enum { COUNT = sizeof symbols / sizeof *symbols };
    _Static_assert(sizeof sqlite == COUNT * sizeof(void *), "one pointer a function");
    void *functions[COUNT];
    if (llm_library_open("libsqlite3.so.0", symbols, functions, COUNT, &open_error)) return;
    memcpy(&sqlite, functions, sizeof functions);
}

struct llm_statement {
    llm_sqlite *db;
    sqlite3_stmt *prepared; /* NULL: this place is free */
    char *sql;
    size_t len;
    uint64_t used; /* when, by the database's count */
};

struct llm_sqlite {
    sqlite3 *handle;
    uint64_t uses;
    llm_statement statements[LLM_SQLITE_STATEMENTS];
    char path[]; /* for messages */
};

static int fail(const llm_sqlite *db, llm_err *err) {
    int code = sqlite.extended_errcode(db->handle) & 0xff;
    const char *advice = code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? "; move it away" : "";
    int ours = code == SQLITE_NOMEM ? LLM_ENOMEM : code == SQLITE_ERROR ? LLM_ESYNTAX : LLM_ESYSTEM;
    return llm_fail(err, ours, "%s (%s)%s", sqlite.errmsg(db->handle), db->path, advice);
}

/* SQLite gives its log and index the mode of the file. */
static void make_private(const char *path) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) close(fd);
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Where several open a new file at once, SQLite has no patience of its own with the one that begins
 * the log. */
static int set_pragma(llm_sqlite *db, const char *sql, llm_err *err) {
    int64_t deadline = now_ms() + LLM_SQLITE_PATIENCE_MS;
    for (;;) {
        llm_statement *s = llm_sqlite_prepare(db, sql, strlen(sql), err);
        int rc = s ? llm_statement_step(s, err) : LLM_ESYSTEM;
        if (rc >= 0) return llm_statement_reset(s), 0;
        int code = sqlite.extended_errcode(db->handle) & 0xff;
        if (code != SQLITE_BUSY || now_ms() >= deadline) return rc;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

static int set_up(llm_sqlite *db, llm_err *err) {
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_EXRESCODE;
    if (sqlite.open_v2(db->path, &db->handle, flags, NULL) != SQLITE_OK) {
        if (!db->handle) return llm_fail(err, LLM_ENOMEM, "out of memory");
        return fail(db, err);
    }
    sqlite.busy_timeout(db->handle, LLM_SQLITE_PATIENCE_MS);
    if (sqlite.db_readonly(db->handle, "main") == 1) {
        return llm_fail(err, LLM_ESYSTEM, "this user may not write it (%s)", db->path);
    }
    int rc = set_pragma(db, "PRAGMA journal_mode=WAL", err);
    return rc < 0 ? rc : set_pragma(db, "PRAGMA synchronous=NORMAL", err);
}

llm_sqlite *llm_sqlite_open(const char *path, llm_err *err) {
    pthread_once(&once, open_library);
    if (open_error.code) return llm_fail(err, open_error.code, "%s", open_error.msg), NULL;
    size_t len = strlen(path);
    llm_sqlite *db = calloc(1, sizeof *db + len + 1);
    if (!db) return llm_fail(err, LLM_ENOMEM, "out of memory"), NULL;
    memcpy(db->path, path, len + 1);
    if (strcmp(path, ":memory:") != 0) make_private(path);
    if (set_up(db, err) < 0) return llm_sqlite_close(db), NULL;
    return db;
}

static void forget(llm_statement *s) {
    sqlite.finalize(s->prepared);
    free(s->sql);
    *s = (llm_statement){0};
}

void llm_sqlite_close(llm_sqlite *db) {
    if (!db) return;
    for (int i = 0; i < LLM_SQLITE_STATEMENTS; i++) forget(&db->statements[i]);
    sqlite.close_v2(db->handle);
    free(db);
}

int64_t llm_sqlite_changes(const llm_sqlite *db) { return sqlite.changes(db->handle); }

/* The remembered statement, or the place of the one that was not used for the longest time. */
static llm_statement *place_of(llm_sqlite *db, const char *sql, size_t len) {
    llm_statement *oldest = db->statements;
    for (int i = 0; i < LLM_SQLITE_STATEMENTS; i++) {
        llm_statement *s = &db->statements[i];
        if (s->prepared && s->len == len && memcmp(s->sql, sql, len) == 0) return s;
        if (s->used < oldest->used) oldest = s;
    }
    forget(oldest);
    return oldest;
}

/* A second statement behind the first would be passed over in silence. */
static int check_rest(const char *rest, const char *end, llm_err *err) {
    while (rest < end && strchr(" \t\r\n;", *rest)) rest++;
    return rest == end ? 0 : llm_fail(err, LLM_EINVAL, "one statement at a time: %.60s", rest);
}

static int fill(llm_statement *s, const char *sql, size_t len, llm_err *err) {
    const char *rest = sql;
    s->sql = malloc(len ? len : 1);
    if (!s->sql) return llm_fail(err, LLM_ENOMEM, "out of memory");
    memcpy(s->sql, sql, len);
    s->len = len;
    int rc = sqlite.prepare_v3(
        s->db->handle, sql, (int)len, SQLITE_PREPARE_PERSISTENT, &s->prepared, &rest);
    if (rc != SQLITE_OK) return fail(s->db, err);
    if (!s->prepared) return llm_fail(err, LLM_EINVAL, "there is no statement");
    return check_rest(rest, sql + len, err);
}

llm_statement *llm_sqlite_prepare(llm_sqlite *db, const char *sql, size_t len, llm_err *err) {
    if (len > INT32_MAX) return llm_fail(err, LLM_ETOOBIG, "the statement is too long"), NULL;
    llm_statement *s = place_of(db, sql, len);
    if (!s->prepared) {
        s->db = db;
        if (fill(s, sql, len, err) < 0) return forget(s), NULL;
    }
    s->used = ++db->uses;
    llm_statement_reset(s);
    sqlite.clear_bindings(s->prepared);
    return s;
}

int llm_statement_bind(llm_statement *s, int at, const llm_sqlite_value *value, llm_err *err) {
    int rc;
    switch (value->kind) {
    case LLM_SQLITE_INTEGER: rc = sqlite.bind_int64(s->prepared, at, value->integer); break;
    case LLM_SQLITE_REAL: rc = sqlite.bind_double(s->prepared, at, value->real); break;
    case LLM_SQLITE_TEXT:
        if (value->len > INT32_MAX) return llm_fail(err, LLM_ETOOBIG, "the text is too long");
        rc = sqlite.bind_text(
            s->prepared, at, value->text, (int)value->len, (sqlite3_destructor_type)-1);
        break;
    default: rc = sqlite.bind_null(s->prepared, at);
    }
    if (rc != SQLITE_RANGE) return rc == SQLITE_OK ? 0 : fail(s->db, err);
    return llm_fail(err, LLM_EINVAL, "the statement has %d parameters, not %d",
        sqlite.bind_parameter_count(s->prepared), at);
}

int llm_statement_step(llm_statement *s, llm_err *err) {
    int rc = sqlite.step(s->prepared);
    if (rc == SQLITE_ROW) return 1;
    int failed = rc == SQLITE_DONE ? 0 : fail(s->db, err);
    sqlite.reset(s->prepared);
    return failed;
}

int llm_statement_columns(const llm_statement *s) { return sqlite.column_count(s->prepared); }

llm_sqlite_value llm_statement_column(const llm_statement *s, int at) {
    llm_sqlite_value value = {.kind = LLM_SQLITE_NULL};
    switch (sqlite.column_type(s->prepared, at)) {
    case SQLITE_NULL: return value;
    case SQLITE_INTEGER:
        value.kind = LLM_SQLITE_INTEGER;
        value.integer = sqlite.column_int64(s->prepared, at);
        return value;
    case SQLITE_FLOAT:
        value.kind = LLM_SQLITE_REAL;
        value.real = sqlite.column_double(s->prepared, at);
        return value;
    default:
        value.kind = LLM_SQLITE_TEXT;
        value.text = (const char *)sqlite.column_text(s->prepared, at);
        value.len = (size_t)sqlite.column_bytes(s->prepared, at);
        return value;
    }
}

void llm_statement_reset(llm_statement *s) { sqlite.reset(s->prepared); }
