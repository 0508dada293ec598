#include "cli/calibration.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/data.h"
#include "base/parse.h"
#include "base/rng.h"
#include "base/stats.h"
#include "core/space.h"

/* What a trial says of the side in question. */
struct observation {
    struct ws_setting setting; /* the board's */
    struct ws_work work;
    double ms;
    double energy_j;   /* waiting included */
    double waiting_ms; /* of the edge, for the rest of the request */
    int has_energy;
    int is_held; /* out of the fit */
};

int ws_calibration_open(struct ws_calibration *out, const char *board,
                        struct ws_error *err)
{
    char name[WS_NAME_MAX];
    char *path = NULL;
    struct ws_json_doc doc;
    int is_path = strchr(board, '/') != NULL || strstr(board, ".json") != NULL;
    (void)snprintf(name, sizeof(name), "devices/%s/board.json", board);
    int rc = is_path ? 0 : ws_data_find(&path, name, err);
    if (rc == 0)
        rc = ws_json_load(&doc, is_path ? board : path, err);
    free(path);
    if (rc != 0)
        return rc;
    struct ws_json root = ws_json_root(&doc);
    rc = ws_board_read(&out->board, &root, err);
    if (rc == 0)
        out->document = json_incref(doc.root);
    ws_json_doc_fini(&doc);
    if (rc == 0)
        rc = ws_binding_create(&out->binding, out->board, &out->testbed->space,
                               out->is_cloud ? "cloud" : "edge", err);
    return rc;
}

void ws_calibration_close(struct ws_calibration *calibration)
{
    ws_binding_destroy(calibration->binding);
    ws_board_destroy(calibration->board);
    json_decref(calibration->document);
    free(calibration->trials);
}

int ws_calibration_add(struct ws_calibration *calibration,
                       const struct ws_setting *setting, const struct ws_outcome *outcome,
                       struct ws_error *err)
{
    if (calibration->trial_count == calibration->trial_room) {
        size_t room = calibration->trial_room == 0 ? 256 : 2 * calibration->trial_room;
        struct ws_trial *more = realloc(calibration->trials, room * sizeof(*more));
        if (more == NULL)
            return ws_error_nomem(err);
        calibration->trials = more;
        calibration->trial_room = room;
    }
    calibration->trials[calibration->trial_count++] =
        (struct ws_trial){.setting = *setting, .outcome = *outcome};
    return 0;
}

/* --- Observations --- */

/* The cut of a setting; the last, all of it on the edge, where the testbed has none. */
static size_t cut_of(const struct ws_calibration *calibration,
                     const struct ws_setting *setting)
{
    size_t knob = 0;
    if (ws_space_find(&knob, &calibration->testbed->space, "cut", NULL) != 0)
        return calibration->cutting->count - 1;
    return setting->value[knob];
}

static double known(const struct ws_outcome *outcome, enum ws_measure measure,
                    double otherwise)
{
    double value = otherwise;
    (void)ws_outcome_get(&value, outcome, measure);
    return value;
}

/* A number drawn for the setting: all its trials go to one side of the split. */
static double key_of(const struct ws_calibration *calibration,
                     const struct ws_setting *setting)
{
    struct ws_rng rng;
    uint64_t index = ws_setting_to_index(&calibration->testbed->space, setting);
    ws_rng_init(&rng, calibration->seed ^ (index * 0x9e3779b97f4a7c15u));
    return ws_rng_uniform(&rng);
}

/* Whether the trial says how long this side took. */
static int observe(struct observation *out, const struct ws_calibration *calibration,
                   const struct ws_trial *trial)
{
    const struct ws_outcome *o = &trial->outcome;
    size_t cut = cut_of(calibration, &trial->setting);
    int is_all = cut + 1 == calibration->cutting->count && !calibration->is_cloud;
    *out = (struct observation){
        .work = calibration->is_cloud ? calibration->cutting->after[cut]
                                      : calibration->cutting->before[cut],
        .ms = known(o, calibration->is_cloud ? WS_CLOUD_MS : WS_EDGE_MS,
                    is_all ? known(o, WS_LATENCY_MS, 0) : 0),
        .energy_j = known(o, calibration->is_cloud ? WS_CLOUD_ENERGY_J : WS_EDGE_ENERGY_J,
                          is_all ? known(o, WS_ENERGY_J, 0) : 0),
        .waiting_ms = calibration->is_cloud
                          ? 0
                          : known(o, WS_TRANSFER_MS, 0) + known(o, WS_CLOUD_MS, 0)};
    out->has_energy = out->energy_j > 0;
    ws_binding_setting(&out->setting, calibration->binding, &trial->setting);
    out->is_held = key_of(calibration, &trial->setting) > calibration->last_key;
    return out->ms > 0;
}

