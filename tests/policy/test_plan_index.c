#include "check.h"

#include <stdlib.h>
#include <string.h>

#include "policy/make_plan.h"
#include "policy/plan_index.h"

/* What the index promises, by looking at every entry and working out the time from its
 * parts as situation.h says. Same operations in the same order, so equal to the bit. */
static struct ws_index_hit brute(const struct ws_plan *plan,
                                 const struct ws_index_options *o,
                                 const struct ws_index_query *q, int fastest)
{
    struct ws_index_hit best = {WS_NO_ENTRY, INFINITY, INFINITY};
    for (size_t i = 0; i < plan->entry_count; i++) {
        const struct ws_outcome *outcome = &plan->entries[i].outcome;
        double latency = 0, energy, edge = 0, transfer = 0, cloud = 0, accuracy = -1;
        double beside = 0;
        if (ws_outcome_get(&energy, outcome, WS_ENERGY_J) != 0)
            continue;
        assert_int_equal(ws_outcome_get(&latency, outcome, WS_LATENCY_MS), 0);
        assert_int_equal(ws_outcome_get(&edge, outcome, WS_EDGE_MS), 0);
        assert_int_equal(ws_outcome_get(&transfer, outcome, WS_TRANSFER_MS), 0);
        assert_int_equal(ws_outcome_get(&cloud, outcome, WS_CLOUD_MS), 0);
        ws_outcome_get(&beside, outcome, WS_BESIDE_MS);
        ws_outcome_get(&accuracy, outcome, WS_ACCURACY);
        if (q->min_accuracy > 0 && accuracy < q->min_accuracy)
            continue;
        double m = o->margin == NULL ? 1 : o->margin[i];
        struct ws_transfer t = ws_transfer_of(outcome, &plan->conditions);
        double sent = t.per_delay * m * q->now->delay_ms + t.at_pace * m * q->now->pace;
        double ms = (edge - beside) * m * q->now->edge_scale +
                    fmax(beside * m * q->now->edge_scale,
                         sent + cloud * m * q->now->cloud_scale) +
                    (latency - (edge - beside) - fmax(beside, transfer + cloud)) * m;
        ms += ws_switch_ms(o->switch_ms, plan->space.knob_count, q->now->current,
                           &plan->entries[i].setting);
        if (!fastest && ms > q->deadline_ms)
            continue;
        double hidden = fmax(beside - cloud, 0);
        double j = energy - o->idle_w / 1000 * fmax(transfer - hidden, 0) +
                   o->idle_w / 1000 / m * fmax(sent - hidden * m, 0);
        double first = fastest ? ms : j, second = fastest ? j : 0;
        double best_first = fastest ? best.latency_ms : best.energy_j;
        double best_second = fastest ? best.energy_j : 0;
        if (best.entry == WS_NO_ENTRY || first < best_first ||
            (first == best_first && second < best_second))
            best = (struct ws_index_hit){i, ms, j};
    }
    return best;
}

static void check_hit(struct ws_index_hit got, struct ws_index_hit want)
{
    assert_int_equal(got.entry, want.entry);
    if (want.entry == WS_NO_ENTRY)
        return;
    assert_near(got.latency_ms, want.latency_ms, 0);
    assert_near(got.energy_j, want.energy_j, 0);
}

/* One plan, many situations: link from a hundredth to twice the rate, machines from half
 * to twice as slow, a tenth of the deadlines impossible. */
