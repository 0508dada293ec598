#include <stdlib.h>
#include <string.h>

#include "engine/ort.h"

/* The runtime's own value, under our name: nothing is wrapped, nothing copied. */
static OrtValue *to_ort(const struct ws_engine_value *value)
{
    return (OrtValue *)(uintptr_t)value;
}

/* Our element types carry ONNX's numbers; the runtime has its own enumeration. */
static const ONNXTensorElementDataType ort_types[WS_DTYPE_COUNT] = {
    [WS_DTYPE_FP32] = ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
    [WS_DTYPE_UINT8] = ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8,
    [WS_DTYPE_INT8] = ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8,
    [WS_DTYPE_UINT16] = ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16,
    [WS_DTYPE_INT16] = ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16,
    [WS_DTYPE_INT32] = ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32,
    [WS_DTYPE_INT64] = ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64,
    [WS_DTYPE_STRING] = ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING,
    [WS_DTYPE_BOOL] = ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL,
    [WS_DTYPE_FP16] = ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16,
    [WS_DTYPE_FP64] = ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE,
    [WS_DTYPE_UINT32] = ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32,
    [WS_DTYPE_UINT64] = ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64,
    [WS_DTYPE_COMPLEX64] = ONNX_TENSOR_ELEMENT_DATA_TYPE_COMPLEX64,
    [WS_DTYPE_COMPLEX128] = ONNX_TENSOR_ELEMENT_DATA_TYPE_COMPLEX128,
    [WS_DTYPE_BF16] = ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16,
    [WS_DTYPE_FP8E4M3FN] = ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E4M3FN,
    [WS_DTYPE_FP8E4M3FNUZ] = ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E4M3FNUZ,
    [WS_DTYPE_FP8E5M2] = ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E5M2,
    [WS_DTYPE_FP8E5M2FNUZ] = ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E5M2FNUZ,
    [WS_DTYPE_UINT4] = ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT4,
    [WS_DTYPE_INT4] = ONNX_TENSOR_ELEMENT_DATA_TYPE_INT4,
};

enum ws_dtype ws_ort_dtype(int ort_type)
{
    for (int i = 1; i < WS_DTYPE_COUNT; i++) {
        if ((int)ort_types[i] == ort_type)
            return (enum ws_dtype)i;
    }
    return WS_DTYPE_UNDEFINED;
}

int ws_ort_tensor(OrtValue **out, const OrtMemoryInfo *where, enum ws_dtype dtype,
                  const int64_t *dims, size_t rank, const void *data, size_t size_bytes,
                  struct ws_error *err)
{
    /* The runtime takes no NULL, not even for a tensor without elements. */
    static uint8_t nothing[WS_TENSOR_ALIGN];
    void *at = data != NULL ? (void *)(uintptr_t)data : nothing;
    return ws_ort_check(ws_ort->CreateTensorWithDataAsOrtValue(
                            where, at, size_bytes, dims, rank, ort_types[dtype], out),
                        WS_E_RUNTIME, "wrap a tensor", err);
}

static int string_value(OrtValue **out, const struct ws_tensor *tensor,
                        struct ws_error *err)
{
    OrtAllocator *allocator = NULL;
    OrtValue *value = NULL;
    size_t count = tensor->size_bytes / sizeof(char *);
    OrtStatus *status = ws_ort->GetAllocatorWithDefaultOptions(&allocator);
    if (status == NULL)
        status =
            ws_ort->CreateTensorAsOrtValue(allocator, tensor->dims, tensor->rank,
                                           ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING, &value);
    if (status == NULL && count > 0)
        status =
            ws_ort->FillStringTensor(value, (const char *const *)tensor->data, count);
    int rc = ws_ort_check(status, WS_E_RUNTIME, "make a tensor of strings", err);
    if (rc == 0)
        *out = value;
    else if (value != NULL)
        ws_ort->ReleaseValue(value);
    return rc;
}

