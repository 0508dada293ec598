/*
 * The configuration of the edge daemon: an INI file and the same keys from a command
 * line. Sections are [serve], [model], [nodes], [batch], [agent], [breaker] and
 * [care];
 * docs/serve.md lists every key and etc/wattshed.ini shows them. A wrong line is refused
 * by file and number. Strings belong to the configuration.
 */
#ifndef WS_NODE_CONFIG_H
#define WS_NODE_CONFIG_H

#include "agent/agent.h"
#include "base/log.h"
#include "split/executor.h"

struct ws_config {
    /* [serve] */
    char *listen, *cert, *key, *client_ca, *tokens; /* see struct ws_guard_options */
    int insecure;
    char *meter; /* of this machine; NULL: the best it has of its own */
    char *knobs; /* socket of the knob helper; NULL: this process sets knobs itself */
    char *name;
    uint64_t body_max;
    int64_t drain_s;
    enum ws_log_level log_level;
    /* [model] */
    char *testbed; /* NULL: none */
    char *emulate; /* a board; NULL: this machine */
    struct ws_executor_variant variants[WS_VARIANTS_MAX]; /* strings owned */
    size_t variant_count;
    int64_t threads; /* of the engine; 0: its default */
    uint64_t memory_max;
    /* [nodes] */
    char *nodes[WS_AGENT_NODES_MAX];
    size_t node_count;
    char *cacert, *node_cert, *node_key, *token_file; /* to show to them */
    /* [batch] */
    char *cluster; /* file of the nodes that batches are shared among; NULL: none */
    char *study;   /* where its figures are kept, and taken from without `cluster` */
    /* [agent] */
    char *policy;
    char *policies; /* others that may be asked for, comma-separated; "all": any */
    double guard;   /* 0: off */
    double hysteresis;
    char *learnt; /* file of the policy `dvfo` (wattshed learn); NULL: none */
    double eta;   /* of it; 0: a half */
    struct ws_agent_options agent; /* order, refuse_late, queue_max, ..., care */
};

void ws_config_init(struct ws_config *config);
void ws_config_fini(struct ws_config *config);

/* WS_E_NOT_FOUND for a key that there is not, WS_E_USAGE and others for its value; the
 * line names both. Keys that list (url, variant) add. */
int ws_config_set(struct ws_config *config, const char *section, const char *key,
                  const char *value, struct ws_error *err);
/* The line begins with "FILE:NUMBER: "; `name` stands for the file. */
int ws_config_parse(struct ws_config *config, const void *bytes, size_t size,
                    const char *name, struct ws_error *err);
int ws_config_load(struct ws_config *config, const char *path, struct ws_error *err);

#endif
