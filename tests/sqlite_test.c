/* sqlite: what a file, a statement and a value go through, and what is refused. */
#include "sqlite.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "failing.h"

static char folder[] = "/tmp/llm-sqlite-XXXXXX";
static char path[64];

static void in_a_folder(void) {
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a.db", folder);
}

static void remove_folder(void) {
    static const char *const names[] = {"a.db", "a.db-wal", "a.db-shm"};
    char name[80];
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s/%s", folder, names[i]);
        unlink(name);
    }
    rmdir(folder);
}

TestSuite(sqlite, .init = in_a_folder, .fini = remove_folder);

static llm_statement *prepare(llm_sqlite *db, const char *sql, llm_err *err) {
    return llm_sqlite_prepare(db, sql, strlen(sql), err);
}

/* Runs a statement without parameters to its end. */
static int run(llm_sqlite *db, const char *sql) {
    llm_err err = {0};
    llm_statement *s = prepare(db, sql, &err);
    int rc = s ? 1 : err.code;
    while (rc > 0) rc = llm_statement_step(s, &err);
    return rc;
}

static llm_sqlite_value integer(int64_t n) {
    return (llm_sqlite_value){.kind = LLM_SQLITE_INTEGER, .integer = n};
}

Test(sqlite, values_come_back_as_they_went) {
    llm_err err;
    llm_sqlite *db = llm_sqlite_open(path, &err);
    cr_assert_not_null(db, "%s", err.msg);
    cr_assert_eq(run(db, "CREATE TABLE t (a, b, c, d)"), 0);
    llm_statement *s = prepare(db, "INSERT INTO t VALUES (?, ?, ?, ?)", &err);
    llm_sqlite_value text = {.kind = LLM_SQLITE_TEXT, .text = "a\0\xFF", .len = 3};
    llm_sqlite_value real = {.kind = LLM_SQLITE_REAL, .real = 0.5};
    llm_sqlite_value number = integer(INT64_MAX);
    cr_expect_eq(llm_statement_bind(s, 1, &number, &err), 0);
    cr_expect_eq(llm_statement_bind(s, 2, &real, &err), 0);
    cr_expect_eq(llm_statement_bind(s, 3, &text, &err), 0);
    cr_expect_eq(llm_statement_step(s, &err), 0);
    cr_expect_eq(llm_sqlite_changes(db), 1);
    s = prepare(db, "SELECT a, b, c, d FROM t", &err);
    cr_assert_eq(llm_statement_step(s, &err), 1);
    cr_expect_eq(llm_statement_columns(s), 4);
    cr_expect_eq(llm_statement_column(s, 0).integer, INT64_MAX);
    cr_expect_eq(llm_statement_column(s, 1).real, 0.5);
    llm_sqlite_value got = llm_statement_column(s, 2);
    cr_expect(got.len == 3 && memcmp(got.text, "a\0\xFF", 3) == 0);
    cr_expect_eq(llm_statement_column(s, 3).kind, LLM_SQLITE_NULL);
    cr_expect_eq(llm_statement_step(s, &err), 0);
    llm_sqlite_close(db);
}

Test(sqlite, the_file_is_its_owners) {
    umask(0);
    llm_sqlite *db = llm_sqlite_open(path, NULL);
    cr_assert_eq(run(db, "CREATE TABLE t (a)"), 0);
    static const char *const ends[] = {"", "-wal", "-shm"};
    for (int i = 0; i < 3; i++) {
        char name[80];
        struct stat info;
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        cr_assert_eq(stat(name, &info), 0, "%s", name);
        cr_expect_eq(info.st_mode & 0777, 0600, "%s", name);
    }
    llm_sqlite_close(db);
}

/* More statements than are remembered, each used again after it may have been forgotten. */
Test(sqlite, statements_are_remembered_and_forgotten) {
    llm_err err;
    llm_sqlite *db = llm_sqlite_open(":memory:", &err);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 2 * LLM_SQLITE_STATEMENTS; i++) {
            char sql[40];
            snprintf(sql, sizeof sql, "SELECT %d + ?", i);
            llm_statement *s = prepare(db, sql, &err);
            llm_sqlite_value ten = integer(10);
            cr_assert_eq(llm_statement_bind(s, 1, &ten, &err), 0);
            cr_assert_eq(llm_statement_step(s, &err), 1);
            cr_expect_eq(llm_statement_column(s, 0).integer, i + 10);
        }
    }
    llm_statement *kept = prepare(db, "SELECT ?", &err);
    cr_expect_eq(prepare(db, "SELECT ?", &err), kept);
    cr_expect_eq(llm_statement_step(kept, &err), 1);
    cr_expect_eq(llm_statement_column(kept, 0).kind, LLM_SQLITE_NULL, "no value is left over");
    llm_sqlite_close(db);
}

