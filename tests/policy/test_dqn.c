/* The Q-network against PyTorch (tests/data/learner/dqn.json), with every set of kernels
 * that this machine runs, and that the same seed gives the same weights bit for bit. */
#include "check.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/rng.h"
#include "policy/dqn.h"

enum { BATCH_MAX = 64, STATES = 5, BRANCHES = 3 };

/* Ours computes in floats, the reference in doubles. */
static const double close_enough = 2e-5;

static struct ws_json member(const struct ws_json *object, const char *key)
{
    struct ws_json node;
    assert_int_equal(ws_json_member(&node, object, key, NULL), 0);
    return node;
}

static double number(const struct ws_json *object, const char *key)
{
    struct ws_json node = member(object, key);
    double value = 0;
    assert_int_equal(ws_json_double(&value, &node, -1e9, 1e9, NULL), 0);
    return value;
}

static double at(const struct ws_json *list, size_t i)
{
    struct ws_json node = ws_json_at(list, i);
    double value = 0;
    assert_int_equal(ws_json_double(&value, &node, -1e9, 1e9, NULL), 0);
    return value;
}

/* Calls `visit` for every parameter that is no padding, in the file's order. */
static void each_param(struct ws_nn *nn, float *block, const struct ws_json *list,
                       void (*visit)(float *ours, double theirs))
{
    size_t n = 0;
    for (size_t l = 0; l < nn->layer_count; l++) {
        const struct ws_nn_layer *layer = &nn->layers[l];
        for (size_t i = 0; i < layer->in; i++) {
            for (size_t o = 0; o < layer->out; o++)
                visit(&block[layer->weight + i * layer->out_pad + o], at(list, n++));
        }
        for (size_t o = 0; o < layer->out; o++)
            visit(&block[layer->bias + o], at(list, n++));
    }
    assert_int_equal(n, ws_json_count(list));
}

static void take(float *ours, double theirs)
{
    *ours = (float)theirs;
}

static void same(float *ours, double theirs)
{
    assert_near((double)*ours, theirs, close_enough);
}

static void make(struct ws_dqn **out, const struct ws_json *one,
                 const struct ws_kernels *kernels)
{
    struct ws_json hidden = member(one, "hidden"), branches = member(one, "branches");
    struct ws_json weights = member(one, "weights");
    struct ws_dqn_shape shape = {.state_count = (size_t)number(one, "states"),
                                 .branch_count = ws_json_count(&branches),
                                 .pivot = WS_NO_PIVOT};
    struct ws_dqn_options options = {.batch_max = BATCH_MAX, .kernels = kernels};
    options.learning_rate = (float)number(one, "learning_rate");
    options.follow = (float)number(one, "follow");
    assert_true(shape.state_count == STATES && shape.branch_count <= BRANCHES);
    if (number(one, "pivot") >= 0)
        shape.pivot = (size_t)number(one, "pivot");
    for (size_t d = 0; d < shape.branch_count; d++)
        shape.branches[d] = (size_t)at(&branches, d);
    for (size_t h = 0; h < ws_json_count(&hidden); h++)
        shape.hidden[h] = (size_t)at(&hidden, h);
    assert_int_equal(ws_dqn_create(out, &shape, &options, NULL), 0);
    each_param(ws_dqn_net(*out), ws_dqn_net(*out)->params, &weights, take);
    ws_nn_copy(ws_dqn_target(*out), ws_dqn_net(*out), 0);
}

struct batch {
    float state[BATCH_MAX * STATES], next[BATCH_MAX * STATES];
    float reward[BATCH_MAX], discount[BATCH_MAX];
    uint16_t action[BATCH_MAX * BRANCHES];
    struct ws_dqn_batch rows;
};

static void floats(float *out, const struct ws_json *step, const char *key, size_t count)
{
    struct ws_json list = member(step, key);
    assert_int_equal(ws_json_count(&list), count);
    for (size_t i = 0; i < count; i++)
        out[i] = (float)at(&list, i);
}

static void load(struct batch *out, const struct ws_json *step, size_t count,
                 size_t branches)
{
    struct ws_json action = member(step, "action");
    assert_true(count <= BATCH_MAX);
    floats(out->state, step, "state", count * STATES);
    floats(out->next, step, "next", count * STATES);
    floats(out->reward, step, "reward", count);
    floats(out->discount, step, "discount", count);
    for (size_t i = 0; i < count * branches; i++)
        out->action[i] = (uint16_t)at(&action, i);
    out->rows = (struct ws_dqn_batch){count,       out->state, out->action,
                                      out->reward, out->next,  out->discount};
}

