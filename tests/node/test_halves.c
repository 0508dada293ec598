#include "check.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "net/listen.h"
#include "node/daemon.h"
#include "split/executor.h"
#include "split/halves.h"
#include "study/testbed.h"

/* The shipped network, a node that hosts its cloud's part, and what PyTorch said. */
struct scene {
    struct ws_engine *engine;
    struct ws_halves *halves;
    struct ws_splitter *cloud;
    struct ws_daemon *daemon;
    struct ws_json_doc reference;
    char url[80];
};

enum { MAPS = 64, CLASSES = 10, PIXELS = 3 * 32 * 32 };

static int setup(void **state)
{
    static struct scene scene;
    char dir[512], file[600];
    struct ws_error err = {0};
    const struct ws_engine_options engine = {.threads = 1};
    const struct ws_splitter_options level = {.level = WS_LEVEL_ALL};
    (void)snprintf(dir, sizeof(dir), "%s/etc/dvfo", getenv("WS_SOURCE_ROOT"));
    (void)snprintf(file, sizeof(file), "%s/reference.json", dir);
    int rc = ws_engine_create(&scene.engine, &engine, &err);
    if (rc == 0)
        rc = ws_halves_create(&scene.halves, scene.engine, dir, WS_LEVEL_ALL, &err);
    if (rc == 0)
        rc = ws_json_load(&scene.reference, file, &err);
    if (rc == 0) {
        const char *models[] = {ws_halves_parts(scene.halves)->paths[WS_PARTS_CLOUD]};
        const struct ws_daemon_options options = {
            .guard.listen = "127.0.0.1:0",
            .idle_s = 2,
            .grace_s = 2,
            .host = {.engine = scene.engine, .splitter = level},
            .models = models,
            .model_count = 1,
        };
        rc = ws_splitter_create(&scene.cloud, scene.engine, models[0], &level, &err);
        if (rc == 0)
            rc = ws_daemon_start(&scene.daemon, &options, &err);
    }
    if (rc != 0) {
        print_error("%s\n", err.text);
        return -1;
    }
    (void)snprintf(scene.url, sizeof(scene.url), "%s", ws_daemon_url(scene.daemon));
    *state = &scene;
    return 0;
}

static int teardown(void **state)
{
    struct scene *scene = *state;
    ws_daemon_stop(scene->daemon, 5000);
    ws_splitter_destroy(scene->cloud);
    ws_halves_destroy(scene->halves);
    ws_engine_destroy(scene->engine);
    ws_json_doc_fini(&scene->reference);
    return 0;
}

/* The picture that tools/train_dvfo.py asked PyTorch about: no photograph, but smooth. */
static struct ws_datum picture(size_t number)
{
    static const int64_t dims[] = {1, 3, 32, 32};
    struct ws_datum datum = {.kind = WS_DATUM_TENSOR};
    assert_int_equal(ws_tensor_init(&datum.tensor, WS_DTYPE_UINT8, dims, 4, NULL), 0);
    uint8_t *pixels = datum.tensor.data;
    for (size_t i = 0; i < PIXELS; i++) {
        size_t plane = i / 1024, y = i / 32 % 32, x = i % 32;
        pixels[i] = (uint8_t)((x * (3 + number) + y * (5 + 2 * plane) +
                               x * y * (plane + number) / 8) %
                              256);
    }
    return datum;
}

static struct ws_offload *offload_open(const struct scene *scene, const char *url,
                                       enum ws_codec codec, int64_t timeout_ms)
{
    struct ws_offload *offload = NULL;
    const struct ws_offload_options options = {
        .splitter = scene->cloud,
        .model_name = ws_halves_parts(scene->halves)->cloud_name,
        .url = url,
        .codec = codec,
        .timeout_ms = timeout_ms};
    assert_int_equal(ws_offload_create(&offload, &options, NULL), 0);
    return offload;
}

static struct ws_halves_answer run(const struct scene *scene, struct ws_offload *offload,
                                   size_t number, double share)
{
    struct ws_datum input = picture(number);
    struct ws_halves_answer answer;
    struct ws_error err = {0};
    const struct ws_halves_request request = {
        .input = &input, .share = share, .lambda = -1, .timeout_ms = 20000};
    if (ws_halves_run(&answer, scene->halves, offload, &request, &err) != 0)
        fail_msg("%s", err.text);
    ws_datum_fini(&input);
    return answer;
}

