#include "onnx/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever is read must also be writable and come back with the same type and shape. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ws_npy npy;
    struct ws_tensor tensor, again;
    if (ws_npy_view(&npy, data, size, NULL) != 0)
        return 0;
    if (npy.rank > 0 && ws_npy_slice(&tensor, &npy, 0, npy.dims[0] > 0, NULL) == 0)
        ws_tensor_fini(&tensor);
    if (ws_npy_tensor(&tensor, &npy, NULL) != 0)
        return 0;
    struct ws_buf buf;
    ws_buf_init(&buf, 0);
    if (ws_npy_encode(&buf, &tensor, NULL) == 0) {
        if (ws_npy_view(&npy, buf.data, buf.size, NULL) != 0 ||
            ws_npy_tensor(&again, &npy, NULL) != 0)
            __builtin_trap();
        if (again.dtype != tensor.dtype || again.size_bytes != tensor.size_bytes)
            __builtin_trap();
        ws_tensor_fini(&again);
    }
    ws_buf_fini(&buf);
    ws_tensor_fini(&tensor);
    return 0;
}
