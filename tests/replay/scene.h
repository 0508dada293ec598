/*
 * A small recorded testbed with everything that a replay stands on, in memory: three cuts
 * (all to the cloud, split, all at the edge) on one or two clocks. The plan holds every
 * setting.
 */
#ifndef WS_TESTS_SCENE_H
#define WS_TESTS_SCENE_H

#include "replay/compare.h"
#include "replay/profile.h"
#include "study/recorded.h"

struct scene {
    struct ws_testbed testbed;
    struct ws_table table;
    struct ws_workload workload;
    struct ws_trace trace;
    struct ws_evaluator *evaluator;
    struct ws_setting settings[16];
    struct ws_plan plan;
    struct ws_profile profile;
    struct ws_spreads spreads;
    struct ws_world world;
    struct ws_replay_task task;
};

/* `workload` and `trace` are CSV; trace may be NULL. `switch_ms` is of the edge's clock.
 * Fails the test on any error. */
void scene_init(struct scene *scene, const char *workload, const char *trace,
                enum ws_noise noise, double switch_ms);
void scene_fini(struct scene *scene);

#endif