static void check_row(const float *actual, const struct ws_json *row, const char *key,
                      double tolerance)
{
    struct ws_json list;
    assert_int_equal(ws_json_member(&list, row, key, NULL), 0);
    assert_int_equal(ws_json_count(&list), CLASSES);
    for (size_t c = 0; c < CLASSES; c++) {
        struct ws_json item = ws_json_at(&list, c);
        double expected = 0;
        assert_int_equal(ws_json_double(&expected, &item, 0, 1, NULL), 0);
        assert_near((double)actual[c], expected, tolerance);
    }
}

/* Halves and what fuses them against PyTorch's: the edge's nearly to the bit, the cloud's
 * as near as kernels in 16 bits are, with int8 within its rounding. */
static void test_against_pytorch(void **state)
{
    const struct scene *scene = *state;
    struct ws_json root = ws_json_root(&scene->reference);
    struct ws_offload *plain = offload_open(scene, scene->url, WS_CODEC_NONE, 20000);
    struct ws_offload *coded = offload_open(scene, scene->url, WS_CODEC_INT8, 20000);
    assert_true(ws_json_count(&root) >= 6);
    for (size_t i = 0; i < ws_json_count(&root); i++) {
        struct ws_json row = ws_json_at(&root, i);
        double share = 0;
        int64_t number = 0;
        assert_int_equal(ws_json_get_double(&share, &row, "share", 0, 1, NULL), 0);
        assert_int_equal(ws_json_get_i64(&number, &row, "picture", 0, 100, NULL), 0);
        struct ws_halves_answer answer = run(scene, plain, (size_t)number, share);
        assert_int_equal(answer.source, WS_HALVES_BOTH);
        check_row(answer.edge, &row, "edge", 1e-4);
        check_row(answer.cloud, &row, "cloud", 1e-3);
        check_row(answer.probabilities, &row, "fused", 1e-3);
        ws_halves_answer_fini(&answer);
        answer = run(scene, coded, (size_t)number, share);
        check_row(answer.edge, &row, "edge", 1e-4);
        check_row(answer.probabilities, &row, "fused", 0.05);
        ws_halves_answer_fini(&answer);
    }
    ws_offload_destroy(plain);
    ws_offload_destroy(coded);
}

/* A map that is sent counts a byte an element; scale, zero point and bitmap count too. */
static void test_bytes(void **state)
{
    const struct scene *scene = *state;
    struct ws_offload *offload = offload_open(scene, scene->url, WS_CODEC_INT8, 20000);
    for (size_t sent = 1; sent <= MAPS; sent += 21) {
        struct ws_halves_answer answer =
            run(scene, offload, 0, (double)sent / (double)MAPS);
        assert_int_equal(answer.secondary_count, sent);
        assert_int_equal(answer.times.cloud.tensor_bytes,
                         sent * 8 * 8 + sizeof(float) + 1 + MAPS / 8);
        assert_true(answer.times.cloud.sent_bytes > answer.times.cloud.tensor_bytes);
        ws_halves_answer_fini(&answer);
    }
    ws_offload_destroy(offload);
}

