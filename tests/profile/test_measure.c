/*
 * The statistics of trials over machines whose every sample is known: a rig that draws,
 * warms up, throttles, loses its meter or dies when a test says so.
 */
#include "check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "profile/measure.h"

static const char testbed_text[] =
    "{\"name\": \"fake\", \"objectives\": [\"latency_ms\", \"energy_j\"], \"knobs\": {\n"
    "  \"cut\": {\"part\": \"shared\", \"kind\": \"ordered\", \"values\": [0, 1, 2]},\n"
    "  \"edge.x\": {\"part\": \"edge\", \"kind\": \"ordered\", \"values\": [1, 2, 3]},\n"
    "  \"cloud.y\": {\"part\": \"cloud\", \"kind\": \"ordered\", \"values\": [1, 2]}}}";

struct fake {
    struct ws_rig base;
    double spread; /* of the logarithm of times */
    size_t cold;   /* samples that are slow after each apply */
    size_t since_apply;
    size_t troubles;    /* attempts that throttling spoils, from now on */
    size_t clamps;      /* likewise by a clamped clock */
    size_t gaps;        /* samples without an energy */
    size_t late;        /* samples that are late */
    size_t fails_after; /* samples until the node dies; 0: never */
    uint64_t stream;    /* other samples */
    size_t samples, applied;
    uint32_t asked; /* union of the sides that were sampled */
    double beside;  /* share of the edge's time that runs beside what is away */
};

static int fake_has(struct ws_rig *rig, const struct ws_setting *setting)
{
    (void)rig;
    (void)setting;
    return 1;
}

/* The last cut asks nobody. */
static uint32_t fake_sides(struct ws_rig *rig, const struct ws_setting *setting)
{
    (void)rig;
    return setting->value[0] == 2 ? WS_SIDES_EDGE : WS_SIDES_EDGE | WS_SIDES_AWAY;
}

static int fake_apply(struct ws_rig *rig, struct ws_executor_applied *out,
                      const struct ws_setting *setting, struct ws_error *err)
{
    struct fake *fake = (struct fake *)rig;
    (void)setting;
    (void)err;
    *out = (struct ws_executor_applied){.is_exact = 1};
    fake->applied++;
    fake->since_apply = 0;
    if (fake->clamps > 0) {
        fake->clamps--;
        out->is_exact = 0;
        (void)snprintf(out->reason, sizeof(out->reason), "edge.x is clamped: 1");
    }
    return 0;
}

static int fake_trouble(struct ws_rig *rig, char *out, size_t size)
{
    struct fake *fake = (struct fake *)rig;
    if (fake->troubles == 0 || fake->since_apply == 0)
        return 0;
    fake->troubles--;
    (void)snprintf(out, size, "cpu0 is cooled by slowing it down, step 2 of 5");
    return 1;
}

static double true_ms(int side, const struct ws_setting *setting)
{
    const double ms[] = {10.0 + 5 * setting->value[1] + 7 * setting->value[0],
                         4.0 + setting->value[0], 6.0 + 3 * setting->value[2]};
    return ms[side];
}

static int fake_sample(struct ws_rig *rig, struct ws_rig_sample *out,
                       const struct ws_setting *setting, uint32_t sides,
                       const uint64_t index[WS_SIDE_COUNT], struct ws_error *err)
{
    struct fake *fake = (struct fake *)rig;
    struct ws_rng rng;
    fake->samples++;
    fake->asked |= sides;
    if (fake->fails_after > 0 && fake->samples > fake->fails_after)
        return ws_error_set(err, WS_E_IO, "POST http://x: connection refused");
    *out = (struct ws_rig_sample){.bytes = 100};
    for (int s = 0; s < WS_SIDE_COUNT; s++) {
        if ((sides >> s & 1u) == 0)
            continue;
        ws_rng_init_stream(&rng, fake->stream + (uint64_t)s, index[s]);
        out->ms[s] = true_ms(s, setting) * exp(fake->spread * ws_rng_normal(&rng));
        if (fake->since_apply < fake->cold)
            out->ms[s] *= 3 - (double)fake->since_apply * 0.3;
        if (s != WS_SIDE_TRANSFER) {
            out->energy_j[s] = 0.01 * true_ms(s, setting);
            out->energy_known |= 1u << s;
        }
    }
    out->beside_ms = fake->beside * out->ms[WS_SIDE_EDGE];
    fake->since_apply++;
    if (fake->gaps > 0) {
        fake->gaps--;
        out->energy_known = 0;
    }
    if (fake->late > 0) {
        fake->late--;
        out->is_late = 1;
    }
    return 0;
}

