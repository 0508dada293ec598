#include "cli/serve_crew.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cli/secure_options.h"
#include "device/board.h"
#include "device/helper.h"
#include "replay/world.h"
#include "study/planfile.h"
#include "study/testbed.h"

enum { SPREAD_POINTS = 99 };

/* How far executions are taken to lie apart where nothing has recorded it: their standard
 * deviation over their mean. */
static const double assumed_spread = 0.05;

struct owner {
    struct ws_config config;
    struct ws_plan plan;
    struct ws_testbed testbed;
    int has_testbed;
    struct ws_table table;
    struct ws_spreads spreads;
    double assumed[SPREAD_POINTS];
    struct ws_setting cloud_only, edge_only;
    struct ws_board *board;
    struct ws_executor *executor;
    const struct ws_policy_ops *more[WS_POLICIES_MAX];
    struct ws_identity_options identity;
    struct ws_batcher *batcher;
};

static void retire(void *user)
{
    struct owner *owner = user;
    ws_batcher_close(owner->batcher);
    ws_executor_destroy(owner->executor);
    ws_board_destroy(owner->board);
    ws_spreads_fini(&owner->spreads);
    ws_table_fini(&owner->table);
    if (owner->has_testbed)
        ws_testbed_fini(&owner->testbed);
    ws_plan_fini(&owner->plan);
    ws_identity_options_fini(&owner->identity);
    ws_config_fini(&owner->config);
    free(owner);
}

/* ---- this machine ---- */

/* As the configuration that first needs it says: who sets its knobs, and the meter. */
static int machine_open(struct ws_serve_machine *machine, const struct ws_config *config,
                        struct ws_error *err)
{
    const char *knobs = config->knobs;
    const struct ws_device_options options = {.bare = knobs != NULL};
    int rc = 0;
    if (machine->device != NULL)
        return 0;
    if (machine->fs == NULL)
        rc = ws_sysfs_open(&machine->fs, NULL, err);
    if (rc == 0)
        rc = ws_device_open(&machine->device, machine->fs, &options, err);
    if (rc == 0 && knobs != NULL)
        rc = ws_device_add_helper(machine->device, knobs, err);
    return rc == 0 ? ws_metering_open_edge(&machine->metering, config->meter, 0, err)
                   : rc;
}

int ws_serve_machine_close(struct ws_serve_machine *machine, struct ws_error *err)
{
    ws_metering_close(machine->metering);
    int rc = ws_device_close(machine->device, err);
    ws_sysfs_close(machine->fs);
    *machine = (struct ws_serve_machine){0};
    return rc;
}

/* ---- what policies need ---- */

static int sends(const struct ws_plan_entry *entry)
{
    double ms;
    return ws_outcome_get(&ms, &entry->outcome, WS_TRANSFER_MS) == 0 && ms > 0;
}

/* Where no testbed names them: of the plan's entries, the quickest that sends nothing,
 * and the one with the least on the edge. */
static void derive_baselines(struct owner *owner, struct ws_policy_options *options)
{
    double best[2] = {INFINITY, INFINITY}, value;
    for (size_t i = 0; i < owner->plan.entry_count; i++) {
        const struct ws_plan_entry *entry = &owner->plan.entries[i];
        int is_sent = sends(entry);
        if (ws_outcome_get(&value, &entry->outcome,
                           is_sent ? WS_EDGE_MS : WS_LATENCY_MS) != 0 ||
            value >= best[is_sent])
            continue;
        best[is_sent] = value;
        *(is_sent ? &owner->cloud_only : &owner->edge_only) = entry->setting;
    }
    options->edge_only = isfinite(best[0]) ? &owner->edge_only : NULL;
    options->cloud_only = isfinite(best[1]) ? &owner->cloud_only : NULL;
}

static int translate(struct ws_setting *out, const struct ws_space *to,
                     const struct ws_space *from, const struct ws_setting *setting,
                     struct ws_error *err)
{
    *out = (struct ws_setting){{0}};
    for (size_t k = 0; k < to->knob_count; k++) {
        size_t knob = 0, value = 0;
        int rc = ws_space_find(&knob, from, to->knobs[k].name, err);
        if (rc == 0)
            rc = ws_knob_find(&value, &to->knobs[k],
                              from->knobs[knob].values[setting->value[knob]].text, err);
        if (rc != 0)
            return rc;
        out->value[k] = (uint16_t)value;
    }
    return 0;
}

