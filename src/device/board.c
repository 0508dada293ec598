#include "device/board.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/data.h"
#include "core/space.h"

/* What of a unit's time a knob may speed up. */
enum { PART_MACS, PART_BYTES, PART_CROSSING, PART_FIXED, PART_COUNT };

/* What one value of a knob does to a unit. */
struct point {
    double speed[PART_COUNT];
    double power_w; /* that it adds */
    double share;   /* of the power above idle that is left */
};

struct effect {
    size_t knob;
    struct point *points; /* one for each value of the knob */
};

/* One computing unit; a rate of 0 is not known. */
struct unit {
    double macs_per_s[WS_WORK_CLASS_COUNT];
    double bytes_per_s[WS_WORK_CLASS_COUNT]; /* not known: in the multiplications' rate */
    double crossing_bytes_per_s;             /* not known: at once */
    double fixed_ms;
    double power_w;
    struct effect *effects;
    size_t effect_count;
};

struct source {
    char *path;
    char *text;
    int is_used;
};

struct ws_board {
    char *name;
    char *machine;
    enum ws_boundary boundary;
    struct ws_space space;
    struct ws_setting preset;
    double switch_ms[WS_KNOBS_MAX];
    double idle_w;
    size_t unit_knob; /* SIZE_MAX: the only unit */
    struct unit *units;
    size_t unit_count;
    struct source *sources;
    size_t source_count;
};

/* --- Sources -------------------------------------------------------------------------
 */

static int covers(const struct source *source, const char *path)
{
    size_t length = strlen(source->path);
    return strncmp(path, source->path, length) == 0 &&
           (path[length] == '\0' || path[length] == '.' || path[length] == '[');
}

/* The one with the longest path. */
static const struct source *find_source(const struct ws_board *board, const char *path)
{
    const struct source *best = NULL;
    for (size_t i = 0; i < board->source_count; i++) {
        const struct source *source = &board->sources[i];
        if (covers(source, path) &&
            (best == NULL || strlen(source->path) > strlen(best->path)))
            best = source;
    }
    return best;
}

/* Every number below `node` must have a source. Sources' paths begin at the board, which
 * lies `skip` bytes into those of the document. */
static int check_figures(struct ws_board *board, const struct ws_json *node, size_t skip,
                         struct ws_error *err)
{
    int rc = 0;
    if (json_is_number(node->value)) {
        char buffer[WS_NAME_MAX];
        const char *path = ws_json_path(buffer, sizeof(buffer), node) + skip;
        if (find_source(board, path) == NULL)
            return ws_json_fail(node, WS_E_FORMAT, err,
                                "\"sources\" does not say where this figure comes from");
        for (size_t i = 0; i < board->source_count; i++)
            board->sources[i].is_used |= covers(&board->sources[i], path);
    }
    struct ws_json member = {0};
    if (json_is_object(node->value)) {
        while (rc == 0 && ws_json_next(&member, node))
            rc = check_figures(board, &member, skip, err);
    }
    for (size_t i = 0; rc == 0 && json_is_array(node->value) && i < ws_json_count(node);
         i++) {
        member = ws_json_at(node, i);
        rc = check_figures(board, &member, skip, err);
    }
    return rc;
}

static int read_sources(struct ws_board *board, const struct ws_json *root,
                        struct ws_error *err)
{
    struct ws_json sources;
    struct ws_json member = {0};
    int rc = ws_json_member(&sources, root, "sources", err);
    if (rc == 0)
        rc = ws_json_object(&sources, err);
    if (rc != 0)
        return rc;
    board->sources = calloc(ws_json_count(&sources) + 1, sizeof(*board->sources));
    if (board->sources == NULL)
        return ws_error_nomem(err);
    while (rc == 0 && ws_json_next(&member, &sources)) {
        struct source *source = &board->sources[board->source_count];
        const char *text = NULL;
        rc = ws_json_string(&text, &member, err);
        if (rc != 0)
            break;
        board->source_count++;
        source->path = strdup(member.key);
        source->text = strdup(text);
        if (source->path == NULL || source->text == NULL)
            rc = ws_error_nomem(err);
    }
    return rc;
}

