#include "policy/dqn.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const struct ws_dqn_wish no_wish = {NULL, NULL, NULL, NULL};
static const float no_bonus[WS_KNOB_VALUES_MAX];

/* Outputs of the network: V, the pivot's advantages, and for each of the pivot's values
 * (one row without a pivot) the advantages of all other branches. */
struct ws_dqn {
    struct ws_dqn_shape shape;
    struct ws_nn *net, *target;
    float learning_rate, follow;
    size_t pivot_count;                 /* values of the pivot; 0: none */
    size_t first;                       /* output where the rows begin */
    size_t row;                         /* outputs of one row */
    size_t offset[WS_DQN_BRANCHES_MAX]; /* of a branch within a row */
    float *gradient;                    /* [batch_max][out_pad] */
    float *goal;                        /* [batch_max] */
    uint16_t *chosen;                   /* [batch_max][branch_count] */
};

/* ---- making ---- */

static int check(const struct ws_dqn_shape *shape, struct ws_error *err)
{
    if (shape->branch_count < 1 || shape->branch_count > WS_DQN_BRANCHES_MAX)
        return ws_error_set(err, WS_E_LIMIT, "%zu branches: 1 to %d can be",
                            shape->branch_count, WS_DQN_BRANCHES_MAX);
    for (size_t d = 0; d < shape->branch_count; d++) {
        if (shape->branches[d] < 1 || shape->branches[d] > WS_KNOB_VALUES_MAX)
            return ws_error_set(err, WS_E_LIMIT,
                                "branch %zu of %zu values: 1 to %d can be", d,
                                shape->branches[d], WS_KNOB_VALUES_MAX);
    }
    if (shape->pivot != WS_DQN_NO_PIVOT && shape->pivot >= shape->branch_count)
        return ws_error_set(err, WS_E_USAGE, "pivot %zu of %zu branches", shape->pivot,
                            shape->branch_count);
    return 0;
}

static size_t lay_out(struct ws_dqn *dqn)
{
    const struct ws_dqn_shape *shape = &dqn->shape;
    for (size_t d = 0; d < shape->branch_count; d++) {
        if (d == shape->pivot) {
            dqn->pivot_count = shape->branches[d];
            continue;
        }
        dqn->offset[d] = dqn->row;
        dqn->row += shape->branches[d];
    }
    dqn->first = 1 + dqn->pivot_count;
    return dqn->first + (dqn->pivot_count > 0 ? dqn->pivot_count : 1) * dqn->row;
}

static int make_nets(struct ws_dqn *dqn, size_t outputs,
                     const struct ws_dqn_options *options, struct ws_error *err)
{
    size_t widths[WS_DQN_HIDDEN_MAX + 2] = {dqn->shape.state_count}, layers = 1;
    for (size_t h = 0; h < WS_DQN_HIDDEN_MAX && dqn->shape.hidden[h] > 0; h++)
        widths[layers++] = dqn->shape.hidden[h];
    widths[layers] = outputs;
    int rc = ws_nn_create(&dqn->net, widths, layers, options->batch_max, options->seed,
                          options->kernels, err);
    if (rc == 0)
        rc = ws_nn_create(&dqn->target, widths, layers, options->batch_max, options->seed,
                          options->kernels, err);
    if (rc != 0)
        return rc;
    size_t out_pad = dqn->net->layers[layers - 1].out_pad;
    dqn->gradient = calloc(options->batch_max * out_pad, sizeof(*dqn->gradient));
    dqn->goal = calloc(options->batch_max, sizeof(*dqn->goal));
    dqn->chosen =
        calloc(options->batch_max * dqn->shape.branch_count, sizeof(*dqn->chosen));
    return dqn->gradient == NULL || dqn->goal == NULL || dqn->chosen == NULL
               ? ws_error_nomem(err)
               : 0;
}

int ws_dqn_create(struct ws_dqn **out, const struct ws_dqn_shape *shape,
                  const struct ws_dqn_options *options, struct ws_error *err)
{
    int rc = check(shape, err);
    if (rc != 0)
        return rc;
    struct ws_dqn *dqn = calloc(1, sizeof(*dqn));
    if (dqn == NULL)
        return ws_error_nomem(err);
    dqn->shape = *shape;
    dqn->learning_rate = options->learning_rate;
    dqn->follow = options->follow;
    rc = make_nets(dqn, lay_out(dqn), options, err);
    if (rc != 0) {
        ws_dqn_destroy(dqn);
        return rc;
    }
    *out = dqn;
    return 0;
}

