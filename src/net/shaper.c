#include "net/shaper.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rng.h"
#include "core/link.h"
#include "net/listen.h"

enum { UP, DOWN, DIRECTIONS };

/* Bytes on the link; size 0 is the end of the stream. */
struct chunk {
    struct chunk *next;
    int64_t due_ns; /* when it comes out at the other end */
    size_t size;
    size_t sent;
    char bytes[];
};

/* One direction of one connection. */
struct lane {
    struct chunk *head;
    struct chunk *tail;
    int64_t last_ns; /* due time of the tail, also once it is gone */
    int has_ended;   /* nothing more to read */
    int is_closed;   /* and the other end knows */
    int is_blocked;  /* the other end takes nothing now */
};

struct connection {
    int fds[DIRECTIONS]; /* fds[UP]: the client, where UP reads; fds[DOWN]: the target */
    struct lane lanes[DIRECTIONS];
    int64_t ready_ns; /* when a handshake over the link would be done */
    int is_connecting;
    enum { GOES_ON, HAS_ENDED, IS_BROKEN } state;
};

struct ws_shaper {
    struct ws_listen listen;
    struct addrinfo *target;
    pthread_t thread;
    int wake_fd;
    pthread_mutex_t lock;
    struct ws_conditions wanted; /* under the lock */
    atomic_int is_stopping;
    atomic_uint_fast64_t connection_count;
    atomic_uint_fast64_t bytes[DIRECTIONS];
    /* Of the thread alone. */
    struct ws_conditions link;
    double mbit_s; /* of `link`; infinite where not limited */
    struct ws_rng rng;
    struct connection *connections[WS_SHAPER_CONNS_MAX];
    size_t count;
    size_t turn;                       /* whose turn it is to read first */
    int64_t free_ns[DIRECTIONS];       /* when the link can take the next byte */
    int was_busy[DIRECTIONS];          /* it took bytes up to free_ns, see read_lane */
    uint64_t flight_bytes[DIRECTIONS]; /* in chunks */
    int64_t cut_ns;                    /* since when it is cut; 0: it is not */
};

/* --- Lanes ---------------------------------------------------------------------------
 */

static void push(struct ws_shaper *shaper, int way, struct lane *lane,
                 struct chunk *chunk, int64_t due_ns)
{
    /* Streams stay in order, whatever the jitter. */
    chunk->due_ns = due_ns > lane->last_ns ? due_ns : lane->last_ns;
    chunk->next = NULL;
    lane->last_ns = chunk->due_ns;
    if (lane->tail == NULL)
        lane->head = chunk;
    else
        lane->tail->next = chunk;
    lane->tail = chunk;
    shaper->flight_bytes[way] += chunk->size;
}

static void pop(struct ws_shaper *shaper, int way, struct lane *lane)
{
    struct chunk *chunk = lane->head;
    shaper->flight_bytes[way] -= chunk->size;
    lane->head = chunk->next;
    if (lane->head == NULL)
        lane->tail = NULL;
    free(chunk);
}

/* A millisecond's worth, so that connections take turns and a stream flows evenly. */
static size_t chunk_size(const struct ws_shaper *shaper)
{
    const double most = 65536;
    double size = shaper->mbit_s * 125;
    return (size_t)fmin(fmax(size, WS_LINK_PACKET_BYTES), most);
}

static double condition(const struct ws_shaper *shaper, enum ws_condition which)
{
    double value = 0;
    (void)ws_conditions_get(&value, &shaper->link, which);
    return value;
}

/* Delay, jitter and the stalls of what gets lost, for `size` bytes sent together. */
static int64_t draw_delay_ns(struct ws_shaper *shaper, size_t size)
{
    double jitter_ms = condition(shaper, WS_LINK_JITTER_MS);
    double loss = condition(shaper, WS_LINK_LOSS);
    double delay_ms = condition(shaper, WS_LINK_DELAY_MS);
    if (jitter_ms > 0)
        delay_ms += jitter_ms * (2 * ws_rng_uniform(&shaper->rng) - 1);
    size_t packets = (size + WS_LINK_PACKET_BYTES - 1) / WS_LINK_PACKET_BYTES;
    for (size_t i = 0; loss > 0 && i < packets; i++) {
        if (ws_rng_uniform(&shaper->rng) < loss)
            delay_ms += ws_link_stall_ms(&shaper->link, (double)(packets - i - 1));
    }
    return (int64_t)(fmax(delay_ms, 0) * 1e6);
}

