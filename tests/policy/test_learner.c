/* Learners on a small machine whose best setting is known by trying all of them. */
#include "check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "policy/dvfo.h"
#include "policy/experience.h"
#include "policy/learners.h"
#include "policy/live_layer.h"
#include "policy/policies.h"

/* ---- the machine: a clock of 6 values, a share of 5, over a link ---- */

enum { CLOCKS = 6, SHARES = 5 };

static struct ws_knob_value clock_values[CLOCKS], share_values[SHARES];
static double clock_numbers[CLOCKS], share_numbers[SHARES];
static char clock_texts[CLOCKS][16], share_texts[SHARES][16];
static char clock_name[] = "edge.clock", share_name[] = "share";
static struct ws_knob knobs[2] = {
    {clock_name, WS_PART_EDGE, WS_KIND_ORDERED, clock_values, CLOCKS},
    {share_name, WS_PART_SHARED, WS_KIND_ORDERED, share_values, SHARES},
};
static const struct ws_space space = {knobs, 2, NULL, 0};

static void fill(struct ws_knob_value *value, double *number, char *text, double x)
{
    *number = x;
    snprintf(text, 16, "%g", x);
    *value = (struct ws_knob_value){text, number, 1};
}

static int group_setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < CLOCKS; i++)
        fill(&clock_values[i], &clock_numbers[i], clock_texts[i], 0.2 + 0.2 * (double)i);
    for (size_t i = 0; i < SHARES; i++)
        fill(&share_values[i], &share_numbers[i], share_texts[i], 0.25 * (double)i);
    return 0;
}

static int machine_expect(struct ws_evaluator *self, struct ws_outcome *out,
                          const struct ws_setting *setting,
                          const struct ws_conditions *now, struct ws_error *err)
{
    double clock = clock_numbers[setting->value[0]];
    double share = share_numbers[setting->value[1]], rate = 10;
    (void)self;
    (void)err;
    (void)ws_conditions_get(&rate, now, WS_LINK_MBIT_S);
    double local = 100 * (1 - share) / clock, away = share * 400 / rate;
    double latency = 10 / clock + fmax(local, away);
    *out = (struct ws_outcome){.truth = WS_MODELLED};
    ws_outcome_set(out, WS_LATENCY_MS, latency);
    ws_outcome_set(out, WS_EDGE_MS, local + 10 / clock);
    ws_outcome_set(out, WS_BESIDE_MS, local);
    ws_outcome_set(out, WS_TRANSFER_MS, away);
    ws_outcome_set(out, WS_ENERGY_J,
                   (latency + 4 * clock * clock * (local + 10 / clock)) / 1000);
    return 0;
}

#include "machine.h" /* on what stands above */

static struct ws_view view_at(double rate, double eta)
{
    return (struct ws_view){.link_mbit_s = rate,
                            .attention = 0.75,
                            .temperature_c = 40,
                            .edge_scale = 1,
                            .power_scale = 1,
                            .eta = eta,
                            .lambda = 0.5,
                            .deadline_ms = INFINITY,
                            .current = {{5, 0}}};
}

static struct ws_outcome outcome_of(const struct ws_setting *setting,
                                    const struct ws_view *view)
{
    struct ws_outcome outcome;
    struct ws_conditions now = {.known = 0};
    ws_conditions_set(&now, WS_LINK_MBIT_S, view->link_mbit_s);
    assert_int_equal(machine_expect(&machine, &outcome, setting, &now, NULL), 0);
    return outcome;
}

static struct ws_learner_task task_of(uint64_t steps)
{
    static const struct ws_setting cloud = {{5, 4}}, edge = {{5, 0}};
    return (struct ws_learner_task){.space = &space,
                                    .cost = {.max_power_w = 6},
                                    .start = edge,
                                    .cloud_only = &cloud,
                                    .edge_only = &edge,
                                    .table = &machine,
                                    .no_prior = 1,
                                    .steps = steps,
                                    .seed = 4,
                                    .gamma = 0.1};
}