static int has_work(const struct ws_work *work)
{
    double sum = 0;
    for (size_t c = 0; c < WS_WORK_CLASS_COUNT; c++)
        sum += work->macs[c] + work->bytes[c];
    return sum > 0;
}

/* --- The document --- */

/* Sets the figures at `path` and says where they come from; what was said of parts of
 * them before is no longer so. */
static int note(json_t *document, const char *path, const char *text)
{
    json_t *sources = json_object_get(document, "sources");
    const char *key = NULL;
    void *next = NULL;
    json_t *value = NULL;
    size_t length = strlen(path);
    json_object_foreach_safe(sources, next, key, value)
    {
        if (strncmp(key, path, length) == 0 &&
            (key[length] == '\0' || key[length] == '.'))
            json_object_del(sources, key);
    }
    return json_object_set_new(sources, path, json_string(text));
}

static json_t *rounded(double value)
{
    char digits[32];
    (void)snprintf(digits, sizeof(digits), "%.4g", value);
    (void)ws_parse_double(&value, digits, "figure", NULL);
    return json_real(value);
}

/* Four digits a figure, as four is what trials are good for. */
static int put_rates(json_t *unit, const struct ws_fit *fit, const struct ws_work *seen)
{
    const double unseen = 1e13; /* too fast for these trials to show */
    json_t *macs = json_object_get(unit, "macs_per_s");
    json_t *bytes = json_object();
    int rc = 0;
    for (size_t c = 0; c < WS_WORK_CLASS_COUNT; c++) {
        const char *name = ws_work_class_name((enum ws_work_class)c);
        if (seen->macs[c] > 0)
            rc |= json_object_set_new(
                macs, name,
                rounded(fit->macs_per_s[c] > 0 ? fit->macs_per_s[c] : unseen));
        if (fit->bytes_per_s > 0)
            rc |= json_object_set_new(bytes, name, rounded(fit->bytes_per_s));
    }
    if (fit->bytes_per_s > 0)
        rc |= json_object_set(unit, "bytes_per_s", bytes);
    else
        (void)json_object_del(unit, "bytes_per_s");
    json_decref(bytes);
    if (fit->crossing_bytes_per_s > 0)
        rc |= json_object_set_new(unit, "crossing_bytes_per_s",
                                  rounded(fit->crossing_bytes_per_s));
    else
        (void)json_object_del(unit, "crossing_bytes_per_s");
    return rc | json_object_set_new(unit, "fixed_ms", rounded(fit->fixed_ms));
}

/* The unit's power, as a table of its clock's values or, without a clock, as a number. */
static int put_power(json_t *unit, json_t *effect, const struct ws_calibrated *done)
{
    json_t *table = json_array();
    const struct ws_fit *fit = &done->fit;
    int rc = 0;
    if (fit->power_count == 0) {
        json_decref(table);
        return 0;
    }
    for (size_t i = 0; i < fit->power_count; i++)
        rc |= json_array_append_new(table,
                                    json_pack("[f, o]", fit->clock[i] * done->reference,
                                              rounded(fit->power_w[i])));
    if (effect != NULL) {
        rc |= json_object_set(effect, "power_w", table);
        (void)json_object_del(unit, "power_w");
    } else {
        rc |= json_object_set_new(unit, "power_w", rounded(fit->power_w[0]));
    }
    json_decref(table);
    return rc;
}

