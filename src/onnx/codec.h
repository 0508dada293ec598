/*
 * Codecs: how the tensors of a cut are made smaller for the wire. A codec is ONNX too, so
 * any server can run it: an encoder model from the tensors to wire tensors, and a decoder
 * model back. Wire tensors of a tensor NAME are
 *   none   NAME itself;
 *   fp16   NAME.f16, from a wider float by Cast;
 *   int8   NAME.q8 (UINT8) with NAME.scale (FP32 [1]) and NAME.zp (UINT8 [1]), by
 *          DynamicQuantizeLinear for each request;
 *   int8c  NAME.q8 (UINT8) by QuantizeLinear with one constant scale and zero point per
 *          channel (axis 1; one for the whole tensor below rank 2) from ranges seen in
 *          samples, which both sides hold, so that nothing else travels. Between two
 *          machines only the encoder's holds them: NAME.scale (FP32) and NAME.zp (UINT8),
 *          [channels] or [1], travel too.
 * What is not floating point, or is as small already, passes unchanged under its own name
 * and has no node at all. The same nodes can be merged into a head and a tail. Floats
 * outside a calibrated range saturate. Not thread-safe on one object.
 */
#ifndef WS_ONNX_CODEC_H
#define WS_ONNX_CODEC_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "core/tensor.h"
#include "onnx/build.h"

enum ws_codec { WS_CODEC_NONE, WS_CODEC_FP16, WS_CODEC_INT8, WS_CODEC_INT8C };
enum { WS_CODEC_COUNT = WS_CODEC_INT8C + 1 };

/* The operator set of stand-alone encoders and decoders. */
enum { WS_CODEC_OPSET = 13 };

/* "none", "fp16", "int8", "int8c", and back (WS_E_NOT_FOUND lists them). */
const char *ws_codec_name(enum ws_codec codec);
int ws_codec_find(enum ws_codec *out, const char *name, struct ws_error *err);

/* Smallest and largest value seen of each channel of one tensor. Zero-initialise. */
struct ws_codec_range {
    float *low;
    float *high;
    size_t channels;
};

/* Takes a sample of the tensor in: FP32, FP64, FP16 or BF16. Infinities and NaN are left
 * out. WS_E_MISMATCH when its channels are not those of earlier samples. */
int ws_codec_range_add(struct ws_codec_range *range, const struct ws_tensor *sample,
                       struct ws_error *err);
void ws_codec_range_fini(struct ws_codec_range *range);

/* A tensor to be coded. */
struct ws_codec_tensor {
    const char *name;
    enum ws_dtype dtype;
    int has_shape;
    size_t rank;
    int64_t dims[WS_TENSOR_RANK_MAX];   /* -1: unknown */
    const struct ws_codec_range *range; /* for int8c alone */
};

/* A tensor on the wire. */
struct ws_codec_wire {
    char *name;
    size_t tensor; /* index of the tensor it belongs to */
    enum ws_dtype dtype;
    int has_shape;
    size_t rank;
    int64_t dims[WS_TENSOR_RANK_MAX];
    int passes; /* it is the tensor itself; no node touches it */
};

struct ws_coding;

/* Decides how each tensor travels. The tensors are copied, their ranges included.
 * WS_E_UNSUPPORTED names a tensor whose channels int8c does not know, WS_E_MISMATCH one
 * whose range has other channels, WS_E_USAGE one without a range. */
int ws_coding_create(struct ws_coding **out, enum ws_codec codec,
                     const struct ws_codec_tensor *tensors, size_t count,
                     struct ws_error *err);
/* The same for two machines: what int8c's ranges give travels, and its decoder needs
 * none. Its encoder says WS_E_USAGE without them when its nodes are made. */
int ws_coding_create_apart(struct ws_coding **out, enum ws_codec codec,
                           const struct ws_codec_tensor *tensors, size_t count,
                           struct ws_error *err);
void ws_coding_destroy(struct ws_coding *coding);

/* The wire tensors: those of the first tensor first. */
size_t ws_coding_wire_count(const struct ws_coding *coding);
const struct ws_codec_wire *ws_coding_wire(const struct ws_coding *coding, size_t index);
/* Bytes of all wire tensors. WS_E_UNKNOWN where a shape is not known or strings travel.
 */
int ws_coding_bytes(uint64_t *out, const struct ws_coding *coding, struct ws_error *err);
/* Whether there is nothing to run: every tensor passes. */
int ws_coding_is_plain(const struct ws_coding *coding);

enum ws_codec_side { WS_CODEC_ENCODE, WS_CODEC_DECODE };

/* Appends the nodes and weights of one side to a builder, for a graph of this operator
 * set; internal names begin with the tensor's. WS_E_UNSUPPORTED where the set is too old:
 * int8 needs 11, int8c per channel 13. */
int ws_coding_nodes(struct ws_builder *builder, const struct ws_coding *coding,
                    enum ws_codec_side side, int64_t opset, struct ws_error *err);
/* Declares every wire tensor, passing ones too, as an output (encoder) or input (decoder)
 * of the builder's graph. With ws_coding_nodes this is what a segment needs as epilogue
 * and outputs (a head), or prologue and inputs (a tail): take the lists from
 * ws_builder_graph. */
void ws_coding_declare(struct ws_builder *builder, const struct ws_coding *coding,
                       enum ws_codec_side side);
/* Appends one side as a ModelProto of its own. Inputs of an encoder and outputs of a
 * decoder are the tensors that do not pass, in order; the others' ends the wire tensors
 * that do not pass. WS_E_USAGE for a plain coding. */
int ws_coding_model(struct ws_buf *out, const struct ws_coding *coding,
                    enum ws_codec_side side, struct ws_error *err);

#endif
