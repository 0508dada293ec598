/*
 * Bringing a model to a node that lacks it, over the repository extension: asked for by
 * name and digest first, and sent only where the node has it neither loaded nor stored.
 * What is sent stands alone, its weights inside. The node must allow writes and have a
 * store.
 */
#ifndef WS_SPLIT_UPLOAD_H
#define WS_SPLIT_UPLOAD_H

#include "net/http_client.h"
#include "onnx/model.h"

/* *out_sent: bytes of the model that had to be sent, 0 where it was there. WS_E_REMOTE
 * with the node's own words, WS_E_LIMIT for a model beyond WS_OIP_BODY_MAX. */
int ws_upload_model(size_t *out_sent, const char *url,
                    const struct ws_http_client_options *http, struct ws_model *model,
                    const char *name, struct ws_error *err);

#endif