/* The bitmap has the least important maps and no others. */
static void test_division(void **state)
{
    const struct scene *scene = *state;
    struct ws_datum input = picture(1);
    struct ws_division division = {0};
    float importance[MAPS], ranking[MAPS];
    assert_int_equal(ws_halves_extract(&division, scene->halves, &input, NULL), 0);
    assert_int_equal(ws_halves_importance(importance, scene->halves, &division, NULL), 0);
    double sum = 0;
    for (size_t m = 0; m < MAPS; m++) {
        sum += (double)importance[m];
        ranking[m] = (float)((m * 37) % MAPS); /* a permutation */
    }
    assert_near(sum, 1, 1e-5);
    for (int by_rank = 0; by_rank < 2; by_rank++) {
        const float *order = by_rank ? ranking : importance;
        struct ws_tensor bitmap, primary, features;
        assert_int_equal(ws_halves_divide(&division, scene->halves, 0.25,
                                          by_rank ? ranking : NULL, NULL),
                         0);
        assert_int_equal(division.secondary_count, MAPS / 4);
        assert_int_equal(ws_engine_value_view(&bitmap, division.bitmap, NULL), 0);
        assert_int_equal(ws_engine_value_view(&primary, division.primary, NULL), 0);
        assert_int_equal(ws_engine_value_view(&features, division.features, NULL), 0);
        assert_int_equal(bitmap.size_bytes, MAPS / 8);
        assert_int_equal(primary.dims[1], MAPS - MAPS / 4);
        const uint8_t *bits = bitmap.data;
        double gone = -INFINITY, kept = INFINITY;
        size_t at = 0, map_bytes = 8 * 8 * sizeof(float);
        for (size_t m = 0; m < MAPS; m++) {
            if ((bits[m / 8] >> (m % 8) & 1) != 0) {
                gone = fmax(gone, (double)order[m]);
                continue;
            }
            kept = fmin(kept, (double)order[m]);
            assert_memory_equal((const char *)primary.data + map_bytes * at++,
                                (const char *)features.data + map_bytes * m, map_bytes);
        }
        assert_int_equal(at, MAPS - MAPS / 4);
        assert_true(gone <= kept);
    }
    ws_division_fini(&division);
    ws_datum_fini(&input);
}

/* Without a node, with none of its maps away, and with all of them. */
static void test_ends(void **state)
{
    const struct scene *scene = *state;
    struct ws_offload *offload = offload_open(scene, scene->url, WS_CODEC_INT8, 20000);
    struct ws_halves_answer none = run(scene, NULL, 2, 0);
    assert_int_equal(none.source, WS_HALVES_EDGE);
    assert_null(none.cloud);
    assert_int_equal(none.times.cloud.tensor_bytes, 0);
    assert_memory_equal(none.probabilities, none.edge, CLASSES * sizeof(float));
    struct ws_halves_answer all = run(scene, offload, 2, 1);
    assert_int_equal(all.source, WS_HALVES_CLOUD);
    assert_null(all.edge);
    assert_int_equal(all.secondary_count, MAPS);
    assert_int_equal(all.times.edge_ns, 0);
    ws_halves_answer_fini(&all);
    /* In this process the codec is the same, and so is the answer. */
    struct ws_offload *here = offload_open(scene, NULL, WS_CODEC_INT8, 20000);
    struct ws_halves_answer there = run(scene, offload, 3, 0.4);
    struct ws_halves_answer local = run(scene, here, 3, 0.4);
    assert_memory_equal(there.probabilities, local.probabilities,
                        CLASSES * sizeof(float));
    ws_halves_answer_fini(&there);
    ws_halves_answer_fini(&local);
    ws_offload_destroy(here);
    ws_halves_answer_fini(&none);
    ws_offload_destroy(offload);
}

/* The edge's tail alone, from all maps: as if nothing had been sent. */
static void check_alone(const struct scene *scene, const struct ws_halves_answer *answer,
                        int code)
{
    struct ws_halves_answer none = run(scene, NULL, 1, 0);
    assert_int_equal(answer->source, WS_HALVES_EDGE);
    assert_int_equal(answer->cloud_rc, code);
    assert_null(answer->cloud);
    assert_memory_equal(answer->probabilities, none.probabilities,
                        CLASSES * sizeof(float));
    assert_true(answer->times.alone_ns > 0);
    ws_halves_answer_fini(&none);
}

static void test_node_that_is_not_there(void **state)
{
    const struct scene *scene = *state;
    struct ws_listen listen;
    char url[80];
    /* A port that was free a moment ago. */
    assert_int_equal(ws_listen_open(&listen, "127.0.0.1:0", 1, NULL), 0);
    (void)snprintf(url, sizeof(url), "http://%s", listen.text);
    ws_listen_close(&listen);
    struct ws_offload *offload = offload_open(scene, url, WS_CODEC_INT8, 20000);
    for (int i = 0; i < 2; i++) {
        struct ws_halves_answer answer = run(scene, offload, 1, 0.5);
        check_alone(scene, &answer, WS_E_IO);
        assert_non_null(strstr(answer.cloud_err.text, url));
        ws_halves_answer_fini(&answer);
    }
    ws_offload_destroy(offload);
}

