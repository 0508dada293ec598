#include "split/upload.h"

#include <inttypes.h>
#include <stdio.h>

#include "wire/oip_load.h"
#include "wire/oip_meta.h"

static int load(int *status, struct ws_http_client *client, const char *path,
                const struct ws_oip_load *what, struct ws_error *err)
{
    char header[80], text[WS_ERROR_TEXT_MAX];
    struct ws_oip_message message;
    struct ws_http_answer answer;
    int rc = ws_oip_load_build(&message, what, err);
    if (rc != 0)
        return rc;
    struct ws_http_call call = {.method = "POST",
                                .path = path,
                                .parts = message.parts,
                                .part_count = message.part_count};
    if (message.header_size != WS_OIP_NO_HEADER) {
        (void)snprintf(header, sizeof(header),
                       "Inference-Header-Content-Length: %" PRId64, message.header_size);
        call.headers[0] = header;
    }
    rc = ws_http_client_call(&answer, client, &call, err);
    ws_oip_message_fini(&message);
    if (rc != 0)
        return rc;
    *status = answer.status;
    if (answer.status == 200)
        return 0;
    ws_oip_error_parse(text, sizeof(text), answer.body, answer.body_size);
    return ws_error_set(err, WS_E_REMOTE, "%s: the server answered %d: %s", path,
                        answer.status, text);
}

static int send_model(size_t *out_sent, struct ws_http_client *client, const char *path,
                      struct ws_model *model, struct ws_oip_load *what,
                      struct ws_error *err)
{
    struct ws_buf packed;
    int status = 0;
    ws_buf_init(&packed, WS_OIP_BODY_MAX);
    int rc = ws_model_pack(&packed, model, &ws_model_proto(model)->base,
                           WS_WEIGHTS_INLINE, NULL, err);
    what->model = (const uint8_t *)packed.data;
    what->model_size = packed.size;
    if (rc == 0)
        rc = load(&status, client, path, what, err);
    if (rc == 0)
        *out_sent = packed.size;
    ws_buf_fini(&packed);
    return rc;
}

int ws_upload_model(size_t *out_sent, const char *url,
                    const struct ws_http_client_options *http, struct ws_model *model,
                    const char *name, struct ws_error *err)
{
    struct ws_http_client *client = NULL;
    struct ws_oip_load what = {0};
    struct ws_buf path;
    int status = 0;
    ws_buf_init(&path, 0);
    int rc = ws_http_client_create(&client, url, http, err);
    if (rc == 0)
        rc = ws_model_digest(what.digest, model, err);
    if (rc == 0)
        rc = ws_buf_add_text(&path, "/v2/repository/models/", err);
    if (rc == 0)
        rc = ws_http_add_segment(&path, name, err);
    if (rc == 0)
        rc = ws_buf_add_text(&path, "/load", err);
    if (rc == 0) {
        rc = load(&status, client, path.data, &what, err);
        if (rc == 0)
            *out_sent = 0;
        else if (status == 404)
            rc = send_model(out_sent, client, path.data, model, &what, err);
    }
    ws_buf_fini(&path);
    ws_http_client_destroy(client);
    return rc;
}