/* Members with figures; what else a board has are words and the values of knobs. */
static int check_sources(struct ws_board *board, const struct ws_json *root,
                         struct ws_error *err)
{
    static const char *const members[] = {"idle_w", "switch_ms", "units"};
    struct ws_json node;
    char path[WS_NAME_MAX];
    size_t skip = strlen(ws_json_path(path, sizeof(path), root));
    int rc = 0;
    if (skip > 0)
        skip++; /* the dot */
    for (size_t i = 0; rc == 0 && i < sizeof(members) / sizeof(members[0]); i++) {
        if (ws_json_find(&node, root, members[i]))
            rc = check_figures(board, &node, skip, err);
    }
    for (size_t i = 0; rc == 0 && i < board->source_count; i++) {
        if (!board->sources[i].is_used)
            rc = ws_json_fail(root, WS_E_FORMAT, err,
                              "sources: \"%s\" is where no figure is",
                              board->sources[i].path);
    }
    return rc;
}

/* --- Units ---------------------------------------------------------------------------
 */

/* One rate for each class that the object names. */
static int read_rates(double *out, const struct ws_json *object, struct ws_error *err)
{
    const char *names[WS_WORK_CLASS_COUNT + 1] = {NULL};
    struct ws_json member;
    for (size_t c = 0; c < WS_WORK_CLASS_COUNT; c++)
        names[c] = ws_work_class_name((enum ws_work_class)c);
    int rc = ws_json_only(object, names, err);
    for (size_t c = 0; rc == 0 && c < WS_WORK_CLASS_COUNT; c++) {
        if (ws_json_find(&member, object, names[c]))
            rc = ws_json_double(&out[c], &member, 1, 1e18, err);
    }
    return rc;
}

struct table {
    double x[WS_BOARD_POINTS_MAX];
    double y[WS_BOARD_POINTS_MAX];
    size_t count;
};

/* [[x, y], ...] with ascending x. */
static int read_table(struct table *out, const struct ws_json *list, struct ws_error *err)
{
    int rc = ws_json_array(list, err);
    if (rc == 0 && (ws_json_count(list) < 1 || ws_json_count(list) > WS_BOARD_POINTS_MAX))
        rc = ws_json_fail(list, WS_E_LIMIT, err, "expected 1 to %d points, got %zu",
                          WS_BOARD_POINTS_MAX, ws_json_count(list));
    out->count = 0;
    for (size_t i = 0; rc == 0 && i < ws_json_count(list); i++) {
        struct ws_json point = ws_json_at(list, i);
        rc = ws_json_array(&point, err);
        if (rc == 0 && ws_json_count(&point) != 2)
            rc = ws_json_fail(&point, WS_E_FORMAT, err, "expected two numbers, got %zu",
                              ws_json_count(&point));
        if (rc != 0)
            return rc;
        struct ws_json x = ws_json_at(&point, 0);
        struct ws_json y = ws_json_at(&point, 1);
        rc = ws_json_double(&out->x[i], &x, 0, 1e15, err);
        if (rc == 0)
            rc = ws_json_double(&out->y[i], &y, 0, 1e6, err);
        if (rc == 0 && i > 0 && out->x[i] <= out->x[i - 1])
            rc = ws_json_fail(&point, WS_E_FORMAT, err, "the first numbers must ascend");
        out->count = i + 1;
    }
    return rc;
}

/* Straight lines between the points, level outside. */
static double interpolate(const struct table *table, double x)
{
    size_t i = 0;
    while (i < table->count && table->x[i] < x)
        i++;
    if (i == 0)
        return table->y[0];
    if (i == table->count)
        return table->y[i - 1];
    double along = (x - table->x[i - 1]) / (table->x[i] - table->x[i - 1]);
    return table->y[i - 1] + along * (table->y[i] - table->y[i - 1]);
}

/* One number for all that computes, or an object that names parts. */
static int read_exponents(double *out, const struct ws_json *node, struct ws_error *err)
{
    static const char *const names[] = {"macs", "bytes", "crossing", "fixed", NULL};
    struct ws_json member;
    double all = 0;
    if (json_is_number(node->value)) {
        int rc = ws_json_double(&all, node, 0, 4, err);
        out[PART_MACS] = out[PART_BYTES] = out[PART_CROSSING] = all;
        return rc;
    }
    int rc = ws_json_only(node, names, err);
    for (size_t p = 0; rc == 0 && p < PART_COUNT; p++) {
        if (ws_json_find(&member, node, names[p]))
            rc = ws_json_double(&out[p], &member, 0, 4, err);
    }
    return rc;
}

