/*
 * A cluster, as a file (JSON): which variants of one model there are, which nodes have
 * them, and, once measured, how accurate the former and how fast the latter are. People
 * write names and addresses; `wattshed distribute --measure` adds the figures, and every
 * batch can refresh them. The format is docs/distribute.md. The strings belong to the
 * structure. Plain data; one thread at a time.
 */
#ifndef WS_STUDY_CLUSTERFILE_H
#define WS_STUDY_CLUSTERFILE_H

#include <stddef.h>

#include "base/error.h"
#include "base/limits.h"

enum { WS_CLUSTERFILE_VERSION = 1 };

struct ws_cluster_variant {
    char *name; /* as nodes call it */
    int knows_accuracy;
    double accuracy;
    size_t samples; /* that it was measured on; 0: somebody says so */
};

/* One variant on one node. */
struct ws_cluster_speed {
    int is_here;     /* the node has it */
    int is_measured; /* image_s is known */
    double image_s;
    int knows_energy;
    double image_j;
};

struct ws_cluster_node {
    char *name;
    char *url;        /* "": none, for the virtual clock alone */
    int is_measured;  /* the next three are known */
    double delay_s;   /* of an exchange, whatever it carries */
    double send_s;    /* of one image over the link */
    double request_s; /* of computing, for each request besides its images */
    struct ws_cluster_speed speeds[WS_SHARE_LEVELS_MAX]; /* by variant */
    char *energy; /* where its joules come from: "modelled: ..."; NULL: not said */
};

struct ws_cluster {
    char *model;
    struct ws_cluster_variant variants[WS_SHARE_LEVELS_MAX];
    size_t variant_count;
    struct ws_cluster_node nodes[WS_SHARE_NODES_MAX];
    size_t node_count;
};

/* WS_E_FORMAT, WS_E_LIMIT, WS_E_NOT_FOUND with file and key. */
int ws_cluster_load(struct ws_cluster *out, const char *path, struct ws_error *err);
int ws_cluster_parse(struct ws_cluster *out, const void *bytes, size_t size,
                     const char *name, struct ws_error *err);
void ws_cluster_fini(struct ws_cluster *cluster);
int ws_cluster_save(const struct ws_cluster *cluster, const char *path,
                    struct ws_error *err);

/* The file's text, to be freed; NULL: memory is out. */
char *ws_cluster_text(const struct ws_cluster *cluster);

/* 0 where every figure that a plan needs is there, else WS_E_UNKNOWN with the first that
 * is not. Energy may be missing. */
int ws_cluster_check_measured(const struct ws_cluster *cluster, struct ws_error *err);
/* Whether every variant's energy is known on every node that has it. */
int ws_cluster_knows_energy(const struct ws_cluster *cluster);

#endif
