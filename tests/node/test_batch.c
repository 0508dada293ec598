/* A batch over real nodes, each a process of its own that can be killed and stopped, and
 * that passes for a slow board, so that times mean something here. How often one is
 * killed: WS_KILLS, a few by default; tools/soak asks for two hundred. */
#include "check.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/parse.h"
#include "base/rng.h"
#include "base/stats.h"
#include "node/batch.h"
#include "node/measure.h"
#include "onnx/npy.h"

enum { NODES = 3, VARIANTS = 4, REPEATS = 10, KILLS = 4, CLASSES = 10 };

static const char *const boards[NODES] = {"xu4", "pi4", "nano"};

static const char *const variants[VARIANTS] = {"w4", "w6", "w6_int8", "w10"};

struct process {
    const char *board;
    pid_t pid;
    char url[80];
    char listen[80]; /* the same address again after a kill */
};

struct scene {
    struct process nodes[NODES];
    struct ws_cluster cluster;
    struct ws_tensor inputs; /* [120 * REPEATS, ...] */
    struct ws_tensor labels;
    struct ws_tensor expected[VARIANTS]; /* [120, CLASSES]: what each variant gives */
    struct ws_tensor few;                /* [120, ...] */
};

/* Starts `wattshed node` and reads the address that it prints. */
static void start_node(struct process *process)
{
    char paths[VARIANTS][512], board[512];
    int ends[2];
    size_t size = 0;
    for (size_t j = 0; j < VARIANTS; j++)
        snprintf(paths[j], sizeof(paths[j]), "%s/etc/cifar/%s.onnx",
                 getenv("WS_SOURCE_ROOT"), variants[j]);
    snprintf(board, sizeof(board), "%s/etc/clusters/cifar/%s.json",
             getenv("WS_SOURCE_ROOT"), process->board);
    assert_int_equal(pipe(ends), 0);
    process->pid = fork();
    assert_true(process->pid >= 0);
    if (process->pid == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)close(ends[0]);
        (void)close(ends[1]);
        execl(getenv("WS_PROGRAM"), "wattshed", "node", "--threads", "1", "--emulate",
              board, "--listen", process->listen, paths[0], paths[1], paths[2], paths[3],
              (char *)NULL);
        _exit(127);
    }
    (void)close(ends[1]);
    memset(process->url, 0, sizeof(process->url));
    while (size + 1 < sizeof(process->url) && strchr(process->url, '\n') == NULL) {
        ssize_t got = read(ends[0], process->url + size, sizeof(process->url) - 1 - size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            fail_msg("the node did not start");
        size += (size_t)got;
    }
    (void)close(ends[0]);
    *strchr(process->url, '\n') = '\0';
    assert_int_equal(strncmp(process->url, "http://", 7), 0);
    snprintf(process->listen, sizeof(process->listen), "%s", process->url + 7);
}