/* The laws of one effect, and then one point for each value. */
struct laws {
    double reference;
    double exponent[PART_COUNT];
    struct table power_w;
    struct table share;
};

static int read_laws(struct laws *out, const struct ws_json *node, struct ws_error *err)
{
    static const char *const keys[] = {"reference", "exponent", "power_w", "power_share",
                                       NULL};
    struct ws_json member;
    int rc = ws_json_only(node, keys, err);
    if (rc == 0 && ws_json_find(&member, node, "exponent")) {
        rc = read_exponents(out->exponent, &member, err);
        if (rc == 0)
            rc = ws_json_get_double(&out->reference, node, "reference", 1e-9, 1e15, err);
    }
    if (rc == 0 && ws_json_find(&member, node, "power_w"))
        rc = read_table(&out->power_w, &member, err);
    if (rc == 0 && ws_json_find(&member, node, "power_share"))
        rc = read_table(&out->share, &member, err);
    return rc;
}

static int read_effect(struct effect *out, const struct ws_board *board,
                       const struct ws_json *node, struct ws_error *err)
{
    struct laws laws = {.reference = 1};
    if (ws_space_find(&out->knob, &board->space, node->key, NULL) != 0)
        return ws_json_fail(node, WS_E_NOT_FOUND, err, "there is no knob \"%s\"",
                            node->key);
    int rc = read_laws(&laws, node, err);
    if (rc != 0)
        return rc;
    const struct ws_knob *knob = &board->space.knobs[out->knob];
    out->points = calloc(knob->value_count, sizeof(*out->points));
    if (out->points == NULL)
        return ws_error_nomem(err);
    for (size_t v = 0; v < knob->value_count; v++) {
        const struct ws_knob_value *value = &knob->values[v];
        struct point *point = &out->points[v];
        if (value->number_count != 1 || value->numbers[0] <= 0)
            return ws_json_fail(node, WS_E_TYPE, err,
                                "value %s is no positive number to scale by",
                                value->text);
        for (size_t p = 0; p < PART_COUNT; p++)
            point->speed[p] = pow(value->numbers[0] / laws.reference, laws.exponent[p]);
        point->share = 1;
        if (laws.power_w.count > 0)
            point->power_w = interpolate(&laws.power_w, value->numbers[0]);
        if (laws.share.count > 0)
            point->share = interpolate(&laws.share, value->numbers[0]);
    }
    return 0;
}

static int read_effects(struct unit *out, const struct ws_board *board,
                        const struct ws_json *effects, struct ws_error *err)
{
    struct ws_json member = {0};
    int rc = ws_json_object(effects, err);
    if (rc != 0)
        return rc;
    out->effects = calloc(ws_json_count(effects) + 1, sizeof(*out->effects));
    if (out->effects == NULL)
        return ws_error_nomem(err);
    while (rc == 0 && ws_json_next(&member, effects))
        rc = read_effect(&out->effects[out->effect_count++], board, &member, err);
    return rc;
}

static int read_unit(struct unit *out, const struct ws_board *board,
                     const struct ws_json *node, struct ws_error *err)
{
    static const char *const keys[] = {
        "macs_per_s", "bytes_per_s", "crossing_bytes_per_s", "fixed_ms", "power_w",
        "effects",    NULL};
    struct ws_json member;
    int rc = ws_json_only(node, keys, err);
    if (rc == 0)
        rc = ws_json_member(&member, node, "macs_per_s", err);
    if (rc == 0)
        rc = read_rates(out->macs_per_s, &member, err);
    if (rc == 0 && out->macs_per_s[WS_WORK_CONV_INT8] <= 0)
        out->macs_per_s[WS_WORK_CONV_INT8] = out->macs_per_s[WS_WORK_CONV];
    if (rc == 0 && ws_json_find(&member, node, "bytes_per_s"))
        rc = read_rates(out->bytes_per_s, &member, err);
    if (rc == 0 && ws_json_find(&member, node, "crossing_bytes_per_s"))
        rc = ws_json_double(&out->crossing_bytes_per_s, &member, 1, 1e18, err);
    if (rc == 0 && ws_json_find(&member, node, "fixed_ms"))
        rc = ws_json_double(&out->fixed_ms, &member, 0, 1e9, err);
    if (rc == 0 && ws_json_find(&member, node, "power_w"))
        rc = ws_json_double(&out->power_w, &member, 0, 1e6, err);
    if (rc == 0 && ws_json_find(&member, node, "effects"))
        rc = read_effects(out, board, &member, err);
    return rc;
}

