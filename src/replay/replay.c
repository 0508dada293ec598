#include "replay/replay.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rng.h"
#include "base/stats.h"
#include "replay/oracle.h"

/* One run. Arrays are as long as the workload. */
struct run {
    const struct ws_replay_task *task;
    struct ws_agent *agent;
    struct ws_world_now now;
    uint64_t seed;
    double now_ms;
    size_t next; /* request that arrives next */
    size_t executions;
    struct ws_replay_result result;
    double *latency, *exceed, *decision_ns;
    size_t served, decisions;
    double energy, edge_energy, cloud_energy;
};

static void run_fini(struct run *run)
{
    ws_agent_destroy(run->agent);
    free(run->latency);
    free(run->exceed);
    free(run->decision_ns);
    ws_replay_result_fini(&run->result);
}

static int run_init(struct run *run, const struct ws_replay_task *task,
                    const struct ws_policy_ops *policy, uint64_t seed,
                    struct ws_error *err)
{
    size_t count = task->workload->count;
    *run = (struct run){.task = task, .seed = seed};
    run->result.policy = policy->name;
    run->result.requests = count;
    run->result.parts_known = 1;
    run->latency = calloc(count + 1, sizeof(*run->latency));
    run->exceed = calloc(count + 1, sizeof(*run->exceed));
    run->decision_ns = calloc(count + 1, sizeof(*run->decision_ns));
    if (run->latency == NULL || run->exceed == NULL || run->decision_ns == NULL)
        return ws_error_nomem(err);
    if (task->cut_knob != (size_t)-1) {
        run->result.use_count = task->plan->space.knobs[task->cut_knob].value_count;
        run->result.uses = calloc(run->result.use_count, sizeof(*run->result.uses));
        if (run->result.uses == NULL)
            return ws_error_nomem(err);
    }
    ws_world_at(&run->now.conditions, task->world, 0);
    struct ws_oracle_context context = {task->world, &run->now};
    struct ws_agent_options options = {
        .policy = policy,
        .policy_options = task->options,
        .order = task->order,
        .refuse_late = task->refuse_late,
    };
    options.policy_options.oracle = &context;
    return ws_agent_create(&run->agent, task->plan, &options, err);
}

static const struct ws_request *request_of(const struct run *run, size_t i)
{
    return &run->task->workload->requests[i];
}

/* When request i arrives; without arrivals, whenever it is asked for. */
static double arrival_of(const struct run *run, size_t i)
{
    return run->task->workload->has_arrivals ? request_of(run, i)->arrival_ms
                                             : run->now_ms;
}

static void submit(struct run *run, double arrival_ms)
{
    const struct ws_request *request = request_of(run, run->next);
    struct ws_agent_request one = {run->next, arrival_ms + request->deadline_ms,
                                   request->min_accuracy};
    if (ws_agent_submit(run->agent, &one, arrival_ms, NULL) != 0)
        run->result.refused++;
    run->next++;
}

static void count_energy(struct run *run, const struct ws_outcome *outcome)
{
    double joules, edge, cloud;
    if (ws_outcome_get(&joules, outcome, WS_ENERGY_J) == 0)
        run->energy += joules;
    if (ws_outcome_get(&edge, outcome, WS_EDGE_ENERGY_J) != 0 ||
        ws_outcome_get(&cloud, outcome, WS_CLOUD_ENERGY_J) != 0) {
        run->result.parts_known = 0;
        return;
    }
    run->edge_energy += edge;
    run->cloud_energy += cloud;
}

static void count_latency(struct run *run, double latency_ms, double deadline_ms)
{
    struct ws_replay_result *result = &run->result;
    run->latency[run->served++] = latency_ms;
    if (latency_ms <= deadline_ms)
        result->met++;
    else
        run->exceed[result->late++] = latency_ms - deadline_ms;
}

/* The attention of the request's feature maps, where the world knows one. */
static void look(struct run *run, struct ws_agent_action *action)
{
    double attention = 0;
    if (ws_conditions_get(&attention, &run->now.conditions, WS_ATTENTION) == 0)
        (void)ws_agent_looked(run->agent, &action->decision, action->id, attention,
                              run->now_ms);
}

