#include "net/access.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/log.h"
#include "base/parse.h"
#include "net/changed.h"

struct ws_access {
    char *path; /* NULL: no file */
    unsigned open_rights;
    pthread_mutex_t lock;
    struct ws_changed changed;
    struct ws_access_list list;
};

static const struct {
    const char *name;
    unsigned right;
} right_names[] = {
    {"infer", WS_RIGHT_INFER},
    {"repository", WS_RIGHT_REPOSITORY},
    {"control", WS_RIGHT_CONTROL},
};
enum { RIGHT_COUNT = sizeof(right_names) / sizeof(right_names[0]) };

/* ---- The file ---- */

/* The next word of a line that ends at `end`; its length, 0 at the end. */
static size_t next_word(const char **word, const char *end)
{
    const char *at = *word;
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\r'))
        at++;
    *word = at;
    while (at < end && *at != ' ' && *at != '\t' && *at != '\r' && *at != '#')
        at++;
    return (size_t)(at - *word);
}

static int take_rights(unsigned *out, const char *word, size_t size)
{
    const char *end = word + size;
    unsigned rights = 0;
    while (word < end) {
        const char *comma = memchr(word, ',', (size_t)(end - word));
        size_t length = (size_t)((comma != NULL ? comma : end) - word);
        size_t i = 0;
        while (i < RIGHT_COUNT && (strlen(right_names[i].name) != length ||
                                   memcmp(right_names[i].name, word, length) != 0))
            i++;
        if (i == RIGHT_COUNT)
            return 0;
        rights |= right_names[i].right;
        word += length + (comma != NULL);
    }
    *out = rights;
    return rights != 0;
}

static int take_proof(struct ws_access_entry *entry, const char *word, size_t size)
{
    static const char prefix[] = "sha256:";
    size_t skip = sizeof(prefix) - 1, digits = WS_DIGEST_TEXT - 1;
    if (size == 4 && memcmp(word, "cert", 4) == 0)
        return 1;
    if (size != skip + digits || memcmp(word, prefix, skip) != 0)
        return 0;
    memcpy(entry->digest, word + skip, digits);
    entry->digest[digits] = '\0';
    return strspn(entry->digest, "0123456789abcdef") == digits;
}

/* Appends what one line says, if it says anything. */
static int take_line(void *user, const char *line, const char *end, const char *name,
                     size_t number, struct ws_error *err)
{
    struct ws_access_list *list = user;
    struct ws_access_entry entry = {0};
    const char *word = line;
    size_t size = next_word(&word, end);
    if (size == 0)
        return 0;
    if (list->count == WS_ACCESS_LINES_MAX)
        return ws_error_set(err, WS_E_LIMIT, "%s:%zu: more than %d entries", name, number,
                            WS_ACCESS_LINES_MAX);
    const char *rights = word + size;
    size_t rights_size = next_word(&rights, end);
    const char *proof = rights + rights_size;
    size_t proof_size = next_word(&proof, end);
    const char *rest = proof + proof_size;
    if (!take_rights(&entry.rights, rights, rights_size))
        return ws_error_set(err, WS_E_FORMAT,
                            "%s:%zu: rights \"%.*s\" (infer, repository, control)", name,
                            number, (int)(rights_size > 64 ? 64 : rights_size), rights);
    /* What stands there may be a token: it is not repeated. */
    if (!take_proof(&entry, proof, proof_size) || next_word(&rest, end) != 0)
        return ws_error_set(err, WS_E_FORMAT,
                            "%s:%zu: expected NAME RIGHTS sha256:HEX, or cert", name,
                            number);
    struct ws_access_entry *more =
        realloc(list->entries, (list->count + 1) * sizeof(*more));
    if (more == NULL)
        return ws_error_nomem(err);
    list->entries = more;
    entry.name = strndup(word, size);
    if (entry.name == NULL)
        return ws_error_nomem(err);
    list->entries[list->count++] = entry;
    return 0;
}

int ws_access_parse(struct ws_access_list *out, const void *bytes, size_t size,
                    const char *name, struct ws_error *err)
{
    struct ws_access_list list = {0};
    int rc = ws_parse_lines(bytes, size, name, take_line, &list, err);
    if (rc != 0)
        ws_access_list_fini(&list);
    else
        *out = list;
    return rc;
}

void ws_access_list_fini(struct ws_access_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->entries[i].name);
    free(list->entries);
    *list = (struct ws_access_list){0};
}

/* ---- The question ---- */

static int digest_of(char out[static WS_DIGEST_TEXT], const char *token)
{
    struct ws_digest *digest = NULL;
    if (ws_digest_create(&digest, NULL) != 0)
        return 0;
    ws_digest_add(digest, token, strlen(token));
    ws_digest_finish(out, digest);
    ws_digest_destroy(digest);
    return 1;
}

