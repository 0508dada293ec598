#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/http_server.h"
#include "net/listen.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BODY_MAX = 1 << 16 };

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

static int start(void)
{
    static struct ws_listen listen;
    static struct ws_http_server *server;
    if (server != NULL)
        return listen.port;
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
    return listen.port;
}

/* Bytes of one connection, requests or not, through the server's own socket; what it says
 * is read to its end. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)start()),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct linger linger = {.l_onoff = 1}; /* leaves no connection in TIME_WAIT */
    char reply[4096];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0) {
        while (size > 0) {
            ssize_t put = send(fd, data, size, MSG_NOSIGNAL);
            if (put <= 0)
                break;
            data += put;
            size -= (size_t)put;
        }
        (void)shutdown(fd, SHUT_WR);
        while (recv(fd, reply, sizeof(reply), 0) > 0)
            ;
    }
    (void)close(fd);
    return 0;
}
