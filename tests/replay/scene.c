#include "replay/scene.h"

#include "check.h"

#include <stdlib.h>
#include <string.h>

static const char testbed_text[] =
    "{\"name\": \"small\", \"table\": \"t.csv\",\n"
    " \"objectives\": [\"latency_ms\", \"energy_j\"],\n"
    " \"knobs\": {\n"
    "  \"where\": {\"part\": \"shared\", \"kind\": \"ordered\", \"values\": [0, 1, 2]},\n"
    "  \"clock\": {\"part\": \"edge\", \"kind\": \"ordered\", \"values\": [1, 2]},\n"
    "  \"gpu\": {\"part\": \"cloud\", \"kind\": \"nominal\", \"values\": [\"off\", "
    "\"on\"]}},\n"
    " \"constraints\": [{\"if\": {\"where\": 2}, \"then\": {\"gpu\": [\"off\"]}}],\n"
    " \"baselines\": {\n"
    "  \"cloud-only\": {\"where\": 0, \"clock\": 2, \"gpu\": \"on\"},\n"
    "  \"edge-only\": {\"where\": 2, \"clock\": 2, \"gpu\": \"off\"}},\n"
    " \"switch_ms\": {\"clock\": %g},\n"
    " \"link\": {\"mbit_s\": 100, \"delay_ms\": 1}}";

/* 0/2/on is the fastest, 2/1/off the thriftiest; 1/1/on has six samples. */
static const char table_text[] =
    "knob.where,knob.clock,knob.gpu,latency_ms,energy_j,accuracy,edge_ms,transfer_ms,"
    "cloud_ms,edge_energy_j,cloud_energy_j,tensor_bytes\n"
    "0,1,on,50,20,0.9,10,20,20,1,19,200000\n"
    "0,2,on,45,21,0.9,5,20,20,2,19,200000\n"
    "1,1,on,70,12,0.9,50,5,15,3,9,20000\n"
    "1,1,on,71,12.2,0.9,51,5,15,3,9.2,20000\n"
    "1,1,on,69,11.8,0.9,49,5,15,3,8.8,20000\n"
    "1,1,on,72,12,0.9,52,5,15,3,9,20000\n"
    "1,1,on,68,12,0.9,48,5,15,3,9,20000\n"
    "1,1,on,70,12,0.9,50,5,15,3,9,20000\n"
    "1,2,on,48,14,0.9,28,5,15,5,9,20000\n"
    "2,1,off,200,4,0.8,200,0,0,4,0,0\n"
    "2,2,off,100,6,0.8,100,0,0,6,0,0\n";

static void must(int rc, const struct ws_error *err)
{
    if (rc != 0)
        fail_msg("%s", err->text);
}

static void plan_of_all(struct scene *scene)
{
    size_t count = scene->table.setting_count;
    assert_true(count <= sizeof(scene->settings) / sizeof(scene->settings[0]));
    scene->plan.space = scene->testbed.space;
    scene->plan.conditions = scene->table.reference;
    scene->plan.entry_count = count;
    scene->plan.entries = calloc(count, sizeof(*scene->plan.entries));
    assert_non_null(scene->plan.entries);
    for (size_t i = 0; i < count; i++) {
        ws_table_setting(&scene->settings[i], &scene->table, i);
        scene->plan.entries[i].setting = scene->settings[i];
        scene->plan.entries[i].outcome = scene->table.means[i];
    }
}

void scene_init(struct scene *scene, const char *workload, const char *trace,
                enum ws_noise noise, double switch_ms)
{
    struct ws_error err = {0};
    char text[2048];
    memset(scene, 0, sizeof(*scene));
    snprintf(text, sizeof(text), testbed_text, switch_ms);
    must(ws_testbed_parse(&scene->testbed, text, strlen(text), "b.json", ".", &err),
         &err);
    must(ws_table_parse(&scene->table, &scene->testbed, table_text, strlen(table_text),
                        "t.csv", &err),
         &err);
    must(ws_workload_parse(&scene->workload, workload, strlen(workload), "w.csv", &err),
         &err);
    if (trace != NULL)
        must(ws_trace_parse(&scene->trace, trace, strlen(trace), "l.csv",
                            &scene->table.reference, &err),
             &err);
    must(ws_recorded_create(&scene->evaluator, &scene->table, noise, &err), &err);
    plan_of_all(scene);
    const struct ws_setting *cloud =
        &ws_testbed_baseline(&scene->testbed, "cloud-only")->setting;
    const struct ws_setting *edge =
        &ws_testbed_baseline(&scene->testbed, "edge-only")->setting;
    must(ws_profile_create(&scene->profile, scene->evaluator, cloud, edge, &err), &err);
    must(ws_spreads_create(&scene->spreads, &scene->table, noise, scene->settings,
                           scene->table.setting_count, &err),
         &err);
    scene->world = (struct ws_world){
        .evaluator = scene->evaluator,
        .settings = scene->settings,
        .setting_count = scene->table.setting_count,
        .reference = &scene->table.reference,
        .trace = &scene->trace,
        .pooled = scene->spreads.pooled,
        .own = scene->spreads.own,
    };
    scene->task = (struct ws_replay_task){
        .world = &scene->world,
        .workload = &scene->workload,
        .plan = &scene->plan,
        .options = {.guard = 0.95,
                    .cloud_only = cloud,
                    .edge_only = edge,
                    .profile = scene->profile.entries,
                    .profile_count = scene->profile.count,
                    .pooled = scene->spreads.pooled,
                    .own = scene->spreads.own,
                    .switch_ms = scene->testbed.switch_ms},
        .cut_knob = 0,
    };
}

void scene_fini(struct scene *scene)
{
    ws_spreads_fini(&scene->spreads);
    ws_profile_fini(&scene->profile);
    free(scene->plan.entries);
    ws_evaluator_destroy(scene->evaluator);
    ws_trace_fini(&scene->trace);
    ws_workload_fini(&scene->workload);
    ws_table_fini(&scene->table);
    ws_testbed_fini(&scene->testbed);
}
