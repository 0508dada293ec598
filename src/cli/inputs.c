#include "cli/inputs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "onnx/draw.h"
#include "onnx/npy.h"
#include "onnx/tensorpb.h"

void ws_inputs_fini(struct ws_inputs *inputs)
{
    for (size_t i = 0; i < inputs->count; i++)
        ws_datum_fini(&inputs->data[i]);
    free(inputs->data);
    *inputs = (struct ws_inputs){0};
}

static int inputs_init(struct ws_inputs *out, size_t count, struct ws_error *err)
{
    *out =
        (struct ws_inputs){.data = calloc(count + 1, sizeof(*out->data)), .count = count};
    return out->data == NULL ? ws_error_nomem(err) : 0;
}

static int ends_with(const char *text, const char *end)
{
    size_t size = strlen(text), end_size = strlen(end);
    return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

static int load_file(struct ws_datum *out, const char *path, const Onnx__TypeProto *type,
                     struct ws_error *err)
{
    if (ends_with(path, ".pb"))
        return ws_datumpb_load(out, path, type, err);
    if (!ends_with(path, ".npy"))
        return ws_error_set(err, WS_E_USAGE, "%s: inputs are .npy or .pb files", path);
    struct ws_datum datum = {.kind = WS_DATUM_TENSOR};
    int rc = ws_npy_load(&datum.tensor, path, err);
    if (rc == 0)
        *out = datum;
    return rc;
}

/* Whether a tensor is what the graph declares for a value. */
static int check_type(const struct ws_value *value, const struct ws_datum *datum,
                      const char *path, struct ws_error *err)
{
    if (datum->kind != WS_DATUM_TENSOR || !value->is_tensor)
        return 0; /* decoded by the declared type, or none is known */
    const struct ws_tensor *tensor = &datum->tensor;
    int fits = value->dtype == WS_DTYPE_UNDEFINED || value->dtype == tensor->dtype;
    if (fits && value->has_shape) {
        fits = value->rank == tensor->rank;
        for (size_t i = 0; fits && i < value->rank; i++)
            fits = value->dims[i] < 0 || value->dims[i] == tensor->dims[i];
    }
    if (fits)
        return 0;
    char wanted[128], got[128];
    ws_tensor_describe(wanted, sizeof(wanted), value->dtype, value->dims,
                       value->has_shape ? value->rank : 0);
    ws_tensor_describe(got, sizeof(got), tensor->dtype, tensor->dims, tensor->rank);
    return ws_error_set(err, WS_E_TYPE, "input \"%s\" wants %s, %s is %s", value->name,
                        wanted, path, got);
}

/* Which input an argument is for: NAME=FILE, or the next one that has none yet. */
static int place_of(size_t *out, const char **path, const struct ws_graph *graph,
                    const char *argument, const int *given, struct ws_error *err)
{
    for (size_t i = 0; i < graph->input_count; i++) {
        const char *name = graph->values[graph->inputs[i]].name;
        size_t size = strlen(name);
        if (strncmp(argument, name, size) == 0 && argument[size] == '=') {
            *out = i;
            *path = argument + size + 1;
            return given[i]
                       ? ws_error_set(err, WS_E_USAGE, "input \"%s\" given twice", name)
                       : 0;
        }
    }
    const char *equals = strchr(argument, '=');
    if (equals != NULL && access(argument, F_OK) != 0)
        return ws_error_set(err, WS_E_NOT_FOUND, "the model has no input \"%.*s\"",
                            (int)(equals - argument), argument);
    for (size_t i = 0; i < graph->input_count; i++) {
        if (!given[i]) {
            *out = i;
            *path = argument;
            return 0;
        }
    }
    return ws_error_set(err, WS_E_USAGE, "%s: the model has only %zu inputs", argument,
                        graph->input_count);
}

int ws_inputs_load(struct ws_inputs *out, const struct ws_graph *graph,
                   const char *const *arguments, size_t count, struct ws_error *err)
{
    struct ws_inputs inputs = {0};
    int *given = calloc(graph->input_count + 1, sizeof(*given));
    int rc = given == NULL ? ws_error_nomem(err)
                           : inputs_init(&inputs, graph->input_count, err);
    for (size_t a = 0; rc == 0 && a < count; a++) {
        size_t place = 0;
        const char *path = NULL;
        rc = place_of(&place, &path, graph, arguments[a], given, err);
        if (rc != 0)
            break;
        const struct ws_value *value = &graph->values[graph->inputs[place]];
        rc = load_file(&inputs.data[place], path, value->type, err);
        if (rc == 0)
            rc = check_type(value, &inputs.data[place], path, err);
        given[place] = 1;
    }
    for (size_t i = 0; rc == 0 && i < graph->input_count; i++) {
        if (!given[i])
            rc = ws_error_set(err, WS_E_USAGE, "no value for input \"%s\" (--input FILE)",
                              graph->values[graph->inputs[i]].name);
    }
    free(given);
    if (rc == 0)
        *out = inputs;
    else
        ws_inputs_fini(&inputs);
    return rc;
}

int ws_inputs_load_test_data(struct ws_inputs *out, const struct ws_graph *graph,
                             const char *dir, int is_output, struct ws_error *err)
{
    struct ws_inputs inputs = {0};
    const size_t *values = is_output ? graph->outputs : graph->inputs;
    int rc =
        inputs_init(&inputs, is_output ? graph->output_count : graph->input_count, err);
    for (size_t i = 0; rc == 0 && i < inputs.count; i++) {
        char path[4096];
        int length = snprintf(path, sizeof(path), "%s/%s_%zu.pb", dir,
                              is_output ? "output" : "input", i);
        if (length < 0 || (size_t)length >= sizeof(path))
            rc = ws_error_set(err, WS_E_LIMIT, "%s: path too long", dir);
        else if (access(path, F_OK) != 0)
            rc = ws_error_set(err, WS_E_NOT_FOUND, "%s is not there", path);
        else
            rc = ws_datumpb_load(&inputs.data[i], path, graph->values[values[i]].type,
                                 err);
    }
    if (rc == 0)
        *out = inputs;
    else
        ws_inputs_fini(&inputs);
    return rc;
}

int ws_inputs_draw(struct ws_inputs *out, const struct ws_graph *graph, uint64_t seed,
                   struct ws_error *err)
{
    int rc = ws_graph_draw_inputs(&out->data, graph, seed, err);
    out->count = rc == 0 ? graph->input_count : out->count;
    return rc;
}

int ws_inputs_load_port(struct ws_oip_tensor *out, const struct ws_oip_model *model,
                        const char *argument, size_t position, struct ws_error *err)
{
    const char *path = argument, *name = NULL;
    for (size_t i = 0; i < model->input_count && name == NULL; i++) {
        size_t size = strlen(model->inputs[i].name);
        if (strncmp(argument, model->inputs[i].name, size) == 0 &&
            argument[size] == '=') {
            name = model->inputs[i].name;
            path = argument + size + 1;
        }
    }
    if (name == NULL && position >= model->input_count)
        return ws_error_set(err, WS_E_USAGE, "%s: the model has only %zu inputs",
                            argument, model->input_count);
    out->name = strdup(name != NULL ? name : model->inputs[position].name);
    if (out->name == NULL)
        return ws_error_nomem(err);
    size_t length = strlen(path);
    if (length > 4 && strcmp(path + length - 4, ".npy") == 0)
        return ws_npy_load(&out->tensor, path, err);
    struct ws_datum datum;
    int rc = ws_datumpb_load(&datum, path, NULL, err);
    if (rc == 0)
        out->tensor = datum.tensor;
    return rc;
}
