#include "profile/draft.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/outcome.h"
#include "core/space.h"
#include "profile/rig.h"
#include "split/demand.h"
#include "split/halves.h"

enum { CUTS_MAX = 16, VALUES_MAX = 4, SHARES = 11 };

/* The knob that says what of the network goes to the node, and its values where all of it
 * does (NULL: the edge always has work) and where nothing does. They are the knob's. */
struct division {
    const char *knob;
    json_t *all_away, *none_away;
    const struct ws_cuts *cuts; /* of its variant; NULL: feature maps are shared */
};

/* A knob with values in a list that is handed over. */
static int add_knob(json_t *knobs, const char *name, const char *part, const char *kind,
                    json_t *values, struct ws_error *err)
{
    json_t *knob =
        json_pack("{s:s, s:s, s:o}", "part", part, "kind", kind, "values", values);
    return knob == NULL || json_object_set_new(knobs, name, knob) != 0
               ? ws_error_nomem(err)
               : 0;
}

/* --- Cuts ----------------------------------------------------------------------------
 */

/* Natural, and with work on both sides: without work before it a cut sends what an end
 * could have sent, or more. */
static int is_worth(const struct ws_cut *cut)
{
    return cut->natural == WS_NATURAL_YES &&
           (!cut->macs_known || (cut->macs_before > 0 && cut->macs_after > 0));
}

/* The natural cuts if they are few. Else both ends, and from each stretch of the work
 * between them the cut that the fewest bytes cross. */
static int add_cuts(json_t *knobs, const struct ws_cuts *cuts, struct ws_error *err)
{
    json_t *values = json_array();
    size_t natural = 0, last = cuts->count - 1;
    for (size_t c = 1; c < last; c++)
        natural += is_worth(&cuts->cuts[c]) != 0;
    double total = (double)(cuts->cuts[0].macs_after + 1);
    size_t best[CUTS_MAX];
    for (size_t b = 0; b < CUTS_MAX; b++)
        best[b] = WS_NONE;
    for (size_t c = 1; c < last; c++) {
        const struct ws_cut *cut = &cuts->cuts[c];
        size_t stretch =
            (size_t)((double)cut->macs_before / total * (double)(CUTS_MAX - 2));
        size_t *kept = &best[stretch];
        if (is_worth(cut) && (*kept == WS_NONE || cut->bytes < cuts->cuts[*kept].bytes))
            *kept = c;
    }
    int failed = values == NULL || json_array_append_new(values, json_integer(0)) != 0;
    for (size_t c = 1; !failed && natural <= CUTS_MAX && c < last; c++) {
        if (is_worth(&cuts->cuts[c]))
            failed = json_array_append_new(values, json_integer((json_int_t)c));
    }
    for (size_t b = 0; !failed && natural > CUTS_MAX && b < CUTS_MAX; b++) {
        if (best[b] != WS_NONE)
            failed = json_array_append_new(values, json_integer((json_int_t)best[b]));
    }
    if (!failed)
        failed = json_array_append_new(values, json_integer((json_int_t)last));
    if (failed) {
        json_decref(values);
        return ws_error_nomem(err);
    }
    return add_knob(knobs, "cut", "shared", "ordered", values, err);
}

/* --- Shares --------------------------------------------------------------------------
 */

static int add_shares(json_t *knobs, struct ws_error *err)
{
    json_t *values = json_array();
    for (int i = 0; i < SHARES; i++)
        (void)json_array_append_new(values, i == 0            ? json_integer(0)
                                            : i == SHARES - 1 ? json_integer(1)
                                                              : json_real(i / 10.0));
    return add_knob(knobs, "share", "shared", "ordered", values, err);
}

/* The names of the knobs that concern a stage: those of a machine, and `more`. */
static json_t *stage_knobs(json_t *knobs, const char *machine, const char *const *more)
{
    json_t *names = json_array(), *knob = NULL;
    const char *name = NULL;
    for (; more != NULL && *more != NULL; more++)
        (void)json_array_append_new(names, json_string(*more));
    json_object_foreach(knobs, name, knob)
    {
        if (strncmp(name, machine, strlen(machine)) == 0)
            (void)json_array_append_new(names, json_string(name));
    }
    return names;
}