static void fake_destroy(struct ws_rig *rig)
{
    (void)rig;
}

static const struct ws_rig_ops ops = {.has = fake_has,
                                      .sides = fake_sides,
                                      .apply = fake_apply,
                                      .sample = fake_sample,
                                      .trouble = fake_trouble,
                                      .destroy = fake_destroy};

struct scene {
    struct ws_testbed testbed;
    struct fake fake;
    struct ws_measure_options options;
    struct ws_measurer *measurer;
};

static int setup(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    if (scene == NULL || ws_testbed_parse(&scene->testbed, testbed_text,
                                          strlen(testbed_text), "t.json", "", NULL) != 0)
        return -1;
    scene->fake.base =
        (struct ws_rig){.ops = &ops,
                        .space = &scene->testbed.space,
                        .truth = WS_MEASURED,
                        .metered = 1u << WS_SIDE_EDGE | 1u << WS_SIDE_CLOUD,
                        .edge_idle_w = 2};
    scene->fake.spread = 0.05;
    ws_measure_defaults(&scene->options);
    scene->options.check_share = 0;
    *state = scene;
    return 0;
}

static int teardown(void **state)
{
    struct scene *scene = *state;
    ws_measurer_destroy(scene->measurer);
    ws_testbed_fini(&scene->testbed);
    free(scene);
    return 0;
}

static struct ws_study_trial run(struct scene *scene, uint16_t cut, uint16_t x,
                                 uint16_t y)
{
    const struct ws_setting setting = {.value = {cut, x, y}};
    struct ws_study_trial trial;
    if (scene->measurer == NULL)
        assert_int_equal(ws_measurer_create(&scene->measurer, &scene->fake.base,
                                            &scene->options, NULL),
                         0);
    assert_int_equal(ws_measurer_run(&trial, scene->measurer, &setting, NULL), 0);
    return trial;
}

static double value_of(const struct ws_outcome *outcome, enum ws_measure measure)
{
    double value = NAN;
    assert_int_equal(ws_outcome_get(&value, outcome, measure), 0);
    return value;
}

/* Each side once: whole, then what is new of it, then nothing. */
static void test_parts_are_measured_once(void **state)
{
    struct scene *scene = *state;
    struct ws_study_trial trial = run(scene, 1, 0, 0);
    assert_int_equal(trial.is_valid, 1);
    assert_int_equal(trial.how, WS_HOW_WHOLE);
    assert_int_equal(scene->fake.asked, 7);
    assert_near(value_of(&trial.outcome, WS_LATENCY_MS), 17 + 5 + 6, 2);
    assert_near(value_of(&trial.outcome, WS_EDGE_ENERGY_J), 0.17 + 2 * 0.011, 0.005);
    assert_near(value_of(&trial.outcome, WS_ENERGY_J),
                value_of(&trial.outcome, WS_EDGE_ENERGY_J) + 0.06, 1e-9);
    /* Another clock of the edge: it alone runs. */
    scene->fake.asked = 0;
    trial = run(scene, 1, 2, 0);
    assert_int_equal(trial.how, WS_HOW_PARTS);
    assert_int_equal(scene->fake.asked, WS_SIDES_EDGE);
    assert_near(value_of(&trial.outcome, WS_LATENCY_MS), 27 + 5 + 6, 2);
    /* Another cloud: the two away run. */
    scene->fake.asked = 0;
    trial = run(scene, 1, 0, 1);
    assert_int_equal(trial.how, WS_HOW_PARTS);
    assert_int_equal(scene->fake.asked, WS_SIDES_AWAY);
    /* All sides are known by now: no sample, not even a knob is set. */
    size_t samples = scene->fake.samples, applied = scene->fake.applied;
    trial = run(scene, 1, 2, 1);
    assert_int_equal(trial.how, WS_HOW_COMPOSED);
    assert_int_equal(scene->fake.samples, samples);
    assert_int_equal(scene->fake.applied, applied);
    assert_int_equal(trial.samples, 0);
    assert_near(value_of(&trial.outcome, WS_LATENCY_MS), 27 + 5 + 9, 2);
    assert_true(trial.latency_ci_ms > 0);
    /* The last cut has an edge and nothing else. */
    scene->fake.asked = 0;
    trial = run(scene, 2, 0, 0);
    assert_int_equal(trial.how, WS_HOW_WHOLE);
    assert_int_equal(scene->fake.asked, WS_SIDES_EDGE);
    assert_near(value_of(&trial.outcome, WS_CLOUD_MS), 0, 0);
    assert_near(value_of(&trial.outcome, WS_CLOUD_ENERGY_J), 0, 0);
}