static int take_testbed(struct owner *owner, struct ws_policy_options *options,
                        struct ws_error *err)
{
    const struct ws_baseline *cloud = ws_testbed_baseline(&owner->testbed, "cloud-only");
    const struct ws_baseline *edge = ws_testbed_baseline(&owner->testbed, "edge-only");
    int rc = 0;
    options->switch_ms = owner->testbed.switch_ms;
    if (owner->testbed.space.knob_count != owner->plan.space.knob_count)
        return ws_error_set(err, WS_E_MISMATCH, "plan and testbed have other knobs");
    if (cloud != NULL) {
        rc = translate(&owner->cloud_only, &owner->plan.space, &owner->testbed.space,
                       &cloud->setting, err);
        options->cloud_only = &owner->cloud_only;
    }
    if (rc == 0 && edge != NULL) {
        rc = translate(&owner->edge_only, &owner->plan.space, &owner->testbed.space,
                       &edge->setting, err);
        options->edge_only = &owner->edge_only;
    }
    return rc == 0 ? 0 : ws_error_context(err, "the testbed's baselines");
}

/* Uncertainty from the testbed's samples, as replay has it. */
static int take_spreads(struct owner *owner, struct ws_policy_options *options,
                        struct ws_error *err)
{
    size_t count = owner->plan.entry_count;
    struct ws_setting *chosen = calloc(count + 1, sizeof(*chosen));
    int rc = chosen == NULL ? ws_error_nomem(err) : 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = translate(&chosen[i], &owner->testbed.space, &owner->plan.space,
                       &owner->plan.entries[i].setting, err);
    if (rc == 0)
        rc = ws_table_load(&owner->table, &owner->testbed, err);
    if (rc == 0)
        rc = ws_spreads_create(&owner->spreads, &owner->table, WS_NOISE_POOLED, chosen,
                               count, err);
    free(chosen);
    if (rc != 0)
        return rc;
    options->own = owner->spreads.own;
    if (owner->spreads.pooled.count > 0)
        options->pooled = owner->spreads.pooled;
    return 0;
}

/* A normal distribution of the assumed width, as its quantiles. */
static void assume_spread(struct owner *owner, struct ws_policy_options *options)
{
    for (size_t i = 0; i < SPREAD_POINTS; i++) {
        /* The inverse of the logistic curve lies within 1 % of the normal's here. */
        double p = (double)(i + 1) / (SPREAD_POINTS + 1);
        owner->assumed[i] = 1 + assumed_spread * log(p / (1 - p)) / 1.702;
    }
    options->pooled = (struct ws_spread){owner->assumed, SPREAD_POINTS};
}

static int is_listed(const char *list, const char *name)
{
    size_t size = strlen(name);
    if (list == NULL || strcmp(list, "all") == 0)
        return 1;
    for (const char *at = list; *at != '\0';) {
        at += strspn(at, " ,");
        size_t length = strcspn(at, " ,");
        if (length == size && strncmp(at, name, size) == 0)
            return 1;
        at += length;
    }
    return 0;
}

/* Where nothing was metered there is no energy to save: then the least latency decides.
 */
static const char *default_policy(const struct ws_plan *plan)
{
    for (size_t i = 0; i < plan->entry_count; i++) {
        if (ws_outcome_knows(&plan->entries[i].outcome, WS_ENERGY_J))
            return "wattshed";
    }
    ws_log(WS_LOG_WARNING, "the plan knows no energy: policy \"fastest\" decides");
    return "fastest";
}