/* Serves `steps` requests over links that change. */
static void school(struct ws_learner *learner, size_t steps)
{
    struct ws_rng rng;
    ws_rng_init(&rng, 21);
    struct ws_view view = view_at(10, 0.5);
    for (size_t i = 0; i < steps; i++) {
        struct ws_setting setting;
        ws_learner_choose(learner, &setting, &view, 1);
        assert_true(setting.value[0] < CLOCKS && setting.value[1] < SHARES);
        struct ws_outcome outcome = outcome_of(&setting, &view);
        struct ws_view next = view_at(exp(4 * ws_rng_uniform(&rng) - 0.5), 0.5);
        next.current = setting;
        ws_learner_observe(learner, &view, &setting, &outcome, &next);
        view = next;
    }
}

/* Mean cost over the least possible, less 1, over links and etas. */
static double regret_of(struct ws_learner *learner)
{
    double sum = 0, best_sum = 0;
    for (int r = 0; r < 8; r++) {
        struct ws_view view = view_at(exp(0.45 * r - 0.3), 0.3 + 0.05 * r);
        struct ws_setting setting;
        double best = INFINITY;
        ws_learner_choose(learner, &setting, &view, 0);
        struct ws_outcome outcome = outcome_of(&setting, &view);
        sum += ws_cost_of(&learner->task->cost, &view, &outcome);
        for (uint64_t i = 0; i < CLOCKS * SHARES; i++) {
            ws_setting_from_index(&setting, &space, i);
            outcome = outcome_of(&setting, &view);
            best = fmin(best, ws_cost_of(&learner->task->cost, &view, &outcome));
        }
        best_sum += best;
    }
    return sum / best_sum - 1;
}

/* ---- cost, memory, the table of learners ---- */

static void test_cost_of(void **state)
{
    const struct ws_cost cost = {10, 0.7};
    const struct {
        double latency, energy, accuracy, eta, deadline, expected;
    } rows[] = {
        {100, 2, 0.8, 1, INFINITY, 2},      {100, 2, 0.8, 0, INFINITY, 1},
        {100, 2, 0.8, 0.5, INFINITY, 1.5},  {100, 2, 0.8, 0.5, 99, 3},
        {100, 2, 0.68, 0.5, INFINITY, 4.5}, {INFINITY, 0, 0.8, 0, INFINITY, 600},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ws_view view = view_at(1, rows[i].eta);
        struct ws_outcome outcome = {.known = 0};
        view.deadline_ms = rows[i].deadline;
        ws_outcome_set(&outcome, WS_LATENCY_MS, rows[i].latency);
        ws_outcome_set(&outcome, WS_ENERGY_J, rows[i].energy);
        ws_outcome_set(&outcome, WS_ACCURACY, rows[i].accuracy);
        assert_near(ws_cost_of(&cost, &view, &outcome), rows[i].expected, 1e-9);
    }
}

static void test_experience_wraps(void **state)
{
    struct ws_experience experience;
    struct ws_rng rng;
    int seen[8] = {0};
    (void)state;
    ws_rng_init(&rng, 1);
    assert_int_equal(ws_experience_init(&experience, 4, NULL), 0);
    for (int i = 0; i < 7; i++) {
        struct ws_step step = {.energy_j = (float)i};
        ws_experience_add(&experience, &step);
    }
    for (int i = 0; i < 200; i++)
        seen[(int)ws_experience_draw(&experience, &rng)->energy_j]++;
    for (int i = 0; i < 7; i++)
        assert_int_equal(seen[i] > 0, i >= 3);
    ws_experience_fini(&experience);
}

