#include "study/schema.h"

#include <stdio.h>

#include "study/study.h"

/* "WSHD": what the file command may know us by. */
#define APPLICATION_ID 0x57534844

enum { BUSY_MS = 10000 }; /* whoever finds a transaction under way waits so long for it */

static const char first_tables[] =
    "CREATE TABLE facts(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE runs(run INTEGER PRIMARY KEY, started_s REAL NOT NULL,"
    " conditions TEXT NOT NULL);"
    "CREATE TABLE parts(key TEXT PRIMARY KEY, bytes REAL NOT NULL,"
    " ms_count INTEGER NOT NULL, ms_mean REAL NOT NULL, ms_m2 REAL NOT NULL,"
    " ms_min REAL NOT NULL, ms_max REAL NOT NULL,"
    " j_count INTEGER NOT NULL, j_mean REAL NOT NULL, j_m2 REAL NOT NULL,"
    " j_min REAL NOT NULL, j_max REAL NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE trials(trial INTEGER PRIMARY KEY, run INTEGER NOT NULL,"
    " started_s REAL NOT NULL, took_s REAL NOT NULL,"
    " setting INTEGER NOT NULL UNIQUE, knobs TEXT NOT NULL,"
    " how TEXT NOT NULL, truth TEXT NOT NULL, valid INTEGER NOT NULL,"
    " reason TEXT NOT NULL, attempts INTEGER NOT NULL, samples INTEGER NOT NULL,"
    " warmups INTEGER NOT NULL, latency_ci_ms REAL, energy_ci_j REAL);"
    /* Long and narrow, so that a measure or condition more is a row more. */
    "CREATE TABLE measures(trial INTEGER NOT NULL, kind TEXT NOT NULL,"
    " name TEXT NOT NULL, value REAL NOT NULL,"
    " PRIMARY KEY(trial, kind, name)) WITHOUT ROWID;"
    "CREATE TABLE accuracies(key TEXT PRIMARY KEY, right INTEGER NOT NULL,"
    " total INTEGER NOT NULL) WITHOUT ROWID;";

static const char second_tables[] =
    "CREATE TABLE clusters(model TEXT PRIMARY KEY, measured_s REAL NOT NULL,"
    " cluster TEXT NOT NULL) WITHOUT ROWID;";

int ws_schema_refused(sqlite3 *db, const char *path, const char *doing,
                      struct ws_error *err)
{
    int code = sqlite3_errcode(db);
    int rc = code == SQLITE_BUSY || code == SQLITE_LOCKED      ? WS_E_BUSY
             : code == SQLITE_NOTADB || code == SQLITE_CORRUPT ? WS_E_FORMAT
             : code == SQLITE_NOMEM                            ? WS_E_NOMEM
                                                               : WS_E_IO;
    int system = sqlite3_system_errno(db);
    if (code == SQLITE_IOERR && system != 0)
        return ws_error_set_errno(err, rc, system, "%s: %s", path, doing);
    return ws_error_set(err, rc, "%s: %s: %s%s", path, doing,
                        code == SQLITE_NOTADB ? "this is no study" : sqlite3_errmsg(db),
                        code == SQLITE_IOERR ? " (is the disk full?)" : "");
}

int ws_schema_execute(sqlite3 *db, const char *path, const char *sql, const char *doing,
                      struct ws_error *err)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK
               ? 0
               : ws_schema_refused(db, path, doing, err);
}

int ws_schema_open(sqlite3 **out, const char *path, int flags, struct ws_error *err)
{
    if (sqlite3_open_v2(path, out, flags, NULL) != SQLITE_OK)
        return *out == NULL ? ws_error_nomem(err)
                            : ws_schema_refused(*out, path, "open", err);
    (void)sqlite3_busy_timeout(*out, BUSY_MS);
    /* The rollback journal, not a write-ahead log: a study is one file at rest, that can
     * be copied and mailed, and a transaction costs milliseconds beside seconds of
     * measuring. */
    return ws_schema_execute(
        *out, path, "PRAGMA journal_mode=DELETE; PRAGMA synchronous=FULL", "open", err);
}

int64_t ws_schema_number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *s = NULL;
    int64_t value = -1;
    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK &&
        sqlite3_step(s) == SQLITE_ROW)
        value = sqlite3_column_int64(s, 0);
    (void)sqlite3_finalize(s);
    return value;
}

int ws_schema_check(sqlite3 *db, const char *path, struct ws_error *err)
{
    int64_t id = ws_schema_number(db, "PRAGMA application_id");
    int64_t version = ws_schema_number(db, "PRAGMA user_version");
    if (sqlite3_errcode(db) == SQLITE_NOTADB || id != APPLICATION_ID)
        return ws_error_set(err, WS_E_FORMAT, "%s: this is no study", path);
    if (version < 1 || version > WS_STUDY_VERSION)
        return ws_error_set(err, WS_E_UNSUPPORTED,
                            "%s: a study of schema %lld, and this program knows %d", path,
                            (long long)version, WS_STUDY_VERSION);
    return 0;
}

int ws_schema_make(sqlite3 *db, const char *path, struct ws_error *err)
{
    static const char doing[] = "make a study";
    char version[80];
    int is_new = ws_schema_number(db, "SELECT count(*) FROM sqlite_schema") == 0;
    int rc = is_new ? ws_schema_execute(db, path, first_tables, doing, err)
                    : ws_schema_check(db, path, err);
    if (rc == 0 && !is_new &&
        ws_schema_number(db, "PRAGMA user_version") == WS_STUDY_VERSION)
        return 0;
    if (rc == 0)
        rc = ws_schema_execute(db, path, second_tables, doing, err);
    (void)snprintf(version, sizeof(version),
                   "PRAGMA application_id=%d; PRAGMA user_version=%d", APPLICATION_ID,
                   WS_STUDY_VERSION);
    return rc == 0 ? ws_schema_execute(db, path, version, doing, err) : rc;
}
