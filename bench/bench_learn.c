/*
 * DVFO's learner beside what was published, other learners, the argmin over the table and
 * the oracle, on device models, over links that stay or change; where machine and table
 * disagree; with parts of it left out; and how fast it trains and decides. Everything is
 * modelled and on a virtual clock but the times of training and deciding. Usage:
 * bench_learn FOLDER DEVICE ..., FOLDER being etc/testbeds, or bench_learn --speed
 * FOLDER.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rng.h"
#include "base/stats.h"
#include "device/parallel.h"
#include "policy/dvfo.h"
#include "replay/school.h"
#include "study/testbed.h"

enum {
    STEPS = 20000,
    REQUESTS = 120, /* of a cell */
    SEEDS = 3,
    CELLS = 12,
    POLICIES_MAX = 14,
};

/* How long a scenario lasts on the virtual clock: heat and drift take minutes. */
static const double scenario_s = 300;

/* ---- one device, one seed ---- */

struct bench {
    struct ws_testbed testbed;
    struct ws_evaluator *table;
    const struct ws_parallel_facts *facts;
    struct ws_learner_task task; /* of whoever may touch every knob */
    struct ws_course_options course;
    struct ws_trace slow, fast; /* links that change */
    char folder[256];
    char device[64];
    uint64_t seed;
};

static void die(const struct ws_error *err)
{
    fprintf(stderr, "bench_learn: %s\n", err->text);
    exit(1);
}

static const struct ws_setting *baseline(const struct bench *b, const char *name)
{
    const struct ws_baseline *found = ws_testbed_baseline(&b->testbed, name);
    if (found == NULL) {
        fprintf(stderr, "bench_learn: %s has no baseline %s\n", b->device, name);
        exit(1);
    }
    return &found->setting;
}

static void load_trace(struct ws_trace *out, const struct bench *b, const char *name)
{
    struct ws_error err = {0};
    char path[512];
    snprintf(path, sizeof(path), "%s/dvfo-scenarios/%s", b->folder, name);
    if (ws_trace_load(out, path, &b->facts->link, &err) != 0)
        die(&err);
}

static void open_bench(struct bench *b, const char *folder, const char *device,
                       uint64_t seed)
{
    struct ws_error err = {0};
    char path[512];
    *b = (struct bench){0};
    snprintf(b->folder, sizeof(b->folder), "%s", folder);
    snprintf(b->device, sizeof(b->device), "%s", device);
    b->seed = seed;
    snprintf(path, sizeof(path), "%s/dvfo-%s/testbed.json", folder, device);
    if (ws_testbed_load(&b->testbed, path, &err) != 0 ||
        ws_parallel_create(&b->table, &b->testbed.space, b->testbed.switch_ms,
                           b->testbed.model_path, NULL, &err) != 0)
        die(&err);
    b->facts = ws_parallel_facts(b->table);
    load_trace(&b->slow, b, "link-slow.csv");
    load_trace(&b->fast, b, "link-fast.csv");
    b->task = (struct ws_learner_task){
        .space = &b->testbed.space,
        .cost = {b->facts->max_power_w, b->facts->accuracy_floor},
        .start = *baseline(b, "edge-only"),
        .cloud_only = baseline(b, "cloud-only"),
        .edge_only = baseline(b, "edge-only"),
        .table = b->table,
        .steps = STEPS,
        .seed = seed,
        .gamma = 0.1,
    };
    b->course = (struct ws_course_options){
        .machine = b->table,
        .reference = b->facts->link,
        .cost = b->task.cost,
        .link_mbit_s = {0.3, 150},
        .hold = 10,
        .eta = {0.1, 0.9},
        .lambda = {0.5, 0.5},
        .ambient_c = b->facts->ambient_c,
        .c_per_w = b->facts->c_per_w,
        .heat_s = b->facts->heat_s,
        .restart_every = 100,
        .restart_above_c = 60,
        .restart_load = 0.9,
        .restart_others = 1,
        .idle_w = b->facts->idle_w,
        .seed = seed,
    };
}

static void close_bench(struct bench *b)
{
    ws_trace_fini(&b->slow);
    ws_trace_fini(&b->fast);
    ws_evaluator_destroy(b->table);
    ws_testbed_fini(&b->testbed);
}

