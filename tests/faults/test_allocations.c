/*
 * Every parser with every allocation failing in turn: first each one alone, then each and
 * all that follow. A parser must say so and end, with nothing lost and nothing left
 * behind. The allocator is ours, in front of the C library's, so that it fails in shared
 * libraries too; it counts what is alive.
 */
#include "check.h"

#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "device/helper.h"
#include "device/meter.h"
#include "net/access.h"
#include "node/config.h"
#include "onnx/cut.h"
#include "onnx/npy.h"
#include "onnx/tensorpb.h"
#include "study/clusterfile.h"
#include "study/planfile.h"
#include "study/table.h"
#include "study/trace.h"
#include "study/workload.h"
#include "wire/encoding.h"
#include "wire/oip.h"
#include "wire/oip_load.h"
#include "wire/oip_meta.h"

/* ---- The allocator ---- */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t align, size_t size);
void __libc_free(void *block);

static long alive, asked;
static long fail_at = -1; /* the asked-th allocation; -1: none */
static int fails_on;      /* and all after it */

static int is_refused(void)
{
    long number = asked++;
    int is_it = fail_at >= 0 && (number == fail_at || (fails_on && number > fail_at));
    if (is_it)
        errno = ENOMEM;
    return is_it;
}

static void *count(void *block)
{
    alive += block != NULL;
    return block;
}

void *malloc(size_t size)
{
    return is_refused() ? NULL : count(__libc_malloc(size));
}

void *calloc(size_t number, size_t size)
{
    return is_refused() ? NULL : count(__libc_calloc(number, size));
}

void *realloc(void *old, size_t size)
{
    if (is_refused())
        return NULL;
    void *block = __libc_realloc(old, size);
    alive += old == NULL && block != NULL;
    return block;
}

void *aligned_alloc(size_t align, size_t size)
{
    return is_refused() ? NULL : count(__libc_memalign(align, size));
}

void *memalign(size_t align, size_t size)
{
    return aligned_alloc(align, size);
}

int posix_memalign(void **out, size_t align, size_t size)
{
    void *block = aligned_alloc(align, size);
    if (block != NULL)
        *out = block;
    return block != NULL ? 0 : ENOMEM;
}

void free(void *block)
{
    alive -= block != NULL;
    __libc_free(block);
}

/* ---- The parsers ---- */

typedef int (*parser)(const uint8_t *data, size_t size, struct ws_error *err);

static int parse_access(const uint8_t *data, size_t size, struct ws_error *err)
{
    struct ws_access_list list;
    int rc = ws_access_parse(&list, data, size, "f", err);
    if (rc == 0)
        ws_access_list_fini(&list);
    return rc;
}

static int parse_helper(const uint8_t *data, size_t size, struct ws_error *err)
{
    struct ws_helper_list list;
    const uint8_t *nul = size > 0 ? memchr(data, 0, size) : NULL;
    int rc = ws_helper_list_parse(&list, data, nul != NULL ? (size_t)(nul - data) : size,
                                  "f", err);
    if (rc == 0)
        ws_helper_list_fini(&list);
    return rc;
}

static int parse_encoding(const uint8_t *data, size_t size, struct ws_error *err)
{
    struct ws_buf buf;
    ws_buf_init(&buf, 0);
    int rc = size == 0 ? 0
                       : ws_encoding_decode(&buf, (enum ws_encoding)(data[0] % 5),
                                            data + 1, size - 1, 1 << 20, err);
    ws_buf_fini(&buf);
    return rc;
}

static int parse_npy(const uint8_t *data, size_t size, struct ws_error *err)
{
    struct ws_npy npy;
    struct ws_tensor tensor;
    int rc = ws_npy_view(&npy, data, size, err);
    if (rc != 0)
        return rc;
    rc = ws_npy_tensor(&tensor, &npy, err);
    if (rc == 0)
        ws_tensor_fini(&tensor);
    ws_npy_close(&npy);
    return rc;
}

static int parse_tensorpb(const uint8_t *data, size_t size, struct ws_error *err)
{
    struct ws_datum datum;
    int rc = ws_datumpb_decode(&datum, data, size, NULL, err);
    if (rc == 0)
        ws_datum_fini(&datum);
    return rc;
}

static int parse_config(const uint8_t *data, size_t size, struct ws_error *err)
{
    struct ws_config config;
    ws_config_init(&config);
    int rc = ws_config_parse(&config, data, size, "f", err);
    ws_config_fini(&config);
    return rc;
}

/* What an instrument answers to everything. */
struct reply {
    const uint8_t *data;
    size_t size;
};

static int ask(void *user, struct ws_buf *out, const char *question, struct ws_error *err)
{
    const struct reply *reply = user;
    (void)question;
    return ws_buf_add(out, reply->data, reply->size, err);
}

