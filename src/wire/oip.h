/*
 * The Open Inference Protocol v2, inference: requests and replies as bytes, JSON with the
 * binary tensor extension. There are no sockets here, and no models: a parsed message is
 * names, types, shapes and data. The bytes are not trusted; every size is checked against
 * what is there before memory is taken. A message to be sent is a head of text and parts
 * that lie where the tensors do; the head is padded with spaces so that the first part
 * starts at WS_TENSOR_ALIGN, and a tensor that was received aligned is used in place. A
 * client and a server both use this, in opposite directions. Pure functions.
 */
#ifndef WS_WIRE_OIP_H
#define WS_WIRE_OIP_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "core/tensor.h"

/* The head's length where no Inference-Header-Content-Length was sent: all is JSON. */
#define WS_OIP_NO_HEADER (-1)

/* One tensor of a message. */
struct ws_oip_tensor {
    char *name;
    struct ws_tensor tensor;
    unsigned is_borrowed : 1; /* the data lies in the message's body */
    unsigned is_binary : 1;   /* it came, or is to be sent, as bytes */
};

/* An output that a request asks for. */
struct ws_oip_want {
    char *name;
    int is_binary;
};

/* A request. `raw` is set where the body is one input's data and nothing else (header
 * length 0): the input's name, type and shape are for the model to say. */
struct ws_oip_request {
    char *id; /* NULL where none was sent */
    struct ws_oip_tensor *inputs;
    size_t input_count;
    struct ws_oip_want *outputs; /* none: all, in the model's order */
    size_t output_count;
    int binary_outputs;  /* for those that `outputs` says nothing about */
    int64_t timeout_us;  /* 0: none */
    int64_t priority;    /* 1 highest, 0 default */
    double min_accuracy; /* 0 to 1; 0: any. For an agent that has a choice, as the next */
    char *policy;        /* to decide by; NULL: the agent's own */
    double images_per_s; /* that a batch needs, of an agent that shares it; 0: any */
    char *minimise;      /* and what it wants least of: "energy"; NULL: accuracy counts */
    char *digest;        /* of the model the client means; NULL: it does not say */
    int wants_times;     /* how long each part took, as parameters of the reply */
    const uint8_t *raw;
    size_t raw_size;
};

/* What a node tells about its own time, in ns. */
struct ws_oip_times {
    int is_known;
    int64_t queue_ns;
    int64_t decode_ns;  /* content decoding and the codec's */
    int64_t compute_ns; /* the model or segment */
    int64_t total_ns;   /* from the whole body received to the reply built */
};

struct ws_oip_reply {
    char *model_name;
    char *model_version; /* NULL where none was sent */
    char *id;
    struct ws_oip_tensor *outputs;
    size_t output_count;
    struct ws_oip_times times;
    /* To be sent: more members of its parameters, `"key":value,...` (borrowed); received:
     * all of them, or NULL. */
    const char *more;
    json_t *parameters;
};

/* Bytes to be sent: head first, then the parts. */
struct ws_oip_part {
    const void *data;
    size_t size;
};

struct ws_oip_message {
    struct ws_buf head;
    int64_t header_size; /* for Inference-Header-Content-Length, or WS_OIP_NO_HEADER */
    struct ws_oip_part *parts; /* [0] is the head */
    size_t part_count;
    struct ws_buf *strings; /* BYTES tensors in their wire form, one for each part */
    uint64_t size_bytes;    /* of everything */
};

/* Parses a body; tensors may borrow from it, so it must outlive *out. header_size is
 * WS_OIP_NO_HEADER, 0 for a raw body, or the JSON's length. WS_E_FORMAT, WS_E_TYPE,
 * WS_E_MISMATCH, WS_E_LIMIT: each the client's fault. */
int ws_oip_request_parse(struct ws_oip_request *out, const void *body, size_t size,
                         int64_t header_size, struct ws_error *err);
/* Makes a raw body the one input of this name, type and shape; one dimension that is -1
 * follows from the size. WS_E_MISMATCH where it does not come out even. */
int ws_oip_request_take_raw(struct ws_oip_request *request, const char *name,
                            enum ws_dtype dtype, const int64_t *dims, size_t rank,
                            struct ws_error *err);
void ws_oip_request_fini(struct ws_oip_request *request);
/* The message of a request; tensors are borrowed and must outlive *out. Inputs are sent
 * as bytes where is_binary says so. */
int ws_oip_request_build(struct ws_oip_message *out, const struct ws_oip_request *request,
                         struct ws_error *err);

/* The same for replies. */
int ws_oip_reply_parse(struct ws_oip_reply *out, const void *body, size_t size,
                       int64_t header_size, struct ws_error *err);
void ws_oip_reply_fini(struct ws_oip_reply *reply);
int ws_oip_reply_build(struct ws_oip_message *out, const struct ws_oip_reply *reply,
                       struct ws_error *err);

void ws_oip_message_fini(struct ws_oip_message *message);

/* The value of an Inference-Header-Content-Length header: WS_OIP_NO_HEADER for NULL. */
int ws_oip_header_size(int64_t *out, const char *value, size_t body_size,
                       struct ws_error *err);

/* A dtype by its protocol name: "FP32", "BYTES"; WS_E_TYPE for any other. And back. */
int ws_oip_dtype_find(enum ws_dtype *out, const char *name, struct ws_error *err);
const char *ws_oip_dtype_name(enum ws_dtype dtype);
/* Whether the protocol has it, and whether it has a form in JSON. */
int ws_oip_dtype_is_known(enum ws_dtype dtype);
int ws_oip_dtype_in_json(enum ws_dtype dtype);

#endif