static void test_find_lists_names(void **state)
{
    const struct ws_learner_ops *ops = NULL;
    struct ws_error err = {0};
    (void)state;
    assert_int_equal(ws_learner_find(&ops, "sarsa", &err), WS_E_USAGE);
    assert_non_null(strstr(err.text, "autoscale"));
    for (const struct ws_learner_ops *const *l = ws_learner_all(); *l != NULL; l++) {
        assert_int_equal(ws_learner_find(&ops, (*l)->name, NULL), 0);
        assert_ptr_equal(ops, *l);
    }
}

/* ---- learning ---- */

static void test_learners_regret(void **state)
{
    const struct {
        const char *name;
        size_t steps;
        double low, high; /* what its regret must lie between */
    } rows[] = {
        {"cloud-only", 0, 0.2, 9}, {"edge-only", 0, 0.2, 9},  {"argmin", 0, 0, 1e-9},
        {"bandit", 1500, 0, 0.4},  {"autoscale", 1500, 0, 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ws_learner_task task = task_of(rows[i].steps);
        const struct ws_learner_ops *ops = NULL;
        struct ws_learner *learner = NULL;
        assert_int_equal(ws_learner_find(&ops, rows[i].name, NULL), 0);
        assert_int_equal(ops->create(&learner, &task, NULL), 0);
        school(learner, rows[i].steps);
        double regret = regret_of(learner);
        if (regret < rows[i].low - 1e-12 || regret > rows[i].high)
            fail_msg("%s: a regret of %g", rows[i].name, regret);
        ws_learner_destroy(learner);
    }
}

/* ---- what the table foresees, and what is learnt on top of it ---- */

static struct ws_learner *with_table(const struct ws_learner_task *task)
{
    struct ws_learner *learner = NULL;
    assert_int_equal(ws_learner_dvfo.create(&learner, task, NULL), 0);
    return learner;
}

/* An agent that has learnt nothing does what the table says; one that has learnt from a
 * machine that is what the table says still does. */
static void test_dvfo_true_table(void **state)
{
    struct ws_learner_task task = task_of(1200);
    (void)state;
    task.no_prior = 0;
    struct ws_learner *learner = with_table(&task);
    assert_near(regret_of(learner), 0, 1e-6);
    school(learner, 1200);
    assert_near(regret_of(learner), 0, 0.005);
    ws_learner_destroy(learner);
}

/* Knobs that are not to be touched are not, and what must not be looked at is not. */
static void test_dvfo_with_table_leaves_alone(void **state)
{
    const int32_t fixed[] = {3, -1};
    struct ws_learner_task task = task_of(300);
    (void)state;
    task.no_prior = 0;
    task.fixed = fixed;
    task.start.value[0] = 3;
    struct ws_learner *learner = with_table(&task), *argmin = NULL;
    assert_int_equal(ws_learner_argmin.create(&argmin, &task, NULL), 0);
    for (int i = 0; i < 40; i++) {
        struct ws_view view = view_at(1 + i, 0.5);
        struct ws_setting setting;
        ws_learner_choose(learner, &setting, &view, 1);
        assert_int_equal(setting.value[0], 3);
        ws_learner_choose(argmin, &setting, &view, 0);
        assert_int_equal(setting.value[0], 3);
    }
    ws_learner_destroy(argmin);
    ws_learner_destroy(learner);
}

/* A table that lacks a clock: that is never chosen, and being told of it (a policy may
 * have fallen back on its plan) teaches nothing. */
static int lacks_highest(struct ws_evaluator *self, const struct ws_setting *setting)
{
    (void)self;
    return setting->value[0] < CLOCKS - 1;
}

static void test_live_ignores_what_the_table_lacks(void **state)
{
    const struct ws_evaluator_ops ops = {.evaluate = machine_evaluate,
                                         .expect = machine_expect,
                                         .has = lacks_highest,
                                         .destroy = machine_destroy};
    struct ws_evaluator table = {&ops, &space};
    const struct ws_dvfo_safety safety = {INFINITY, 0.5};
    struct ws_learner_task task = task_of(1);
    (void)state;
    task.no_prior = 0;
    task.table = &table;
    struct ws_learner *learner = with_table(&task);
    assert_int_equal(ws_dvfo_go_live(ws_dvfo_of(learner), &safety, NULL), 0);
    struct ws_view view = view_at(6, 0.1);
    for (int i = 0; i < 200; i++) {
        const struct ws_setting lacking = {{CLOCKS - 1, 1}};
        struct ws_setting setting;
        ws_learner_choose(learner, &setting, &view, 1);
        assert_true(setting.value[0] < CLOCKS - 1);
        struct ws_outcome outcome = outcome_of(&lacking, &view);
        ws_learner_observe(learner, &view, &lacking, &outcome, &view);
    }
    assert_int_equal(ws_dvfo_tally(ws_dvfo_of(learner)).served, 0);
    ws_learner_destroy(learner);
}

/* A machine whose two highest clocks are no faster than the third and draw twice as much:
 * live, from where the table puts it, the agent leaves them. */
static void test_live_leaves_the_table(void **state)
{
    const struct ws_dvfo_safety safety = {INFINITY, 0.1};
    struct ws_learner_task task = task_of(1);
    double late_cost = 0, table_cost = 0;
    (void)state;
    task.no_prior = 0;
    struct ws_learner *learner = with_table(&task), *argmin = NULL;
    assert_int_equal(ws_learner_argmin.create(&argmin, &task, NULL), 0);
    assert_int_equal(ws_dvfo_go_live(ws_dvfo_of(learner), &safety, NULL), 0);
    struct ws_view view = view_at(4, 0.55);
    for (int i = 0; i < 1200; i++) {
        struct ws_setting chosen[2];
        struct ws_outcome outcome[2];
        ws_learner_choose(argmin, &chosen[0], &view, 0);
        ws_learner_choose(learner, &chosen[1], &view, 1);
        for (int k = 0; k < 2; k++) {
            struct ws_setting real = chosen[k];
            if (real.value[0] > 3)
                real.value[0] = 3;
            outcome[k] = outcome_of(&real, &view);
            if (chosen[k].value[0] > 3)
                outcome[k].value[WS_ENERGY_J] *= 2;
        }
        struct ws_view next = view;
        next.current = chosen[1];
        ws_learner_observe(learner, &view, &chosen[1], &outcome[1], &next);
        table_cost += i < 900 ? 0 : ws_cost_of(&task.cost, &view, &outcome[0]);
        late_cost += i < 900 ? 0 : ws_cost_of(&task.cost, &view, &outcome[1]);
        view = next;
    }
    if (late_cost > 0.97 * table_cost)
        fail_msg("%g, and the table alone %g", late_cost, table_cost);
    ws_learner_destroy(argmin);
    ws_learner_destroy(learner);
}

static struct ws_learner *trained(struct ws_learner_task *task)
{
    struct ws_learner *learner = NULL;
    *task = task_of(1400);
    assert_int_equal(ws_learner_dvfo.create(&learner, task, NULL), 0);
    school(learner, (size_t)task->steps);
    return learner;
}

static void rewrite(const char *path, const char *from, const char *to)
{
    struct ws_buf buf;
    ws_buf_init(&buf, 0);
    assert_int_equal(ws_file_read(&buf, path, NULL), 0);
    char *at = strstr(buf.data, from);
    assert_true(at != NULL && strlen(from) == strlen(to));
    memcpy(at, to, strlen(to));
    assert_int_equal(ws_file_write(path, buf.data, buf.size, NULL), 0);
    ws_buf_fini(&buf);
}

struct broken {
    const char *from, *to;
    int code;
};

static void check_broken(const char *path, struct ws_dvfo *dvfo,
                         const struct broken *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct ws_learner *learner = NULL;
        struct ws_error err = {0};
        assert_int_equal(ws_dvfo_save(dvfo, path, NULL), 0);
        rewrite(path, rows[i].from, rows[i].to);
        assert_int_equal(ws_dvfo_load(&learner, &space, path, 1, &err), rows[i].code);
        assert_null(learner);
    }
}

