#include "node/config.h"

#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/parse.h"

enum { MS_MAX = 3600000 };

void ws_config_init(struct ws_config *config)
{
    *config = (struct ws_config){.drain_s = 30, .log_level = WS_LOG_INFO, .guard = 0.95};
    config->hysteresis = 0.05;
    config->agent.order = WS_AGENT_DEADLINE;
    config->agent.flights_max = 64;
    config->agent.probe_ms = 2000;
}

void ws_config_fini(struct ws_config *config)
{
    free(config->listen);
    free(config->cert);
    free(config->key);
    free(config->client_ca);
    free(config->tokens);
    free(config->meter);
    free(config->knobs);
    free(config->cacert);
    free(config->node_cert);
    free(config->node_key);
    free(config->token_file);
    free(config->name);
    free(config->testbed);
    free(config->emulate);
    free(config->policy);
    free(config->policies);
    free(config->cluster);
    free(config->study);
    free(config->learnt);
    for (size_t i = 0; i < config->variant_count; i++) {
        free((char *)(uintptr_t)config->variants[i].name);
        free((char *)(uintptr_t)config->variants[i].path);
    }
    for (size_t i = 0; i < config->node_count; i++)
        free(config->nodes[i]);
    *config = (struct ws_config){0};
}

/* ---- values ---- */

static int set_text(void *to, const char *value, const char *what, struct ws_error *err)
{
    char **out = to;
    char *copy = strdup(value);
    if (copy == NULL)
        return ws_error_nomem(err);
    if (value[0] == '\0') {
        free(copy);
        return ws_error_set(err, WS_E_USAGE, "%s: a value is missing", what);
    }
    free(*out);
    *out = copy;
    return 0;
}

static int set_bool(void *to, const char *value, const char *what, struct ws_error *err)
{
    int is_yes = strcmp(value, "yes") == 0, is_no = strcmp(value, "no") == 0;
    if (!is_yes && !is_no)
        return ws_error_set(err, WS_E_USAGE, "%s: expected yes or no, got \"%.64s\"",
                            what, value);
    *(int *)to = is_yes;
    return 0;
}

static int set_bytes(void *to, const char *value, const char *what, struct ws_error *err)
{
    return ws_parse_bytes(to, value, what, err);
}

static int set_number(double *out, const char *value, double min, double max,
                      const char *what, struct ws_error *err)
{
    double number = 0;
    int rc = ws_parse_double(&number, value, what, err);
    if (rc == 0 && (number < min || number > max))
        rc = ws_error_set(err, WS_E_USAGE, "%s: expected %g to %g, got %s", what, min,
                          max, value);
    if (rc == 0)
        *out = number;
    return rc;
}

static int set_ms(void *to, const char *value, const char *what, struct ws_error *err)
{
    return set_number(to, value, 0, MS_MAX, what, err);
}

static int set_share(void *to, const char *value, const char *what, struct ws_error *err)
{
    return set_number(to, value, 0, 1, what, err);
}

static int set_celsius(void *to, const char *value, const char *what,
                       struct ws_error *err)
{
    return set_number(to, value, -100, 200, what, err);
}

static int set_guard(void *to, const char *value, const char *what, struct ws_error *err)
{
    if (strcmp(value, "off") == 0) {
        *(double *)to = 0;
        return 0;
    }
    return set_number(to, value, 1e-6, 1 - 1e-6, what, err);
}

static int set_queue(void *to, const char *value, const char *what, struct ws_error *err)
{
    return ws_parse_size(to, value, 1, WS_AGENT_QUEUE_MAX, what, err);
}

static int set_flights(void *to, const char *value, const char *what,
                       struct ws_error *err)
{
    return ws_parse_size(to, value, 1, WS_FLIGHTS_MAX, what, err);
}

static int set_threads(void *to, const char *value, const char *what,
                       struct ws_error *err)
{
    return ws_parse_i64(to, value, 1, WS_CPUS_MAX, what, err);
}

static int set_drain(void *to, const char *value, const char *what, struct ws_error *err)
{
    return ws_parse_i64(to, value, 0, 3600, what, err);
}

static int set_failures(void *to, const char *value, const char *what,
                        struct ws_error *err)
{
    int64_t count = 0;
    int rc = ws_parse_i64(&count, value, 1, 1000, what, err);
    if (rc == 0)
        *(unsigned *)to = (unsigned)count;
    return rc;
}

