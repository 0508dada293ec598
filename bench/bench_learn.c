/*
 * DVFO's learner beside what was published, other learners, the argmin over the table and
 * the oracle, on device models, over links that stay or change; where machine and table
 * disagree; with parts of it left out; and how fast it trains and decides. Everything is
 * modelled and on a virtual clock but the times of training and deciding. Usage:
 * bench_learn FOLDER DEVICE ..., FOLDER being etc/testbeds, or bench_learn --speed.
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

enum { STEPS = 20000, REQUESTS = 120, LIVE_REQUESTS = 1500, SEED = 1, POLICIES_MAX = 12 };

/* ---- one device ---- */

struct bench {
    struct ws_testbed testbed;
    struct ws_evaluator *table;
    const struct ws_parallel_facts *facts;
    struct ws_learner_task task; /* of whoever may touch every knob */
    struct ws_course_options course;
    struct ws_trace slow, fast; /* links that change */
    char folder[256];
    char device[64];
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

static void open_bench(struct bench *b, const char *folder, const char *device)
{
    struct ws_error err = {0};
    char path[512];
    *b = (struct bench){0};
    snprintf(b->folder, sizeof(b->folder), "%s", folder);
    snprintf(b->device, sizeof(b->device), "%s", device);
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
        .seed = SEED,
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
        .seed = SEED,
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

/* ---- cells ---- */

struct contender {
    const char *name;
    struct ws_learner *learner; /* NULL: the oracle */
    int is_published;           /* a baseline of the paper */
};

struct cell {
    char link[32];
    double eta;
    struct ws_school_mark marks[POLICIES_MAX];
};

static const double slow_rates[] = {0.5, 1, 2, 4, 8}, fast_rates[] = {5, 10, 20, 50, 100};

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

static void fill_cell(struct cell *out, const struct bench *b, const char *link,
                      struct ws_course_options *course, double eta,
                      const struct contender *who, size_t count)
{
    snprintf(out->link, sizeof(out->link), "%s", link);
    out->eta = eta;
    course->eta = (struct ws_range){eta, eta};
    course->restart_every = 0;
    course->seed = SEED + 1000;
    for (size_t i = 0; i < count; i++)
        out->marks[i] = judge(who[i].learner, course, &b->task.start, REQUESTS, 0);
}

static size_t fill_cells(struct cell *cells, const struct bench *b, double eta,
                         const struct contender *who, size_t count)
{
    size_t n = 0;
    for (size_t r = 0; r < 10; r++) {
        double rate = r < 5 ? slow_rates[r] : fast_rates[r - 5];
        struct ws_course_options course = b->course;
        char link[32];
        snprintf(link, sizeof(link), "%g", rate);
        course.link_mbit_s = (struct ws_range){rate, rate};
        fill_cell(&cells[n++], b, link, &course, eta, who, count);
    }
    for (int t = 0; t < 2; t++) {
        struct ws_course_options course = b->course;
        course.trace = t == 0 ? &b->slow : &b->fast;
        fill_cell(&cells[n++], b, t == 0 ? "trace 0.5-8" : "trace 5-100", &course, eta,
                  who, count);
    }
    return n;
}

static void print_cells(const struct bench *b, const struct cell *cells, size_t n,
                        const struct contender *who, size_t count)
{
    size_t oracle = count - 1;
    printf("\n%s, eta %g: energy J / latency ms / cost above the oracle's, means of %d "
           "requests\n%-12s",
           b->device, cells[0].eta, REQUESTS, "Mbit/s");
    for (size_t i = 0; i < count; i++)
        printf(" %22s", who[i].name);
    printf("\n");
    for (size_t c = 0; c < n; c++) {
        printf("%-12s", cells[c].link);
        for (size_t i = 0; i < count; i++) {
            const struct ws_school_mark *m = &cells[c].marks[i];
            if (i == oracle)
                printf(" %6.3f %6.1f %6.3f", m->energy_j, m->latency_ms, m->cost);
            else
                printf(" %6.3f %6.1f %6.1f%%", m->energy_j, m->latency_ms,
                       100 * (m->cost / cells[c].marks[oracle].cost - 1));
        }
        printf("\n");
    }
}

/* Index of a contender. */
static size_t find(const struct contender *who, size_t count, const char *name)
{
    size_t i = 0;
    while (i < count && strcmp(who[i].name, name) != 0)
        i++;
    return i;
}

static void print_regrets(const struct cell *cells, size_t n, const struct contender *who,
                          size_t count)
{
    printf("cost above the oracle's, median and worst of %zu cells:", n);
    for (size_t i = 0; i + 1 < count; i++) {
        double regrets[64], worst = 0;
        for (size_t c = 0; c < n; c++) {
            regrets[c] = cells[c].marks[i].cost / cells[c].marks[count - 1].cost - 1;
            worst = fmax(worst, regrets[c]);
        }
        printf(" %s %.2f%% %.1f%%;", who[i].name, 100 * ws_stats_median(regrets, n),
               100 * worst);
    }
    printf("\n");
}

/* The figures that the learner is held to. */
static void print_claims(const struct cell *cells, size_t n, const struct contender *who,
                         size_t count)
{
    size_t dvfo = find(who, count, "dvfo"), argmin = find(who, count, "argmin");
    double worst = -1, worst_argmin = -1;
    const char *where = "", *whom = "";
    for (size_t c = 0; c < n; c++) {
        const struct ws_school_mark *m = cells[c].marks;
        for (size_t i = 0; i < count; i++) {
            double more = m[dvfo].cost / m[i].cost - 1;
            if (who[i].is_published && more > worst) {
                worst = more;
                where = cells[c].link;
                whom = who[i].name;
            }
        }
        worst_argmin = fmax(worst_argmin, m[dvfo].cost / m[argmin].cost - 1);
    }
    printf("dvfo against the best published baseline, worst cell: %+.2f%% (%s, %s); "
           "against the argmin, worst cell: %+.2f%%\n",
           100 * worst, where, whom, 100 * worst_argmin);
}

/* As the paper has it, savings against each baseline: here the mean over cells of (1 -
 * ours / theirs). */
static void print_savings(const struct cell *cells, size_t n, const struct contender *who,
                          size_t count)
{
    size_t dvfo = find(who, count, "dvfo");
    double energy_all = 0;
    size_t baselines = 0;
    printf("less energy / latency than:");
    for (size_t i = 0; i < count; i++) {
        double energy = 0, latency = 0;
        if (!who[i].is_published)
            continue;
        for (size_t c = 0; c < n; c++) {
            const struct ws_school_mark *m = cells[c].marks;
            energy += (1 - m[dvfo].energy_j / m[i].energy_j) / (double)n;
            latency += (1 - m[dvfo].latency_ms / m[i].latency_ms) / (double)n;
        }
        printf(" %s %.1f%% / %.1f%%;", who[i].name, 100 * energy, 100 * latency);
        energy_all += energy;
        baselines++;
    }
    printf(" mean energy %.1f%%\n", 100 * energy_all / (double)baselines);
    printf("  (the paper, its own machines, networks and baselines: 33%% less energy on "
           "average, 28.6 to 59.1%% less latency)\n");
}

/* ---- where machine and table disagree ---- */

static void scenario(const struct bench *b, const char *name, const char *file,
                     const char *trace_file, struct ws_learner *argmin)
{
    struct ws_error err = {0};
    struct ws_evaluator *machine = NULL;
    struct ws_trace trace = {0};
    char path[512];
    snprintf(path, sizeof(path), "%s/dvfo-scenarios/%s", b->folder,
             file == NULL ? "" : file);
    if (ws_parallel_create(&machine, &b->testbed.space, b->testbed.switch_ms,
                           b->testbed.model_path, file == NULL ? NULL : path, &err) != 0)
        die(&err);
    struct ws_course_options course = b->course;
    course.machine = machine;
    course.table = b->table;
    course.link_mbit_s = (struct ws_range){0.5, 20};
    course.eta = (struct ws_range){0.5, 0.5};
    course.restart_every = 0;
    course.seed = SEED + 2000;
    course.ambient_c = ws_parallel_facts(machine)->ambient_c;
    if (trace_file != NULL) {
        load_trace(&trace, b, trace_file);
        course.trace = &trace;
    }
    /* The agent comes from its file, as it would in the field. */
    struct ws_learner *live = NULL, *still = NULL;
    const struct ws_dvfo_safety safety = {INFINITY, 0.02};
    snprintf(path, sizeof(path), "%s/agent-%s.json", getenv("TMPDIR"), b->device);
    if (ws_dvfo_load(&live, &b->testbed.space, path, SEED, &err) != 0 ||
        ws_dvfo_load(&still, &b->testbed.space, path, SEED, &err) != 0 ||
        ws_dvfo_go_live(ws_dvfo_of(live), &safety, &err) != 0)
        die(&err);
    const struct ws_setting *start = &b->task.start;
    double table = judge(argmin, &course, start, LIVE_REQUESTS, 0).cost;
    double oracle = judge(NULL, &course, start, LIVE_REQUESTS, 0).cost;
    double trained = judge(still, &course, start, LIVE_REQUESTS, 0).cost;
    struct ws_school_mark mark = judge(live, &course, start, LIVE_REQUESTS, 1);
    struct ws_dvfo_tally tally = ws_dvfo_tally(ws_dvfo_of(live));
    printf("%-12s %-11s argmin %.4f  dvfo %.4f (%+.2f%%)  not learning live %.4f  oracle "
           "%.4f  (%zu requests, %.0f s, %llu explored, %llu rollbacks)\n",
           b->device, name, table, mark.cost, 100 * (mark.cost / table - 1), trained,
           oracle, mark.requests, mark.span_s, (unsigned long long)tally.explored,
           (unsigned long long)tally.rollbacks);
    ws_learner_destroy(live);
    ws_learner_destroy(still);
    ws_trace_fini(&trace);
    ws_evaluator_destroy(machine);
}

/* ---- ablations ---- */

static double cost_over_cells(const struct bench *b, struct ws_learner *learner,
                              const struct cell *cells, size_t n, size_t oracle,
                              double eta, int sequential, double decide_ms)
{
    double regrets[64];
    for (size_t c = 0; c < n; c++) {
        struct ws_course_options course = b->course;
        if (c < 10) {
            double rate = c < 5 ? slow_rates[c] : fast_rates[c - 5];
            course.link_mbit_s = (struct ws_range){rate, rate};
        } else {
            course.trace = c == 10 ? &b->slow : &b->fast;
        }
        course.eta = (struct ws_range){eta, eta};
        course.restart_every = 0;
        course.seed = SEED + 1000;
        course.sequential = sequential;
        course.decide_ms = decide_ms;
        struct ws_school_mark mark = judge(learner, &course, &b->task.start, REQUESTS, 0);
        regrets[c] = mark.cost / cells[c].marks[oracle].cost - 1;
    }
    double sum = 0;
    for (size_t c = 0; c < n; c++)
        sum += regrets[c] / (double)n;
    return sum;
}

static void ablations(const struct bench *b, struct ws_learner *dvfo,
                      const struct cell *cells, size_t n, size_t oracle, double eta)
{
    int32_t fixed[WS_KNOBS_MAX];
    struct ws_learner_task still = b->task, blind = b->task;
    fix_edge(fixed, &still, NULL);
    blind.no_attention = 1;
    struct ws_learner *no_clocks = train("dvfo", &still, &b->course);
    struct ws_learner *no_attention = train("dvfo", &blind, &b->course);
    printf("%s, eta %g, cost above the oracle's, mean of %zu cells: dvfo %.2f%%; no "
           "frequency scaling %.2f%%; no attention %.2f%%; no concurrency, deciding in "
           "10 us %.2f%%, in 5 ms (assumed, a Python stack on the board) %.2f%%\n",
           b->device, eta, n, 100 * cost_over_cells(b, dvfo, cells, n, oracle, eta, 0, 0),
           100 * cost_over_cells(b, no_clocks, cells, n, oracle, eta, 0, 0),
           100 * cost_over_cells(b, no_attention, cells, n, oracle, eta, 0, 0),
           100 * cost_over_cells(b, dvfo, cells, n, oracle, eta, 1, 0.01),
           100 * cost_over_cells(b, dvfo, cells, n, oracle, eta, 1, 5));
    ws_learner_destroy(no_clocks);
    ws_learner_destroy(no_attention);
}

/* ---- all of a device ---- */

static void run_device(const char *folder, const char *device, int with_ablations)
{
    static const double etas[] = {0.5, 0.8};
    struct bench b;
    struct ws_error err = {0};
    char path[512];
    int32_t fixed[WS_KNOBS_MAX];
    open_bench(&b, folder, device);
    struct ws_learner_task cpu_only = b.task, governor = b.task;
    fix_edge(fixed, &cpu_only, "edge.cpu_khz");
    governor.cloud_only = baseline(&b, "cloud-only-governor");
    governor.edge_only = baseline(&b, "edge-only-governor");
    struct contender who[] = {
        {"cloud-only", make("cloud-only", &b.task), 1},
        {"cloud-only, governor", make("cloud-only", &governor), 1},
        {"edge-only", make("edge-only", &b.task), 1},
        {"edge-only, governor", make("edge-only", &governor), 1},
        {"appealnet", make("appealnet", &b.task), 1},
        {"drldo", train("dvfo", &cpu_only, &b.course), 1},
        {"bandit", train("bandit", &b.task, &b.course), 0},
        {"autoscale", train("autoscale", &b.task, &b.course), 0},
        {"argmin", make("argmin", &b.task), 0},
        {"dvfo", train("dvfo", &b.task, &b.course), 0},
        {"oracle", NULL, 0},
    };
    size_t count = sizeof(who) / sizeof(who[0]);
    struct ws_learner *dvfo = who[find(who, count, "dvfo")].learner;
    snprintf(path, sizeof(path), "%s/agent-%s.json", getenv("TMPDIR"), device);
    if (ws_dvfo_save(ws_dvfo_of(dvfo), path, &err) != 0)
        die(&err);
    for (size_t e = 0; e < 2; e++) {
        static struct cell cells[16];
        size_t n = fill_cells(cells, &b, etas[e], who, count);
        print_cells(&b, cells, n, who, count);
        print_regrets(cells, n, who, count);
        print_claims(cells, n, who, count);
        print_savings(cells, n, who, count);
        if (e == 1 && with_ablations)
            ablations(&b, dvfo, cells, n, count - 1, etas[e]);
    }
    printf("mean cost where the machine is not what the table says, live from the "
           "agent's file, eta 0.5, 0.5 to 20 Mbit/s:\n");
    struct ws_learner *argmin = who[find(who, count, "argmin")].learner;
    scenario(&b, "true table", NULL, NULL, argmin);
    scenario(&b, "throttling", "throttling.json", NULL, argmin);
    scenario(&b, "load", NULL, "load.csv", argmin);
    scenario(&b, "drift", "drift.json", NULL, argmin);
    for (size_t i = 0; i < count; i++)
        ws_learner_destroy(who[i].learner);
    close_bench(&b);
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
        struct ws_dqn_options options = {BATCH, 1e-3f, 0.02f, 1, ws_kernels_at(k)};
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
    struct ws_dqn_options options = {1, 1e-3f, 0.02f, 1, NULL};
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
    if (argc == 2 && strcmp(argv[1], "--speed") == 0) {
        bench_speed();
        bench_hidden();
        return 0;
    }
    if (argc < 3 || getenv("TMPDIR") == NULL) {
        fputs("usage: TMPDIR=DIR bench_learn FOLDER DEVICE ... | --speed\n", stderr);
        return 2;
    }
    for (int i = 2; i < argc; i++)
        run_device(argv[1], argv[i], i == 2 && getenv("NOABL") == NULL);
    return 0;
}
