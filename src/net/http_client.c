#include "net/http_client.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "net/body.h"

enum {
    CONNECT_TIMEOUT_MS = 10000,
    TIMEOUT_MS = 300000,
    UPLOAD_BUFFER_BYTES = 2048 << 10, /* the library's largest: fewer, larger writes */
    DOWNLOAD_BUFFER_BYTES = 128 << 10,
    SMALL_BYTES = 64 << 10, /* up to here headers and body go out in one write */
};

struct ws_http_client {
    CURL *curl;
    char *url;
    size_t body_max;
    int64_t timeout_ms;
    struct ws_body body;
    struct ws_buf small; /* a small request's body in one piece */
    const struct ws_http_call *call;
    size_t part, offset; /* where sending is */
    struct ws_http_answer answer;
    char *authorization; /* a header; NULL: none */
    int rc;              /* of what the callbacks did */
    struct ws_error err;
    char text[CURL_ERROR_SIZE];
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void init_library(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

static size_t on_read(char *to, size_t item, size_t count, void *user)
{
    struct ws_http_client *client = user;
    const struct ws_http_call *call = client->call;
    size_t room = item * count, put = 0;
    while (put < room && client->part < call->part_count) {
        const struct ws_oip_part *part = &call->parts[client->part];
        size_t left = part->size - client->offset;
        size_t now = left < room - put ? left : room - put;
        if (now > 0)
            memcpy(to + put, (const char *)part->data + client->offset, now);
        put += now;
        client->offset += now;
        if (client->offset == part->size) {
            client->part++;
            client->offset = 0;
        }
    }
    return put;
}

/* The library sends again from the start where a kept connection had been closed. */
static int on_seek(void *user, curl_off_t offset, int origin)
{
    struct ws_http_client *client = user;
    if (offset != 0 || origin != SEEK_SET)
        return CURL_SEEKFUNC_CANTSEEK;
    client->part = client->offset = 0;
    return CURL_SEEKFUNC_OK;
}

static size_t on_write(char *bytes, size_t item, size_t count, void *user)
{
    struct ws_http_client *client = user;
    size_t size = item * count;
    client->rc = ws_body_add(&client->body, bytes, size, client->body_max, &client->err);
    return client->rc == 0 ? size : CURL_WRITEFUNC_ERROR;
}

/* "Name: value\r\n" into `out` where it is that header and fits. */
static void take_header(char *out, size_t out_size, const char *name, const char *line,
                        size_t size)
{
    size_t length = strlen(name);
    if (size <= length || strncasecmp(line, name, length) != 0 || line[length] != ':')
        return;
    size_t start = length + 1, end = size;
    while (start < end && (line[start] == ' ' || line[start] == '\t'))
        start++;
    while (end > start && strchr(" \t\r\n", line[end - 1]) != NULL)
        end--;
    if (end - start >= out_size)
        return;
    memcpy(out, line + start, end - start);
    out[end - start] = '\0';
}

static size_t on_header(char *line, size_t item, size_t count, void *user)
{
    struct ws_http_client *client = user;
    struct ws_http_answer *answer = &client->answer;
    size_t size = item * count;
    if (size >= 5 && memcmp(line, "HTTP/", 5) == 0)
        *answer = (struct ws_http_answer){0}; /* a new one, after 100 Continue */
    take_header(answer->header_size, sizeof(answer->header_size),
                "Inference-Header-Content-Length", line, size);
    take_header(answer->encoding, sizeof(answer->encoding), "Content-Encoding", line,
                size);
    if (size == 2) { /* the empty line: the length is known, if ever */
        curl_off_t length = -1;
        if (curl_easy_getinfo(client->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T,
                              &length) == CURLE_OK &&
            length > 0)
            client->rc = ws_body_expect(&client->body, (uint64_t)length, client->body_max,
                                        &client->err);
    }
    return client->rc == 0 ? size : 0;
}

/* The library calls this now and then, at least once a second. */
static int on_progress(void *user, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct ws_http_client *client = user;
    (void)a, (void)b, (void)c, (void)d;
    return atomic_load(client->call->stop) != 0;
}

static void set_options(struct ws_http_client *client,
                        const struct ws_http_client_options *options)
{
    CURL *curl = client->curl;
    int64_t connect_ms = options->connect_timeout_ms;
    (void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, client->text);
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_TCP_NODELAY, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BUFFER_BYTES);
    (void)curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, (long)DOWNLOAD_BUFFER_BYTES);
    (void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
                           (long)(connect_ms > 0 ? connect_ms : CONNECT_TIMEOUT_MS));
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_write);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, client);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERDATA, client);
    (void)curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
    (void)curl_easy_setopt(curl, CURLOPT_READDATA, client);
    (void)curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, on_seek);
    (void)curl_easy_setopt(curl, CURLOPT_SEEKDATA, client);
    (void)curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    (void)curl_easy_setopt(curl, CURLOPT_XFERINFODATA, client);
}

