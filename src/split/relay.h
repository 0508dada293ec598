/*
 * One model cut in one place with the network between: the head runs here, its wire
 * tensors go to a node that runs the tail, and the model's outputs come together again
 * here. Like a pipe, over a socket: a route with one connection. One thread at a time;
 * the splitter must outlive it.
 */
#ifndef WS_SPLIT_RELAY_H
#define WS_SPLIT_RELAY_H

#include "split/passage.h"

struct ws_relay;

struct ws_relay_options {
    size_t cut;
    enum ws_codec codec;
    const struct ws_codec_range *ranges; /* of each crossing tensor, for int8c alone */
    const char *name; /* the tail's on the server; NULL: MODEL~CUT~CODEC */
    const char *model_name;
    const char *url;
    struct ws_http_identity identity; /* to show there */
    enum ws_encoding encoding;
    int64_t timeout_ms;
};

/* The last cut sends nothing and asks nobody. */
int ws_relay_create(struct ws_relay **out, struct ws_splitter *splitter,
                    const struct ws_relay_options *options, struct ws_error *err);
void ws_relay_destroy(struct ws_relay *relay);
/* See ws_remote_checked; the last cut has nothing to check. */
int ws_relay_checked(const struct ws_relay *relay);

/* `inputs` and `outputs` follow the graph's; the outputs are copies, to be
 * ws_datum_fini'ed. times may be NULL. */
int ws_relay_run(struct ws_relay *relay, const struct ws_datum *inputs,
                 struct ws_datum *outputs, struct ws_passage_times *times,
                 struct ws_error *err);

#endif