static struct ws_learner *make(const char *name, const struct ws_learner_task *task)
{
    struct ws_error err = {0};
    const struct ws_learner_ops *ops = NULL;
    struct ws_learner *learner = NULL;
    if (ws_learner_find(&ops, name, &err) != 0 || ops->create(&learner, task, &err) != 0)
        die(&err);
    return learner;
}

static struct ws_learner *train(const char *name, const struct ws_learner_task *task,
                                const struct ws_course_options *course)
{
    struct ws_error err = {0};
    struct ws_learner *learner = make(name, task);
    int64_t start = ws_clock_now_ns();
    if (ws_school_train(learner, course, NULL, NULL, &err) != 0)
        die(&err);
    fprintf(stderr, "# trained %s in %.1f s\n", name,
            (double)(ws_clock_now_ns() - start) / 1e9);
    return learner;
}

static struct ws_school_mark judge(struct ws_learner *learner,
                                   const struct ws_course_options *course,
                                   const struct ws_setting *start, size_t requests,
                                   int learns)
{
    struct ws_error err = {0};
    struct ws_school_mark mark;
    if (ws_school_judge(&mark, learner, course, start, requests, learns, 0, &err) != 0)
        die(&err);
    return mark;
}

/* ---- who is compared ---- */

struct contender {
    const char *name;
    int is_published; /* a baseline of the paper */
    struct ws_learner *learner;
};

/* One device's contenders, trained from one seed; tasks and knobs left alone live here.
 */
struct field {
    struct bench bench;
    struct ws_learner_task cpu_only, governor;
    int32_t cpu_only_fixed[WS_KNOBS_MAX];
    struct contender who[POLICIES_MAX];
    size_t count;
};

static void add(struct field *f, const char *name, int is_published,
                struct ws_learner *learner)
{
    f->who[f->count++] = (struct contender){name, is_published, learner};
}

/* Index of a contender. */
static size_t find(const struct field *f, const char *name)
{
    size_t i = 0;
    while (strcmp(f->who[i].name, name) != 0)
        i++;
    return i;
}

/* Knobs left alone: at their most. `keep` is the name of one that is not, or NULL. */
static void fix_edge(int32_t *fixed, struct ws_learner_task *task, const char *keep)
{
    const struct ws_space *space = task->space;
    for (size_t k = 0; k < WS_KNOBS_MAX; k++)
        fixed[k] = -1;
    for (size_t k = 0; k < space->knob_count; k++) {
        if (space->knobs[k].part == WS_PART_EDGE &&
            (keep == NULL || strcmp(space->knobs[k].name, keep) != 0))
            fixed[k] = (int32_t)space->knobs[k].value_count - 1;
    }
    task->fixed = fixed;
}

static void agent_path(char out[static 512], const struct bench *b)
{
    snprintf(out, 512, "%s/agent-%s-%llu.json", getenv("TMPDIR"), b->device,
             (unsigned long long)b->seed);
}

static void open_field(struct field *f, const char *folder, const char *device,
                       uint64_t seed)
{
    struct ws_error err = {0};
    char path[512];
    struct bench *b = &f->bench;
    open_bench(b, folder, device, seed);
    f->count = 0;
    f->cpu_only = f->governor = b->task;
    fix_edge(f->cpu_only_fixed, &f->cpu_only, "edge.cpu_khz");
    f->cpu_only.no_prior = 1;
    f->governor.cloud_only = baseline(b, "cloud-only-governor");
    f->governor.edge_only = baseline(b, "edge-only-governor");
    add(f, "cloud-only", 1, make("cloud-only", &b->task));
    add(f, "cloud-only, governor", 1, make("cloud-only", &f->governor));
    add(f, "edge-only", 1, make("edge-only", &b->task));
    add(f, "edge-only, governor", 1, make("edge-only", &f->governor));
    add(f, "appealnet", 1, make("appealnet", &b->task));
    add(f, "drldo", 1, train("dvfo", &f->cpu_only, &b->course));
    add(f, "bandit", 0, train("bandit", &b->task, &b->course));
    add(f, "autoscale", 0, train("autoscale", &b->task, &b->course));
    add(f, "argmin", 0, make("argmin", &b->task));
    add(f, "dvfo", 0, train("dvfo", &b->task, &b->course));
    add(f, "oracle", 0, NULL);
    agent_path(path, b);
    if (ws_dvfo_save(ws_dvfo_of(f->who[find(f, "dvfo")].learner), path, &err) != 0)
        die(&err);
}

