#include "device/track.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/cursor.h"
#include "base/file.h"
#include "base/json.h"
#include "base/parse.h"
#include "base/rng.h"
#include "board.h"
#include "check.h"
#include "device/ledger.h"
#include "device/sampler.h"

#define SECOND INT64_C(1000000000)

static struct ws_track *make(size_t capacity, int is_counter, int64_t gap_ns,
                             int64_t refresh_ns)
{
    struct ws_track *track = NULL;
    struct ws_track_options options = {capacity, is_counter, gap_ns, refresh_ns};
    assert_int_equal(ws_track_create(&track, &options, NULL), 0);
    return track;
}

static double energy(struct ws_track *track, int64_t start_ns, int64_t end_ns)
{
    struct ws_energy out = {.energy_j = -1};
    struct ws_error err = {0};
    if (ws_track_energy(&out, track, start_ns, end_ns, &err) != 0)
        fail_msg("%s", err.text);
    return out.energy_j;
}

/* Watts that rise by 1 W each second: the integral is known at any place. */
static void test_power_ramp(void **state)
{
    struct ws_track *track = make(100, 0, 0, 0);
    struct ws_rng rng;
    (void)state;
    for (int64_t i = 0; i <= 20; i++)
        assert_int_equal(ws_track_add(track, i * SECOND, (double)i, NULL), 0);
    assert_near(energy(track, 0, 20 * SECOND), 200, 1e-9);
    ws_rng_init(&rng, 1);
    for (size_t i = 0; i < 1000; i++) {
        double a = ws_rng_uniform(&rng) * 20;
        double b = a + ws_rng_uniform(&rng) * (20 - a);
        int64_t a_ns = (int64_t)(a * 1e9);
        int64_t b_ns = (int64_t)(b * 1e9);
        double expected = ((double)b_ns * (double)b_ns - (double)a_ns * (double)a_ns) / 2;
        assert_near(energy(track, a_ns, b_ns), expected * 1e-18, 1e-9);
    }
    ws_track_destroy(track);
}

/* A counter that moves every 100 ms: windows of 1 ms get their share, not 0 or too much,
 * and say so. */
static void test_counter_short_windows(void **state)
{
    struct ws_track *track = make(1000, 1, 0, SECOND);
    struct ws_energy out;
    double sum_j = 0;
    (void)state;
    /* 7 W; the counter is looked at every 10 ms and shows something new every 100 ms. */
    for (int64_t ms = 0; ms <= 2000; ms += 10)
        assert_int_equal(
            ws_track_add(track, ms * 1000000, 0.7 * (double)(ms / 100), NULL), 0);
    for (int64_t ms = 0; ms < 2000; ms++) {
        assert_int_equal(
            ws_track_energy(&out, track, ms * 1000000, (ms + 1) * 1000000, NULL), 0);
        assert_near(out.energy_j, 0.007, 1e-9);
        assert_true(out.is_interpolated);
        sum_j += out.energy_j;
    }
    assert_near(sum_j, 14, 1e-6);
    assert_int_equal(ws_track_energy(&out, track, 0, 2000000000, NULL), 0);
    assert_false(out.is_interpolated);
    ws_track_destroy(track);
}

