#include "device/meter.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "board.h"
#include "check.h"

static struct ws_meter *find(struct ws_meters *meters, const char *name)
{
    for (size_t i = 0; i < meters->count; i++) {
        if (strcmp(meters->meters[i]->info.name, name) == 0)
            return meters->meters[i];
    }
    fail_msg("no meter %s", name);
    return NULL;
}

/* Every meter of every board, with its boundary, who else counts its joules, and the
 * watts that the board's tree holds (counters: 0 J since they were opened). */
static void test_discover_boards(void **state)
{
    static const struct {
        const char *board;
        const char *name;
        enum ws_boundary boundary;
        int is_counter;
        const char *overlap;
        double value;
    } rows[] = {
        {"jetson-nano", "ina3221 POM_5V_IN", WS_BOUNDARY_BOARD, 0, "", 2.511},
        {"jetson-nano", "ina3221 POM_5V_GPU", WS_BOUNDARY_RAIL, 0, "ina3221 POM_5V_IN",
         0.202},
        {"jetson-nano", "ina3221 POM_5V_CPU", WS_BOUNDARY_RAIL, 0, "ina3221 POM_5V_IN",
         0.567},
        {"jetson-nx-jp4", "ina3221 VDD_IN", WS_BOUNDARY_BOARD, 0, "", 4.6},
        {"jetson-nx-jp4", "ina3221 VDD_CPU_GPU_CV", WS_BOUNDARY_RAIL, 0, "ina3221 VDD_IN",
         1.2},
        {"jetson-nx-jp4", "ina3221 VDD_SOC", WS_BOUNDARY_RAIL, 0, "ina3221 VDD_IN", 1.4},
        {"jetson-nx-jp5", "ina3221 VDD_IN", WS_BOUNDARY_BOARD, 0, "", 4.960 * 1.064},
        {"jetson-nx-jp5", "ina3221 VDD_CPU_GPU_CV", WS_BOUNDARY_RAIL, 0, "ina3221 VDD_IN",
         4.960 * 0.264},
        {"jetson-nx-jp5", "ina3221 VDD_SOC", WS_BOUNDARY_RAIL, 0, "ina3221 VDD_IN",
         4.960 * 0.288},
        {"laptop", "rapl package-0", WS_BOUNDARY_PACKAGE, 1, "", 0},
        {"laptop", "rapl core", WS_BOUNDARY_PACKAGE, 1, "rapl package-0", 0},
        {"laptop", "rapl uncore", WS_BOUNDARY_PACKAGE, 1, "rapl package-0", 0},
        {"laptop", "rapl psys", WS_BOUNDARY_BOARD, 1, "", 0},
        {"laptop", "rapl package-0 mmio", WS_BOUNDARY_PACKAGE, 1, "rapl package-0", 0},
        {"laptop", "battery BAT0", WS_BOUNDARY_BATTERY, 0, "", 6.812},
    };
    static const char *const boards[] = {
        "rpi4", "rpi5", "jetson-nano", "jetson-nx-jp4", "xu4", "jetson-nx-jp5", "laptop"};
    (void)state;
    for (size_t b = 0; b < sizeof(boards) / sizeof(boards[0]); b++) {
        struct board board;
        struct ws_meters meters = {.count = 0};
        size_t expected = 0;
        board_open(&board, boards[b]);
        assert_int_equal(ws_meter_sysfs_discover(&meters, board.fs, NULL), 0);
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
            struct ws_meter_reading reading;
            if (strcmp(rows[i].board, boards[b]) != 0)
                continue;
            struct ws_meter *meter = find(&meters, rows[i].name);
            assert_int_equal(meter->info.boundary, rows[i].boundary);
            assert_int_equal(meter->info.is_counter, rows[i].is_counter);
            assert_string_equal(meter->info.overlap, rows[i].overlap);
            assert_true(strlen(meter->info.source) > 0 && strlen(meter->info.counts) > 0);
            assert_int_equal(meter->info.truth, WS_MEASURED);
            assert_int_equal(ws_meter_read(meter, &reading, NULL), 0);
            assert_near(reading.value, rows[i].value, 1e-9);
            expected++;
        }
        assert_int_equal(meters.count, expected);
        ws_meters_fini(&meters);
        board_close(&board);
    }
}

/* The shapes that no board above has: hwmon's own power and energy, a channel that is not
 * connected, a battery with volts and amperes. */