/* The extractor, then both halves side by side. */
static int add_stages(json_t *root, json_t *knobs, const char *cloud,
                      struct ws_error *err)
{
    static const char *const here[] = {"share", NULL}, *const away[] = {"share", "codec",
                                                                        NULL};
    json_t *stages = json_pack(
        "[{s:s, s:s, s:o}, {s:s, s:s, s:o}, {s:s, s:s, s:o, s:b}]", "machine", "edge",
        "segment", "extract", "knobs", stage_knobs(knobs, "edge.", NULL), "machine",
        "edge", "segment", "edge", "knobs", stage_knobs(knobs, "edge.", here), "machine",
        "cloud", "segment", cloud, "knobs", stage_knobs(knobs, "cloud.", away), "beside",
        1);
    return stages == NULL || json_object_set_new(root, "stages", stages) != 0
               ? ws_error_nomem(err)
               : 0;
}

/* The knob that divides the network, as its values are now. */
static int add_division(struct division *out, json_t *knobs, struct ws_executor *executor,
                        struct ws_error *err)
{
    int is_shared = ws_executor_halves(executor) != NULL;
    const struct ws_cuts *cuts = ws_splitter_cuts(ws_executor_splitter(executor, 0));
    int rc = is_shared ? add_shares(knobs, err) : add_cuts(knobs, cuts, err);
    if (rc != 0)
        return rc;
    out->knob = is_shared ? "share" : "cut";
    json_t *values = json_object_get(json_object_get(knobs, out->knob), "values");
    json_t *first = json_array_get(values, 0);
    json_t *last = json_array_get(values, json_array_size(values) - 1);
    out->all_away = is_shared ? NULL : first;
    out->none_away = is_shared ? first : last;
    out->cuts = is_shared ? NULL : cuts;
    return 0;
}

/* --- Variants ------------------------------------------------------------------------
 */

/* Whether two different variants go together at any interior cut. */
static int any_mixes(struct ws_executor *executor, size_t variant_count)
{
    for (size_t h = 0; h < variant_count; h++) {
        struct ws_splitter *head = ws_executor_splitter(executor, h);
        const struct ws_cuts *heads = ws_splitter_cuts(head);
        for (size_t t = 0; t < variant_count; t++) {
            struct ws_splitter *tail = ws_executor_splitter(executor, t);
            if (t == h || ws_splitter_cuts(tail)->count != heads->count)
                continue;
            for (size_t c = 1; c + 1 < heads->count; c++) {
                if (heads->cuts[c].natural == WS_NATURAL_YES &&
                    ws_splitter_cuts(tail)->cuts[c].natural == WS_NATURAL_YES &&
                    ws_route_agrees(head, c, tail, c, NULL) == 0)
                    return 1;
            }
        }
    }
    return 0;
}

static int add_variants(json_t *knobs, const struct ws_draft_options *options,
                        struct ws_executor *executor, struct ws_error *err)
{
    static const char *const together[] = {"variant", NULL}, *const apart[] = {
                                                                 "head.variant",
                                                                 "tail.variant", NULL};
    if (options->variant_count < 2)
        return 0;
    int rc = 0;
    const char *const *names =
        any_mixes(executor, options->variant_count) ? apart : together;
    for (size_t n = 0; rc == 0 && names[n] != NULL; n++) {
        json_t *values = json_array();
        for (size_t v = 0; v < options->variant_count; v++)
            (void)json_array_append_new(values, json_string(options->variants[v].name));
        rc = add_knob(knobs, names[n], "shared", "nominal", values, err);
    }
    return rc;
}

/* --- Machines ------------------------------------------------------------------------
 */

/* A machine's knobs, ordered ones thinned to a few values with both ends. `side` is what
 * they are called here, whatever they are there. */
