/*
 * A recorded table (CSV): `knob.NAME` columns, then measures by their names; repeated
 * rows of a setting are its samples. Objectives must have a column; an empty field is an
 * unknown value; columns that are no measure are passed over with a log line. Samples are
 * kept by setting, so that drawing one is a look-up. Immutable once loaded; read from any
 * thread. It points to the testbed, which must outlive it.
 */
#ifndef WS_STUDY_TABLE_H
#define WS_STUDY_TABLE_H

#include "base/error.h"
#include "core/outcome.h"
#include "study/testbed.h"

struct ws_table {
    const struct ws_testbed *testbed;
    size_t setting_count;
    size_t sample_count;
    uint64_t *index; /* [setting_count], ascending: ws_setting_to_index of each */
    uint32_t *first; /* [setting_count + 1]: samples first[s] .. first[s + 1] - 1 */
    struct ws_outcome *means;        /* [setting_count]: of what every sample knows */
    double *value[WS_MEASURE_COUNT]; /* [sample_count], NULL where there is no column */
    uint32_t *known;                 /* [sample_count] */
    /* Pooled relative residuals of settings with two samples or more, widened by
     * sqrt(n / (n - 1)): pairs of time and energy, drawn together. */
    double (*residuals)[2];
    size_t residual_count;
    /* The link of recording: the testbed's, or estimated from bytes and times (see
     * link_estimated), or unknown. */
    struct ws_conditions reference;
    int link_estimated;
    uint64_t *slots; /* open-addressing hash: setting number + 1, 0 is free */
    size_t slot_count;
};

/* Loads testbed->table_path. */
int ws_table_load(struct ws_table *out, const struct ws_testbed *testbed,
                  struct ws_error *err);
int ws_table_parse(struct ws_table *out, const struct ws_testbed *testbed,
                   const void *bytes, size_t size, const char *name,
                   struct ws_error *err);
void ws_table_fini(struct ws_table *table);

/* 1 and the setting's number, or 0 if the table lacks it. */
int ws_table_find(size_t *out, const struct ws_table *table,
                  const struct ws_setting *setting);
void ws_table_setting(struct ws_setting *out, const struct ws_table *table,
                      size_t number);
size_t ws_table_samples_of(const struct ws_table *table, size_t number);
/* Sample `k` of a setting. */
void ws_table_sample(struct ws_outcome *out, const struct ws_table *table, size_t number,
                     size_t k);

#endif