static void check_broken_tables(const char *path, struct ws_dvfo *dvfo)
{
    const struct broken rows[] = {
        {"\"joules\"", "\"poules\"", WS_E_FORMAT},
        {"\"wait_kw\": [", "\"wait_kw\": 3", WS_E_FORMAT},
        {"\"accuracy_by_attention\": [\n   1.0,", "\"accuracy_by_attention\": [\n   9.0,",
         WS_E_LIMIT},
    };
    check_broken(path, dvfo, rows, sizeof(rows) / sizeof(rows[0]));
}

static void check_broken_files(const char *path, struct ws_dvfo *dvfo)
{
    const struct broken rows[] = {
        {"wattshed-agent", "wattshed-bgent", WS_E_FORMAT},
        {"edge.clock", "edge.block", WS_E_MISMATCH},
        {"\"0.25\"", "\"0.26\"", WS_E_MISMATCH},
        {"\"version\": 1", "\"version\": 2", WS_E_LIMIT},
        {"\"weights\"", "\"heights\"", WS_E_FORMAT},
        {"\"known\": [", "\"known\": 3", WS_E_FORMAT},
    };
    check_broken(path, dvfo, rows, sizeof(rows) / sizeof(rows[0]));
}

/* It learns, is the same from a file, and files that are not right are refused. */
static void test_dvfo_learns_and_keeps(void **state)
{
    struct ws_learner_task task;
    struct ws_learner *learner = trained(&task), *loaded = NULL;
    char path[] = "/tmp/ws-agent-XXXXXX";
    (void)state;
    double regret = regret_of(learner);
    if (regret > 0.12)
        fail_msg("a regret of %g", regret);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(ws_dvfo_save(ws_dvfo_of(learner), path, NULL), 0);
    assert_int_equal(ws_dvfo_load(&loaded, &space, path, 1, NULL), 0);
    assert_near(regret_of(loaded), regret, 0);
    ws_learner_destroy(loaded);
    check_broken_files(path, ws_dvfo_of(learner));
    task.no_prior = 0;
    struct ws_learner *other = with_table(&task);
    check_broken_tables(path, ws_dvfo_of(other));
    assert_int_equal(ws_dvfo_save(ws_dvfo_of(other), path, NULL), 0);
    assert_int_equal(ws_dvfo_load(&loaded, &space, path, 1, NULL), 0);
    assert_near(regret_of(loaded), 0, 1e-6);
    ws_learner_destroy(loaded);
    ws_learner_destroy(other);
    unlink(path);
    ws_learner_destroy(learner);
}