static int put_unit(json_t *document, const struct ws_calibrated *done,
                    const struct ws_work *seen, const char *from)
{
    static const char *const parts[] = {"macs_per_s", "bytes_per_s",
                                        "crossing_bytes_per_s", "fixed_ms", "power_w"};
    json_t *unit = json_object_get(json_object_get(document, "units"), done->name);
    json_t *effect = done->clock == NULL
                         ? NULL
                         : json_object_get(json_object_get(unit, "effects"), done->clock);
    char text[256];
    char path[WS_NAME_MAX];
    int rc = put_rates(unit, &done->fit, seen);
    if (effect != NULL)
        rc |= json_object_set_new(effect, "exponent",
                                  json_pack("{s:o, s:o, s:o, s:o}", "macs",
                                            rounded(done->fit.exponent), "bytes",
                                            rounded(done->fit.exponent), "crossing",
                                            rounded(done->fit.crossing_exponent), "fixed",
                                            rounded(done->fit.fixed_exponent)));
    rc |= put_power(unit, effect, done);
    (void)snprintf(text, sizeof(text), "fitted to %zu trials of %.150s", done->fitted,
                   from);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        (void)snprintf(path, sizeof(path), "units.%s.%s", done->name, parts[i]);
        if (json_object_get(unit, parts[i]) != NULL)
            rc |= note(document, path, text);
    }
    if (effect != NULL) {
        (void)snprintf(path, sizeof(path), "units.%s.effects.%s", done->name,
                       done->clock);
        rc |= note(document, path, text);
    }
    return rc;
}

/* --- Fitting --- */

/* Draws which settings are fitted to: so many of them as the share says. */
static int split(struct ws_calibration *calibration, struct ws_error *err)
{
    size_t count = calibration->trial_count;
    size_t distinct = 0;
    double *keys = malloc((count + 1) * sizeof(*keys));
    if (keys == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < count; i++)
        keys[i] = key_of(calibration, &calibration->trials[i].setting);
    ws_stats_sort(keys, count);
    for (size_t i = 0; i < count; i++) {
        if (distinct == 0 || keys[i] != keys[distinct - 1])
            keys[distinct++] = keys[i];
    }
    size_t fitted = (size_t)ceil(calibration->fitted_share * (double)distinct);
    calibration->last_key = fitted == 0 ? 0 : keys[fitted - 1];
    free(keys);
    return 0;
}

/* Median of what the edge drew while it only waited: trials without work on it. */
static int fit_idle(double *out_w, const struct ws_calibration *calibration,
                    struct ws_error *err)
{
    double *powers = malloc((calibration->trial_count + 1) * sizeof(*powers));
    size_t count = 0;
    *out_w = -1;
    if (powers == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < calibration->trial_count; i++) {
        struct observation o;
        (void)observe(&o, calibration, &calibration->trials[i]);
        double ms = o.ms + o.waiting_ms;
        if (!calibration->is_cloud && !o.is_held && !has_work(&o.work) && o.has_energy &&
            ms > 0)
            powers[count++] = o.energy_j / ms * 1000;
    }
    if (count > 0)
        *out_w = ws_stats_median(powers, count);
    free(powers);
    return 0;
}

/* The effect whose clock is to be fitted: the one with an exponent, of those that move.
 */
static int find_clock(struct ws_calibrated *done, size_t *out_knob,
                      const struct ws_calibration *calibration, json_t *unit,
                      const struct observation *seen, size_t count, struct ws_error *err)
{
    const struct ws_space *space = ws_board_space(calibration->board);
    const char *key = NULL;
    json_t *effect = NULL;
    *out_knob = SIZE_MAX;
    json_object_foreach(json_object_get(unit, "effects"), key, effect)
    {
        size_t knob = 0;
        int moves = 0;
        if (json_object_get(effect, "exponent") == NULL ||
            ws_space_find(&knob, space, key, NULL) != 0)
            continue;
        for (size_t i = 1; i < count; i++)
            moves |= seen[i].setting.value[knob] != seen[0].setting.value[knob];
        if (moves && done->clock != NULL)
            return ws_error_set(err, WS_E_UNSUPPORTED,
                                "both %s and %s move in these trials: hold one of them",
                                done->clock, key);
        if (!moves)
            continue;
        done->clock = key;
        done->reference = json_number_value(json_object_get(effect, "reference"));
        *out_knob = knob;
    }
    return 0;
}