/* Values of the actions taken, and the best ones, before the step. */
static void check_values(struct ws_dqn *dqn, const struct batch *batch,
                         const struct ws_json *step)
{
    struct ws_json value = member(step, "value"), best = member(step, "best");
    size_t branches = ws_dqn_shape(dqn)->branch_count;
    for (size_t i = 0; i < batch->rows.count; i++) {
        uint16_t action[BRANCHES];
        const float *state = batch->state + i * STATES;
        float most = 0;
        assert_near((double)ws_dqn_value(dqn, state, batch->action + i * branches),
                    at(&value, i), close_enough);
        ws_dqn_best(dqn, action, &most, state, NULL);
        for (size_t d = 0; d < branches; d++)
            assert_int_equal(action[d], (int)at(&best, i * branches + d));
        assert_near((double)most, (double)ws_dqn_value(dqn, state, action), close_enough);
    }
}

static void check_case(const struct ws_json *one, size_t batch_count,
                       const struct ws_kernels *kernels)
{
    struct ws_dqn *dqn = NULL;
    struct ws_json steps = member(one, "steps"), found;
    make(&dqn, one, kernels);
    for (size_t s = 0; s < ws_json_count(&steps); s++) {
        struct ws_json step = ws_json_at(&steps, s);
        struct batch batch;
        load(&batch, &step, batch_count, ws_dqn_shape(dqn)->branch_count);
        check_values(dqn, &batch, &step);
        float loss = ws_dqn_train(dqn, &batch.rows);
        assert_near((double)loss, number(&step, "loss"), 10 * close_enough);
        struct ws_nn *net = ws_dqn_net(dqn), *target = ws_dqn_target(dqn);
        if (ws_json_find(&found, &step, "gradient"))
            each_param(net, net->gradient, &found, same);
        if (ws_json_find(&found, &step, "weights"))
            each_param(net, net->params, &found, same);
        if (ws_json_find(&found, &step, "target"))
            each_param(target, target->params, &found, same);
    }
    ws_dqn_destroy(dqn);
}

static void test_against_pytorch(void **state)
{
    struct ws_json_doc doc;
    struct ws_error err = {0};
    (void)state;
    if (ws_json_load(&doc, getenv("WS_DQN_REFERENCE"), &err) != 0)
        fail_msg("%s", err.text);
    struct ws_json root = ws_json_root(&doc), cases = member(&root, "cases");
    size_t batch = (size_t)number(&root, "batch");
    for (size_t k = 0; ws_kernels_at(k) != NULL; k++) {
        for (size_t i = 0; i < ws_json_count(&cases); i++) {
            struct ws_json one = ws_json_at(&cases, i);
            check_case(&one, batch, ws_kernels_at(k));
        }
    }
    ws_json_doc_fini(&doc);
}

/* The product against the plain triple loop, over sizes that leave every remainder. */
static void test_multiply_every_size(void **state)
{
    enum { M = 19, N = 64, K = 21 };
    static float a[M * K], b[K * N], c[M * N], expected[M * N];
    struct ws_rng rng;
    (void)state;
    ws_rng_init(&rng, 3);
    for (size_t i = 0; i < M * K; i++)
        a[i] = (float)ws_rng_normal(&rng);
    for (size_t i = 0; i < K * N; i++)
        b[i] = (float)ws_rng_normal(&rng);
    for (size_t kernel = 0; ws_kernels_at(kernel) != NULL; kernel++) {
        for (size_t m = 1; m <= M; m++) {
            for (size_t n = 16; n <= N; n += 16) {
                for (int add = 0; add < 2; add++) {
                    for (size_t i = 0; i < M * N; i++)
                        c[i] = expected[i] = 0.5f;
                    for (size_t i = 0; i < m * n; i++) {
                        double sum = add ? 0.5 : 0;
                        for (size_t k = 0; k < K; k++)
                            sum += (double)a[i / n + k * M] * (double)b[k * N + i % n];
                        expected[i / n * N + i % n] = (float)sum;
                    }
                    ws_kernels_at(kernel)->multiply(c, N, a, 1, M, b, N, m, n, K, add);
                    for (size_t i = 0; i < M * N; i++)
                        assert_near((double)c[i], (double)expected[i], 1e-4);
                }
            }
        }
    }
}