void ws_dqn_destroy(struct ws_dqn *dqn)
{
    if (dqn == NULL)
        return;
    ws_nn_destroy(dqn->net);
    ws_nn_destroy(dqn->target);
    free(dqn->gradient);
    free(dqn->goal);
    free(dqn->chosen);
    free(dqn);
}

const struct ws_dqn_shape *ws_dqn_shape(const struct ws_dqn *dqn)
{
    return &dqn->shape;
}

struct ws_nn *ws_dqn_net(struct ws_dqn *dqn)
{
    return dqn->net;
}

struct ws_nn *ws_dqn_target(struct ws_dqn *dqn)
{
    return dqn->target;
}

void ws_dqn_set_learning_rate(struct ws_dqn *dqn, float learning_rate)
{
    dqn->learning_rate = learning_rate;
}

void ws_dqn_copy(struct ws_dqn *to, const struct ws_dqn *from)
{
    ws_nn_copy(to->net, from->net, 1);
    ws_nn_copy(to->target, from->target, 1);
}

/* ---- valuing ---- */

static float mean_of(const float *x, size_t count)
{
    float sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += x[i];
    return sum / (float)count;
}

static size_t pivot_of(const struct ws_dqn *dqn, const uint16_t *action)
{
    return dqn->pivot_count > 0 ? action[dqn->shape.pivot] : 0;
}

/* Q of one joint action, from the outputs of one state. */
static float joint(const struct ws_dqn *dqn, const float *out, const uint16_t *action)
{
    size_t pivot = pivot_of(dqn, action);
    const float *row = out + dqn->first + pivot * dqn->row;
    float q = out[0];
    if (dqn->pivot_count > 0)
        q += out[1 + pivot] - mean_of(out + 1, dqn->pivot_count);
    for (size_t d = 0; d < dqn->shape.branch_count; d++) {
        const float *advantage = row + dqn->offset[d];
        if (d != dqn->shape.pivot)
            q += advantage[action[d]] - mean_of(advantage, dqn->shape.branches[d]);
    }
    return q;
}

/* The best values of a row's branches; what they add to V and the pivot's advantage. */
static float best_of_row(const struct ws_dqn *dqn, uint16_t *action, const float *row,
                         const float *bonus, const struct ws_dqn_wish *wish)
{
    float sum = 0;
    for (size_t d = 0; d < dqn->shape.branch_count; d++) {
        if (d == dqn->shape.pivot)
            continue;
        const float *advantage = row + dqn->offset[d];
        const float *extra = bonus == NULL ? no_bonus : bonus + dqn->offset[d];
        size_t low = wish->low == NULL ? 0 : wish->low[d];
        size_t high = wish->high == NULL ? dqn->shape.branches[d] - 1 : wish->high[d];
        size_t best = low;
        float most = advantage[low] + extra[low];
        for (size_t v = low + 1; v <= high; v++) {
            float value = advantage[v] + extra[v];
            best = value > most ? v : best;
            most = value > most ? value : most;
        }
        action[d] = (uint16_t)best;
        sum += most - mean_of(advantage, dqn->shape.branches[d]);
    }
    return sum;
}

static float best_of(const struct ws_dqn *dqn, uint16_t *action, const float *out,
                     const struct ws_dqn_wish *wish)
{
    if (dqn->pivot_count == 0)
        return out[0] + best_of_row(dqn, action, out + dqn->first, wish->bonus, wish);
    size_t pivot = dqn->shape.pivot;
    size_t low = wish->low == NULL ? 0 : wish->low[pivot];
    size_t high = wish->high == NULL ? dqn->pivot_count - 1 : wish->high[pivot];
    float mean = mean_of(out + 1, dqn->pivot_count), most = 0;
    for (size_t p = low; p <= high; p++) {
        uint16_t tried[WS_DQN_BRANCHES_MAX] = {0};
        const float *bonus = wish->bonus == NULL ? NULL : wish->bonus + p * dqn->row;
        float sum = out[1 + p] - mean;
        if (wish->pivot_bonus != NULL)
            sum += wish->pivot_bonus[p];
        sum += best_of_row(dqn, tried, out + dqn->first + p * dqn->row, bonus, wish);
        if (p > low && sum <= most)
            continue;
        most = sum;
        tried[pivot] = (uint16_t)p;
        memcpy(action, tried, dqn->shape.branch_count * sizeof(*action));
    }
    return out[0] + most;
}

