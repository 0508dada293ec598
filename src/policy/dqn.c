#include "policy/dqn.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct ws_dqn_wish no_wish = {.low = NULL};
static const float no_bonus[WS_KNOB_VALUES_MAX];

/* Outputs of the network: V, the pivot's advantages, and for each of the pivot's values
 * (one row without a pivot) the advantages of all other branches. */
struct ws_dqn {
    struct ws_dqn_shape shape;
    struct ws_nn *net, *target;
    float learning_rate, follow, decay;
    size_t pivot_count;                 /* values of the pivot; 0: none */
    size_t first;                       /* output where the rows begin */
    size_t row;                         /* outputs of one row */
    size_t offset[WS_DQN_BRANCHES_MAX]; /* of a branch within a row */
    size_t out_pad;                     /* all outputs, padded */
    /* The network's coefficients and what of the outputs each makes up; NULL: they are
     * the outputs. */
    float *basis,
        *basis_turned;    /* [coefficients][out_pad], [outputs][coefficients pad] */
    float *values, *pull; /* [batch_max][out_pad], [batch_max][coefficients pad] */
    float *gradient;      /* [batch_max][out_pad] */
    float *goal;          /* [batch_max] */
    uint16_t *chosen;     /* [batch_max][branch_count] */
    /* [pivot values, or 1], then [the same][row]: for the prior. */
    float *factors;
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
    if (shape->pivot != WS_NO_PIVOT && shape->pivot >= shape->branch_count)
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

/* A branch of fewer values has a number for each. */
enum { CURVE_MIN = 5 };

/* Function `f` of a branch's value `v`, and how many there are: for a branch of no order,
 * or of few values, one for each value. Over the pivot the ends have functions of their
 * own: to send nothing, and to send all, are other things than almost that. */
static double branch_function(const struct ws_dqn *dqn, size_t d, size_t f, size_t v)
{
    size_t count = dqn->shape.branches[d];
    double x = count < 2 ? 0 : 2 * (double)v / (double)(count - 1) - 1;
    if (count < CURVE_MIN || (dqn->shape.curves >> d & 1u) == 0)
        return f == v;
    const double of[] = {x, x * x, v == 0, v == count - 1};
    return of[f];
}

static size_t function_count(const struct ws_dqn *dqn, size_t d)
{
    if (dqn->shape.branches[d] < CURVE_MIN || (dqn->shape.curves >> d & 1u) == 0)
        return dqn->shape.branches[d];
    return d == dqn->shape.pivot ? 4 : 2;
}

/* Those of the pivot's value that scale a function of another branch: 1 and its place, or
 * one for each value. */
static size_t scale_count(const struct ws_dqn *dqn)
{
    if (dqn->pivot_count == 0)
        return 1;
    size_t functions = function_count(dqn, dqn->shape.pivot);
    return functions == dqn->pivot_count ? functions : 2;
}

static double scale_function(const struct ws_dqn *dqn, size_t f, size_t p)
{
    if (dqn->pivot_count == 0)
        return 1;
    if (function_count(dqn, dqn->shape.pivot) == dqn->pivot_count)
        return f == p;
    return f == 0 ? 1 : branch_function(dqn, dqn->shape.pivot, 0, p);
}

static size_t coefficient_count(const struct ws_dqn *dqn)
{
    size_t count = 1;
    for (size_t d = 0; d < dqn->shape.branch_count; d++)
        count += function_count(dqn, d) * (d == dqn->shape.pivot ? 1 : scale_count(dqn));
    return count;
}

static void fill_basis(struct ws_dqn *dqn)
{
    size_t n = 1, pad = dqn->out_pad, rows = dqn->pivot_count > 0 ? dqn->pivot_count : 1;
    dqn->basis[0] = 1;
    for (size_t d = 0; d < dqn->shape.branch_count; d++) {
        size_t functions = function_count(dqn, d), values = dqn->shape.branches[d];
        if (d == dqn->shape.pivot) {
            for (size_t f = 0; f < functions; f++, n++) {
                for (size_t v = 0; v < values; v++)
                    dqn->basis[n * pad + 1 + v] = (float)branch_function(dqn, d, f, v);
            }
            continue;
        }
        for (size_t i = 0; i < functions * scale_count(dqn); i++, n++) {
            float *of = dqn->basis + n * pad + dqn->first + dqn->offset[d];
            for (size_t k = 0; k < rows * values; k++)
                of[k / values * dqn->row + k % values] =
                    (float)(branch_function(dqn, d, i % functions, k % values) *
                            scale_function(dqn, i / functions, k / values));
        }
    }
}

static int make_basis(struct ws_dqn *dqn, size_t outputs, size_t batch_max,
                      struct ws_error *err)
{
    size_t count = coefficient_count(dqn), pad = ws_gemm_pad(count);
    dqn->basis = calloc(count * dqn->out_pad, sizeof(float));
    dqn->basis_turned = calloc(outputs * pad, sizeof(float));
    dqn->values = calloc(batch_max * dqn->out_pad, sizeof(float));
    dqn->pull = calloc(batch_max * pad, sizeof(float));
    if (dqn->basis == NULL || dqn->basis_turned == NULL || dqn->values == NULL ||
        dqn->pull == NULL)
        return ws_error_nomem(err);
    fill_basis(dqn);
    for (size_t n = 0; n < count; n++) {
        for (size_t o = 0; o < outputs; o++)
            dqn->basis_turned[o * pad + n] = dqn->basis[n * dqn->out_pad + o];
    }
    return 0;
}

static int make_nets(struct ws_dqn *dqn, size_t outputs,
                     const struct ws_dqn_options *options, struct ws_error *err)
{
    size_t widths[WS_DQN_HIDDEN_MAX + 2] = {dqn->shape.state_count}, layers = 1;
    size_t batch_max = options->batch_max;
    for (size_t h = 0; h < WS_DQN_HIDDEN_MAX && dqn->shape.hidden[h] > 0; h++)
        widths[layers++] = dqn->shape.hidden[h];
    widths[layers] = dqn->shape.curves != 0 ? coefficient_count(dqn) : outputs;
    dqn->out_pad = ws_gemm_pad(outputs);
    int rc = ws_nn_create(&dqn->net, widths, layers, batch_max, options->seed,
                          options->kernels, err);
    if (rc == 0)
        rc = ws_nn_create(&dqn->target, widths, layers, batch_max, options->seed,
                          options->kernels, err);
    if (rc == 0 && dqn->shape.curves != 0)
        rc = make_basis(dqn, outputs, batch_max, err);
    if (rc != 0)
        return rc;
    dqn->gradient = calloc(batch_max * dqn->out_pad, sizeof(*dqn->gradient));
    dqn->goal = calloc(batch_max, sizeof(*dqn->goal));
    dqn->chosen = calloc(batch_max * dqn->shape.branch_count, sizeof(*dqn->chosen));
    dqn->factors = calloc(outputs, sizeof(*dqn->factors));
    return dqn->gradient == NULL || dqn->goal == NULL || dqn->chosen == NULL ||
                   dqn->factors == NULL
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
    dqn->decay = options->decay;
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
    free(dqn->basis);
    free(dqn->basis_turned);
    free(dqn->values);
    free(dqn->pull);
    free(dqn->gradient);
    free(dqn->goal);
    free(dqn->chosen);
    free(dqn->factors);
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

void ws_dqn_hush(struct ws_dqn *dqn)
{
    const struct ws_nn_layer *last = &dqn->net->layers[dqn->net->layer_count - 1];
    size_t count = (last->in + 1) * last->out_pad; /* weights, and biases behind them */
    memset(dqn->net->params + last->weight, 0, count * sizeof(float));
    memset(dqn->target->params + last->weight, 0, count * sizeof(float));
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

static size_t rows_of(const struct ws_dqn *dqn)
{
    return dqn->pivot_count > 0 ? dqn->pivot_count : 1;
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

/* Of each branch, e to the power of minus the advantages above their mean; of what may
 * not be, infinite. */
static void set_factors(const struct ws_dqn *dqn, const float *out,
                        const struct ws_dqn_wish *wish)
{
    const struct ws_dqn_shape *shape = &dqn->shape;
    size_t rows = rows_of(dqn), first = dqn->first;
    float pivot_mean = dqn->pivot_count > 0 ? mean_of(out + 1, rows) : 0;
    float *factors = dqn->factors, *rest = factors + rows;
    for (size_t p = 0; p < rows; p++) {
        float sum = dqn->pivot_count > 0 ? pivot_mean - out[1 + p] : 0;
        if (wish->pivot_bonus != NULL)
            sum -= wish->pivot_bonus[p];
        for (size_t d = 0; d < shape->branch_count; d++) {
            if (d != shape->pivot)
                sum += mean_of(out + first + p * dqn->row + dqn->offset[d],
                               shape->branches[d]);
        }
        factors[p] = sum;
    }
    for (size_t i = 0; i < rows * dqn->row; i++)
        rest[i] = -out[first + i] - (wish->bonus == NULL ? 0 : wish->bonus[i]);
    dqn->net->kernels->exponential(factors, rows * (1 + dqn->row));
    for (size_t d = 0; d < shape->branch_count; d++) {
        for (size_t v = 0; v < shape->branches[d]; v++) {
            if ((wish->low == NULL || v >= wish->low[d]) &&
                (wish->high == NULL || v <= wish->high[d]))
                continue;
            for (size_t p = 0; d != shape->pivot && p < rows; p++)
                rest[p * dqn->row + dqn->offset[d] + v] = INFINITY;
            if (d == shape->pivot)
                factors[v] = INFINITY;
        }
    }
}

/* The product of an action's factors. */
static float factor_of(const struct ws_dqn *dqn, const uint16_t *action)
{
    size_t rows = rows_of(dqn), pivot = pivot_of(dqn, action);
    const float *row = dqn->factors + rows + pivot * dqn->row;
    float product = dqn->factors[pivot];
    for (size_t d = 0; d < dqn->shape.branch_count; d++) {
        if (d != dqn->shape.pivot)
            product *= row[dqn->offset[d] + action[d]];
    }
    return product;
}

/* The best by network and prior; 0 where the prior has none. */
static int best_with_prior(const struct ws_dqn *dqn, uint16_t *action, float *value,
                           const float *out, const struct ws_dqn_wish *wish)
{
    size_t rows = rows_of(dqn);
    const struct ws_prior_factors factors = {dqn->factors, dqn->factors + rows, dqn->row};
    struct ws_prior_hit best = {{0}, 0}, plain = {{0}, 0};
    set_factors(dqn, out, wish);
    if (!ws_prior_best(wish->prior, &best, wish->margin > 0 ? &plain : NULL, wish->view,
                       &factors, dqn->net->kernels))
        return 0;
    plain.log_cost += logf(factor_of(dqn, plain.value));
    if (wish->margin > 0 && best.log_cost > plain.log_cost - wish->margin)
        best = plain;
    memcpy(action, best.value, dqn->shape.branch_count * sizeof(*action));
    *value = out[0] - best.log_cost;
    return 1;
}

static float best_of(const struct ws_dqn *dqn, uint16_t *action, const float *out,
                     const struct ws_dqn_wish *wish)
{
    float value = 0;
    if (wish->prior != NULL && best_with_prior(dqn, action, &value, out, wish))
        return value;
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

/* Outputs of `count` rows of the input, [count][out_pad]. */
static const float *forward(struct ws_dqn *dqn, struct ws_nn *nn, size_t count)
{
    const float *made = ws_nn_forward(nn, count);
    const struct ws_nn_layer *last = &nn->layers[nn->layer_count - 1];
    if (dqn->basis == NULL)
        return made;
    nn->kernels->multiply(dqn->values, dqn->out_pad, made, last->out_pad, 1, dqn->basis,
                          dqn->out_pad, count, dqn->out_pad, last->out, 0);
    return dqn->values;
}

static void backward(struct ws_dqn *dqn, size_t count)
{
    const struct ws_nn_layer *last = &dqn->net->layers[dqn->net->layer_count - 1];
    size_t outputs = dqn->first + rows_of(dqn) * dqn->row;
    if (dqn->basis != NULL)
        dqn->net->kernels->multiply(dqn->pull, last->out_pad, dqn->gradient, dqn->out_pad,
                                    1, dqn->basis_turned, last->out_pad, count,
                                    last->out_pad, outputs, 0);
    ws_nn_backward(dqn->net, dqn->basis != NULL ? dqn->pull : dqn->gradient, count);
}

void ws_dqn_best(struct ws_dqn *dqn, uint16_t *action, float *value, const float *state,
                 const struct ws_dqn_wish *wish)
{
    load(dqn->net, state, dqn->shape.state_count, 1);
    float best =
        best_of(dqn, action, forward(dqn, dqn->net, 1), wish == NULL ? &no_wish : wish);
    if (value != NULL)
        *value = best;
}

float ws_dqn_value(struct ws_dqn *dqn, const float *state, const uint16_t *action)
{
    load(dqn->net, state, dqn->shape.state_count, 1);
    return joint(dqn, forward(dqn, dqn->net, 1), action);
}

/* ---- training ---- */

/* What each row's value should be: the reward, and what the target network says of the
 * action that the online network would take next. */
static void set_goals(struct ws_dqn *dqn, const struct ws_dqn_batch *batch)
{
    size_t stride = dqn->out_pad, branches = dqn->shape.branch_count;
    memcpy(dqn->goal, batch->reward, batch->count * sizeof(*dqn->goal));
    if (batch->next == NULL)
        return;
    load(dqn->net, batch->next, dqn->shape.state_count, batch->count);
    const float *out = forward(dqn, dqn->net, batch->count);
    for (size_t i = 0; i < batch->count; i++)
        (void)best_of(dqn, dqn->chosen + i * branches, out + i * stride,
                      batch->wishes == NULL ? &no_wish : &batch->wishes[i]);
    load(dqn->target, batch->next, dqn->shape.state_count, batch->count);
    out = forward(dqn, dqn->target, batch->count);
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

static void forget(struct ws_dqn *dqn)
{
    const struct ws_nn_layer *last = &dqn->net->layers[dqn->net->layer_count - 1];
    float kept = 1 - dqn->decay * dqn->learning_rate;
    for (size_t i = 0; i <= last->in; i++) { /* the last row is the biases */
        float *row = dqn->net->params + last->weight + i * last->out_pad;
        for (size_t o = 1; o < last->out; o++)
            row[o] *= kept;
    }
}

float ws_dqn_train(struct ws_dqn *dqn, const struct ws_dqn_batch *batch)
{
    assert(batch->count > 0 && batch->count <= dqn->net->batch_max);
    size_t stride = dqn->out_pad, branches = dqn->shape.branch_count;
    float scale = 2 / (float)batch->count, loss = 0;
    set_goals(dqn, batch);
    load(dqn->net, batch->state, dqn->shape.state_count, batch->count);
    const float *out = forward(dqn, dqn->net, batch->count);
    memset(dqn->gradient, 0, batch->count * stride * sizeof(*dqn->gradient));
    for (size_t i = 0; i < batch->count; i++) {
        const uint16_t *action = batch->action + i * branches;
        float error = joint(dqn, out + i * stride, action) - dqn->goal[i];
        loss += error * error;
        spread(dqn, dqn->gradient + i * stride, action, scale * error);
    }
    backward(dqn, batch->count);
    ws_nn_adam(dqn->net, dqn->learning_rate);
    if (dqn->decay > 0)
        forget(dqn);
    if (batch->next != NULL)
        ws_nn_follow(dqn->target, dqn->net, dqn->follow);
    return loss / (float)batch->count;
}