/* The library copies what it is told here, the header excepted. */
static int set_identity(struct ws_http_client *client,
                        const struct ws_http_identity *identity, struct ws_error *err)
{
    CURL *curl = client->curl;
    if ((identity->cert == NULL) != (identity->key == NULL))
        return ws_error_set(err, WS_E_USAGE, "a certificate and its key go together");
    if (identity->cacert != NULL) {
        (void)curl_easy_setopt(curl, CURLOPT_CAINFO, identity->cacert);
        (void)curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
    }
    if (identity->cert != NULL) {
        (void)curl_easy_setopt(curl, CURLOPT_SSLCERT, identity->cert);
        (void)curl_easy_setopt(curl, CURLOPT_SSLKEY, identity->key);
    }
    (void)curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (identity->token == NULL)
        return 0;
    for (const char *c = identity->token; *c != '\0'; c++) {
        if (*c <= ' ' || *c > '~')
            return ws_error_set(err, WS_E_FORMAT, "the token holds what no token may");
    }
    return asprintf(&client->authorization, "Authorization: Bearer %s", identity->token) <
                   0
               ? ws_error_nomem(err)
               : 0;
}

int ws_http_client_create(struct ws_http_client **out, const char *url,
                          const struct ws_http_client_options *options,
                          struct ws_error *err)
{
    if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
        return ws_error_set(err, WS_E_USAGE,
                            "\"%.200s\" is no http:// or https:// address", url);
    (void)pthread_once(&once, init_library);
    struct ws_http_client *client = calloc(1, sizeof(*client));
    if (client == NULL)
        return ws_error_nomem(err);
    ws_buf_init(&client->small, SMALL_BYTES);
    client->url = strdup(url);
    client->curl = curl_easy_init();
    client->timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : TIMEOUT_MS;
    client->body_max = options->body_max > 0 ? options->body_max : WS_OIP_BODY_MAX;
    if (client->url == NULL || client->curl == NULL) {
        ws_http_client_destroy(client);
        return ws_error_nomem(err);
    }
    size_t length = strlen(client->url);
    while (length > 0 && client->url[length - 1] == '/')
        client->url[--length] = '\0';
    set_options(client, options);
    int rc = set_identity(client, &options->identity, err);
    if (rc != 0)
        ws_http_client_destroy(client);
    else
        *out = client;
    return rc;
}

void ws_http_client_destroy(struct ws_http_client *client)
{
    if (client == NULL)
        return;
    curl_easy_cleanup(client->curl);
    ws_body_fini(&client->body);
    ws_buf_fini(&client->small);
    free(client->url);
    free(client->authorization);
    free(client);
}

int ws_http_add_segment(struct ws_buf *path, const char *segment, struct ws_error *err)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                "0123456789-._~";
    int rc = 0;
    for (const char *c = segment; rc == 0 && *c != '\0'; c++)
        rc = strchr(plain, *c) != NULL
                 ? ws_buf_add(path, c, 1, err)
                 : ws_buf_printf(path, err, "%%%02X", (unsigned char)*c);
    return rc;
}

