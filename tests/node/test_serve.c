/*
 * The edge daemon on a free port, with a node beside it and a plan of four settings:
 * what clients see of it, and that every request gets the right answer while nodes and
 * plans come and go.
 */
#include "check.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "net/listen.h"
#include "node/serve.h"
#include "scene.h"
#include "study/cluster_study.h"
#include "study/testbed.h"
#include "wire/oip.h"

static const char knobs[] =
    "{\"name\": \"t\", \"objectives\": [\"latency_ms\"], \"knobs\": {\"cut\": {\"part\": "
    "\"shared\", \"kind\": \"ordered\", \"values\": [0, 17, 39, 58]}}}";

/* Times that are about right on any machine do not matter here: what is cheap does. */
struct row {
    double edge_ms, transfer_ms, cloud_ms, energy_j, accuracy, bytes;
};
static const struct row sends_all[] = {{0.1, 1, 5, 0.1, 0.9, 9216},
                                       {1, 1, 4, 0.2, 0.9, 4608},
                                       {3, 1, 2, 0.3, 0.9, 1152},
                                       {5, 0, 0, 0.4, 0.5, 0}};
static const struct row sends_nothing[] = {{0.1, 1, 5, 1, 0.9, 9216},
                                           {1, 1, 4, 1, 0.9, 4608},
                                           {3, 1, 2, 1, 0.9, 1152},
                                           {5, 0, 0, 0.01, 0.5, 0}};

/* What a crew of these tests owns. */
struct outfit {
    struct ws_testbed testbed;
    struct ws_plan plan;
    struct ws_executor *executor;
    char url[80];
    const char *urls[2];
    atomic_int *retired;
};

static void retire(void *owner)
{
    struct outfit *outfit = owner;
    ws_executor_destroy(outfit->executor);
    free(outfit->plan.entries);
    ws_testbed_fini(&outfit->testbed);
    if (outfit->retired != NULL)
        atomic_fetch_add(outfit->retired, 1);
    free(outfit);
}

static struct ws_serve_crew make_crew(const struct scene *scene, const struct row *rows,
                                      size_t node_count, atomic_int *retired)
{
    struct outfit *outfit = calloc(1, sizeof(*outfit));
    const struct ws_executor_variant variant = {.name = "base", .path = scene->model};
    struct ws_error err = {0};
    assert_non_null(outfit);
    outfit->retired = retired;
    assert_int_equal(
        ws_testbed_parse(&outfit->testbed, knobs, strlen(knobs), "t.json", "", &err), 0);
    outfit->plan.space = outfit->testbed.space; /* borrowed */
    ws_conditions_set(&outfit->plan.conditions, WS_LINK_MBIT_S, 1000);
    outfit->plan.entry_count = 4;
    outfit->plan.entries = calloc(4, sizeof(*outfit->plan.entries));
    for (size_t i = 0; i < 4; i++) {
        struct ws_outcome *outcome = &outfit->plan.entries[i].outcome;
        outfit->plan.entries[i].setting.value[0] = (uint16_t)i;
        ws_outcome_set(outcome, WS_EDGE_MS, rows[i].edge_ms);
        ws_outcome_set(outcome, WS_TRANSFER_MS, rows[i].transfer_ms);
        ws_outcome_set(outcome, WS_CLOUD_MS, rows[i].cloud_ms);
        ws_outcome_set(outcome, WS_LATENCY_MS,
                       rows[i].edge_ms + rows[i].transfer_ms + rows[i].cloud_ms);
        ws_outcome_set(outcome, WS_ENERGY_J, rows[i].energy_j);
        ws_outcome_set(outcome, WS_ACCURACY, rows[i].accuracy);
        ws_outcome_set(outcome, WS_TENSOR_BYTES, rows[i].bytes);
    }
    const struct ws_executor_options options = {
        .space = &outfit->plan.space,
        .variants = &variant,
        .variant_count = 1,
        .engine = {.threads = 1},
        .splitter = {.level = WS_LEVEL_ALL},
    };
    assert_int_equal(ws_executor_create(&outfit->executor, &options, &err), 0);
    /* The second is nobody's: a port that refuses. */
    (void)snprintf(outfit->url, sizeof(outfit->url), "%s", scene->url);
    outfit->urls[0] = outfit->url;
    outfit->urls[1] = "http://127.0.0.1:9";
    struct ws_serve_crew crew = {
        .pilot = {.plan = &outfit->plan,
                  .agent = {.flights_max = 8,
                            .order = WS_AGENT_DEADLINE,
                            .policy_options = {.guard = 0.95}},
                  .executor = outfit->executor,
                  .nodes = outfit->urls,
                  .node_count = node_count},
        .name = "digits",
        .boundary = "none",
        .owner = outfit,
        .retire = retire,
    };
    assert_int_equal(ws_policy_find(&crew.pilot.agent.policy, "wattshed", NULL), 0);
    return crew;
}

