#include <stdlib.h>
#include <string.h>

#include "wire/oip.h"
#include "wire/oip_load.h"
#include "wire/oip_meta.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte says which message, 'B' and 'b' with a head of the length that the next
 * two bytes say. What was parsed must be possible to build and parse again. */
static void check_request(const uint8_t *body, size_t size, int64_t header_size)
{
    struct ws_oip_request request, again;
    struct ws_oip_message message;
    const int64_t dims[] = {-1, 4};
    if (ws_oip_request_parse(&request, body, size, header_size, NULL) != 0)
        return;
    if (header_size == 0 &&
        ws_oip_request_take_raw(&request, "x", WS_DTYPE_INT16, dims, 2, NULL) != 0) {
        ws_oip_request_fini(&request);
        return;
    }
    for (size_t i = 0; i < request.input_count; i++)
        request.inputs[i].is_binary = 0;
    int rc = ws_oip_request_build(&message, &request, NULL);
    if (rc == 0) {
        if (ws_oip_request_parse(&again, message.head.data, message.head.size,
                                 WS_OIP_NO_HEADER, NULL) != 0 ||
            again.input_count != request.input_count)
            __builtin_trap();
        ws_oip_request_fini(&again);
        ws_oip_message_fini(&message);
    }
    ws_oip_request_fini(&request);
}

static void check_reply(const uint8_t *body, size_t size, int64_t header_size)
{
    struct ws_oip_reply reply;
    if (ws_oip_reply_parse(&reply, body, size, header_size, NULL) == 0)
        ws_oip_reply_fini(&reply);
}

static void check_load(const uint8_t *body, size_t size, int64_t header_size)
{
    struct ws_oip_load load;
    if (ws_oip_load_parse(&load, body, size, header_size, NULL) == 0 &&
        load.model != NULL && (load.model < body || load.model_size > size))
        __builtin_trap();
}

static void check_rest(const uint8_t *body, size_t size)
{
    struct ws_oip_model model;
    char text[64];
    int flag = 0;
    ws_oip_error_parse(text, sizeof(text), body, size);
    (void)ws_oip_index_parse(&flag, body, size, NULL);
    (void)ws_oip_server_has(&flag, body, size, "binary_tensor_data", NULL);
    if (ws_oip_model_parse(&model, body, size, NULL) == 0)
        ws_oip_model_fini(&model);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    int64_t header_size = data[1] + 256 * data[2];
    switch (data[0]) {
    case 'B':
        check_request(data + 3, size - 3, header_size);
        break;
    case 'b':
        check_reply(data + 3, size - 3, header_size);
        break;
    case 'L':
        check_load(data + 3, size - 3, header_size);
        break;
    case 'J':
        check_request(data + 1, size - 1, WS_OIP_NO_HEADER);
        break;
    case 'j':
        check_reply(data + 1, size - 1, WS_OIP_NO_HEADER);
        break;
    default:
        check_rest(data + 1, size - 1);
        break;
    }
    return 0;
}