static void close_field(struct field *f)
{
    for (size_t i = 0; i < f->count; i++)
        ws_learner_destroy(f->who[i].learner);
    close_bench(&f->bench);
}

/* ---- cells: a link, an eta ---- */

struct cell {
    char link[32];
    struct ws_school_mark marks[SEEDS][POLICIES_MAX];
};

static const double rates[] = {0.5, 1, 2, 4, 8, 5, 10, 20, 50, 100};

/* What cell `c` is served on; its name where `name` is not NULL. */
static struct ws_course_options cell_course(const struct bench *b, size_t c, double eta,
                                            char *name)
{
    struct ws_course_options course = b->course;
    if (c < 10)
        course.link_mbit_s = (struct ws_range){rates[c], rates[c]};
    else
        course.trace = c == 10 ? &b->slow : &b->fast;
    if (name != NULL && c < 10)
        snprintf(name, 32, "%g", rates[c]);
    else if (name != NULL)
        snprintf(name, 32, "%s", c == 10 ? "trace 0.5-8" : "trace 5-100");
    course.eta = (struct ws_range){eta, eta};
    course.restart_every = 0;
    course.seed = b->seed + 1000;
    return course;
}

static void fill_cells(struct cell cells[CELLS], const struct field *f, double eta,
                       size_t seed)
{
    for (size_t c = 0; c < CELLS; c++) {
        struct ws_course_options course = cell_course(&f->bench, c, eta, cells[c].link);
        for (size_t i = 0; i < f->count; i++)
            cells[c].marks[seed][i] =
                judge(f->who[i].learner, &course, &f->bench.task.start, REQUESTS, 0);
    }
}

/* Cost of contender `i` above the oracle's, who is the last. */
static double regret(const struct cell *cell, size_t seed, const struct field *f,
                     size_t i)
{
    const struct ws_school_mark *m = cell->marks[seed];
    return m[i].cost / m[f->count - 1].cost - 1;
}

/* The median over seeds of energy (0), latency (1) or cost above the oracle's (2). */
static double over_seeds(const struct cell *cell, const struct field *f, size_t i,
                         int which)
{
    double values[SEEDS];
    for (size_t s = 0; s < SEEDS; s++) {
        const struct ws_school_mark *m = &cell->marks[s][i];
        values[s] = which == 0   ? m->energy_j
                    : which == 1 ? m->latency_ms
                                 : regret(cell, s, f, i);
    }
    return ws_stats_median(values, SEEDS);
}

static void print_cells(const struct cell cells[CELLS], const struct field *f, double eta)
{
    printf(
        "\n%s, eta %g: energy J / latency ms / cost above the oracle's (of the oracle: "
        "cost), means of %d requests, medians of %d seeds\n%-12s",
        f->bench.device, eta, REQUESTS, SEEDS, "Mbit/s");
    for (size_t i = 0; i < f->count; i++)
        printf(" %22s", f->who[i].name);
    printf("\n");
    for (size_t c = 0; c < CELLS; c++) {
        printf("%-12s", cells[c].link);
        for (size_t i = 0; i < f->count; i++) {
            printf(" %6.3f %6.1f", over_seeds(&cells[c], f, i, 0),
                   over_seeds(&cells[c], f, i, 1));
            if (i + 1 < f->count)
                printf(" %6.1f%%", 100 * over_seeds(&cells[c], f, i, 2));
            else
                printf(" %7.3f", cells[c].marks[0][i].cost);
        }
        printf("\n");
    }
}

static void print_regrets(const struct cell cells[CELLS], const struct field *f)
{
    printf("cost above the oracle's, median of all cells and seeds, and worst:");
    for (size_t i = 0; i + 1 < f->count; i++) {
        double all[CELLS * SEEDS], worst = 0;
        for (size_t k = 0; k < CELLS * SEEDS; k++) {
            all[k] = regret(&cells[k / SEEDS], k % SEEDS, f, i);
            worst = fmax(worst, all[k]);
        }
        printf(" %s %.2f%% %.1f%%;", f->who[i].name,
               100 * ws_stats_median(all, CELLS * SEEDS), 100 * worst);
    }
    printf("\n");
}

/* How much dearer `dvfo` is at worst than the best of the baselines and than the argmin;
 * of each seed. */
