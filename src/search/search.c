#include "search/search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "search/probe.h"
#include "search/searches.h"

static const struct ws_search searches[] = {
    {"exhaustive", "every setting, in order", ws_search_exhaustive},
    {"random", "settings drawn without replacement", ws_search_random},
    {"nsga3", "NSGA-III, as DynaSplit's authors used it", ws_search_nsga3},
    {"screen", "fixed: all shared values at the last of the others, then corners",
     ws_search_screen},
    {"guided", "where the front is uncertain, by part and kind of knob",
     ws_search_guided},
};

int ws_search_find(const struct ws_search **out, const char *name, struct ws_error *err)
{
    char names[128] = "";
    size_t used = 0;
    for (size_t i = 0; i < sizeof(searches) / sizeof(searches[0]); i++) {
        if (strcmp(searches[i].name, name) == 0) {
            *out = &searches[i];
            return 0;
        }
        int put = snprintf(names + used, sizeof(names) - used, "%s%s", i > 0 ? ", " : "",
                           searches[i].name);
        used += put > 0 ? (size_t)put : 0;
    }
    return ws_error_set(err, WS_E_USAGE, "no search \"%s\" among %s", name, names);
}

const struct ws_search *ws_search_at(size_t index)
{
    return index < sizeof(searches) / sizeof(searches[0]) ? &searches[index] : NULL;
}

static int try_given(struct ws_probe *probe, struct ws_error *err)
{
    const struct ws_search_task *task = probe->task;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < task->first_count && ws_probe_left(probe) > 0;
         i++) {
        if (ws_evaluator_has(task->evaluator, &task->first[i]) &&
            !ws_probe_tried(NULL, probe, &task->first[i]))
            rc = ws_probe_try(probe, &task->first[i], err);
    }
    return rc;
}

int ws_search_run(struct ws_trials *out, const struct ws_search *search,
                  const struct ws_search_task *task, struct ws_error *err)
{
    struct ws_trials trials = {0};
    struct ws_probe probe;
    int rc = ws_probe_init(&probe, task, &trials, err);
    if (rc != 0)
        return rc;
    rc = try_given(&probe, err);
    if (rc == 0 && ws_probe_left(&probe) > 0)
        rc = search->run(&probe, err);
    ws_probe_fini(&probe);
    if (rc == 0 && trials.count == 0)
        rc = ws_error_set(err, WS_E_INFEASIBLE, "there is no setting to try");
    if (rc == 0)
        *out = trials;
    else
        ws_trials_fini(&trials);
    return rc;
}

void ws_trials_fini(struct ws_trials *trials)
{
    free(trials->items);
    *trials = (struct ws_trials){0};
}

int ws_search_space_size(size_t *out, struct ws_evaluator *evaluator,
                         struct ws_error *err)
{
    uint64_t *all = NULL;
    int rc = ws_search_enumerate(&all, out, evaluator, err);
    free(all);
    return rc;
}

int ws_search_exhaustive(struct ws_probe *probe, struct ws_error *err)
{
    uint64_t *all = NULL;
    size_t count = 0;
    int rc = ws_search_enumerate(&all, &count, probe->task->evaluator, err);
    for (size_t i = 0; rc == 0 && i < count && ws_probe_left(probe) > 0; i++) {
        struct ws_setting setting;
        ws_setting_from_index(&setting, probe->task->evaluator->space, all[i]);
        if (!ws_probe_tried(NULL, probe, &setting))
            rc = ws_probe_try(probe, &setting, err);
    }
    free(all);
    return rc;
}

/* Where the space can be counted through, a shuffled start of it; else drawn. */
int ws_search_random(struct ws_probe *probe, struct ws_error *err)
{
    const struct ws_space *space = probe->task->evaluator->space;
    uint64_t *all = NULL;
    size_t count = 0;
    struct ws_rng rng;
    ws_rng_init(&rng, probe->task->seed);
    int rc = ws_search_enumerate(&all, &count, probe->task->evaluator, NULL);
    if (rc == WS_E_LIMIT) {
        struct ws_setting setting;
        rc = 0;
        while (rc == 0 && ws_probe_left(probe) > 0 &&
               ws_search_draw(&setting, probe, &rng) == 0)
            rc = ws_probe_try(probe, &setting, err);
        return rc;
    }
    if (rc != 0)
        return ws_error_set(err, rc, "count the settings of the space");
    for (size_t i = 0; rc == 0 && i < count && ws_probe_left(probe) > 0; i++) {
        size_t pick = i + ws_rng_below(&rng, count - i);
        struct ws_setting setting;
        uint64_t swap = all[i];
        all[i] = all[pick];
        all[pick] = swap;
        ws_setting_from_index(&setting, space, all[i]);
        if (!ws_probe_tried(NULL, probe, &setting))
            rc = ws_probe_try(probe, &setting, err);
    }
    free(all);
    return rc;
}