static void test_dvfo_same_seed_same_choices(void **state)
{
    struct ws_learner *pair[2];
    struct ws_learner_task task = task_of(600);
    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ws_learner_dvfo.create(&pair[i], &task, NULL), 0);
        school(pair[i], 560);
    }
    struct ws_nn *a = ws_dqn_net(ws_dvfo_dqn(ws_dvfo_of(pair[0])));
    struct ws_nn *b = ws_dqn_net(ws_dvfo_dqn(ws_dvfo_of(pair[1])));
    assert_memory_equal(a->params, b->params, a->param_count * sizeof(*a->params));
    ws_learner_destroy(pair[0]);
    ws_learner_destroy(pair[1]);
}

/* ---- live ---- */

/* What is served has been served before or is one step of one knob from what was. */
static int is_step(const struct ws_setting *a, const struct ws_setting *b)
{
    return abs(a->value[0] - b->value[0]) + abs(a->value[1] - b->value[1]) <= 1;
}

static int near_known(const struct ws_dvfo *dvfo, const struct ws_setting *setting)
{
    for (uint64_t i = 0; i < CLOCKS * SHARES; i++) {
        struct ws_setting other;
        ws_setting_from_index(&other, &space, i);
        if (ws_dvfo_knows(dvfo, &other) && is_step(setting, &other))
            return 1;
    }
    return 0;
}

