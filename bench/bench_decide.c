/*
 * Time of one decision of `wattshed` and of `dynasplit` on plans of 10,000 entries. The
 * conditions change before every call, and a tenth of the deadlines is impossible. Two
 * plans: entries drawn at random, as the settings of a large space lie; and entries on
 * one smooth surface of trade-offs, where none is dominated and bounds help least. Every
 * call is timed once and, its answer known, twice more: the least of the three is the
 * call's own time, the first shows what the machine added.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rng.h"
#include "base/stats.h"
#include "policy/policy.h"

enum { ENTRIES = 10000, CALLS = 20000, KNOBS = 4, VALUES = 10 };

static void set(struct ws_plan_entry *entry, double depth, double speed, double server,
                double energy, size_t i)
{
    double edge = 600 * depth * (1 - 0.7 * speed) + 5;
    double transfer = 2 + 80 * (1 - depth) * (1 - depth);
    double cloud = 20 + 150 * (1 - depth) * (1 - 0.8 * server);
    struct ws_outcome *o = &entry->outcome;
    ws_outcome_set(o, WS_EDGE_MS, edge);
    ws_outcome_set(o, WS_TRANSFER_MS, transfer);
    ws_outcome_set(o, WS_CLOUD_MS, cloud);
    ws_outcome_set(o, WS_LATENCY_MS, edge + transfer + cloud);
    ws_outcome_set(o, WS_ENERGY_J, energy);
    ws_outcome_set(o, WS_ACCURACY, 0.6);
    ws_outcome_set(o, WS_TENSOR_BYTES, 3e6 * (1 - depth) * (1 - depth));
    for (size_t k = 0; k < KNOBS; k++, i /= VALUES)
        entry->setting.value[k] = (uint16_t)(i % VALUES);
}

static void make_plan(struct ws_plan *plan, int smooth, struct ws_rng *rng)
{
    plan->space.knob_count = KNOBS;
    plan->entry_count = ENTRIES;
    ws_conditions_set(&plan->conditions, WS_LINK_MBIT_S, 300);
    ws_conditions_set(&plan->conditions, WS_LINK_DELAY_MS, 2);
    for (size_t i = 0; i < ENTRIES; i++) {
        double depth = ws_rng_uniform(rng), speed = ws_rng_uniform(rng);
        double server = ws_rng_uniform(rng);
        double energy = 70 * (1 - depth) + 30 * speed + 40 * server;
        if (!smooth)
            energy += 100 * ws_rng_uniform(rng);
        set(&plan->entries[i], depth, speed, server, 2 + energy, i);
    }
}

static void time_calls(const char *what, struct ws_policy *policy, int any_switch,
                       struct ws_rng *rng)
{
    static double first[CALLS], least[CALLS];
    for (size_t i = 0; i < CALLS; i++) {
        struct ws_setting current = {{0}};
        for (size_t k = 0; k < KNOBS; k++)
            current.value[k] = (uint16_t)ws_rng_below(rng, VALUES);
        struct ws_situation now = {
            .edge_scale = 0.7 + ws_rng_uniform(rng),
            .cloud_scale = 0.7 + ws_rng_uniform(rng),
            .delay_ms = 10 * ws_rng_uniform(rng),
            .pace = exp(4 * ws_rng_uniform(rng) - 1),
            .current = any_switch ? &current : NULL,
        };
        struct ws_policy_request request = {60 + 600 * ws_rng_uniform(rng), 0, NULL, 0};
        if (i % 10 == 0)
            request.deadline_ms = 1;
        for (int k = 0; k < 3; k++) {
            struct ws_decision decision;
            int64_t start = ws_clock_now_ns();
            if (ws_policy_decide(policy, &decision, &request, &now, NULL) != 0)
                exit(1);
            double ns = (double)(ws_clock_now_ns() - start);
            first[i] = k == 0 ? ns : first[i];
            least[i] = k == 0 ? ns : fmin(least[i], ns);
        }
    }
    ws_stats_sort(first, CALLS);
    ws_stats_sort(least, CALLS);
    printf("%-36s median %6.0f ns   99 %% %6.0f   99.9 %% %6.0f   worst %6.0f "
           "(as clocked once: median %.0f, worst %.0f)\n",
           what, least[CALLS / 2], least[CALLS * 99 / 100], least[CALLS - CALLS / 1000],
           least[CALLS - 1], first[CALLS / 2], first[CALLS - 1]);
}

static void bench(const char *name, const struct ws_plan *plan, const char *what,
                  int any_switch)
{
    const struct ws_policy_ops *ops = NULL;
    struct ws_policy *policy = NULL;
    struct ws_rng rng;
    static const double switch_ms[KNOBS] = {0, 154, 20, 0};
    static const double ratios[] = {0.95, 1, 1.02, 1.06};
    struct ws_policy_options options = {.guard = 0.95, .pooled = {ratios, 4}};
    options.switch_ms = any_switch ? switch_ms : NULL;
    char label[64];
    ws_rng_init(&rng, 99);
    if (ws_policy_find(&ops, name, NULL) != 0 ||
        ops->create(&policy, plan, &options, NULL) != 0)
        exit(1);
    snprintf(label, sizeof(label), "%s, %s%s", name, what,
             any_switch ? ", switching" : "");
    time_calls(label, policy, any_switch, &rng);
    ws_policy_destroy(policy);
}

int main(void)
{
    static struct ws_plan_entry entries[ENTRIES];
    printf("decisions on plans of %d entries, %d calls, target median 1000 ns, worst "
           "30000 ns\n",
           ENTRIES, CALLS);
    for (int smooth = 0; smooth < 2; smooth++) {
        struct ws_plan plan = {.entries = entries};
        struct ws_rng rng;
        memset(entries, 0, sizeof(entries));
        ws_rng_init(&rng, 1);
        make_plan(&plan, smooth, &rng);
        const char *what = smooth ? "smooth plan" : "random plan";
        bench("dynasplit", &plan, what, 0);
        bench("wattshed", &plan, what, 0);
        bench("wattshed", &plan, what, 1);
    }
    return 0;
}
