#include "net/keys.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "net/access.h"

/* Valid from a day before: boards without a battery for their clock wake up late. */
enum { SERIAL_BYTES = 16, TOKEN_BYTES = 32, BACKDATE_S = 24 * 3600 };
static const char ca_name[] = "ca";

struct ws_keys {
    char *dir;
    EVP_PKEY *key;
    X509 *cert;
};

/* ---- Files ---- */

static int path_of(char *out, size_t size, const struct ws_keys *keys, const char *name,
                   const char *ending, struct ws_error *err)
{
    int length = snprintf(out, size, "%s/%s%s", keys->dir, name, ending);
    return length > 0 && (size_t)length < size
               ? 0
               : ws_error_set(err, WS_E_LIMIT, "%s: too long a path", keys->dir);
}

/* A file that only its owner can read, there as a whole or not at all. */
static int write_private(const char *path, const void *bytes, size_t size,
                         struct ws_error *err)
{
    char temp[4096 + 8];
    (void)snprintf(temp, sizeof(temp), "%s.new", path);
    (void)unlink(temp);
    int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return ws_error_set_errno(err, WS_E_IO, errno, "create %s", temp);
    int rc = ws_file_write_fd(fd, bytes, size, err);
    if (rc == 0 && fsync(fd) != 0)
        rc = ws_error_set_errno(err, WS_E_IO, errno, "write %s", temp);
    (void)close(fd);
    if (rc == 0 && rename(temp, path) != 0)
        rc = ws_error_set_errno(err, WS_E_IO, errno, "rename %s", temp);
    if (rc != 0)
        (void)unlink(temp);
    return rc;
}

/* What the library says went wrong. */
static int fail(const char *what, struct ws_error *err)
{
    const char *reason = ERR_reason_error_string(ERR_get_error());
    return ws_error_set(err, WS_E_RUNTIME, "%s: %s", what,
                        reason != NULL ? reason : "failed");
}

/* Writes what a memory BIO holds. */
static int write_bio(const char *path, BIO *bio, int is_private, struct ws_error *err)
{
    char *bytes = NULL;
    long size = BIO_get_mem_data(bio, &bytes);
    if (size <= 0)
        return fail(path, err);
    return is_private ? write_private(path, bytes, (size_t)size, err)
                      : ws_file_write(path, bytes, (size_t)size, err);
}

/* The key first: with the old certificate it does not fit, which a daemon that looks just
 * then says, and goes on with the old ones. */
static int write_pair(const struct ws_keys *keys, const char *name, EVP_PKEY *key,
                      X509 *cert, struct ws_error *err)
{
    char path[4096];
    BIO *key_bio = BIO_new(BIO_s_mem()), *cert_bio = BIO_new(BIO_s_mem());
    int rc = 0;
    if (key_bio == NULL || cert_bio == NULL)
        rc = ws_error_nomem(err);
    else if (!PEM_write_bio_PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL) ||
             !PEM_write_bio_X509(cert_bio, cert))
        rc = fail(name, err);
    if (rc == 0)
        rc = path_of(path, sizeof(path), keys, name, ".key", err);
    if (rc == 0)
        rc = write_bio(path, key_bio, 1, err);
    if (rc == 0)
        rc = path_of(path, sizeof(path), keys, name, ".pem", err);
    if (rc == 0)
        rc = write_bio(path, cert_bio, 0, err);
    BIO_free(key_bio);
    BIO_free(cert_bio);
    return rc;
}

/* ---- Certificates ---- */

static int add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    int is_added = extension != NULL && X509_add_ext(cert, extension, -1);
    X509_EXTENSION_free(extension);
    return is_added;
}

static int set_serial(X509 *cert)
{
    unsigned char bytes[SERIAL_BYTES];
    BIGNUM *number = NULL;
    if (RAND_bytes(bytes, sizeof(bytes)) != 1)
        return 0;
    bytes[0] &= 0x7f; /* positive, and no longer than it looks */
    bytes[0] |= 0x40;
    number = BN_bin2bn(bytes, sizeof(bytes), NULL);
    int is_set =
        number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL;
    BN_free(number);
    return is_set;
}

/* issuer NULL: the certificate signs itself later. */
static X509 *begin_cert(const char *name, EVP_PKEY *key, X509 *issuer, long lifetime_s)
{
    X509 *cert = X509_new();
    X509_NAME *subject = cert != NULL ? X509_get_subject_name(cert) : NULL;
    if (cert != NULL && X509_set_version(cert, X509_VERSION_3) && set_serial(cert) &&
        X509_gmtime_adj(X509_getm_notBefore(cert), -BACKDATE_S) != NULL &&
        X509_gmtime_adj(X509_getm_notAfter(cert), lifetime_s) != NULL &&
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                   (const unsigned char *)name, -1, -1, 0) &&
        X509_set_issuer_name(cert,
                             issuer != NULL ? X509_get_subject_name(issuer) : subject) &&
        X509_set_pubkey(cert, key))
        return cert;
    X509_free(cert);
    return NULL;
}

