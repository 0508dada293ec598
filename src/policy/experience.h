/*
 * Experience replay: the last so many requests, each with what was seen, chosen and
 * given, in fixed memory; the oldest makes way. Draws are uniform with replacement from a
 * generator of the caller's, so the same seed replays the same. Not thread-safe.
 */
#ifndef WS_POLICY_EXPERIENCE_H
#define WS_POLICY_EXPERIENCE_H

#include "base/error.h"
#include "base/rng.h"
#include "policy/learner.h"

struct ws_step {
    struct ws_view view, next;
    struct ws_setting setting;
    float energy_j, latency_ms, accuracy; /* accuracy 1 where it is not known */
};

struct ws_experience {
    struct ws_step *steps; /* [capacity] */
    size_t capacity, count, next;
};

int ws_experience_init(struct ws_experience *out, size_t capacity, struct ws_error *err);
void ws_experience_fini(struct ws_experience *experience);
void ws_experience_add(struct ws_experience *experience, const struct ws_step *step);
/* count must not be 0. */
const struct ws_step *ws_experience_draw(const struct ws_experience *experience,
                                         struct ws_rng *rng);

#endif
