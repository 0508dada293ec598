#include "study/study.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "study/schema.h"

enum statement {
    PUT_PART,
    PUT_TRIAL,
    PUT_MEASURE,
    PUT_RUN,
    PUT_ACCURACY,
    PUT_FACT,
    FIND_TRIAL,
    ALL_TRIALS,
    MEASURES_OF,
    ALL_PARTS,
    ALL_RUNS,
    ALL_FACTS,
    FIND_ACCURACY,
    STATEMENT_COUNT
};

#define TRIAL_COLUMNS                                                                    \
    "trial, run, started_s, took_s, setting, how, truth, valid, reason, attempts, "      \
    "samples, warmups, latency_ci_ms, energy_ci_j"

static const char *const texts[] = {
    [PUT_PART] = "INSERT OR REPLACE INTO parts VALUES(?,?,?,?,?,?,?,?,?,?,?,?)",
    [PUT_TRIAL] = "INSERT INTO trials(" TRIAL_COLUMNS ", knobs)"
                  " VALUES(NULL,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    [PUT_MEASURE] = "INSERT INTO measures VALUES(?,?,?,?)",
    [PUT_RUN] = "INSERT INTO runs VALUES(NULL,?,?)",
    [PUT_ACCURACY] = "INSERT OR REPLACE INTO accuracies VALUES(?,?,?)",
    [PUT_FACT] = "INSERT INTO facts VALUES(?,?)",
    [FIND_TRIAL] = "SELECT " TRIAL_COLUMNS " FROM trials WHERE setting = ?",
    [ALL_TRIALS] = "SELECT " TRIAL_COLUMNS " FROM trials ORDER BY trial",
    [MEASURES_OF] = "SELECT kind, name, value FROM measures WHERE trial = ?",
    [ALL_PARTS] = "SELECT * FROM parts ORDER BY key",
    [ALL_RUNS] = "SELECT run, started_s, conditions FROM runs ORDER BY run",
    [ALL_FACTS] = "SELECT key, value FROM facts ORDER BY key",
    [FIND_ACCURACY] = "SELECT right, total FROM accuracies WHERE key = ?",
};
static_assert(sizeof(texts) / sizeof(texts[0]) == STATEMENT_COUNT,
              "every statement has a text");

/* What measures of a trial are of. */
static const char kind_outcome[] = "outcome", kind_composed[] = "composed",
                  kind_condition[] = "condition";

struct fact {
    char *key, *value;
};

struct ws_study {
    char *path;
    int fd; /* holds the lock; closed after the database, which has locks of its own on
               the file that would go with it */
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENT_COUNT];
    int in_transaction;
    int64_t run;
    struct ws_testbed testbed;
    struct fact *facts;
    size_t fact_count;
};

static const char *const how_names[] = {
    [WS_HOW_WHOLE] = "whole",
    [WS_HOW_PARTS] = "parts",
    [WS_HOW_COMPOSED] = "composed",
};

const char *ws_how_name(enum ws_how how)
{
    return how_names[how];
}

/* --- SQLite --------------------------------------------------------------------------
 */

static int refused(const struct ws_study *study, const char *doing, struct ws_error *err)
{
    return ws_schema_refused(study->db, study->path, doing, err);
}

static int execute(struct ws_study *study, const char *sql, const char *doing,
                   struct ws_error *err)
{
    return ws_schema_execute(study->db, study->path, sql, doing, err);
}

/* A statement ready to be bound; kept prepared. */
static int statement(sqlite3_stmt **out, struct ws_study *study, enum statement which,
                     struct ws_error *err)
{
    sqlite3_stmt **kept = &study->statements[which];
    if (*kept == NULL &&
        sqlite3_prepare_v3(study->db, texts[which], -1, SQLITE_PREPARE_PERSISTENT, kept,
                           NULL) != SQLITE_OK)
        return refused(study, "prepare a statement", err);
    (void)sqlite3_reset(*kept);
    (void)sqlite3_clear_bindings(*kept);
    *out = *kept;
    return 0;
}

