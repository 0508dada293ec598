/*
 * Oracles: policies that know the world, to count regret from. `oracle` knows what every
 * setting will give in the very execution that comes and takes the cheapest that keeps
 * the deadline, else the fastest. `mean-oracle` knows every setting's mean under the
 * conditions of the moment. `guard-oracle` knows those and the true spread of latencies,
 * and is held to the same probability as `wattshed`. All know what switching costs, and
 * none knows more than the request at hand. They are made for one world and one run.
 */
#ifndef WS_REPLAY_ORACLE_H
#define WS_REPLAY_ORACLE_H

#include "policy/policy.h"
#include "replay/world.h"

/* What their `create` takes as options.oracle. */
struct ws_oracle_context {
    const struct ws_world *world;
    const struct ws_world_now *now;
};

extern const struct ws_policy_ops ws_oracle_draws;
extern const struct ws_policy_ops ws_oracle_means;
extern const struct ws_policy_ops ws_oracle_guard;

/* The oracle of that name, or NULL. */
const struct ws_policy_ops *ws_oracle_find(const char *name);

#endif