/* A thread that wakes up later than this has lost rate for good. */
static const int64_t late_max_ns = 50000000;

/* Reads what the link takes now. 0, or -1 where the connection has broken. */
static int read_lane(struct ws_shaper *shaper, struct connection *connection, int way)
{
    struct lane *lane = &connection->lanes[way];
    size_t size = chunk_size(shaper);
    struct chunk *chunk = malloc(sizeof(*chunk) + size);
    if (chunk == NULL)
        return -1;
    ssize_t got = recv(connection->fds[way], chunk->bytes, size, 0);
    if (got < 0) {
        int is_later = errno == EAGAIN || errno == EINTR;
        free(chunk);
        return is_later ? 0 : -1;
    }
    chunk->size = (size_t)got;
    chunk->sent = 0;
    int64_t start_ns = ws_clock_now_ns();
    /* What was waiting when the link came free follows without a gap, if this thread woke
     * up late: else every chunk would cost a wake-up of rate. */
    if (shaper->was_busy[way] && start_ns - shaper->free_ns[way] < late_max_ns)
        start_ns = shaper->free_ns[way];
    int64_t end_ns = start_ns + (int64_t)((double)got * 8000 / shaper->mbit_s);
    if (got == 0)
        lane->has_ended = 1;
    shaper->free_ns[way] = end_ns;
    shaper->was_busy[way] = isfinite(shaper->mbit_s);
    atomic_fetch_add(&shaper->bytes[way], (uint64_t)got);
    push(shaper, way, lane, chunk, end_ns + draw_delay_ns(shaper, (size_t)got));
    return 0;
}

/* Hands over what is due. 0, or -1 where the connection has broken. */
static int deliver(struct ws_shaper *shaper, struct connection *connection, int way,
                   int64_t now_ns)
{
    struct lane *lane = &connection->lanes[way];
    int to = connection->fds[1 - way];
    lane->is_blocked = 0;
    while (lane->head != NULL && lane->head->due_ns <= now_ns) {
        struct chunk *chunk = lane->head;
        if (chunk->size == 0) {
            (void)shutdown(to, SHUT_WR);
            lane->is_closed = 1;
            pop(shaper, way, lane);
            continue;
        }
        ssize_t put =
            send(to, chunk->bytes + chunk->sent, chunk->size - chunk->sent, MSG_NOSIGNAL);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0 && errno != EAGAIN)
            return -1;
        lane->is_blocked = put < 0;
        if (put < 0)
            return 0;
        chunk->sent += (size_t)put;
        if (chunk->sent == chunk->size)
            pop(shaper, way, lane);
    }
    return 0;
}

/* --- Connections ---------------------------------------------------------------------
 */

/* A broken connection is reset at both ends. */
static void drop(struct ws_shaper *shaper, size_t index)
{
    struct connection *connection = shaper->connections[index];
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    for (int way = 0; way < DIRECTIONS; way++) {
        while (connection->lanes[way].head != NULL)
            pop(shaper, way, &connection->lanes[way]);
        if (connection->fds[way] < 0)
            continue;
        if (connection->state == IS_BROKEN)
            (void)setsockopt(connection->fds[way], SOL_SOCKET, SO_LINGER, &reset,
                             sizeof(reset));
        (void)close(connection->fds[way]);
    }
    free(connection);
    shaper->connections[index] = shaper->connections[--shaper->count];
}

