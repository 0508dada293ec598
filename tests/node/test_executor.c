#include "check.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "net/listen.h"
#include "net/shaper.h"
#include "scene.h"
#include "split/executor.h"
#include "study/testbed.h"

enum { TEXT_MAX = 2048 };

/* An executor over a space written as JSON. */
struct rig {
    struct ws_testbed testbed;
    struct ws_executor *executor;
};

static int rig_init_on(struct rig *rig, const struct scene *scene, const char *second,
                       const struct ws_board *board, const char *knobs,
                       struct ws_error *err)
{
    char text[TEXT_MAX];
    const struct ws_executor_variant variants[] = {
        {.name = "base", .path = scene->model},
        {.name = "other", .path = second, .model_name = "digits"},
    };
    const struct ws_executor_options options = {
        .space = &rig->testbed.space,
        .variants = variants,
        .variant_count = second != NULL ? 2 : 1,
        .engine = {.threads = 2},
        .splitter = {.level = WS_LEVEL_ALL},
        .board = board,
    };
    *rig = (struct rig){0};
    (void)snprintf(text, sizeof(text),
                   "{\"name\": \"t\", \"objectives\": [\"latency_ms\"], \"knobs\": {%s}}",
                   knobs);
    assert_int_equal(
        ws_testbed_parse(&rig->testbed, text, strlen(text), "t.json", "", NULL), 0);
    return ws_executor_create(&rig->executor, &options, err);
}

static int rig_init(struct rig *rig, const struct scene *scene, const char *second,
                    const char *knobs, struct ws_error *err)
{
    return rig_init_on(rig, scene, second, NULL, knobs, err);
}

static void rig_fini(struct rig *rig)
{
    ws_executor_destroy(rig->executor);
    ws_testbed_fini(&rig->testbed);
}

#define KNOB(name, values)                                                               \
    "\"" name "\": {\"part\": \"shared\", \"kind\": \"nominal\", \"values\": [" values   \
    "]}"

/* The natural cuts of the shipped model as a knob, and codecs. */
static void cuts_and_codecs(char out[static TEXT_MAX], const struct scene *scene)
{
    const struct ws_cuts *cuts = ws_splitter_cuts(scene->splitter);
    char list[TEXT_MAX / 2] = "0";
    for (size_t c = 1; c < cuts->count; c++) {
        size_t used = strlen(list);
        if (cuts->cuts[c].natural == WS_NATURAL_YES)
            (void)snprintf(list + used, sizeof(list) - used, ", %zu", c);
    }
    (void)snprintf(out, TEXT_MAX,
                   "\"cut\": {\"part\": \"shared\", \"kind\": \"ordered\", "
                   "\"values\": [%s]}, %s",
                   list, KNOB("codec", "\"none\", \"fp16\", \"int8\""));
}

static struct ws_datum input_datum(struct ws_tensor *tensor, uint64_t seed)
{
    *tensor = scene_input(1, seed);
    return (struct ws_datum){.kind = WS_DATUM_TENSOR, .tensor = *tensor};
}

static void assert_answer(struct ws_flight *flight, const struct ws_tensor *expected)
{
    size_t count = 0;
    const struct ws_datum *outputs = ws_flight_outputs(flight, &count);
    assert_int_equal(ws_flight_is_done(flight), 1);
    assert_int_equal(count, 1);
    assert_int_equal(outputs[0].tensor.size_bytes, expected->size_bytes);
    assert_memory_equal(outputs[0].tensor.data, expected->data, expected->size_bytes);
}

/* The parts of what a flight came to add up. */
static void assert_adds_up(struct ws_flight *flight, int was_away)
{
    struct ws_outcome outcome;
    ws_flight_outcome(&outcome, flight);
    assert_int_equal(outcome.truth, WS_MEASURED);
    assert_true(ws_outcome_knows(&outcome, WS_CLOUD_MS));
    assert_near(outcome.value[WS_LATENCY_MS],
                outcome.value[WS_EDGE_MS] + outcome.value[WS_TRANSFER_MS] +
                    outcome.value[WS_CLOUD_MS],
                1e-9);
    assert_int_equal(outcome.value[WS_CLOUD_MS] > 0, was_away);
    assert_int_equal(outcome.value[WS_TENSOR_BYTES] > 0, was_away);
    /* There is no meter: the edge's energy and the total are unknown, and not 0. */
    assert_false(ws_outcome_knows(&outcome, WS_EDGE_ENERGY_J));
    assert_false(ws_outcome_knows(&outcome, WS_ENERGY_J));
}