/* The default, and those others that may be asked for and can do with what there is. */
static int choose_policies(struct owner *owner, struct ws_agent_options *agent,
                           struct ws_error *err)
{
    const char *first = owner->config.policy != NULL ? owner->config.policy
                                                     : default_policy(&owner->plan);
    int rc = ws_policy_find(&agent->policy, first, err);
    if (rc != 0)
        return rc;
    agent->more = owner->more;
    for (const struct ws_policy_ops *const *p = ws_policy_all(); *p != NULL; p++) {
        struct ws_policy *policy = NULL;
        if (*p == agent->policy || agent->more_count + 1 == WS_POLICIES_MAX ||
            !is_listed(owner->config.policies, (*p)->name) ||
            (*p)->create(&policy, &owner->plan, &agent->policy_options, NULL) != 0)
            continue;
        ws_policy_destroy(policy);
        owner->more[agent->more_count++] = *p;
    }
    return 0;
}

/* Where nobody meters the nodes, a plan is made for the energy of the edge, and so must
 * be what policies take for the energy of its entries. */
static void take_objective(struct ws_plan *plan)
{
    int is_total = 0, is_edge = 0;
    for (size_t i = 0; i < plan->objective_count; i++) {
        is_total |= plan->objectives[i] == WS_ENERGY_J;
        is_edge |= plan->objectives[i] == WS_EDGE_ENERGY_J;
    }
    for (size_t i = 0; !is_total && is_edge && i < plan->entry_count; i++) {
        struct ws_outcome *outcome = &plan->entries[i].outcome;
        double joules;
        if (ws_outcome_get(&joules, outcome, WS_EDGE_ENERGY_J) == 0)
            ws_outcome_set(outcome, WS_ENERGY_J, joules);
        else
            outcome->known &= ~(1u << WS_ENERGY_J);
    }
}

static int make_agent(struct owner *owner, struct ws_agent_options *agent,
                      struct ws_error *err)
{
    struct ws_policy_options *options = &agent->policy_options;
    *agent = owner->config.agent;
    options->guard = owner->config.guard;
    options->hysteresis = owner->config.hysteresis;
    options->agent = owner->config.learnt;
    options->eta = owner->config.eta;
    options->idle_w = owner->plan.edge_idle_w;
    assume_spread(owner, options);
    derive_baselines(owner, options);
    int rc = owner->has_testbed ? take_testbed(owner, options, err) : 0;
    if (rc == 0 && owner->has_testbed && owner->testbed.table_path != NULL)
        rc = take_spreads(owner, options, err);
    return rc == 0 ? choose_policies(owner, agent, err) : rc;
}

/* ---- what carries it out ---- */

static int has_edge_knobs(const struct ws_space *space)
{
    for (size_t k = 0; k < space->knob_count; k++) {
        const char *name = space->knobs[k].name;
        if (strncmp(name, "edge.", 5) == 0 && strcmp(name, "edge.threads") != 0 &&
            strcmp(name, "edge.spinning") != 0 && strcmp(name, "edge.provider") != 0)
            return 1;
    }
    return 0;
}

/* Everything that a setting of the plan needs is loaded now, and not by a request. */
static int prepare(struct owner *owner, const struct ws_policy_options *options,
                   struct ws_error *err)
{
    const struct ws_setting *baselines[] = {options->cloud_only, options->edge_only};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < owner->plan.entry_count; i++) {
        rc =
            ws_executor_prepare(owner->executor, &owner->plan.entries[i].setting, 1, err);
        if (rc != 0)
            (void)ws_error_context(err, "entry %zu of the plan", i);
    }
    for (size_t i = 0; rc == 0 && i < 2; i++) {
        if (baselines[i] != NULL)
            rc = ws_executor_prepare(owner->executor, baselines[i], 1, err);
    }
    return rc;
}

/* A board comes with every knob as nobody set it, and some take seconds to set for the
 * first time (an accelerator that is to be off). That is over before there are requests.
 */
static int set_board_up(struct owner *owner, const struct ws_policy_options *options,
                        struct ws_error *err)
{
    struct ws_executor_applied applied;
    const struct ws_setting *first = options->edge_only;
    if (first == NULL)
        first = &owner->plan.entries[0].setting;
    return ws_executor_apply(&applied, owner->executor, first, err);
}

static int take_identity(struct owner *owner, struct ws_error *err)
{
    const struct ws_config *config = &owner->config;
    owner->identity.identity = (struct ws_http_identity){
        .cacert = config->cacert, .cert = config->node_cert, .key = config->node_key};
    return config->token_file == NULL
               ? 0
               : ws_identity_read_token(&owner->identity, config->token_file, err);
}