static void prepare(int fd)
{
    const int on = 1;
    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static void accept_one(struct ws_shaper *shaper)
{
    int fd = accept4(shaper->listen.fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    struct connection *connection = calloc(1, sizeof(*connection));
    if (connection == NULL) {
        (void)close(fd);
        return;
    }
    prepare(fd);
    const struct addrinfo *target = shaper->target;
    connection->fds[UP] = fd;
    connection->fds[DOWN] = socket(target->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    connection->is_connecting = 1;
    connection->ready_ns =
        ws_clock_now_ns() + (int64_t)(2e6 * condition(shaper, WS_LINK_DELAY_MS));
    shaper->connections[shaper->count++] = connection;
    atomic_fetch_add(&shaper->connection_count, 1);
    prepare(connection->fds[DOWN]);
    if (connect(connection->fds[DOWN], target->ai_addr, target->ai_addrlen) != 0 &&
        errno != EINPROGRESS) {
        connection->state = IS_BROKEN;
        drop(shaper, shaper->count - 1);
    }
}

/* Whether the target has answered. */
static int finish_connecting(struct connection *connection)
{
    int error = 0;
    socklen_t size = sizeof(error);
    connection->is_connecting = 0;
    return getsockopt(connection->fds[DOWN], SOL_SOCKET, SO_ERROR, &error, &size) == 0 &&
           error == 0;
}

/* --- The loop ------------------------------------------------------------------------
 */

static int wants_bytes(const struct ws_shaper *shaper,
                       const struct connection *connection, int way)
{
    return !connection->lanes[way].has_ended && !connection->is_connecting &&
           shaper->flight_bytes[way] < WS_SHAPER_BYTES_MAX;
}

static void sooner(int64_t *until_ns, int64_t time_ns)
{
    if (time_ns < *until_ns)
        *until_ns = time_ns;
}

/* What to wait for at one connection, and until when at the latest. */
static void watch(struct pollfd *fds, int64_t *until_ns, const struct ws_shaper *shaper,
                  const struct connection *connection, int64_t now_ns)
{
    for (int way = 0; way < DIRECTIONS; way++) {
        const struct lane *lane = &connection->lanes[way];
        fds[way].fd = connection->fds[way];
        if (shaper->cut_ns != 0)
            continue;
        int64_t start_ns = shaper->free_ns[way];
        if (connection->ready_ns > start_ns)
            start_ns = connection->ready_ns;
        if (wants_bytes(shaper, connection, way) && start_ns <= now_ns)
            fds[way].events |= POLLIN;
        else if (wants_bytes(shaper, connection, way))
            sooner(until_ns, start_ns);
        if (lane->is_blocked)
            fds[1 - way].events |= POLLOUT;
        else if (lane->head != NULL)
            sooner(until_ns, lane->head->due_ns);
    }
    if (connection->is_connecting)
        fds[DOWN].events |= POLLOUT;
    for (int way = 0; way < DIRECTIONS; way++) {
        if (fds[way].events == 0)
            fds[way].fd = -1; /* or poll would report its end again and again */
    }
}

/* Takes over what ws_shaper_set asks for. */
static void update_link(struct ws_shaper *shaper, int64_t now_ns)
{
    uint64_t woken = 0;
    if (read(shaper->wake_fd, &woken, sizeof(woken)) < 0 && errno == EAGAIN)
        woken = 0;
    pthread_mutex_lock(&shaper->lock);
    shaper->link = shaper->wanted;
    pthread_mutex_unlock(&shaper->lock);
    shaper->mbit_s = INFINITY;
    (void)ws_conditions_get(&shaper->mbit_s, &shaper->link, WS_LINK_MBIT_S);
    if (shaper->mbit_s <= 0 && shaper->cut_ns == 0)
        shaper->cut_ns = now_ns;
    if (shaper->mbit_s <= 0 || shaper->cut_ns == 0)
        return;
    /* It is back: what was under way goes on from where it was. */
    int64_t gap_ns = now_ns - shaper->cut_ns;
    shaper->cut_ns = 0;
    shaper->free_ns[UP] += gap_ns;
    shaper->free_ns[DOWN] += gap_ns;
    for (size_t i = 0; i < shaper->count; i++) {
        for (int way = 0; way < DIRECTIONS; way++) {
            struct lane *lane = &shaper->connections[i]->lanes[way];
            lane->last_ns += gap_ns;
            for (struct chunk *chunk = lane->head; chunk != NULL; chunk = chunk->next)
                chunk->due_ns += gap_ns;
        }
    }
}

/* What can be done for one connection after a poll. */
static void serve(struct ws_shaper *shaper, struct connection *connection,
                  const struct pollfd *fds, int64_t now_ns)
{
    if (connection->is_connecting && fds[DOWN].revents != 0 &&
        !finish_connecting(connection))
        connection->state = IS_BROKEN;
    for (int way = 0; way < DIRECTIONS && shaper->cut_ns == 0; way++) {
        int can_read = (fds[way].events & POLLIN) != 0 && fds[way].revents != 0 &&
                       shaper->free_ns[way] <= now_ns;
        if ((can_read && read_lane(shaper, connection, way) != 0) ||
            deliver(shaper, connection, way, now_ns) != 0)
            connection->state = IS_BROKEN;
    }
    if (connection->state == GOES_ON && connection->lanes[UP].is_closed &&
        connection->lanes[DOWN].is_closed)
        connection->state = HAS_ENDED;
}

static void wait_for(struct pollfd *fds, size_t count, int64_t until_ns, int64_t now_ns)
{
    int64_t rest_ns = until_ns > now_ns ? until_ns - now_ns : 0;
    const struct timespec rest = {.tv_sec = (time_t)(rest_ns / 1000000000),
                                  .tv_nsec = (long)(rest_ns % 1000000000)};
    (void)ppoll(fds, count, until_ns == INT64_MAX ? NULL : &rest, NULL);
}

/* Where the link has just come free: whether somebody waited for that is what the next
 * poll tells at once. */
static int has_come_free(const struct ws_shaper *shaper, int way, int64_t now_ns)
{
    return shaper->was_busy[way] && shaper->free_ns[way] <= now_ns;
}

/* One round: wait, then do what can be done. */
static void go_round(struct ws_shaper *shaper, struct pollfd *fds)
{
    size_t count = shaper->count;
    int64_t now_ns = ws_clock_now_ns();
    int64_t until_ns = INT64_MAX;
    int64_t came_free_ns[DIRECTIONS] = {0};
    int accepts = shaper->cut_ns == 0 && count < WS_SHAPER_CONNS_MAX;
    memset(fds, 0, (2 + 2 * count) * sizeof(*fds));
    fds[0] = (struct pollfd){.fd = shaper->wake_fd, .events = POLLIN};
    fds[1] = (struct pollfd){.fd = accepts ? shaper->listen.fd : -1, .events = POLLIN};
    for (size_t i = 0; i < count; i++)
        watch(&fds[2 + 2 * i], &until_ns, shaper, shaper->connections[i], now_ns);
    for (int way = 0; way < DIRECTIONS; way++) {
        if (has_come_free(shaper, way, now_ns))
            came_free_ns[way] = until_ns = shaper->free_ns[way];
    }
    wait_for(fds, 2 + 2 * count, until_ns, now_ns);
    now_ns = ws_clock_now_ns();
    if (fds[0].revents != 0)
        update_link(shaper, now_ns);
    for (size_t k = 0; k < count; k++) {
        size_t i = (k + shaper->turn) % count;
        serve(shaper, shaper->connections[i], &fds[2 + 2 * i], now_ns);
    }
    shaper->turn++;
    for (size_t i = count; i > 0; i--) {
        if (shaper->connections[i - 1]->state != GOES_ON)
            drop(shaper, i - 1);
    }
    for (int way = 0; way < DIRECTIONS; way++) {
        if (came_free_ns[way] != 0 && shaper->free_ns[way] == came_free_ns[way])
            shaper->was_busy[way] = 0; /* nobody did */
    }
    if (fds[1].revents != 0)
        accept_one(shaper);
}

static void *run(void *user)
{
    struct ws_shaper *shaper = user;
    struct pollfd fds[2 + 2 * WS_SHAPER_CONNS_MAX];
    /* To sleep to the microsecond; the default rounds up by 50. */
    (void)prctl(PR_SET_TIMERSLACK, 1000UL);
    while (!atomic_load(&shaper->is_stopping))
        go_round(shaper, fds);
    while (shaper->count > 0)
        drop(shaper, shaper->count - 1);
    return NULL;
}

/* --- From outside --------------------------------------------------------------------
 */

static void wake(struct ws_shaper *shaper)
{
    const uint64_t one = 1;
    ssize_t put = write(shaper->wake_fd, &one, sizeof(one));
    (void)put; /* it fails only where it has been woken up already */
}

static int find_target(struct addrinfo **out, const char *target, struct ws_error *err)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    char host[256];
    const char *port = NULL;
    int rc = ws_listen_split(host, sizeof(host), &port, target, err);
    if (rc != 0)
        return rc;
    int status = getaddrinfo(host, port, &hints, out);
    return status == 0
               ? 0
               : ws_error_set(err, WS_E_USAGE, "%s: %s", target, gai_strerror(status));
}

static void discard(struct ws_shaper *shaper)
{
    ws_listen_close(&shaper->listen);
    if (shaper->target != NULL)
        freeaddrinfo(shaper->target);
    if (shaper->wake_fd >= 0)
        (void)close(shaper->wake_fd);
    (void)pthread_mutex_destroy(&shaper->lock);
    free(shaper);
}

int ws_shaper_start(struct ws_shaper **out, const struct ws_shaper_options *options,
                    struct ws_error *err)
{
    int rc = ws_link_check(&options->link, err);
    if (rc != 0)
        return rc;
    struct ws_shaper *shaper = calloc(1, sizeof(*shaper));
    if (shaper == NULL)
        return ws_error_nomem(err);
    shaper->listen.fd = -1;
    shaper->wanted = options->link;
    ws_rng_init(&shaper->rng, options->seed);
    (void)pthread_mutex_init(&shaper->lock, NULL);
    shaper->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (shaper->wake_fd < 0)
        rc = ws_error_set_errno(err, WS_E_IO, errno, "eventfd");
    if (rc == 0)
        rc = find_target(&shaper->target, options->target, err);
    if (rc == 0)
        rc = ws_listen_open(&shaper->listen, options->listen, !options->insecure, err);
    if (rc == 0) {
        (void)fcntl(shaper->listen.fd, F_SETFL, O_NONBLOCK);
        update_link(shaper, ws_clock_now_ns());
        int errnum = pthread_create(&shaper->thread, NULL, run, shaper);
        if (errnum != 0)
            rc = ws_error_set_errno(err, WS_E_IO, errnum, "start a thread");
    }
    if (rc == 0)
        *out = shaper;
    else
        discard(shaper);
    return rc;
}

int ws_shaper_set(struct ws_shaper *shaper, const struct ws_conditions *link,
                  struct ws_error *err)
{
    int rc = ws_link_check(link, err);
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&shaper->lock);
    ws_link_update(&shaper->wanted, link);
    pthread_mutex_unlock(&shaper->lock);
    wake(shaper);
    return 0;
}

int ws_shaper_port(const struct ws_shaper *shaper)
{
    return shaper->listen.port;
}

const char *ws_shaper_address(const struct ws_shaper *shaper)
{
    return shaper->listen.text;
}

void ws_shaper_count(struct ws_shaper_count *out, struct ws_shaper *shaper)
{
    out->connections = atomic_load(&shaper->connection_count);
    out->up_bytes = atomic_load(&shaper->bytes[UP]);
    out->down_bytes = atomic_load(&shaper->bytes[DOWN]);
}

void ws_shaper_stop(struct ws_shaper *shaper)
{
    if (shaper == NULL)
        return;
    atomic_store(&shaper->is_stopping, 1);
    wake(shaper);
    (void)pthread_join(shaper->thread, NULL);
    discard(shaper);
}
