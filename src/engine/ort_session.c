#include <stdlib.h>
#include <string.h>

#include "engine/ort.h"

struct ws_session {
    OrtSession *session;
    const struct ws_engine *engine;
    struct ws_io_type *inputs, *outputs;
    size_t input_count, output_count;
    /* The names once more, in the form the runtime's Run wants. */
    const char **input_names, **output_names;
    OrtValue **shared; /* over the weights in use */
    size_t shared_count;
};

static int read_tensor_type(struct ws_io_type *type,
                            const OrtTensorTypeAndShapeInfo *info, struct ws_error *err)
{
    enum ONNXTensorElementDataType element = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    size_t rank = 0;
    OrtStatus *status = ws_ort->GetTensorElementType(info, &element);
    if (status == NULL)
        status = ws_ort->GetDimensionsCount(info, &rank);
    if (status == NULL && rank <= WS_TENSOR_RANK_MAX)
        status = ws_ort->GetDimensions(info, type->dims, rank);
    int rc = ws_ort_check(status, WS_E_RUNTIME, "read a type", err);
    if (rc != 0)
        return rc;
    if (rank > WS_TENSOR_RANK_MAX)
        return ws_error_set(err, WS_E_LIMIT, "\"%s\" has rank %zu, at most %d",
                            type->name, rank, WS_TENSOR_RANK_MAX);
    type->dtype = ws_ort_dtype((int)element);
    type->rank = rank;
    /* The runtime reports rank 0 both for a scalar and for no shape at all; which of the
     * two it is shows only when a value arrives. */
    type->has_shape = rank > 0;
    return 0;
}

static int read_type(struct ws_io_type *type, const OrtTypeInfo *info,
                     struct ws_error *err)
{
    enum ONNXType kind = ONNX_TYPE_UNKNOWN;
    const OrtTensorTypeAndShapeInfo *tensor = NULL;
    const OrtSequenceTypeInfo *sequence = NULL;
    OrtTypeInfo *element = NULL;
    int rc = ws_ort_check(ws_ort->GetOnnxTypeFromTypeInfo(info, &kind), WS_E_RUNTIME,
                          "read a type", err);
    if (rc == 0 && kind == ONNX_TYPE_TENSOR) {
        type->is_tensor = 1;
        rc = ws_ort_check(ws_ort->CastTypeInfoToTensorInfo(info, &tensor), WS_E_RUNTIME,
                          "read a type", err);
        if (rc == 0)
            rc = read_tensor_type(type, tensor, err);
    } else if (rc == 0 && kind == ONNX_TYPE_SEQUENCE) {
        OrtStatus *status = ws_ort->CastTypeInfoToSequenceTypeInfo(info, &sequence);
        if (status == NULL)
            status = ws_ort->GetSequenceElementType(sequence, &element);
        if (status == NULL)
            status = ws_ort->CastTypeInfoToTensorInfo(element, &tensor);
        rc = ws_ort_check(status, WS_E_RUNTIME, "read a type", err);
        type->is_sequence = rc == 0 && tensor != NULL;
        if (type->is_sequence)
            rc = read_tensor_type(type, tensor, err);
    }
    if (element != NULL)
        ws_ort->ReleaseTypeInfo(element);
    return rc;
}

typedef OrtStatus *(ORT_API_CALL *name_function)(const OrtSession *, size_t,
                                                 OrtAllocator *, char **);
typedef OrtStatus *(ORT_API_CALL *type_function)(const OrtSession *, size_t,
                                                 OrtTypeInfo **);