static int add_machine(json_t *knobs, const struct ws_space *space, const char *side,
                       struct ws_error *err)
{
    int rc = 0;
    for (size_t k = 0; rc == 0 && space != NULL && k < space->knob_count; k++) {
        const struct ws_knob *knob = &space->knobs[k];
        const char *dot = strchr(knob->name, '.');
        char name[WS_NAME_MAX];
        json_t *values = json_array();
        size_t count = knob->value_count, last = count - 1;
        size_t kept =
            knob->kind == WS_KIND_ORDERED && count > VALUES_MAX ? VALUES_MAX : count;
        /* Nothing to choose; or processors to be taken offline under everybody else on
         * the machine, which nobody should begin unasked: threads stand in for them. */
        if (count < 2 || strcmp(knob->name, "edge.cores") == 0) {
            json_decref(values);
            continue;
        }
        (void)snprintf(name, sizeof(name), "%s%s", side, dot != NULL ? dot : ".");
        for (size_t i = 0; i < kept; i++)
            (void)json_array_append_new(
                values, ws_value_to_json(&knob->values[i * last / (kept - 1)]));
        rc = add_knob(knobs, name, side, ws_kind_name(knob->kind), values, err);
    }
    return rc;
}

static int add_threads(json_t *knobs, size_t most, struct ws_error *err)
{
    json_t *values = json_array();
    if (most < 2) {
        json_decref(values);
        return 0;
    }
    for (size_t t = 1; t < most; t *= 2)
        (void)json_array_append_new(values, json_integer((json_int_t)t));
    (void)json_array_append_new(values, json_integer((json_int_t)most));
    return add_knob(knobs, "edge.threads", "edge", "ordered", values, err);
}

/* --- Rules ---------------------------------------------------------------------------
 */

/* The value a knob is left at where it does nothing: the first of a codec, the last of
 * hardware, which is the fastest. */
static json_t *idle_value(const char *name, const json_t *knob)
{
    json_t *values = json_object_get(knob, "values");
    return json_array_get(values, strncmp(name, "edge.", 5) == 0 ||
                                          strncmp(name, "cloud.", 6) == 0
                                      ? json_array_size(values) - 1
                                      : 0);
}

/* Whether codecs do anything to the model's inputs. */
static int codes_inputs(const struct ws_cuts *cuts)
{
    return ws_work_wire_bytes(cuts, 0, WS_CODEC_INT8) <
           ws_work_wire_bytes(cuts, 0, WS_CODEC_NONE);
}

/* Where a side has nothing to do its knobs do nothing: one value each is enough. */
static int add_constraints(json_t *root, json_t *knobs, const struct division *division,
                           struct ws_error *err)
{
    json_t *list = json_array();
    json_t *knob = NULL;
    const char *name = NULL;
    if (division->cuts != NULL && !codes_inputs(division->cuts))
        (void)json_array_append_new(list, json_pack("{s:{s:O}, s:{s:[s]}}", "if",
                                                    division->knob, division->all_away,
                                                    "then", "codec", "none"));
    json_object_foreach(knobs, name, knob)
    {
        json_t *at = strncmp(name, "edge.", 5) == 0 || strcmp(name, "head.variant") == 0
                         ? division->all_away
                     : strncmp(name, "cloud.", 6) == 0 || strcmp(name, "codec") == 0 ||
                             strcmp(name, "tail.variant") == 0
                         ? division->none_away
                         : NULL;
        if (at != NULL)
            (void)json_array_append_new(list, json_pack("{s:{s:O}, s:{s:[O]}}", "if",
                                                        division->knob, at, "then", name,
                                                        idle_value(name, knob)));
    }
    return list == NULL || json_object_set_new(root, "constraints", list) != 0
               ? ws_error_nomem(err)
               : 0;
}

/* Nothing away, and as much as can be. */
static int add_baselines(json_t *root, json_t *knobs, const struct division *division,
                         struct ws_error *err)
{
    json_t *all = json_object();
    json_t *values = json_object_get(json_object_get(knobs, division->knob), "values");
    json_t *last = json_array_get(values, json_array_size(values) - 1);
    json_t *most_away = division->all_away != NULL ? division->all_away : last;
    for (int is_edge = 0; is_edge <= 1; is_edge++) {
        json_t *setting = json_object();
        json_t *knob = NULL;
        const char *name = NULL;
        json_object_foreach(knobs, name, knob)
        {
            json_t *place = is_edge ? division->none_away : most_away;
            int is_place = strcmp(name, division->knob) == 0;
            (void)json_object_set(setting, name,
                                  is_place ? place : idle_value(name, knob));
        }
        (void)json_object_set_new(all, is_edge ? "edge-only" : "cloud-only", setting);
    }
    return all == NULL || json_object_set_new(root, "baselines", all) != 0
               ? ws_error_nomem(err)
               : 0;
}

