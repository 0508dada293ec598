#include "check.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "net/guard.h"
#include "net/http_client.h"
#include "net/keys.h"

/* A fleet's folder, another's, and a server that says who calls and what they may. */
struct scene {
    char dir[64], other[64];
    struct ws_guard guard;
    struct ws_http_server *server;
    char url[80];
    struct ws_oip_part part;
    char text[WS_TLS_NAME_MAX];
};

enum { HOUR_S = 3600 };

static const char *file(const char *dir, const char *name)
{
    static char paths[8][512];
    static size_t next;
    char *path = paths[next++ % 8];
    (void)snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
    return path;
}

static void issue(const char *dir, const char *name, int is_server, long lifetime_s)
{
    struct ws_keys *keys = NULL;
    struct ws_error err = {0};
    int made = 0;
    const struct ws_keys_machine machine = {.name = name,
                                            .hosts = {"127.0.0.1"},
                                            .is_server = is_server,
                                            .rights = "infer",
                                            .lifetime_s = lifetime_s};
    if (ws_keys_open(&keys, dir, 10 * HOUR_S, &made, &err) != 0 ||
        ws_keys_issue(keys, &machine, &err) != 0)
        fail_msg("%s", err.text);
    ws_keys_close(keys);
}

/* /RIGHT asks for that right; the reply is the name in the client's certificate. */
static void handle(void *user, const struct ws_http_request *request,
                   struct ws_http_reply *reply)
{
    struct scene *scene = user;
    struct ws_error err = {0};
    unsigned right = strcmp(request->path, "/repository") == 0 ? WS_RIGHT_REPOSITORY
                     : strcmp(request->path, "/infer") == 0    ? WS_RIGHT_INFER
                                                               : WS_RIGHT_NONE;
    int rc = ws_access_check(scene->guard.access, request, right, NULL, &err);
    (void)snprintf(scene->text, sizeof(scene->text), "%s", request->peer);
    scene->part = (struct ws_oip_part){scene->text, strlen(scene->text)};
    reply->status = rc == 0 ? 200 : rc == WS_E_STRANGER ? 401 : 403;
    reply->content_type = "text/plain";
    reply->parts = &scene->part;
    reply->part_count = 1;
}

static int admit(void *user, const struct ws_http_request *request, char *client,
                 struct ws_error *err)
{
    const struct scene *scene = user;
    return strcmp(request->path, "/early") != 0
               ? 0
               : ws_access_check(scene->guard.access, request, WS_RIGHT_INFER, client,
                                 err);
}

static void start(struct scene *scene, int asks_clients, int has_tokens)
{
    struct ws_error err = {0};
    const char *dir = scene->dir;
    const struct ws_guard_options options = {
        .listen = "127.0.0.1:0",
        .cert = file(dir, "cloud.pem"),
        .key = file(dir, "cloud.key"),
        .client_ca = asks_clients ? file(dir, "ca.pem") : NULL,
        .tokens = has_tokens ? file(dir, "tokens") : NULL,
        .open_rights = WS_RIGHT_ALL,
    };
    if (ws_guard_open(&scene->guard, &options, &err) != 0)
        fail_msg("%s", err.text);
    const struct ws_http_server_options server = {.fd = scene->guard.listen.fd,
                                                  .handler = handle,
                                                  .admit = admit,
                                                  .user = scene,
                                                  .tls = scene->guard.tls,
                                                  .body_max = 1 << 20,
                                                  .idle_s = 5,
                                                  .grace_s = 5};
    assert_int_equal(ws_http_server_start(&scene->server, &server, &err), 0);
    ws_guard_url(scene->url, sizeof(scene->url), &scene->guard);
    assert_memory_equal(scene->url, "https://", 8);
}

static void stop(struct scene *scene)
{
    ws_http_server_stop(scene->server, 1000);
    ws_guard_close(&scene->guard);
}

static struct scene scene_make(void)
{
    struct scene scene = {.dir = "/tmp/wattshed-tls-XXXXXX",
                          .other = "/tmp/wattshed-tls-XXXXXX"};
    assert_non_null(mkdtemp(scene.dir));
    assert_non_null(mkdtemp(scene.other));
    issue(scene.dir, "cloud", 1, HOUR_S);
    issue(scene.dir, "cam", 0, HOUR_S);
    issue(scene.dir, "late", 0, -1);
    issue(scene.other, "cam", 0, HOUR_S);
    issue(scene.other, "cloud", 1, HOUR_S);
    return scene;
}