static int parse_meter(const uint8_t *data, size_t size, struct ws_error *err)
{
    struct ws_meter *meter = NULL;
    struct ws_meter_reading reading;
    struct reply reply = {data + 1, size - 1};
    double watts = 0;
    int rc = 0;
    if (size == 0)
        return 0;
    if (data[0] == 'S')
        rc = ws_meter_scpi_create(&meter, "bench", ask, &reply, err);
    else if (data[0] == 'H' || data[0] == 'T')
        rc = ws_meter_plug_create(&meter,
                                  data[0] == 'H' ? WS_PLUG_SHELLY : WS_PLUG_TASMOTA,
                                  "plug", ask, &reply, err);
    else
        rc = ws_pmic_parse(&watts, (const char *)data + 1, size - 1, err);
    if (rc == 0 && meter != NULL)
        rc = ws_meter_read(meter, &reading, err);
    ws_meter_destroy(meter);
    return rc;
}

static int parse_oip(const uint8_t *data, size_t size, struct ws_error *err)
{
    struct ws_oip_request request;
    struct ws_oip_reply reply;
    struct ws_oip_model model;
    struct ws_oip_load load;
    int rc = 0;
    if (size < 3)
        return 0;
    int64_t header = data[1] + 256 * data[2];
    switch (data[0]) {
    case 'B':
    case 'J':
        rc = data[0] == 'B'
                 ? ws_oip_request_parse(&request, data + 3, size - 3, header, err)
                 : ws_oip_request_parse(&request, data + 1, size - 1, WS_OIP_NO_HEADER,
                                        err);
        if (rc == 0)
            ws_oip_request_fini(&request);
        return rc;
    case 'b':
    case 'j':
        rc = data[0] == 'b'
                 ? ws_oip_reply_parse(&reply, data + 3, size - 3, header, err)
                 : ws_oip_reply_parse(&reply, data + 1, size - 1, WS_OIP_NO_HEADER, err);
        if (rc == 0)
            ws_oip_reply_fini(&reply);
        return rc;
    case 'L':
        return ws_oip_load_parse(&load, data + 3, size - 3, header, err);
    default:
        rc = ws_oip_model_parse(&model, data + 1, size - 1, err);
        if (rc == 0)
            ws_oip_model_fini(&model);
        return rc;
    }
}

static int parse_onnx(const uint8_t *data, size_t size, struct ws_error *err)
{
    struct ws_model *model = NULL;
    struct ws_graph *graph = NULL;
    struct ws_cuts *cuts = NULL;
    int rc = ws_model_open_bytes(&model, data, size, err);
    if (rc == 0)
        rc = ws_graph_create(&graph, model, err);
    if (rc == 0)
        rc = ws_cuts_create(&cuts, graph, err);
    ws_cuts_destroy(cuts);
    ws_graph_destroy(graph);
    ws_model_close(model);
    return rc;
}

static int parse_plan(const uint8_t *data, size_t size, struct ws_error *err)
{
    struct ws_plan plan;
    int rc = ws_plan_parse(&plan, data, size, "f", err);
    if (rc == 0)
        ws_plan_fini(&plan);
    return rc;
}

static int parse_testbed(const uint8_t *data, size_t size, struct ws_error *err)
{
    struct ws_testbed testbed;
    int rc = ws_testbed_parse(&testbed, data, size, "f", "", err);
    if (rc == 0)
        ws_testbed_fini(&testbed);
    return rc;
}

static int parse_cluster(const uint8_t *data, size_t size, struct ws_error *err)
{
    struct ws_cluster *cluster = calloc(1, sizeof(*cluster));
    if (cluster == NULL)
        return ws_error_nomem(err);
    int rc = ws_cluster_parse(cluster, data, size, "f", err);
    if (rc == 0)
        ws_cluster_fini(cluster);
    free(cluster);
    return rc;
}

/* A table needs a testbed; so the same text is tried as all that it may be. */
static int parse_table(const uint8_t *data, size_t size, struct ws_error *err)
{
    static const char text[] =
        "{\"name\": \"t\", \"objectives\": [\"latency_ms\", \"energy_j\"], \"knobs\": {"
        "\"cut\": {\"part\": \"shared\", \"kind\": \"ordered\", \"values\": [0, 1, 2]},"
        "\"gpu\": {\"part\": \"cloud\", \"kind\": \"nominal\", \"values\": [\"off\", "
        "\"on\"]}}}";
    struct ws_testbed testbed;
    struct ws_table table;
    struct ws_workload workload;
    struct ws_trace trace;
    struct ws_conditions link = {0};
    int rc = ws_testbed_parse(&testbed, text, strlen(text), "f", "", err);
    if (rc != 0)
        return rc;
    rc = ws_table_parse(&table, &testbed, data, size, "f", err);
    if (rc == 0)
        ws_table_fini(&table);
    if (rc != WS_E_NOMEM)
        rc = ws_workload_parse(&workload, data, size, "f", err);
    if (rc == 0)
        ws_workload_fini(&workload);
    if (rc != WS_E_NOMEM)
        rc = ws_trace_parse(&trace, data, size, "f", &link, err);
    if (rc == 0)
        ws_trace_fini(&trace);
    ws_testbed_fini(&testbed);
    return rc;
}

