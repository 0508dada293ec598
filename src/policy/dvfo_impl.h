/* Shared by the files of DVFO's learner, and by nobody else. */
#ifndef WS_POLICY_DVFO_IMPL_H
#define WS_POLICY_DVFO_IMPL_H

#include "base/rng.h"
#include "policy/dvfo.h"
#include "policy/experience.h"
#include "policy/live_layer.h"

enum {
    WS_DVFO_BATCH = 128,
    WS_DVFO_BUMPS = 5,
    WS_DVFO_VIEW =
        13 + WS_DVFO_BUMPS, /* features of a view, the setting in force not counted */
    WS_DVFO_SLOTS = 65536,  /* of the hash of known settings; half of them are used */
};

struct ws_dvfo_live {
    int on;
    struct ws_live_layer layer, good, aside; /* in use, to go back to, gone back from */
    struct ws_dvfo_safety safety;
    struct ws_dvfo_tally tally;
    double latency_ms; /* of requests of late */
    double score;      /* sum of rewards above what the network foresaw, in this window */
    size_t window;     /* requests in this window */
    double base_score, aside_score; /* means: when `good` was taken, and of `aside` */
    int on_trial; /* went back to `good`: was it what was learnt, or the machine? */
    float *pivot_bonus, *bonus; /* room for ws_live_layer_bonus */
};

struct ws_dvfo {
    struct ws_learner base;
    struct ws_learner_task own_task; /* of one that came from a file */
    int32_t own_fixed[WS_KNOBS_MAX];
    struct ws_dqn *dqn;
    struct ws_experience experience;
    struct ws_rng rng;
    uint64_t seen;
    struct ws_prior *prior; /* what the table foresees; NULL: learn everything */
    double log_cost; /* without one: mean logarithm of the first costs, where rewards are
                        0 */
    uint16_t low[WS_KNOBS_MAX], high[WS_KNOBS_MAX]; /* values that may be chosen */
    struct ws_dvfo_live live;
    uint64_t *known; /* [WS_DVFO_SLOTS]: index of a setting + 1; 0: free */
    size_t known_count;
    /* One batch. */
    float *state, *next, *reward, *discount;
    uint16_t *action;
    struct ws_view *next_view;
    struct ws_dqn_wish *wishes;
};

/* With what the table foresees, or NULL; it takes the prior over, also on failure. */
int ws_dvfo_make(struct ws_dvfo **out, const struct ws_learner_task *task,
                 struct ws_prior *prior, struct ws_error *err);
void ws_dvfo_features(float *out, const struct ws_dvfo *self, const struct ws_view *view);
/* The best of network and prior among what may be chosen, and what they foresee, which
 * may be NULL. `more`: other bounds, a bonus; NULL: none. */
void ws_dvfo_best(struct ws_dvfo *self, struct ws_setting *out, float *value,
                  const struct ws_view *view, const struct ws_dqn_wish *more);
/* The network's own value of a setting. */
float ws_dvfo_value(struct ws_dvfo *self, const struct ws_view *view,
                    const struct ws_setting *setting);
/* Minus the cost that is foreseen without the network, on the scale of rewards. */
double ws_dvfo_foresee(const struct ws_dvfo *self, const struct ws_view *view,
                       const struct ws_setting *setting);
/* What a request was better than foreseen without the network. */
float ws_dvfo_reward(const struct ws_dvfo *self, const struct ws_step *step,
                     const struct ws_view *view);
void ws_dvfo_note_known(struct ws_dvfo *self, uint64_t index);

void ws_dvfo_live_fini(struct ws_dvfo *self);
void ws_dvfo_live_choose(struct ws_dvfo *self, struct ws_setting *out,
                         const struct ws_view *view, int explore);
void ws_dvfo_live_observe(struct ws_dvfo *self, const struct ws_step *step);

#endif
