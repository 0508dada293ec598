/*
 * A study: one SQLite file that holds one testbed's trials and all that is needed to
 * trust them later: what they are of, under which conditions they were taken, and the
 * measurements of parts they were composed from. The schema is docs/profile.md's, is
 * versioned, and a newer one is refused. Every trial goes in with its parts in one
 * transaction, synced to disk: whoever is killed leaves a study without the trial or
 * with it, and never half of it. One process at a time profiles into a study (a lock on
 * the file, which dies with its holder); readers come and go. One thread.
 */
#ifndef WS_STUDY_STUDY_H
#define WS_STUDY_STUDY_H

#include <stdint.h>

#include "base/error.h"
#include "base/stats.h"
#include "core/outcome.h"
#include "study/testbed.h"

enum { WS_STUDY_VERSION = 2 };

struct ws_study;

/* Something a study is of, e.g. {"model.base", DIGEST}: it is written when the study is
 * made and must be the same when it is gone on with. */
struct ws_study_fact {
    const char *key;
    const char *value;
};

/* Opens a study to profile into it, made where there is none. `testbed` is the testbed's
 * JSON and a fact like the others. WS_E_BUSY: another process profiles into it;
 * WS_E_MISMATCH names the fact that differs; WS_E_FORMAT: the file is no study;
 * WS_E_UNSUPPORTED: of a newer program. */
int ws_study_open(struct ws_study **out, const char *path, const char *testbed,
                  const struct ws_study_fact *facts, size_t count, struct ws_error *err);
/* Opens one that is there to read it, also while somebody profiles. */
int ws_study_open_to_read(struct ws_study **out, const char *path, struct ws_error *err);
/* What was not committed is as if it had not been. Takes NULL. */
void ws_study_close(struct ws_study *study);

const struct ws_testbed *ws_study_testbed(const struct ws_study *study);
/* The value, the study's; NULL where it has no such fact. */
const char *ws_study_fact(const struct ws_study *study, const char *key);
/* Number `index` of them in the order of their keys; 0 past the last. */
int ws_study_fact_at(struct ws_study_fact *out, const struct ws_study *study,
                     size_t index);

/* A stretch of profiling: what the machines and the program were, as JSON. Trials that
 * follow belong to it. Commits. */
int ws_study_begin_run(struct ws_study *study, const char *conditions,
                       struct ws_error *err);
typedef int (*ws_study_run_fn)(void *user, int64_t run, double started_s,
                               const char *conditions, struct ws_error *err);
int ws_study_each_run(struct ws_study *study, ws_study_run_fn fn, void *user,
                      struct ws_error *err);

/* How a trial's outcome came about. */
enum ws_how {
    WS_HOW_WHOLE,    /* requests from end to end */
    WS_HOW_PARTS,    /* some of its parts were measured, the others known */
    WS_HOW_COMPOSED, /* all parts were known */
};
/* "whole", "parts", "composed". */
const char *ws_how_name(enum ws_how how);

struct ws_study_trial {
    int64_t number; /* in the order they were made, from 1 */
    int64_t run;
    double started_s; /* wall time */
    double took_s;
    struct ws_setting setting;
    struct ws_outcome outcome; /* means; nothing known of an invalid one */
    enum ws_how how;
    int is_valid;
    char reason[256]; /* why not */
    unsigned attempts;
    size_t samples; /* that it cost, the ones thrown away to warm up apart */
    size_t warmups;
    /* Half the 95 % interval of the mean; unknown is negative. */
    double latency_ci_ms, energy_ci_j;
    /* Where it was measured from end to end: what its parts alone would have said. */
    struct ws_outcome composed;
    struct ws_conditions conditions;
};

/* A part's measurements: `key` names its side and the values it depends on. */
struct ws_study_part {
    char *key;
    struct ws_stats ms;
    struct ws_stats energy_j; /* count 0: unknown */
    double bytes;             /* that crossed */
};

/* Puts parts and a trial; nothing is in the study before the commit. Number and run of a
 * trial are the study's to say. A setting has one trial; a second is WS_E_MISMATCH. */
int ws_study_put_part(struct ws_study *study, const struct ws_study_part *part,
                      struct ws_error *err);
int ws_study_put_trial(struct ws_study *study, const struct ws_study_trial *trial,
                       struct ws_error *err);
int ws_study_commit(struct ws_study *study, struct ws_error *err);

/* 1 and the trial, 0 where the setting has none, or a code. */
int ws_study_find_trial(struct ws_study_trial *out, struct ws_study *study,
                        const struct ws_setting *setting, struct ws_error *err);
typedef int (*ws_study_trial_fn)(void *user, const struct ws_study_trial *trial,
                                 struct ws_error *err);
/* In the order they were made. */
int ws_study_each_trial(struct ws_study *study, ws_study_trial_fn fn, void *user,
                        struct ws_error *err);
typedef int (*ws_study_part_fn)(void *user, const struct ws_study_part *part,
                                struct ws_error *err);
int ws_study_each_part(struct ws_study *study, ws_study_part_fn fn, void *user,
                       struct ws_error *err);

/* Accuracy on labelled data; `key` names the data's and the models' digests, the cut and
 * the codec. 1, 0 where there is none, or a code. Putting commits. */
int ws_study_find_accuracy(size_t *out_right, size_t *out_count, struct ws_study *study,
                           const char *key, struct ws_error *err);
int ws_study_put_accuracy(struct ws_study *study, const char *key, size_t right,
                          size_t count, struct ws_error *err);

#endif