/* Executes one decision and moves the clock to its end. */
static int execute(struct run *run, struct ws_agent_action *action, double arrival_ms,
                   struct ws_error *err)
{
    const struct ws_world *world = run->task->world;
    const struct ws_request *request = request_of(run, (size_t)action->id);
    struct ws_outcome outcome;
    double latency;
    look(run, action);
    int rc = ws_evaluate(world->evaluator, &outcome, &action->decision.setting, NULL,
                         &run->now.conditions, run->now.seed, err);
    if (rc != 0) {
        ws_error_context(err, "%s, request %llu", run->result.policy,
                         (unsigned long long)request->index);
        return rc;
    }
    if (ws_outcome_get(&latency, &outcome, WS_LATENCY_MS) != 0)
        return ws_error_set(err, WS_E_UNKNOWN,
                            "%s, request %llu: the outcome does not know its latency_ms",
                            run->result.policy, (unsigned long long)request->index);
    if (run->result.uses != NULL)
        run->result.uses[action->decision.setting.value[run->task->cut_knob]]++;
    run->result.switches += action->switch_ms > 0;
    count_energy(run, &outcome);
    double deadline_at = arrival_ms + request->deadline_ms;
    if (isfinite(latency)) {
        run->now_ms += action->switch_ms + latency;
        ws_outcome_set(&outcome, WS_LATENCY_MS, action->switch_ms + latency);
        count_latency(run, run->now_ms - arrival_ms, request->deadline_ms);
    } else {
        run->now_ms = fmax(run->now_ms + action->switch_ms, deadline_at);
        run->latency[run->served++] = run->now_ms - arrival_ms;
        run->result.lost++;
    }
    while (run->task->workload->has_arrivals && run->next < run->result.requests &&
           request_of(run, run->next)->arrival_ms <= run->now_ms)
        submit(run, request_of(run, run->next)->arrival_ms);
    ws_agent_finish(run->agent, action->id, &outcome, run->now_ms);
    return 0;
}

/* One decision, timed. The draw belongs to the number of the execution: the same for
 * every policy that serves the same requests in the same order. */
static int decide(struct run *run, struct ws_agent_action *out)
{
    ws_world_at(&run->now.conditions, run->task->world, run->now_ms);
    struct ws_rng rng;
    ws_rng_init_stream(&rng, run->seed, run->executions);
    run->now.seed = ws_rng_u64(&rng);
    int64_t start = ws_clock_now_ns();
    int any = ws_agent_next(run->agent, out, run->now_ms);
    int64_t end = ws_clock_now_ns();
    if (!any)
        return 0;
    run->decision_ns[run->decisions++] = (double)(end - start);
    return 1;
}

static int serve_all(struct run *run, struct ws_error *err)
{
    while (run->next < run->result.requests) {
        double arrival = arrival_of(run, run->next);
        run->now_ms = fmax(run->now_ms, arrival);
        submit(run, arrival);
        struct ws_agent_action action;
        while (decide(run, &action)) {
            if (action.verb == WS_AGENT_REFUSE) {
                run->result.refused++;
                continue;
            }
            /* Without arrivals nothing waits, so it came just now. */
            double came = run->task->workload->has_arrivals
                              ? request_of(run, (size_t)action.id)->arrival_ms
                              : run->now_ms;
            int rc = execute(run, &action, came, err);
            if (rc != 0)
                return rc;
            run->executions++;
        }
    }
    return 0;
}

static void summarise(struct run *run)
{
    static const double points[] = {0.5, 0.95, 0.99};
    struct ws_replay_result *result = &run->result;
    result->span_ms = run->now_ms;
    if (run->served > 0) {
        double n = (double)run->served;
        result->energy_j_mean = run->energy / n;
        result->edge_energy_j_mean = run->edge_energy / n;
        result->cloud_energy_j_mean = run->cloud_energy / n;
        ws_stats_sort(run->latency, run->served);
        for (size_t i = 0; i < 3; i++)
            result->latency_ms[i] =
                ws_stats_quantile_sorted(run->latency, run->served, points[i]);
        for (size_t i = 0; i < WS_REPLAY_GRID; i++)
            result->latency_grid[i] = ws_stats_quantile_sorted(
                run->latency, run->served, (double)i / (WS_REPLAY_GRID - 1));
    }
    if (result->late > 0)
        result->exceed_ms_median = ws_stats_median(run->exceed, result->late);
    if (run->decisions > 0) {
        result->decision_ns_median = ws_stats_median(run->decision_ns, run->decisions);
        result->decision_ns_worst = run->decision_ns[run->decisions - 1];
    }
}

int ws_replay_run(struct ws_replay_result *out, const struct ws_replay_task *task,
                  const struct ws_policy_ops *policy, uint64_t seed, struct ws_error *err)
{
    struct run run;
    int rc = run_init(&run, task, policy, seed, err);
    if (rc == 0)
        rc = serve_all(&run, err);
    if (rc == 0) {
        summarise(&run);
        *out = run.result;
        run.result.uses = NULL;
    }
    run_fini(&run);
    return rc;
}

void ws_replay_result_fini(struct ws_replay_result *result)
{
    free(result->uses);
    *result = (struct ws_replay_result){0};
}