/* Runs a statement that gives no rows. */
static int finish(struct ws_study *study, sqlite3_stmt *s, const char *doing,
                  struct ws_error *err)
{
    int status = sqlite3_step(s);
    int rc = status == SQLITE_DONE ? 0 : refused(study, doing, err);
    (void)sqlite3_reset(s);
    return rc;
}

/* 1 for a row, 0 for the end, or a code. */
static int next_row(struct ws_study *study, sqlite3_stmt *s, struct ws_error *err)
{
    int status = sqlite3_step(s);
    if (status == SQLITE_ROW)
        return 1;
    int rc = status == SQLITE_DONE ? 0 : refused(study, "read", err);
    (void)sqlite3_reset(s);
    return rc;
}

static void bind_text(sqlite3_stmt *s, int at, const char *text)
{
    (void)sqlite3_bind_text(s, at, text, -1, SQLITE_TRANSIENT);
}

static const char *text_at(sqlite3_stmt *s, int column)
{
    const unsigned char *text = sqlite3_column_text(s, column);
    return text != NULL ? (const char *)text : "";
}

static int begin(struct ws_study *study, struct ws_error *err)
{
    if (study->in_transaction)
        return 0;
    int rc = execute(study, "BEGIN IMMEDIATE", "begin a transaction", err);
    study->in_transaction = rc == 0;
    return rc;
}

/* After a failure in a transaction nothing of it is left. */
static int give_up(struct ws_study *study, int rc)
{
    if (rc != 0 && study->in_transaction) {
        (void)sqlite3_exec(study->db, "ROLLBACK", NULL, NULL, NULL);
        study->in_transaction = 0;
    }
    return rc;
}

int ws_study_commit(struct ws_study *study, struct ws_error *err)
{
    if (!study->in_transaction)
        return 0;
    int rc = execute(study, "COMMIT", "commit", err);
    if (rc == 0)
        study->in_transaction = 0;
    return give_up(study, rc);
}

/* --- Opening -------------------------------------------------------------------------
 */