static int parse_json(const uint8_t *data, size_t size, struct ws_error *err)
{
    struct ws_json_doc doc;
    int rc = ws_json_parse(&doc, data, size, "f", err);
    if (rc == 0)
        ws_json_doc_fini(&doc);
    return rc;
}

static const struct {
    const char *name;
    const char *corpus;
    parser parse;
} parsers[] = {
    {"tokens", "access", parse_access},
    {"knob list", "helper", parse_helper},
    {"encodings", "encoding", parse_encoding},
    {"npy", "npy", parse_npy},
    {"protocol", "oip", parse_oip},
    {"onnx", "onnx", parse_onnx},
    {"plan", "plan", parse_plan},
    {"testbed", "testbed", parse_testbed},
    {"tables", "table", parse_table},
    {"cluster", "cluster", parse_cluster},
    {"tensorpb", "tensorpb", parse_tensorpb},
    {"config", "config", parse_config},
    {"meter", "meter", parse_meter},
    {"json", "plan", parse_json},
};

/* ---- The campaign ---- */

enum { SEED_BYTES_MAX = 20000, TRIALS_MAX = 3000 };

struct tally {
    size_t seeds, faults, told;
};

/* The seed once with one allocation failing, or that and all that follow. */
static void try_once(struct tally *tally, parser parse, const char *name,
                     const uint8_t *data, size_t size, long at, int goes_on, int clean_rc)
{
    struct ws_error err = {0};
    long before = alive;
    asked = 0;
    fails_on = goes_on;
    fail_at = at;
    int rc = parse(data, size, &err);
    fail_at = -1;
    int was_reached = asked > at;
    ERR_clear_error(); /* libcrypto remembers its own failures */
    if (alive != before)
        fail_msg("%s: allocation %ld failed, %ld blocks left behind", name, at,
                 alive - before);
    if (rc > 0 || (rc != 0 && (err.code != rc || err.text[0] == '\0')))
        fail_msg("%s: allocation %ld failed: code %d, line \"%s\"", name, at, rc,
                 err.text);
    if (rc == 0 && clean_rc != 0)
        fail_msg("%s: allocation %ld failed, and what is wrong was taken", name, at);
    tally->faults += was_reached != 0;
    tally->told += was_reached && rc == WS_E_NOMEM;
}

static void try_seed(struct tally *tally, parser parse, const char *name,
                     const uint8_t *data, size_t size)
{
    struct ws_error err = {0};
    (void)parse(data, size, &err); /* whatever a library keeps, it has now */
    asked = 0;
    int clean_rc = parse(data, size, &err);
    long all = asked, step = all > TRIALS_MAX ? all / TRIALS_MAX + 1 : 1;
    tally->seeds++;
    for (long at = 0; at < all; at += step) {
        for (int goes_on = 0; goes_on <= 1; goes_on++)
            try_once(tally, parse, name, data, size, at, goes_on, clean_rc);
    }
}

static void test_allocations(void **state)
{
    const char *root = getenv("WS_SOURCE_ROOT");
    size_t faults = 0;
    (void)state;
    assert_non_null(root);
    ERR_raise(ERR_LIB_USER, 1); /* where it remembers them, it has now */
    ERR_clear_error();
    for (size_t p = 0; p < sizeof(parsers) / sizeof(parsers[0]); p++) {
        struct tally tally = {0};
        const struct dirent *entry;
        char path[1024];
        (void)snprintf(path, sizeof(path), "%s/fuzz/corpus/%s", root, parsers[p].corpus);
        DIR *dir = opendir(path);
        assert_non_null(dir);
        while ((entry = readdir(dir)) != NULL) {
            struct ws_buf buf;
            if (entry->d_name[0] == '.')
                continue;
            (void)snprintf(path, sizeof(path), "%s/fuzz/corpus/%s/%s", root,
                           parsers[p].corpus, entry->d_name);
            ws_buf_init(&buf, 0);
            assert_int_equal(ws_file_read(&buf, path, NULL), 0);
            if (buf.size <= SEED_BYTES_MAX)
                try_seed(&tally, parsers[p].parse, path,
                         buf.data == NULL ? (const uint8_t *)"" : (uint8_t *)buf.data,
                         buf.size);
            ws_buf_fini(&buf);
        }
        (void)closedir(dir);
        printf("%-10s %4zu seeds, %7zu allocations failed, %7zu of them told as such\n",
               parsers[p].name, tally.seeds, tally.faults, tally.told);
        assert_true(tally.seeds > 0);
        faults += tally.faults;
    }
    printf("%zu faults in all, nothing left behind\n", faults);
    assert_true(faults > 1000);
}

/* The allocator itself can fail, or nothing above has shown anything. */
static void test_allocator(void **state)
{
    (void)state;
    long before = alive;
    asked = 0;
    fail_at = 1;
    void *first = malloc(10), *second = malloc(10), *third = malloc(10);
    fail_at = -1;
    assert_non_null(first);
    assert_null(second);
    assert_non_null(third);
    assert_int_equal(alive, before + 2);
    free(first);
    free(third);
    assert_int_equal(alive, before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allocator),
        cmocka_unit_test(test_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