/* Names and types of all inputs, or of all outputs. */
static int read_types(struct ws_io_type *types, const char **names, size_t count,
                      const OrtSession *session, name_function get_name,
                      type_function get_type, struct ws_error *err)
{
    OrtAllocator *allocator = NULL;
    int rc = ws_ort_check(ws_ort->GetAllocatorWithDefaultOptions(&allocator),
                          WS_E_RUNTIME, "read types", err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        char *name = NULL;
        OrtTypeInfo *info = NULL;
        OrtStatus *status = get_name(session, i, allocator, &name);
        if (status == NULL) {
            types[i].name = strdup(name);
            names[i] = types[i].name;
            status = ws_ort->AllocatorFree(allocator, name);
        }
        if (status == NULL)
            status = get_type(session, i, &info);
        rc = ws_ort_check(status, WS_E_RUNTIME, "read types", err);
        if (rc == 0 && types[i].name == NULL)
            rc = ws_error_nomem(err);
        if (rc == 0)
            rc = read_type(&types[i], info, err);
        if (info != NULL)
            ws_ort->ReleaseTypeInfo(info);
    }
    return rc;
}

static int describe_session(struct ws_session *session, struct ws_error *err)
{
    OrtStatus *status =
        ws_ort->SessionGetInputCount(session->session, &session->input_count);
    if (status == NULL)
        status = ws_ort->SessionGetOutputCount(session->session, &session->output_count);
    int rc = ws_ort_check(status, WS_E_RUNTIME, "read types", err);
    if (rc != 0)
        return rc;
    /* One more than needed: calloc of nothing may return NULL. */
    session->inputs = calloc(session->input_count + 1, sizeof(*session->inputs));
    session->outputs = calloc(session->output_count + 1, sizeof(*session->outputs));
    session->input_names = calloc(session->input_count + 1, sizeof(char *));
    session->output_names = calloc(session->output_count + 1, sizeof(char *));
    if (session->inputs == NULL || session->outputs == NULL ||
        session->input_names == NULL || session->output_names == NULL)
        return ws_error_nomem(err);
    rc = read_types(session->inputs, session->input_names, session->input_count,
                    session->session, ws_ort->SessionGetInputName,
                    ws_ort->SessionGetInputTypeInfo, err);
    if (rc == 0)
        rc = read_types(session->outputs, session->output_names, session->output_count,
                        session->session, ws_ort->SessionGetOutputName,
                        ws_ort->SessionGetOutputTypeInfo, err);
    return rc;
}

/* Hands the weights to the options; on the processor the runtime uses them where they
 * lie, another provider copies them to its own memory. */
