#include "net/mdns.h"

#include <avahi-client/client.h>
#include <avahi-client/lookup.h>
#include <avahi-client/publish.h>
#include <avahi-common/error.h>
#include <avahi-common/malloc.h>
#include <avahi-common/simple-watch.h>
#include <avahi-common/thread-watch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

static const char service[] = "_wattshed._tcp";
static const char scheme_key[] = "scheme";

static int refused(const char *doing, int code, struct ws_error *err)
{
    return ws_error_set(err, WS_E_IO, "mDNS: %s: %s", doing, avahi_strerror(code));
}

/* ---- finding ---- */

struct search {
    AvahiClient *client;
    ws_mdns_found_fn found;
    void *user;
    size_t resolving;
    int is_all; /* the daemon has told all that it knows */
    int rc;
    struct ws_error *err;
};

static void on_resolved(AvahiServiceResolver *resolver, AvahiIfIndex interface,
                        AvahiProtocol protocol, AvahiResolverEvent event,
                        const char *name, const char *type, const char *domain,
                        const char *host, const AvahiAddress *address, uint16_t port,
                        AvahiStringList *text, AvahiLookupResultFlags flags, void *user)
{
    struct search *search = user;
    char where[AVAHI_ADDRESS_STR_MAX], url[AVAHI_ADDRESS_STR_MAX + 32];
    (void)interface;
    (void)protocol;
    (void)type;
    (void)domain;
    (void)host;
    (void)flags;
    search->resolving--;
    /* One that has gone in the meantime is not there. */
    if (event == AVAHI_RESOLVER_FOUND && search->rc == 0) {
        AvahiStringList *pair = avahi_string_list_find(text, scheme_key);
        char *key = NULL, *scheme = NULL;
        if (pair != NULL)
            (void)avahi_string_list_get_pair(pair, &key, &scheme, NULL);
        int is_tls = scheme != NULL && strcmp(scheme, "https") == 0;
        (void)avahi_address_snprint(where, sizeof(where), address);
        (void)snprintf(url, sizeof(url), "%s://%s:%u", is_tls ? "https" : "http", where,
                       port);
        search->rc = search->found(search->user, name, url, search->err);
        avahi_free(key);
        avahi_free(scheme);
    }
    (void)avahi_service_resolver_free(resolver);
}

static void on_browsed(AvahiServiceBrowser *browser, AvahiIfIndex interface,
                       AvahiProtocol protocol, AvahiBrowserEvent event, const char *name,
                       const char *type, const char *domain, AvahiLookupResultFlags flags,
                       void *user)
{
    struct search *search = user;
    (void)browser;
    (void)flags;
    if (event == AVAHI_BROWSER_NEW &&
        avahi_service_resolver_new(search->client, interface, protocol, name, type,
                                   domain, AVAHI_PROTO_INET, 0, on_resolved,
                                   search) != NULL)
        search->resolving++;
    else if (event == AVAHI_BROWSER_ALL_FOR_NOW)
        search->is_all = 1;
    else if (event == AVAHI_BROWSER_FAILURE && search->rc == 0)
        search->rc = refused("browse", avahi_client_errno(search->client), search->err);
}

static void on_search_state(AvahiClient *client, AvahiClientState state, void *user)
{
    struct search *search = user;
    if (state == AVAHI_CLIENT_FAILURE && search->rc == 0)
        search->rc =
            refused("ask the avahi daemon", avahi_client_errno(client), search->err);
}

int ws_mdns_browse(int64_t wait_ms, ws_mdns_found_fn found, void *user,
                   struct ws_error *err)
{
    struct search search = {.found = found, .user = user, .err = err};
    int64_t until_ns = ws_clock_now_ns() + wait_ms * 1000000, left_ns = 0;
    int code = 0;
    AvahiSimplePoll *poll = avahi_simple_poll_new();
    if (poll == NULL)
        return ws_error_nomem(err);
    search.client =
        avahi_client_new(avahi_simple_poll_get(poll), 0, on_search_state, &search, &code);
    if (search.client == NULL && search.rc == 0)
        search.rc = refused("ask the avahi daemon", code, err);
    /* The addresses are of IPv4, which is what listeners are given. */
    if (search.rc == 0 &&
        avahi_service_browser_new(search.client, AVAHI_IF_UNSPEC, AVAHI_PROTO_INET,
                                  service, NULL, 0, on_browsed, &search) == NULL)
        search.rc = refused("browse", avahi_client_errno(search.client), err);
    while (search.rc == 0 && !(search.is_all && search.resolving == 0) &&
           (left_ns = until_ns - ws_clock_now_ns()) > 0) {
        if (avahi_simple_poll_iterate(poll, (int)(left_ns / 1000000) + 1) != 0)
            break;
    }
    if (search.client != NULL)
        avahi_client_free(search.client); /* browser and resolvers with it */
    avahi_simple_poll_free(poll);
    return search.rc;
}

