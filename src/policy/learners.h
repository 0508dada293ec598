/* The learners that learner.c lists; their reasons are in the files that define them. */
#ifndef WS_POLICY_LEARNERS_H
#define WS_POLICY_LEARNERS_H

#include "policy/learner.h"

extern const struct ws_learner_ops ws_learner_cloud_only;
extern const struct ws_learner_ops ws_learner_edge_only;
extern const struct ws_learner_ops ws_learner_appealnet;
extern const struct ws_learner_ops ws_learner_argmin;
extern const struct ws_learner_ops ws_learner_bandit;
extern const struct ws_learner_ops ws_learner_autoscale;
extern const struct ws_learner_ops ws_learner_dvfo;

#endif
