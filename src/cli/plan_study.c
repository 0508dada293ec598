#include "cli/plan_study.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "cli/front.h"
#include "cli/plot_plan.h"
#include "profile/planning.h"
#include "study/planfile.h"

int ws_cli_is_study(const char *path)
{
    static const char magic[] = "SQLite format 3";
    char start[sizeof(magic)] = "";
    FILE *file = strcmp(path, "-") == 0 ? NULL : fopen(path, "rb");
    if (file == NULL)
        return 0;
    size_t got = fread(start, 1, sizeof(start), file);
    (void)fclose(file);
    return got == sizeof(start) && memcmp(start, magic, sizeof(magic)) == 0;
}

/* How trials and samples came about. */
struct tally {
    size_t whole, parts, composed, invalid;
    size_t samples, warmups;
};

static int count_trial(void *user, const struct ws_study_trial *trial,
                       struct ws_error *err)
{
    struct tally *tally = user;
    (void)err;
    tally->samples += trial->samples;
    tally->warmups += trial->warmups;
    tally->invalid += !trial->is_valid;
    if (trial->is_valid)
        ++*(trial->how == WS_HOW_WHOLE   ? &tally->whole
            : trial->how == WS_HOW_PARTS ? &tally->parts
                                         : &tally->composed);
    return 0;
}

static int print_json(const struct ws_plan *plan, const struct tally *tally,
                      const struct ws_composition *composition, const char *truth,
                      struct ws_error *err)
{
    json_t *root = json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "testbed", plan->testbed,
        "truth", truth, "front_size", (json_int_t)ws_cli_front_size(plan), "plan_size",
        (json_int_t)plan->entry_count, "whole", (json_int_t)tally->whole, "parts",
        (json_int_t)tally->parts, "composed", (json_int_t)tally->composed, "invalid",
        (json_int_t)tally->invalid, "samples", (json_int_t)tally->samples, "warmups",
        (json_int_t)tally->warmups);
    if (root != NULL && composition->count > 0)
        (void)json_object_set_new(root, "composition",
                                  json_pack("{s:I, s:f, s:f}", "checked",
                                            (json_int_t)composition->count,
                                            "latency_median", composition->latency_median,
                                            "latency_worst", composition->latency_worst));
    if (root != NULL && composition->energy_count > 0)
        (void)json_object_update_new(json_object_get(root, "composition"),
                                     json_pack("{s:f, s:f}", "energy_median",
                                               composition->energy_median, "energy_worst",
                                               composition->energy_worst));
    int rc = root == NULL ? ws_error_nomem(err) : ws_json_write("-", root, err);
    json_decref(root);
    return rc;
}

/* The values of the first shared knob, the cut usually, that the plan has entries of. */
static void print_places(const struct ws_plan *plan)
{
    size_t k = 0;
    while (k < plan->space.knob_count && plan->space.knobs[k].part != WS_PART_SHARED)
        k++;
    if (k == plan->space.knob_count)
        return;
    const struct ws_knob *knob = &plan->space.knobs[k];
    printf("%s in the plan:", knob->name);
    for (size_t v = 0; v < knob->value_count; v++) {
        size_t count = 0;
        for (size_t e = 0; e < plan->entry_count; e++)
            count += plan->entries[e].setting.value[k] == v;
        if (count > 0)
            printf(" %s", knob->values[v].text);
    }
    printf("\n");
}

static void print_text(const struct ws_plan *plan, const struct tally *tally,
                       const struct ws_composition *composition, const char *truth)
{
    size_t trials = tally->whole + tally->parts + tally->composed;
    ws_cli_print_front(plan);
    printf("%s (%s): %zu settings tried, %zu on the front, %zu in the plan\n",
           plan->testbed, truth, trials, ws_cli_front_size(plan), plan->entry_count);
    print_places(plan);
    printf("measured from end to end %zu, in part %zu, composed of known parts %zu, "
           "invalid %zu; %zu samples and %zu to warm up\n",
           tally->whole, tally->parts, tally->composed, tally->invalid, tally->samples,
           tally->warmups);
    if (tally->samples > 0 && trials > 0)
        printf("a fixed 1,000 samples for each setting would have been %.0f times as "
               "many\n",
               1000.0 * (double)trials / (double)tally->samples);
    if (composition->count > 0)
        printf(
            "composed against measured, %zu settings: latency off by %.1f %% (median), "
            "%.1f %% (worst)",
            composition->count, 100 * composition->latency_median,
            100 * composition->latency_worst);
    if (composition->energy_count > 0)
        printf("; energy by %.1f %%, %.1f %%", 100 * composition->energy_median,
               100 * composition->energy_worst);
    if (composition->count > 0)
        printf("\n");
}

int ws_cli_plan_study(struct ws_study *study, const struct ws_plan_study_options *options,
                      struct ws_error *err)
{
    struct ws_trials trials = {0};
    struct ws_plan plan = {0};
    struct tally tally = {0};
    struct ws_composition composition = {0};
    int rc = ws_study_trials(&trials, study, err);
    if (rc == 0)
        rc = ws_study_plan(&plan, study, &trials, err);
    if (rc == 0)
        rc = ws_study_each_trial(study, count_trial, &tally, err);
    if (rc == 0)
        rc = ws_study_composition(&composition, study, err);
    const char *truth =
        rc == 0 ? ws_truth_name(plan.entries[0].outcome.truth) : "unknown";
    if (rc == 0 && options->plan_path != NULL)
        rc = ws_plan_save(&plan, options->plan_path, err);
    if (rc == 0 && options->plot_path != NULL)
        rc = ws_plot_plan(options->plot_path, &plan, &trials, truth, err);
    if (rc == 0 && options->json)
        rc = print_json(&plan, &tally, &composition, truth, err);
    else if (rc == 0)
        print_text(&plan, &tally, &composition, truth);
    ws_plan_fini(&plan);
    ws_trials_fini(&trials);
    return rc;
}

int ws_cli_plan_study_file(const char *path, const struct ws_plan_study_options *options,
                           struct ws_error *err)
{
    struct ws_study *study = NULL;
    int rc = ws_study_open_to_read(&study, path, err);
    if (rc == 0)
        rc = ws_cli_plan_study(study, options, err);
    ws_study_close(study);
    return rc;
}