static void test_every_setting(void **state)
{
    const struct scene *scene = *state;
    char knobs[TEXT_MAX];
    struct rig rig;
    struct ws_tensor tensor;
    uint64_t size = 0;
    cuts_and_codecs(knobs, scene);
    assert_int_equal(rig_init(&rig, scene, NULL, knobs, NULL), 0);
    const struct ws_datum input = input_datum(&tensor, 5);
    assert_int_equal(ws_space_size(&size, &rig.testbed.space, NULL), 0);
    assert_true(size > 30);
    for (uint64_t s = 0; s < size; s++) {
        struct ws_setting setting;
        struct ws_executor_place place;
        struct ws_executor_applied applied;
        struct ws_flight *flight = NULL;
        ws_setting_from_index(&setting, &rig.testbed.space, s);
        assert_int_equal(ws_executor_has(rig.executor, &setting), 1);
        assert_int_equal(ws_executor_locate(&place, rig.executor, &setting, NULL), 0);
        assert_int_equal(ws_executor_apply(&applied, rig.executor, &setting, NULL), 0);
        assert_int_equal(applied.is_exact, 1);
        assert_int_equal(ws_executor_head(&flight, rig.executor, &setting, &input, NULL),
                         0);
        assert_int_equal(ws_flight_is_done(flight), !place.has_tail);
        /* Every other one is finished here. */
        if (place.has_tail)
            assert_int_equal(s % 2 == 0 ? ws_executor_remote(flight, scene->url, 0, NULL)
                                        : ws_executor_local(flight, NULL),
                             0);
        struct ws_tensor expected =
            scene_expected(scene, place.head_cut, (int)place.codec, &tensor);
        assert_answer(flight, &expected);
        assert_adds_up(flight, place.has_tail && s % 2 == 0);
        /* Whoever comes too late is told so. */
        assert_int_equal(ws_executor_local(flight, NULL), WS_E_END);
        ws_tensor_fini(&expected);
        ws_flight_destroy(flight);
    }
    ws_tensor_fini(&tensor);
    rig_fini(&rig);
}

/* A node that is not there: the tensors stay in hand. */
static void test_failed_then_elsewhere(void **state)
{
    const struct scene *scene = *state;
    struct rig rig;
    struct ws_tensor tensor;
    struct ws_listen listen;
    char gone[80];
    struct ws_error err = {0};
    const struct ws_setting setting = {0};
    assert_int_equal(rig_init(&rig, scene, NULL, KNOB("cut", "17"), NULL), 0);
    assert_int_equal(ws_listen_open(&listen, "127.0.0.1:0", 1, NULL), 0);
    (void)snprintf(gone, sizeof(gone), "http://%s", listen.text);
    ws_listen_close(&listen);
    const struct ws_datum input = input_datum(&tensor, 6);
    struct ws_tensor expected = scene_expected(scene, 17, WS_CODEC_NONE, &tensor);
    for (int here = 0; here <= 1; here++) {
        struct ws_flight *flight = NULL;
        struct ws_outcome outcome;
        assert_int_equal(ws_executor_head(&flight, rig.executor, &setting, &input, NULL),
                         0);
        assert_int_equal(ws_executor_remote(flight, gone, 1000, &err), WS_E_IO);
        assert_non_null(strstr(err.text, gone));
        assert_int_equal(ws_flight_is_done(flight), 0);
        assert_int_equal(here ? ws_executor_local(flight, NULL)
                              : ws_executor_remote(flight, scene->url, 0, NULL),
                         0);
        assert_answer(flight, &expected);
        ws_flight_outcome(&outcome, flight);
        assert_true(outcome.value[WS_TRANSFER_MS] > 0);
        assert_int_equal(outcome.value[WS_CLOUD_MS] > 0, !here);
        ws_flight_destroy(flight);
    }
    ws_tensor_fini(&expected);
    ws_tensor_fini(&tensor);
    rig_fini(&rig);
}