/* Sides that run at once are never sampled apart. Half of the edge's time of 17, 22 or 27
 * ms is beside transfer and cloud, which take 11: now the one is longer, now the other,
 * and the mean of what is longer is no less than the longer mean. */
static void test_sides_at_once(void **state)
{
    struct scene *scene = *state;
    scene->fake.base.is_whole = 1;
    scene->fake.beside = 0.5;
    for (uint16_t x = 0; x < 3; x++) {
        for (int twice = 0; twice < 2; twice++) {
            scene->fake.asked = 0;
            struct ws_study_trial trial = run(scene, 1, x, 0);
            double edge = value_of(&trial.outcome, WS_EDGE_MS);
            double beside = value_of(&trial.outcome, WS_BESIDE_MS);
            double away = value_of(&trial.outcome, WS_TRANSFER_MS) +
                          value_of(&trial.outcome, WS_CLOUD_MS);
            double latency = value_of(&trial.outcome, WS_LATENCY_MS);
            assert_int_equal(trial.how, WS_HOW_WHOLE);
            assert_int_equal(scene->fake.asked, 7);
            assert_near(beside, edge / 2, 1e-9);
            assert_true(latency >= edge - beside + fmax(beside, away) - 1e-9);
            assert_near(latency, edge - beside + fmax(beside, away), 0.5);
            /* It idles only while nothing runs beside. */
            assert_near(value_of(&trial.outcome, WS_EDGE_ENERGY_J),
                        0.01 * (17 + 5 * x) + 0.002 * fmax(away - beside, 0), 1e-9);
        }
    }
}

/* Whoever asks for a tighter interval gets it, and pays. */
static void test_samples_follow_the_tolerance(void **state)
{
    const double tolerances[] = {0.1, 0.03, 0.01};
    size_t before = 0;
    for (size_t i = 0; i < 3; i++) {
        struct scene *scene = NULL;
        assert_int_equal(setup((void **)&scene), 0);
        scene->fake.spread = 0.2;
        scene->options.tolerance = tolerances[i];
        scene->options.samples_max = 2000;
        struct ws_study_trial trial = run(scene, 1, 0, 0);
        double latency = value_of(&trial.outcome, WS_LATENCY_MS);
        assert_true(trial.latency_ci_ms <= tolerances[i] * latency);
        assert_true(trial.samples > before);
        before = trial.samples;
        void *done = scene;
        assert_int_equal(teardown(&done), 0);
    }
    /* There is a cap, and the trial says how well it is known then. */
    struct scene *scene = *state;
    scene->options.tolerance = 0.0001;
    scene->options.samples_max = 30;
    struct ws_study_trial trial = run(scene, 1, 0, 0);
    assert_int_equal(trial.samples, 30);
    assert_int_equal(trial.is_valid, 1);
    assert_true(trial.latency_ci_ms > 0.0001 * value_of(&trial.outcome, WS_LATENCY_MS));
}

/* Of intervals at 95 %, about so many hold the truth; looking while sampling costs a
 * few. */
static void test_interval_holds_the_mean(void **state)
{
    enum { TRIALS = 300 };
    size_t held = 0;
    (void)state;
    for (uint64_t t = 0; t < TRIALS; t++) {
        struct scene *scene = NULL;
        assert_int_equal(setup((void **)&scene), 0);
        scene->fake.stream = 1000 * t;
        struct ws_study_trial trial = run(scene, 2, 0, 0);
        double truth = 24 * exp(0.05 * 0.05 / 2);
        held +=
            fabs(value_of(&trial.outcome, WS_LATENCY_MS) - truth) <= trial.latency_ci_ms;
        void *done = scene;
        assert_int_equal(teardown(&done), 0);
    }
    assert_true(held > TRIALS * 85 / 100);
    assert_true(held < TRIALS);
}

