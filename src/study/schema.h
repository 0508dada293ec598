/*
 * The tables of a study's file, and which file is one: for the parts of this room that
 * keep something in it, each over a connection of its own. Version 2 added the clusters
 * (cluster_study.h); a file of version 1 is read as it is, and grows the new table when
 * it is next written to. Newer versions are refused.
 */
#ifndef WS_STUDY_SCHEMA_H
#define WS_STUDY_SCHEMA_H

#include <sqlite3.h>
#include <stdint.h>

#include "base/error.h"

/* What SQLite has to say of its last failure, as an error of ours. */
int ws_schema_refused(sqlite3 *db, const char *path, const char *doing,
                      struct ws_error *err);
int ws_schema_execute(sqlite3 *db, const char *path, const char *sql, const char *doing,
                      struct ws_error *err);
/* Opens with the settings that every writer and reader of a study has. *out is to be
 * closed, also after a failure. */
int ws_schema_open(sqlite3 **out, const char *path, int flags, struct ws_error *err);
/* The one number that a statement gives; -1: it gives none. */
int64_t ws_schema_number(sqlite3 *db, const char *sql);
/* WS_E_FORMAT: the file is no study; WS_E_UNSUPPORTED: of a newer program. */
int ws_schema_check(sqlite3 *db, const char *path, struct ws_error *err);
/* Within a transaction that writes: makes the tables in an empty file, adds what a study
 * of an older version lacks. */
int ws_schema_make(sqlite3 *db, const char *path, struct ws_error *err);

#endif
