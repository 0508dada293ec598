/*
 * The cloud's half of a request, asked for by a thread of its own while the caller goes
 * on: start, compute something, wait. The part runs on a node over the Open Inference
 * Protocol, cut at its input, so that its tensors travel through the codec as plain wire
 * tensors (`NAME~0~int8`); without a node it runs in this process, codec and encoding
 * included. The node is first asked when the first request comes, and again after it was
 * not there. An offload has one request at a time and is used by one thread at a time;
 * the splitter, which is that of the cloud's part, must outlive it.
 */
#ifndef WS_SPLIT_OFFLOAD_H
#define WS_SPLIT_OFFLOAD_H

#include "split/relay.h"

struct ws_offload;

struct ws_offload_options {
    struct ws_splitter *splitter;
    const char *model_name;
    const char *url;                  /* NULL: in this process */
    struct ws_http_identity identity; /* to show there; its strings must outlive */
    enum ws_codec codec;
    enum ws_encoding encoding;
    int64_t timeout_ms; /* of an exchange with the node, whoever waits for it */
};

int ws_offload_create(struct ws_offload **out, const struct ws_offload_options *options,
                      struct ws_error *err);
/* Ends an exchange that is still going on by its own timeout at the latest. */
void ws_offload_destroy(struct ws_offload *offload);

/* Begins; `inputs`, one for each input of the part, are moved away on success. WS_E_BUSY
 * while an earlier request, that nobody waits for any more, is still on its way. */
int ws_offload_start(struct ws_offload *offload, struct ws_datum *inputs,
                     struct ws_error *err);
/* Waits until the monotonic time `until_ns`. The first output of the part, a copy; times
 * may be NULL. WS_E_TIMEOUT: too late, and what comes later is dropped; else the failure
 * of the exchange. */
int ws_offload_wait(struct ws_datum *out, struct ws_passage_times *times,
                    struct ws_offload *offload, int64_t until_ns, struct ws_error *err);

#endif
