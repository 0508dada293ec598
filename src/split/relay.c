#include "split/relay.h"

#include <stdlib.h>
#include <string.h>

struct ws_relay {
    struct ws_route *route;
    struct ws_remote *remote; /* NULL for the last cut */
};

int ws_relay_create(struct ws_relay **out, struct ws_splitter *splitter,
                    const struct ws_relay_options *options, struct ws_error *err)
{
    const struct ws_route_options there = {.head = splitter,
                                           .cut = options->cut,
                                           .codec = options->codec,
                                           .ranges = options->ranges,
                                           .encoding = options->encoding,
                                           .model_name = options->model_name,
                                           .name = options->name};
    struct ws_remote_options at = {.url = options->url,
                                   .identity = options->identity,
                                   .timeout_ms = options->timeout_ms};
    struct ws_relay *relay = calloc(1, sizeof(*relay));
    if (relay == NULL)
        return ws_error_nomem(err);
    int rc = ws_route_create(&relay->route, &there, err);
    if (rc == 0 && ws_route_has_tail(relay->route)) {
        ws_route_describe(&at, relay->route);
        rc = ws_remote_open(&relay->remote, &at, err);
    }
    if (rc != 0)
        ws_relay_destroy(relay);
    else
        *out = relay;
    return rc;
}

void ws_relay_destroy(struct ws_relay *relay)
{
    if (relay == NULL)
        return;
    ws_remote_close(relay->remote);
    ws_route_destroy(relay->route);
    free(relay);
}

int ws_relay_checked(const struct ws_relay *relay)
{
    return relay->remote == NULL || ws_remote_checked(relay->remote);
}

int ws_relay_run(struct ws_relay *relay, const struct ws_datum *inputs,
                 struct ws_datum *outputs, struct ws_passage_times *times,
                 struct ws_error *err)
{
    struct ws_passage *passage = NULL;
    int rc = ws_passage_start(&passage, relay->route, inputs, err);
    if (rc == 0)
        rc = relay->remote != NULL ? ws_passage_send(passage, relay->remote, err)
                                   : ws_passage_finish(passage, err);
    if (rc == 0) {
        size_t count = 0;
        struct ws_datum *made = ws_passage_outputs(passage, &count);
        memcpy(outputs, made, count * sizeof(*outputs)); /* moved */
        memset(made, 0, count * sizeof(*made));
        if (times != NULL)
            *times = *ws_passage_times(passage);
    }
    ws_passage_destroy(passage);
    return rc;
}
