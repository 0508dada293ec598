/* What a prior says against the evaluator that it was read out of, over links, etas,
 * attentions and deadlines, for every kind of evaluator that is shipped: the cost of each
 * setting, and that no setting is better than the best. */
#include "check.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "device/modelled.h"
#include "device/parallel.h"
#include "policy/learners.h"
#include "policy/prior.h"
#include "study/recorded.h"
#include "study/testbed.h"

enum { VIEWS = 40, KEPT_VALUES = 64 };

struct source {
    struct ws_testbed testbed;
    struct ws_table table;
    struct ws_evaluator *evaluator;
    struct ws_cost cost;
    size_t pivot;
};

enum kind { PARALLEL, MODELLED, RECORDED };

static const struct shipped {
    const char *path;
    enum kind kind;
} shipped[] = {
    {"etc/testbeds/dvfo-nano/testbed.json", PARALLEL},
    {"etc/testbeds/dvfo-xavier-nx/testbed.json", PARALLEL},
    {"etc/testbeds/dvfo-tx2/testbed.json", PARALLEL},
    {"etc/testbeds/vgg16-board/testbed.json", MODELLED},
    {"etc/testbeds/digits-pi4/testbed.json", RECORDED},
    {"etc/testbeds/cifar10-share/testbed.json", RECORDED},
};

static void check(int rc, const struct ws_error *err)
{
    if (rc != 0)
        fail_msg("%s", err->text);
}

static void open_source(struct source *out, const struct shipped *which)
{
    struct ws_error err = {0};
    char path[512];
    const char *root = getenv("WS_SOURCE_ROOT");
    snprintf(path, sizeof(path), "%s/%s", root == NULL ? "." : root, which->path);
    *out = (struct source){.cost = {7, 0.75}};
    struct ws_testbed *testbed = &out->testbed;
    check(ws_testbed_load(testbed, path, &err), &err);
    if (which->kind == PARALLEL)
        check(ws_parallel_create(&out->evaluator, &testbed->space, testbed->switch_ms,
                                 testbed->model_path, NULL, &err),
              &err);
    else if (which->kind == MODELLED)
        check(ws_modelled_create(&out->evaluator, &testbed->space, testbed->switch_ms,
                                 testbed->model_path, &err),
              &err);
    else {
        check(ws_table_load(&out->table, testbed, &err), &err);
        check(ws_recorded_create(&out->evaluator, &out->table, WS_NOISE_POOLED, &err),
              &err);
    }
    out->pivot = ws_prior_pivot(&testbed->space);
}

static void close_source(struct source *source)
{
    ws_evaluator_destroy(source->evaluator);
    ws_table_fini(&source->table);
    ws_testbed_fini(&source->testbed);
}

static struct ws_view draw_view(struct ws_rng *rng)
{
    return (struct ws_view){
        .link_mbit_s = exp(log(0.3) + log(500) * ws_rng_uniform(rng)),
        .link_delay_ms = 20 * ws_rng_uniform(rng),
        .attention = 0.5 + 0.48 * ws_rng_uniform(rng),
        .edge_scale = 1,
        .power_scale = 1,
        .eta = ws_rng_uniform(rng),
        .deadline_ms = ws_rng_below(rng, 2) == 0 ? INFINITY : 400 * ws_rng_uniform(rng),
    };
}

/* By asking the evaluator. */
static double log_cost(const struct source *source, const struct ws_view *view,
                       const struct ws_setting *setting)
{
    struct ws_conditions now = {.known = 0};
    struct ws_outcome outcome;
    ws_conditions_set(&now, WS_LINK_MBIT_S, view->link_mbit_s);
    ws_conditions_set(&now, WS_LINK_DELAY_MS, view->link_delay_ms);
    ws_conditions_set(&now, WS_ATTENTION, view->attention);
    if (!ws_space_allows(&source->testbed.space, setting) ||
        !ws_evaluator_has(source->evaluator, setting))
        return INFINITY;
    assert_int_equal(
        ws_evaluator_expect(source->evaluator, &outcome, setting, &now, NULL), 0);
    return log(ws_cost_of(&source->cost, view, &outcome));
}

/* Factors of 1, or drawn ones for every value of every knob. */
struct factors {
    float pivot[KEPT_VALUES], rest[KEPT_VALUES * 4 * KEPT_VALUES];
    struct ws_prior_factors given;
};

