/*
 * DVFO's learner (arXiv 2306.01811): a branching Q-network (dqn.h) over every knob of the
 * device and the offloaded share. Where the task has a table, what that says of a
 * setting's cost over the link as it is is taken as known (prior.h), and the network
 * learns what is to be added; otherwise, or where the task says so, it learns everything,
 * as published. It is trained on a course (replay/course.h) with fading exploration, kept
 * in a file, and goes on learning while it serves, where exploration is safe: only
 * settings of the table or that were served before, and their neighbours, one knob by one
 * step; no faster clock on a hot machine; nothing tried where the deadline is close or
 * that is foreseen to be much dearer; and back to what was good when what it does gets
 * worse. Decisions are concurrent: what the network sees is the state while the request
 * before runs, with that request's setting and the time it has taken so far, so that
 * deciding adds nothing to a request's time. What the paper leaves open, and what is done
 * here, is docs/learning.md. Choosing and learning allocate nothing. Not thread-safe.
 */
#ifndef WS_POLICY_DVFO_H
#define WS_POLICY_DVFO_H

#include "policy/dqn.h"
#include "policy/learner.h"

struct ws_dvfo;

/* What only the learner `dvfo` can do; NULL for any other. */
struct ws_dvfo *ws_dvfo_of(struct ws_learner *learner);
struct ws_dqn *ws_dvfo_dqn(struct ws_dvfo *dvfo);

struct ws_dvfo_safety {
    double hot_c;   /* from this temperature on no clock is raised; infinite: never hot */
    double explore; /* probability that a request tries a neighbour */
};

/* From now on it serves: exploration is safe, and what it learns is what the network gets
 * wrong (live_layer.h). */
int ws_dvfo_go_live(struct ws_dvfo *dvfo, const struct ws_dvfo_safety *safety,
                    struct ws_error *err);

struct ws_dvfo_tally {
    uint64_t served, explored, vetoed, rollbacks;
};
/* Of serving; zeros before it is live. */
struct ws_dvfo_tally ws_dvfo_tally(const struct ws_dvfo *dvfo);
/* Whether a setting was served, in training or since. */
int ws_dvfo_knows(const struct ws_dvfo *dvfo, const struct ws_setting *setting);

/* An agent file (JSON): the knobs, what was asked for, the table, the weights, the
 * settings served. Loading wants a space of the same knobs and values (WS_E_MISMATCH
 * names the first that differs); the space must outlive the learner. */
int ws_dvfo_save(struct ws_dvfo *dvfo, const char *path, struct ws_error *err);
int ws_dvfo_load(struct ws_learner **out, const struct ws_space *space, const char *path,
                 uint64_t seed, struct ws_error *err);

#endif
