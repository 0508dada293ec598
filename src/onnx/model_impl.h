/*
 * The insides of a model, shared by model.c (reading), payload.c (where payloads are) and
 * pack.c (writing). A payload above WS_PAYLOAD_INLINE_MAX bytes never belongs to the
 * protobuf-c tree: its tensor is pointed at it, as external data or as raw bytes, for as
 * long as that is wanted.
 */
#ifndef WS_ONNX_MODEL_IMPL_H
#define WS_ONNX_MODEL_IMPL_H

#include "onnx/external.h"
#include "onnx/model.h"

/* external_data of one tensor: location, offset, length. */
struct ws_reference {
    Onnx__StringStringEntryProto entries[3];
    Onnx__StringStringEntryProto *list[3];
    char offset_text[24];
    char length_text[24];
};

struct ws_payload {
    Onnx__TensorProto *tensor;
    const uint8_t *data;
    size_t size_bytes;
    uint8_t *owned; /* behind data, where it is in no file */
    size_t file;    /* in model->externals, or WS_PAYLOAD_OWNED */
    uint64_t offset;
    struct ws_reference reference;
};

#define WS_PAYLOAD_OWNED SIZE_MAX

struct ws_model {
    char *path;
    char *dir;
    Onnx__ModelProto *proto;
    struct ws_externals externals; /* the first file is the model itself */
    int is_mapped;                 /* else the caller's memory */
    struct ws_payload *payloads;   /* in the order of the tree */
    size_t payload_count, payload_capacity;
    size_t *by_tensor; /* payload indices ordered by tensor's address */
    struct ws_weight *weights;
    size_t weight_count;
    char digest[WS_DIGEST_TEXT]; /* "" until asked for */
};

/* payload.c: takes every tensor of the tree through normalisation, and large payloads out
 * of it. On failure what was taken stays recorded, for ws_payloads_fini. */
int ws_payloads_collect(struct ws_model *model, struct ws_error *err);
/* Detaches the payloads from the tree, so that protobuf-c does not free them. */
void ws_payloads_fini(struct ws_model *model);
/* The payload of a tensor, or NULL. */
const struct ws_payload *ws_payload_find(const struct ws_model *model,
                                         const Onnx__TensorProto *tensor);
/* Points every tensor at its payload as mode says. */
void ws_payloads_place(struct ws_model *model, enum ws_weights_mode mode,
                       const struct ws_weights_file *file);
/* Tells the kernel that these bytes, if they are mapped from a file of the model, need
 * not stay in this process's memory. */
void ws_payload_release(const struct ws_model *model, const uint8_t *data, size_t size);

#endif