/* Slow meters, asked before they tell: an energy at a reply's time. */
static void test_open_end(void **state)
{
    struct ws_track *track = make(1000, 1, 0, SECOND / 5);
    struct ws_energy out;
    const int64_t ms = 1000000;
    (void)state;
    assert_int_equal(ws_track_add(track, 0, 0, NULL), 0);
    assert_int_equal(ws_track_add(track, 50 * ms, 0, NULL), 0);
    /* No stretch yet that tells a power. */
    assert_int_equal(ws_track_energy(&out, track, 10 * ms, 20 * ms, NULL), WS_E_UNKNOWN);
    assert_int_equal(ws_track_add(track, 100 * ms, 0.7, NULL), 0);
    assert_int_equal(ws_track_energy(&out, track, 120 * ms, 130 * ms, NULL), 0);
    assert_near(out.energy_j, 0.07, 1e-9);
    assert_true(out.is_interpolated);
    assert_int_equal(ws_track_energy(&out, track, 50 * ms, 150 * ms, NULL), 0);
    assert_near(out.energy_j, 0.7, 1e-9);
    assert_false(out.is_interpolated);
    /* Two intervals without a change: it has stopped, or nobody looks. */
    assert_int_equal(ws_track_energy(&out, track, 120 * ms, 300 * ms, NULL),
                     WS_E_UNKNOWN);
    /* Then it tells, and what it tells holds. */
    assert_int_equal(ws_track_add(track, 200 * ms, 2.7, NULL), 0);
    assert_int_equal(ws_track_energy(&out, track, 120 * ms, 130 * ms, NULL), 0);
    assert_near(out.energy_j, 0.2, 1e-9);
    /* A reading that fails leaves the end unknown. */
    ws_track_lose(track);
    assert_int_equal(ws_track_energy(&out, track, 210 * ms, 220 * ms, NULL),
                     WS_E_UNKNOWN);
    ws_track_destroy(track);
    /* Watts stay as they were. */
    track = make(1000, 0, 0, 2 * SECOND);
    assert_int_equal(ws_track_add(track, 1 * SECOND, 4, NULL), 0);
    assert_int_equal(ws_track_add(track, 2 * SECOND, 6, NULL), 0);
    assert_near(energy(track, 1 * SECOND, 3 * SECOND), 5 + 6, 1e-12);
    assert_int_equal(ws_track_energy(&out, track, 1 * SECOND, 4 * SECOND, NULL),
                     WS_E_UNKNOWN);
    ws_track_destroy(track);
}

