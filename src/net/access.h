/*
 * Who may do what. A file names whoever may come in, one a line:
 *
 *     NAME  RIGHTS  sha256:HEX     the bearer of the token that has this digest
 *     NAME  RIGHTS  cert           whoever shows a certificate with this common name
 *
 * RIGHTS are infer, repository and control, with commas; '#' begins a comment. The file
 * holds digests, so whoever reads it cannot come in. It is looked at again as requests
 * come, and a new one takes effect at once; one that cannot be read or understood changes
 * nothing and is logged. Tokens are compared in a time that does not depend on them.
 * Without a file everybody has the rights that the owner left open. Thread-safe.
 */
#ifndef WS_NET_ACCESS_H
#define WS_NET_ACCESS_H

#include "base/digest.h"
#include "net/http_server.h"

enum ws_right {
    WS_RIGHT_NONE = 0,       /* what anybody may: ask whether the server is alive */
    WS_RIGHT_INFER = 1,      /* run models, read what there is about them */
    WS_RIGHT_REPOSITORY = 2, /* load, unload and send models */
    WS_RIGHT_CONTROL = 4,    /* set the machine's knobs */
    WS_RIGHT_ALL = 7
};

struct ws_access_entry {
    char *name;
    unsigned rights;
    char digest[WS_DIGEST_TEXT]; /* of the token; "": by certificate */
};

/* What a file says. */
struct ws_access_list {
    struct ws_access_entry *entries;
    size_t count;
};

/* `name` stands for the file in error lines. WS_E_FORMAT, WS_E_LIMIT. */
int ws_access_parse(struct ws_access_list *out, const void *bytes, size_t size,
                    const char *name, struct ws_error *err);
void ws_access_list_fini(struct ws_access_list *list);
/* The rights of who bears this token (NULL: none) and shows a certificate of this name
 * ("": none); *out_name: the entry's that has either first, NULL where none has. */
unsigned ws_access_rights(const struct ws_access_list *list, const char *token,
                          const char *peer, const char **out_name);

struct ws_access;

/* path NULL: there is no file and everybody has the open rights. */
int ws_access_create(struct ws_access **out, const char *path, unsigned open_rights,
                     struct ws_error *err);
void ws_access_destroy(struct ws_access *access);

/* 0 where the request's sender has the right. WS_E_STRANGER where it is not known who
 * that is, WS_E_DENIED where it is and the right is not theirs. `client` (NULL: nobody
 * asks) gets the sender's name as in ws_http_server_options.admit: the entry's, else the
 * certificate's. */
int ws_access_check(struct ws_access *access, const struct ws_http_request *request,
                    unsigned right, char *client, struct ws_error *err);

#endif
