/* Every search over one small recorded table: budgets, repeats, seeds, and plans. */
#include <stdlib.h>
#include <string.h>

#include "../study/small.h"
#include "check.h"
#include "search/search.h"
#include "study/recorded.h"

struct fixture {
    struct ws_testbed testbed;
    struct ws_table table;
    struct ws_evaluator *evaluator;
    struct ws_search_task task;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct ws_error err = {0};
    assert_non_null(f);
    assert_int_equal(ws_testbed_parse(&f->testbed, small_testbed, strlen(small_testbed),
                                      "t.json", "", &err),
                     0);
    assert_int_equal(ws_table_parse(&f->table, &f->testbed, small_table,
                                    strlen(small_table), "t.csv", &err),
                     0);
    assert_int_equal(ws_recorded_create(&f->evaluator, &f->table, WS_NOISE_POOLED, &err),
                     0);
    f->task.evaluator = f->evaluator;
    f->task.objectives[0] = WS_LATENCY_MS;
    f->task.objectives[1] = WS_ENERGY_J;
    f->task.objective_count = 2;
    f->task.budget = 4;
    f->task.seed = 3;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    ws_evaluator_destroy(f->evaluator);
    ws_table_fini(&f->table);
    ws_testbed_fini(&f->testbed);
    free(f);
    return 0;
}

static const char *const names[] = {"exhaustive", "random", "nsga3", "screen", "guided"};

static void test_search_conforms(void **state)
{
    struct fixture *f = *state;
    struct ws_error err = {0};
    for (size_t s = 0; s < sizeof(names) / sizeof(names[0]); s++) {
        const struct ws_search *search = NULL;
        assert_int_equal(ws_search_find(&search, names[s], &err), 0);
        for (size_t budget = 1; budget <= 12; budget++) {
            struct ws_trials trials = {0};
            struct ws_trials again = {0};
            f->task.budget = budget;
            assert_int_equal(ws_search_run(&trials, search, &f->task, &err), 0);
            assert_int_equal(ws_search_run(&again, search, &f->task, &err), 0);
            /* The budget, or the whole table (the screen may stop before); the same
             * twice; nothing twice. */
            if (strcmp(names[s], "screen") == 0)
                assert_in_range(trials.count, budget < 4 ? budget : 4, budget);
            else
                assert_int_equal(trials.count, budget < 7 ? budget : 7);
            assert_int_equal(again.count, trials.count);
            for (size_t i = 0; i < trials.count; i++) {
                const struct ws_setting *setting = &trials.items[i].setting;
                assert_memory_equal(setting, &again.items[i].setting, sizeof(*setting));
                assert_true(ws_evaluator_has(f->evaluator, setting));
                for (size_t k = 0; k < i; k++)
                    assert_memory_not_equal(setting, &trials.items[k].setting,
                                            sizeof(*setting));
            }
            ws_trials_fini(&trials);
            ws_trials_fini(&again);
        }
    }
    const struct ws_search *search = NULL;
    assert_int_equal(ws_search_find(&search, "clever", &err), WS_E_USAGE);
    size_t size = 0;
    assert_int_equal(ws_search_space_size(&size, f->evaluator, &err), 0);
    assert_int_equal(size, 7);
}

static void test_plan_from_trials(void **state)
{
    struct fixture *f = *state;
    struct ws_error err = {0};
    const struct ws_search *search = NULL;
    struct ws_trials trials = {0};
    struct ws_plan plan;
    f->task.budget = 100;
    f->task.reference = f->table.reference;
    assert_int_equal(ws_search_find(&search, "exhaustive", &err), 0);
    assert_int_equal(ws_search_run(&trials, search, &f->task, &err), 0);
    assert_int_equal(ws_plan_from_trials(&plan, "small", &f->task, &trials, &err), 0);
    /* (cut, khz, gpu), mean ms, mean J: 000 100 10, 001 52 21, 011 45 21, 101 70 12,
     * 111 45 14, 200 200 4, 210 100 6. Front: 111, 101, 210, 200. Kept for their parts:
     * 000 (least edge time and energy but for 010's), 001, 011 as well. */
    size_t on_front = 0;
    for (size_t i = 0; i < plan.entry_count; i++)
        on_front += plan.entries[i].on_front;
    assert_int_equal(on_front, 4);
    assert_int_equal(plan.entry_count, 7);
    assert_near(plan.conditions.value[WS_LINK_MBIT_S], 100, 0);
    ws_plan_fini(&plan);
    ws_trials_fini(&trials);
}

/* Settings given are tried before any other, each once; what the source lacks costs
 * nothing. */
static void test_given_first(void **state)
{
    struct fixture *f = *state;
    /* 1/1200/off is not in the table; 2/1200/off is there, and given twice. */
    const struct ws_setting given[] = {
        {{1, 1, 0}}, {{2, 1, 0}}, {{0, 0, 1}}, {{2, 1, 0}}};
    f->task.first = given;
    f->task.first_count = 4;
    for (size_t s = 0; s < sizeof(names) / sizeof(names[0]); s++) {
        const struct ws_search *search = NULL;
        struct ws_trials trials = {0};
        assert_int_equal(ws_search_find(&search, names[s], NULL), 0);
        f->task.budget = 7;
        assert_int_equal(ws_search_run(&trials, search, &f->task, NULL), 0);
        assert_true(trials.count >= 3 && trials.count <= 7);
        assert_memory_equal(&trials.items[0].setting, &given[1], sizeof(given[1]));
        assert_memory_equal(&trials.items[1].setting, &given[2], sizeof(given[2]));
        for (size_t i = 0; i < trials.count; i++) {
            for (size_t k = 0; k < i; k++)
                assert_memory_not_equal(&trials.items[i].setting,
                                        &trials.items[k].setting,
                                        sizeof(struct ws_setting));
        }
        ws_trials_fini(&trials);
        f->task.budget = 1;
        assert_int_equal(ws_search_run(&trials, search, &f->task, NULL), 0);
        assert_int_equal(trials.count, 1);
        ws_trials_fini(&trials);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_search_conforms, setup, teardown),
        cmocka_unit_test_setup_teardown(test_given_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_plan_from_trials, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