static void kill_node(struct process *process)
{
    if (process->pid <= 0) /* it never started; 0 would be all of us */
        return;
    (void)kill(process->pid, SIGKILL);
    while (waitpid(process->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    process->pid = 0;
}

static void load(struct ws_tensor *out, const char *name)
{
    char path[512];
    struct ws_error err = {0};
    snprintf(path, sizeof(path), "%s/etc/cifar/%s", getenv("WS_SOURCE_ROOT"), name);
    if (ws_npy_load(out, path, &err) != 0)
        fail_msg("%s", err.text);
}

/* Speeds need not be true here: the dispatcher learns them. */
static void make_cluster(struct scene *scene)
{
    struct ws_cluster *cluster = &scene->cluster;
    cluster->model = strdup("cifar");
    cluster->variant_count = VARIANTS;
    cluster->node_count = NODES;
    for (size_t j = 0; j < VARIANTS; j++)
        cluster->variants[j] =
            (struct ws_cluster_variant){.name = strdup(variants[j]),
                                        .knows_accuracy = 1,
                                        .accuracy = 0.66 + 0.05 * (double)j};
    for (size_t i = 0; i < NODES; i++) {
        char name[8];
        snprintf(name, sizeof(name), "n%zu", i);
        cluster->nodes[i] = (struct ws_cluster_node){.name = strdup(name),
                                                     .url = strdup(scene->nodes[i].url),
                                                     .is_measured = 1,
                                                     .delay_s = 0.0002,
                                                     .send_s = 0.00001,
                                                     .request_s = 0.0001};
        for (size_t j = 0; j < VARIANTS; j++)
            cluster->nodes[i].speeds[j] = (struct ws_cluster_speed){
                .is_here = 1,
                .is_measured = 1,
                .image_s = 0.0001 * (double)(1 + j * j) * (double)(i + 1)};
    }
}

static int setup(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    *state = scene;
    for (size_t i = 0; i < NODES; i++) {
        scene->nodes[i].board = boards[i];
        snprintf(scene->nodes[i].listen, sizeof(scene->nodes[i].listen), "127.0.0.1:0");
        start_node(&scene->nodes[i]);
    }
    make_cluster(scene);
    load(&scene->few, "pictures.npy");
    load(&scene->labels, "labels.npy");
    int64_t dims[WS_TENSOR_RANK_MAX];
    memcpy(dims, scene->few.dims, sizeof(dims));
    dims[0] *= REPEATS;
    assert_int_equal(
        ws_tensor_init(&scene->inputs, scene->few.dtype, dims, scene->few.rank, NULL), 0);
    for (size_t r = 0; r < REPEATS; r++)
        memcpy((char *)scene->inputs.data + r * scene->few.size_bytes, scene->few.data,
               scene->few.size_bytes);
    return 0;
}

static int teardown(void **state)
{
    struct scene *scene = *state;
    for (size_t i = 0; i < NODES; i++)
        kill_node(&scene->nodes[i]);
    for (size_t j = 0; j < VARIANTS; j++)
        ws_tensor_fini(&scene->expected[j]);
    ws_tensor_fini(&scene->inputs);
    ws_tensor_fini(&scene->few);
    ws_tensor_fini(&scene->labels);
    ws_cluster_fini(&scene->cluster);
    free(scene);
    return 0;
}

static void run(struct ws_batch_result *out, const struct ws_batch_options *options)
{
    struct ws_error err = {0};
    if (ws_batch_run(out, options, &err) != 0)
        fail_msg("%s", err.text);
}

/* What each variant answers, from one node that has only it. */
static void test_run_one_variant(void **state)
{
    struct scene *scene = *state;
    for (size_t j = 0; j < VARIANTS; j++) {
        struct ws_cluster only = {
            .model = scene->cluster.model, .variant_count = 1, .node_count = 1};
        struct ws_batch_result result;
        only.variants[0] = scene->cluster.variants[j];
        only.nodes[0] = scene->cluster.nodes[0];
        const struct ws_batch_options options = {.cluster = &only, .inputs = &scene->few};
        run(&result, &options);
        assert_int_equal(result.counts[0][0], scene->few.dims[0]);
        scene->expected[j] = result.outputs;
        result.outputs = (struct ws_tensor){0};
        ws_batch_result_fini(&result);
    }
}

/* Every row is the answer of the variant that is said to have given it, to the rounding
 * of kernels that depends on how many images a request had. */
static void check_rows(const struct scene *scene, const struct ws_batch_result *result)
{
    size_t images = (size_t)scene->inputs.dims[0], few = (size_t)scene->few.dims[0];
    size_t counted = 0;
    assert_int_equal(result->outputs.dims[0], images);
    for (size_t i = 0; i < images; i++) {
        const float *row = (const float *)result->outputs.data + i * CLASSES;
        const struct ws_tensor *of = &scene->expected[result->variant[i]];
        const float *expected = (const float *)of->data + i % few * CLASSES;
        for (size_t c = 0; c < CLASSES; c++)
            assert_near(row[c], expected[c], 1e-3);
    }
    for (size_t n = 0; n < NODES; n++) {
        for (size_t j = 0; j < VARIANTS; j++)
            counted += result->counts[n][j];
    }
    assert_int_equal(counted, images);
    assert_int_equal(result->state.done, images);
}

static void test_run_gives_every_result(void **state)
{
    struct scene *scene = *state;
    struct ws_batch_result result;
    const struct ws_batch_options options = {.cluster = &scene->cluster,
                                             .inputs = &scene->inputs,
                                             .min_accuracy = 0.65,
                                             .images_per_s = 1500};
    run(&result, &options);
    check_rows(scene, &result);
    assert_true(result.state.accuracy >= 0.65 - 1e-9);
    assert_true(result.time_s > 0);
    ws_batch_result_fini(&result);
}

struct killer {
    struct process *process;
    int64_t kill_ns, restart_ns; /* from the start; restart 0: not */
    int signal;                  /* SIGKILL, or SIGSTOP */
};

static void *strike(void *user)
{
    struct killer *killer = user;
    int64_t start_ns = ws_clock_now_ns();
    ws_clock_sleep_until(start_ns + killer->kill_ns);
    (void)kill(killer->process->pid, killer->signal);
    return NULL;
}

/* After the batch: a killed node is started again at its address. */
static void mend(struct process *process)
{
    kill_node(process);
    start_node(process);
}

/* The least time from now on in which those who are left can do what is left, as a
 * planner sees it that knows at once. */
static double ideal_s(const struct ws_cluster *cluster, size_t images, size_t dead)
{
    struct ws_share *share = NULL;
    struct ws_share_plan plan;
    struct ws_share_level levels[NODES];
    struct ws_share_node left[NODES];
    struct ws_share_problem problem = {.nodes = left, .images = images};
    for (size_t i = 0; i < NODES; i++) {
        levels[i] = (struct ws_share_level){
            cluster->nodes[i].speeds[VARIANTS - 1].image_s, 0.8, 0};
        if (i != dead)
            left[problem.node_count++] = (struct ws_share_node){&levels[i], 1, 0};
    }
    assert_int_equal(ws_share_create(&share, NULL), 0);
    assert_int_equal(ws_share_solve(&plan, share, &problem, NULL), 0);
    ws_share_destroy(share);
    return plan.time_s;
}

/* A node dies at a random point: nothing lost, doubled or wrong. Everything is asked for
 * at the greatest accuracy, so that time is what gives. */
static void test_run_survives_kills(void **state)
{
    struct scene *scene = *state;
    struct ws_batch_result result;
    struct ws_rng rng;
    size_t kills = KILLS, struck = 0, reissued = 0;
    const char *asked = getenv("WS_KILLS");
    if (asked != NULL)
        assert_int_equal(ws_parse_size(&kills, asked, 1, 100000, "WS_KILLS", NULL), 0);
    double *added_s = calloc(kills, sizeof(*added_s));
    double *over_s = calloc(kills, sizeof(*over_s));
    ws_rng_init(&rng, 5);
    const struct ws_batch_options options = {
        .cluster = &scene->cluster, .inputs = &scene->inputs, .patience_ms = 60000};
    run(&result, &options);
    double calm_s = result.time_s;
    ws_batch_result_fini(&result);
    for (size_t k = 0; k < kills; k++) {
        pthread_t thread;
        size_t node = ws_rng_below(&rng, NODES);
        struct killer killer = {.process = &scene->nodes[node],
                                .kill_ns = (int64_t)(1e9 * calm_s * ws_rng_uniform(&rng)),
                                .signal = SIGKILL};
        assert_int_equal(pthread_create(&thread, NULL, strike, &killer), 0);
        run(&result, &options);
        (void)pthread_join(thread, NULL);
        check_rows(scene, &result);
        reissued += result.state.reissued;
        if (result.loss_s >= 0) {
            size_t left = (size_t)scene->inputs.dims[0] - result.at_loss.done;
            double best_s = result.loss_s + ideal_s(&scene->cluster, left, node);
            added_s[struck] = result.time_s - calm_s;
            over_s[struck++] = result.time_s - best_s;
        }
        ws_batch_result_fini(&result);
        mend(killer.process);
    }
    print_message(
        "%zu kills, %zu during the batch of %.3f s; %zu inputs went out again; ", kills,
        struck, calm_s, reissued);
    if (struck > 0)
        print_message("median %.3f s longer, %.3f s over an ideal plan of what was left",
                      ws_stats_median(added_s, struck), ws_stats_median(over_s, struck));
    print_message("\n");
    free(over_s);
    free(added_s);
}

/* A node that answers no more, but whose connections stay: its chunks go elsewhere, and
 * the batch does not wait for it. */
static void test_run_passes_by_a_hung_node(void **state)
{
    struct scene *scene = *state;
    struct ws_batch_result result;
    pthread_t thread;
    struct killer killer = {.process = &scene->nodes[0], .signal = SIGSTOP};
    const struct ws_batch_options options = {.cluster = &scene->cluster,
                                             .inputs = &scene->inputs,
                                             .patience_ms = 60000,
                                             .timeout_ms = 300000};
    /* While connections are made, or just after. */
    killer.kill_ns = 30000000;
    assert_int_equal(pthread_create(&thread, NULL, strike, &killer), 0);
    int64_t start_ns = ws_clock_now_ns();
    run(&result, &options);
    (void)pthread_join(thread, NULL);
    assert_true(ws_clock_now_ns() - start_ns < 200000000000);
    check_rows(scene, &result);
    ws_batch_result_fini(&result);
    (void)kill(scene->nodes[0].pid, SIGCONT);
}

static void test_run_says_what_is_wrong(void **state)
{
    struct scene *scene = *state;
    struct ws_batch_result result;
    struct ws_error err = {0};
    struct ws_cluster broken = scene->cluster;
    struct ws_batch_options options = {
        .cluster = &broken, .inputs = &scene->few, .patience_ms = 300, .retry_ms = 50};
    char nowhere[] = "http://127.0.0.1:1", stranger[] = "w99";

    broken.node_count = 1;
    broken.nodes[0].url = nowhere;
    assert_int_equal(ws_batch_run(&result, &options, &err), WS_E_IO);
    assert_non_null(strstr(err.text, "node n0"));
    assert_non_null(strstr(err.text, "120 of 120"));

    broken = scene->cluster;
    broken.variants[1].name = stranger;
    assert_int_equal(ws_batch_run(&result, &options, &err), WS_E_REMOTE);
    assert_non_null(strstr(err.text, "w99"));

    broken = scene->cluster;
    broken.nodes[1].is_measured = 0;
    assert_int_equal(ws_batch_run(&result, &options, &err), WS_E_UNKNOWN);

    /* Labels for pictures: every node refuses them. */
    broken = scene->cluster;
    options.inputs = &scene->labels;
    assert_true(ws_batch_run(&result, &options, &err) != 0);
    assert_non_null(strstr(err.text, "pixels"));
}

/* One node of three is not there, or nobody knows where: the others do it all. */
static void test_run_without_one(void **state)
{
    struct scene *scene = *state;
    struct ws_batch_result result;
    struct ws_cluster lacking = scene->cluster;
    char nowhere[] = "http://127.0.0.1:1", unknown[] = "";
    char *urls[] = {nowhere, unknown};
    const struct ws_batch_options options = {.cluster = &lacking,
                                             .inputs = &scene->inputs};
    for (size_t u = 0; u < 2; u++) {
        lacking.nodes[0].url = urls[u];
        run(&result, &options);
        check_rows(scene, &result);
        for (size_t j = 0; j < VARIANTS; j++)
            assert_int_equal(result.counts[0][j], 0);
        assert_int_equal(result.state.up, NODES - 1);
        ws_batch_result_fini(&result);
    }
}

static void test_measure_fills_in(void **state)
{
    struct scene *scene = *state;
    struct ws_cluster measured = scene->cluster; /* whose strings it shares */
    const struct ws_measure_options options = {
        .inputs = &scene->few, .labels = &scene->labels, .rounds = 3, .many = 16};
    struct ws_error err = {0};
    for (size_t i = 0; i < NODES; i++)
        measured.nodes[i].is_measured = 0;
    if (ws_measure_cluster(&measured, &options, &err) != 0)
        fail_msg("%s", err.text);
    for (size_t j = 0; j < VARIANTS; j++) {
        double top1 = 0.0;
        assert_int_equal(
            ws_measure_top1(&top1, &scene->expected[j], &scene->labels, NULL), 0);
        assert_near(measured.variants[j].accuracy, top1, 1e-12);
        assert_int_equal(measured.variants[j].samples, scene->few.dims[0]);
        assert_true(top1 > 0.5 && top1 < 1);
    }
    for (size_t i = 0; i < NODES; i++) {
        assert_true(measured.nodes[i].is_measured);
        for (size_t j = 0; j < VARIANTS; j++) {
            assert_true(measured.nodes[i].speeds[j].is_measured);
            assert_true(measured.nodes[i].speeds[j].image_s > 0);
            assert_true(measured.nodes[i].speeds[j].knows_energy);
            assert_true(measured.nodes[i].speeds[j].image_j > 0);
        }
    }
    assert_int_equal(ws_cluster_check_measured(&measured, &err), 0);
    scene->cluster = measured;
    struct ws_tensor none = scene->few;
    none.dims[0] = 1;
    const struct ws_measure_options little = {.inputs = &none};
    assert_int_equal(ws_measure_cluster(&measured, &little, &err), WS_E_TYPE);
}

static void test_refresh_moves_half_way(void **state)
{
    struct scene *scene = *state;
    struct ws_cluster cluster = scene->cluster;
    struct ws_batch_result *result = calloc(1, sizeof(*result));
    double before = cluster.nodes[1].speeds[2].image_s;
    result->image_s[1][2] = 3 * before;
    result->image_s[1][3] = 0.5 * cluster.nodes[1].send_s; /* the link's own pace */
    ws_measure_refresh(&cluster, result);
    assert_near(cluster.nodes[1].speeds[2].image_s, 2 * before, 1e-12);
    assert_near(cluster.nodes[1].speeds[3].image_s,
                scene->cluster.nodes[1].speeds[3].image_s, 0);
    assert_near(cluster.nodes[0].speeds[2].image_s,
                scene->cluster.nodes[0].speeds[2].image_s, 0);
    free(result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_run_one_variant),  /* the others' reference */
        cmocka_unit_test(test_measure_fills_in), /* and their speeds */
        cmocka_unit_test(test_run_gives_every_result),
        cmocka_unit_test(test_run_survives_kills),
        cmocka_unit_test(test_run_passes_by_a_hung_node),
        cmocka_unit_test(test_run_without_one),
        cmocka_unit_test(test_run_says_what_is_wrong),
        cmocka_unit_test(test_refresh_moves_half_way),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