static void test_unknown_windows(void **state)
{
    struct ws_track *track = make(4, 0, 2 * SECOND, 0);
    struct ws_energy out = {.energy_j = -1};
    (void)state;
    assert_int_equal(ws_track_energy(&out, track, 0, 1, NULL), WS_E_UNKNOWN);
    assert_int_equal(ws_track_add(track, 10 * SECOND, 1, NULL), 0);
    assert_int_equal(ws_track_add(track, 11 * SECOND, 1, NULL), 0);
    assert_int_equal(ws_track_add(track, 11 * SECOND, 1, NULL), WS_E_MISMATCH);
    assert_int_equal(ws_track_add(track, 5 * SECOND, 1, NULL), WS_E_MISMATCH);
    ws_track_lose(track);
    assert_int_equal(ws_track_add(track, 12 * SECOND, 1, NULL), 0); /* after a loss */
    assert_int_equal(ws_track_add(track, 15 * SECOND, 1, NULL), 0); /* after a gap */
    static const struct {
        int64_t start_s, end_s;
        int code;
    } rows[] = {
        {10, 11, 0},
        {9, 11, WS_E_UNKNOWN},
        {10, 12, WS_E_UNKNOWN},
        {12, 12, 0},
        {12, 13, WS_E_UNKNOWN},
        {15, 15, 0},
        {15, 16, WS_E_UNKNOWN},
        {12, 15, WS_E_UNKNOWN},
        {12, 11, WS_E_USAGE},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(ws_track_energy(&out, track, rows[i].start_s * SECOND,
                                         rows[i].end_s * SECOND, NULL),
                         rows[i].code);
    /* A fifth sample pushes the first out. */
    assert_int_equal(ws_track_add(track, 16 * SECOND, 3, NULL), 0);
    assert_int_equal(ws_track_energy(&out, track, 10 * SECOND, 11 * SECOND, NULL),
                     WS_E_UNKNOWN);
    assert_near(energy(track, 15 * SECOND, 16 * SECOND), 2, 1e-12);
    ws_track_destroy(track);
    /* A counter that fell. */
    track = make(4, 1, 0, 0);
    assert_int_equal(ws_track_add(track, 1 * SECOND, 5, NULL), 0);
    assert_int_equal(ws_track_add(track, 2 * SECOND, 4, NULL), 0);
    assert_int_equal(ws_track_add(track, 3 * SECOND, 6, NULL), 0);
    assert_int_equal(ws_track_energy(&out, track, 1 * SECOND, 3 * SECOND, NULL),
                     WS_E_UNKNOWN);
    assert_near(energy(track, 2 * SECOND, 3 * SECOND), 2, 1e-12);
    ws_track_destroy(track);
}

/* --- the ledger --- */

static int track_energy(void *user, double *out_j, int64_t start_ns, int64_t end_ns,
                        struct ws_error *err)
{
    struct ws_energy out;
    int rc = ws_track_energy(&out, user, start_ns, end_ns, err);
    if (rc == 0)
        *out_j = out.energy_j;
    return rc;
}

static void test_ledger_by_hand(void **state)
{
    struct ws_track *track = make(100, 0, 0, 0);
    /* Idle 2 W. A alone 1 s to 2 s at 5 W; A and B, of weight 3, 2 s to 3 s at 10 W. */
    struct ws_share shares[] = {{1 * SECOND, 3 * SECOND, 1, -1},
                                {2 * SECOND, 3 * SECOND, 3, -1}};
    static const double watts[] = {2, 5, 10, 1};
    double idle_j = -1;
    (void)state;
    for (int64_t i = 0; i < 4; i++) {
        assert_int_equal(ws_track_add(track, i * SECOND, watts[i], NULL), 0);
        assert_int_equal(ws_track_add(track, (i + 1) * SECOND - 1, watts[i], NULL), 0);
    }
    assert_int_equal(ws_ledger_share(shares, 2, &idle_j, 0, 4 * SECOND - 1, 2,
                                     track_energy, track, NULL),
                     0);
    assert_near(shares[0].energy_j, 3 + 2, 1e-6);
    assert_near(shares[1].energy_j, 6, 1e-6);
    /* In the last second less than the idle power was drawn. */
    assert_near(idle_j, 2 + 2 + 2 + 1, 1e-6);
    ws_track_destroy(track);
}

/* Whatever overlaps: requests' joules and idle's are the meter's total. */
static void test_ledger_adds_up(void **state)
{
    struct ws_rng rng;
    (void)state;
    ws_rng_init(&rng, 7);
    for (size_t trial = 0; trial < 200; trial++) {
        enum { COUNT = 40 };
        struct ws_track *track = make(2000, 0, 0, 0);
        struct ws_share shares[COUNT];
        double idle_j = -1;
        for (int64_t i = 0; i <= 1000; i++)
            assert_int_equal(
                ws_track_add(track, i * 10000000, 1 + 9 * ws_rng_uniform(&rng), NULL), 0);
        for (size_t i = 0; i < COUNT; i++) {
            int64_t start_ns = (int64_t)ws_rng_below(&rng, 10000000000u) - SECOND;
            int64_t length_ns = 1 + (int64_t)ws_rng_below(&rng, 2000000000u);
            shares[i] = (struct ws_share){start_ns, start_ns + length_ns,
                                          0.1 + ws_rng_uniform(&rng), -1};
        }
        assert_int_equal(ws_ledger_share(shares, COUNT, &idle_j, 0, 10 * SECOND, 3,
                                         track_energy, track, NULL),
                         0);
        double sum_j = idle_j;
        for (size_t i = 0; i < COUNT; i++) {
            assert_true(shares[i].energy_j >= -1e-9);
            sum_j += shares[i].energy_j;
        }
        assert_near(sum_j, energy(track, 0, 10 * SECOND), 1e-7);
        ws_track_destroy(track);
    }
}

static void test_ledger_refusals(void **state)
{
    struct ws_track *track = make(4, 0, 0, 0);
    struct ws_share backwards = {2 * SECOND, 1 * SECOND, 1, -1};
    struct ws_share weightless = {1 * SECOND, 2 * SECOND, 0, -1};
    struct ws_share good = {1 * SECOND, 2 * SECOND, 1, -1};
    double idle_j = -1;
    (void)state;
    assert_int_equal(ws_track_add(track, 0, 1, NULL), 0);
    ws_track_lose(track);
    assert_int_equal(ws_track_add(track, 4 * SECOND, 1, NULL), 0);
    assert_int_equal(
        ws_ledger_share(&backwards, 1, &idle_j, 0, SECOND, 0, track_energy, track, NULL),
        WS_E_USAGE);
    assert_int_equal(
        ws_ledger_share(&weightless, 1, &idle_j, 0, SECOND, 0, track_energy, track, NULL),
        WS_E_USAGE);
    assert_int_equal(
        ws_ledger_share(&good, 1, &idle_j, 0, 3 * SECOND, 0, track_energy, track, NULL),
        WS_E_UNKNOWN);
    assert_near(good.energy_j, -1, 0);
    assert_near(idle_j, -1, 0);
    ws_track_destroy(track);
}

/* --- the sampler --- */

static void test_sampler(void **state)
{
    struct board board;
    struct ws_meters meters = {.count = 0};
    struct ws_sampler *sampler = NULL;
    struct ws_sampler_options options = {.period_ns = 1000000};
    struct ws_energy out;
    double watts = 0;
    struct ws_error err = {0};
    (void)state;
    board_open(&board, "jetson-nx-jp5");
    assert_int_equal(ws_meter_sysfs_discover(&meters, board.fs, NULL), 0);
    assert_int_equal(
        ws_sampler_create(&sampler, meters.meters, meters.count, &options, NULL), 0);
    ws_clock_sleep_until(ws_clock_now_ns() + 30000000);
    int64_t start_ns = ws_clock_now_ns();
    ws_clock_sleep_until(start_ns + 100000000);
    int64_t end_ns = ws_clock_now_ns();
    /* The tree's watts stand still, so the energy is theirs times the time. */
    static const double expected_w[] = {4.960 * 1.064, 4.960 * 0.264, 4.960 * 0.288};
    for (size_t i = 0; i < 3; i++) {
        if (ws_sampler_energy(&out, sampler, i, start_ns, end_ns, &err) != 0)
            fail_msg("%s", err.text);
        assert_near(out.energy_j, expected_w[i] * (double)(end_ns - start_ns) * 1e-9,
                    1e-9);
        assert_int_equal(ws_sampler_power(&watts, sampler, i, 50000000, &err), 0);
        assert_near(watts, expected_w[i], 1e-9);
    }
    /* It vanishes, and its energy is a code; the others go on. */
    board_put(&board, "class/hwmon/hwmon3/curr1_input", NULL);
    start_ns = ws_clock_now_ns();
    ws_clock_sleep_until(start_ns + 20000000);
    end_ns = ws_clock_now_ns();
    assert_int_equal(ws_sampler_energy(&out, sampler, 0, start_ns, end_ns, &err),
                     WS_E_NOT_FOUND);
    assert_int_equal(ws_sampler_energy(&out, sampler, 1, start_ns, end_ns, &err), 0);
    ws_sampler_destroy(sampler);
    ws_meters_fini(&meters);
    board_close(&board);
}

/* A meter that says something new every 10 s. */
struct slow_meter {
    struct ws_meter base;
    atomic_int readings;
};

static int slow_read(struct ws_meter *meter, struct ws_meter_reading *out,
                     struct ws_error *err)
{
    (void)err;
    atomic_fetch_add(&((struct slow_meter *)meter)->readings, 1);
    *out = (struct ws_meter_reading){.time_ns = ws_clock_now_ns(), .value = 3};
    return 0;
}

/* Whoever asks for the energy of a request does not read it once more. */
static void test_slow_meter(void **state)
{
    static const struct ws_meter_ops ops = {.read = slow_read};
    struct slow_meter slow = {.base = {.ops = &ops, .info = {.interval_s = 10}}};
    struct ws_meter *meters[] = {&slow.base};
    const struct ws_sampler_options options = {.period_ns = 1000000};
    struct ws_sampler *sampler = NULL;
    struct ws_energy out;
    (void)state;
    assert_int_equal(ws_sampler_create(&sampler, meters, 1, &options, NULL), 0);
    while (atomic_load(&slow.readings) == 0)
        ws_clock_sleep_until(ws_clock_now_ns() + 1000000);
    for (int i = 0; i < 100; i++) {
        int64_t start_ns = ws_clock_now_ns();
        ws_clock_sleep_until(start_ns + 100000);
        int64_t end_ns = ws_clock_now_ns();
        assert_int_equal(ws_sampler_energy(&out, sampler, 0, start_ns, end_ns, NULL), 0);
        assert_near(out.energy_j, 3 * (double)(end_ns - start_ns) * 1e-9, 1e-12);
    }
    assert_int_equal(atomic_load(&slow.readings), 1);
    ws_sampler_destroy(sampler);
}

/* --- against recorded traces and their official results --- */

enum { TRACE_BYTES_MAX = 8 << 20, WINDOWS = 5 };

struct trace {
    int64_t *times_ns;
    double *watts;
    size_t count;
    double stamps[2 * WINDOWS + 1];
    double official_uj[WINDOWS];
};

static void read_file(struct ws_buf *buf, const char *dir, const char *name)
{
    char path[1024];
    struct ws_error err = {0};
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    ws_buf_init(buf, TRACE_BYTES_MAX);
    if (ws_file_read(buf, path, &err) != 0)
        fail_msg("%s", err.text);
}

/* Byte 0xf1, samples per second, then microjoules a sample; each is placed in the middle
 * of its stretch. */
static void read_trace(struct trace *trace, const char *dir)
{
    struct ws_buf buf;
    uint8_t magic = 0;
    uint32_t bits = 0;
    float value = 0;
    read_file(&buf, dir, "trace1-energy.bin");
    struct ws_cursor cursor = ws_cursor_make(buf.data, buf.size);
    assert_int_equal(ws_cursor_u8(&magic, &cursor, NULL), 0);
    assert_int_equal(magic, 0xf1);
    assert_int_equal(ws_cursor_u32(&bits, &cursor, NULL), 0);
    memcpy(&value, &bits, sizeof(value));
    assert_near(value, 1000, 0);
    trace->count = ws_cursor_left(&cursor) / 4;
    trace->times_ns = calloc(trace->count, sizeof(*trace->times_ns));
    trace->watts = calloc(trace->count, sizeof(*trace->watts));
    assert_true(trace->times_ns != NULL && trace->watts != NULL);
    for (size_t i = 0; i < trace->count; i++) {
        assert_int_equal(ws_cursor_u32(&bits, &cursor, NULL), 0);
        memcpy(&value, &bits, sizeof(value));
        trace->times_ns[i] = (int64_t)i * 1000000 + 500000;
        trace->watts[i] = (double)value * 1e-6 * 1000;
    }
    ws_buf_fini(&buf);
}

static void read_official(struct trace *trace, const char *dir)
{
    struct ws_buf buf;
    struct ws_json_doc doc;
    read_file(&buf, dir, "trace1-timestamps.json");
    assert_int_equal(ws_json_parse(&doc, buf.data, buf.size, "timestamps", NULL), 0);
    struct ws_json root = ws_json_root(&doc);
    assert_true(ws_json_count(&root) >= 2 * WINDOWS + 1);
    for (size_t i = 0; i < 2 * WINDOWS + 1; i++) {
        struct ws_json at = ws_json_at(&root, i);
        assert_int_equal(ws_json_double(&trace->stamps[i], &at, 0, 1e6, NULL), 0);
    }
    ws_json_doc_fini(&doc);
    ws_buf_fini(&buf);
    read_file(&buf, dir, "results.txt");
    const char *at = buf.data;
    for (size_t w = 0; w < WINDOWS; w++) {
        char number[32] = "";
        at = strstr(at, "Energy data for window");
        assert_non_null(at);
        at = strstr(at, "Energy       :");
        assert_non_null(at);
        at += strlen("Energy       :");
        at += strspn(at, " ");
        memcpy(number, at, strcspn(at, " "));
        assert_int_equal(ws_parse_double(&trace->official_uj[w], number, "energy", NULL),
                         0);
    }
    ws_buf_fini(&buf);
}

/* Plays a trace through the replay meter into a track; returns the worst relative error
 * of its windows. */
static double worst_error(const char *dir)
{
    struct trace trace = {0};
    struct ws_meter *meter = NULL;
    struct ws_meter_reading reading;
    double worst = 0;
    read_trace(&trace, dir);
    read_official(&trace, dir);
    struct ws_track *track = make(trace.count, 0, 10000000, 0);
    assert_int_equal(ws_meter_replay_create(&meter, "trace", trace.times_ns, trace.watts,
                                            trace.count, NULL),
                     0);
    assert_int_equal(meter->info.truth, WS_RECORDED);
    int rc;
    while ((rc = ws_meter_read(meter, &reading, NULL)) == 0)
        assert_int_equal(ws_track_add(track, reading.time_ns, reading.value, NULL), 0);
    assert_int_equal(rc, WS_E_END);
    for (size_t w = 0; w < WINDOWS; w++) {
        double got_uj = 1e6 * energy(track, (int64_t)(trace.stamps[2 * w + 1] * 1e9),
                                     (int64_t)(trace.stamps[2 * w + 2] * 1e9));
        double off = fabs(got_uj / trace.official_uj[w] - 1);
        worst = off > worst ? off : worst;
    }
    ws_meter_destroy(meter);
    ws_track_destroy(track);
    free(trace.times_ns);
    free(trace.watts);
    return worst;
}

static void test_mlperf_tiny_traces(void **state)
{
    static const char *const names[] = {
        "Krai__NUCLEO-H7A3ZI-Q_X-CUBE-AI-7.3__kws",
        "Krai__NUCLEO-L4R5ZI_X-CUBE-AI-7.3__kws",
        "STMicroelectronics__NUCLEO_H7A3ZI_Q__ad",
        "STMicroelectronics__NUCLEO_L4R5ZI__ad",
        "STMicroelectronics__NUCLEO_U575ZI_Q__kws",
        "syntiant__syntiant_9120_0v9_30mhz__kws",
    };
    char dir[1024];
    const char *data = getenv("WS_SHARED_DATA");
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)snprintf(dir, sizeof(dir), "%s/mlperf-tiny-traces/traces/%s", data,
                       names[i]);
        if (access(dir, R_OK) != 0) {
            print_message("%s is not here: skipped\n", dir);
            skip();
        }
        double worst = worst_error(dir);
        print_message("%s: worst of 5 windows off by %.4f %%\n", names[i], 100 * worst);
        assert_true(worst <= 0.002);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_power_ramp),
        cmocka_unit_test(test_counter_short_windows),
        cmocka_unit_test(test_open_end),
        cmocka_unit_test(test_unknown_windows),
        cmocka_unit_test(test_ledger_by_hand),
        cmocka_unit_test(test_ledger_adds_up),
        cmocka_unit_test(test_ledger_refusals),
        cmocka_unit_test(test_sampler),
        cmocka_unit_test(test_slow_meter),
        cmocka_unit_test(test_mlperf_tiny_traces),
    };
    return cmocka_run_group_tests_name("track", tests, NULL, NULL);
}