static void test_discover_shapes(void **state)
{
    struct board board;
    struct ws_meters meters = {.count = 0};
    struct ws_meter_reading reading;
    (void)state;
    board_open(&board, NULL);
    board_put(&board, "class/hwmon/hwmon0/name", "ina219\n");
    board_put(&board, "class/hwmon/hwmon0/power1_input", "3250000\n");
    board_put(&board, "class/hwmon/hwmon1/name", "amd_energy\n");
    board_put(&board, "class/hwmon/hwmon1/energy1_label", "Ecore000\n");
    board_put(&board, "class/hwmon/hwmon1/energy1_input", "1000000\n");
    board_put(&board, "class/hwmon/hwmon2/name", "ina3221\n");
    board_put(&board, "class/hwmon/hwmon2/in1_label", "NC\n");
    board_put(&board, "class/hwmon/hwmon2/in1_input", "5000\n");
    board_put(&board, "class/hwmon/hwmon2/curr1_input", "100\n");
    board_put(&board, "class/power_supply/BAT1/type", "Battery\n");
    board_put(&board, "class/power_supply/BAT1/status", "Discharging\n");
    board_put(&board, "class/power_supply/BAT1/voltage_now", "12000000\n");
    board_put(&board, "class/power_supply/BAT1/current_now", "-500000\n");
    assert_int_equal(ws_meter_sysfs_discover(&meters, board.fs, NULL), 0);
    assert_int_equal(meters.count, 3);
    assert_int_equal(ws_meter_read(find(&meters, "ina219 1"), &reading, NULL), 0);
    assert_near(reading.value, 3.25, 1e-9);
    struct ws_meter *energy = find(&meters, "amd_energy Ecore000");
    board_put(&board, "class/hwmon/hwmon1/energy1_input", "3500000\n");
    assert_int_equal(ws_meter_read(energy, &reading, NULL), 0);
    assert_near(reading.value, 2.5, 1e-9);
    assert_int_equal(ws_meter_read(find(&meters, "battery BAT1"), &reading, NULL), 0);
    assert_near(reading.value, 6.0, 1e-9);
    /* On mains it says nothing about us. */
    board_put(&board, "class/power_supply/BAT1/status", "Charging\n");
    assert_int_equal(ws_meter_read(find(&meters, "battery BAT1"), &reading, NULL),
                     WS_E_UNKNOWN);
    ws_meters_fini(&meters);
    board_close(&board);
}

static void test_rapl_wraps(void **state)
{
    /* What the counter reads, and the joules since the start: it wraps at 262143328850.
     */
    static const struct {
        const char *text;
        double total_j;
    } rows[] = {
        {"262143000000", 138686.210988},
        {"5000000", 138691.539838},
        {"5000000", 138691.539838},
        {"262143328850", 400829.868688},
        {"1", 400829.868689},
    };
    struct board board;
    struct ws_meters meters = {.count = 0};
    struct ws_meter_reading reading;
    (void)state;
    board_open(&board, "laptop");
    assert_int_equal(ws_meter_sysfs_discover(&meters, board.fs, NULL), 0);
    struct ws_meter *meter = find(&meters, "rapl package-0");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        board_put(&board, "class/powercap/intel-rapl:0/energy_uj", rows[i].text);
        assert_int_equal(ws_meter_read(meter, &reading, NULL), 0);
        assert_near(reading.value, rows[i].total_j, 1e-6);
    }
    ws_meters_fini(&meters);
    board_close(&board);
}