static void print_claims(const struct cell cells[CELLS], const struct field *f)
{
    size_t dvfo = find(f, "dvfo"), argmin = find(f, "argmin");
    printf(
        "dvfo over the best published baseline / over the argmin, worst cell, by seed:");
    for (size_t s = 0; s < SEEDS; s++) {
        double worst = -1, worst_argmin = -1;
        const char *where = "", *whom = "";
        for (size_t c = 0; c < CELLS; c++) {
            const struct ws_school_mark *m = cells[c].marks[s];
            for (size_t i = 0; i < f->count; i++) {
                double more = m[dvfo].cost / m[i].cost - 1;
                if (!f->who[i].is_published || more <= worst)
                    continue;
                worst = more;
                where = cells[c].link;
                whom = f->who[i].name;
            }
            worst_argmin = fmax(worst_argmin, m[dvfo].cost / m[argmin].cost - 1);
        }
        printf(" %+.2f%% (%s, %s) / %+.2f%%;", 100 * worst, where, whom,
               100 * worst_argmin);
    }
    printf("\n");
}

/* As the paper has it, savings against each baseline: here the mean over cells and seeds
 * of (1 - ours / theirs). */
static void print_savings(const struct cell cells[CELLS], const struct field *f)
{
    size_t dvfo = find(f, "dvfo"), baselines = 0;
    double energy_all = 0;
    printf("less energy / latency than:");
    for (size_t i = 0; i < f->count; i++) {
        double energy = 0, latency = 0;
        if (!f->who[i].is_published)
            continue;
        for (size_t k = 0; k < CELLS * SEEDS; k++) {
            const struct ws_school_mark *m = cells[k / SEEDS].marks[k % SEEDS];
            energy += (1 - m[dvfo].energy_j / m[i].energy_j) / (CELLS * SEEDS);
            latency += (1 - m[dvfo].latency_ms / m[i].latency_ms) / (CELLS * SEEDS);
        }
        printf(" %s %.1f%% / %.1f%%;", f->who[i].name, 100 * energy, 100 * latency);
        energy_all += energy;
        baselines++;
    }
    printf(" mean energy %.1f%%\n", 100 * energy_all / (double)baselines);
    printf("  (the paper, its own machines, networks and baselines: 33%% less energy on "
           "average, 28.6 to 59.1%% less latency)\n");
}

/* ---- where machine and table disagree ---- */

static const struct scenario {
    const char *name;
    const char *file, *trace; /* NULL: none */
} scenarios[] = {
    {"true table", NULL, NULL},
    {"throttling", "throttling.json", NULL},
    {"load", NULL, "load.csv"},
    {"drift", "drift.json", NULL},
};

enum { SCENARIOS = sizeof(scenarios) / sizeof(scenarios[0]) };

/* Mean costs over the argmin's, less 1. */
struct scenario_marks {
    double live, still, new;
    double oracle; /* of the first seed only: it takes long */
    double seconds;
};

/* From the agent's file, as in the field. */
static struct ws_learner *from_file(const struct bench *b, int live)
{
    const struct ws_dvfo_safety safety = {INFINITY, 0.02};
    struct ws_learner *learner = NULL;
    struct ws_error err = {0};
    char path[512];
    agent_path(path, b);
    if (ws_dvfo_load(&learner, &b->testbed.space, path, b->seed, &err) != 0 ||
        (live && ws_dvfo_go_live(ws_dvfo_of(learner), &safety, &err) != 0))
        die(&err);
    return learner;
}

