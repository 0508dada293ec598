#include "study/cluster_study.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "study/schema.h"

static int put(sqlite3 *db, const char *path, const char *model, const char *text,
               struct ws_error *err)
{
    sqlite3_stmt *s = NULL;
    int is_done = sqlite3_prepare_v2(db, "INSERT OR REPLACE INTO clusters VALUES(?,?,?)",
                                     -1, &s, NULL) == SQLITE_OK &&
                  sqlite3_bind_text(s, 1, model, -1, SQLITE_STATIC) == SQLITE_OK &&
                  sqlite3_bind_double(s, 2, ws_clock_wall_s()) == SQLITE_OK &&
                  sqlite3_bind_text(s, 3, text, -1, SQLITE_STATIC) == SQLITE_OK &&
                  sqlite3_step(s) == SQLITE_DONE;
    int rc = is_done ? 0 : ws_schema_refused(db, path, "write a cluster", err);
    (void)sqlite3_finalize(s);
    return rc;
}

int ws_cluster_study_save(const struct ws_cluster *cluster, const char *path,
                          struct ws_error *err)
{
    sqlite3 *db = NULL;
    char *text = ws_cluster_text(cluster);
    if (text == NULL)
        return ws_error_nomem(err);
    int rc = ws_schema_open(&db, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err);
    if (rc == 0)
        rc = ws_schema_execute(db, path, "BEGIN IMMEDIATE", "begin a transaction", err);
    if (rc == 0)
        rc = ws_schema_make(db, path, err);
    if (rc == 0)
        rc = put(db, path, cluster->model, text, err);
    if (rc == 0)
        rc = ws_schema_execute(db, path, "COMMIT", "commit", err);
    (void)sqlite3_close(db); /* takes back what was not committed */
    free(text);
    return rc;
}

/* The cluster of the statement's row, which must be the only one. */
static int take(struct ws_cluster *out, sqlite3 *db, sqlite3_stmt *s, const char *path,
                const char *model, struct ws_error *err)
{
    char name[512];
    int status = sqlite3_step(s);
    if (status == SQLITE_DONE)
        return ws_error_set(err, WS_E_NOT_FOUND, "%s: a study of no cluster%s%.100s",
                            path, model != NULL ? " with model " : "",
                            model != NULL ? model : "");
    if (status != SQLITE_ROW)
        return ws_schema_refused(db, path, "read a cluster", err);
    const char *text = (const char *)sqlite3_column_text(s, 0);
    if (text == NULL)
        return ws_error_set(err, WS_E_FORMAT, "%s: a cluster without text", path);
    (void)snprintf(name, sizeof(name), "%s, cluster", path);
    int rc = ws_cluster_parse(out, text, strlen(text), name, err);
    if (rc == 0 && sqlite3_step(s) == SQLITE_ROW) {
        ws_cluster_fini(out);
        rc = ws_error_set(err, WS_E_NOT_FOUND,
                          "%s: clusters of several models; say of which", path);
    }
    return rc;
}

int ws_cluster_study_load(struct ws_cluster *out, const char *path, const char *model,
                          struct ws_error *err)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *s = NULL;
    struct ws_cluster *found = NULL;
    if (access(path, R_OK) != 0)
        return ws_error_set_errno(err, WS_E_IO, errno, "%s", path);
    int flags = access(path, W_OK) == 0 ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;
    int rc = ws_schema_open(&db, path, flags, err);
    if (rc == 0)
        rc = ws_schema_check(db, path, err);
    if (rc == 0 && ws_schema_number(db, "PRAGMA user_version") < 2)
        rc = ws_error_set(err, WS_E_NOT_FOUND, "%s: a study of no cluster", path);
    if (rc == 0 && (sqlite3_prepare_v2(
                        db, "SELECT cluster FROM clusters WHERE model = ?1 OR ?1 IS NULL",
                        -1, &s, NULL) != SQLITE_OK ||
                    sqlite3_bind_text(s, 1, model, -1, SQLITE_STATIC) != SQLITE_OK))
        rc = ws_schema_refused(db, path, "read a cluster", err);
    if (rc == 0 && (found = calloc(1, sizeof(*found))) == NULL)
        rc = ws_error_nomem(err);
    if (rc == 0)
        rc = take(found, db, s, path, model, err);
    if (rc == 0)
        *out = *found;
    free(found);
    (void)sqlite3_finalize(s);
    (void)sqlite3_close(db);
    return rc;
}
