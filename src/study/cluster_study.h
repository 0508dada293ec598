/*
 * What was measured of clusters, kept in a study's file: one cluster for each model, with
 * the time of the last measurement. A study may hold nothing else. Writing waits for a
 * profiler's transaction to end and is one itself: batches refresh a study while somebody
 * profiles into it. Each call opens the file and closes it; any thread.
 */
#ifndef WS_STUDY_CLUSTER_STUDY_H
#define WS_STUDY_CLUSTER_STUDY_H

#include "study/clusterfile.h"

/* In the place of what the study had of the cluster's model; the file is made where there
 * is none. */
int ws_cluster_study_save(const struct ws_cluster *cluster, const char *path,
                          struct ws_error *err);
/* `model` NULL: the only one that the study has a cluster of. WS_E_NOT_FOUND: it has
 * none, or several and none is named. */
int ws_cluster_study_load(struct ws_cluster *out, const char *path, const char *model,
                          struct ws_error *err);

#endif
