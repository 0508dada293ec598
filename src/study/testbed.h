/*
 * A testbed file (JSON): the space of knobs with its constraints, named baselines,
 * objectives, and where its outcomes come from: a recorded `table` (CSV) or a `model`
 * (JSON), both relative to the testbed's folder. Optional members say what a table
 * cannot: `switch_ms` (a number, or an object of knob names and "default"), `link`
 * ({"mbit_s", "delay_ms"}: the link the table was recorded over), `edge_idle_w` (what the
 * edge draws while it waits), `stages` (core/stages.h: where not all of the edge's work
 * comes before the cloud's) and `truth` ("recorded", or "modelled" where nobody
 * measured). Members it does not know are passed over with a log line. Immutable once
 * loaded; read from any thread.
 */
#ifndef WS_STUDY_TESTBED_H
#define WS_STUDY_TESTBED_H

#include "base/error.h"
#include "base/json.h"
#include "core/outcome.h"
#include "core/space.h"
#include "core/stages.h"

struct ws_baseline {
    char *name;
    struct ws_setting setting;
};

struct ws_testbed {
    char *name;
    char *source;          /* NULL where the file is silent */
    char *energy_boundary; /* likewise */
    char *table_path;      /* as this process can open it; NULL if there is none */
    char *model_path;      /* likewise */
    struct ws_space space;
    enum ws_measure objectives[WS_OBJECTIVES_MAX];
    size_t objective_count;
    struct ws_baseline *baselines;
    size_t baseline_count;
    enum ws_truth truth; /* WS_RECORDED, or WS_MODELLED where the file says so */
    /* A switch costs the largest of the costs of the knobs that change. */
    double switch_ms[WS_KNOBS_MAX];
    struct ws_conditions link; /* of recording; nothing known where the file is silent */
    double edge_idle_w;        /* 0 where the file is silent */
    struct ws_stage_list stages; /* none where the file is silent: edge, then cloud */
};

int ws_testbed_load(struct ws_testbed *out, const char *path, struct ws_error *err);
/* `dir` is what the table's path is relative to. */
int ws_testbed_parse(struct ws_testbed *out, const void *bytes, size_t size,
                     const char *name, const char *dir, struct ws_error *err);
void ws_testbed_fini(struct ws_testbed *testbed);

/* NULL if there is none of that name. */
const struct ws_baseline *ws_testbed_baseline(const struct ws_testbed *testbed,
                                              const char *name);
/* What a search's task wants: NULL where the file is silent. */
const struct ws_stage_list *ws_testbed_stages(const struct ws_testbed *testbed);

/* The member "objectives" of a testbed or a plan: 1 to WS_OBJECTIVES_MAX measures, none
 * twice. `out` has room for WS_OBJECTIVES_MAX. */
int ws_testbed_read_objectives(enum ws_measure *out, size_t *out_count,
                               const struct ws_json *root, struct ws_error *err);

#endif