static int share_weights(struct ws_session *session, OrtSessionOptions *options,
                         const struct ws_engine *engine,
                         const struct ws_session_source *source, struct ws_error *err)
{
    session->shared = calloc(source->weight_count + 1, sizeof(OrtValue *));
    if (session->shared == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < source->weight_count; i++) {
        const struct ws_weight_view *weight = &source->weights[i];
        OrtValue *value = NULL;
        int rc = ws_ort_tensor(&value, engine->cpu, weight->dtype, weight->dims,
                               weight->rank, weight->data, weight->size_bytes, err);
        if (rc != 0)
            return ws_error_context(err, "weight \"%s\"", weight->name);
        session->shared[session->shared_count++] = value;
        /* Another provider takes an AddInitializer for weights of the processor only. */
        OrtStatus *status =
            engine->provider == NULL
                ? ws_ort->AddInitializer(options, weight->name, value)
                : ws_ort->AddExternalInitializers(options, &weight->name,
                                                  (const OrtValue *const *)&value, 1);
        rc = ws_ort_check(status, WS_E_RUNTIME, "share a weight", err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static OrtStatus *apply_source_options(OrtSessionOptions *options,
                                       const struct ws_session_source *source)
{
    OrtStatus *status = NULL;
    for (size_t i = 0; status == NULL && i < source->dim_count; i++)
        status = ws_ort->AddFreeDimensionOverrideByName(options, source->dim_names[i],
                                                        source->dim_sizes[i]);
    if (status == NULL && source->types_only)
        status =
            ws_ort->AddSessionConfigEntry(options, "session.disable_prepacking", "1");
    return status;
}

static OrtStatus *open_session(OrtSession **out, const struct ws_engine *engine,
                               OrtSessionOptions *options,
                               const struct ws_session_source *source)
{
    OrtPrepackedWeightsContainer *container =
        source->pack != NULL ? source->pack->container : NULL;
    if (source->path != NULL && container == NULL)
        return ws_ort->CreateSession(engine->env, source->path, options, out);
    if (source->path != NULL)
        return ws_ort->CreateSessionWithPrepackedWeightsContainer(
            engine->env, source->path, options, container, out);
    if (source->dir != NULL) {
        OrtStatus *status = ws_ort->AddSessionConfigEntry(
            options, "session.model_external_initializers_file_folder_path", source->dir);
        if (status != NULL)
            return status;
    }
    if (container == NULL)
        return ws_ort->CreateSessionFromArray(engine->env, source->bytes,
                                              source->size_bytes, options, out);
    return ws_ort->CreateSessionFromArrayWithPrepackedWeightsContainer(
        engine->env, source->bytes, source->size_bytes, options, container, out);
}

int ws_session_create(struct ws_session **out, struct ws_engine *engine,
                      const struct ws_session_source *source, struct ws_error *err)
{
    OrtSessionOptions *options = NULL;
    struct ws_session *session = calloc(1, sizeof(*session));
    if (session == NULL)
        return ws_error_nomem(err);
    session->engine = engine;
    int rc = ws_ort_session_options(&options, engine, source->level, source->keep_layout,
                                    0, err);
    if (rc == 0)
        rc = share_weights(session, options, engine, source, err);
    if (rc == 0)
        rc = ws_ort_check(apply_source_options(options, source), WS_E_RUNTIME,
                          "set session options", err);
    if (rc == 0) {
        ws_ort_begin_turn(engine);
        OrtStatus *status = open_session(&session->session, engine, options, source);
        ws_ort_end_turn(engine);
        rc = ws_ort_check(status, WS_E_RUNTIME, "load", err);
    }
    if (rc == 0)
        rc = describe_session(session, err);
    if (options != NULL)
        ws_ort->ReleaseSessionOptions(options);
    if (rc != 0) {
        ws_session_destroy(session);
        return rc;
    }
    *out = session;
    return 0;
}

static void free_types(struct ws_io_type *types, size_t count)
{
    for (size_t i = 0; types != NULL && i < count; i++)
        free(types[i].name);
    free(types);
}

void ws_session_destroy(struct ws_session *session)
{
    if (session == NULL)
        return;
    if (session->session != NULL) {
        ws_ort_begin_turn(session->engine);
        ws_ort->ReleaseSession(session->session);
        ws_ort_end_turn(session->engine);
    }
    for (size_t i = 0; i < session->shared_count; i++)
        ws_ort->ReleaseValue(session->shared[i]);
    free(session->shared);
    free_types(session->inputs, session->input_count);
    free_types(session->outputs, session->output_count);
    free(session->input_names);
    free(session->output_names);
    free(session);
}

size_t ws_session_input_count(const struct ws_session *session)
{
    return session->input_count;
}

size_t ws_session_output_count(const struct ws_session *session)
{
    return session->output_count;
}

const struct ws_io_type *ws_session_input(const struct ws_session *session, size_t index)
{
    return &session->inputs[index];
}

const struct ws_io_type *ws_session_output(const struct ws_session *session, size_t index)
{
    return &session->outputs[index];
}

int ws_session_run(struct ws_session *session, struct ws_engine_value *const *inputs,
                   struct ws_engine_value **outputs, struct ws_error *err)
{
    ws_ort_begin_turn(session->engine);
    OrtStatus *status =
        ws_ort->Run(session->session, NULL, session->input_names,
                    (const OrtValue *const *)inputs, session->input_count,
                    session->output_names, session->output_count, (OrtValue **)outputs);
    ws_ort_end_turn(session->engine);
    return ws_ort_check(status, WS_E_RUNTIME, "run", err);
}
