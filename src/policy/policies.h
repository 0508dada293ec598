/*
 * The policies that policy.c lists, one line each; their reasons are in the files that
 * define them.
 */
#ifndef WS_POLICY_POLICIES_H
#define WS_POLICY_POLICIES_H

#include "policy/policy.h"

extern const struct ws_policy_ops ws_policy_cloud_only;
extern const struct ws_policy_ops ws_policy_edge_only;
extern const struct ws_policy_ops ws_policy_fastest;
extern const struct ws_policy_ops ws_policy_thrifty;
extern const struct ws_policy_ops ws_policy_neurosurgeon;
extern const struct ws_policy_ops ws_policy_dynamic_split;
extern const struct ws_policy_ops ws_policy_dynasplit;
extern const struct ws_policy_ops ws_policy_dvfo;
extern const struct ws_policy_ops ws_policy_wattshed;

/* Number of the entry with that setting, or WS_NO_ENTRY. */
size_t ws_plan_entry_of(const struct ws_plan *plan, const struct ws_setting *setting);

#endif