/* Trains on made-up batches; returns the parameters' bytes to be freed. */
static float *trained(uint64_t seed, size_t *out_count)
{
    struct ws_dqn *dqn = NULL;
    struct ws_dqn_shape shape = {.state_count = STATES,
                                 .branch_count = 3,
                                 .branches = {4, 11, 7},
                                 .pivot = 0,
                                 .hidden = {32, 16}};
    struct ws_dqn_options options = {BATCH_MAX, 1e-3f, 0.01f, 0, seed, NULL};
    struct batch batch;
    struct ws_rng rng;
    ws_rng_init(&rng, 8);
    assert_int_equal(ws_dqn_create(&dqn, &shape, &options, NULL), 0);
    for (int step = 0; step < 20; step++) {
        for (size_t i = 0; i < BATCH_MAX; i++) {
            for (size_t k = 0; k < STATES; k++) {
                batch.state[i * STATES + k] = (float)ws_rng_normal(&rng);
                batch.next[i * STATES + k] = (float)ws_rng_normal(&rng);
            }
            for (size_t d = 0; d < 3; d++)
                batch.action[i * 3 + d] = (uint16_t)ws_rng_below(&rng, shape.branches[d]);
            batch.reward[i] = (float)ws_rng_normal(&rng);
            batch.discount[i] = 0.5f;
        }
        batch.rows = (struct ws_dqn_batch){BATCH_MAX,    batch.state, batch.action,
                                           batch.reward, batch.next,  batch.discount};
        ws_dqn_train(dqn, &batch.rows);
    }
    *out_count = ws_dqn_net(dqn)->param_count;
    float *copy = calloc(*out_count, sizeof(*copy));
    assert_non_null(copy);
    memcpy(copy, ws_dqn_net(dqn)->params, *out_count * sizeof(*copy));
    ws_dqn_destroy(dqn);
    return copy;
}

static void test_train_same_seed_same_bits(void **state)
{
    size_t count = 0;
    (void)state;
    float *first = trained(1, &count), *second = trained(1, &count);
    float *other = trained(2, &count);
    assert_memory_equal(first, second, count * sizeof(*first));
    assert_memory_not_equal(first, other, count * sizeof(*first));
    free(first);
    free(second);
    free(other);
}

/* Within bounds, the best is the best of what is left. */
static void test_best_within_bounds(void **state)
{
    struct ws_dqn *dqn = NULL;
    struct ws_dqn_shape shape = {.state_count = 2,
                                 .branch_count = 3,
                                 .branches = {3, 5, 4},
                                 .pivot = 2,
                                 .hidden = {8}};
    struct ws_dqn_options options = {1, 1e-3f, 0.01f, 0, 5, NULL};
    const uint16_t low[] = {1, 2, 1}, high[] = {1, 4, 2};
    const float seen[] = {0.4f, -1.2f};
    uint16_t action[3], most[3] = {0};
    float best = 0;
    (void)state;
    assert_int_equal(ws_dqn_create(&dqn, &shape, &options, NULL), 0);
    ws_dqn_best(dqn, action, NULL, seen, &(struct ws_dqn_wish){.low = low, .high = high});
    for (uint16_t a = low[1]; a <= high[1]; a++) {
        for (uint16_t b = low[2]; b <= high[2]; b++) {
            const uint16_t one[] = {1, a, b};
            float value = ws_dqn_value(dqn, seen, one);
            if (most[0] == 0 || value > best) {
                best = value;
                memcpy(most, one, sizeof(most));
            }
        }
    }
    assert_memory_equal(action, most, sizeof(most));
    ws_dqn_destroy(dqn);
}

/* Mean squared error of a batch without a next, by asking for each value. */
static double loss_of(struct ws_dqn *dqn, const struct ws_dqn_batch *batch)
{
    double sum = 0;
    for (size_t i = 0; i < batch->count; i++) {
        float value = ws_dqn_value(dqn, batch->state + i * 2, batch->action + i * 3);
        sum += pow((double)(value - batch->reward[i]), 2) / (double)batch->count;
    }
    return sum;
}

/* Where what is said of a branch is a curve: the gradient against small differences, and
 * the best against all that there are. */