/* `units` has one member for each value of the knob that `unit` names, or just one
 * without it. */
static int read_units(struct ws_board *board, const struct ws_json *root,
                      struct ws_error *err)
{
    struct ws_json units;
    struct ws_json chooser;
    struct ws_json member = {0};
    const char *name = NULL;
    const struct ws_knob *knob = NULL;
    board->unit_knob = SIZE_MAX;
    int rc = ws_json_member(&units, root, "units", err);
    if (rc == 0)
        rc = ws_json_object(&units, err);
    if (rc == 0 && ws_json_find(&chooser, root, "unit")) {
        rc = ws_json_string(&name, &chooser, err);
        if (rc == 0 && ws_space_find(&board->unit_knob, &board->space, name, NULL) != 0)
            rc = ws_json_fail(&chooser, WS_E_NOT_FOUND, err, "there is no knob \"%s\"",
                              name);
    }
    if (rc != 0)
        return rc;
    if (board->unit_knob != SIZE_MAX)
        knob = &board->space.knobs[board->unit_knob];
    size_t count = knob == NULL ? 1 : knob->value_count;
    if (count > WS_BOARD_UNITS_MAX || ws_json_count(&units) != count)
        return ws_json_fail(&units, WS_E_FORMAT, err,
                            "expected %zu units (at most %d), got %zu", count,
                            WS_BOARD_UNITS_MAX, ws_json_count(&units));
    board->units = calloc(count, sizeof(*board->units));
    if (board->units == NULL)
        return ws_error_nomem(err);
    for (size_t v = 0; rc == 0 && v < count; v++) {
        if (knob != NULL)
            rc = ws_json_member(&member, &units, knob->values[v].text, err);
        else
            (void)ws_json_next(&member, &units);
        board->unit_count = v + 1;
        if (rc == 0)
            rc = read_unit(&board->units[v], board, &member, err);
    }
    return rc;
}

/* --- The file ------------------------------------------------------------------------
 */

/* `preset` and `switch_ms` are objects of knob names. */
static int read_by_knob(struct ws_board *board, const struct ws_json *root,
                        struct ws_error *err)
{
    struct ws_json presets;
    struct ws_json costs;
    struct ws_json member;
    int has_presets = ws_json_find(&presets, root, "preset");
    int has_costs = ws_json_find(&costs, root, "switch_ms");
    const char *names[WS_KNOBS_MAX + 1] = {NULL};
    for (size_t k = 0; k < board->space.knob_count; k++)
        names[k] = board->space.knobs[k].name;
    int rc = has_presets ? ws_json_only(&presets, names, err) : 0;
    if (rc == 0 && has_costs)
        rc = ws_json_only(&costs, names, err);
    for (size_t k = 0; rc == 0 && k < board->space.knob_count; k++) {
        const struct ws_knob *knob = &board->space.knobs[k];
        size_t value = knob->value_count - 1;
        if (has_presets && ws_json_find(&member, &presets, knob->name))
            rc = ws_knob_find_json(&value, knob, &member, err);
        board->preset.value[k] = (uint16_t)value;
        if (rc == 0 && has_costs && ws_json_find(&member, &costs, knob->name))
            rc = ws_json_double(&board->switch_ms[k], &member, 0, 1e9, err);
    }
    return rc;
}

static int read_boundary(enum ws_boundary *out, const struct ws_json *root,
                         struct ws_error *err)
{
    struct ws_json node;
    const char *word = NULL;
    int rc = ws_json_member(&node, root, "boundary", err);
    if (rc == 0)
        rc = ws_json_string(&word, &node, err);
    if (rc != 0)
        return rc;
    for (int b = WS_BOUNDARY_RAIL; b <= WS_BOUNDARY_WALL; b++) {
        if (strcmp(word, ws_boundary_name((enum ws_boundary)b)) == 0) {
            *out = (enum ws_boundary)b;
            return 0;
        }
    }
    return ws_json_fail(&node, WS_E_FORMAT, err, "\"%s\" is no boundary", word);
}

