#include "onnx/codec.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/half.h"

static const char *const codec_names[] = {
    [WS_CODEC_NONE] = "none",
    [WS_CODEC_FP16] = "fp16",
    [WS_CODEC_INT8] = "int8",
    [WS_CODEC_INT8C] = "int8c",
};
_Static_assert(sizeof(codec_names) / sizeof(codec_names[0]) == WS_CODEC_COUNT,
               "every codec has a name");

/* One tensor and its quantisation. */
struct coded {
    char *name;
    struct ws_codec_tensor tensor; /* name points to the copy above; range is NULL */
    int passes;
    size_t channels; /* int8c: of scale and zero point; 0: one for the whole tensor */
    float *scale;    /* int8c: NULL where it comes with each tensor */
    uint8_t *zero_point;
};

struct ws_coding {
    enum ws_codec codec;
    int is_apart; /* int8c's scales and zero points travel */
    struct coded *tensors;
    size_t tensor_count;
    struct ws_codec_wire *wires;
    size_t wire_count;
};

const char *ws_codec_name(enum ws_codec codec)
{
    return (unsigned)codec < WS_CODEC_COUNT ? codec_names[codec] : "?";
}

int ws_codec_find(enum ws_codec *out, const char *name, struct ws_error *err)
{
    for (int i = 0; i < WS_CODEC_COUNT; i++) {
        if (strcmp(codec_names[i], name) == 0) {
            *out = (enum ws_codec)i;
            return 0;
        }
    }
    return ws_error_set(err, WS_E_NOT_FOUND, "no codec \"%s\" (none, fp16, int8, int8c)",
                        name);
}

/* ---- Calibration ---- */

static int float_at(float *out, const struct ws_tensor *tensor, size_t i)
{
    switch (tensor->dtype) {
    case WS_DTYPE_FP32:
        *out = ((const float *)tensor->data)[i];
        return 1;
    case WS_DTYPE_FP64:
        *out = (float)((const double *)tensor->data)[i];
        return 1;
    case WS_DTYPE_FP16:
        *out = ws_half_to_float(((const uint16_t *)tensor->data)[i]);
        return 1;
    case WS_DTYPE_BF16:
        *out = ws_bf16_to_float(((const uint16_t *)tensor->data)[i]);
        return 1;
    default:
        return 0;
    }
}

static int range_init(struct ws_codec_range *range, size_t channels, struct ws_error *err)
{
    struct ws_codec_range fresh = {.channels = channels};
    fresh.low = calloc(channels + 1, sizeof(float));
    fresh.high = calloc(channels + 1, sizeof(float));
    if (fresh.low == NULL || fresh.high == NULL) {
        ws_codec_range_fini(&fresh);
        return ws_error_nomem(err);
    }
    *range = fresh;
    return 0;
}

int ws_codec_range_add(struct ws_codec_range *range, const struct ws_tensor *sample,
                       struct ws_error *err)
{
    uint64_t count = 0;
    size_t channels = sample->rank >= 2 ? (size_t)sample->dims[1] : 1;
    int rc = ws_shape_count(&count, sample->dims, sample->rank, err);
    if (rc != 0)
        return rc;
    float value = 0;
    if (count > 0 && !float_at(&value, sample, 0))
        return ws_error_set(err, WS_E_TYPE, "a range of %s values",
                            ws_dtype_name(sample->dtype));
    if (range->low != NULL && range->channels != channels)
        return ws_error_set(err, WS_E_MISMATCH, "a sample of %zu channels after %zu",
                            channels, range->channels);
    if (range->low == NULL)
        rc = range_init(range, channels, err);
    if (rc != 0 || count == 0)
        return rc;
    /* [N, C, inner]: the channel changes every `inner` elements. The range starts at
     * [0, 0] because a zero point must be able to stand for zero exactly. */
    uint64_t inner = count / channels;
    if (sample->rank >= 2)
        inner /= (uint64_t)sample->dims[0];
    for (uint64_t i = 0; i < count; i++) {
        size_t c = (size_t)(i / inner % channels);
        if (!float_at(&value, sample, i) || !isfinite(value))
            continue;
        range->low[c] = fminf(range->low[c], value);
        range->high[c] = fmaxf(range->high[c], value);
    }
    return 0;
}

