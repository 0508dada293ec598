/*
 * Several policies over one workload, over one seed or several: what each gave, and how
 * far it is from the oracles and from cloud-only of the same seed. Means over seeds carry
 * Student's 95 % interval of the mean. All policies of a seed see the same draws.
 */
#ifndef WS_REPLAY_COMPARE_H
#define WS_REPLAY_COMPARE_H

#include "base/stats.h"
#include "replay/replay.h"

/* What is averaged over the seeds. */
enum ws_figure {
    WS_FIGURE_MET_PCT,
    WS_FIGURE_ENERGY_J,
    WS_FIGURE_EDGE_ENERGY_J,
    WS_FIGURE_CLOUD_ENERGY_J,
    WS_FIGURE_SAVING_PCT, /* against cloud-only */
    WS_FIGURE_LATENCY_P50_MS,
    WS_FIGURE_LATENCY_P95_MS,
    WS_FIGURE_LATENCY_P99_MS,
    WS_FIGURE_EXCEED_MS,       /* median over those served too late */
    WS_FIGURE_REGRET_PCT,      /* energy above that of `oracle` */
    WS_FIGURE_MEAN_REGRET_PCT, /* energy above that of `mean-oracle` */
    WS_FIGURE_DECISION_NS,     /* median */
    WS_FIGURE_DECISION_NS_WORST,
    WS_FIGURE_COUNT
};

struct ws_compared {
    const char *policy;
    int is_oracle;
    /* Over the seeds that know the figure; count 0: unknown. Of the worst decision only
     * .max is of use. */
    struct ws_stats figures[WS_FIGURE_COUNT];
    struct ws_replay_result first; /* of the first seed; owned */
};

struct ws_comparison {
    struct ws_compared *rows; /* as asked for, then the oracles */
    size_t count;
    size_t seeds;
    int no_oracle; /* `oracle` was left out: too many settings for so many requests */
};

/* Executions that `oracle` may look at in one run before it is left out, unless it is
 * asked for by name. */
#define WS_COMPARE_ORACLE_MAX 200000000.0

/* `names` are policies or oracles, each at most once; `oracle` and `mean-oracle` are
 * added. Seeds are seed, seed + 1, ... . WS_E_USAGE for an unknown name. */
int ws_compare(struct ws_comparison *out, const struct ws_replay_task *task,
               const char *const *names, size_t name_count, uint64_t seed, size_t seeds,
               struct ws_error *err);
void ws_comparison_fini(struct ws_comparison *comparison);

/* "met_pct", "energy_j_mean", ...: as in the JSON. */
const char *ws_figure_name(enum ws_figure figure);

#endif