static int read_head(struct ws_board *board, const struct ws_json *root,
                     struct ws_error *err)
{
    static const char *const keys[] = {
        "format",    "version", "name", "machine", "boundary", "knobs", "preset",
        "switch_ms", "idle_w",  "unit", "units",   "sources",  NULL};
    const char *format = NULL;
    int64_t version = 0;
    int rc = ws_json_only(root, keys, err);
    if (rc == 0)
        rc = ws_json_get_string(&format, root, "format", err);
    if (rc == 0 && strcmp(format, "wattshed-board") != 0)
        rc = ws_json_fail(root, WS_E_FORMAT, err,
                          "expected \"format\": \"wattshed-board\", got \"%s\"", format);
    if (rc == 0)
        rc = ws_json_get_i64(&version, root, "version", 1, 1, err);
    if (rc == 0)
        rc = ws_json_get_text(&board->name, root, "name", err);
    if (rc == 0)
        rc = ws_json_get_text(&board->machine, root, "machine", err);
    return rc == 0 ? read_boundary(&board->boundary, root, err) : rc;
}

/* "x" of "SIDE.x"; NULL for the knobs of others. */
static const char *knob_of_side(const char *name, const char *side)
{
    size_t length = strlen(side);
    return strncmp(name, side, length) == 0 && name[length] == '.' ? name + length + 1
                                                                   : NULL;
}

/* (optional) A machine may have nothing to set. */
static int read_knobs(struct ws_board *board, const struct ws_json *root,
                      struct ws_error *err)
{
    struct ws_json knobs;
    if (!ws_json_find(&knobs, root, "knobs"))
        return 0;
    int rc = ws_space_from_json(&board->space, &knobs, NULL, err);
    for (size_t k = 0; rc == 0 && k < board->space.knob_count; k++) {
        if (knob_of_side(board->space.knobs[k].name, "edge") == NULL)
            rc = ws_json_fail(&knobs, WS_E_FORMAT, err,
                              "a board's knobs are called edge.x, not \"%s\"",
                              board->space.knobs[k].name);
    }
    return rc;
}

static int read_board(struct ws_board *board, const struct ws_json *root,
                      struct ws_error *err)
{
    int rc = read_head(board, root, err);
    if (rc == 0)
        rc = read_knobs(board, root, err);
    if (rc == 0)
        rc = read_by_knob(board, root, err);
    if (rc == 0)
        rc = ws_json_get_double(&board->idle_w, root, "idle_w", 0, 1e6, err);
    if (rc == 0)
        rc = read_units(board, root, err);
    if (rc == 0)
        rc = read_sources(board, root, err);
    return rc == 0 ? check_sources(board, root, err) : rc;
}

int ws_board_read(struct ws_board **out, const struct ws_json *node, struct ws_error *err)
{
    struct ws_board *board = calloc(1, sizeof(*board));
    if (board == NULL)
        return ws_error_nomem(err);
    int rc = read_board(board, node, err);
    if (rc == 0)
        *out = board;
    else
        ws_board_destroy(board);
    return rc;
}

int ws_board_load(struct ws_board **out, const char *name_or_path, struct ws_error *err)
{
    const char *dot = strrchr(name_or_path, '.');
    int is_path =
        strchr(name_or_path, '/') != NULL || (dot != NULL && strcmp(dot, ".json") == 0);
    char name[WS_NAME_MAX];
    char *path = NULL;
    struct ws_json_doc doc;
    int rc = 0;
    if (is_path) {
        path = strdup(name_or_path);
        rc = path == NULL ? ws_error_nomem(err) : 0;
    } else {
        (void)snprintf(name, sizeof(name), "devices/%s/board.json", name_or_path);
        rc = ws_data_find(&path, name, err);
    }
    if (rc == 0)
        rc = ws_json_load(&doc, path, err);
    if (rc == 0) {
        struct ws_json root = ws_json_root(&doc);
        rc = ws_board_read(out, &root, err);
        ws_json_doc_fini(&doc);
    }
    free(path);
    return rc;
}

void ws_board_destroy(struct ws_board *board)
{
    if (board == NULL)
        return;
    for (size_t u = 0; u < board->unit_count; u++) {
        for (size_t e = 0; e < board->units[u].effect_count; e++)
            free(board->units[u].effects[e].points);
        free(board->units[u].effects);
    }
    for (size_t i = 0; i < board->source_count; i++) {
        free(board->sources[i].path);
        free(board->sources[i].text);
    }
    free(board->units);
    free(board->sources);
    free(board->name);
    free(board->machine);
    ws_space_fini(&board->space);
    free(board);
}