/* A node that takes the connection and says nothing: late for the request, and busy for
 * the next one, which does not wait for it at all. */
static void test_node_that_is_late(void **state)
{
    const struct scene *scene = *state;
    struct ws_listen listen;
    char url[80];
    struct ws_datum input = picture(1);
    struct ws_halves_request request = {
        .input = &input, .share = 0.5, .lambda = -1, .timeout_ms = 50};
    struct ws_halves_answer answer;
    assert_int_equal(ws_listen_open(&listen, "127.0.0.1:0", 1, NULL), 0);
    (void)snprintf(url, sizeof(url), "http://%s", listen.text);
    struct ws_offload *offload = offload_open(scene, url, WS_CODEC_INT8, 1500);
    assert_int_equal(ws_halves_run(&answer, scene->halves, offload, &request, NULL), 0);
    check_alone(scene, &answer, WS_E_TIMEOUT);
    assert_true(answer.times.beside_ns >= 50 * 1000000);
    ws_halves_answer_fini(&answer);
    assert_int_equal(ws_halves_run(&answer, scene->halves, offload, &request, NULL), 0);
    check_alone(scene, &answer, WS_E_BUSY);
    ws_halves_answer_fini(&answer);
    /* What the exchange itself ended with is dropped with it, and the next is asked. */
    ws_clock_sleep_until(ws_clock_now_ns() + INT64_C(2500000000));
    assert_int_equal(ws_halves_run(&answer, scene->halves, offload, &request, NULL), 0);
    check_alone(scene, &answer, WS_E_TIMEOUT);
    ws_halves_answer_fini(&answer);
    ws_offload_destroy(offload);
    ws_listen_close(&listen);
    ws_datum_fini(&input);
}

/* An executor of the shipped folder whose knob is the share. */
struct rig {
    struct ws_testbed testbed;
    struct ws_board *board;
    struct ws_executor *executor;
};

static void rig_init(struct rig *rig, const struct scene *scene, const char *board,
                     const char *more_knobs)
{
    char text[1024], path[600];
    struct ws_error err = {0};
    const struct ws_executor_variant folder = {
        .name = "shared", .path = ws_halves_parts(scene->halves)->dir};
    *rig = (struct rig){0};
    (void)snprintf(text, sizeof(text),
                   "{\"name\": \"t\", \"objectives\": [\"latency_ms\"], \"knobs\": "
                   "{\"share\": {\"part\": \"shared\", \"kind\": \"ordered\", "
                   "\"values\": [0, 0.25, 0.5, 1]}%s}}",
                   more_knobs);
    assert_int_equal(
        ws_testbed_parse(&rig->testbed, text, strlen(text), "t.json", "", NULL), 0);
    if (board != NULL) {
        (void)snprintf(path, sizeof(path), "%s/etc/devices/%s/board.json",
                       getenv("WS_SOURCE_ROOT"), board);
        assert_int_equal(ws_board_load(&rig->board, path, NULL), 0);
    }
    const struct ws_executor_options options = {.space = &rig->testbed.space,
                                                .variants = &folder,
                                                .variant_count = 1,
                                                .engine = {.threads = 1},
                                                .splitter = {.level = WS_LEVEL_ALL},
                                                .board = rig->board};
    if (ws_executor_create(&rig->executor, &options, &err) != 0)
        fail_msg("%s", err.text);
}

static void rig_fini(struct rig *rig)
{
    ws_executor_destroy(rig->executor);
    ws_board_destroy(rig->board);
    ws_testbed_fini(&rig->testbed);
}

/* A flight's logits are the logarithms of these probabilities. */
static void check_flight(const struct ws_flight *flight, const float *expected)
{
    size_t count = 0;
    const struct ws_datum *outputs = ws_flight_outputs(flight, &count);
    assert_int_equal(ws_flight_is_done(flight), 1);
    assert_int_equal(count, 1);
    const float *logits = outputs[0].tensor.data;
    for (size_t c = 0; c < CLASSES; c++)
        assert_near(exp((double)logits[c]), (double)expected[c], 1e-5);
}

/* The executor gives what the halves give, from the node and alone, and its outcome has
 * the edge's half beside transfer and cloud. */