int ws_engine_value_from_tensor(struct ws_engine_value **out, struct ws_engine *engine,
                                const struct ws_tensor *tensor, struct ws_error *err)
{
    OrtValue *value = NULL;
    int rc = tensor->dtype == WS_DTYPE_STRING
                 ? string_value(&value, tensor, err)
                 : ws_ort_tensor(&value, engine->cpu, tensor->dtype, tensor->dims,
                                 tensor->rank, tensor->data, tensor->size_bytes, err);
    if (rc == 0)
        *out = (struct ws_engine_value *)value;
    return rc;
}

static int sequence_value(struct ws_engine_value **out, struct ws_engine *engine,
                          const struct ws_datum *datum, struct ws_error *err)
{
    size_t count = datum->item_count;
    OrtValue **parts = calloc(count, sizeof(OrtValue *));
    OrtValue *sequence = NULL;
    int rc = parts == NULL ? ws_error_nomem(err) : 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = ws_engine_value_from_datum((struct ws_engine_value **)&parts[i], engine,
                                        &datum->items[i], err);
    if (rc == 0)
        rc = ws_ort_check(ws_ort->CreateValue((const OrtValue *const *)parts, count,
                                              ONNX_TYPE_SEQUENCE, &sequence),
                          WS_E_RUNTIME, "make a sequence", err);
    for (size_t i = 0; parts != NULL && i < count; i++) {
        if (parts[i] != NULL)
            ws_ort->ReleaseValue(parts[i]);
    }
    free(parts);
    if (rc == 0)
        *out = (struct ws_engine_value *)sequence;
    return rc;
}

int ws_engine_value_from_datum(struct ws_engine_value **out, struct ws_engine *engine,
                               const struct ws_datum *datum, struct ws_error *err)
{
    if (datum->kind == WS_DATUM_TENSOR)
        return ws_engine_value_from_tensor(out, engine, &datum->tensor, err);
    if (datum->item_count == 0)
        return ws_error_set(err, WS_E_UNSUPPORTED,
                            "the runtime's C interface cannot make an empty %s",
                            ws_datum_kind_name(datum->kind));
    if (datum->kind == WS_DATUM_OPTIONAL)
        return ws_engine_value_from_datum(out, engine, &datum->items[0], err);
    return sequence_value(out, engine, datum, err);
}

void ws_engine_value_destroy(struct ws_engine_value *value)
{
    if (value != NULL)
        ws_ort->ReleaseValue(to_ort(value));
}

/* Type and shape of a tensor value; data stays NULL. */
static int describe(struct ws_tensor *out, const OrtValue *value, struct ws_error *err)
{
    OrtTensorTypeAndShapeInfo *info = NULL;
    enum ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    struct ws_tensor tensor = {0};
    OrtStatus *status = ws_ort->GetTensorTypeAndShape(value, &info);
    if (status == NULL)
        status = ws_ort->GetTensorElementType(info, &type);
    if (status == NULL)
        status = ws_ort->GetDimensionsCount(info, &tensor.rank);
    int rc = ws_ort_check(status, WS_E_TYPE, "look into a tensor", err);
    if (rc == 0 && tensor.rank > WS_TENSOR_RANK_MAX)
        rc = ws_error_set(err, WS_E_LIMIT, "a tensor of rank %zu, at most %d",
                          tensor.rank, WS_TENSOR_RANK_MAX);
    if (rc == 0)
        rc = ws_ort_check(ws_ort->GetDimensions(info, tensor.dims, tensor.rank),
                          WS_E_RUNTIME, "look into a tensor", err);
    if (info != NULL)
        ws_ort->ReleaseTensorTypeAndShapeInfo(info);
    if (rc != 0)
        return rc;
    tensor.dtype = ws_ort_dtype((int)type);
    uint64_t size = 0;
    rc = ws_shape_bytes(&size, tensor.dtype, tensor.dims, tensor.rank, err);
    if (rc != 0)
        return rc;
    tensor.size_bytes = size;
    *out = tensor;
    return 0;
}

int ws_engine_value_view(struct ws_tensor *out, const struct ws_engine_value *value,
                         struct ws_error *err)
{
    struct ws_tensor tensor;
    int rc = describe(&tensor, to_ort(value), err);
    if (rc != 0)
        return rc;
    if (tensor.dtype == WS_DTYPE_STRING)
        return ws_error_set(err, WS_E_TYPE, "a tensor of strings cannot be viewed");
    rc = ws_ort_check(ws_ort->GetTensorMutableData(to_ort(value), &tensor.data),
                      WS_E_RUNTIME, "look into a tensor", err);
    if (rc == 0)
        *out = tensor;
    return rc;
}