/* --- Asking --------------------------------------------------------------------------
 */

const char *ws_board_name(const struct ws_board *board)
{
    return board->name;
}

const char *ws_board_machine(const struct ws_board *board)
{
    return board->machine;
}

enum ws_boundary ws_board_boundary(const struct ws_board *board)
{
    return board->boundary;
}

double ws_board_idle_w(const struct ws_board *board)
{
    return board->idle_w;
}

const char *ws_board_source(const struct ws_board *board, const char *path)
{
    const struct source *source = find_source(board, path);
    return source == NULL ? NULL : source->text;
}

const struct ws_space *ws_board_space(const struct ws_board *board)
{
    return &board->space;
}

void ws_board_default(struct ws_setting *out, const struct ws_board *board)
{
    *out = board->preset;
}

double ws_board_switch_ms(const struct ws_board *board, const struct ws_setting *from,
                          const struct ws_setting *to)
{
    double ms = 0;
    for (size_t k = 0; k < board->space.knob_count; k++) {
        if (from->value[k] != to->value[k])
            ms += board->switch_ms[k];
    }
    return ms;
}

static const struct unit *unit_of(const struct ws_board *board,
                                  const struct ws_setting *setting)
{
    return &board->units[board->unit_knob == SIZE_MAX ? 0
                                                      : setting->value[board->unit_knob]];
}

static const struct point *point_of(const struct effect *effect,
                                    const struct ws_setting *setting)
{
    return &effect->points[setting->value[effect->knob]];
}

double ws_board_power_w(const struct ws_board *board, const struct ws_setting *setting)
{
    const struct unit *unit = unit_of(board, setting);
    double power_w = unit->power_w;
    double share = 1;
    for (size_t e = 0; e < unit->effect_count; e++) {
        const struct point *point = point_of(&unit->effects[e], setting);
        power_w += point->power_w;
        share *= point->share;
    }
    return board->idle_w + share * (power_w - board->idle_w);
}

/* Seconds of the classes' multiplications and bytes, at the reference. */
static int class_times(double *out_macs_s, double *out_bytes_s,
                       const struct ws_board *board, const struct unit *unit,
                       const struct ws_work *work, struct ws_error *err)
{
    double macs_s = 0;
    double bytes_s = 0;
    for (size_t c = 0; c < WS_WORK_CLASS_COUNT; c++) {
        if (work->macs[c] > 0 && unit->macs_per_s[c] <= 0)
            return ws_error_set(err, WS_E_UNKNOWN,
                                "device model %s does not know how fast %s runs",
                                board->name, ws_work_class_name((enum ws_work_class)c));
        if (work->macs[c] > 0)
            macs_s += work->macs[c] / unit->macs_per_s[c];
        if (unit->bytes_per_s[c] > 0)
            bytes_s += work->bytes[c] / unit->bytes_per_s[c];
    }
    *out_macs_s = macs_s;
    *out_bytes_s = bytes_s;
    return 0;
}

int ws_board_check_work(const struct ws_board *board, const struct ws_work *work,
                        struct ws_error *err)
{
    double seconds[2];
    int rc = 0;
    for (size_t u = 0; rc == 0 && u < board->unit_count; u++)
        rc = class_times(&seconds[0], &seconds[1], board, &board->units[u], work, err);
    return rc;
}

int ws_board_predict(double *out_ms, double *out_j, const struct ws_board *board,
                     const struct ws_setting *setting, const struct ws_work *work,
                     struct ws_error *err)
{
    const struct unit *unit = unit_of(board, setting);
    double speed[PART_COUNT] = {1, 1, 1, 1};
    double seconds[PART_COUNT] = {0};
    double sum = 0;
    int rc =
        class_times(&seconds[PART_MACS], &seconds[PART_BYTES], board, unit, work, err);
    if (rc != 0)
        return rc;
    int has_work = seconds[PART_MACS] > 0 || seconds[PART_BYTES] > 0;
    if (unit->crossing_bytes_per_s > 0)
        seconds[PART_CROSSING] = work->crossing_bytes / unit->crossing_bytes_per_s;
    seconds[PART_FIXED] = unit->fixed_ms / 1000;
    for (size_t e = 0; e < unit->effect_count; e++) {
        const struct point *point = point_of(&unit->effects[e], setting);
        for (size_t p = 0; p < PART_COUNT; p++)
            speed[p] *= point->speed[p];
    }
    for (size_t p = 0; has_work && p < PART_COUNT; p++)
        sum += seconds[p] / speed[p];
    *out_ms = 1000 * sum;
    *out_j = sum * ws_board_power_w(board, setting);
    return 0;
}