static struct ws_serve *start(const struct ws_serve_crew *crew)
{
    struct ws_serve *serve = NULL;
    struct ws_error err = {0};
    const struct ws_serve_options options = {.guard = {.listen = "127.0.0.1:0"},
                                             .crew = *crew};
    if (ws_serve_start(&serve, &options, &err) != 0)
        print_error("%s\n", err.text);
    assert_non_null(serve);
    return serve;
}

static struct ws_http_client *connect_to(const struct ws_serve *serve)
{
    struct ws_http_client *client = NULL;
    const struct ws_http_client_options options = {.timeout_ms = 60000};
    assert_int_equal(ws_http_client_create(&client, ws_serve_url(serve), &options, NULL),
                     0);
    return client;
}

/* One request; its status, and the reply where that is 200. */
static int ask(struct ws_oip_reply *reply, struct ws_http_client *client,
               const struct ws_tensor *input, const struct ws_oip_request *like,
               char why[static 256])
{
    struct ws_oip_tensor tensor = {
        .name = (char *)(uintptr_t) "pixels", .tensor = *input, .is_binary = 1};
    struct ws_oip_request request = *like;
    struct ws_oip_message message;
    struct ws_http_answer answer;
    struct ws_error err = {0};
    char header[80];
    int64_t header_size = 0;
    request.inputs = &tensor;
    request.input_count = 1;
    request.binary_outputs = 1;
    assert_int_equal(ws_oip_request_build(&message, &request, &err), 0);
    (void)snprintf(header, sizeof(header), "Inference-Header-Content-Length: %lld",
                   (long long)message.header_size);
    const struct ws_http_call call = {.method = "POST",
                                      .path = "/v2/models/digits/infer",
                                      .parts = message.parts,
                                      .part_count = message.part_count,
                                      .headers = {header}};
    int rc = ws_http_client_call(&answer, client, &call, &err);
    ws_oip_message_fini(&message);
    if (rc != 0) {
        (void)snprintf(why, 256, "%.200s", err.text);
        return 0;
    }
    if (answer.status != 200) {
        ws_oip_error_parse(why, 256, answer.body, answer.body_size);
        return answer.status;
    }
    assert_int_equal(
        ws_oip_header_size(&header_size, answer.header_size, answer.body_size, NULL), 0);
    assert_int_equal(
        ws_oip_reply_parse(reply, answer.body, answer.body_size, header_size, NULL), 0);
    return 200;
}

/* Asks and demands the right answer; the value of a parameter of the reply. */
static void expect(char out[static 64], struct ws_http_client *client,
                   const struct scene *scene, const struct ws_oip_request *like,
                   const char *parameter)
{
    struct ws_tensor input = scene_input(1, 7),
                     whole = scene_expected(scene, 0, 0, &input);
    struct ws_oip_reply reply = {0};
    char why[256] = "";
    int status = ask(&reply, client, &input, like, why);
    if (status != 200)
        print_error("%d: %s\n", status, why);
    assert_int_equal(status, 200);
    assert_int_equal(reply.output_count, 1);
    assert_int_equal(reply.outputs[0].tensor.size_bytes, whole.size_bytes);
    for (size_t i = 0; i < 10; i++)
        assert_near(((float *)reply.outputs[0].tensor.data)[i], ((float *)whole.data)[i],
                    1e-3);
    const json_t *value = json_object_get(reply.parameters, parameter);
    char *dump = json_dumps(value, JSON_ENCODE_ANY);
    (void)snprintf(out, 64, "%s", dump == NULL ? "" : dump);
    free(dump);
    ws_oip_reply_fini(&reply);
    ws_tensor_fini(&input);
    ws_tensor_fini(&whole);
}

