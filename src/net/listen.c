#include "net/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/parse.h"

enum { BACKLOG = 511 };

int ws_listen_split(char *host, size_t host_size, const char **port, const char *address,
                    struct ws_error *err)
{
    const char *colon = strrchr(address, ':');
    size_t length = colon == NULL ? 0 : (size_t)(colon - address);
    const char *start = address;
    if (length >= 2 && address[0] == '[' && address[length - 1] == ']') {
        start++;
        length -= 2;
    } else if (colon != NULL && memchr(address, ':', length) != NULL) {
        length = 0; /* an IPv6 address without brackets */
    }
    if (colon == NULL || length == 0 || length >= host_size)
        return ws_error_set(err, WS_E_USAGE,
                            "\"%.64s\" is no ADDR:PORT (IPv6: [ADDR]:PORT)", address);
    memcpy(host, start, length);
    host[length] = '\0';
    *port = colon + 1;
    return 0;
}

static int is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(
            &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
    return address->sa_family == AF_INET && ntohl(v4->sin_addr.s_addr) >> 24 == 127;
}

static int describe(struct ws_listen *out, struct ws_error *err)
{
    struct sockaddr_storage bound;
    socklen_t size = sizeof(bound);
    char host[INET6_ADDRSTRLEN] = "";
    if (getsockname(out->fd, (struct sockaddr *)&bound, &size) != 0)
        return ws_error_set_errno(err, WS_E_IO, errno, "getsockname");
    int is_v6 = bound.ss_family == AF_INET6;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)&bound;
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)&bound;
    if (inet_ntop(bound.ss_family,
                  is_v6 ? (const void *)&v6->sin6_addr : (const void *)&v4->sin_addr,
                  host, sizeof(host)) == NULL)
        return ws_error_set_errno(err, WS_E_IO, errno, "inet_ntop");
    out->port = ntohs(is_v6 ? v6->sin6_port : v4->sin_port);
    (void)snprintf(out->text, sizeof(out->text), is_v6 ? "[%s]:%d" : "%s:%d", host,
                   out->port);
    return 0;
}

int ws_listen_open(struct ws_listen *out, const char *address, int loopback_only,
                   struct ws_error *err)
{
    struct ws_listen made = {.fd = -1};
    struct addrinfo *found = NULL;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    char host[256];
    const char *port = NULL;
    size_t number = 0;
    const int on = 1;
    int rc = ws_listen_split(host, sizeof(host), &port, address, err);
    if (rc == 0)
        rc = ws_parse_size(&number, port, 0, 65535, "port", err);
    if (rc != 0)
        return rc;
    int status = getaddrinfo(host, port, &hints, &found);
    if (status != 0)
        return ws_error_set(err, WS_E_USAGE, "%s: %s", address, gai_strerror(status));
    made.is_loopback = is_loopback(found->ai_addr);
    if (loopback_only && !made.is_loopback) {
        rc = ws_error_set(err, WS_E_USAGE,
                          "%s is reachable from outside, without TLS and tokens: say "
                          "--insecure if that is meant",
                          address);
        goto out;
    }
    made.fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (made.fd < 0 ||
        setsockopt(made.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        bind(made.fd, found->ai_addr, found->ai_addrlen) != 0 ||
        listen(made.fd, BACKLOG) != 0) {
        rc = ws_error_set_errno(err, WS_E_IO, errno, "listen on %s", address);
        goto out;
    }
    rc = describe(&made, err);
out:
    freeaddrinfo(found);
    if (rc != 0)
        ws_listen_close(&made);
    else
        *out = made;
    return rc;
}

void ws_listen_close(struct ws_listen *listen)
{
    if (listen->fd >= 0)
        (void)close(listen->fd);
    listen->fd = -1;
}