static int make_authority(struct ws_keys *keys, long lifetime_s, struct ws_error *err)
{
    keys->key = EVP_EC_gen("P-256");
    if (keys->key != NULL)
        keys->cert = begin_cert("wattshed fleet", keys->key, NULL, lifetime_s);
    X509 *cert = keys->cert;
    if (cert == NULL ||
        !add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
        !add_extension(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign") ||
        !add_extension(cert, cert, NID_subject_key_identifier, "hash") ||
        !X509_sign(cert, keys->key, EVP_sha256()))
        return fail("make the authority", err);
    return write_pair(keys, ca_name, keys->key, cert, err);
}

static int read_authority(struct ws_keys *keys, const char *key_path,
                          const char *cert_path, struct ws_error *err)
{
    FILE *key = fopen(key_path, "re"), *cert = fopen(cert_path, "re");
    int rc = 0;
    if (key == NULL || cert == NULL)
        rc = ws_error_set_errno(err, WS_E_IO, errno, "open %s",
                                key == NULL ? key_path : cert_path);
    if (rc == 0) {
        keys->key = PEM_read_PrivateKey(key, NULL, NULL, NULL);
        keys->cert = PEM_read_X509(cert, NULL, NULL, NULL);
        if (keys->key == NULL || keys->cert == NULL)
            rc = ws_error_set(err, WS_E_FORMAT, "%s with %s: no PEM of an authority",
                              cert_path, key_path);
        else if (X509_check_private_key(keys->cert, keys->key) != 1)
            rc = ws_error_set(err, WS_E_MISMATCH, "%s is not the key of %s", key_path,
                              cert_path);
    }
    if (key != NULL)
        (void)fclose(key);
    if (cert != NULL)
        (void)fclose(cert);
    return rc;
}

int ws_keys_open(struct ws_keys **out, const char *dir, long lifetime_s, int *made,
                 struct ws_error *err)
{
    char key_path[4096], cert_path[4096];
    struct ws_keys *keys = calloc(1, sizeof(*keys));
    if (keys == NULL || (keys->dir = strdup(dir)) == NULL) {
        free(keys);
        return ws_error_nomem(err);
    }
    int rc = ws_dir_create(dir, err);
    if (rc == 0)
        rc = path_of(key_path, sizeof(key_path), keys, ca_name, ".key", err);
    if (rc == 0)
        rc = path_of(cert_path, sizeof(cert_path), keys, ca_name, ".pem", err);
    if (rc == 0) {
        /* Half an authority is not made anew over: that would strand a fleet. */
        *made = access(key_path, F_OK) != 0 && access(cert_path, F_OK) != 0;
        rc = *made ? make_authority(keys, lifetime_s, err)
                   : read_authority(keys, key_path, cert_path, err);
    }
    if (rc != 0)
        ws_keys_close(keys);
    else
        *out = keys;
    return rc;
}

void ws_keys_close(struct ws_keys *keys)
{
    if (keys == NULL)
        return;
    EVP_PKEY_free(keys->key);
    X509_free(keys->cert);
    free(keys->dir);
    free(keys);
}

static int is_plain(const char *text)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                "0123456789._-";
    size_t size = strlen(text);
    return size > 0 && size < 64 && text[0] != '.' && strspn(text, plain) == size;
}

static int is_address(const char *text)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

/* "DNS:NAME,IP:ADDRESS,...", what a client compares the address with that it called. */
static int add_hosts(struct ws_buf *out, const struct ws_keys_machine *machine,
                     struct ws_error *err)
{
    int rc = ws_buf_printf(out, err, "%s:%s", is_address(machine->name) ? "IP" : "DNS",
                           machine->name);
    for (size_t i = 0; rc == 0 && i < WS_KEYS_HOSTS_MAX && machine->hosts[i] != NULL;
         i++) {
        const char *host = machine->hosts[i];
        int is_ip = is_address(host);
        if (!is_ip && !is_plain(host))
            return ws_error_set(err, WS_E_USAGE, "\"%.64s\" is no host name or address",
                                host);
        rc = ws_buf_printf(out, err, ",%s:%s", is_ip ? "IP" : "DNS", host);
    }
    return rc;
}