static double clock_of(const struct ws_calibration *calibration,
                       const struct observation *o, size_t knob, double reference)
{
    if (knob == SIZE_MAX)
        return 1;
    const struct ws_knob *of = &ws_board_space(calibration->board)->knobs[knob];
    return of->values[o->setting.value[knob]].numbers[0] / reference;
}

/* The observations of a unit that have work, those held out last. */
static size_t observe_unit(struct observation *out, size_t *fitted,
                           struct ws_calibration *calibration, size_t unit_knob,
                           size_t value)
{
    size_t count = 0;
    for (int held = 0; held < 2; held++) {
        for (size_t i = 0; i < calibration->trial_count; i++) {
            struct observation o;
            int is_told = observe(&o, calibration, &calibration->trials[i]);
            if (is_told && has_work(&o.work) && o.is_held == held &&
                (unit_knob == SIZE_MAX || o.setting.value[unit_knob] == value))
                out[count++] = o;
        }
        if (!held)
            *fitted = count;
    }
    return count;
}

static int fit_unit(struct ws_calibrated *done, struct ws_calibration *calibration,
                    const struct observation *seen, double idle_w, struct ws_error *err)
{
    json_t *unit =
        json_object_get(json_object_get(calibration->document, "units"), done->name);
    struct ws_sample *samples = calloc(done->fitted + 1, sizeof(*samples));
    struct ws_work classes = {0};
    size_t knob = SIZE_MAX;
    int rc = samples == NULL
                 ? ws_error_nomem(err)
                 : find_clock(done, &knob, calibration, unit, seen, done->fitted, err);
    for (size_t i = 0; rc == 0 && i < done->fitted; i++) {
        const struct observation *o = &seen[i];
        double active_j = o->energy_j - idle_w * o->waiting_ms / 1000;
        samples[i] =
            (struct ws_sample){.work = o->work,
                               .clock = clock_of(calibration, o, knob, done->reference),
                               .ms = o->ms,
                               .power_w = active_j / o->ms * 1000,
                               .has_power = o->has_energy && active_j > 0};
        for (size_t c = 0; c < WS_WORK_CLASS_COUNT; c++)
            classes.macs[c] += o->work.macs[c];
    }
    if (rc == 0) {
        rc = ws_calibrate_unit(&done->fit, samples, done->fitted, err);
        done->has_fit = rc == 0;
        if (rc == WS_E_UNKNOWN)
            rc = 0;
    }
    if (done->has_fit &&
        put_unit(calibration->document, done, &classes, calibration->from) != 0)
        rc = ws_error_nomem(err);
    free(samples);
    return rc;
}

/* Relative errors of what was held out. */
struct errors {
    double *times, *energies;
    size_t time_count, energy_count;
};

/* Errors of a unit, added to those there are. */
static int add_errors(struct errors *errors, const struct ws_board *board,
                      const struct observation *held, size_t count, struct ws_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        double ms = 0;
        double j = 0;
        rc = ws_board_predict(&ms, &j, board, &held[i].setting, &held[i].work, err);
        j += ws_board_idle_w(board) * held[i].waiting_ms / 1000;
        errors->times[errors->time_count++] = fabs(ms / held[i].ms - 1);
        if (held[i].has_energy)
            errors->energies[errors->energy_count++] = fabs(j / held[i].energy_j - 1);
    }
    return rc;
}

static void summarise(double *out, double *errors, size_t count)
{
    if (count == 0)
        return;
    out[0] = ws_stats_median(errors, count); /* which sorts */
    out[1] = errors[count - 1];
}

/* Sorts the errors from the first ones on. */
static void judge(struct ws_calibrated *done, struct errors *errors, size_t first_time,
                  size_t first_energy)
{
    done->energy_count = errors->energy_count - first_energy;
    summarise(done->time_error, errors->times + first_time,
              errors->time_count - first_time);
    summarise(done->energy_error, errors->energies + first_energy, done->energy_count);
}