/* ---- announcing ---- */

struct ws_mdns_announcement {
    AvahiThreadedPoll *poll;
    AvahiClient *client;
    AvahiEntryGroup *group; /* belongs to the client */
    char *name;
    int is_tls;
    uint16_t port;
};

static void on_group_state(AvahiEntryGroup *group, AvahiEntryGroupState state, void *user)
{
    struct ws_mdns_announcement *self = user;
    (void)group;
    if (state == AVAHI_ENTRY_GROUP_COLLISION)
        ws_log(WS_LOG_ERROR, "mDNS: another node is called \"%s\"", self->name);
    else if (state == AVAHI_ENTRY_GROUP_FAILURE)
        ws_log(WS_LOG_ERROR, "mDNS: \"%s\" cannot be announced: %s", self->name,
               avahi_strerror(avahi_client_errno(avahi_entry_group_get_client(group))));
}

static void put_service(struct ws_mdns_announcement *self, AvahiClient *client)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "%s=%s", scheme_key,
                   self->is_tls ? "https" : "http");
    if (self->group == NULL)
        self->group = avahi_entry_group_new(client, on_group_state, self);
    int code = self->group == NULL ? avahi_client_errno(client) : 0;
    if (code == 0 && avahi_entry_group_is_empty(self->group)) {
        code = avahi_entry_group_add_service(self->group, AVAHI_IF_UNSPEC,
                                             AVAHI_PROTO_INET, 0, self->name, service,
                                             NULL, NULL, self->port, text, NULL);
        if (code == 0)
            code = avahi_entry_group_commit(self->group);
    }
    if (code != 0)
        ws_log(WS_LOG_ERROR, "mDNS: \"%s\" cannot be announced: %s", self->name,
               avahi_strerror(code));
}

static void on_client_state(AvahiClient *client, AvahiClientState state, void *user)
{
    struct ws_mdns_announcement *self = user;
    int code = 0;
    switch (state) {
    case AVAHI_CLIENT_S_RUNNING:
        put_service(self, client);
        break;
    case AVAHI_CLIENT_S_COLLISION: /* the host's own name changes: say it again after */
    case AVAHI_CLIENT_S_REGISTERING:
        if (self->group != NULL)
            (void)avahi_entry_group_reset(self->group);
        break;
    case AVAHI_CLIENT_FAILURE:
        if (avahi_client_errno(client) != AVAHI_ERR_DISCONNECTED) {
            ws_log(WS_LOG_ERROR, "mDNS: %s", avahi_strerror(avahi_client_errno(client)));
            break;
        }
        /* The daemon has gone; a new client waits for the next one. */
        self->group = NULL;
        avahi_client_free(client);
        self->client =
            avahi_client_new(avahi_threaded_poll_get(self->poll), AVAHI_CLIENT_NO_FAIL,
                             on_client_state, self, &code);
        if (self->client == NULL)
            ws_log(WS_LOG_ERROR, "mDNS: %s", avahi_strerror(code));
        break;
    default:
        break;
    }
}

int ws_mdns_announce(struct ws_mdns_announcement **out, const char *name, int is_tls,
                     uint16_t port, struct ws_error *err)
{
    int code = 0;
    struct ws_mdns_announcement *self = calloc(1, sizeof(*self));
    if (self == NULL)
        return ws_error_nomem(err);
    self->is_tls = is_tls;
    self->port = port;
    self->name = strdup(name);
    self->poll = avahi_threaded_poll_new();
    if (self->name == NULL || self->poll == NULL) {
        ws_mdns_withdraw(self);
        return ws_error_nomem(err);
    }
    self->client = avahi_client_new(avahi_threaded_poll_get(self->poll),
                                    AVAHI_CLIENT_NO_FAIL, on_client_state, self, &code);
    if (self->client == NULL || avahi_threaded_poll_start(self->poll) != 0) {
        int rc = refused("ask the avahi daemon", code, err);
        ws_mdns_withdraw(self);
        return rc;
    }
    *out = self;
    return 0;
}

void ws_mdns_withdraw(struct ws_mdns_announcement *self)
{
    if (self == NULL)
        return;
    if (self->poll != NULL)
        (void)avahi_threaded_poll_stop(self->poll);
    if (self->client != NULL)
        avahi_client_free(self->client);
    if (self->poll != NULL)
        avahi_threaded_poll_free(self->poll);
    free(self->name);
    free(self);
}