static void test_serve_answers(void **state)
{
    const struct scene *scene = *state;
    struct ws_serve_crew crew = make_crew(scene, sends_all, 1, NULL);
    const struct ws_policy_ops *more = NULL;
    assert_int_equal(ws_policy_find(&more, "fastest", NULL), 0);
    crew.pilot.agent.more = &more;
    crew.pilot.agent.more_count = 1;
    struct ws_serve *serve = start(&crew);
    struct ws_http_client *client = connect_to(serve);
    char value[64];
    expect(value, client, scene, &(struct ws_oip_request){.timeout_us = 10000000},
           "setting.cut");
    assert_string_equal(value, "\"0\"");
    expect(value, client, scene, &(struct ws_oip_request){.timeout_us = 10000000}, "met");
    assert_string_equal(value, "true");
    expect(value, client, scene, &(struct ws_oip_request){0}, "node");
    assert_non_null(strstr(value, scene->url));
    /* Without a deadline there is none to meet. */
    expect(value, client, scene, &(struct ws_oip_request){0}, "met");
    assert_string_equal(value, "");
    expect(value, client, scene,
           &(struct ws_oip_request){.policy = (char *)(uintptr_t) "fastest"}, "policy");
    assert_string_equal(value, "\"fastest\"");
    expect(value, client, scene, &(struct ws_oip_request){.min_accuracy = 0.8},
           "setting.cut");
    assert_string_not_equal(value, "\"58\"");
    ws_http_client_destroy(client);
    ws_serve_stop(serve, 5000);
}

/* A cluster of two nodes, which are one process here, as a file; to be unlinked. */
static struct ws_batcher *make_batcher(const struct scene *scene, const char *study)
{
    char text[2048], path[] = "/tmp/test_serve.XXXXXX";
    struct ws_batcher *batcher = NULL;
    struct ws_error err = {0};
    const struct ws_http_identity nobody = {0};
    static const char format[] =
        "{\"format\": \"wattshed-cluster\", \"version\": 1, \"model\": \"digits\",\n"
        " \"variants\": {\"digits\": {\"accuracy\": 0.9}}, \"nodes\": [\n"
        "  {\"name\": \"a\", \"url\": \"%s\", \"profile\": {\"delay_ms\": 1,\n"
        "   \"send_ms\": 0.1, \"request_ms\": 0.5, \"variants\":\n"
        "   {\"digits\": {\"image_ms\": 2, \"image_j\": 0.5}}}},\n"
        "  {\"name\": \"b\", \"url\": \"%s\", \"profile\": {\"delay_ms\": 1,\n"
        "   \"send_ms\": 0.1, \"request_ms\": 0.5, \"variants\":\n"
        "   {\"digits\": {\"image_ms\": 2, \"image_j\": 0.25}}}}]}";
    int size = snprintf(text, sizeof(text), format, scene->url, scene->url);
    int fd = mkstemp(path);
    assert_true(fd >= 0 && size < (int)sizeof(text));
    assert_int_equal(write(fd, text, (size_t)size), size);
    (void)close(fd);
    if (ws_batcher_open(&batcher, path, study, &nobody, &err) != 0)
        fail_msg("%s", err.text);
    (void)unlink(path);
    return batcher;
}

static double number_of(const struct ws_oip_reply *reply, const char *key)
{
    const json_t *value = json_object_get(reply->parameters, key);
    return json_is_number(value) ? json_number_value(value) : -1.0;
}

/* A batch is shared, each input has its own answer, and the reply says what it came to.
 */