static void run_scenario(struct scenario_marks *out, const struct field *f,
                         const struct scenario *which, int with_oracle)
{
    const struct bench *b = &f->bench;
    const struct ws_setting *start = &b->task.start;
    struct ws_learner *argmin = f->who[find(f, "argmin")].learner;
    struct ws_error err = {0};
    struct ws_evaluator *machine = NULL;
    struct ws_trace trace = {0};
    char path[512];
    snprintf(path, sizeof(path), "%s/dvfo-scenarios/%s", b->folder,
             which->file == NULL ? "" : which->file);
    if (ws_parallel_create(&machine, &b->testbed.space, b->testbed.switch_ms,
                           b->testbed.model_path, which->file == NULL ? NULL : path,
                           &err) != 0)
        die(&err);
    struct ws_course_options course = b->course;
    course.machine = machine;
    course.table = b->table;
    course.link_mbit_s = (struct ws_range){0.5, 20};
    course.eta = (struct ws_range){0.5, 0.5};
    course.restart_every = 0;
    course.seed = b->seed + 2000;
    course.ambient_c = ws_parallel_facts(machine)->ambient_c;
    if (which->trace != NULL) {
        load_trace(&trace, b, which->trace);
        course.trace = &trace;
    }
    struct ws_learner *live = from_file(b, 1), *still = from_file(b, 0);
    struct ws_learner *new = make("dvfo", &b->task);
    double ms = judge(argmin, &course, start, 200, 0).latency_ms;
    size_t requests = (size_t)(scenario_s * 1000 / ms);
    struct ws_school_mark table = judge(argmin, &course, start, requests, 0);
    out->seconds = table.span_s;
    out->live = judge(live, &course, start, requests, 1).cost / table.cost - 1;
    out->still = judge(still, &course, start, requests, 0).cost / table.cost - 1;
    out->new = judge(new, &course, start, requests, 0).cost / table.cost - 1;
    if (with_oracle)
        out->oracle = judge(NULL, &course, start, requests, 0).cost / table.cost - 1;
    ws_learner_destroy(live);
    ws_learner_destroy(still);
    ws_learner_destroy(new);
    ws_trace_fini(&trace);
    ws_evaluator_destroy(machine);
}

static void print_scenarios(struct scenario_marks marks[SCENARIOS][SEEDS],
                            const char *device)
{
    for (size_t i = 0; i < SCENARIOS; i++) {
        double live[SEEDS], still[SEEDS], new[SEEDS], worst = -1;
        for (size_t s = 0; s < SEEDS; s++) {
            live[s] = marks[i][s].live;
            still[s] = marks[i][s].still;
            new[s] = marks[i][s].new;
            worst = fmax(worst, live[s]);
        }
        printf(
            "%-10s %-11s dvfo %+.2f%% (median of %d seeds), %+.2f%% (worst); not "
            "learning live %+.2f%%; not trained either %+.2f%%; oracle %+.2f%%; %.0f s\n",
            device, scenarios[i].name, 100 * ws_stats_median(live, SEEDS), SEEDS,
            100 * worst, 100 * ws_stats_median(still, SEEDS),
            100 * ws_stats_median(new, SEEDS), 100 * marks[i][0].oracle,
            marks[i][0].seconds);
    }
}

/* ---- ablations ---- */

/* Mean over cells of the cost above the oracle's. */
static double mean_regret(const struct field *f, struct ws_learner *learner,
                          const struct cell cells[CELLS], double eta, int sequential,
                          double decide_ms)
{
    double sum = 0;
    for (size_t c = 0; c < CELLS; c++) {
        struct ws_course_options course = cell_course(&f->bench, c, eta, NULL);
        course.sequential = sequential;
        course.decide_ms = decide_ms;
        struct ws_school_mark mark =
            judge(learner, &course, &f->bench.task.start, REQUESTS, 0);
        sum += mark.cost / cells[c].marks[0][f->count - 1].cost - 1;
    }
    return sum / CELLS;
}

/* Of the first seed. */
static void ablations(const struct field *f, struct cell cells[][CELLS],
                      const double *etas, size_t eta_count)
{
    int32_t fixed[WS_KNOBS_MAX];
    struct ws_learner_task still = f->bench.task, blind = still, all = still;
    struct ws_learner *dvfo = f->who[find(f, "dvfo")].learner;
    fix_edge(fixed, &still, NULL);
    blind.no_attention = 1;
    all.no_prior = 1;
    struct ws_learner *no_clocks = train("dvfo", &still, &f->bench.course);
    struct ws_learner *no_attention = train("dvfo", &blind, &f->bench.course);
    struct ws_learner *published = train("dvfo", &all, &f->bench.course);
    for (size_t e = 0; e < eta_count; e++) {
        const struct cell *c = cells[e];
        printf("%s, eta %g, cost above the oracle's, mean of %d cells: dvfo %.2f%%; no "
               "frequency scaling %.2f%%; no attention %.2f%%; no concurrency, deciding "
               "in 10 us %.2f%%, in 5 ms (assumed, a Python stack on the board) %.2f%%; "
               "no table (published form) %.2f%%\n",
               f->bench.device, etas[e], CELLS,
               100 * mean_regret(f, dvfo, c, etas[e], 0, 0),
               100 * mean_regret(f, no_clocks, c, etas[e], 0, 0),
               100 * mean_regret(f, no_attention, c, etas[e], 0, 0),
               100 * mean_regret(f, dvfo, c, etas[e], 1, 0.01),
               100 * mean_regret(f, dvfo, c, etas[e], 1, 5),
               100 * mean_regret(f, published, c, etas[e], 0, 0));
    }
    ws_learner_destroy(no_clocks);
    ws_learner_destroy(no_attention);
    ws_learner_destroy(published);
}

