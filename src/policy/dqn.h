/*
 * A branching, double, dueling Q-network: one branch a knob, so that the best of ten
 * thousand joint actions is found with one pass and one look at every knob's values. The
 * value of a joint action is summed over the branches,
 *     Q(s, a) = V(s) + sum over d of (A_d(s, a_d) - mean of A_d(s, .)),
 * which differs from Tavakoli et al. (2018), who fit each branch to the whole target: a
 * sum lets each branch explain its own part, and what the others tried is no noise to it.
 * One branch may be the pivot: the others then have a row of advantages for each of its
 * values, because how fast to run depends on how much of the work is sent away. Double
 * (van Hasselt, 2016): the online network chooses the next action, a slowly following
 * target network values it; dueling after Wang (2016). Same seed, same weights. Not
 * thread-safe.
 */
#ifndef WS_POLICY_DQN_H
#define WS_POLICY_DQN_H

#include "policy/nn.h"
#include "policy/prior.h"

enum { WS_DQN_BRANCHES_MAX = WS_KNOBS_MAX, WS_DQN_HIDDEN_MAX = 3 };

struct ws_dqn_shape {
    size_t state_count;
    size_t branch_count;
    size_t branches[WS_DQN_BRANCHES_MAX]; /* number of values of each */
    size_t pivot;                         /* number of a branch, or WS_NO_PIVOT */
    size_t hidden[WS_DQN_HIDDEN_MAX];     /* widths; 0 ends the list */
    /* Bit d: values of branch d are in an order, and what is said of them is a curve of
     * few coefficients over their place in it, not one number each: as much is learnt
     * from far fewer requests. 0: one number each. */
    uint64_t curves;
};

struct ws_dqn_options {
    size_t batch_max;
    float learning_rate;
    float follow; /* of the target network, per training step */
    /* Times the learning rate, the share of what is said of actions, beside V, that is
     * forgotten at each step: what little noise says again and again differently goes. */
    float decay;
    uint64_t seed;
    const struct ws_kernels *kernels; /* NULL: the best of this machine */
};

struct ws_dqn;

/* What a search for the best action minds besides the network. */
struct ws_dqn_wish {
    const uint16_t *low, *high; /* of each branch, or NULL */
    /* [branch values of the pivot] and [pivot values, or 1][all values of the others], in
     * the order of the branches: what is added to a joint action's value. NULL: 0. */
    const float *pivot_bonus, *bonus;
    /* Minus the logarithm of what it says an action costs is added, too. NULL: 0. Its
     * pivot and values are the network's. */
    struct ws_prior *prior;
    const struct ws_view *view; /* of the prior */
    float margin; /* what is best without network and bonus is taken unless another action
                     is worth so much more by all together */
};

/* One batch; row i of each array belongs together. */
struct ws_dqn_batch {
    size_t count;
    const float *state;     /* [count][state_count] */
    const uint16_t *action; /* [count][branch_count] */
    const float *reward;    /* [count] */
    const float *next;      /* [count][state_count]; NULL where every discount is 0 */
    const float *discount;  /* [count]: gamma to the power of the time elapsed */
    /* What is minded when the next action is chosen: [count], or NULL. The action's value
     * is the network's alone. */
    const struct ws_dqn_wish *wishes;
};

int ws_dqn_create(struct ws_dqn **out, const struct ws_dqn_shape *shape,
                  const struct ws_dqn_options *options, struct ws_error *err);
void ws_dqn_destroy(struct ws_dqn *dqn);
const struct ws_dqn_shape *ws_dqn_shape(const struct ws_dqn *dqn);
/* The online network and the target; for files and tests. */
struct ws_nn *ws_dqn_net(struct ws_dqn *dqn);
struct ws_nn *ws_dqn_target(struct ws_dqn *dqn);

/* The best joint action; wish and value may be NULL. Where the prior has no action that
 * the wish allows, the network's best. Allocates nothing. */
void ws_dqn_best(struct ws_dqn *dqn, uint16_t *action, float *value, const float *state,
                 const struct ws_dqn_wish *wish);
/* Q(state, action), of the network alone. */
float ws_dqn_value(struct ws_dqn *dqn, const float *state, const uint16_t *action);
/* One step of training; the mean squared error before it. */
float ws_dqn_train(struct ws_dqn *dqn, const struct ws_dqn_batch *batch);
void ws_dqn_set_learning_rate(struct ws_dqn *dqn, float learning_rate);
/* From now on every value is 0, until it is trained. */
void ws_dqn_hush(struct ws_dqn *dqn);

#endif