static void test_executor(void **state)
{
    const struct scene *scene = *state;
    static const double shares[] = {0, 0.25, 0.5, 1};
    struct ws_offload *offload = offload_open(scene, scene->url, WS_CODEC_NONE, 20000);
    struct ws_datum input = picture(2);
    struct rig rig;
    rig_init(&rig, scene, NULL, "");
    for (uint16_t v = 0; v < 4; v++) {
        const struct ws_setting setting = {{v}};
        struct ws_executor_place place;
        struct ws_flight *flight = NULL;
        struct ws_outcome out;
        struct ws_halves_answer answer = run(scene, offload, 2, shares[v]);
        assert_int_equal(ws_executor_has(rig.executor, &setting), 1);
        assert_int_equal(ws_executor_locate(&place, rig.executor, &setting, NULL), 0);
        assert_int_equal(place.has_tail, v > 0);
        assert_int_equal(ws_executor_head(&flight, rig.executor, &setting, &input, NULL),
                         0);
        if (v > 0)
            assert_int_equal(ws_executor_remote(flight, scene->url, 20000, NULL), 0);
        check_flight(flight, answer.probabilities);
        double attention = 0;
        assert_int_equal(ws_flight_attention(&attention, flight, NULL), 0);
        assert_near(attention, answer.attention, 0);
        assert_true(attention > 0.5 && attention <= 1);
        ws_flight_outcome(&out, flight);
        double away = out.value[WS_TRANSFER_MS] + out.value[WS_CLOUD_MS];
        double beside = out.value[WS_BESIDE_MS];
        assert_int_equal(beside > 0, v == 1 || v == 2);
        assert_int_equal(away > 0, v > 0);
        assert_near(out.value[WS_LATENCY_MS],
                    out.value[WS_EDGE_MS] - fmin(beside, away) + away, 1e-9);
        assert_int_equal(out.value[WS_TENSOR_BYTES] > 0, v > 0);
        ws_flight_destroy(flight);
        ws_halves_answer_fini(&answer);
    }
    ws_datum_fini(&input);
    ws_offload_destroy(offload);
    rig_fini(&rig);
}

static void test_executor_alone(void **state)
{
    const struct scene *scene = *state;
    const struct ws_setting half = {{2}};
    struct ws_halves_answer none = run(scene, NULL, 3, 0);
    struct ws_datum input = picture(3);
    struct ws_flight *flight = NULL;
    struct rig rig;
    rig_init(&rig, scene, NULL, "");
    assert_int_equal(ws_executor_head(&flight, rig.executor, &half, &input, NULL), 0);
    assert_int_equal(ws_executor_remote(flight, "http://127.0.0.1:1", 1000, NULL),
                     WS_E_IO);
    assert_int_equal(ws_flight_is_done(flight), 0);
    assert_int_equal(ws_executor_local(flight, NULL), 0);
    check_flight(flight, none.probabilities);
    /* The node's answer comes too late. */
    assert_int_equal(ws_executor_remote(flight, scene->url, 20000, NULL), WS_E_END);
    ws_flight_destroy(flight);
    /* And one that nobody asks for is given up while the edge's half runs. */
    assert_int_equal(ws_executor_head(&flight, rig.executor, &half, &input, NULL), 0);
    ws_flight_destroy(flight);
    ws_halves_answer_fini(&none);
    ws_datum_fini(&input);
    rig_fini(&rig);
}

/* Each tail convolves the maps it has, 3x3 into 128 at 8x8; then the edge's 128 into 96
 * at 4x4. */
static void test_work(void **state)
{
    const struct scene *scene = *state;
    static const size_t maps[] = {1, 16, MAPS};
    struct ws_halves_work edge, cloud;
    assert_int_equal(ws_halves_count_work(&edge, scene->halves, WS_PARTS_EDGE, NULL), 0);
    assert_int_equal(ws_halves_count_work(&cloud, scene->halves, WS_PARTS_CLOUD, NULL),
                     0);
    assert_near(cloud.each.macs[WS_WORK_CONV], edge.each.macs[WS_WORK_CONV], 0);
    assert_true(cloud.once.macs[WS_WORK_CONV] >= edge.once.macs[WS_WORK_CONV]);
    for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
        struct ws_work work = ws_halves_work_of(&edge, maps[i]);
        assert_near(work.macs[WS_WORK_CONV],
                    (double)(maps[i] * 9 * 128 * 64 + 128 * 9 * 96 * 16), 0);
        assert_true(work.bytes[WS_WORK_CONV] > 0 && work.macs[WS_WORK_MATMUL] > 0);
    }
}