static void expect_refused(llm_sqlite *db, const char *sql, int code, const char *words) {
    llm_err err = {0};
    cr_expect_null(prepare(db, sql, &err), "%s", sql);
    cr_expect_eq(err.code, code, "%s: %d", sql, err.code);
    cr_expect(strstr(err.msg, words), "%s", err.msg);
}

Test(sqlite, what_is_no_statement) {
    llm_err err;
    llm_sqlite *db = llm_sqlite_open(":memory:", &err);
    expect_refused(db, "SELEKT 1", LLM_ESYNTAX, "SELEKT");
    expect_refused(db, "SELECT 1; SELECT 2", LLM_EINVAL, "SELECT 2");
    expect_refused(db, "", LLM_EINVAL, "no statement");
    expect_refused(db, "SELECT x", LLM_ESYNTAX, "no such column");
    llm_statement *s = prepare(db, "SELECT ?", &err);
    llm_sqlite_value one = integer(1);
    cr_expect_eq(llm_statement_bind(s, 2, &one, &err), LLM_EINVAL);
    cr_expect(strstr(err.msg, "has 1 parameters"), "%s", err.msg);
    cr_expect_eq(run(db, "CREATE TABLE t (a UNIQUE)"), 0);
    cr_expect_eq(run(db, "INSERT INTO t VALUES (1)"), 0);
    cr_expect_eq(run(db, "INSERT INTO t VALUES (1)"), LLM_ESYSTEM);
    cr_expect_eq(run(db, "INSERT INTO t VALUES (2)"), 0, "an error leaves nothing behind");
    llm_sqlite_close(db);
}

static void write_file(const char *text, size_t len) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    cr_assert_eq(write(fd, text, len), (ssize_t)len);
    close(fd);
}

Test(sqlite, what_is_no_database) {
    char noise[8192];
    memset(noise, 'x', sizeof noise);
    write_file(noise, sizeof noise);
    llm_err err;
    cr_expect_null(llm_sqlite_open(path, &err));
    cr_expect_eq(err.code, LLM_ESYSTEM);
    cr_expect(strstr(err.msg, "not a database") && strstr(err.msg, "move it away"), "%s", err.msg);
    cr_expect_null(llm_sqlite_open("/nowhere/a.db", &err));
    cr_expect(strstr(err.msg, "/nowhere/a.db"), "%s", err.msg);
    cr_expect_null(llm_sqlite_open(folder, &err));
}

/* A flipped byte is an error or does no harm; it is never a crash. */
Test(sqlite, a_damaged_file) {
    llm_sqlite *db = llm_sqlite_open(path, NULL);
    cr_assert_eq(run(db, "CREATE TABLE t (a, b)"), 0);
    for (int i = 0; i < 50; i++) cr_assert_eq(run(db, "INSERT INTO t VALUES (1, 'one')"), 0);
    llm_sqlite_close(db);
    char whole[16384];
    int fd = open(path, O_RDONLY);
    ssize_t len = read(fd, whole, sizeof whole);
    close(fd);
    cr_assert(len > 4096);
    for (ssize_t at = 0; at < len; at += len / 120 + 1) {
        whole[at] ^= 0x55;
        write_file(whole, (size_t)len);
        llm_err err;
        db = llm_sqlite_open(path, &err);
        if (db) run(db, "SELECT * FROM t"), run(db, "INSERT INTO t VALUES (2, 'two')");
        llm_sqlite_close(db);
        whole[at] ^= 0x55;
    }
}

Test(sqlite, memory_that_runs_out) {
    bool failed;
    int n = 0;
    do {
        fail_after(n++);
        llm_err err = {0};
        llm_sqlite *db = llm_sqlite_open(":memory:", &err);
        llm_statement *s = db ? prepare(db, "SELECT 1", &err) : NULL;
        failed = fail_stop();
        cr_assert_eq(s == NULL, failed);
        if (failed) cr_expect_eq(err.code, LLM_ENOMEM, "%s", err.msg);
        llm_sqlite_close(db);
    } while (failed);
}