static void check_plan(struct ws_rng *rng, size_t count)
{
    struct ws_plan plan;
    make_random_plan(&plan, rng, count);
    double *margin = malloc(count * sizeof(*margin));
    double switch_ms[12] = {0, 10, 154, ws_rng_below(rng, 2) ? 40.0 : 0};
    if (ws_rng_below(rng, 2)) {
        /* More knobs that cost something than the tree keeps boxes of. */
        plan.space.knob_count = 12;
        for (size_t k = 4; k < 12; k++)
            switch_ms[k] = 20 * (double)k;
        for (size_t i = 0; i < count; i++) {
            for (size_t k = 4; k < 12; k++)
                plan.entries[i].setting.value[k] = ws_rng_below(rng, 4) == 0;
        }
    }
    int has_beside = ws_rng_below(rng, 2) == 0;
    for (size_t i = 0; i < count; i++) {
        struct ws_outcome *outcome = &plan.entries[i].outcome;
        margin[i] = 1 + ws_rng_uniform(rng) / 4;
        if (has_beside && ws_rng_below(rng, 3) > 0)
            ws_outcome_set(outcome, WS_BESIDE_MS,
                           outcome->value[WS_EDGE_MS] * ws_rng_uniform(rng));
    }
    struct ws_index_options o = {
        ws_rng_below(rng, 2) ? margin : NULL,
        ws_rng_below(rng, 2) ? switch_ms : NULL,
        ws_rng_below(rng, 2) ? 5.0 : 0,
    };
    struct ws_index *index = NULL;
    assert_int_equal(ws_index_create(&index, &plan, &o, NULL), 0);
    for (int k = 0; k < 60; k++) {
        struct ws_setting current = {{0}};
        for (int v = 0; v < 4; v++)
            current.value[v] = (uint16_t)ws_rng_below(rng, 8);
        struct ws_situation now = {
            .edge_scale = 0.5 + 1.5 * ws_rng_uniform(rng),
            .cloud_scale = 0.5 + 1.5 * ws_rng_uniform(rng),
            .delay_ms = 10 * ws_rng_uniform(rng),
            .pace = exp(6 * ws_rng_uniform(rng) - 1),
            .current = ws_rng_below(rng, 2) ? &current : NULL,
        };
        struct ws_index_query q = {&now, 600 * ws_rng_uniform(rng),
                                   ws_rng_below(rng, 2) ? 0.5 + ws_rng_uniform(rng) / 2
                                                        : 0};
        if (ws_rng_below(rng, 10) == 0)
            q.deadline_ms = 0.5;
        check_hit(ws_index_cheapest(index, &q), brute(&plan, &o, &q, 0));
        check_hit(ws_index_fastest(index, &q), brute(&plan, &o, &q, 1));
    }
    ws_index_destroy(index);
    free(margin);
    free_plan(&plan);
}

static void test_index_equals_brute_force(void **state)
{
    (void)state;
    struct ws_rng rng;
    ws_rng_init(&rng, 20241123);
    static const size_t sizes[] = {1, 2, 7, 8, 9, 16, 17, 31, 100, 747, 3000};
    for (int round = 0; round < 8; round++) {
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
            check_plan(&rng, sizes[i]);
    }
}

/* Equal entries: the first of the plan, however the tree was built. */
static void test_index_ties(void **state)
{
    (void)state;
    struct plan_row rows[40];
    struct ws_plan plan;
    for (int i = 0; i < 40; i++)
        rows[i] = (struct plan_row){10, 1, 5, 3, 0.9, 1000};
    make_plan(&plan, rows, 40);
    struct ws_index *index = NULL;
    struct ws_index_options o = {0};
    assert_int_equal(ws_index_create(&index, &plan, &o, NULL), 0);
    struct ws_situation now = ws_situation_nominal(&plan.conditions);
    struct ws_index_query q = {&now, 16, 0};
    assert_int_equal(ws_index_cheapest(index, &q).entry, 0);
    assert_int_equal(ws_index_fastest(index, &q).entry, 0);
    ws_index_destroy(index);
    free_plan(&plan);
}