/* In a time that depends on neither. */
static int is_same(const char *a, const char *b)
{
    volatile unsigned difference = 0;
    for (size_t i = 0; i < WS_DIGEST_TEXT - 1; i++)
        difference |= (unsigned)(unsigned char)a[i] ^ (unsigned)(unsigned char)b[i];
    return difference == 0;
}

unsigned ws_access_rights(const struct ws_access_list *list, const char *token,
                          const char *peer, const char **out_name)
{
    char digest[WS_DIGEST_TEXT];
    unsigned rights = 0;
    int has_token = token != NULL && digest_of(digest, token);
    *out_name = NULL;
    for (size_t i = 0; i < list->count; i++) {
        const struct ws_access_entry *entry = &list->entries[i];
        int is_it = 0;
        if (entry->digest[0] == '\0')
            is_it = peer[0] != '\0' && strcmp(entry->name, peer) == 0;
        else if (has_token)
            is_it = is_same(entry->digest, digest);
        if (is_it && *out_name == NULL)
            *out_name = entry->name;
        rights |= is_it ? entry->rights : 0;
    }
    return rights;
}

static int read_list(struct ws_access_list *out, const char *path, struct ws_error *err)
{
    struct ws_buf buf;
    ws_buf_init(&buf, WS_ACCESS_FILE_MAX);
    int rc = ws_file_read(&buf, path, err);
    if (rc == 0)
        rc = ws_access_parse(out, buf.data, buf.size, path, err);
    ws_buf_fini(&buf);
    return rc;
}

int ws_access_create(struct ws_access **out, const char *path, unsigned open_rights,
                     struct ws_error *err)
{
    struct ws_access *access = calloc(1, sizeof(*access));
    if (access == NULL)
        return ws_error_nomem(err);
    (void)pthread_mutex_init(&access->lock, NULL);
    access->open_rights = open_rights;
    int rc = 0;
    if (path != NULL) {
        access->path = strdup(path);
        rc = access->path == NULL ? ws_error_nomem(err) : 0;
        const char *paths[] = {access->path};
        ws_changed_init(&access->changed, paths, 1);
        if (rc == 0)
            rc = read_list(&access->list, path, err);
    }
    if (rc != 0)
        ws_access_destroy(access);
    else
        *out = access;
    return rc;
}

void ws_access_destroy(struct ws_access *access)
{
    if (access == NULL)
        return;
    ws_access_list_fini(&access->list);
    (void)pthread_mutex_destroy(&access->lock);
    free(access->path);
    free(access);
}

/* The lock is held. */
static void refresh(struct ws_access *access)
{
    struct ws_access_list fresh;
    struct ws_error err = {0};
    if (!ws_changed_ask(&access->changed))
        return;
    if (read_list(&fresh, access->path, &err) != 0) {
        ws_log(WS_LOG_WARNING, "%s; going on with the file as it was", err.text);
        return;
    }
    ws_access_list_fini(&access->list);
    access->list = fresh;
    ws_log(WS_LOG_INFO, "%s: read again, %zu entries", access->path, fresh.count);
}

/* The token of "Authorization: Bearer TOKEN"; NULL where there is none. */
static const char *bearer(const char *authorization)
{
    static const char scheme[] = "Bearer";
    size_t size = sizeof(scheme) - 1;
    if (authorization == NULL || strncasecmp(authorization, scheme, size) != 0 ||
        authorization[size] != ' ')
        return NULL;
    return authorization + size + strspn(authorization + size, " ");
}

static const char *name_of(unsigned right)
{
    for (size_t i = 0; i < RIGHT_COUNT; i++) {
        if (right_names[i].right == right)
            return right_names[i].name;
    }
    return "?";
}

int ws_access_check(struct ws_access *access, const struct ws_http_request *request,
                    unsigned right, char *client, struct ws_error *err)
{
    unsigned rights = access->open_rights;
    const char *name = request->peer;
    if (client != NULL)
        (void)snprintf(client, WS_HTTP_CLIENT_MAX, "%s", name);
    if (right == WS_RIGHT_NONE)
        return 0;
    if (access->path != NULL) {
        const char *token = bearer(ws_http_request_header(request, "Authorization"));
        (void)pthread_mutex_lock(&access->lock);
        refresh(access);
        rights = ws_access_rights(&access->list, token, request->peer, &name);
        if (client != NULL && name != NULL)
            (void)snprintf(client, WS_HTTP_CLIENT_MAX, "%s", name);
        (void)pthread_mutex_unlock(&access->lock);
    }
    if ((rights & right) == right)
        return 0;
    if (name == NULL)
        return ws_error_set(err, WS_E_STRANGER,
                            "a token is needed, or a certificate that is known here");
    return ws_error_set(err, WS_E_DENIED, "the right \"%s\" is needed", name_of(right));
}
