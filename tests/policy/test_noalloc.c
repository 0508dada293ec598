/*
 * Deciding and learning allocate nothing: the linker sends every allocation of this
 * program through counters.
 */
#include "check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/dvfo.h"
#include "policy/learners.h"
#include "policy/make_plan.h"
#include "policy/policy.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

static size_t allocations;

void *__wrap_malloc(size_t size)
{
    allocations++;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    allocations++;
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    allocations++;
    return __real_realloc(old, size);
}

/* An agent wants knobs with names and values, which the plan's do without. */
static void name_knobs(struct ws_plan *plan)
{
    enum { VALUES = 8 }; /* as the plan's maker draws them */
    static char names[WS_KNOBS_MAX][2], text[] = "value";
    static struct ws_knob_value values[VALUES];
    for (size_t i = 0; i < VALUES; i++)
        values[i] = (struct ws_knob_value){text, NULL, 0};
    for (size_t k = 0; k < plan->space.knob_count; k++) {
        names[k][0] = (char)(97 + k);
        plan->space.knobs[k] = (struct ws_knob){.name = names[k], .values = values};
        for (size_t i = 0; i < plan->entry_count; i++) {
            size_t count = plan->entries[i].setting.value[k] + (size_t)1;
            assert_true(count <= VALUES);
            if (count > plan->space.knobs[k].value_count)
                plan->space.knobs[k].value_count = count;
        }
    }
}

static int table_expect(struct ws_evaluator *table, struct ws_outcome *out,
                        const struct ws_setting *setting, const struct ws_conditions *now,
                        struct ws_error *err)
{
    (void)table;
    (void)now;
    (void)err;
    *out = (struct ws_outcome){.truth = WS_MODELLED};
    ws_outcome_set(out, WS_LATENCY_MS, 10 + setting->value[0]);
    ws_outcome_set(out, WS_ENERGY_J, 9 - setting->value[0]);
    return 0;
}

static const struct ws_evaluator_ops table_ops = {.expect = table_expect};

/* The file of an agent that knows the plan's knobs and a table, and has learnt nothing.
 */
static void save_agent(const char *path, const struct ws_plan *plan)
{
    struct ws_evaluator table = {&table_ops, &plan->space};
    const struct ws_learner_task task = {.space = &plan->space,
                                         .cost = {10, 0},
                                         .start = plan->entries[0].setting,
                                         .table = &table};
    struct ws_learner *learner = NULL;
    assert_int_equal(ws_learner_dvfo.create(&learner, &task, NULL), 0);
    assert_int_equal(ws_dvfo_save(ws_dvfo_of(learner), path, NULL), 0);
    ws_learner_destroy(learner);
}

static void test_decide_allocates_nothing(void **state)
{
    (void)state;
    struct ws_plan plan;
    struct ws_rng rng;
    ws_rng_init(&rng, 4);
    make_random_plan(&plan, &rng, 2000);
    for (size_t i = 0; i < plan.entry_count; i++)
        ws_outcome_set(&plan.entries[i].outcome, WS_TENSOR_BYTES, (double)(3000 - i));
    static const double switch_ms[4] = {1, 2, 3, 4}, ratios[] = {0.9, 1, 1.1};
    struct ws_policy_options options = {
        .guard = 0.9,
        .cloud_only = &plan.entries[0].setting,
        .edge_only = &plan.entries[1].setting,
        .profile = plan.entries,
        .profile_count = 20,
        .pooled = {ratios, 3},
        .switch_ms = switch_ms,
    };
    name_knobs(&plan);
    char path[] = "/tmp/ws-agent-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    save_agent(path, &plan);
    options.agent = path;
    for (const struct ws_policy_ops *const *ops = ws_policy_all(); *ops != NULL; ops++) {
        struct ws_policy *policy = NULL;
        allocations = 0;
        assert_int_equal((*ops)->create(&policy, &plan, &options, NULL), 0);
        assert_true(allocations > 0); /* the counters count */
        size_t before = allocations;
        for (int k = 0; k < 300; k++) {
            const double behind[] = {100, 400};
            struct ws_decision decision;
            struct ws_policy_request request = {
                k % 10 == 0 ? 0.1 : 600 * ws_rng_uniform(&rng),
                k % 3 == 0 ? ws_rng_uniform(&rng) : 0, behind, (size_t)(k % 3)};
            struct ws_situation now = ws_situation_nominal(&plan.conditions);
            now.pace = 0.5 + 10 * ws_rng_uniform(&rng);
            now.current = &plan.entries[ws_rng_below(&rng, 2000)].setting;
            if (ws_policy_decide(policy, &decision, &request, &now, NULL) != 0)
                continue;
            struct ws_outcome outcome = {0};
            ws_outcome_set(&outcome, WS_LATENCY_MS, 1000 * ws_rng_uniform(&rng));
            ws_outcome_set(&outcome, WS_ENERGY_J, 1 + ws_rng_uniform(&rng));
            ws_policy_learn(policy, &decision, &now, &outcome);
        }
        assert_int_equal(allocations, before);
        ws_policy_destroy(policy);
    }
    unlink(path);
    free_plan(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decide_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