static void load(struct ws_nn *nn, const float *state, size_t width, size_t count)
{
    for (size_t i = 0; i < count; i++)
        memcpy(ws_nn_input(nn, i), state + i * width, width * sizeof(*state));
}

static size_t stride_of(const struct ws_dqn *dqn)
{
    return dqn->net->layers[dqn->net->layer_count - 1].out_pad;
}

void ws_dqn_best(struct ws_dqn *dqn, uint16_t *action, float *value, const float *state,
                 const struct ws_dqn_wish *wish)
{
    load(dqn->net, state, dqn->shape.state_count, 1);
    float best =
        best_of(dqn, action, ws_nn_forward(dqn->net, 1), wish == NULL ? &no_wish : wish);
    if (value != NULL)
        *value = best;
}

float ws_dqn_value(struct ws_dqn *dqn, const float *state, const uint16_t *action)
{
    load(dqn->net, state, dqn->shape.state_count, 1);
    return joint(dqn, ws_nn_forward(dqn->net, 1), action);
}

/* ---- training ---- */

/* What each row's value should be: the reward, and what the target network says of the
 * action that the online network would take next. */
static void set_goals(struct ws_dqn *dqn, const struct ws_dqn_batch *batch)
{
    size_t stride = stride_of(dqn), branches = dqn->shape.branch_count;
    memcpy(dqn->goal, batch->reward, batch->count * sizeof(*dqn->goal));
    if (batch->next == NULL)
        return;
    load(dqn->net, batch->next, dqn->shape.state_count, batch->count);
    const float *out = ws_nn_forward(dqn->net, batch->count);
    for (size_t i = 0; i < batch->count; i++)
        (void)best_of(dqn, dqn->chosen + i * branches, out + i * stride, &no_wish);
    load(dqn->target, batch->next, dqn->shape.state_count, batch->count);
    out = ws_nn_forward(dqn->target, batch->count);
    for (size_t i = 0; i < batch->count; i++)
        dqn->goal[i] +=
            batch->discount[i] * joint(dqn, out + i * stride, dqn->chosen + i * branches);
}

/* The gradient of one row's outputs, for a slope of its Q. */
static void spread(const struct ws_dqn *dqn, float *gradient, const uint16_t *action,
                   float slope)
{
    size_t pivot = pivot_of(dqn, action);
    gradient[0] = slope;
    if (dqn->pivot_count > 0) {
        float share = slope / (float)dqn->pivot_count;
        for (size_t p = 0; p < dqn->pivot_count; p++)
            gradient[1 + p] = -share;
        gradient[1 + pivot] += slope;
    }
    float *row = gradient + dqn->first + pivot * dqn->row;
    for (size_t d = 0; d < dqn->shape.branch_count; d++) {
        if (d == dqn->shape.pivot)
            continue;
        float *advantage = row + dqn->offset[d];
        float share = slope / (float)dqn->shape.branches[d];
        for (size_t v = 0; v < dqn->shape.branches[d]; v++)
            advantage[v] = -share;
        advantage[action[d]] += slope;
    }
}

float ws_dqn_train(struct ws_dqn *dqn, const struct ws_dqn_batch *batch)
{
    assert(batch->count > 0 && batch->count <= dqn->net->batch_max);
    size_t stride = stride_of(dqn), branches = dqn->shape.branch_count;
    float scale = 2 / (float)batch->count, loss = 0;
    set_goals(dqn, batch);
    load(dqn->net, batch->state, dqn->shape.state_count, batch->count);
    const float *out = ws_nn_forward(dqn->net, batch->count);
    memset(dqn->gradient, 0, batch->count * stride * sizeof(*dqn->gradient));
    for (size_t i = 0; i < batch->count; i++) {
        const uint16_t *action = batch->action + i * branches;
        float error = joint(dqn, out + i * stride, action) - dqn->goal[i];
        loss += error * error;
        spread(dqn, dqn->gradient + i * stride, action, scale * error);
    }
    ws_nn_backward(dqn->net, dqn->gradient, batch->count);
    ws_nn_adam(dqn->net, dqn->learning_rate);
    if (batch->next != NULL)
        ws_nn_follow(dqn->target, dqn->net, dqn->follow);
    return loss / (float)batch->count;
}
