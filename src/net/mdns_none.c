/* mdns.h where avahi's client library was not there to build with. */
#include "net/mdns.h"

static int refuse(struct ws_error *err)
{
    return ws_error_set(err, WS_E_UNSUPPORTED,
                        "mDNS: this program was built without avahi's client library");
}

int ws_mdns_browse(int64_t wait_ms, ws_mdns_found_fn found, void *user,
                   struct ws_error *err)
{
    (void)wait_ms;
    (void)found;
    (void)user;
    return refuse(err);
}

int ws_mdns_announce(struct ws_mdns_announcement **out, const char *name, int is_tls,
                     uint16_t port, struct ws_error *err)
{
    (void)out;
    (void)name;
    (void)is_tls;
    (void)port;
    return refuse(err);
}

void ws_mdns_withdraw(struct ws_mdns_announcement *announcement)
{
    (void)announcement;
}