/* Rows that must fail, each with its code and never a zero. */
static void test_readings_that_fail(void **state)
{
    static const struct {
        const char *board, *meter, *path, *text;
        int code;
    } rows[] = {
        {"jetson-nano", "ina3221 POM_5V_IN",
         "bus/iio/devices/iio:device0/in_power0_input", NULL, WS_E_NOT_FOUND},
        {"jetson-nano", "ina3221 POM_5V_IN",
         "bus/iio/devices/iio:device0/in_power0_input", "", WS_E_FORMAT},
        {"jetson-nano", "ina3221 POM_5V_IN",
         "bus/iio/devices/iio:device0/in_power0_input", "2511 mW", WS_E_FORMAT},
        {"jetson-nx-jp5", "ina3221 VDD_SOC", "class/hwmon/hwmon3/curr3_input", NULL,
         WS_E_NOT_FOUND},
        {"jetson-nx-jp5", "ina3221 VDD_SOC", "class/hwmon/hwmon3/curr3_input",
         "99999999999999999999", WS_E_LIMIT},
        {"laptop", "rapl core", "class/powercap/intel-rapl:0:0/energy_uj", "-5",
         WS_E_LIMIT},
        {"laptop", "rapl core", "class/powercap/intel-rapl:0:0/energy_uj", "nan",
         WS_E_FORMAT},
        {"laptop", "battery BAT0", "class/power_supply/BAT0/status", "Full",
         WS_E_UNKNOWN},
        {"laptop", "battery BAT0", "class/power_supply/BAT0/power_now", NULL,
         WS_E_NOT_FOUND},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct board board;
        struct ws_meters meters = {.count = 0};
        struct ws_meter_reading reading = {.value = -1};
        struct ws_error err = {0};
        board_open(&board, rows[i].board);
        assert_int_equal(ws_meter_sysfs_discover(&meters, board.fs, NULL), 0);
        struct ws_meter *meter = find(&meters, rows[i].meter);
        board_put(&board, rows[i].path, rows[i].text);
        assert_int_equal(ws_meter_read(meter, &reading, &err), rows[i].code);
        assert_true(strlen(err.text) > 0);
        assert_near(reading.value, -1, 0); /* untouched */
        ws_meters_fini(&meters);
        board_close(&board);
    }
}

/* A counter without a known range that falls cannot be told from a wrap. */
static void test_counter_that_fell(void **state)
{
    struct board board;
    struct ws_meters meters = {.count = 0};
    struct ws_meter_reading reading;
    (void)state;
    board_open(&board, NULL);
    board_put(&board, "class/hwmon/hwmon0/name", "chip");
    board_put(&board, "class/hwmon/hwmon0/energy1_input", "5000000");
    assert_int_equal(ws_meter_sysfs_discover(&meters, board.fs, NULL), 0);
    board_put(&board, "class/hwmon/hwmon0/energy1_input", "4000000");
    assert_int_equal(ws_meter_read(meters.meters[0], &reading, NULL), WS_E_UNKNOWN);
    board_put(&board, "class/hwmon/hwmon0/energy1_input", "6000000");
    assert_int_equal(ws_meter_read(meters.meters[0], &reading, NULL), 0);
    assert_near(reading.value, 2.0, 1e-9);
    ws_meters_fini(&meters);
    board_close(&board);
}

/* Counters are root's since Linux 5.10: such a meter is left out, not read as 0. */
static void test_permission(void **state)
{
    struct board board;
    struct ws_meters meters = {.count = 0};
    char path[256];
    (void)state;
    board_open(&board, "laptop");
    (void)snprintf(path, sizeof(path), "%s/sys/class/powercap/intel-rapl:0/energy_uj",
                   board.dir);
    assert_int_equal(chmod(path, 0400), 0);
    int is_root = geteuid() == 0;
    if (is_root) {
        assert_int_equal(chmod(board.dir, 0755), 0);
        (void)snprintf(path, sizeof(path), "%s/sys", board.dir);
        assert_int_equal(chmod(path, 0755), 0);
        assert_int_equal(seteuid(65534), 0);
        assert_int_equal(ws_meter_sysfs_discover(&meters, board.fs, NULL), 0);
        assert_int_equal(seteuid(0), 0);
    } else {
        assert_int_equal(chmod(path, 0), 0);
        assert_int_equal(ws_meter_sysfs_discover(&meters, board.fs, NULL), 0);
        assert_int_equal(chmod(path, 0400), 0);
    }
    for (size_t i = 0; i < meters.count; i++)
        assert_string_not_equal(meters.meters[i]->info.name, "rapl package-0");
    assert_int_equal(meters.count, 5);
    ws_meters_fini(&meters);
    board_close(&board);
}

/* --- NVML: a library that stands for NVIDIA's --- */