static void test_serve_shares_batches(void **state)
{
    enum { IMAGES = 40 };
    const struct scene *scene = *state;
    char study[] = "/tmp/test_serve.XXXXXX";
    (void)close(mkstemp(study));
    struct ws_serve_crew crew = make_crew(scene, sends_all, 1, NULL);
    crew.batcher = make_batcher(scene, study);
    struct ws_serve *serve = start(&crew);
    struct ws_http_client *client = connect_to(serve);
    struct ws_tensor input = scene_input(IMAGES, 7),
                     whole = scene_expected(scene, 0, 0, &input);
    const struct ws_oip_request asked[] = {
        {.images_per_s = 0.5, .min_accuracy = 0.8},
        {.minimise = (char *)(uintptr_t) "energy"},
        {.images_per_s = 1e8, .timeout_us = 3600000000},
    };
    char why[256] = "";
    for (size_t a = 0; a < 3; a++) {
        struct ws_oip_reply reply = {0};
        int status = ask(&reply, client, &input, &asked[a], why);
        if (status != 200)
            print_error("%d: %s\n", status, why);
        assert_int_equal(status, 200);
        assert_int_equal(reply.output_count, 1);
        assert_string_equal(reply.outputs[0].name,
                            ws_splitter_graph(scene->splitter)
                                ->values[ws_splitter_graph(scene->splitter)->outputs[0]]
                                .name);
        assert_int_equal(reply.outputs[0].tensor.dims[0], IMAGES);
        assert_int_equal(reply.outputs[0].tensor.size_bytes, whole.size_bytes);
        for (size_t i = 0; i < (size_t)IMAGES * 10; i++)
            assert_near(((float *)reply.outputs[0].tensor.data)[i],
                        ((float *)whole.data)[i], 1e-3);
        double on_a = fmax(0, number_of(&reply, "share.a.digits"));
        double on_b = fmax(0, number_of(&reply, "share.b.digits"));
        assert_near(on_a + on_b, IMAGES, 0);
        assert_near(number_of(&reply, "energy_j"), 0.5 * on_a + 0.25 * on_b, 1e-6);
        assert_near(number_of(&reply, "accuracy"), 0.9, 1e-9);
        assert_near(number_of(&reply, "planned_accuracy"), 0.9, 1e-9);
        assert_true(number_of(&reply, "images_per_s") > 0);
        assert_int_equal(
            json_is_true(json_object_get(reply.parameters, "meets_images_per_s")), a < 2);
        assert_true(json_is_true(json_object_get(reply.parameters, "meets_accuracy")));
        ws_oip_reply_fini(&reply);
    }
    /* What the batches showed is kept. */
    struct ws_cluster *kept = calloc(1, sizeof(*kept));
    assert_int_equal(ws_cluster_study_load(kept, study, "digits", NULL), 0);
    assert_true(kept->nodes[0].speeds[0].image_s != 0.002 ||
                kept->nodes[1].speeds[0].image_s != 0.002);
    ws_cluster_fini(kept);
    free(kept);
    (void)unlink(study);

    struct ws_oip_reply reply;
    const struct ws_oip_request soon = {.images_per_s = 1, .timeout_us = 1};
    assert_int_equal(ask(&reply, client, &input, &soon, why), 503);
    const struct ws_oip_request wrong = {.minimise = (char *)(uintptr_t) "time"};
    assert_int_equal(ask(&reply, client, &input, &wrong, why), 400);
    assert_non_null(strstr(why, "\"time\" is not known"));
    ws_http_client_destroy(client);
    ws_serve_stop(serve, 5000);
    ws_batcher_close(crew.batcher);

    crew = make_crew(scene, sends_all, 1, NULL);
    serve = start(&crew);
    client = connect_to(serve);
    assert_true(ask(&reply, client, &input, &asked[0], why) >= 400);
    assert_non_null(strstr(why, "no cluster here"));
    ws_tensor_fini(&input);
    ws_tensor_fini(&whole);
    ws_http_client_destroy(client);
    ws_serve_stop(serve, 5000);
}

static void test_serve_paths(void **state)
{
    static const struct {
        const char *method, *path, *body;
        int status;
        const char *part;
    } rows[] = {
        {"GET", "/v2", "", 200, "\"wattshed\""},
        {"GET", "/v2/health/ready", "", 200, "true"},
        {"GET", "/v2/models/digits", "", 200, "\"shape\":[-1,1,96,96]"},
        {"GET", "/v2/models/digits/config", "", 200, "\"TYPE_UINT8\""},
        {"GET", "/v2/models/digits/ready", "", 200, "true"},
        {"GET", "/v2/models/digits/stats", "", 200, "\"model_stats\":[{"},
        {"GET", "/v2/models/stats", "", 200, "\"digits\""},
        {"POST", "/v2/repository/index", "", 200, "\"READY\""},
        {"GET", "/metrics", "", 200, "wattshed_build_info{version="},
        {"GET", "/v2/models/other", "", 404, "no model"},
        {"POST", "/v2/models/other/infer", "{}", 404, "no model"},
        {"POST", "/v2/models/digits/infer", "{}", 400, "inputs"},
        {"POST", "/v2/models/digits/infer",
         "{\"parameters\":{\"min_accuracy\":2},\"inputs\":[]}", 400, "min_accuracy"},
        {"POST", "/v2/repository/models/digits/unload", "", 501, "plan"},
        {"GET", "/v2/nothing", "", 404, "no such path"},
    };
    const struct scene *scene = *state;
    const struct ws_serve_crew crew = make_crew(scene, sends_all, 1, NULL);
    struct ws_serve *serve = start(&crew);
    struct ws_http_client *client = connect_to(serve);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ws_http_answer answer;
        int status = scene_call(&answer, client, rows[i].method, rows[i].path,
                                rows[i].body, strlen(rows[i].body), NULL);
        int has = memmem(answer.body, answer.body_size, rows[i].part,
                         strlen(rows[i].part)) != NULL;
        if (status != rows[i].status || !has)
            print_error("%s %s: %d %.*s\n", rows[i].method, rows[i].path, status,
                        (int)answer.body_size, (const char *)answer.body);
        assert_int_equal(status, rows[i].status);
        assert_true(has);
    }
    ws_http_client_destroy(client);
    ws_serve_stop(serve, 5000);
}

