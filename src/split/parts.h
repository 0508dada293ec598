/*
 * What a features.json says: which files the parts of a network with shared feature maps
 * are, how many maps there are, and how its halves are fused. Reading only.
 */
#ifndef WS_SPLIT_PARTS_H
#define WS_SPLIT_PARTS_H

#include "base/digest.h"
#include "base/error.h"
#include "split/fusion.h"

enum ws_parts_file {
    WS_PARTS_EXTRACT,
    WS_PARTS_SELECT,
    WS_PARTS_EDGE,
    WS_PARTS_CLOUD,
    WS_PARTS_WHOLE,
    WS_PARTS_COUNT
};

struct ws_parts {
    char *dir;
    char *paths[WS_PARTS_COUNT];
    char *cloud_name; /* stem of the cloud tail's file */
    size_t map_count;
    struct ws_fusion fusion[WS_FUSION_ROWS_MAX]; /* ascending share */
    size_t fusion_count;
};

/* DIR/features.json. Paths are DIR's; whether the files exist is not asked. */
int ws_parts_load(struct ws_parts *out, const char *dir, struct ws_error *err);
void ws_parts_fini(struct ws_parts *parts);
/* Of all that its answers depend on: the manifest and every file but the unsplit network.
 */
int ws_parts_digest(char out[static WS_DIGEST_TEXT], const struct ws_parts *parts,
                    struct ws_error *err);

#endif
