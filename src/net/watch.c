#include "net/watch.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"

static const int64_t STEP_NS = 250000000; /* deadlines are kept to this */

struct ws_watched {
    struct ws_watched *next, *previous;
    int fd;
    int is_waiting;
    int is_cut;
    int64_t since_ns;    /* it is as it is */
    int64_t deadline_ns; /* 0: none */
};

struct ws_watch {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    int is_ending;
    struct ws_watched *first;
    size_t count, crowded; /* from this many on, waiting ones make room */
};

/* The connection's own thread sees an end of file, or that it cannot send. */
static void cut(struct ws_watched *watched)
{
    watched->is_cut = 1;
    (void)shutdown(watched->fd, SHUT_RDWR);
}

static void *run(void *user)
{
    struct ws_watch *watch = user;
    (void)pthread_mutex_lock(&watch->lock);
    while (!watch->is_ending) {
        int64_t now = ws_clock_now_ns();
        for (struct ws_watched *w = watch->first; w != NULL; w = w->next) {
            if (!w->is_cut && w->deadline_ns != 0 && now > w->deadline_ns)
                cut(w);
        }
        int64_t next = now + STEP_NS;
        const struct timespec until = {.tv_sec = next / 1000000000,
                                       .tv_nsec = next % 1000000000};
        (void)pthread_cond_timedwait(&watch->ended, &watch->lock, &until);
    }
    (void)pthread_mutex_unlock(&watch->lock);
    return NULL;
}

int ws_watch_start(struct ws_watch **out, size_t connections_max, struct ws_error *err)
{
    pthread_condattr_t attributes;
    struct ws_watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL)
        return ws_error_nomem(err);
    watch->crowded = connections_max - connections_max / 8;
    (void)pthread_mutex_init(&watch->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&watch->ended, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    int status = pthread_create(&watch->thread, NULL, run, watch);
    if (status != 0) {
        (void)pthread_cond_destroy(&watch->ended);
        (void)pthread_mutex_destroy(&watch->lock);
        free(watch);
        return ws_error_set_errno(err, WS_E_IO, status, "start a thread");
    }
    *out = watch;
    return 0;
}

void ws_watch_stop(struct ws_watch *watch)
{
    if (watch == NULL)
        return;
    (void)pthread_mutex_lock(&watch->lock);
    watch->is_ending = 1;
    (void)pthread_cond_signal(&watch->ended);
    (void)pthread_mutex_unlock(&watch->lock);
    (void)pthread_join(watch->thread, NULL);
    (void)pthread_cond_destroy(&watch->ended);
    (void)pthread_mutex_destroy(&watch->lock);
    free(watch);
}

static void make_room(struct ws_watch *watch)
{
    struct ws_watched *longest = NULL;
    for (struct ws_watched *w = watch->first; w != NULL; w = w->next) {
        if (w->is_waiting && !w->is_cut &&
            (longest == NULL || w->since_ns < longest->since_ns))
            longest = w;
    }
    if (longest != NULL)
        cut(longest);
}

struct ws_watched *ws_watch_add(struct ws_watch *watch, int fd, int64_t deadline_ns)
{
    struct ws_watched *watched = calloc(1, sizeof(*watched));
    if (watched == NULL)
        return NULL;
    *watched = (struct ws_watched){.fd = fd,
                                   .is_waiting = 1,
                                   .since_ns = ws_clock_now_ns(),
                                   .deadline_ns = deadline_ns};
    (void)pthread_mutex_lock(&watch->lock);
    if (watch->count >= watch->crowded)
        make_room(watch);
    watched->next = watch->first;
    if (watch->first != NULL)
        watch->first->previous = watched;
    watch->first = watched;
    watch->count++;
    (void)pthread_mutex_unlock(&watch->lock);
    return watched;
}

void ws_watch_set(struct ws_watch *watch, struct ws_watched *watched, int64_t deadline_ns,
                  int is_waiting)
{
    if (watched == NULL)
        return;
    (void)pthread_mutex_lock(&watch->lock);
    watched->deadline_ns = deadline_ns;
    watched->is_waiting = is_waiting;
    watched->since_ns = ws_clock_now_ns();
    (void)pthread_mutex_unlock(&watch->lock);
}

void ws_watch_remove(struct ws_watch *watch, struct ws_watched *watched)
{
    if (watched == NULL)
        return;
    (void)pthread_mutex_lock(&watch->lock);
    if (watched->previous != NULL)
        watched->previous->next = watched->next;
    else
        watch->first = watched->next;
    if (watched->next != NULL)
        watched->next->previous = watched->previous;
    watch->count--;
    (void)pthread_mutex_unlock(&watch->lock);
    free(watched);
}