static void test_serve_refuses(void **state)
{
    const struct scene *scene = *state;
    struct ws_serve_crew crew = make_crew(scene, sends_all, 1, NULL);
    crew.pilot.agent.refuse_late = 1;
    struct ws_serve *serve = start(&crew);
    struct ws_http_client *client = connect_to(serve);
    struct ws_tensor input = scene_input(1, 7);
    struct ws_oip_reply reply;
    char why[256] = "";
    assert_int_equal(
        ask(&reply, client, &input, &(struct ws_oip_request){.timeout_us = 10}, why),
        503);
    assert_non_null(strstr(why, "the deadline of 0.010 ms cannot be met"));
    assert_int_equal(
        ask(&reply, client, &input, &(struct ws_oip_request){.min_accuracy = 0.95}, why),
        400);
    assert_non_null(strstr(why, "accuracy of 0.95"));
    assert_int_equal(ask(&reply, client, &input,
                         &(struct ws_oip_request){.policy = (char *)(uintptr_t) "none"},
                         why),
                     400);
    assert_non_null(strstr(why, "no policy \"none\""));
    struct ws_http_answer answer;
    assert_int_equal(scene_call(&answer, client, "GET", "/metrics", "", 0, NULL), 200);
    static const char counted[] =
        "wattshed_requests_total{policy=\"wattshed\",result=\"refused\"} 1\n";
    assert_non_null(memmem(answer.body, answer.body_size, counted, strlen(counted)));
    ws_tensor_fini(&input);
    ws_http_client_destroy(client);
    ws_serve_stop(serve, 5000);
}

/* A node that refuses, or none at all: the answer is the same. */
static void test_serve_falls_back(void **state)
{
    const struct scene *scene = *state;
    char value[64];
    for (size_t hedge = 0; hedge < 2; hedge++) {
        struct ws_serve_crew crew = make_crew(scene, sends_all, hedge > 0 ? 2 : 1, NULL);
        struct outfit *outfit = crew.owner;
        outfit->urls[0] = "http://127.0.0.1:9";
        crew.pilot.agent.hedge = (int)hedge;
        struct ws_serve *serve = start(&crew);
        struct ws_http_client *client = connect_to(serve);
        for (int i = 0; i < 4; i++) {
            expect(value, client, scene,
                   &(struct ws_oip_request){.timeout_us = 10000000, .min_accuracy = 0.8},
                   "fallback");
            assert_string_equal(value, "true");
        }
        ws_http_client_destroy(client);
        ws_serve_stop(serve, 5000);
    }
    const struct ws_serve_crew alone = make_crew(scene, sends_all, 0, NULL);
    struct ws_serve *serve = start(&alone);
    struct ws_http_client *client = connect_to(serve);
    expect(value, client, scene, &(struct ws_oip_request){.timeout_us = 10000000},
           "setting.cut");
    assert_string_equal(value, "\"58\"");
    ws_http_client_destroy(client);
    ws_serve_stop(serve, 5000);
}

/* With a second node that works, hedging and failing over both find it. */
static void test_serve_second_node(void **state)
{
    const struct scene *scene = *state;
    char value[64];
    for (int hedge = 0; hedge < 2; hedge++) {
        struct ws_serve_crew crew = make_crew(scene, sends_all, 2, NULL);
        struct outfit *outfit = crew.owner;
        outfit->urls[0] = "http://127.0.0.1:9";
        outfit->urls[1] = outfit->url;
        crew.pilot.agent.hedge = hedge;
        struct ws_serve *serve = start(&crew);
        struct ws_http_client *client = connect_to(serve);
        for (int i = 0; i < 4; i++) {
            expect(value, client, scene,
                   &(struct ws_oip_request){.timeout_us = 10000000, .min_accuracy = 0.8},
                   "fallback");
            assert_string_equal(value, "false");
        }
        ws_http_client_destroy(client);
        ws_serve_stop(serve, 5000);
    }
}