static int reread(struct ws_board **out, const struct ws_calibration *calibration,
                  struct ws_error *err)
{
    char name[] = "the fitted model";
    const struct ws_json_doc doc = {.root = calibration->document, .name = name};
    struct ws_json root = ws_json_root(&doc);
    return ws_board_read(out, &root, err);
}

/* The value of the chooser that a unit stands for; SIZE_MAX where nobody chooses. */
static size_t value_of(const struct ws_calibration *calibration, size_t knob,
                       const char *unit)
{
    size_t value = SIZE_MAX;
    if (knob != SIZE_MAX)
        (void)ws_knob_find(&value, &ws_board_space(calibration->board)->knobs[knob], unit,
                           NULL);
    return value;
}

static int fit_units(struct ws_calibrated_board *out, struct ws_calibration *calibration,
                     size_t knob, struct observation *seen, struct ws_error *err)
{
    double idle_w = out->has_idle ? out->idle_w : ws_board_idle_w(calibration->board);
    const char *key = NULL;
    json_t *unit = NULL;
    int rc = 0;
    json_object_foreach(json_object_get(calibration->document, "units"), key, unit)
    {
        struct ws_calibrated *done = &out->units[out->count];
        if (rc != 0)
            break;
        *done = (struct ws_calibrated){.name = key, .reference = 1};
        size_t all = observe_unit(seen, &done->fitted, calibration, knob,
                                  value_of(calibration, knob, key));
        done->held = all - done->fitted;
        if (all == 0)
            continue;
        out->count++;
        rc = fit_unit(done, calibration, seen, idle_w, err);
    }
    return rc;
}

static int judge_units(struct ws_calibrated_board *out,
                       struct ws_calibration *calibration, size_t knob,
                       struct observation *seen, struct ws_error *err)
{
    struct ws_board *board = NULL;
    size_t room = calibration->trial_count + 1;
    struct errors errors = {.times = calloc(room, sizeof(double)),
                            .energies = calloc(room, sizeof(double))};
    int rc = errors.times == NULL || errors.energies == NULL
                 ? ws_error_nomem(err)
                 : reread(&board, calibration, err);
    for (size_t u = 0; rc == 0 && u < out->count; u++) {
        struct ws_calibrated *done = &out->units[u];
        size_t first_time = errors.time_count;
        size_t first_energy = errors.energy_count;
        (void)observe_unit(seen, &done->fitted, calibration, knob,
                           value_of(calibration, knob, done->name));
        rc = add_errors(&errors, board, seen + done->fitted, done->held, err);
        judge(done, &errors, first_time, first_energy);
        out->all.fitted += done->fitted;
        out->all.held += done->held;
    }
    judge(&out->all, &errors, 0, 0);
    ws_board_destroy(board);
    free(errors.times);
    free(errors.energies);
    return rc;
}

int ws_calibration_run(struct ws_calibration *calibration,
                       struct ws_calibrated_board *out, struct ws_error *err)
{
    const char *chooser =
        json_string_value(json_object_get(calibration->document, "unit"));
    struct observation *seen = calloc(calibration->trial_count + 1, sizeof(*seen));
    size_t knob = SIZE_MAX;
    int rc = seen == NULL ? ws_error_nomem(err) : split(calibration, err);
    *out = (struct ws_calibrated_board){.all = {.name = "all"}};
    if (rc == 0)
        rc = fit_idle(&out->idle_w, calibration, err);
    out->has_idle = rc == 0 && out->idle_w >= 0;
    if (rc == 0 && chooser != NULL)
        rc = ws_space_find(&knob, ws_board_space(calibration->board), chooser, err);
    if (out->has_idle &&
        (json_object_set_new(calibration->document, "idle_w", rounded(out->idle_w)) |
         note(calibration->document, "idle_w", calibration->from)) != 0)
        rc = ws_error_nomem(err);
    if (rc == 0)
        rc = fit_units(out, calibration, knob, seen, err);
    if (rc == 0)
        rc = judge_units(out, calibration, knob, seen, err);
    free(seen);
    return rc;
}