static int copy_strings(struct ws_tensor *tensor, const OrtValue *value,
                        struct ws_error *err)
{
    char **strings = tensor->data;
    for (size_t i = 0; i < tensor->size_bytes / sizeof(char *); i++) {
        size_t size = 0;
        OrtStatus *status = ws_ort->GetStringTensorElementLength(value, i, &size);
        if (status == NULL) {
            strings[i] = calloc(1, size + 1);
            if (strings[i] == NULL)
                return ws_error_nomem(err);
            status = ws_ort->GetStringTensorElement(value, size, i, strings[i]);
        }
        int rc = ws_ort_check(status, WS_E_RUNTIME, "read strings", err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int tensor_copy(struct ws_tensor *out, const OrtValue *value, struct ws_error *err)
{
    struct ws_tensor shape = {0}, copy = {0};
    int rc = describe(&shape, value, err);
    if (rc == 0)
        rc = ws_tensor_init(&copy, shape.dtype, shape.dims, shape.rank, err);
    if (rc == 0 && copy.dtype == WS_DTYPE_STRING) {
        rc = copy_strings(&copy, value, err);
    } else if (rc == 0 && copy.size_bytes > 0) {
        void *data = NULL;
        rc = ws_ort_check(
            ws_ort->GetTensorMutableData((OrtValue *)(uintptr_t)value, &data),
            WS_E_RUNTIME, "read a tensor", err);
        if (rc == 0)
            memcpy(copy.data, data, copy.size_bytes);
    }
    if (rc == 0)
        *out = copy;
    else
        ws_tensor_fini(&copy);
    return rc;
}

static int sequence_copy(struct ws_datum *out, const OrtValue *value,
                         struct ws_error *err)
{
    struct ws_datum sequence = {.kind = WS_DATUM_SEQUENCE};
    OrtAllocator *allocator = NULL;
    size_t count = 0;
    OrtStatus *status = ws_ort->GetAllocatorWithDefaultOptions(&allocator);
    if (status == NULL)
        status = ws_ort->GetValueCount(value, &count);
    int rc = ws_ort_check(status, WS_E_RUNTIME, "read a sequence", err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        OrtValue *part = NULL;
        struct ws_datum item = {0};
        rc = ws_ort_check(ws_ort->GetValue(value, (int)i, allocator, &part), WS_E_RUNTIME,
                          "read a sequence", err);
        if (rc == 0)
            rc = ws_engine_value_to_datum(&item, (struct ws_engine_value *)part, err);
        if (rc == 0)
            rc = ws_datum_add(&sequence, &item, err);
        ws_datum_fini(&item);
        if (part != NULL)
            ws_ort->ReleaseValue(part);
    }
    if (rc == 0)
        *out = sequence;
    else
        ws_datum_fini(&sequence);
    return rc;
}

int ws_engine_value_to_datum(struct ws_datum *out, const struct ws_engine_value *value,
                             struct ws_error *err)
{
    const OrtValue *from = to_ort(value);
    enum ONNXType type = ONNX_TYPE_UNKNOWN;
    int has = 0;
    OrtStatus *status = ws_ort->HasValue(from, &has);
    if (status == NULL && has)
        status = ws_ort->GetValueType(from, &type);
    int rc = ws_ort_check(status, WS_E_RUNTIME, "read a value", err);
    if (rc != 0)
        return rc;
    if (!has) {
        *out = (struct ws_datum){.kind = WS_DATUM_OPTIONAL};
        return 0;
    }
    if (type == ONNX_TYPE_SEQUENCE)
        return sequence_copy(out, from, err);
    if (type != ONNX_TYPE_TENSOR)
        return ws_error_set(err, WS_E_UNSUPPORTED,
                            "a value that is neither tensor nor sequence");
    struct ws_datum datum = {.kind = WS_DATUM_TENSOR};
    rc = tensor_copy(&datum.tensor, from, err);
    if (rc == 0)
        *out = datum;
    return rc;
}
