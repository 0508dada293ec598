#include "split/pool.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { IDLE_MAX = 16 }; /* connections kept for one node */

struct node {
    struct node *next;
    char *url;
    struct ws_remote *idle[IDLE_MAX];
    size_t idle_count, taken_count;
};

struct ws_pool {
    pthread_mutex_t lock;
    struct node *nodes;
};

int ws_pool_create(struct ws_pool **out, struct ws_error *err)
{
    struct ws_pool *pool = calloc(1, sizeof(*pool));
    if (pool == NULL)
        return ws_error_nomem(err);
    pthread_mutex_init(&pool->lock, NULL);
    *out = pool;
    return 0;
}

void ws_pool_destroy(struct ws_pool *pool)
{
    if (pool == NULL)
        return;
    while (pool->nodes != NULL) {
        struct node *node = pool->nodes;
        pool->nodes = node->next;
        for (size_t i = 0; i < node->idle_count; i++)
            ws_remote_close(node->idle[i]);
        free(node->url);
        free(node);
    }
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

/* NULL without memory. The caller locks. */
static struct node *node_of(struct ws_pool *pool, const char *url)
{
    struct node *node = pool->nodes;
    while (node != NULL && strcmp(node->url, url) != 0)
        node = node->next;
    if (node != NULL)
        return node;
    node = calloc(1, sizeof(*node));
    if (node == NULL || (node->url = strdup(url)) == NULL) {
        free(node);
        return NULL;
    }
    node->next = pool->nodes;
    pool->nodes = node;
    return node;
}

int ws_pool_has(struct ws_pool *pool, const char *url)
{
    pthread_mutex_lock(&pool->lock);
    const struct node *node = node_of(pool, url);
    int has = node != NULL && node->idle_count + node->taken_count > 0;
    pthread_mutex_unlock(&pool->lock);
    return has;
}

int ws_pool_take(struct ws_remote **out, struct ws_pool *pool,
                 const struct ws_remote_options *options, struct ws_error *err)
{
    struct ws_remote *remote = NULL;
    pthread_mutex_lock(&pool->lock);
    struct node *node = node_of(pool, options->url);
    if (node != NULL && node->idle_count > 0)
        remote = node->idle[--node->idle_count];
    if (node != NULL)
        node->taken_count++;
    pthread_mutex_unlock(&pool->lock);
    if (node == NULL)
        return ws_error_nomem(err);
    int rc = remote == NULL ? ws_remote_open(&remote, options, err)
                            : ws_remote_select(remote, options, err);
    if (rc == 0)
        *out = remote;
    else /* a model that is not there says nothing against the connection */
        ws_pool_give(pool, options->url, remote,
                     rc == WS_E_REMOTE || rc == WS_E_MISMATCH);
    return rc;
}

void ws_pool_give(struct ws_pool *pool, const char *url, struct ws_remote *remote,
                  int is_good)
{
    pthread_mutex_lock(&pool->lock);
    struct node *node = node_of(pool, url);
    node->taken_count--;
    if (is_good && remote != NULL && node->idle_count < IDLE_MAX) {
        node->idle[node->idle_count++] = remote;
        remote = NULL;
    }
    pthread_mutex_unlock(&pool->lock);
    ws_remote_close(remote);
}
