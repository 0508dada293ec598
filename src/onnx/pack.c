#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "onnx/model.h"
#include "onnx/model_impl.h"

/* Payloads start on these borders in a file of weights, so that a runtime can map them
 * (what the ONNX documents recommend). */
enum { WEIGHTS_ALIGN = 4096 };

/* Bytes that are handed on at a time. */
enum { PIECE_MAX = 8 << 20 };

/* Where packed bytes go; protobuf-c cannot fail in between, so the first error waits in
 * rc until it is done. */
struct sink {
    ProtobufCBuffer base;
    struct ws_digest *digest; /* one of these three */
    struct ws_buf *buf;
    struct ws_writer *writer;
    const struct ws_model *model;
    int rc;
    struct ws_error *err;
};

static void sink_piece(struct sink *sink, const uint8_t *bytes, size_t size)
{
    if (sink->rc != 0)
        return;
    if (sink->digest != NULL)
        ws_digest_add(sink->digest, bytes, size);
    else if (sink->buf != NULL)
        sink->rc = ws_buf_add(sink->buf, bytes, size, sink->err);
    else
        sink->rc = ws_writer_add(sink->writer, bytes, size, sink->err);
}

/* In pieces, each given back to the page cache once it is through, so that a large weight
 * is never all in this process's memory. */
static void sink_append(ProtobufCBuffer *base, size_t size, const uint8_t *bytes)
{
    struct sink *sink = (struct sink *)base;
    while (size > PIECE_MAX) {
        sink_piece(sink, bytes, PIECE_MAX);
        ws_payload_release(sink->model, bytes, PIECE_MAX);
        bytes += PIECE_MAX;
        size -= PIECE_MAX;
    }
    sink_piece(sink, bytes, size);
}

static void sink_payload(struct sink *sink, const struct ws_payload *payload)
{
    sink_append(&sink->base, payload->size_bytes, payload->data);
}

static int pack(struct sink *sink, struct ws_model *model,
                const ProtobufCMessage *message, enum ws_weights_mode mode,
                const struct ws_weights_file *file, struct ws_error *err)
{
    sink->base.append = sink_append;
    sink->model = model;
    sink->err = err;
    ws_payloads_place(model, mode, file);
    size_t size = protobuf_c_message_get_packed_size(message);
    if (size >= WS_MODEL_PROTO_MAX)
        sink->rc = ws_error_set(err, WS_E_LIMIT,
                                "a model of %zu bytes does not fit one file: keep its "
                                "weights external",
                                size);
    else
        (void)protobuf_c_message_pack_to_buffer(message, &sink->base);
    ws_payloads_place(model, WS_WEIGHTS_REFERENCE, NULL);
    return sink->rc;
}

int ws_model_pack(struct ws_buf *buf, struct ws_model *model,
                  const ProtobufCMessage *message, enum ws_weights_mode mode,
                  const struct ws_weights_file *file, struct ws_error *err)
{
    struct sink sink = {.buf = buf};
    return pack(&sink, model, message, mode, file, err);
}

int ws_model_pack_file(const char *path, struct ws_model *model,
                       const ProtobufCMessage *message, enum ws_weights_mode mode,
                       const struct ws_weights_file *file, struct ws_error *err)
{
    struct sink sink = {0};
    int rc = ws_writer_open(&sink.writer, path, err);
    if (rc != 0)
        return rc;
    rc = pack(&sink, model, message, mode, file, err);
    if (rc == 0)
        return ws_writer_commit(sink.writer, err);
    ws_writer_abort(sink.writer);
    return rc;
}

/* With its size before it, so that two payloads cannot pass for one. */
static void digest_payload(struct sink *sink, const struct ws_payload *payload)
{
    uint64_t size = payload->size_bytes;
    ws_digest_add_sized(sink->digest, &size, sizeof(size));
    sink_payload(sink, payload);
}

int ws_model_digest(char out[static WS_DIGEST_TEXT], struct ws_model *model,
                    struct ws_error *err)
{
    if (model->digest[0] == '\0') {
        struct sink sink = {0};
        int rc = ws_digest_create(&sink.digest, err);
        if (rc == 0)
            rc = pack(&sink, model, &model->proto->base, WS_WEIGHTS_OMIT, NULL, err);
        if (rc == 0) {
            for (size_t i = 0; i < model->payload_count; i++)
                digest_payload(&sink, &model->payloads[i]);
            ws_digest_finish(model->digest, sink.digest);
        }
        ws_digest_destroy(sink.digest);
        if (rc != 0)
            return rc;
    }
    memcpy(out, model->digest, WS_DIGEST_TEXT);
    return 0;
}

/* ---- one file for all weights ---- */

static int export_payload(struct sink *sink, uint64_t *out_offset,
                          const struct ws_payload *payload)
{
    static const uint8_t zeroes[WEIGHTS_ALIGN] = {0};
    size_t padding = (size_t)(-ws_writer_size(sink->writer) & (WEIGHTS_ALIGN - 1));
    sink_piece(sink, zeroes, padding);
    *out_offset = ws_writer_size(sink->writer);
    sink_payload(sink, payload);
    return sink->rc;
}

int ws_weights_export(struct ws_weights_file *out, const struct ws_model *model,
                      const char *dir, const char *name, struct ws_error *err)
{
    struct ws_weights_file file = {.count = model->payload_count};
    struct sink sink = {.model = model, .err = err};
    struct ws_buf path;
    ws_buf_init(&path, 0);
    int rc = ws_buf_printf(&path, err, "%s/%s", dir, name);
    if (rc != 0)
        goto out;
    file.name = strdup(name);
    file.offsets = calloc(file.count + 1, sizeof(*file.offsets));
    if (file.name == NULL || file.offsets == NULL) {
        rc = ws_error_nomem(err);
        goto out;
    }
    rc = ws_writer_open(&sink.writer, path.data, err);
    for (size_t i = 0; rc == 0 && i < file.count; i++)
        rc = export_payload(&sink, &file.offsets[i], &model->payloads[i]);
    if (rc != 0)
        goto out;
    rc = ws_writer_commit(sink.writer, err);
    sink.writer = NULL;
    if (rc == 0) {
        *out = file;
        file = (struct ws_weights_file){0};
    }
out:
    ws_writer_abort(sink.writer);
    ws_weights_file_fini(&file);
    ws_buf_fini(&path);
    return rc;
}

void ws_weights_file_fini(struct ws_weights_file *file)
{
    free(file->name);
    free(file->offsets);
    *file = (struct ws_weights_file){0};
}