static void test_nvml(void **state)
{
    struct ws_meters meters = {.count = 0};
    struct ws_meter_reading reading;
    struct ws_error err = {0};
    const char *library = getenv("WS_FAKE_NVML");
    (void)state;
    if (ws_meter_nvml_discover(&meters, library, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(meters.count, 2);
    /* The first counts joules: 100 mJ with every reading, the one at the start too. */
    struct ws_meter *card = find(&meters, "nvml 0 Fake H200");
    assert_true(card->info.is_counter);
    assert_int_equal(card->info.boundary, WS_BOUNDARY_CARD);
    assert_int_equal(ws_meter_read(card, &reading, NULL), 0);
    assert_near(reading.value, 0.1, 1e-9);
    assert_int_equal(ws_meter_read(card, &reading, NULL), 0);
    assert_near(reading.value, 0.2, 1e-9);
    /* The second is older and tells only watts, then it is lost. */
    card = find(&meters, "nvml 1 Fake P100");
    assert_false(card->info.is_counter);
    assert_int_equal(ws_meter_read(card, &reading, NULL), 0);
    assert_near(reading.value, 31.5, 1e-9);
    assert_int_equal(ws_meter_read(card, &reading, &err), WS_E_NOT_FOUND);
    ws_meters_fini(&meters);
    assert_int_equal(ws_meter_nvml_discover(&meters, "libnvidia-none.so.1", &err), 0);
    assert_int_equal(meters.count, 0);
}

/* --- the Raspberry Pi 5's PMIC --- */

static void test_pmic_parse_rows(void **state)
{
    static const struct {
        const char *text;
        int code;
        double watts;
    } rows[] = {
        {"     VDD_CORE_A current(7)=0.70000000A\n     VDD_CORE_V volt(15)=0.90000000V\n",
         0, 0.63},
        /* The input has volts alone. */
        {"3V3_SYS_A current(1)=0.1A\n3V3_SYS_V volt(9)=3.3V\n1V8_SYS_A current(2)=0.2A\n"
         "1V8_SYS_V volt(10)=1.8V\nEXT5V_V volt(24)=5.1V\n",
         0, 0.69},
        {"", WS_E_FORMAT, 0},
        {"EXT5V_V volt(24)=5.1V\n", WS_E_FORMAT, 0},
        {"VDD_CORE_A current(7)=lotsA\nVDD_CORE_V volt(15)=0.9V\n", WS_E_FORMAT, 0},
        {"VDD_CORE_A current(7)=nanA\nVDD_CORE_V volt(15)=0.9V\n", WS_E_FORMAT, 0},
        {"VDD_CORE_A current(7)=0.7V\n", WS_E_FORMAT, 0},
        {"Command not registered\n", WS_E_FORMAT, 0},
        {"=\n", WS_E_FORMAT, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        double watts = -1;
        assert_int_equal(ws_pmic_parse(&watts, rows[i].text, strlen(rows[i].text), NULL),
                         rows[i].code);
        assert_near(watts, rows[i].code == 0 ? rows[i].watts : -1, 1e-9);
    }
}

static void test_pmic_commands(void **state)
{
    static const char *const good[] = {
        "printf", "VDD_CORE_A current(7)=0.7A\\nVDD_CORE_V volt(15)=0.9V\\n", NULL};
    static const char *const wrong[] = {"echo", "error=1 error_msg=\"Command\"", NULL};
    static const char *const dying[] = {"sh", "-c", "echo VDD_; kill -9 $$", NULL};
    static const char *const slow[] = {"sleep", "60", NULL};
    static const char *const absent[] = {"wattshed-no-such-vcgencmd", NULL};
    static const struct {
        const char *const *argv;
        int code;
    } rows[] = {{wrong, WS_E_FORMAT},
                {dying, WS_E_RUNTIME},
                {slow, WS_E_TIMEOUT},
                {absent, WS_E_NOT_FOUND}};
    struct ws_meter *meter = NULL;
    struct ws_meter_reading reading;
    (void)state;
    assert_int_equal(ws_meter_pmic_create(&meter, good, NULL), 0);
    assert_int_equal(ws_meter_read(meter, &reading, NULL), 0);
    assert_near(reading.value, 0.63, 1e-9);
    ws_meter_destroy(meter);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(ws_meter_pmic_create(&meter, rows[i].argv, NULL), rows[i].code);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_discover_boards),
        cmocka_unit_test(test_discover_shapes),
        cmocka_unit_test(test_rapl_wraps),
        cmocka_unit_test(test_readings_that_fail),
        cmocka_unit_test(test_counter_that_fell),
        cmocka_unit_test(test_permission),
        cmocka_unit_test(test_nvml),
        cmocka_unit_test(test_pmic_parse_rows),
        cmocka_unit_test(test_pmic_commands),
    };
    return cmocka_run_group_tests_name("meters", tests, NULL, NULL);
}