/* A small body is handed over whole and goes out with the headers; a large one is asked
 * for piece by piece. */
static int set_body(struct ws_http_client *client, const struct ws_http_call *call,
                    size_t *out_size, struct ws_error *err)
{
    size_t size = 0;
    int rc = 0;
    for (size_t i = 0; i < call->part_count; i++)
        size += call->parts[i].size;
    *out_size = size;
    (void)curl_easy_setopt(client->curl, CURLOPT_POST, 1L);
    (void)curl_easy_setopt(client->curl, CURLOPT_POSTFIELDS, NULL);
    (void)curl_easy_setopt(client->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
    if (size > SMALL_BYTES)
        return 0;
    ws_buf_clear(&client->small);
    for (size_t i = 0; rc == 0 && i < call->part_count; i++)
        rc = ws_buf_add(&client->small, call->parts[i].data, call->parts[i].size, err);
    if (rc == 0)
        (void)curl_easy_setopt(client->curl, CURLOPT_POSTFIELDS,
                               size > 0 ? client->small.data : "");
    return rc;
}

static int perform(struct ws_http_client *client, const struct ws_http_call *call,
                   struct ws_error *err)
{
    client->rc = 0;
    client->part = client->offset = 0;
    client->body.size = 0;
    client->text[0] = '\0';
    client->call = call;
    (void)curl_easy_setopt(client->curl, CURLOPT_NOPROGRESS,
                           call->stop == NULL ? 1L : 0L);
    CURLcode code = curl_easy_perform(client->curl);
    client->call = NULL;
    if (client->rc != 0)
        return ws_error_set(err, client->rc, "%s %s%s: %s", call->method, client->url,
                            call->path, client->err.text);
    if (code == CURLE_OK)
        return 0;
    int is_time = code == CURLE_OPERATION_TIMEDOUT || code == CURLE_ABORTED_BY_CALLBACK;
    return ws_error_set(
        err, is_time ? WS_E_TIMEOUT : WS_E_IO, "%s %s%s: %s", call->method, client->url,
        call->path, client->text[0] != '\0' ? client->text : curl_easy_strerror(code));
}

int ws_http_client_call(struct ws_http_answer *out, struct ws_http_client *client,
                        const struct ws_http_call *call, struct ws_error *err)
{
    struct ws_buf url;
    /* Without this the library would wait for a word of the server before a body. */
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
    size_t sent = 0;
    long status = 0;
    ws_buf_init(&url, 0);
    int rc = ws_buf_printf(&url, err, "%s%s", client->url, call->path);
    for (size_t i = 0; i < WS_HTTP_CALL_HEADERS_MAX && call->headers[i] != NULL; i++)
        headers = curl_slist_append(headers, call->headers[i]);
    if (client->authorization != NULL)
        headers = curl_slist_append(headers, client->authorization);
    if (rc == 0 && strcmp(call->method, "POST") == 0)
        rc = set_body(client, call, &sent, err);
    else if (rc == 0)
        (void)curl_easy_setopt(client->curl, CURLOPT_HTTPGET, 1L);
    if (rc == 0) {
        (void)curl_easy_setopt(
            client->curl, CURLOPT_TIMEOUT_MS,
            (long)(call->timeout_ms > 0 ? call->timeout_ms : client->timeout_ms));
        (void)curl_easy_setopt(client->curl, CURLOPT_URL, url.data);
        (void)curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, headers);
        rc = perform(client, call, err);
        (void)curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, NULL);
    }
    if (rc == 0) {
        (void)curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
        *out = client->answer;
        out->status = (int)status;
        out->body = client->body.data;
        out->body_size = client->body.size;
        out->sent_bytes = sent;
    }
    curl_slist_free_all(headers);
    ws_buf_fini(&url);
    return rc;
}