struct
try {
    pthread_t thread;
    struct ws_flight *flight;
    const char *url;
    int rc;
};

static void *try_remote(void *user)
{
    struct try *try = user;
    try->rc = ws_executor_remote(try->flight, try->url, 0, NULL);
    return NULL;
}

static void test_first_answer_counts(void **state)
{
    enum { TRIES = 4, ROUNDS = 8 };
    const struct scene *scene = *state;
    struct rig rig;
    struct ws_tensor tensor;
    const struct ws_setting setting = {0};
    assert_int_equal(rig_init(&rig, scene, NULL, KNOB("cut", "17"), NULL), 0);
    const struct ws_datum input = input_datum(&tensor, 7);
    struct ws_tensor expected = scene_expected(scene, 17, WS_CODEC_NONE, &tensor);
    for (int r = 0; r < ROUNDS; r++) {
        struct ws_flight *flight = NULL;
        struct try tries[TRIES];
        int won = 0;
        assert_int_equal(ws_executor_head(&flight, rig.executor, &setting, &input, NULL),
                         0);
        for (int t = 0; t < TRIES; t++) {
            tries[t] = (struct try){.flight = flight, .url = scene->url};
            assert_int_equal(
                pthread_create(&tries[t].thread, NULL, try_remote, &tries[t]), 0);
        }
        for (int t = 0; t < TRIES; t++) {
            assert_int_equal(pthread_join(tries[t].thread, NULL), 0);
            assert_true(tries[t].rc == 0 || tries[t].rc == WS_E_END);
            won += tries[t].rc == 0;
        }
        assert_int_equal(won, 1);
        assert_answer(flight, &expected);
        ws_flight_destroy(flight);
    }
    ws_tensor_fini(&expected);
    ws_tensor_fini(&tensor);
    rig_fini(&rig);
}

/* A node that accepts and says nothing is not waited for once somebody else has answered:
 * without that this test would take minutes. */
static void test_loser_is_stopped(void **state)
{
    const struct scene *scene = *state;
    struct rig rig;
    struct ws_tensor tensor;
    struct ws_listen listen;
    struct ws_flight *flight = NULL;
    char silent[80];
    const struct ws_setting setting = {0};
    assert_int_equal(rig_init(&rig, scene, NULL, KNOB("cut", "17"), NULL), 0);
    assert_int_equal(ws_listen_open(&listen, "127.0.0.1:0", 1, NULL), 0);
    (void)snprintf(silent, sizeof(silent), "http://%s", listen.text);
    const struct ws_datum input = input_datum(&tensor, 8);
    struct ws_tensor expected = scene_expected(scene, 17, WS_CODEC_NONE, &tensor);
    assert_int_equal(ws_executor_head(&flight, rig.executor, &setting, &input, NULL), 0);
    struct try loser = {.flight = flight, .url = silent};
    assert_int_equal(pthread_create(&loser.thread, NULL, try_remote, &loser), 0);
    ws_clock_sleep_until(ws_clock_now_ns() + 50000000);
    int64_t start = ws_clock_now_ns();
    assert_int_equal(ws_executor_remote(flight, scene->url, 0, NULL), 0);
    assert_int_equal(pthread_join(loser.thread, NULL), 0);
    assert_int_equal(loser.rc, WS_E_END);
    assert_true(ws_clock_now_ns() - start < 60000000000);
    assert_answer(flight, &expected);
    struct ws_outcome outcome;
    ws_flight_outcome(&outcome, flight);
    assert_true(outcome.value[WS_CLOUD_MS] > 0);
    ws_flight_destroy(flight);
    ws_listen_close(&listen);
    ws_tensor_fini(&expected);
    ws_tensor_fini(&tensor);
    rig_fini(&rig);
}

/* After warming no request opens a connection or asks about a model: one comes in by way
 * of this link, and every request is but one exchange. */