static int set_order(void *to, const char *value, const char *what, struct ws_error *err)
{
    enum ws_agent_order *out = to;
    if (strcmp(value, "deadline") == 0)
        *out = WS_AGENT_DEADLINE;
    else if (strcmp(value, "fifo") == 0)
        *out = WS_AGENT_FIFO;
    else
        return ws_error_set(err, WS_E_USAGE,
                            "%s: expected deadline or fifo, got \"%.64s\"", what, value);
    return 0;
}

static int set_level(void *to, const char *value, const char *what, struct ws_error *err)
{
    static const enum ws_log_level levels[] = {WS_LOG_ERROR, WS_LOG_WARNING, WS_LOG_INFO,
                                               WS_LOG_DEBUG};
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        if (strcmp(ws_log_level_name(levels[i]), value) == 0) {
            *(enum ws_log_level *)to = levels[i];
            return 0;
        }
    }
    return ws_error_set(err, WS_E_USAGE,
                        "%s: expected error, warning, info or debug, got \"%.64s\"", what,
                        value);
}

static int add_node(void *to, const char *value, const char *what, struct ws_error *err)
{
    struct ws_config *config = to;
    if (config->node_count == WS_AGENT_NODES_MAX)
        return ws_error_set(err, WS_E_LIMIT, "%s: more than %d nodes", what,
                            WS_AGENT_NODES_MAX);
    int rc = set_text(&config->nodes[config->node_count], value, what, err);
    config->node_count += rc == 0;
    return rc;
}

/* NAME=PATH, or a PATH for the only one. */
static int add_variant(void *to, const char *value, const char *what,
                       struct ws_error *err)
{
    struct ws_config *config = to;
    if (config->variant_count == WS_VARIANTS_MAX)
        return ws_error_set(err, WS_E_LIMIT, "%s: more than %d variants", what,
                            WS_VARIANTS_MAX);
    struct ws_executor_variant *variant = &config->variants[config->variant_count];
    const char *equals = strchr(value, '=');
    char *name = equals == NULL ? strdup("") : strndup(value, (size_t)(equals - value));
    char *path = strdup(equals == NULL ? value : equals + 1);
    if (name == NULL || path == NULL || path[0] == '\0') {
        int rc = path != NULL && path[0] == '\0'
                     ? ws_error_set(err, WS_E_USAGE, "%s: a file is missing", what)
                     : ws_error_nomem(err);
        free(name);
        free(path);
        return rc;
    }
    *variant = (struct ws_executor_variant){.name = name, .path = path};
    config->variant_count++;
    return 0;
}

/* ---- keys ---- */

typedef int (*set_fn)(void *to, const char *value, const char *what,
                      struct ws_error *err);

#define AT(field) offsetof(struct ws_config, field)

static const struct key {
    const char *section, *name;
    set_fn set;
    size_t offset;
} keys[] = {
    {"serve", "listen", set_text, AT(listen)},
    {"serve", "insecure", set_bool, AT(insecure)},
    {"serve", "cert", set_text, AT(cert)},
    {"serve", "key", set_text, AT(key)},
    {"serve", "client_ca", set_text, AT(client_ca)},
    {"serve", "tokens", set_text, AT(tokens)},
    {"serve", "knobs", set_text, AT(knobs)},
    {"serve", "meter", set_text, AT(meter)},
    {"serve", "name", set_text, AT(name)},
    {"serve", "body", set_bytes, AT(body_max)},
    {"serve", "drain_s", set_drain, AT(drain_s)},
    {"serve", "log", set_level, AT(log_level)},
    {"model", "testbed", set_text, AT(testbed)},
    {"model", "emulate", set_text, AT(emulate)},
    {"model", "variant", add_variant, 0},
    {"model", "threads", set_threads, AT(threads)},
    {"model", "memory", set_bytes, AT(memory_max)},
    {"nodes", "url", add_node, 0},
    {"nodes", "cacert", set_text, AT(cacert)},
    {"nodes", "cert", set_text, AT(node_cert)},
    {"nodes", "key", set_text, AT(node_key)},
    {"nodes", "token_file", set_text, AT(token_file)},
    {"batch", "cluster", set_text, AT(cluster)},
    {"batch", "study", set_text, AT(study)},
    {"agent", "policy", set_text, AT(policy)},
    {"agent", "policies", set_text, AT(policies)},
    {"agent", "guard", set_guard, AT(guard)},
    {"agent", "hysteresis", set_share, AT(hysteresis)},
    {"agent", "learnt", set_text, AT(learnt)},
    {"agent", "eta", set_share, AT(eta)},
    {"agent", "order", set_order, AT(agent.order)},
    {"agent", "refuse", set_bool, AT(agent.refuse_late)},
    {"agent", "queue", set_queue, AT(agent.queue_max)},
    {"agent", "flights", set_flights, AT(agent.flights_max)},
    {"agent", "hedge", set_bool, AT(agent.hedge)},
    {"agent", "send_ms_max", set_ms, AT(agent.send_ms_max)},
    {"agent", "probe_ms", set_ms, AT(agent.probe_ms)},
    {"agent", "link_forget_ms", set_ms, AT(agent.link_forget_ms)},
    {"breaker", "failures", set_failures, AT(agent.breaker.failures)},
    {"breaker", "wait_ms", set_ms, AT(agent.breaker.wait_ms)},
    {"breaker", "wait_ms_max", set_ms, AT(agent.breaker.wait_ms_max)},
    {"care", "warm_c", set_celsius, AT(agent.care.warm_c)},
    {"care", "hot_c", set_celsius, AT(agent.care.hot_c)},
    {"care", "battery_low", set_share, AT(agent.care.battery_low)},
    {"care", "battery_min", set_share, AT(agent.care.battery_min)},
};