static void draw_factors(struct factors *out, const struct source *source,
                         struct ws_rng *rng)
{
    const struct ws_space *space = &source->testbed.space;
    size_t row = 0, rows = 1;
    for (size_t k = 0; k < space->knob_count; k++) {
        if (k == source->pivot)
            rows = space->knobs[k].value_count;
        else
            row += space->knobs[k].value_count;
    }
    assert_true(rows <= KEPT_VALUES && row <= 4 * KEPT_VALUES);
    for (size_t i = 0; i < rows; i++)
        out->pivot[i] = rng == NULL ? 1 : (float)exp(0.2 * ws_rng_normal(rng));
    for (size_t i = 0; i < rows * row; i++) {
        out->rest[i] = rng == NULL ? 1 : (float)exp(0.2 * ws_rng_normal(rng));
        if (rng != NULL && ws_rng_below(rng, 10) == 0)
            out->rest[i] = INFINITY;
    }
    out->given = (struct ws_prior_factors){out->pivot, out->rest, row};
}

static double log_factor(const struct source *source, const struct factors *factors,
                         const struct ws_setting *setting)
{
    const struct ws_space *space = &source->testbed.space;
    size_t block = source->pivot == WS_NO_PIVOT ? 0 : setting->value[source->pivot];
    const float *row = factors->rest + block * factors->given.rest_stride;
    double sum = log((double)factors->pivot[block]);
    for (size_t k = 0; k < space->knob_count; k++) {
        if (k == source->pivot)
            continue;
        sum += log((double)row[setting->value[k]]);
        row += space->knobs[k].value_count;
    }
    return sum;
}

/* Every so manieth setting: a prime, so that it meets all values. */
static void check_view(const struct source *source, struct ws_prior *prior,
                       const struct ws_view *view, const struct factors *factors,
                       const struct ws_kernels *kernels)
{
    struct ws_prior_hit hit = {{0}, 0}, plain = {{0}, 0};
    struct ws_setting best = {{0}}, setting;
    uint64_t size = 0;
    assert_int_equal(ws_space_size(&size, &source->testbed.space, NULL), 0);
    assert_true(ws_prior_best(prior, &hit, &plain, view, &factors->given, kernels));
    memcpy(&best, hit.value, sizeof(best));
    double least = log_cost(source, view, &best) + log_factor(source, factors, &best);
    /* Where a deadline is as good as met, single floats may see it missed. */
    double tolerance = isfinite(view->deadline_ms) ? 0.7 : 1e-3;
    assert_near((double)hit.log_cost, least, tolerance);
    memcpy(&setting, plain.value, sizeof(setting));
    double plain_least = log_cost(source, view, &setting);
    assert_near((double)plain.log_cost, plain_least, tolerance);
    for (uint64_t i = 0; i<size; i += size> 1000 ? 31 : 1) {
        ws_setting_from_index(&setting, &source->testbed.space, i);
        double cost = log_cost(source, view, &setting);
        assert_int_equal(ws_prior_has(prior, &setting), isfinite(cost));
        if (!isfinite(cost))
            continue;
        assert_near(ws_prior_log_cost(prior, view, &setting), cost, tolerance);
        double factor = log_factor(source, factors, &setting);
        assert_true(cost + factor > least - tolerance);
        assert_true(!isfinite(factor) || cost > plain_least - tolerance);
    }
}

static void test_prior_is_the_table(void **state)
{
    static struct factors plain, drawn;
    (void)state;
    for (size_t s = 0; s < sizeof(shipped) / sizeof(shipped[0]); s++) {
        struct source source;
        struct ws_prior *prior = NULL, *again = NULL;
        struct ws_error err = {0};
        struct ws_rng rng;
        ws_rng_init_stream(&rng, 11, s);
        open_source(&source, &shipped[s]);
        check(ws_prior_create(&prior, source.evaluator, &source.cost, &err), &err);
        draw_factors(&plain, &source, NULL);
        /* Another one, out of its file. */
        struct ws_json_doc doc = {.root = ws_prior_to_json(prior), .name = NULL};
        struct ws_json root = ws_json_root(&doc);
        check(
            ws_prior_from_json(&again, &root, &source.testbed.space, &source.cost, &err),
            &err);
        json_decref(doc.root);
        for (size_t v = 0; v < VIEWS; v++) {
            const struct ws_kernels *kernels = ws_kernels_at(v % 3);
            struct ws_view view = draw_view(&rng);
            draw_factors(&drawn, &source, &rng);
            check_view(&source, v % 2 == 0 ? prior : again, &view,
                       v % 5 == 0 ? &plain : &drawn,
                       kernels == NULL ? ws_kernels_best() : kernels);
        }
        ws_prior_destroy(prior);
        ws_prior_destroy(again);
        close_source(&source);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prior_is_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