static void remove_dir(const char *dir)
{
    const struct dirent *entry;
    DIR *open_dir = opendir(dir);
    while (open_dir != NULL && (entry = readdir(open_dir)) != NULL)
        (void)unlink(file(dir, entry->d_name));
    (void)closedir(open_dir);
    (void)rmdir(dir);
}

static void scene_free(struct scene *scene)
{
    remove_dir(scene->dir);
    remove_dir(scene->other);
}

/* The status of one request, or the error's code; `err` may be NULL. */
static int ask(const struct scene *scene, const char *path,
               const struct ws_http_identity *identity, struct ws_error *err)
{
    struct ws_http_client *client = NULL;
    struct ws_http_answer answer;
    const struct ws_http_client_options options = {.identity = *identity,
                                                   .timeout_ms = 20000};
    const struct ws_http_call call = {.method = "GET", .path = path};
    int rc = ws_http_client_create(&client, scene->url, &options, err);
    if (rc == 0)
        rc = ws_http_client_call(&answer, client, &call, err);
    ws_http_client_destroy(client);
    return rc == 0 ? answer.status : rc;
}

static void test_server_certificate(void **state)
{
    (void)state;
    struct scene scene = scene_make();
    struct ws_error err = {0};
    start(&scene, 0, 0);
    const struct ws_http_identity ours = {.cacert = file(scene.dir, "ca.pem")};
    assert_int_equal(ask(&scene, "/", &ours, NULL), 200);
    assert_string_equal(scene.text, "");
    const struct ws_http_identity system = {0};
    assert_int_equal(ask(&scene, "/", &system, &err), WS_E_IO);
    assert_non_null(strstr(err.text, "certificate"));
    const struct ws_http_identity theirs = {.cacert = file(scene.other, "ca.pem")};
    assert_int_equal(ask(&scene, "/", &theirs, &err), WS_E_IO);
    /* Named by another name than its certificate's, it is not believed. */
    char *colon = strrchr(scene.url, ':');
    char port[16];
    (void)snprintf(port, sizeof(port), "%s", colon);
    (void)snprintf(scene.url, sizeof(scene.url), "https://127.0.0.2%s", port);
    assert_int_equal(ask(&scene, "/", &ours, &err), WS_E_IO);
    stop(&scene);
    scene_free(&scene);
}

static void test_client_certificate(void **state)
{
    (void)state;
    struct scene scene = scene_make();
    start(&scene, 1, 0);
    struct ws_http_identity identity = {.cacert = file(scene.dir, "ca.pem")};
    char cert[200], key[200], cacert[200];
    (void)snprintf(cacert, sizeof(cacert), "%s", identity.cacert);
    identity.cacert = cacert;
    assert_true(ask(&scene, "/", &identity, NULL) < 0);
    static const struct {
        int is_other;
        const char *name;
        int works;
    } rows[] = {{0, "cam", 1}, {0, "cloud", 1}, {0, "late", 0}, {1, "cam", 0}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *dir = rows[i].is_other ? scene.other : scene.dir;
        (void)snprintf(cert, sizeof(cert), "%s/%s.pem", dir, rows[i].name);
        (void)snprintf(key, sizeof(key), "%s/%s.key", dir, rows[i].name);
        identity.cert = cert;
        identity.key = key;
        int status = ask(&scene, "/", &identity, NULL);
        if ((status == 200) != rows[i].works)
            print_error("row %zu: %d\n", i, status);
        assert_int_equal(status == 200, rows[i].works);
        if (rows[i].works)
            assert_string_equal(scene.text, rows[i].name);
    }
    identity.key = NULL;
    assert_int_equal(ask(&scene, "/", &identity, NULL), WS_E_USAGE);
    stop(&scene);
    scene_free(&scene);
}

static char *read_token(const char *path)
{
    struct ws_buf buf;
    ws_buf_init(&buf, 0);
    assert_int_equal(ws_file_read(&buf, path, NULL), 0);
    buf.data[strcspn(buf.data, "\n")] = '\0';
    return ws_buf_take(&buf);
}