static int make_pair(struct ws_keys *keys, const struct ws_keys_machine *machine,
                     struct ws_error *err)
{
    struct ws_buf hosts;
    ws_buf_init(&hosts, 0);
    X509 *cert = NULL;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    int rc = add_hosts(&hosts, machine, err);
    if (rc == 0 && key != NULL)
        cert = begin_cert(machine->name, key, keys->cert, machine->lifetime_s);
    if (rc == 0 &&
        (cert == NULL ||
         !add_extension(cert, keys->cert, NID_basic_constraints, "critical,CA:FALSE") ||
         !add_extension(cert, keys->cert, NID_key_usage, "critical,digitalSignature") ||
         !add_extension(cert, keys->cert, NID_ext_key_usage,
                        machine->is_server ? "serverAuth,clientAuth" : "clientAuth") ||
         !add_extension(cert, keys->cert, NID_authority_key_identifier, "keyid") ||
         !add_extension(cert, keys->cert, NID_subject_alt_name, hosts.data) ||
         !X509_sign(cert, keys->key, EVP_sha256())))
        rc = fail(machine->name, err);
    if (rc == 0)
        rc = write_pair(keys, machine->name, key, cert, err);
    X509_free(cert);
    EVP_PKEY_free(key);
    ws_buf_fini(&hosts);
    return rc;
}

/* ---- Tokens ---- */

/* The machine's token: the one that is there, or a new one. */
static int find_token(struct ws_buf *out, const struct ws_keys *keys, const char *name,
                      struct ws_error *err)
{
    static const char digits[] = "0123456789abcdef";
    char path[4096];
    unsigned char bytes[TOKEN_BYTES];
    int rc = path_of(path, sizeof(path), keys, name, ".token", err);
    if (rc == 0 && access(path, F_OK) == 0) {
        rc = ws_file_read(out, path, err);
        while (rc == 0 && out->size > 0 && out->data[out->size - 1] == '\n')
            out->data[--out->size] = '\0';
        return rc;
    }
    if (rc == 0 && RAND_bytes(bytes, sizeof(bytes)) != 1)
        rc = fail("random bytes", err);
    for (size_t i = 0; rc == 0 && i < sizeof(bytes); i++)
        rc =
            ws_buf_printf(out, err, "%c%c", digits[bytes[i] >> 4], digits[bytes[i] & 15]);
    if (rc == 0)
        rc = ws_buf_add(out, "\n", 1, err);
    if (rc == 0)
        rc = write_private(path, out->data, out->size, err);
    if (rc == 0)
        out->data[--out->size] = '\0';
    return rc;
}

/* Appends the lines of the list that are not this machine's. */
static int keep_others(struct ws_buf *out, const struct ws_buf *list, const char *name,
                       struct ws_error *err)
{
    size_t size = strlen(name);
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < list->size;) {
        const char *line = list->data + at;
        const char *newline = memchr(line, '\n', list->size - at);
        size_t length = newline != NULL ? (size_t)(newline - line) : strlen(line);
        int is_its = length > size && memcmp(line, name, size) == 0 &&
                     (line[size] == ' ' || line[size] == '\t');
        if (!is_its)
            rc = ws_buf_printf(out, err, "%.*s\n", (int)length, line);
        at += length + 1;
    }
    return rc;
}

static int write_token(struct ws_keys *keys, const struct ws_keys_machine *machine,
                       struct ws_error *err)
{
    char path[4096], hex[WS_DIGEST_TEXT];
    struct ws_buf token, list, all;
    struct ws_digest *digest = NULL;
    struct ws_access_list parsed;
    ws_buf_init(&token, 0);
    ws_buf_init(&list, WS_ACCESS_FILE_MAX);
    ws_buf_init(&all, WS_ACCESS_FILE_MAX);
    int rc = find_token(&token, keys, machine->name, err);
    if (rc == 0)
        rc = ws_digest_create(&digest, err);
    if (rc == 0) {
        ws_digest_add(digest, token.data, token.size);
        ws_digest_finish(hex, digest);
        rc = path_of(path, sizeof(path), keys, "tokens", "", err);
    }
    if (rc == 0 && access(path, F_OK) == 0)
        rc = ws_file_read(&list, path, err);
    if (rc == 0)
        rc = keep_others(&all, &list, machine->name, err);
    if (rc == 0)
        rc = ws_buf_printf(&all, err, "%s %s sha256:%s\n%s %s cert\n", machine->name,
                           machine->rights, hex, machine->name, machine->rights);
    /* What a daemon would refuse must not become its list. */
    if (rc == 0)
        rc = ws_access_parse(&parsed, all.data, all.size, path, err);
    if (rc == 0) {
        ws_access_list_fini(&parsed);
        rc = ws_file_write(path, all.data, all.size, err);
    }
    ws_digest_destroy(digest);
    ws_buf_fini(&all);
    ws_buf_fini(&list);
    ws_buf_fini(&token);
    return rc;
}

int ws_keys_issue(struct ws_keys *keys, const struct ws_keys_machine *machine,
                  struct ws_error *err)
{
    if (!is_plain(machine->name) || strcmp(machine->name, ca_name) == 0 ||
        strcmp(machine->name, "tokens") == 0)
        return ws_error_set(err, WS_E_USAGE, "\"%.64s\" is no name for a machine",
                            machine->name);
    int rc = machine->is_server ? 0 : write_token(keys, machine, err);
    return rc == 0 ? make_pair(keys, machine, err) : rc;
}
