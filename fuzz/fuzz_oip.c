#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/oip.h"
#include "wire/oip_load.h"
#include "wire/oip_meta.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FRAME = 3, JSON_BYTES_MAX = 65535 };

#ifdef WS_FUZZER
#include "structure.h"

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
                               unsigned seed);

/* Writes the number behind "binary_data_size" anew where it stands alone and the blob is
 * all that follows the JSON; the JSON's new size. */
static size_t fix_blob_size(uint8_t *json, size_t json_size, size_t blob_size)
{
    static const char key[] = "\"binary_data_size\":";
    char text[24];
    uint8_t *at = memmem(json, json_size, key, sizeof(key) - 1);
    if (at == NULL)
        return json_size;
    at += sizeof(key) - 1;
    size_t before = (size_t)(at - json), old = 0;
    while (before + old < json_size && at[old] >= '0' && at[old] <= '9')
        old++;
    size_t put = (size_t)snprintf(text, sizeof(text), "%zu", blob_size);
    memmove(at + put, at + old, json_size - before - old);
    memcpy(at, text, put);
    return json_size - old + put;
}

/* Mutates JSON or blob of a message with a binary head, and puts the head's length and
 * (three times of four) the blob's size right. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    static uint8_t whole[1 << 20];
    size_t json_size = size > FRAME ? data[1] + 256u * data[2] : 0;
    if (size <= FRAME || strchr("BbL", data[0]) == NULL || json_size > size - FRAME ||
        json_size == 0 || seed % 8 == 0 || max_size > sizeof(whole) / 2)
        return LLVMFuzzerMutate(data, size, max_size);
    size_t blob_size = size - FRAME - json_size;
    uint8_t *json = whole, *blob = whole + sizeof(whole) / 2;
    memcpy(json, data + FRAME, json_size);
    memcpy(blob, data + FRAME + json_size, blob_size);
    if (seed % 3 != 0)
        json_size = LLVMFuzzerMutate(json, json_size, JSON_BYTES_MAX);
    else
        blob_size = LLVMFuzzerMutate(blob, blob_size, max_size);
    if (seed % 4 != 0)
        json_size = fix_blob_size(json, json_size, blob_size);
    if (json_size > JSON_BYTES_MAX || FRAME + json_size + blob_size > max_size)
        return size;
    data[1] = (uint8_t)(json_size % 256);
    data[2] = (uint8_t)(json_size / 256);
    memcpy(data + FRAME, json, json_size);
    memcpy(data + FRAME + json_size, blob, blob_size);
    return FRAME + json_size + blob_size;
}
#endif

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