/* ---- all of a device ---- */

static void run_device(const char *folder, const char *device)
{
    static const double etas[] = {0.5, 0.8};
    static struct cell cells[2][CELLS];
    static struct scenario_marks marks[SCENARIOS][SEEDS];
    static struct field fields[SEEDS];
    for (size_t s = 0; s < SEEDS; s++) {
        struct field *f = &fields[s];
        open_field(f, folder, device, s + 1);
        for (size_t e = 0; e < 2; e++)
            fill_cells(cells[e], f, etas[e], s);
        for (size_t i = 0; i < SCENARIOS; i++)
            run_scenario(&marks[i][s], f, &scenarios[i], s == 0);
    }
    for (size_t e = 0; e < 2; e++) {
        print_cells(cells[e], &fields[0], etas[e]);
        print_regrets(cells[e], &fields[0]);
        print_claims(cells[e], &fields[0]);
        print_savings(cells[e], &fields[0]);
    }
    printf(
        "\nmean cost over the argmin's, live from the agent's file, eta 0.5, 0.5 to 20 "
        "Mbit/s:\n");
    print_scenarios(marks, device);
    ablations(&fields[0], cells, etas, 2);
    for (size_t s = 0; s < SEEDS; s++)
        close_field(&fields[s]);
}

/* ---- speed ---- */

/* The shape of a Jetson Nano's agent: 13,860 joint actions. */
static const struct ws_dqn_shape nano_shape = {.state_count = 22,
                                               .branch_count = 4,
                                               .branches = {15, 12, 7, 11},
                                               .pivot = 3,
                                               .hidden = {128, 64}};

static void draw_batch(struct ws_rng *rng, float *state, float *next, uint16_t *action,
                       float *reward, float *discount, size_t count)
{
    for (size_t i = 0; i < count * nano_shape.state_count; i++) {
        state[i] = (float)ws_rng_normal(rng);
        next[i] = (float)ws_rng_normal(rng);
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t d = 0; d < nano_shape.branch_count; d++)
            action[i * nano_shape.branch_count + d] =
                (uint16_t)ws_rng_below(rng, nano_shape.branches[d]);
        reward[i] = (float)ws_rng_normal(rng);
        discount[i] = 0.1f;
    }
}

static void bench_speed(void)
{
    enum { BATCH = 256, ROUNDS = 400, DECISIONS = 20000 };
    static float state[BATCH * 22], next[BATCH * 22], reward[BATCH], discount[BATCH];
    static uint16_t action[BATCH * 4];
    static double us[DECISIONS];
    for (size_t k = 0; ws_kernels_at(k) != NULL; k++) {
        struct ws_dqn_options options = {BATCH, 1e-3f, 0.02f, 0, 1, ws_kernels_at(k)};
        struct ws_dqn *dqn = NULL;
        struct ws_rng rng;
        ws_rng_init(&rng, 1);
        if (ws_dqn_create(&dqn, &nano_shape, &options, NULL) != 0)
            exit(1);
        struct ws_dqn_batch batch = {BATCH, state, action, reward, next, discount};
        for (size_t i = 0; i < ROUNDS; i++) {
            draw_batch(&rng, state, next, action, reward, discount, BATCH);
            int64_t start = ws_clock_now_ns();
            (void)ws_dqn_train(dqn, &batch);
            us[i] = (double)(ws_clock_now_ns() - start) / 1e3;
        }
        double train_us = ws_stats_median(us, ROUNDS), least_us = us[0]; /* sorted */
        for (size_t i = 0; i < DECISIONS; i++) {
            uint16_t best[4];
            for (size_t s = 0; s < nano_shape.state_count; s++)
                state[s] = (float)ws_rng_normal(&rng);
            int64_t start = ws_clock_now_ns();
            ws_dqn_best(dqn, best, NULL, state, NULL);
            us[i] = (double)(ws_clock_now_ns() - start) / 1e3;
        }
        ws_stats_sort(us, DECISIONS);
        printf("%-9s one training step, batch %d: median %.0f us, least %.0f; one "
               "decision among "
               "13860 joint actions: median %.2f us, 99 %% %.2f us\n",
               ws_kernels_at(k)->name, BATCH, train_us, least_us, us[DECISIONS / 2],
               us[DECISIONS * 99 / 100]);
        ws_dqn_destroy(dqn);
    }
}