static int make_executor(struct owner *owner, struct ws_serve_machine *machine,
                         struct ws_error *err)
{
    const struct ws_config *config = &owner->config;
    struct ws_executor_options options = {
        .space = &owner->plan.space,
        .variants = config->variants,
        .variant_count = config->variant_count,
        .engine = {.threads = (int)config->threads},
        .splitter = {.level = WS_LEVEL_ALL, .memory_bytes_max = config->memory_max},
        .identity = owner->identity.identity,
    };
    int rc = 0;
    if (config->emulate != NULL) {
        rc = ws_board_load(&owner->board, config->emulate, err);
        options.board = owner->board;
    } else {
        rc = machine_open(machine, config, err);
        if (rc == 0 && has_edge_knobs(&owner->plan.space))
            options.device = machine->device;
        if (machine->metering != NULL)
            options.sampler = ws_metering_sampler(machine->metering);
    }
    return rc == 0 ? ws_executor_create(&owner->executor, &options, err) : rc;
}

static const char *boundary_of(const struct owner *owner,
                               const struct ws_serve_machine *machine)
{
    if (owner->board != NULL)
        return ws_boundary_name(ws_board_boundary(owner->board));
    return machine->metering == NULL
               ? "none"
               : ws_boundary_name(ws_metering_info(machine->metering)->boundary);
}

static int build(struct owner *owner, struct ws_serve_crew *out, const char *plan_path,
                 struct ws_serve_machine *machine, struct ws_error *err)
{
    struct ws_pilot_options *pilot = &out->pilot;
    struct ws_config *config = &owner->config;
    if (config->variant_count == 0)
        return ws_error_set(err, WS_E_USAGE,
                            "a model is needed: --model FILE, or "
                            "variant in [model]");
    for (size_t i = 0; i < config->variant_count; i++) {
        if (config->variants[i].name[0] == '\0') {
            free((char *)(uintptr_t)config->variants[i].name);
            config->variants[i].name = strdup("base");
            if (config->variants[i].name == NULL)
                return ws_error_nomem(err);
        }
    }
    int rc = ws_plan_load(&owner->plan, plan_path, err);
    if (rc == 0)
        take_objective(&owner->plan);
    if (rc == 0 && config->testbed != NULL) {
        rc = ws_testbed_load(&owner->testbed, config->testbed, err);
        owner->has_testbed = rc == 0;
    }
    if (rc == 0)
        rc = take_identity(owner, err);
    if (rc == 0 && (config->cluster != NULL || config->study != NULL))
        rc = ws_batcher_open(&owner->batcher, config->cluster, config->study,
                             &owner->identity.identity, err);
    if (rc == 0)
        rc = make_executor(owner, machine, err);
    if (rc == 0)
        rc = make_agent(owner, &pilot->agent, err);
    if (rc == 0)
        rc = prepare(owner, &pilot->agent.policy_options, err);
    if (rc == 0 && owner->board != NULL)
        rc = set_board_up(owner, &pilot->agent.policy_options, err);
    if (rc != 0)
        return rc;
    pilot->plan = &owner->plan;
    pilot->executor = owner->executor;
    pilot->nodes = (const char *const *)config->nodes;
    pilot->node_count = config->node_count;
    pilot->identity = owner->identity.identity;
    out->name =
        config->name != NULL ? config->name : ws_executor_model_name(owner->executor, 0);
    out->boundary = boundary_of(owner, machine);
    out->batcher = owner->batcher;
    return 0;
}

int ws_serve_crew_create(struct ws_serve_crew *out, struct ws_config *config,
                         const char *plan_path, struct ws_serve_machine *machine,
                         struct ws_error *err)
{
    struct owner *owner = calloc(1, sizeof(*owner));
    if (owner == NULL) {
        ws_config_fini(config);
        return ws_error_nomem(err);
    }
    owner->config = *config;
    *config = (struct ws_config){0};
    struct ws_serve_crew crew = {.owner = owner, .retire = retire};
    int rc = build(owner, &crew, plan_path, machine, err);
    if (rc != 0)
        retire(owner);
    else
        *out = crew;
    return rc;
}