/* The lock that keeps other profilers away; the file is made where there is none. */
static int take_lock(struct ws_study *study, struct ws_error *err)
{
    study->fd = open(study->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (study->fd < 0)
        return ws_error_set_errno(err, WS_E_IO, errno, "%s", study->path);
    if (flock(study->fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno != EWOULDBLOCK)
        return ws_error_set_errno(err, WS_E_IO, errno, "lock %s", study->path);
    return ws_error_set(err, WS_E_BUSY,
                        "%s: another process profiles into this study; wait for it, or "
                        "choose another file",
                        study->path);
}

static int put_fact(struct ws_study *study, const char *key, const char *value,
                    struct ws_error *err)
{
    sqlite3_stmt *s = NULL;
    int rc = statement(&s, study, PUT_FACT, err);
    if (rc != 0)
        return rc;
    bind_text(s, 1, key);
    bind_text(s, 2, value);
    return finish(study, s, "write a fact", err);
}

/* Schema and facts in one transaction, so that a study is there whole or not at all. One
 * of clusters alone has no facts yet. */
static int make(struct ws_study *study, const char *testbed,
                const struct ws_study_fact *facts, size_t count, struct ws_error *err)
{
    int rc = begin(study, err);
    if (rc == 0)
        rc = ws_schema_make(study->db, study->path, err);
    if (rc == 0 && ws_schema_number(study->db, "SELECT count(*) FROM facts") == 0) {
        rc = put_fact(study, "testbed", testbed, err);
        for (size_t i = 0; rc == 0 && i < count; i++)
            rc = put_fact(study, facts[i].key, facts[i].value, err);
    }
    return rc == 0 ? ws_study_commit(study, err) : give_up(study, rc);
}

static int read_facts(struct ws_study *study, struct ws_error *err)
{
    sqlite3_stmt *s = NULL;
    size_t room = 0;
    int rc = statement(&s, study, ALL_FACTS, err);
    while (rc == 0 && (rc = next_row(study, s, err)) == 1) {
        rc = 0;
        if (study->fact_count == room) {
            room = room == 0 ? 16 : 2 * room;
            struct fact *facts = realloc(study->facts, room * sizeof(*facts));
            if (facts == NULL)
                return ws_error_nomem(err);
            study->facts = facts;
        }
        struct fact *fact = &study->facts[study->fact_count];
        *fact = (struct fact){strdup(text_at(s, 0)), strdup(text_at(s, 1))};
        study->fact_count++;
        if (fact->key == NULL || fact->value == NULL)
            rc = ws_error_nomem(err);
    }
    (void)sqlite3_reset(s);
    return rc;
}

static int read_testbed(struct ws_study *study, struct ws_error *err)
{
    const char *text = ws_study_fact(study, "testbed");
    if (text == NULL)
        return ws_error_set(err, WS_E_FORMAT, "%s: a study without a testbed",
                            study->path);
    return ws_testbed_parse(&study->testbed, text, strlen(text), study->path, "", err);
}

static int check_facts(const struct ws_study *study, const char *testbed,
                       const struct ws_study_fact *facts, size_t count,
                       struct ws_error *err)
{
    if (strcmp(ws_study_fact(study, "testbed"), testbed) != 0)
        return ws_error_set(err, WS_E_MISMATCH,
                            "%s: a study of another testbed (\"%s\"); give that one, or "
                            "another study",
                            study->path, study->testbed.name);
    for (size_t i = 0; i < count; i++) {
        const char *there = ws_study_fact(study, facts[i].key);
        if (there == NULL || strcmp(there, facts[i].value) != 0)
            return ws_error_set(err, WS_E_MISMATCH,
                                "%s: a study of something else: its %s is %.64s, here it "
                                "is %.64s",
                                study->path, facts[i].key,
                                there == NULL ? "not said" : there, facts[i].value);
    }
    return 0;
}

static int prepare(struct ws_study *study, struct ws_error *err)
{
    int rc = ws_schema_check(study->db, study->path, err);
    if (rc == 0)
        rc = read_facts(study, err);
    return rc == 0 ? read_testbed(study, err) : rc;
}

static int create(struct ws_study **out, const char *path, struct ws_error *err)
{
    struct ws_study *study = calloc(1, sizeof(*study));
    if (study == NULL)
        return ws_error_nomem(err);
    study->fd = -1;
    study->path = strdup(path);
    if (study->path == NULL) {
        ws_study_close(study);
        return ws_error_nomem(err);
    }
    *out = study;
    return 0;
}

int ws_study_open(struct ws_study **out, const char *path, const char *testbed,
                  const struct ws_study_fact *facts, size_t count, struct ws_error *err)
{
    struct ws_study *study = NULL;
    int rc = create(&study, path, err);
    if (rc == 0)
        rc = take_lock(study, err);
    if (rc == 0)
        rc = ws_schema_open(&study->db, path, SQLITE_OPEN_READWRITE, err);
    if (rc == 0)
        rc = make(study, testbed, facts, count, err);
    if (rc == 0)
        rc = prepare(study, err);
    if (rc == 0)
        rc = check_facts(study, testbed, facts, count, err);
    if (rc != 0)
        ws_study_close(study);
    else
        *out = study;
    return rc;
}

int ws_study_open_to_read(struct ws_study **out, const char *path, struct ws_error *err)
{
    struct ws_study *study = NULL;
    if (access(path, R_OK) != 0)
        return ws_error_set_errno(err, WS_E_IO, errno, "%s", path);
    int rc = create(&study, path, err);
    if (rc != 0)
        return rc;
    /* Whoever may write takes back what a killed profiler left half done. */
    rc = ws_schema_open(
        &study->db, path,
        access(path, W_OK) == 0 ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY, err);
    if (rc == 0)
        rc = prepare(study, err);
    if (rc != 0)
        ws_study_close(study);
    else
        *out = study;
    return rc;
}

void ws_study_close(struct ws_study *study)
{
    if (study == NULL)
        return;
    (void)give_up(study, -1);
    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        (void)sqlite3_finalize(study->statements[i]);
    (void)sqlite3_close(study->db);
    if (study->fd >= 0)
        (void)close(study->fd);
    for (size_t i = 0; i < study->fact_count; i++) {
        free(study->facts[i].key);
        free(study->facts[i].value);
    }
    free(study->facts);
    ws_testbed_fini(&study->testbed);
    free(study->path);
    free(study);
}

const struct ws_testbed *ws_study_testbed(const struct ws_study *study)
{
    return &study->testbed;
}

const char *ws_study_fact(const struct ws_study *study, const char *key)
{
    for (size_t i = 0; i < study->fact_count; i++) {
        if (strcmp(study->facts[i].key, key) == 0)
            return study->facts[i].value;
    }
    return NULL;
}

int ws_study_fact_at(struct ws_study_fact *out, const struct ws_study *study,
                     size_t index)
{
    if (index >= study->fact_count)
        return 0;
    *out = (struct ws_study_fact){study->facts[index].key, study->facts[index].value};
    return 1;
}

/* --- Writing -------------------------------------------------------------------------
 */

int ws_study_begin_run(struct ws_study *study, const char *conditions,
                       struct ws_error *err)
{
    sqlite3_stmt *s = NULL;
    int rc = begin(study, err);
    if (rc == 0)
        rc = statement(&s, study, PUT_RUN, err);
    if (rc != 0)
        return give_up(study, rc);
    (void)sqlite3_bind_double(s, 1, ws_clock_wall_s());
    bind_text(s, 2, conditions);
    rc = finish(study, s, "write the run", err);
    study->run = sqlite3_last_insert_rowid(study->db);
    return rc == 0 ? ws_study_commit(study, err) : give_up(study, rc);
}

static void bind_stats(sqlite3_stmt *s, int at, const struct ws_stats *stats)
{
    (void)sqlite3_bind_int64(s, at, (int64_t)stats->count);
    (void)sqlite3_bind_double(s, at + 1, stats->mean);
    (void)sqlite3_bind_double(s, at + 2, stats->m2);
    (void)sqlite3_bind_double(s, at + 3, stats->min);
    (void)sqlite3_bind_double(s, at + 4, stats->max);
}

int ws_study_put_part(struct ws_study *study, const struct ws_study_part *part,
                      struct ws_error *err)
{
    sqlite3_stmt *s = NULL;
    int rc = begin(study, err);
    if (rc == 0)
        rc = statement(&s, study, PUT_PART, err);
    if (rc != 0)
        return give_up(study, rc);
    bind_text(s, 1, part->key);
    (void)sqlite3_bind_double(s, 2, part->bytes);
    bind_stats(s, 3, &part->ms);
    bind_stats(s, 8, &part->energy_j);
    return give_up(study, finish(study, s, "write a part", err));
}

static int put_measure(struct ws_study *study, int64_t trial, const char *kind,
                       const char *name, double value, struct ws_error *err)
{
    sqlite3_stmt *s = NULL;
    int rc = statement(&s, study, PUT_MEASURE, err);
    if (rc != 0)
        return rc;
    (void)sqlite3_bind_int64(s, 1, trial);
    bind_text(s, 2, kind);
    bind_text(s, 3, name);
    (void)sqlite3_bind_double(s, 4, value);
    return finish(study, s, "write a measure", err);
}

static int put_outcome(struct ws_study *study, int64_t trial, const char *kind,
                       const struct ws_outcome *outcome, struct ws_error *err)
{
    int rc = 0;
    for (int m = 0; rc == 0 && m < WS_MEASURE_COUNT; m++) {
        double value = 0;
        if (ws_outcome_get(&value, outcome, (enum ws_measure)m) == 0)
            rc = put_measure(study, trial, kind, ws_measure_name((enum ws_measure)m),
                             value, err);
    }
    return rc;
}

/* {"cut": 3, ...}: for people who look with other tools. */
static int knobs_text(char **out, const struct ws_space *space,
                      const struct ws_setting *setting, struct ws_error *err)
{
    json_t *object = json_object();
    int failed = object == NULL;
    for (size_t k = 0; !failed && k < space->knob_count; k++)
        failed = json_object_set_new(
            object, space->knobs[k].name,
            ws_value_to_json(&space->knobs[k].values[setting->value[k]]));
    *out = failed ? NULL : json_dumps(object, JSON_COMPACT);
    json_decref(object);
    return *out == NULL ? ws_error_nomem(err) : 0;
}

static void bind_known(sqlite3_stmt *s, int at, double value)
{
    if (value < 0)
        (void)sqlite3_bind_null(s, at);
    else
        (void)sqlite3_bind_double(s, at, value);
}

static int put_row(struct ws_study *study, const struct ws_study_trial *trial,
                   const char *knobs, struct ws_error *err)
{
    sqlite3_stmt *s = NULL;
    struct ws_study_trial there;
    int rc = ws_study_find_trial(&there, study, &trial->setting, err);
    if (rc != 0)
        return rc < 0 ? rc
                      : ws_error_set(err, WS_E_MISMATCH, "%s: %s has a trial already",
                                     study->path, knobs);
    rc = statement(&s, study, PUT_TRIAL, err);
    if (rc != 0)
        return rc;
    (void)sqlite3_bind_int64(s, 1, study->run);
    (void)sqlite3_bind_double(s, 2, trial->started_s);
    (void)sqlite3_bind_double(s, 3, trial->took_s);
    (void)sqlite3_bind_int64(
        s, 4, (int64_t)ws_setting_to_index(&study->testbed.space, &trial->setting));
    bind_text(s, 5, how_names[trial->how]);
    bind_text(s, 6, ws_truth_name(trial->outcome.truth));
    (void)sqlite3_bind_int(s, 7, trial->is_valid);
    bind_text(s, 8, trial->reason);
    (void)sqlite3_bind_int64(s, 9, trial->attempts);
    (void)sqlite3_bind_int64(s, 10, (int64_t)trial->samples);
    (void)sqlite3_bind_int64(s, 11, (int64_t)trial->warmups);
    bind_known(s, 12, trial->latency_ci_ms);
    bind_known(s, 13, trial->energy_ci_j);
    bind_text(s, 14, knobs);
    return finish(study, s, "write a trial", err);
}

int ws_study_put_trial(struct ws_study *study, const struct ws_study_trial *trial,
                       struct ws_error *err)
{
    char *knobs = NULL;
    int rc = begin(study, err);
    if (rc == 0)
        rc = knobs_text(&knobs, &study->testbed.space, &trial->setting, err);
    if (rc == 0)
        rc = put_row(study, trial, knobs, err);
    int64_t number = sqlite3_last_insert_rowid(study->db);
    if (rc == 0)
        rc = put_outcome(study, number, kind_outcome, &trial->outcome, err);
    if (rc == 0)
        rc = put_outcome(study, number, kind_composed, &trial->composed, err);
    for (int c = 0; rc == 0 && c < WS_CONDITION_COUNT; c++) {
        double value = 0;
        if (ws_conditions_get(&value, &trial->conditions, (enum ws_condition)c) == 0)
            rc = put_measure(study, number, kind_condition,
                             ws_condition_name((enum ws_condition)c), value, err);
    }
    free(knobs);
    return give_up(study, rc);
}

int ws_study_put_accuracy(struct ws_study *study, const char *key, size_t right,
                          size_t count, struct ws_error *err)
{
    sqlite3_stmt *s = NULL;
    int rc = begin(study, err);
    if (rc == 0)
        rc = statement(&s, study, PUT_ACCURACY, err);
    if (rc != 0)
        return give_up(study, rc);
    bind_text(s, 1, key);
    (void)sqlite3_bind_int64(s, 2, (int64_t)right);
    (void)sqlite3_bind_int64(s, 3, (int64_t)count);
    rc = finish(study, s, "write an accuracy", err);
    return rc == 0 ? ws_study_commit(study, err) : give_up(study, rc);
}

/* --- Reading -------------------------------------------------------------------------
 */

static int find_condition(enum ws_condition *out, const char *name)
{
    for (int c = 0; c < WS_CONDITION_COUNT; c++) {
        if (strcmp(ws_condition_name((enum ws_condition)c), name) == 0) {
            *out = (enum ws_condition)c;
            return 0;
        }
    }
    return WS_E_NOT_FOUND;
}

/* One row of measures; names that this program does not know are passed over. */
static void take_measure(struct ws_study_trial *trial, const char *kind, const char *name,
                         double value)
{
    enum ws_measure measure = WS_LATENCY_MS;
    enum ws_condition condition = WS_TIME_S;
    if (strcmp(kind, kind_condition) == 0) {
        if (find_condition(&condition, name) == 0)
            ws_conditions_set(&trial->conditions, condition, value);
    } else if (ws_measure_find(&measure, name, NULL) == 0) {
        ws_outcome_set(strcmp(kind, kind_composed) == 0 ? &trial->composed
                                                        : &trial->outcome,
                       measure, value);
    }
}

static int find_word(size_t *out, const char *const *words, size_t count,
                     const char *word)
{
    for (*out = 0; *out < count; (*out)++) {
        if (strcmp(words[*out], word) == 0)
            return 1;
    }
    return 0;
}

static int read_trial(struct ws_study_trial *out, struct ws_study *study, sqlite3_stmt *s,
                      struct ws_error *err)
{
    const char *truths[] = {ws_truth_name(WS_MEASURED), ws_truth_name(WS_RECORDED),
                            ws_truth_name(WS_MODELLED)};
    struct ws_study_trial trial = {.number = sqlite3_column_int64(s, 0),
                                   .run = sqlite3_column_int64(s, 1),
                                   .started_s = sqlite3_column_double(s, 2),
                                   .took_s = sqlite3_column_double(s, 3),
                                   .is_valid = sqlite3_column_int(s, 7),
                                   .attempts = (unsigned)sqlite3_column_int(s, 9),
                                   .samples = (size_t)sqlite3_column_int64(s, 10),
                                   .warmups = (size_t)sqlite3_column_int64(s, 11),
                                   .latency_ci_ms = -1,
                                   .energy_ci_j = -1};
    int64_t index = sqlite3_column_int64(s, 4);
    uint64_t size = 0;
    size_t how = 0, truth = 0;
    sqlite3_stmt *m = NULL;
    int rc = ws_space_size(&size, &study->testbed.space, err);
    if (rc == 0 && (index < 0 || (uint64_t)index >= size ||
                    !find_word(&how, how_names, 3, text_at(s, 5)) ||
                    !find_word(&truth, truths, 3, text_at(s, 6))))
        rc = ws_error_set(err, WS_E_FORMAT, "%s: trial %lld makes no sense", study->path,
                          (long long)trial.number);
    if (rc != 0)
        return rc;
    ws_setting_from_index(&trial.setting, &study->testbed.space, (uint64_t)index);
    trial.how = (enum ws_how)how;
    trial.outcome.truth = trial.composed.truth = (enum ws_truth)truth;
    (void)snprintf(trial.reason, sizeof(trial.reason), "%s", text_at(s, 8));
    if (sqlite3_column_type(s, 12) != SQLITE_NULL)
        trial.latency_ci_ms = sqlite3_column_double(s, 12);
    if (sqlite3_column_type(s, 13) != SQLITE_NULL)
        trial.energy_ci_j = sqlite3_column_double(s, 13);
    rc = statement(&m, study, MEASURES_OF, err);
    if (rc == 0)
        (void)sqlite3_bind_int64(m, 1, trial.number);
    while (rc == 0 && (rc = next_row(study, m, err)) == 1) {
        take_measure(&trial, text_at(m, 0), text_at(m, 1), sqlite3_column_double(m, 2));
        rc = 0;
    }
    if (rc == 0)
        *out = trial;
    return rc;
}

int ws_study_find_trial(struct ws_study_trial *out, struct ws_study *study,
                        const struct ws_setting *setting, struct ws_error *err)
{
    sqlite3_stmt *s = NULL;
    int rc = statement(&s, study, FIND_TRIAL, err);
    if (rc != 0)
        return rc;
    (void)sqlite3_bind_int64(
        s, 1, (int64_t)ws_setting_to_index(&study->testbed.space, setting));
    rc = next_row(study, s, err);
    if (rc != 1)
        return rc;
    rc = read_trial(out, study, s, err);
    (void)sqlite3_reset(s);
    return rc == 0 ? 1 : rc;
}

int ws_study_each_trial(struct ws_study *study, ws_study_trial_fn fn, void *user,
                        struct ws_error *err)
{
    struct ws_study_trial trial;
    sqlite3_stmt *s = NULL;
    int rc = statement(&s, study, ALL_TRIALS, err);
    while (rc == 0 && (rc = next_row(study, s, err)) == 1) {
        rc = read_trial(&trial, study, s, err);
        if (rc == 0)
            rc = fn(user, &trial, err);
    }
    (void)sqlite3_reset(s);
    return rc;
}

static struct ws_stats stats_at(sqlite3_stmt *s, int at)
{
    return (struct ws_stats){.count = (size_t)sqlite3_column_int64(s, at),
                             .mean = sqlite3_column_double(s, at + 1),
                             .m2 = sqlite3_column_double(s, at + 2),
                             .min = sqlite3_column_double(s, at + 3),
                             .max = sqlite3_column_double(s, at + 4)};
}

int ws_study_each_part(struct ws_study *study, ws_study_part_fn fn, void *user,
                       struct ws_error *err)
{
    sqlite3_stmt *s = NULL;
    int rc = statement(&s, study, ALL_PARTS, err);
    while (rc == 0 && (rc = next_row(study, s, err)) == 1) {
        struct ws_study_part part = {.bytes = sqlite3_column_double(s, 1),
                                     .ms = stats_at(s, 2),
                                     .energy_j = stats_at(s, 7)};
        part.key = strdup(text_at(s, 0));
        rc = part.key == NULL ? ws_error_nomem(err) : fn(user, &part, err);
        free(part.key);
    }
    (void)sqlite3_reset(s);
    return rc;
}

int ws_study_each_run(struct ws_study *study, ws_study_run_fn fn, void *user,
                      struct ws_error *err)
{
    sqlite3_stmt *s = NULL;
    int rc = statement(&s, study, ALL_RUNS, err);
    while (rc == 0 && (rc = next_row(study, s, err)) == 1)
        rc = fn(user, sqlite3_column_int64(s, 0), sqlite3_column_double(s, 1),
                text_at(s, 2), err);
    (void)sqlite3_reset(s);
    return rc;
}

int ws_study_find_accuracy(size_t *out_right, size_t *out_count, struct ws_study *study,
                           const char *key, struct ws_error *err)
{
    sqlite3_stmt *s = NULL;
    int rc = statement(&s, study, FIND_ACCURACY, err);
    if (rc != 0)
        return rc;
    bind_text(s, 1, key);
    rc = next_row(study, s, err);
    if (rc == 1) {
        *out_right = (size_t)sqlite3_column_int64(s, 0);
        *out_count = (size_t)sqlite3_column_int64(s, 1);
        (void)sqlite3_reset(s);
    }
    return rc;
}