int ws_config_set(struct ws_config *config, const char *section, const char *key,
                  const char *value, struct ws_error *err)
{
    int has_section = 0;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (strcmp(keys[i].section, section) != 0)
            continue;
        has_section = 1;
        if (strcmp(keys[i].name, key) == 0)
            return keys[i].set((char *)config + keys[i].offset, value, key, err);
    }
    return has_section ? ws_error_set(err, WS_E_NOT_FOUND, "[%s] has no key \"%.64s\"",
                                      section, key)
                       : ws_error_set(err, WS_E_NOT_FOUND, "there is no section [%.64s]",
                                      section);
}

/* ---- files ---- */

struct reading {
    struct ws_config *config;
    const char *at; /* what is left of the text */
    int line;       /* that was read last */
    int rc, rc_line;
    struct ws_error *err;
};

/* Gives the parser one line, and counts. */
static char *read_line(char *out, int size, void *user)
{
    struct reading *reading = user;
    if (*reading->at == '\0')
        return NULL;
    size_t length = strcspn(reading->at, "\n");
    length += reading->at[length] == '\n';
    reading->line++;
    if (length >= (size_t)size) {
        if (reading->rc == 0) {
            reading->rc = ws_error_set(reading->err, WS_E_LIMIT,
                                       "a line of %zu bytes, at most %d", length, size);
            reading->rc_line = reading->line;
        }
        return NULL;
    }
    memcpy(out, reading->at, length);
    out[length] = '\0';
    reading->at += length;
    return out;
}

static int on_key(void *user, const char *section, const char *name, const char *value)
{
    struct reading *reading = user;
    if (reading->rc != 0)
        return 1; /* the first one counts */
    reading->rc = ws_config_set(reading->config, section, name, value, reading->err);
    reading->rc_line = reading->line;
    return 1;
}

int ws_config_parse(struct ws_config *config, const void *bytes, size_t size,
                    const char *name, struct ws_error *err)
{
    if (size > 0 && memchr(bytes, '\0', size) != NULL)
        return ws_error_set(err, WS_E_FORMAT, "%s: not a text", name);
    char *text = strndup(size > 0 ? bytes : "", size);
    if (text == NULL)
        return ws_error_nomem(err);
    struct reading reading = {.config = config, .at = text, .err = err};
    int line = ini_parse_stream(read_line, &reading, on_key, &reading);
    if (line > 0 && (reading.rc == 0 || line < reading.rc_line)) {
        reading.rc_line = line;
        reading.rc = ws_error_set(err, WS_E_FORMAT,
                                  "expected [section], key = value or a ; comment");
    }
    if (reading.rc != 0 && err != NULL)
        (void)ws_error_context(err, "%s:%d", name, reading.rc_line);
    free(text);
    return reading.rc;
}

int ws_config_load(struct ws_config *config, const char *path, struct ws_error *err)
{
    struct ws_buf text;
    ws_buf_init(&text, WS_TEXT_FILE_MAX);
    int rc = ws_file_read(&text, path, err);
    if (rc == 0)
        rc = ws_config_parse(config, text.data, text.size, path, err);
    ws_buf_fini(&text);
    return rc;
}