void ws_codec_range_fini(struct ws_codec_range *range)
{
    free(range->low);
    free(range->high);
    *range = (struct ws_codec_range){0};
}

/* ---- Planning ---- */

/* Whether the codec leaves a tensor of this type alone. */
static int leaves_alone(enum ws_codec codec, enum ws_dtype dtype)
{
    switch (dtype) {
    case WS_DTYPE_FP32:
    case WS_DTYPE_FP64:
        return codec == WS_CODEC_NONE;
    case WS_DTYPE_FP16:
    case WS_DTYPE_BF16:
        return codec == WS_CODEC_NONE || codec == WS_CODEC_FP16;
    default:
        return 1;
    }
}

/* Asymmetric 8 bits: low .. high onto 0 .. 255, zero onto the zero point exactly. */
static int take_range(struct coded *c, const struct ws_codec_range *range,
                      struct ws_error *err)
{
    c->scale = calloc(range->channels + 1, sizeof(float));
    c->zero_point = calloc(range->channels + 1, 1);
    if (c->scale == NULL || c->zero_point == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < range->channels; i++) {
        /* Halved first: the width of the widest range is more than a float holds. */
        float scale = (range->high[i] / 255 - range->low[i] / 255);
        /* A channel that was always zero still needs a scale to divide by. */
        c->scale[i] = scale > FLT_MIN ? scale : 1;
        c->zero_point[i] =
            (uint8_t)fminf(255, fmaxf(0, rintf(-range->low[i] / c->scale[i])));
    }
    return 0;
}

static int not_calibrated(const struct coded *c, struct ws_error *err)
{
    return ws_error_set(err, WS_E_USAGE, "tensor %s was not calibrated", c->name);
}

static int plan_channels(struct coded *c, const struct ws_codec_range *range,
                         int is_apart, struct ws_error *err)
{
    const struct ws_codec_tensor *tensor = &c->tensor;
    int has_range = range != NULL && range->low != NULL;
    if (!has_range && !is_apart)
        return not_calibrated(c, err);
    if (!tensor->has_shape || (tensor->rank >= 2 && tensor->dims[1] < 0))
        return ws_error_set(err, WS_E_UNSUPPORTED,
                            "tensor %s: the number of channels is not known", c->name);
    size_t channels = tensor->rank >= 2 ? (size_t)tensor->dims[1] : 1;
    c->channels = tensor->rank >= 2 ? channels : 0;
    if (!has_range)
        return 0;
    if (channels != range->channels)
        return ws_error_set(err, WS_E_MISMATCH,
                            "tensor %s has %zu channels, its samples had %zu", c->name,
                            channels, range->channels);
    return take_range(c, range, err);
}

static int add_wire(struct ws_coding *coding, size_t tensor, const char *suffix,
                    enum ws_dtype dtype, struct ws_error *err)
{
    const struct coded *c = &coding->tensors[tensor];
    struct ws_codec_wire *wire = &coding->wires[coding->wire_count];
    *wire = (struct ws_codec_wire){
        .tensor = tensor,
        .dtype = dtype,
        .has_shape = c->tensor.has_shape,
        .rank = c->tensor.rank,
        .passes = c->passes,
    };
    memcpy(wire->dims, c->tensor.dims, sizeof(wire->dims));
    if (asprintf(&wire->name, "%s%s", c->name, suffix) < 0) {
        wire->name = NULL;
        return ws_error_nomem(err);
    }
    coding->wire_count++;
    return 0;
}

