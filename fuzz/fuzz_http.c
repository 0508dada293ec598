#include <microhttpd.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/http_server.h"
#include "net/listen.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BODY_MAX = 1 << 16, TURNS_MAX = 1000 };

static struct MHD_Daemon *daemon_here;

/* Stands before the library's own: the server is made without its threads, and this one
 * turns it. Connections then cost a few system calls, and an input always takes the same
 * way. */
struct MHD_Daemon *MHD_start_daemon(unsigned int flags, uint16_t port,
                                    MHD_AcceptPolicyCallback accept, void *accept_user,
                                    MHD_AccessHandlerCallback access, void *access_user,
                                    ...)
{
    va_list options;
    (void)flags;
    va_start(options, access_user);
    daemon_here = MHD_start_daemon_va(MHD_NO_FLAG, port, accept, accept_user, access,
                                      access_user, options);
    va_end(options);
    return daemon_here;
}

/* Whatever came as a request is one: a path, a body within the limit, aligned. */
static void handle(void *user, const struct ws_http_request *request,
                   struct ws_http_reply *reply)
{
    static const struct ws_oip_part part = {"{}", 2};
    (void)user;
    if (request->path == NULL || request->body_size > BODY_MAX ||
        (uintptr_t)request->body % WS_TENSOR_ALIGN != 0)
        __builtin_trap();
    volatile uint8_t sum = 0;
    for (size_t i = 0; i < request->body_size; i++)
        sum = (uint8_t)(sum + request->body[i]);
    (void)ws_http_request_header(request, "Content-Encoding");
    reply->status = 200;
    reply->content_type = "application/json";
    reply->parts = &part;
    reply->part_count = 1;
}

static void start(void)
{
    static struct ws_listen listen;
    static struct ws_http_server *server;
    if (server != NULL)
        return;
    if (ws_listen_open(&listen, "127.0.0.1:0", 1, NULL) != 0)
        exit(1);
    const struct ws_http_server_options options = {.fd = listen.fd,
                                                   .handler = handle,
                                                   .body_max = BODY_MAX,
                                                   .idle_s = 1,
                                                   .grace_s = 1,
                                                   .held_max = 1 << 20};
    if (ws_http_server_start(&server, &options, NULL) != 0)
        exit(1);
}

/* Bytes of one connection, requests or not; what the server says is read to its end, and
 * that must come soon after the client's. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct sockaddr_in from = {.sin_family = AF_INET,
                                     .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char reply[4096];
    int fds[2];
    start();
    if (size > BODY_MAX || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
        return 0;
    if (send(fds[0], data, size, 0) != (ssize_t)size || shutdown(fds[0], SHUT_WR) != 0 ||
        MHD_add_connection(daemon_here, fds[1], (const struct sockaddr *)&from,
                           sizeof(from)) != MHD_YES)
        abort();
    int turns = 0;
    do {
        if (turns++ == TURNS_MAX || MHD_run(daemon_here) != MHD_YES)
            __builtin_trap();
    } while (recv(fds[0], reply, sizeof(reply), MSG_DONTWAIT) != 0);
    (void)close(fds[0]);
    return 0;
}
