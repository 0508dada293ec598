/*
 * What is believed of the link to one node: its delay and its rate, how much they vary,
 * and how old that is. It learns from transfers of the plan's entries, from probes of a
 * known size, and from transfers that were given up (which took at least so long), all
 * through one drift filter of two factors, delay and pace, relative to the link that the
 * plan was made over. Plain data, no allocation.
 */
#ifndef WS_AGENT_LINK_H
#define WS_AGENT_LINK_H

#include "agent/drift.h"
#include "core/outcome.h"

struct ws_link {
    struct ws_drift drift;
    struct ws_conditions reference; /* the plan's */
};

struct ws_link_estimate {
    double delay_ms; /* one way */
    double pace;     /* the plan's rate over the rate now */
    double mbit_s;   /* 0 where the plan's own rate is not known */
    double spread;   /* standard deviation of a transfer's time over its mean */
    double age_ms;   /* since the last observation; infinite before the first */
};

/* forget_ms: time constant of the way back to the plan's link; 0: 30 s. */
void ws_link_init(struct ws_link *link, const struct ws_conditions *reference,
                  double forget_ms);

/* A transfer of an entry of the plan took so long. */
void ws_link_observe(struct ws_link *link, const struct ws_outcome *planned,
                     double took_ms, double now_ms);
/* It was given up after so long: an observation only where more was foreseen of it. */
void ws_link_observe_least(struct ws_link *link, const struct ws_outcome *planned,
                           double least_ms, double now_ms);
/* A probe took so long, of which the plan's link would spend `fixed_ms` whatever its size
 * and `wire_ms` on its bytes. Nothing is learnt where both are 0. */
void ws_link_observe_probe(struct ws_link *link, double fixed_ms, double wire_ms,
                           double took_ms, double now_ms);
/* What `from` has learnt; its clock lies `shift_ms` before. Where its reference was
 * another link, as far as both plans know theirs. */
void ws_link_inherit(struct ws_link *link, const struct ws_link *from, double shift_ms);
/* Nothing was learnt: it is the plan's link. */
void ws_link_forget(struct ws_link *link);
/* It was measured by other means: believed until observations say otherwise. */
void ws_link_note(struct ws_link *link, const struct ws_conditions *now, double now_ms);

void ws_link_get(struct ws_link_estimate *out, const struct ws_link *link, double now_ms);

#endif
