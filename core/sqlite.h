/* sqlite: a database file, opened for one process and its owner alone: mode 0600, write-ahead log,
 * LLM_SQLITE_PATIENCE_MS of patience with others who write. A call blocks as long as the disk takes.
 *
 * Statements are prepared once and remembered by their text; a statement is valid until the next
 * one is asked for, and belongs to the database. A handle is not for two threads at once, nor for a
 * child process. SQLite is the system's, opened when first used. */
#ifndef LLM_SQLITE_H
#define LLM_SQLITE_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

enum { LLM_SQLITE_PATIENCE_MS = 5000, LLM_SQLITE_STATEMENTS = 32 };

typedef struct llm_sqlite llm_sqlite;
typedef struct llm_statement llm_statement;

typedef struct llm_sqlite_value {
    enum { LLM_SQLITE_NULL, LLM_SQLITE_INTEGER, LLM_SQLITE_REAL, LLM_SQLITE_TEXT } kind;
    int64_t integer;
    double real;
    const char *text; /* any bytes; of a column: valid until the next step or statement */
    size_t len;
} llm_sqlite_value;

/* Opens or makes the file; ":memory:" is one that nobody else sees. NULL with LLM_ESYSTEM and what
 * SQLite said (not readable, not writable, locked, no database), or LLM_ENOMEM. */
llm_sqlite *llm_sqlite_open(const char *path, llm_err *err);
void llm_sqlite_close(llm_sqlite *db); /* NULL is allowed */
/* Rows that the latest INSERT, UPDATE or DELETE changed. */
int64_t llm_sqlite_changes(const llm_sqlite *db);

/* The statement of a text, which holds exactly one, without parameters. NULL with LLM_ESYNTAX,
 * LLM_ESYSTEM, LLM_ENOMEM. */
llm_statement *llm_sqlite_prepare(llm_sqlite *db, const char *sql, size_t len, llm_err *err);
/* Parameters count from 1; the value's text is copied. 0, or LLM_EINVAL: there is no such one. */
int llm_statement_bind(llm_statement *s, int at, const llm_sqlite_value *value, llm_err *err);
/* 1: there is a row, 0: that was all, LLM_ESYSTEM. After 0 and errors the statement is at rest. */
int llm_statement_step(llm_statement *s, llm_err *err);
int llm_statement_columns(const llm_statement *s);
llm_sqlite_value llm_statement_column(const llm_statement *s, int at); /* from 0 */
/* Puts it at rest before its last row: until then it holds a lock. */
void llm_statement_reset(llm_statement *s);

#endif