static void test_warm_up(void **state)
{
    struct scene *scene = *state;
    scene->fake.spread = 0.001;
    scene->fake.cold = 6;
    struct ws_study_trial trial = run(scene, 1, 0, 0);
    assert_true(trial.warmups >= 6);
    assert_near(value_of(&trial.outcome, WS_LATENCY_MS), 28, 0.1);
    /* What never gets steady is sampled in the end all the same. */
    scene->fake.cold = 9;
    scene->options.warmups_max = 3;
    ws_measurer_destroy(scene->measurer);
    scene->measurer = NULL;
    trial = run(scene, 1, 1, 0);
    assert_int_equal(trial.warmups, 3);
}

/* Attempts that the machines spoil: retried, and recorded as what they are. */
static void test_spoilt_attempts(void **state)
{
    struct scene *scene = *state;
    scene->fake.troubles = 2;
    struct ws_study_trial trial = run(scene, 1, 0, 0);
    assert_int_equal(trial.is_valid, 1);
    assert_int_equal(trial.attempts, 3);
    assert_string_equal(trial.reason, "");
    scene->fake.troubles = 3;
    trial = run(scene, 1, 1, 0);
    assert_int_equal(trial.is_valid, 0);
    assert_int_equal(trial.outcome.known, 0);
    assert_string_equal(trial.reason, "cpu0 is cooled by slowing it down, step 2 of 5");
    scene->fake.clamps = 3;
    trial = run(scene, 0, 1, 0);
    assert_int_equal(trial.is_valid, 0);
    assert_string_equal(trial.reason, "edge.x is clamped: 1");
    scene->fake.gaps = 1000;
    trial = run(scene, 0, 1, 0);
    assert_int_equal(trial.is_valid, 0);
    assert_non_null(strstr(trial.reason, "the meter had a gap"));
    scene->fake.gaps = 0;
    scene->fake.late = 1000;
    trial = run(scene, 0, 1, 0);
    assert_int_equal(trial.is_valid, 0);
    assert_true(trial.samples < 100);
    assert_non_null(strstr(trial.reason, "too slow to pass for the emulated edge"));
    /* None of that has got into the parts: the next one is measured whole. */
    scene->fake.late = 0;
    trial = run(scene, 0, 1, 0);
    assert_int_equal(trial.is_valid, 1);
    assert_int_equal(trial.how, WS_HOW_WHOLE);
    assert_near(value_of(&trial.outcome, WS_LATENCY_MS), 15 + 4 + 6, 2);
}

static void test_node_dies(void **state)
{
    struct scene *scene = *state;
    const struct ws_setting setting = {.value = {1, 0, 0}};
    struct ws_study_trial trial;
    struct ws_error err = {0};
    assert_int_equal(
        ws_measurer_create(&scene->measurer, &scene->fake.base, &scene->options, NULL),
        0);
    scene->fake.fails_after = 4;
    assert_int_equal(ws_measurer_run(&trial, scene->measurer, &setting, &err), WS_E_IO);
    assert_non_null(strstr(err.text, "connection refused"));
}

/* A checked setting tells what composing would have said. */
static void test_checks(void **state)
{
    struct scene *scene = *state;
    scene->options.check_share = 1;
    struct ws_study_trial trial = run(scene, 1, 0, 0);
    assert_int_equal(trial.composed.known, 0);
    trial = run(scene, 1, 2, 0);
    assert_int_equal(trial.how, WS_HOW_WHOLE);
    double whole = value_of(&trial.outcome, WS_LATENCY_MS);
    double composed = value_of(&trial.composed, WS_LATENCY_MS);
    assert_near(composed, whole, 0.05 * whole);
    assert_true(composed != whole);
    assert_true(ws_outcome_knows(&trial.composed, WS_ENERGY_J));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_parts_are_measured_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sides_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_samples_follow_the_tolerance, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_interval_holds_the_mean, setup, teardown),
        cmocka_unit_test_setup_teardown(test_warm_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_spoilt_attempts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_node_dies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_checks, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