static void test_live_is_safe(void **state)
{
    /* Hardly trained, so that its wishes are wild and its knowledge small. */
    struct ws_learner_task task = task_of(20);
    struct ws_learner *learner = NULL;
    const struct ws_dvfo_safety safety = {60, 0.5};
    (void)state;
    assert_int_equal(ws_learner_dvfo.create(&learner, &task, NULL), 0);
    struct ws_dvfo *dvfo = ws_dvfo_of(learner);
    assert_int_equal(ws_dvfo_go_live(dvfo, &safety, NULL), 0);
    struct ws_view view = view_at(8, 0.5);
    for (int i = 0; i < 300; i++) {
        struct ws_setting setting;
        view.temperature_c = i % 3 == 0 ? 70 : 40;
        view.link_mbit_s = 1 + i % 17;
        view.deadline_ms = i >= 200 ? 1 : INFINITY;
        uint64_t explored = ws_dvfo_tally(dvfo).explored;
        ws_learner_choose(learner, &setting, &view, 1);
        assert_true(near_known(dvfo, &setting));
        if (i % 3 == 0)
            assert_true(setting.value[0] <= view.current.value[0]);
        if (i >= 200)
            assert_int_equal(ws_dvfo_tally(dvfo).explored, explored);
        struct ws_outcome outcome = outcome_of(&setting, &view);
        struct ws_view next = view;
        next.current = setting;
        ws_learner_observe(learner, &view, &setting, &outcome, &next);
        view = next;
    }
    assert_int_equal(ws_dvfo_tally(dvfo).served, 300);
    assert_true(ws_dvfo_tally(dvfo).explored > 0);
    assert_true(ws_dvfo_tally(dvfo).vetoed > 0);
    ws_learner_destroy(learner);
}

/* A machine on which every request suddenly takes three times as long: it goes back once,
 * sees that this does not help, and goes on. */
static void test_live_goes_back(void **state)
{
    struct ws_learner_task task = task_of(20);
    struct ws_learner *learner = NULL;
    const struct ws_dvfo_safety safety = {INFINITY, 0};
    (void)state;
    assert_int_equal(ws_learner_dvfo.create(&learner, &task, NULL), 0);
    struct ws_dvfo *dvfo = ws_dvfo_of(learner);
    assert_int_equal(ws_dvfo_go_live(dvfo, &safety, NULL), 0);
    struct ws_view view = view_at(8, 0.5);
    for (int i = 0; i < 700; i++) {
        struct ws_setting setting;
        ws_learner_choose(learner, &setting, &view, 1);
        struct ws_outcome outcome = outcome_of(&setting, &view);
        if (i >= 300) {
            outcome.value[WS_LATENCY_MS] *= 3;
            outcome.value[WS_ENERGY_J] *= 3;
        }
        ws_learner_observe(learner, &view, &setting, &outcome, &view);
        if (i == 299)
            assert_int_equal(ws_dvfo_tally(dvfo).rollbacks, 0);
    }
    assert_int_equal(ws_dvfo_tally(dvfo).rollbacks, 1);
    ws_learner_destroy(learner);
}

