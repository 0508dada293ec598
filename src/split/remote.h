/*
 * A model on somebody else's machine, over the Open Inference Protocol: what the server
 * can do, whether it holds the model we mean, and requests to it over one connection,
 * which may turn to another model of that server. Where a server does not tell the binary
 * extension, tensors go as JSON; where it tells no digest, whether the models are the
 * same could not be checked, and ws_remote_checked says so. One thread at a time.
 */
#ifndef WS_SPLIT_REMOTE_H
#define WS_SPLIT_REMOTE_H

#include <stdatomic.h>

#include "core/outcome.h"
#include "net/http_client.h"
#include "wire/encoding.h"
#include "wire/oip.h"
#include "wire/oip_meta.h"

struct ws_remote;

struct ws_remote_options {
    const char *url;
    struct ws_http_identity identity; /* to show there */
    const char *name; /* of the model on the server: NAME, or NAME~CUT~CODEC */
    const char *base; /* (optional) the NAME a segment is of: a wrong model is told by its
                         digest even where it lacks the segment */
    const char *digest;        /* of the model here; NULL: there is none to compare */
    enum ws_encoding encoding; /* of bodies, both ways */
    int64_t timeout_ms;        /* of one request, and of all that is asked before it;
                                * 0: the client's default for each */
    const atomic_int *stop;    /* (optional) as for a ws_http_call, until it turns to
                                * another model */
};

/* What a node tells of its own energy for a request. */
struct ws_remote_energy {
    int is_known;
    double energy_j;
    enum ws_truth truth;
    char boundary[16];
};

/* How long an exchange took, as seen from here, in ns. */
struct ws_remote_times {
    int64_t encode_ns;        /* building and packing the request */
    int64_t exchange_ns;      /* from its first byte sent to the reply's last received */
    int64_t decode_ns;        /* unpacking and reading the reply */
    struct ws_oip_times node; /* what the node says of itself, if it does */
    struct ws_remote_energy energy;    /* likewise */
    size_t sent_bytes, received_bytes; /* bodies */
};

/* Asks the server what it is and what the model takes. WS_E_MISMATCH where its digest is
 * another one, WS_E_REMOTE with the server's own words for its errors. */
int ws_remote_open(struct ws_remote **out, const struct ws_remote_options *options,
                   struct ws_error *err);
void ws_remote_close(struct ws_remote *remote);
/* Turns to another model, or another encoding or timeout, over the same connection: `url`
 * is passed over. The server is asked about a model the first time only. A failure leaves
 * the remote at the model it had. */
int ws_remote_select(struct ws_remote *remote, const struct ws_remote_options *options,
                     struct ws_error *err);

/* Another timeout for the requests to come. */
void ws_remote_limit(struct ws_remote *remote, int64_t timeout_ms);

const struct ws_oip_model *ws_remote_model(const struct ws_remote *remote);
/* Whether the digests were compared, and agree. */
int ws_remote_checked(const struct ws_remote *remote);

/* One inference. The reply may borrow from what the remote received: it lives until the
 * next call at most, and is to be ws_oip_reply_fini'ed. Sets is_binary of the inputs. */
int ws_remote_infer(struct ws_oip_reply *out, struct ws_remote *remote,
                    struct ws_oip_tensor *inputs, size_t count,
                    struct ws_remote_times *times, struct ws_error *err);

#endif