/* Latency, and the nearest to energy that will be known; accuracy where there is data. */
static int add_objectives(json_t *root, const struct ws_draft_options *options,
                          struct ws_error *err)
{
    uint32_t both = 1u << WS_SIDE_EDGE | 1u << WS_SIDE_CLOUD;
    enum ws_measure cost = (options->metered & both) == both         ? WS_ENERGY_J
                           : (options->metered & WS_SIDES_EDGE) != 0 ? WS_EDGE_ENERGY_J
                                                                     : WS_EDGE_MS;
    json_t *list =
        json_pack("[s, s]", ws_measure_name(WS_LATENCY_MS), ws_measure_name(cost));
    if (options->has_data)
        (void)json_array_append_new(list, json_string(ws_measure_name(WS_ACCURACY)));
    return list == NULL || json_object_set_new(root, "objectives", list) != 0
               ? ws_error_nomem(err)
               : 0;
}

static int fill(json_t *root, const struct ws_draft_options *options,
                struct ws_executor *executor, struct ws_error *err)
{
    json_t *knobs = json_object();
    const struct ws_halves *halves = ws_executor_halves(executor);
    struct division division = {0};
    if (knobs == NULL ||
        json_object_set_new(root, "name", json_string(options->name)) != 0)
        return ws_error_nomem(err);
    int rc = add_objectives(root, options, err);
    if (rc == 0 && options->link_mbit_s > 0)
        (void)json_object_set_new(root, "link",
                                  json_pack("{s:f, s:f}", "mbit_s", options->link_mbit_s,
                                            "delay_ms", options->link_delay_ms));
    if (options->edge_idle_w > 0)
        (void)json_object_set_new(root, "edge_idle_w", json_real(options->edge_idle_w));
    (void)json_object_set_new(root, "knobs", knobs);
    if (rc == 0)
        rc = add_division(&division, knobs, executor, err);
    if (rc == 0)
        rc = add_knob(knobs, "codec", "shared", "nominal",
                      json_pack("[s, s, s]", "none", "fp16", "int8"), err);
    if (rc == 0)
        rc = add_variants(knobs, options, executor, err);
    if (rc == 0)
        rc = add_machine(knobs, options->edge, "edge", err);
    if (rc == 0 && json_object_get(knobs, "edge.threads") == NULL)
        rc = add_threads(knobs, options->threads_max, err);
    if (rc == 0)
        rc = add_machine(knobs, options->cloud, "cloud", err);
    if (rc == 0)
        rc = add_constraints(root, knobs, &division, err);
    if (rc == 0 && halves != NULL)
        rc = add_stages(root, knobs, ws_halves_parts(halves)->cloud_name, err);
    return rc == 0 ? add_baselines(root, knobs, &division, err) : rc;
}

int ws_draft_testbed(json_t **out, const struct ws_draft_options *options,
                     struct ws_error *err)
{
    /* An executor of the least there is, for the models' cuts. */
    char cut[] = "cut", share[] = "share", zero[] = "0";
    struct ws_knob_value value = {.text = zero};
    struct ws_knob knob = {.name =
                               ws_halves_are_in(options->variants[0].path) ? share : cut,
                           .part = WS_PART_SHARED,
                           .kind = WS_KIND_ORDERED,
                           .values = &value,
                           .value_count = 1};
    const struct ws_space space = {.knobs = &knob, .knob_count = 1};
    const struct ws_executor_options least = {.space = &space,
                                              .variants = options->variants,
                                              .variant_count = options->variant_count,
                                              .engine = options->engine,
                                              .splitter = options->splitter};
    struct ws_executor *executor = NULL;
    json_t *root = json_object();
    int rc =
        root == NULL ? ws_error_nomem(err) : ws_executor_create(&executor, &least, err);
    if (rc == 0)
        rc = fill(root, options, executor, err);
    ws_executor_destroy(executor);
    if (rc == 0)
        *out = root;
    else
        json_decref(root);
    return rc;
}