static void test_index_refuses_unknown_energy(void **state)
{
    (void)state;
    struct ws_plan plan;
    struct plan_row row = {10, 1, 5, 3, 0.9, 1000};
    make_plan(&plan, &row, 1);
    plan.entries[0].outcome.known &= ~(1u << WS_ENERGY_J);
    struct ws_index *index = NULL;
    struct ws_index_options o = {0};
    struct ws_error err = {0};
    assert_int_equal(ws_index_create(&index, &plan, &o, &err), WS_E_INFEASIBLE);
    assert_null(index);
    assert_non_null(strstr(err.text, "energy_j"));
    free_plan(&plan);
}

static void test_transfer_split(void **state)
{
    (void)state;
    struct ws_conditions link = {0};
    struct ws_outcome outcome = {0};
    ws_outcome_set(&outcome, WS_TRANSFER_MS, 12);
    ws_outcome_set(&outcome, WS_TENSOR_BYTES, 100000);
    /* Nothing known of the link: all of it follows the pace. */
    assert_near(ws_transfer_of(&outcome, &link).at_pace, 12, 0);
    ws_conditions_set(&link, WS_LINK_MBIT_S, 100);
    ws_conditions_set(&link, WS_LINK_DELAY_MS, 2);
    /* 100 kB at 100 Mbit/s are 8 ms, and 2 ms of delay: it took 12 instead of 10. */
    struct ws_transfer split = ws_transfer_of(&outcome, &link);
    assert_near(split.per_delay, 1.2, 1e-12);
    assert_near(split.at_pace, 9.6, 1e-12);
    struct ws_conditions now = {0};
    ws_conditions_set(&now, WS_LINK_MBIT_S, 10);
    struct ws_situation situation = ws_situation_nominal(&link);
    ws_situation_set_link(&situation, &link, &now);
    assert_near(situation.pace, 10, 1e-12);
    assert_near(situation.delay_ms, 2, 0);
    ws_outcome_set(&outcome, WS_LATENCY_MS, 12);
    assert_near(ws_situation_foresee(&situation, &outcome, &link), 98.4, 1e-9);
}

/* 20 ms of the edge, 15 of them beside 10 ms of transfer and 3 of the cloud: a slower
 * link costs nothing until it outlasts the edge, and foreseeing agrees with relinking. */
static void test_work_beside(void **state)
{
    (void)state;
    struct ws_conditions link = {0}, now = {0};
    struct ws_outcome outcome = {0};
    ws_conditions_set(&link, WS_LINK_MBIT_S, 80);
    ws_outcome_set(&outcome, WS_LATENCY_MS, 20.5);
    ws_outcome_set(&outcome, WS_EDGE_MS, 20);
    ws_outcome_set(&outcome, WS_BESIDE_MS, 15);
    ws_outcome_set(&outcome, WS_TRANSFER_MS, 10);
    ws_outcome_set(&outcome, WS_CLOUD_MS, 3);
    ws_outcome_set(&outcome, WS_TENSOR_BYTES, 100000);
    ws_outcome_set(&outcome, WS_EDGE_ENERGY_J, 1);
    static const struct {
        double mbit_s, latency_ms, energy_j;
    } rows[] = {{160, 20.5, 1}, {80, 20.5, 1}, {70, 20.5, 1}, {40, 28.5, 1.016}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ws_situation situation = ws_situation_nominal(&link);
        struct ws_outcome moved = outcome;
        ws_conditions_set(&now, WS_LINK_MBIT_S, rows[i].mbit_s);
        ws_situation_set_link(&situation, &link, &now);
        assert_near(ws_situation_foresee(&situation, &outcome, &link), rows[i].latency_ms,
                    1e-9);
        ws_outcome_relink(&moved, &link, &now, 2);
        assert_near(moved.value[WS_LATENCY_MS], rows[i].latency_ms, 1e-9);
        assert_near(moved.value[WS_EDGE_ENERGY_J], rows[i].energy_j, 1e-9);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_index_equals_brute_force),
        cmocka_unit_test(test_index_ties),
        cmocka_unit_test(test_index_refuses_unknown_energy),
        cmocka_unit_test(test_transfer_split),
        cmocka_unit_test(test_work_beside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