/* A wire tensor of one element for each channel. */
static int add_parameter(struct ws_coding *coding, size_t tensor, const char *suffix,
                         enum ws_dtype dtype, struct ws_error *err)
{
    size_t channels = coding->tensors[tensor].channels;
    int rc = add_wire(coding, tensor, suffix, dtype, err);
    if (rc != 0)
        return rc;
    struct ws_codec_wire *wire = &coding->wires[coding->wire_count - 1];
    wire->has_shape = 1;
    wire->rank = 1;
    wire->dims[0] = channels > 0 ? (int64_t)channels : 1;
    return 0;
}

static int plan_wires(struct ws_coding *coding, size_t tensor, struct ws_error *err)
{
    const struct coded *c = &coding->tensors[tensor];
    if (c->passes)
        return add_wire(coding, tensor, "", c->tensor.dtype, err);
    if (coding->codec == WS_CODEC_FP16)
        return add_wire(coding, tensor, ".f16", WS_DTYPE_FP16, err);
    int travels = coding->codec == WS_CODEC_INT8 || coding->is_apart;
    int rc = add_wire(coding, tensor, ".q8", WS_DTYPE_UINT8, err);
    if (rc == 0 && travels)
        rc = add_parameter(coding, tensor, ".scale", WS_DTYPE_FP32, err);
    if (rc == 0 && travels)
        rc = add_parameter(coding, tensor, ".zp", WS_DTYPE_UINT8, err);
    return rc;
}

static int plan_tensor(struct ws_coding *coding, const struct ws_codec_tensor *tensor,
                       struct ws_error *err)
{
    size_t index = coding->tensor_count;
    struct coded *c = &coding->tensors[index];
    c->name = strdup(tensor->name);
    if (c->name == NULL)
        return ws_error_nomem(err);
    coding->tensor_count++;
    c->tensor = *tensor;
    c->tensor.name = c->name;
    c->tensor.range = NULL;
    c->passes = leaves_alone(coding->codec, tensor->dtype);
    int rc = 0;
    if (coding->codec == WS_CODEC_INT8C && !c->passes)
        rc = plan_channels(c, tensor->range, coding->is_apart, err);
    return rc != 0 ? rc : plan_wires(coding, index, err);
}