/* As a policy: not without a file, and never a setting of which nothing is known. */
static void test_policy_needs_agent(void **state)
{
    struct ws_plan_entry entry = {.setting = {{5, 0}}};
    struct ws_plan plan = {.space = space, .entries = &entry, .entry_count = 1};
    struct ws_policy_options options = {.agent = NULL};
    struct ws_policy *policy = NULL;
    struct ws_decision decision;
    char path[] = "/tmp/ws-agent-XXXXXX";
    (void)state;
    assert_int_equal(ws_policy_dvfo.create(&policy, &plan, &options, NULL),
                     WS_E_NOT_FOUND);
    options.agent = "/nonexistent/agent.json";
    assert_int_equal(ws_policy_dvfo.create(&policy, &plan, &options, NULL), WS_E_IO);
    struct ws_learner_task task = task_of(20);
    struct ws_learner *learner = NULL;
    assert_int_equal(ws_learner_dvfo.create(&learner, &task, NULL), 0);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(ws_dvfo_save(ws_dvfo_of(learner), path, NULL), 0);
    ws_learner_destroy(learner);
    ws_outcome_set(&entry.outcome, WS_LATENCY_MS, 100);
    ws_outcome_set(&entry.outcome, WS_ENERGY_J, 1);
    ws_outcome_set(&entry.outcome, WS_ACCURACY, 0.7);
    options.agent = path;
    assert_int_equal(ws_policy_dvfo.create(&policy, &plan, &options, NULL), 0);
    struct ws_situation now = ws_situation_nominal(&plan.conditions);
    for (int i = 0; i < 20; i++) {
        /* Nothing but the start was ever served, and that is the plan's entry. */
        struct ws_policy_request request = {50 + 20 * i, 0.6, NULL, 0};
        assert_int_equal(ws_policy_decide(policy, &decision, &request, &now, NULL), 0);
        assert_int_equal(decision.entry, 0);
        ws_policy_learn(policy, &decision, &now, &entry.outcome);
    }
    struct ws_policy_request exact = {50, 0.9, NULL, 0};
    assert_int_equal(ws_policy_decide(policy, &decision, &exact, &now, NULL),
                     WS_E_INFEASIBLE);
    ws_policy_destroy(policy);
    unlink(path);
}

/* The layer finds a fault that is linear in a knob, and its bonus says the same. */
static void test_live_layer_learns(void **state)
{
    struct ws_live_layer layer;
    struct ws_rng rng;
    float pivot_bonus[SHARES], bonus[SHARES * CLOCKS];
    (void)state;
    ws_rng_init(&rng, 9);
    ws_live_layer_init(&layer, &space, 1);
    struct ws_view view = view_at(10, 0.5);
    for (int i = 0; i < 3000; i++) {
        struct ws_setting setting = {
            {(uint16_t)ws_rng_below(&rng, CLOCKS), (uint16_t)ws_rng_below(&rng, SHARES)}};
        double error = 0.2 * setting.value[0] - 0.1 * setting.value[1];
        ws_live_layer_learn(&layer, &view, &setting, error);
    }
    ws_live_layer_bonus(pivot_bonus, bonus, &layer, &view);
    struct ws_setting zero = {{0, 0}};
    double base =
        ws_live_layer_value(&layer, &view, &zero) - (double)(pivot_bonus[0] + bonus[0]);
    for (uint16_t c = 0; c < CLOCKS; c++) {
        for (uint16_t s = 0; s < SHARES; s++) {
            struct ws_setting setting = {{c, s}};
            double value = ws_live_layer_value(&layer, &view, &setting);
            assert_near(value, 0.2 * c - 0.1 * s, 0.05);
            assert_near(value, base + (double)(pivot_bonus[s] + bonus[s * CLOCKS + c]),
                        1e-5);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cost_of),
        cmocka_unit_test(test_experience_wraps),
        cmocka_unit_test(test_find_lists_names),
        cmocka_unit_test(test_learners_regret),
        cmocka_unit_test(test_dvfo_true_table),
        cmocka_unit_test(test_dvfo_with_table_leaves_alone),
        cmocka_unit_test(test_live_ignores_what_the_table_lacks),
        cmocka_unit_test(test_live_leaves_the_table),
        cmocka_unit_test(test_dvfo_learns_and_keeps),
        cmocka_unit_test(test_dvfo_same_seed_same_choices),
        cmocka_unit_test(test_live_is_safe),
        cmocka_unit_test(test_live_goes_back),
        cmocka_unit_test(test_policy_needs_agent),
        cmocka_unit_test(test_live_layer_learns),
    };
    return cmocka_run_group_tests(tests, group_setup, NULL);
}