/* --- Bindings ------------------------------------------------------------------------
 */

struct ws_binding {
    struct ws_setting preset;
    size_t knob_count;
    struct {
        size_t from;     /* knob of the other space, SIZE_MAX: none */
        uint16_t *value; /* ours for each of its values */
    } knobs[WS_KNOBS_MAX];
};

static int bind_knob(struct ws_binding *binding, const struct ws_board *board,
                     const struct ws_space *space, size_t from, const char *base,
                     struct ws_error *err)
{
    const struct ws_knob *theirs = &space->knobs[from];
    size_t to = 0;
    while (to < board->space.knob_count &&
           strcmp(knob_of_side(board->space.knobs[to].name, "edge"), base) != 0)
        to++;
    if (to == board->space.knob_count)
        return ws_error_set(err, WS_E_NOT_FOUND, "device model %s has no knob for %s",
                            board->name, theirs->name);
    binding->knobs[to].from = from;
    binding->knobs[to].value =
        calloc(theirs->value_count, sizeof(*binding->knobs[to].value));
    if (binding->knobs[to].value == NULL)
        return ws_error_nomem(err);
    for (size_t v = 0; v < theirs->value_count; v++) {
        size_t value = 0;
        if (ws_knob_find(&value, &board->space.knobs[to], theirs->values[v].text, NULL) !=
            0)
            return ws_error_set(err, WS_E_NOT_FOUND,
                                "device model %s has no value %s of %s", board->name,
                                theirs->values[v].text, theirs->name);
        binding->knobs[to].value[v] = (uint16_t)value;
    }
    return 0;
}

int ws_binding_create(struct ws_binding **out, const struct ws_board *board,
                      const struct ws_space *space, const char *side,
                      struct ws_error *err)
{
    struct ws_binding *binding = calloc(1, sizeof(*binding));
    if (binding == NULL)
        return ws_error_nomem(err);
    int rc = 0;
    binding->preset = board->preset;
    binding->knob_count = board->space.knob_count;
    for (size_t k = 0; k < WS_KNOBS_MAX; k++)
        binding->knobs[k].from = SIZE_MAX;
    for (size_t k = 0; rc == 0 && k < space->knob_count; k++) {
        const char *base = knob_of_side(space->knobs[k].name, side);
        if (base != NULL)
            rc = bind_knob(binding, board, space, k, base, err);
    }
    if (rc == 0)
        *out = binding;
    else
        ws_binding_destroy(binding);
    return rc;
}

void ws_binding_destroy(struct ws_binding *binding)
{
    for (size_t k = 0; binding != NULL && k < binding->knob_count; k++)
        free(binding->knobs[k].value);
    free(binding);
}

void ws_binding_setting(struct ws_setting *out, const struct ws_binding *binding,
                        const struct ws_setting *setting)
{
    *out = binding->preset;
    for (size_t k = 0; k < binding->knob_count; k++) {
        if (binding->knobs[k].from != SIZE_MAX)
            out->value[k] =
                binding->knobs[k].value[setting->value[binding->knobs[k].from]];
    }
}

/* --- Stretching ----------------------------------------------------------------------
 */

int64_t ws_stretch_until(int64_t start_ns, double modelled_ms)
{
    /* A sleep ends late by the kernel's timer slack, 50 us by default; the rest of the
     * way is walked. */
    const int64_t walk_ns = 80000;
    const int64_t punctual_ns = 100000;
    int64_t until_ns = start_ns + (int64_t)(modelled_ms * 1e6);
    int64_t now_ns = ws_clock_now_ns();
    if (until_ns - now_ns > walk_ns)
        ws_clock_sleep_until(until_ns - walk_ns);
    while ((now_ns = ws_clock_now_ns()) < until_ns)
        ;
    return now_ns - until_ns > punctual_ns ? now_ns - until_ns : 0;
}