static void test_tokens(void **state)
{
    (void)state;
    struct scene scene = scene_make();
    char cacert[200];
    start(&scene, 0, 1);
    (void)snprintf(cacert, sizeof(cacert), "%s/ca.pem", scene.dir);
    char *token = read_token(file(scene.dir, "cam.token"));
    char *wrong = read_token(file(scene.other, "cam.token"));
    const struct {
        const char *token;
        const char *path;
        int status;
    } rows[] = {
        {NULL, "/", 200},
        {NULL, "/infer", 401},
        {token, "/infer", 200},
        {token, "/repository", 403},
        {wrong, "/infer", 401},
        {"", "/infer", 401},
        {"x", "/infer", 401},
        {"two words", "/infer", WS_E_FORMAT},
        {"a\r\nX: b", "/infer", WS_E_FORMAT},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct ws_http_identity identity = {.cacert = cacert,
                                                  .token = rows[i].token};
        int status = ask(&scene, rows[i].path, &identity, NULL);
        if (status != rows[i].status)
            print_error("row %zu: %d\n", i, status);
        assert_int_equal(status, rows[i].status);
    }
    /* Another list takes effect without a restart; one that makes no sense does not. */
    const struct ws_http_identity ours = {.cacert = cacert, .token = token};
    const struct ws_http_identity theirs = {.cacert = cacert, .token = wrong};
    struct ws_buf list;
    ws_buf_init(&list, 0);
    assert_int_equal(ws_file_read(&list, file(scene.other, "tokens"), NULL), 0);
    assert_int_equal(ws_file_write(file(scene.dir, "tokens"), list.data, list.size, NULL),
                     0);
    ws_clock_sleep_until(ws_clock_now_ns() + 1200000000);
    assert_int_equal(ask(&scene, "/infer", &theirs, NULL), 200);
    assert_int_equal(ask(&scene, "/infer", &ours, NULL), 401);
    assert_int_equal(ws_file_write(file(scene.dir, "tokens"), "cam all x\n", 10, NULL),
                     0);
    ws_clock_sleep_until(ws_clock_now_ns() + 1200000000);
    assert_int_equal(ask(&scene, "/infer", &theirs, NULL), 200);
    ws_buf_fini(&list);
    free(token);
    free(wrong);
    stop(&scene);
    scene_free(&scene);
}

/* A stranger's body is not received: the answer is there before it could be. */
static void test_early(void **state)
{
    (void)state;
    struct scene scene = scene_make();
    char cacert[200];
    start(&scene, 0, 1);
    (void)snprintf(cacert, sizeof(cacert), "%s/ca.pem", scene.dir);
    char *token = read_token(file(scene.dir, "cam.token"));
    const struct ws_http_identity known = {.cacert = cacert, .token = token};
    const struct ws_http_identity stranger = {.cacert = cacert};
    assert_int_equal(ask(&scene, "/early", &known, NULL), 200);
    scene.text[0] = 'x';
    assert_int_equal(ask(&scene, "/early", &stranger, NULL), 401);
    assert_int_equal(scene.text[0], 'x'); /* the handler was not asked */
    free(token);
    stop(&scene);
    scene_free(&scene);
}

/* A certificate that expires in use: new connections fail, those that are there go on,
 * and a new one is taken without a restart, past a moment where key and certificate do
 * not fit. */
static void test_renewal(void **state)
{
    (void)state;
    struct scene scene = scene_make();
    struct ws_error err = {0};
    char cacert[200];
    (void)snprintf(cacert, sizeof(cacert), "%s/ca.pem", scene.dir);
    const struct ws_http_identity identity = {.cacert = cacert};
    const struct ws_http_client_options options = {.identity = identity,
                                                   .timeout_ms = 20000};
    const struct ws_http_call call = {.method = "GET", .path = "/"};
    struct ws_http_client *kept = NULL;
    struct ws_http_answer answer;
    /* A machine too slow to connect before it expires gets twice the time. */
    int64_t end_ns = 0;
    for (long lifetime_s = 3; kept == NULL; lifetime_s *= 2) {
        issue(scene.dir, "cloud", 1, lifetime_s);
        end_ns = ws_clock_now_ns() + (int64_t)lifetime_s * 1000000000;
        start(&scene, 0, 0);
        assert_int_equal(ws_http_client_create(&kept, scene.url, &options, NULL), 0);
        if (ws_http_client_call(&answer, kept, &call, &err) == 0)
            break;
        assert_non_null(strstr(err.text, "expired"));
        ws_http_client_destroy(kept);
        kept = NULL;
        stop(&scene);
    }
    ws_clock_sleep_until(end_ns + 1200000000);
    assert_int_equal(ask(&scene, "/", &identity, &err), WS_E_IO);
    assert_non_null(strstr(err.text, "expired"));
    assert_int_equal(ws_http_client_call(&answer, kept, &call, &err), 0);
    /* The key of another pair first: the old ones stay. */
    struct ws_buf key;
    ws_buf_init(&key, 0);
    assert_int_equal(ws_file_read(&key, file(scene.other, "cloud.key"), NULL), 0);
    assert_int_equal(
        ws_file_write(file(scene.dir, "cloud.key"), key.data, key.size, NULL), 0);
    assert_int_equal(ask(&scene, "/", &identity, &err), WS_E_IO);
    assert_non_null(strstr(err.text, "expired"));
    issue(scene.dir, "cloud", 1, HOUR_S);
    ws_clock_sleep_until(ws_clock_now_ns() + 1200000000);
    assert_int_equal(ask(&scene, "/", &identity, &err), 200);
    ws_buf_fini(&key);
    ws_http_client_destroy(kept);
    stop(&scene);
    scene_free(&scene);
}

