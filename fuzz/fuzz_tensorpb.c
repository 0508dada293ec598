#include "onnx/tensorpb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The same bytes as a tensor and as a sequence; what reads must write and read again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Onnx__TypeProto sequence = ONNX__TYPE_PROTO__INIT;
    Onnx__TypeProto__Sequence of_anything = ONNX__TYPE_PROTO__SEQUENCE__INIT;
    struct ws_datum datum;
    sequence.value_case = ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE;
    sequence.sequence_type = &of_anything;
    if (ws_datumpb_decode(&datum, data, size, &sequence, NULL) == 0)
        ws_datum_fini(&datum);
    if (ws_datumpb_decode(&datum, data, size, NULL, NULL) != 0)
        return 0;
    struct ws_buf buf;
    struct ws_tensor again;
    ws_buf_init(&buf, 0);
    if (ws_tensorpb_encode(&buf, &datum.tensor, "x", NULL) != 0 ||
        ws_tensorpb_decode(&again, buf.data, buf.size, NULL) != 0)
        __builtin_trap();
    ws_tensor_fini(&again);
    ws_buf_fini(&buf);
    ws_datum_fini(&datum);
    return 0;
}