/* The whole of a decision as an agent takes it: view, network, and the table's costs of
 * all of a Jetson Nano's settings, network and table together and the table alone. */
static void bench_decide(const char *folder)
{
    enum { DECISIONS = 20000 };
    static double us[DECISIONS];
    static struct bench b;
    struct ws_rng rng;
    ws_rng_init(&rng, 1);
    open_bench(&b, folder, "nano", 1);
    struct ws_learner *learner = make("dvfo", &b.task);
    struct ws_view view = {.attention = 0.75,
                           .temperature_c = 45,
                           .edge_scale = 1,
                           .power_scale = 1,
                           .lambda = 0.5,
                           .deadline_ms = INFINITY,
                           .current = b.task.start};
    for (size_t i = 0; i < DECISIONS; i++) {
        view.link_mbit_s = exp(5 * ws_rng_uniform(&rng) - 1);
        view.eta = ws_rng_uniform(&rng);
        int64_t start = ws_clock_now_ns();
        ws_learner_choose(learner, &view.current, &view, 0);
        us[i] = (double)(ws_clock_now_ns() - start) / 1e3;
    }
    ws_stats_sort(us, DECISIONS);
    printf("an agent's decision among the 13860 settings of dvfo-nano, its table's costs "
           "worked out for the link at hand: median %.2f us, 99 %% %.2f us\n",
           us[DECISIONS / 2], us[DECISIONS * 99 / 100]);
    ws_learner_destroy(learner);
    close_bench(&b);
}

/* Median milliseconds from request to request where each occupies an accelerator for
 * 5 ms (here: this thread sleeps), deciding before it or while it runs. */
static double period_ms(struct ws_dqn *dqn, int hidden)
{
    enum { ROUNDS = 300 };
    static double ms[ROUNDS];
    const int64_t busy_ns = 5000000;
    float state[22] = {0.5f};
    uint16_t best[4];
    for (size_t i = 0; i < ROUNDS; i++) {
        int64_t start = ws_clock_now_ns();
        if (!hidden)
            ws_dqn_best(dqn, best, NULL, state, NULL);
        int64_t until = ws_clock_now_ns() + busy_ns;
        if (hidden)
            ws_dqn_best(dqn, best, NULL, state, NULL);
        while (ws_clock_now_ns() < until - 200000)
            ws_clock_sleep_until(until - 200000);
        while (ws_clock_now_ns() < until)
            ;
        ms[i] = (double)(ws_clock_now_ns() - start) / 1e6;
    }
    return ws_stats_median(ms, ROUNDS);
}

static void bench_hidden(void)
{
    struct ws_dqn_options options = {1, 1e-3f, 0.02f, 0, 1, NULL};
    struct ws_dqn *dqn = NULL;
    if (ws_dqn_create(&dqn, &nano_shape, &options, NULL) != 0)
        exit(1);
    double first = period_ms(dqn, 0), hidden = period_ms(dqn, 1);
    printf("a request that keeps the accelerator busy for 5 ms: %.4f ms with deciding "
           "before it, %.4f ms with deciding while it runs\n",
           first, hidden);
    ws_dqn_destroy(dqn);
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 3 && strcmp(argv[1], "--speed") == 0) {
        bench_speed();
        bench_decide(argv[2]);
        bench_hidden();
        return 0;
    }
    if (argc < 3 || getenv("TMPDIR") == NULL) {
        fputs("usage: TMPDIR=DIR bench_learn FOLDER DEVICE ... | --speed FOLDER\n",
              stderr);
        return 2;
    }
    for (int i = 2; i < argc; i++)
        run_device(argv[1], argv[i]);
    return 0;
}
