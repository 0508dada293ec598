#include "net/tls.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "net/changed.h"

enum { WARN_BEFORE_S = 14 * 24 * 3600 };

/* The files as they were read at one time; sessions hold on to them. */
struct ws_tls_files {
    gnutls_certificate_credentials_t credentials;
    size_t users; /* sessions, and the owner while they are the newest */
};

struct ws_tls {
    char *cert, *key, *client_ca;
    pthread_mutex_t lock;
    struct ws_tls_files *newest;
    struct ws_changed changed;
};

const char *ws_tls_priorities(void)
{
    return "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";
}

/* In the handshake: the client's certificate is signed by the authority, is meant for
 * clients and holds now. Anything but 0 ends it. */
static int check_client(gnutls_session_t session)
{
    gnutls_typed_vdata_st purpose = {
        .type = GNUTLS_DT_KEY_PURPOSE_OID,
        .data = (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT};
    unsigned status = 0;
    int rc = gnutls_certificate_verify_peers(session, &purpose, 1, &status);
    return rc == 0 && status == 0 ? 0 : GNUTLS_E_CERTIFICATE_ERROR;
}

static void free_files(struct ws_tls_files *files)
{
    if (files == NULL)
        return;
    if (files->credentials != NULL)
        gnutls_certificate_free_credentials(files->credentials);
    free(files);
}

static void warn_of_end(const struct ws_tls *tls, const struct ws_tls_files *files)
{
    gnutls_x509_crt_t *chain = NULL;
    unsigned count = 0;
    if (gnutls_certificate_get_x509_crt(files->credentials, 0, &chain, &count) != 0)
        return;
    time_t end = count > 0 ? gnutls_x509_crt_get_expiration_time(chain[0]) : 0;
    time_t left = end - time(NULL);
    if (count > 0 && left < WARN_BEFORE_S)
        ws_log(WS_LOG_WARNING, "%s: the certificate %s", tls->cert,
               left < 0 ? "has expired" : "expires within two weeks");
    for (unsigned i = 0; i < count; i++)
        gnutls_x509_crt_deinit(chain[i]);
    gnutls_free(chain);
}

static int fail(const char *path, int status, struct ws_error *err)
{
    return ws_error_set(err, status == GNUTLS_E_FILE_ERROR ? WS_E_IO : WS_E_FORMAT,
                        "%s: %s", path, gnutls_strerror(status));
}

static int read_files(struct ws_tls_files **out, const struct ws_tls *tls,
                      struct ws_error *err)
{
    int rc = 0;
    struct ws_tls_files *files = calloc(1, sizeof(*files));
    if (files == NULL ||
        gnutls_certificate_allocate_credentials(&files->credentials) != 0) {
        free_files(files);
        return ws_error_nomem(err);
    }
    files->users = 1;
    int status = gnutls_certificate_set_x509_key_file2(
        files->credentials, tls->cert, tls->key, GNUTLS_X509_FMT_PEM, NULL, 0);
    if (status < 0)
        rc = ws_error_set(err, status == GNUTLS_E_FILE_ERROR ? WS_E_IO : WS_E_FORMAT,
                          "%s with %s: %s", tls->cert, tls->key, gnutls_strerror(status));
    if (rc == 0 && tls->client_ca != NULL) {
        status = gnutls_certificate_set_x509_trust_file(
            files->credentials, tls->client_ca, GNUTLS_X509_FMT_PEM);
        if (status <= 0)
            rc = fail(tls->client_ca,
                      status == 0 ? GNUTLS_E_NO_CERTIFICATE_FOUND : status, err);
        gnutls_certificate_set_verify_function(files->credentials, check_client);
    }
    if (rc != 0) {
        free_files(files);
        return rc;
    }
    warn_of_end(tls, files);
    *out = files;
    return 0;
}

static int copy_text(char **out, const char *text)
{
    *out = text == NULL ? NULL : strdup(text);
    return text == NULL || *out != NULL;
}

int ws_tls_create(struct ws_tls **out, const struct ws_tls_options *options,
                  struct ws_error *err)
{
    struct ws_tls *tls = calloc(1, sizeof(*tls));
    if (tls == NULL)
        return ws_error_nomem(err);
    (void)pthread_mutex_init(&tls->lock, NULL);
    int rc = 0;
    if (!copy_text(&tls->cert, options->cert) || !copy_text(&tls->key, options->key) ||
        !copy_text(&tls->client_ca, options->client_ca))
        rc = ws_error_nomem(err);
    const char *paths[] = {tls->cert, tls->key, tls->client_ca};
    ws_changed_init(&tls->changed, paths, 3);
    if (rc == 0)
        rc = read_files(&tls->newest, tls, err);
    if (rc != 0)
        ws_tls_destroy(tls);
    else
        *out = tls;
    return rc;
}

void ws_tls_destroy(struct ws_tls *tls)
{
    if (tls == NULL)
        return;
    free_files(tls->newest);
    (void)pthread_mutex_destroy(&tls->lock);
    free(tls->cert);
    free(tls->key);
    free(tls->client_ca);
    free(tls);
}

/* The lock is held. */
static void let_go(struct ws_tls_files *files)
{
    if (--files->users == 0)
        free_files(files);
}

static void refresh(struct ws_tls *tls)
{
    struct ws_tls_files *fresh = NULL;
    struct ws_error err = {0};
    if (!ws_changed_ask(&tls->changed))
        return;
    if (read_files(&fresh, tls, &err) != 0) {
        ws_log(WS_LOG_WARNING, "%s; going on with the files as they were", err.text);
        return;
    }
    let_go(tls->newest);
    tls->newest = fresh;
    ws_log(WS_LOG_INFO, "%s: read again", tls->cert);
}

struct ws_tls_files *ws_tls_attach(struct ws_tls *tls, void *session)
{
    (void)pthread_mutex_lock(&tls->lock);
    refresh(tls);
    struct ws_tls_files *files = tls->newest;
    if (gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, files->credentials) != 0)
        files = NULL;
    else
        files->users++;
    (void)pthread_mutex_unlock(&tls->lock);
    if (files != NULL && tls->client_ca != NULL)
        gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUIRE);
    return files;
}

void ws_tls_detach(struct ws_tls *tls, struct ws_tls_files *files)
{
    if (files == NULL)
        return;
    (void)pthread_mutex_lock(&tls->lock);
    let_go(files);
    (void)pthread_mutex_unlock(&tls->lock);
}

void ws_tls_peer(char name[static WS_TLS_NAME_MAX], int64_t *until_s, void *session)
{
    unsigned count = 0;
    gnutls_x509_crt_t crt = NULL;
    const gnutls_datum_t *shown = gnutls_certificate_get_peers(session, &count);
    name[0] = '\0';
    *until_s = 0;
    if (shown == NULL || count == 0 || gnutls_x509_crt_init(&crt) != 0)
        return;
    size_t size = WS_TLS_NAME_MAX;
    if (gnutls_x509_crt_import(crt, &shown[0], GNUTLS_X509_FMT_DER) == 0) {
        /* A name that does not fit or holds a NUL is no name. */
        if (gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name,
                                          &size) != 0 ||
            strlen(name) != size)
            name[0] = '\0';
        *until_s = (int64_t)gnutls_x509_crt_get_expiration_time(crt);
    }
    gnutls_x509_crt_deinit(crt);
}