/* Nodes that accept and say nothing are probed again and again, each for longer than the
 * time between two probes; that the daemon is to stop is seen all the same. */
static void test_serve_stops_beside_silent_nodes(void **state)
{
    const struct scene *scene = *state;
    struct ws_serve_crew crew = make_crew(scene, sends_nothing, 2, NULL);
    struct outfit *outfit = crew.owner;
    struct ws_listen silent[2];
    char urls[2][80];
    for (int n = 0; n < 2; n++) {
        assert_int_equal(ws_listen_open(&silent[n], "127.0.0.1:0", 1, NULL), 0);
        (void)snprintf(urls[n], sizeof(urls[n]), "http://%s", silent[n].text);
        outfit->urls[n] = urls[n];
    }
    crew.pilot.agent.probe_ms = 10;
    struct ws_serve *serve = start(&crew);
    ws_clock_sleep_until(ws_clock_now_ns() + 200000000);
    int64_t start_ns = ws_clock_now_ns();
    ws_serve_stop(serve, 1000);
    assert_true(ws_clock_now_ns() - start_ns < 60000000000);
    for (int n = 0; n < 2; n++)
        ws_listen_close(&silent[n]);
}

/* ---- many at once, while the plan is replaced ---- */

struct client {
    const struct scene *scene;
    const struct ws_serve *serve;
    atomic_int *stop;
    atomic_int *wrong;
    unsigned asked;
    pthread_t thread;
};

static void *keep_asking(void *user)
{
    struct client *self = user;
    struct ws_http_client *client = connect_to(self->serve);
    struct ws_tensor input = scene_input(1, 7);
    struct ws_tensor whole = scene_expected(self->scene, 0, 0, &input);
    while (!atomic_load(self->stop)) {
        struct ws_oip_reply reply = {0};
        char why[256] = "";
        int status = ask(&reply, client, &input,
                         &(struct ws_oip_request){.timeout_us = 5000000}, why);
        int is_right = status == 200 && reply.output_count == 1 &&
                       reply.outputs[0].tensor.size_bytes == whole.size_bytes;
        for (size_t i = 0; is_right && i < 10; i++) {
            float off =
                ((float *)reply.outputs[0].tensor.data)[i] - ((float *)whole.data)[i];
            is_right = off < 1e-3f && off > -1e-3f;
        }
        if (!is_right) {
            print_error("%d: %s\n", status, why);
            atomic_fetch_add(self->wrong, 1);
        }
        ws_oip_reply_fini(&reply);
        self->asked++;
    }
    ws_tensor_fini(&input);
    ws_tensor_fini(&whole);
    ws_http_client_destroy(client);
    return NULL;
}

static void test_serve_is_replaced(void **state)
{
    enum { CLIENTS = 4, TIMES = 6 };
    const struct scene *scene = *state;
    atomic_int retired = 0, stop = 0, wrong = 0;
    struct client clients[CLIENTS];
    struct ws_serve_crew crew = make_crew(scene, sends_all, 1, &retired);
    struct ws_serve *serve = start(&crew);
    for (size_t i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){
            .scene = scene, .serve = serve, .stop = &stop, .wrong = &wrong};
        assert_int_equal(
            pthread_create(&clients[i].thread, NULL, keep_asking, &clients[i]), 0);
    }
    for (int i = 0; i < TIMES; i++) {
        ws_clock_sleep_until(ws_clock_now_ns() + 50000000);
        crew = make_crew(scene, i % 2 == 0 ? sends_nothing : sends_all, 1, &retired);
        assert_int_equal(ws_serve_replace(serve, &crew, NULL), 0);
        assert_int_equal(retired, i + 1);
    }
    atomic_store(&stop, 1);
    for (size_t i = 0; i < CLIENTS; i++) {
        (void)pthread_join(clients[i].thread, NULL);
        assert_true(clients[i].asked > 0);
    }
    assert_int_equal(wrong, 0);
    ws_serve_stop(serve, 5000);
    assert_int_equal(retired, TIMES + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_serve_answers),
        cmocka_unit_test(test_serve_shares_batches),
        cmocka_unit_test(test_serve_paths),
        cmocka_unit_test(test_serve_refuses),
        cmocka_unit_test(test_serve_falls_back),
        cmocka_unit_test(test_serve_second_node),
        cmocka_unit_test(test_serve_stops_beside_silent_nodes),
        cmocka_unit_test(test_serve_is_replaced),
    };
    return cmocka_run_group_tests(tests, scene_setup, scene_teardown);
}