static void test_warm(void **state)
{
    const struct scene *scene = *state;
    struct rig rig;
    struct ws_tensor tensor;
    struct ws_shaper *link = NULL;
    struct ws_shaper_count before, after;
    char url[80];
    const struct ws_shaper_options options = {.listen = "127.0.0.1:0",
                                              .target = strstr(scene->url, "//") + 2};
    assert_int_equal(rig_init(&rig, scene, NULL, KNOB("cut", "17, 39, 58"), NULL), 0);
    for (uint16_t cut = 0; cut < 3; cut++) {
        const struct ws_setting setting = {.value = {cut}};
        assert_int_equal(ws_executor_prepare(rig.executor, &setting, 0, NULL), 0);
    }
    assert_int_equal(ws_executor_warm(rig.executor, "http://127.0.0.1:9", 1000, NULL),
                     WS_E_IO);
    assert_int_equal(ws_shaper_start(&link, &options, NULL), 0);
    (void)snprintf(url, sizeof(url), "http://%s", ws_shaper_address(link));
    for (int again = 0; again < 2; again++)
        assert_int_equal(ws_executor_warm(rig.executor, url, 60000, NULL), 0);
    const struct ws_datum input = input_datum(&tensor, 5);
    ws_shaper_count(&before, link);
    assert_int_equal(before.connections, 1);
    for (uint16_t cut = 0; cut < 2; cut++) {
        const struct ws_setting setting = {.value = {cut}};
        struct ws_flight *flight = NULL;
        assert_int_equal(ws_executor_head(&flight, rig.executor, &setting, &input, NULL),
                         0);
        assert_int_equal(ws_executor_remote(flight, url, 0, NULL), 0);
        ws_flight_destroy(flight);
    }
    ws_shaper_count(&after, link);
    assert_int_equal(after.connections, 1);
    /* Two heads' tensors, 4608 and 1152 bytes, and two headers. */
    assert_in_range(after.up_bytes - before.up_bytes, 5760, 5760 + 2 * 1000);
    rig_fini(&rig);
    ws_shaper_stop(link);
    ws_tensor_fini(&tensor);
}

/* Head of one variant, tail of another: the same model under two names goes together, a
 * stranger only at the ends. */
static void test_variants(void **state)
{
    const struct scene *scene = *state;
    char stranger[600];
    struct rig rig;
    const char *knobs = KNOB("cut", "0, 17, 58") ", " KNOB(
        "head.variant",
        "\"base\", \"other\"") ", " KNOB("tail.variant",
                                         "\"base\", \"other\"") ", " KNOB("edge.threads",
                                                                          "1, 2");
    struct ws_tensor tensor;
    const struct ws_datum input = input_datum(&tensor, 8);
    const struct ws_setting mixed = {.value = {1, 1, 0, 1}};
    struct ws_flight *flight = NULL;
    assert_int_equal(rig_init(&rig, scene, scene->model, knobs, NULL), 0);
    struct ws_tensor expected = scene_expected(scene, 17, WS_CODEC_NONE, &tensor);
    assert_int_equal(ws_executor_has(rig.executor, &mixed), 1);
    assert_int_equal(ws_executor_prepare(rig.executor, &mixed, 1, NULL), 0);
    assert_int_equal(ws_executor_head(&flight, rig.executor, &mixed, &input, NULL), 0);
    assert_int_equal(ws_executor_remote(flight, scene->url, 0, NULL), 0);
    assert_answer(flight, &expected);
    ws_flight_destroy(flight);
    ws_tensor_fini(&expected);
    ws_tensor_fini(&tensor);
    rig_fini(&rig);
    (void)snprintf(stranger, sizeof(stranger), "%s/fuzz/corpus/onnx/residual.onnx",
                   getenv("WS_SOURCE_ROOT"));
    assert_int_equal(rig_init(&rig, scene, stranger, knobs, NULL), 0);
    assert_int_equal(ws_executor_has(rig.executor, &mixed), 0);
    assert_int_equal(ws_executor_has(rig.executor, &(struct ws_setting){{1, 0, 0, 0}}),
                     1);
    /* At the last cut the head is all there is, whatever the tail's knob says. */
    assert_int_equal(ws_executor_has(rig.executor, &(struct ws_setting){{2, 1, 0, 0}}),
                     1);
    rig_fini(&rig);
}