static void test_guard_refused(void **state)
{
    (void)state;
    struct scene scene = scene_make();
    struct ws_guard guard;
    char cert[200], key[200], ca[200], tokens[200], other_key[200];
    (void)snprintf(cert, sizeof(cert), "%s/cloud.pem", scene.dir);
    (void)snprintf(key, sizeof(key), "%s/cloud.key", scene.dir);
    (void)snprintf(ca, sizeof(ca), "%s/ca.pem", scene.dir);
    (void)snprintf(tokens, sizeof(tokens), "%s/tokens", scene.dir);
    (void)snprintf(other_key, sizeof(other_key), "%s/cloud.key", scene.other);
    const struct {
        struct ws_guard_options options;
        int rc;
        int is_open;
    } rows[] = {
        {{.listen = "127.0.0.1:0"}, 0, 0},
        {{.listen = "0.0.0.0:0"}, WS_E_USAGE, 0},
        {{.listen = "0.0.0.0:0", .insecure = 1}, 0, 1},
        {{.listen = "0.0.0.0:0", .cert = cert, .key = key}, WS_E_USAGE, 0},
        {{.listen = "0.0.0.0:0", .tokens = tokens}, WS_E_USAGE, 0},
        {{.listen = "0.0.0.0:0", .insecure = 1, .tokens = tokens}, 0, 1},
        {{.listen = "0.0.0.0:0", .cert = cert, .key = key, .tokens = tokens}, 0, 0},
        {{.listen = "0.0.0.0:0", .cert = cert, .key = key, .client_ca = ca}, 0, 0},
        {{.listen = "127.0.0.1:0", .cert = cert}, WS_E_USAGE, 0},
        {{.listen = "127.0.0.1:0", .client_ca = ca}, WS_E_USAGE, 0},
        {{.listen = "127.0.0.1:0", .cert = cert, .key = other_key}, WS_E_FORMAT, 0},
        {{.listen = "127.0.0.1:0", .cert = key, .key = cert}, WS_E_FORMAT, 0},
        {{.listen = "127.0.0.1:0", .cert = "/none", .key = key}, WS_E_IO, 0},
        {{.listen = "127.0.0.1:0", .tokens = "/none"}, WS_E_IO, 0},
        {{.listen = "127.0.0.1:0", .tokens = cert}, WS_E_FORMAT, 0},
        {{.listen = "127.0.0.1:0", .cert = cert, .key = key, .client_ca = tokens},
         WS_E_FORMAT,
         0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int rc = ws_guard_open(&guard, &rows[i].options, NULL);
        if (rc != rows[i].rc)
            print_error("row %zu: %d\n", i, rc);
        assert_int_equal(rc, rows[i].rc);
        if (rc != 0)
            continue;
        assert_int_equal(guard.is_open, rows[i].is_open);
        ws_guard_close(&guard);
    }
    scene_free(&scene);
}

static void test_keys(void **state)
{
    static const char *const bad[] = {"",       ".",       "..",  "a/b", "ca",
                                      "tokens", ".hidden", "a b", "a\n", "\xc3\xa9"};
    (void)state;
    struct scene scene = scene_make();
    struct ws_keys *keys = NULL;
    struct stat st;
    int made = 1;
    assert_int_equal(stat(file(scene.dir, "cam.key"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(stat(file(scene.dir, "ca.key"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(stat(file(scene.dir, "cam.token"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    char *before = read_token(file(scene.dir, "cam.token"));
    issue(scene.dir, "cam", 0, HOUR_S);
    char *after = read_token(file(scene.dir, "cam.token"));
    assert_string_equal(before, after);
    assert_int_equal(ws_keys_open(&keys, scene.dir, HOUR_S, &made, NULL), 0);
    assert_int_equal(made, 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct ws_keys_machine machine = {
            .name = bad[i], .rights = "infer", .lifetime_s = HOUR_S};
        assert_int_equal(ws_keys_issue(keys, &machine, NULL), WS_E_USAGE);
    }
    struct ws_keys_machine machine = {.name = "b", .rights = "all", .lifetime_s = HOUR_S};
    assert_int_equal(ws_keys_issue(keys, &machine, NULL), WS_E_FORMAT);
    assert_int_not_equal(access(file(scene.dir, "b.pem"), F_OK), 0);
    machine.is_server = 1;
    machine.hosts[0] = "DNS:evil,IP:1.1.1.1";
    assert_int_equal(ws_keys_issue(keys, &machine, NULL), WS_E_USAGE);
    ws_keys_close(keys);
    /* Half an authority is not replaced. */
    assert_int_equal(unlink(file(scene.dir, "ca.key")), 0);
    assert_int_equal(ws_keys_open(&keys, scene.dir, HOUR_S, &made, NULL), WS_E_IO);
    free(before);
    free(after);
    scene_free(&scene);
}

static void test_access_file(void **state)
{
#define HEX "74899a919a45bf4b152b9c507e0d6e1be6fcbf1a4d2202eaff082356d3cf4728"
    static const struct {
        const char *text;
        int rc;
        size_t count;
    } rows[] = {
        {"", 0, 0},
        {"\n# nothing\n   # here\n", 0, 0},
        {"a infer cert", 0, 1},
        {"a infer,control cert # why\nb repository sha256:" HEX "\r\n", 0, 2},
        {"a", WS_E_FORMAT, 0},
        {"a infer", WS_E_FORMAT, 0},
        {"a infer, cert", 0, 1},
        {"a ,infer cert", WS_E_FORMAT, 0},
        {"a all cert", WS_E_FORMAT, 0},
        {"a infer sha256:12", WS_E_FORMAT, 0},
        {"a infer sha256:" HEX "0", WS_E_FORMAT, 0},
        {"a infer secret", WS_E_FORMAT, 0},
        {"a infer cert more", WS_E_FORMAT, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ws_access_list list = {0};
        struct ws_error err = {0};
        int rc = ws_access_parse(&list, rows[i].text, strlen(rows[i].text), "t", &err);
        if (rc != rows[i].rc || list.count != rows[i].count)
            print_error("row %zu: %d %s\n", i, rc, err.text);
        assert_int_equal(rc, rows[i].rc);
        assert_int_equal(list.count, rows[i].count);
        assert_null(strstr(err.text, "secret"));
        ws_access_list_fini(&list);
    }
    struct ws_access_list list;
    struct ws_buf many;
    const char *name = NULL;
    ws_buf_init(&many, 0);
    for (size_t i = 0; i <= WS_ACCESS_LINES_MAX; i++)
        assert_int_equal(ws_buf_add_text(&many, "a infer cert\n", NULL), 0);
    assert_int_equal(ws_access_parse(&list, many.data, many.size, "t", NULL), WS_E_LIMIT);
    ws_buf_fini(&many);
    assert_int_equal(
        ws_access_parse(&list, "a infer cert\na control cert\nb infer cert\n",
                        strlen("a infer cert\na control cert\nb infer cert\n"), "t",
                        NULL),
        0);
    assert_int_equal(ws_access_rights(&list, NULL, "a", &name),
                     WS_RIGHT_INFER | WS_RIGHT_CONTROL);
    assert_string_equal(name, "a");
    assert_int_equal(ws_access_rights(&list, NULL, "", &name), 0);
    assert_null(name);
    ws_access_list_fini(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_server_certificate),
        cmocka_unit_test(test_client_certificate),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_early),
        cmocka_unit_test(test_renewal),
        cmocka_unit_test(test_guard_refused),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_access_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