/* What the edge's half takes at least on a board at 600 MHz. */
static double half_ms(const struct scene *scene, const struct ws_board *board,
                      size_t maps)
{
    const struct ws_space *space = ws_board_space(board);
    struct ws_halves_work counted;
    struct ws_setting setting;
    size_t knob = 0, value = 0;
    double ms = 0, j = 0;
    ws_board_default(&setting, board);
    assert_int_equal(ws_space_find(&knob, space, "edge.cpu_khz", NULL), 0);
    assert_int_equal(ws_knob_find(&value, &space->knobs[knob], "600000", NULL), 0);
    setting.value[knob] = (uint16_t)value;
    assert_int_equal(ws_halves_count_work(&counted, scene->halves, WS_PARTS_EDGE, NULL),
                     0);
    const struct ws_work work = ws_halves_work_of(&counted, maps);
    assert_int_equal(ws_board_predict(&ms, &j, board, &setting, &work, NULL), 0);
    return ms;
}

/* On an emulated board the edge's half lasts as long as the model says, the longer the
 * more maps stay. */
static void test_executor_emulated(void **state)
{
    const struct scene *scene = *state;
    struct ws_datum input = picture(0);
    struct rig rig;
    rig_init(&rig, scene, "rpi4",
             ", \"edge.cpu_khz\": {\"part\": \"edge\", \"kind\": \"ordered\", "
             "\"values\": [600000, 1800000]}");
    for (uint16_t v = 0; v < 4; v++) {
        const struct ws_setting setting = {{v, 0}};
        struct ws_executor_applied applied;
        struct ws_flight *flight = NULL;
        struct ws_outcome out;
        assert_int_equal(ws_executor_apply(&applied, rig.executor, &setting, NULL), 0);
        assert_int_equal(ws_executor_head(&flight, rig.executor, &setting, &input, NULL),
                         0);
        if (v > 0)
            assert_int_equal(ws_executor_remote(flight, scene->url, 20000, NULL), 0);
        ws_flight_outcome(&out, flight);
        assert_int_equal(out.truth, WS_MODELLED);
        assert_int_equal(ws_outcome_knows(&out, WS_EDGE_ENERGY_J), 1);
        if (v == 1 || v == 2)
            assert_true(out.value[WS_BESIDE_MS] >=
                        half_ms(scene, rig.board, MAPS - 16U * v));
        else
            assert_near(out.value[WS_BESIDE_MS], 0, 0);
        ws_flight_destroy(flight);
    }
    assert_true(half_ms(scene, rig.board, 48) > half_ms(scene, rig.board, 32));
    ws_datum_fini(&input);
    rig_fini(&rig);
}

static void test_bad_requests(void **state)
{
    const struct scene *scene = *state;
    struct ws_datum input = picture(0);
    struct ws_halves_answer answer;
    struct ws_error err = {0};
    static const double shares[] = {-0.1, 1.5, NAN};
    for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
        const struct ws_halves_request request = {.input = &input, .share = shares[i]};
        assert_int_equal(ws_halves_run(&answer, scene->halves, NULL, &request, &err),
                         WS_E_USAGE);
        assert_non_null(strstr(err.text, "is not between 0 and 1"));
    }
    const struct ws_halves_request alone = {.input = &input, .share = 0.5};
    assert_int_equal(ws_halves_run(&answer, scene->halves, NULL, &alone, &err),
                     WS_E_USAGE);
    ws_datum_fini(&input);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_pytorch),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_division),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_node_that_is_not_there),
        cmocka_unit_test(test_node_that_is_late),
        cmocka_unit_test(test_work),
        cmocka_unit_test(test_executor),
        cmocka_unit_test(test_executor_alone),
        cmocka_unit_test(test_executor_emulated),
        cmocka_unit_test(test_bad_requests),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