static int create(struct ws_coding **out, enum ws_codec codec, int is_apart,
                  const struct ws_codec_tensor *tensors, size_t count,
                  struct ws_error *err)
{
    if (count > WS_CUT_TENSORS_MAX)
        return ws_error_set(err, WS_E_LIMIT, "%zu tensors in a cut, at most %d", count,
                            WS_CUT_TENSORS_MAX);
    int rc = 0;
    struct ws_coding *coding = calloc(1, sizeof(*coding));
    if (coding == NULL)
        return ws_error_nomem(err);
    coding->codec = codec;
    coding->is_apart = is_apart;
    coding->tensors = calloc(count + 1, sizeof(*coding->tensors));
    coding->wires = calloc(3 * count + 1, sizeof(*coding->wires));
    if (coding->tensors == NULL || coding->wires == NULL)
        rc = ws_error_nomem(err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = plan_tensor(coding, &tensors[i], err);
    if (rc != 0)
        ws_coding_destroy(coding);
    else
        *out = coding;
    return rc;
}

int ws_coding_create(struct ws_coding **out, enum ws_codec codec,
                     const struct ws_codec_tensor *tensors, size_t count,
                     struct ws_error *err)
{
    return create(out, codec, 0, tensors, count, err);
}

int ws_coding_create_apart(struct ws_coding **out, enum ws_codec codec,
                           const struct ws_codec_tensor *tensors, size_t count,
                           struct ws_error *err)
{
    return create(out, codec, 1, tensors, count, err);
}

void ws_coding_destroy(struct ws_coding *coding)
{
    if (coding == NULL)
        return;
    for (size_t i = 0; i < coding->tensor_count; i++) {
        free(coding->tensors[i].name);
        free(coding->tensors[i].scale);
        free(coding->tensors[i].zero_point);
    }
    for (size_t i = 0; i < coding->wire_count; i++)
        free(coding->wires[i].name);
    free(coding->tensors);
    free(coding->wires);
    free(coding);
}

size_t ws_coding_wire_count(const struct ws_coding *coding)
{
    return coding->wire_count;
}

const struct ws_codec_wire *ws_coding_wire(const struct ws_coding *coding, size_t index)
{
    return &coding->wires[index];
}

int ws_coding_bytes(uint64_t *out, const struct ws_coding *coding, struct ws_error *err)
{
    uint64_t total = 0;
    for (size_t i = 0; i < coding->wire_count; i++) {
        const struct ws_codec_wire *wire = &coding->wires[i];
        int known = wire->has_shape && wire->dtype != WS_DTYPE_STRING;
        for (size_t k = 0; k < wire->rank; k++)
            known = known && wire->dims[k] >= 0;
        if (!known)
            return ws_error_set(err, WS_E_UNKNOWN, "tensor %s: the size is not known",
                                wire->name);
        uint64_t bytes = 0;
        int rc = ws_shape_bytes(&bytes, wire->dtype, wire->dims, wire->rank, err);
        if (rc != 0)
            return rc;
        total += bytes;
    }
    *out = total;
    return 0;
}

int ws_coding_is_plain(const struct ws_coding *coding)
{
    for (size_t i = 0; i < coding->tensor_count; i++) {
        if (!coding->tensors[i].passes)
            return 0;
    }
    return 1;
}

/* ---- Nodes ---- */

/* `op` from `from` to the tensor NAME + suffix; its name. */
static const char *unary(struct ws_builder *b, const struct coded *c, const char *op,
                         const char *from, const char *suffix)
{
    const char *to = ws_builder_text(b, "%s%s", c->name, suffix);
    ws_builder_node(b, op, ws_builder_text(b, "%s/%s", to, op),
                    (const char *[]){from, NULL}, (const char *[]){to, NULL});
    return to;
}

static const char *cast(struct ws_builder *b, const struct coded *c, const char *from,
                        const char *suffix, enum ws_dtype dtype)
{
    const char *to = ws_builder_text(b, "%s%s", c->name, suffix);
    Onnx__NodeProto *node =
        ws_builder_node(b, "Cast", ws_builder_text(b, "%s/Cast", to),
                        (const char *[]){from, NULL}, (const char *[]){to, NULL});
    ws_builder_int(b, node, "to", dtype);
    return to;
}

/* The quantising operators want FP32. */
static const char *as_float(struct ws_builder *b, const struct coded *c)
{
    if (c->tensor.dtype == WS_DTYPE_FP32)
        return c->name;
    return cast(b, c, c->name, ".codec_f32", WS_DTYPE_FP32);
}

/* NAME = DequantizeLinear(NAME.q8, scale, zero point), in NAME's own type. */
static void dequantize(struct ws_builder *b, const struct coded *c, const char *scale,
                       const char *zero_point)
{
    int narrow = c->tensor.dtype != WS_DTYPE_FP32;
    const char *to = ws_builder_text(b, "%s%s", c->name, narrow ? ".codec_f32" : "");
    Onnx__NodeProto *node = ws_builder_node(
        b, "DequantizeLinear", ws_builder_text(b, "%s/Dequantize", c->name),
        (const char *[]){ws_builder_text(b, "%s.q8", c->name), scale, zero_point, NULL},
        (const char *[]){to, NULL});
    if (c->channels > 0)
        ws_builder_int(b, node, "axis", 1);
    if (narrow)
        cast(b, c, to, "", c->tensor.dtype);
}

/* A scalar as shape [1], which the wire wants; a vector as it is. */
static void parameter_to_wire(struct ws_builder *b, const struct coded *c,
                              const char *from, const char *suffix)
{
    if (c->channels > 0) {
        unary(b, c, "Identity", from, suffix);
        return;
    }
    const char *to = ws_builder_text(b, "%s%s", c->name, suffix);
    const char *shape = ws_builder_text(b, "%s.codec_shape", to);
    ws_builder_weight(b, shape, WS_DTYPE_INT64, (const int64_t[]){1}, 1,
                      (const int64_t[]){1});
    ws_builder_node(b, "Reshape", ws_builder_text(b, "%s/Reshape", to),
                    (const char *[]){from, shape, NULL}, (const char *[]){to, NULL});
}

static void encode_int8(struct ws_builder *b, const struct coded *c)
{
    const char *scale = ws_builder_text(b, "%s.codec_scale", c->name);
    const char *zero_point = ws_builder_text(b, "%s.codec_zp", c->name);
    ws_builder_node(
        b, "DynamicQuantizeLinear", ws_builder_text(b, "%s/Quantize", c->name),
        (const char *[]){as_float(b, c), NULL},
        (const char *[]){ws_builder_text(b, "%s.q8", c->name), scale, zero_point, NULL});
    parameter_to_wire(b, c, scale, ".scale");
    parameter_to_wire(b, c, zero_point, ".zp");
}

/* With scale and zero point from the wire: int8, and int8c apart. */
static void decode_with_wire(struct ws_builder *b, const struct coded *c)
{
    if (c->channels > 0) {
        dequantize(b, c, ws_builder_text(b, "%s.scale", c->name),
                   ws_builder_text(b, "%s.zp", c->name));
        return;
    }
    /* Squeeze without axes means the same in every operator set. */
    const char *scale =
        unary(b, c, "Squeeze", ws_builder_text(b, "%s.scale", c->name), ".codec_scale");
    const char *zero_point =
        unary(b, c, "Squeeze", ws_builder_text(b, "%s.zp", c->name), ".codec_zp");
    dequantize(b, c, scale, zero_point);
}

/* The constants both sides hold: vectors of the channels, or scalars. */
static void add_constants(struct ws_builder *b, const struct coded *c, const char **scale,
                          const char **zero_point)
{
    const int64_t dims[] = {(int64_t)c->channels};
    size_t rank = c->channels > 0;
    *scale = ws_builder_text(b, "%s.codec_scale", c->name);
    *zero_point = ws_builder_text(b, "%s.codec_zp", c->name);
    ws_builder_weight(b, *scale, WS_DTYPE_FP32, dims, rank, c->scale);
    ws_builder_weight(b, *zero_point, WS_DTYPE_UINT8, dims, rank, c->zero_point);
}

static void encode_int8c(struct ws_builder *b, const struct coded *c, int is_apart)
{
    const char *scale, *zero_point;
    add_constants(b, c, &scale, &zero_point);
    Onnx__NodeProto *node =
        ws_builder_node(b, "QuantizeLinear", ws_builder_text(b, "%s/Quantize", c->name),
                        (const char *[]){as_float(b, c), scale, zero_point, NULL},
                        (const char *[]){ws_builder_text(b, "%s.q8", c->name), NULL});
    if (c->channels > 0)
        ws_builder_int(b, node, "axis", 1);
    if (is_apart) {
        parameter_to_wire(b, c, scale, ".scale");
        parameter_to_wire(b, c, zero_point, ".zp");
    }
}

static void decode_int8c(struct ws_builder *b, const struct coded *c)
{
    const char *scale, *zero_point;
    add_constants(b, c, &scale, &zero_point);
    dequantize(b, c, scale, zero_point);
}

/* The oldest operator set that has what this tensor's nodes need. */
static int64_t opset_needed(enum ws_codec codec, const struct coded *c)
{
    /* Cast knows BF16 since 13. */
    int64_t cast_needs = c->tensor.dtype == WS_DTYPE_BF16 ? 13 : 6;
    int64_t needs = 6;
    if (codec == WS_CODEC_INT8)
        needs = 11;
    else if (codec == WS_CODEC_INT8C)
        needs = c->channels > 0 ? 13 : 10;
    return needs > cast_needs ? needs : cast_needs;
}

static void add_nodes(struct ws_builder *b, const struct ws_coding *coding,
                      const struct coded *c, enum ws_codec_side side)
{
    enum ws_codec codec = coding->codec;
    int encode = side == WS_CODEC_ENCODE;
    if (codec == WS_CODEC_FP16 && encode)
        cast(b, c, c->name, ".f16", WS_DTYPE_FP16);
    else if (codec == WS_CODEC_FP16)
        cast(b, c, ws_builder_text(b, "%s.f16", c->name), "", c->tensor.dtype);
    else if (encode && codec == WS_CODEC_INT8)
        encode_int8(b, c);
    else if (encode)
        encode_int8c(b, c, coding->is_apart);
    else if (codec == WS_CODEC_INT8 || coding->is_apart)
        decode_with_wire(b, c);
    else
        decode_int8c(b, c);
}

int ws_coding_nodes(struct ws_builder *builder, const struct ws_coding *coding,
                    enum ws_codec_side side, int64_t opset, struct ws_error *err)
{
    for (size_t i = 0; i < coding->tensor_count; i++) {
        const struct coded *c = &coding->tensors[i];
        if (c->passes)
            continue;
        int64_t needed = opset_needed(coding->codec, c);
        if (opset < needed)
            return ws_error_set(err, WS_E_UNSUPPORTED,
                                "codec %s for tensor %s needs operator set %" PRId64
                                ", the model has %" PRId64,
                                ws_codec_name(coding->codec), c->name, needed, opset);
        if (side == WS_CODEC_ENCODE && coding->codec == WS_CODEC_INT8C &&
            c->scale == NULL)
            return not_calibrated(c, err);
        add_nodes(builder, coding, c, side);
    }
    return ws_builder_status(builder, err);
}

static void declare_wires(struct ws_builder *b, const struct ws_coding *coding,
                          enum ws_codec_side side, int passing_too)
{
    for (size_t i = 0; i < coding->wire_count; i++) {
        const struct ws_codec_wire *w = &coding->wires[i];
        if (!w->passes || passing_too)
            (side == WS_CODEC_ENCODE ? ws_builder_output : ws_builder_input)(
                b, w->name, w->dtype, w->has_shape ? w->dims : NULL, w->rank);
    }
}

void ws_coding_declare(struct ws_builder *builder, const struct ws_coding *coding,
                       enum ws_codec_side side)
{
    declare_wires(builder, coding, side, 1);
}

/* The tensors themselves, as the other ends of a stand-alone side. */
static void declare_tensors(struct ws_builder *b, const struct ws_coding *coding,
                            enum ws_codec_side side)
{
    for (size_t i = 0; i < coding->tensor_count; i++) {
        const struct ws_codec_tensor *t = &coding->tensors[i].tensor;
        if (!coding->tensors[i].passes)
            (side == WS_CODEC_ENCODE ? ws_builder_input : ws_builder_output)(
                b, t->name, t->dtype, t->has_shape ? t->dims : NULL, t->rank);
    }
}

int ws_coding_model(struct ws_buf *out, const struct ws_coding *coding,
                    enum ws_codec_side side, struct ws_error *err)
{
    if (ws_coding_is_plain(coding))
        return ws_error_set(err, WS_E_USAGE, "nothing to encode: every tensor passes");
    struct ws_builder *builder = NULL;
    const char *name = side == WS_CODEC_ENCODE ? "encoder" : "decoder";
    int rc = ws_builder_create(&builder, name, WS_CODEC_OPSET, err);
    if (rc != 0)
        return rc;
    declare_tensors(builder, coding, side);
    declare_wires(builder, coding, side, 0);
    rc = ws_coding_nodes(builder, coding, side, WS_CODEC_OPSET, err);
    if (rc == 0)
        rc = ws_builder_pack(out, builder, err);
    ws_builder_destroy(builder);
    return rc;
}