/* Threads and spinning are knobs of the runtime: the answer is the same under each. */
static void test_engine_knobs(void **state)
{
    const struct scene *scene = *state;
    struct rig rig;
    struct ws_tensor tensor;
    const struct ws_datum input = input_datum(&tensor, 11);
    const char *knobs = KNOB("cut", "17") ", " KNOB("edge.threads", "1, 2") ", " KNOB(
        "edge.spinning", "\"off\", \"on\"");
    struct ws_tensor expected = scene_expected(scene, 17, WS_CODEC_NONE, &tensor);
    uint64_t size = 0;
    assert_int_equal(rig_init(&rig, scene, NULL, knobs, NULL), 0);
    assert_int_equal(ws_space_size(&size, &rig.testbed.space, NULL), 0);
    assert_int_equal(size, 4);
    for (uint64_t s = 0; s < size; s++) {
        struct ws_setting setting;
        struct ws_flight *flight = NULL;
        ws_setting_from_index(&setting, &rig.testbed.space, s);
        assert_int_equal(ws_executor_head(&flight, rig.executor, &setting, &input, NULL),
                         0);
        assert_int_equal(ws_executor_local(flight, NULL), 0);
        assert_answer(flight, &expected);
        ws_flight_destroy(flight);
    }
    ws_tensor_fini(&expected);
    ws_tensor_fini(&tensor);
    rig_fini(&rig);
}

/* An edge that is not here: its time and energy, and what it draws while it waits. */
static void test_emulated_edge(void **state)
{
    const struct scene *scene = *state;
    char path[600];
    struct ws_board *board = NULL;
    struct rig rig;
    struct ws_tensor tensor;
    struct ws_error err = {0};
    struct ws_executor_applied applied;
    const struct ws_datum input = input_datum(&tensor, 9);
    const char *knobs = KNOB("cut", "17, 58") ", " KNOB(
        "edge.cpu_khz", "600000, 1800000") ", " KNOB("edge.accelerator", "\"off\"");
    (void)snprintf(path, sizeof(path), "%s/etc/devices/rpi4-coral/board.json",
                   getenv("WS_SOURCE_ROOT"));
    assert_int_equal(ws_board_load(&board, path, NULL), 0);
    assert_int_equal(rig_init_on(&rig, scene, NULL, board, knobs, NULL), 0);
    for (uint16_t clock = 0; clock < 2; clock++) {
        const struct ws_setting setting = {.value = {0, clock}};
        struct ws_flight *flight = NULL;
        struct ws_outcome here, away;
        double head_j = 0;
        assert_int_equal(ws_executor_apply(&applied, rig.executor, &setting, NULL), 0);
        /* Power to the accelerator goes off once; a clock takes a millisecond. */
        assert_true(clock == 0 ? applied.switch_ms > 2000 : applied.switch_ms == 1);
        assert_int_equal(ws_executor_head(&flight, rig.executor, &setting, &input, NULL),
                         0);
        assert_true(ws_flight_head_ms(flight) > 57);
        assert_int_equal(ws_flight_head_energy(&head_j, flight, NULL), 0);
        assert_true(head_j > 0.1 && head_j < 2);
        assert_int_equal(ws_executor_remote(flight, scene->url, 0, NULL), 0);
        ws_flight_outcome(&away, flight);
        assert_int_equal(away.truth, WS_MODELLED);
        /* The node says nothing of its energy. */
        assert_false(ws_outcome_knows(&away, WS_ENERGY_J));
        assert_near(away.value[WS_EDGE_ENERGY_J],
                    head_j + ws_board_idle_w(board) *
                                 (away.value[WS_TRANSFER_MS] + away.value[WS_CLOUD_MS]) /
                                 1000,
                    1e-6);
        ws_executor_again(flight);
        assert_int_equal(ws_flight_is_done(flight), 0);
        assert_int_equal(ws_executor_local(flight, NULL), 0);
        ws_flight_outcome(&here, flight);
        assert_true(here.value[WS_EDGE_MS] > ws_flight_head_ms(flight) + 57);
        assert_true(here.value[WS_EDGE_ENERGY_J] > head_j);
        assert_near(here.value[WS_ENERGY_J], here.value[WS_EDGE_ENERGY_J], 1e-12);
        ws_flight_destroy(flight);
    }
    /* Work counts for each picture of a batch, a run's fixed 57.78 ms once; the least of
     * several times, for a machine that is busy wakes late. */
    const struct ws_setting setting = {.value = {0, 1}};
    double head_ms[2] = {INFINITY, INFINITY};
    for (int i = 0; i < 10; i++) {
        int many = i % 2;
        double joules = 0;
        struct ws_tensor batch = scene_input(many ? 31 : 1, 9);
        const struct ws_datum inputs = {.kind = WS_DATUM_TENSOR, .tensor = batch};
        struct ws_flight *flight = NULL;
        assert_int_equal(ws_executor_head(&flight, rig.executor, &setting, &inputs, NULL),
                         0);
        assert_int_equal(ws_flight_head_energy(&joules, flight, NULL), 0);
        head_ms[many] = fmin(head_ms[many], 1e3 * joules / 4.26 /* W */);
        ws_flight_destroy(flight);
        ws_tensor_fini(&batch);
    }
    assert_near(head_ms[1] - 57.78, 31 * (head_ms[0] - 57.78), 0.1);
    rig_fini(&rig);
    assert_int_equal(rig_init_on(&rig, scene, NULL, board,
                                 KNOB("cut", "0") ", " KNOB("edge.gpu", "1"), &err),
                     WS_E_NOT_FOUND);
    assert_non_null(strstr(err.text, "edge.gpu"));
    rig_fini(&rig);
    ws_board_destroy(board);
    ws_tensor_fini(&tensor);
}

