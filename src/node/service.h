/*
 * The Open Inference Protocol over a host's models, or over those of a backend: what a
 * path means, which status goes with which failure. Requests come whole from the HTTP
 * server, on many threads at once; a fixed number of them compute at a time and the
 * others queue, which is what the queue times of the statistics count. A request whose
 * deadline passes in the queue is given up.
 */
#ifndef WS_NODE_SERVICE_H
#define WS_NODE_SERVICE_H

#include <semaphore.h>
#include <stdatomic.h>

#include "net/access.h"
#include "net/http_server.h"
#include "node/account.h"
#include "node/control.h"
#include "node/host.h"

struct ws_infer;

/* Models that somebody else runs: the agent of an edge device. Called from many threads.
 */
struct ws_backend {
    void *user;
    int (*each_model)(void *user, ws_host_model_fn visit, void *visitor,
                      struct ws_error *err);
    /* WS_E_NOT_FOUND where there is no such model. */
    int (*describe)(void *user, struct ws_oip_model *out, const char *name,
                    struct ws_error *err);
    struct ws_tally *(*tally)(void *user, const char *name); /* NULL: no such model */
    /* One request, answered with ws_infer_answer. */
    int (*infer)(void *user, struct ws_infer *infer, const char *name,
                 const struct ws_http_request *request, struct ws_error *err);
    void (*release)(void *user, struct ws_infer *infer); /* once its reply is sent */
    int (*metrics)(void *user, struct ws_buf *out, struct ws_error *err);
};

struct ws_service {
    struct ws_host *host;             /* NULL with a backend */
    const struct ws_backend *backend; /* NULL with a host */
    struct ws_account *account;       /* what requests cost; NULL: nobody says */
    struct ws_access *access;         /* who may; NULL: everybody may everything */
    struct ws_control *control;       /* the machine's knobs; NULL: there are none */
    int allow_writes;                 /* load and unload, for those who may */
    size_t body_max;                  /* bytes of a request's body once it is decoded */
    sem_t slots;
    atomic_int is_draining; /* health says: not ready */
};

int ws_service_init(struct ws_service *service, struct ws_host *host, int allow_writes,
                    unsigned slots, struct ws_error *err);
void ws_service_init_backend(struct ws_service *service, const struct ws_backend *backend,
                             size_t body_max);
void ws_service_fini(struct ws_service *service);

/* Whether the sender may do what the path is for; `user` is the service. The handler asks
 * too; to be asked before a body is received, give it to the server. */
int ws_service_admit(void *user, const struct ws_http_request *request, char *client,
                     struct ws_error *err);
/* A ws_http_handler; likewise. */
void ws_service_handle(void *user, const struct ws_http_request *request,
                       struct ws_http_reply *reply);

#endif