static void test_curves(void **state)
{
    struct ws_dqn *dqn = NULL;
    const struct ws_dqn_shape shape = {.state_count = 2,
                                       .branch_count = 3,
                                       .branches = {9, 3, 6},
                                       .pivot = 2,
                                       .hidden = {8},
                                       .curves = 7};
    const struct ws_dqn_options options = {4, 0, 0.01f, 0, 5, NULL};
    const float seen[] = {0.4f, -1.2f, 0.1f, 0.9f, -0.3f, 0.2f};
    const uint16_t action[] = {8, 2, 5, 0, 1, 0, 4, 0, 3};
    const float reward[] = {0.5f, -1, 0.2f};
    const struct ws_dqn_batch batch = {3, seen, action, reward, NULL, NULL, NULL};
    uint16_t best[3];
    float most = 0;
    (void)state;
    assert_int_equal(ws_dqn_create(&dqn, &shape, &options, NULL), 0);
    assert_near((double)ws_dqn_train(dqn, &batch), loss_of(dqn, &batch), 1e-5);
    struct ws_nn *net = ws_dqn_net(dqn);
    for (size_t i = 0; i < net->param_count; i++) {
        const float step = 1e-2f, before = net->params[i];
        double told = (double)net->gradient[i];
        net->params[i] = before + step;
        double above = loss_of(dqn, &batch);
        net->params[i] = before - step;
        double below = loss_of(dqn, &batch);
        net->params[i] = before;
        /* What pads is no parameter: its gradient is 0, and so is what it does. */
        assert_near((above - below) / (2 * (double)step), told,
                    2e-2 * fmax(1, fabs(told)));
    }
    ws_dqn_best(dqn, best, &most, seen, NULL);
    assert_near((double)ws_dqn_value(dqn, seen, best), (double)most, 1e-5);
    for (uint16_t i = 0; i < 9 * 3 * 6; i++) {
        const uint16_t one[] = {i / 18, i / 6 % 3, i % 6};
        assert_true(ws_dqn_value(dqn, seen, one) <= most + 1e-5f);
    }
    /* It says no more of nine values than a parabola can. */
    float values[9];
    for (uint16_t v = 0; v < 9; v++)
        values[v] = ws_dqn_value(dqn, seen, (const uint16_t[]){v, 1, 2});
    for (size_t v = 0; v + 3 < 9; v++)
        assert_near(
            (double)(values[v + 3] - 3 * values[v + 2] + 3 * values[v + 1] - values[v]),
            0, 1e-5);
    ws_dqn_destroy(dqn);
}

static void test_create_refuses(void **state)
{
    struct ws_dqn *dqn = NULL;
    struct ws_error err = {0};
    const struct ws_dqn_options options = {8, 1e-3f, 0.01f, 0, 1, NULL};
    const struct ws_dqn_options no_batch = {0, 1e-3f, 0.01f, 0, 1, NULL};
    const struct ws_dqn_shape good = {2, 1, {3}, WS_NO_PIVOT, {4}};
    const struct {
        struct ws_dqn_shape shape;
        const struct ws_dqn_options *options;
        int code;
    } rows[] = {
        {{2, 0, {3}, WS_NO_PIVOT, {4}}, &options, WS_E_LIMIT},
        {{2, WS_DQN_BRANCHES_MAX + 1, {3}, WS_NO_PIVOT, {4}}, &options, WS_E_LIMIT},
        {{2, 2, {3, 0}, WS_NO_PIVOT, {4}}, &options, WS_E_LIMIT},
        {{2, 1, {3}, 1, {4}}, &options, WS_E_USAGE},
        {{0, 1, {3}, WS_NO_PIVOT, {4}}, &options, WS_E_LIMIT},
        {{2, 1, {3}, WS_NO_PIVOT, {WS_NN_WIDTH_MAX + 1}}, &options, WS_E_LIMIT},
        {good, &no_batch, WS_E_LIMIT},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(ws_dqn_create(&dqn, &rows[i].shape, rows[i].options, &err),
                         rows[i].code);
        assert_null(dqn);
    }
    assert_int_equal(ws_dqn_create(&dqn, &good, &options, NULL), 0);
    ws_dqn_destroy(dqn);
    ws_dqn_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_pytorch),
        cmocka_unit_test(test_multiply_every_size),
        cmocka_unit_test(test_train_same_seed_same_bits),
        cmocka_unit_test(test_best_within_bounds),
        cmocka_unit_test(test_curves),
        cmocka_unit_test(test_create_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