static void test_wrong_spaces(void **state)
{
    static const struct {
        const char *knobs;
        int code;
        const char *says;
    } rows[] = {
        {KNOB("codec", "\"none\""), WS_E_NOT_FOUND, "\"cut\""},
        {KNOB("cut", "0, 99"), WS_E_NOT_FOUND, "no cut \"99\""},
        {KNOB("cut", "0, 6"), WS_E_MISMATCH, "cut 6 is not natural"},
        {KNOB("cut", "0") ", " KNOB("codec", "\"mp3\""), WS_E_NOT_FOUND, "\"codec\""},
        {KNOB("cut", "0") ", " KNOB("encoding", "\"rar\""), WS_E_NOT_FOUND, "encoding"},
        {KNOB("cut", "0") ", " KNOB("edge.threads", "0"), WS_E_LIMIT, "edge.threads"},
        {KNOB("cut", "0") ", " KNOB("edge.spinning", "\"on\", \"maybe\""), WS_E_USAGE,
         "maybe is not off or on"},
        {KNOB("cut", "0") ", " KNOB("variant", "\"small\""), WS_E_NOT_FOUND,
         "no variant \"small\""},
        {KNOB("cut", "0") ", " KNOB("edge.cpu_khz", "1"), WS_E_NOT_FOUND,
         "\"edge.cpu_khz\""},
        {KNOB("cut", "0") ", " KNOB("zoom", "1"), WS_E_NOT_FOUND, "\"zoom\""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct rig rig;
        struct ws_error err = {0};
        int rc = rig_init(&rig, *state, NULL, rows[i].knobs, &err);
        if (rc != rows[i].code || strstr(err.text, rows[i].says) == NULL)
            print_error("row %zu: %d \"%s\"\n", i, rc, err.text);
        assert_int_equal(rc, rows[i].code);
        assert_non_null(strstr(err.text, rows[i].says));
        rig_fini(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_setting),
        cmocka_unit_test(test_failed_then_elsewhere),
        cmocka_unit_test(test_first_answer_counts),
        cmocka_unit_test(test_loser_is_stopped),
        cmocka_unit_test(test_warm),
        cmocka_unit_test(test_variants),
        cmocka_unit_test(test_engine_knobs),
        cmocka_unit_test(test_emulated_edge),
        cmocka_unit_test(test_wrong_spaces),
    };
    return cmocka_run_group_tests(tests, scene_setup, scene_teardown);
}
