/*
 * The walk of DynaSplit's controller, for the policy of that name and for `wattshed` with
 * its guard off, which has to be identical. Immutable once built.
 */
#ifndef WS_POLICY_POLICY_DYNASPLIT_H
#define WS_POLICY_POLICY_DYNASPLIT_H

#include "policy/policy.h"

struct ws_walk;

/* WS_E_INFEASIBLE if no entry knows both latency and energy. */
int ws_walk_create(struct ws_walk **out, const struct ws_plan *plan,
                   struct ws_error *err);
void ws_walk_destroy(struct ws_walk *walk);
int ws_walk_decide(const struct ws_walk *walk, const struct ws_plan *plan,
                   struct ws_decision *out, const struct ws_policy_request *request,
                   struct ws_error *err);

#endif
