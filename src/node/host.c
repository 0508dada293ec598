#include "node/host.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "onnx/codec.h"
#include "wire/oip.h"

struct entry { /* a stage that was made */
    struct entry *next;
    size_t cut;
    enum ws_codec codec;
    char *name;
    struct ws_stage *stage;
    struct ws_tally tally;
};

struct model {
    struct model *next;
    char *name;
    char *path;
    struct ws_splitter *splitter; /* NULL: not loaded */
    char digest[WS_DIGEST_TEXT];
    struct entry *entries;
    size_t entry_count;
    size_t pins;
    int is_stored;          /* its path is in the store */
    int64_t used_ns;        /* when its file was last marked as used */
    int is_leaving;         /* an unload waits for the pins */
    pthread_mutex_t making; /* held while a stage is looked for or made */
};

enum { STORED_NAME_MAX = 180 }; /* bytes: with its digest it is a file's name */
static const int64_t MARK_NS = (int64_t)60 * 1000000000; /* a use is marked that often */

struct ws_host {
    struct ws_host_options options;
    pthread_mutex_t lock; /* over the list, pins and entries; never held while loading */
    pthread_mutex_t loading; /* one load or unload at a time */
    pthread_cond_t unpinned;
    struct model *models;
    size_t model_count;
};

int ws_host_create(struct ws_host **out, const struct ws_host_options *options,
                   struct ws_error *err)
{
    struct ws_host *host = calloc(1, sizeof(*host));
    if (host == NULL)
        return ws_error_nomem(err);
    host->options = *options;
    (void)pthread_mutex_init(&host->lock, NULL);
    (void)pthread_mutex_init(&host->loading, NULL);
    (void)pthread_cond_init(&host->unpinned, NULL);
    int rc = options->store.dir != NULL ? ws_store_open(&options->store, err) : 0;
    if (rc != 0)
        ws_host_destroy(host);
    else
        *out = host;
    return rc;
}

static void free_model(struct model *model)
{
    if (model == NULL)
        return;
    (void)pthread_mutex_destroy(&model->making);
    free(model->name);
    free(model->path);
    free(model);
}

/* Whole models and segments alike; the model itself stays known. */
static void drop_contents(struct model *model)
{
    while (model->entries != NULL) {
        struct entry *next = model->entries->next;
        ws_stage_destroy(model->entries->stage);
        ws_tally_fini(&model->entries->tally);
        free(model->entries->name);
        free(model->entries);
        model->entries = next;
    }
    model->entry_count = 0;
    ws_splitter_destroy(model->splitter);
    model->splitter = NULL;
}

void ws_host_destroy(struct ws_host *host)
{
    if (host == NULL)
        return;
    while (host->models != NULL) {
        struct model *next = host->models->next;
        drop_contents(host->models);
        free_model(host->models);
        host->models = next;
    }
    (void)pthread_cond_destroy(&host->unpinned);
    (void)pthread_mutex_destroy(&host->loading);
    (void)pthread_mutex_destroy(&host->lock);
    free(host);
}

struct ws_engine *ws_host_engine(const struct ws_host *host)
{
    return host->options.engine;
}

static struct model *find_model(const struct ws_host *host, const char *name, size_t size)
{
    for (struct model *m = host->models; m != NULL; m = m->next) {
        if (strlen(m->name) == size && memcmp(m->name, name, size) == 0)
            return m;
    }
    return NULL;
}

/* Only `loading` is held: others may go on with what is loaded. */
static int load_model(struct ws_host *host, struct model *model, struct ws_error *err)
{
    struct ws_splitter *splitter = NULL;
    char digest[WS_DIGEST_TEXT] = "";
    int rc = ws_splitter_create(&splitter, host->options.engine, model->path,
                                &host->options.splitter, err);
    if (rc == 0)
        rc = ws_model_digest(digest, ws_splitter_graph(splitter)->model, err);
    if (rc != 0) {
        ws_splitter_destroy(splitter);
        return rc;
    }
    if (ws_splitter_note(splitter)[0] != '\0')
        ws_log(WS_LOG_WARNING, "%s: %s", model->name, ws_splitter_note(splitter));
    (void)pthread_mutex_lock(&host->lock);
    memcpy(model->digest, digest, sizeof(digest));
    model->splitter = splitter;
    (void)pthread_mutex_unlock(&host->lock);
    return 0;
}

static int make_model(struct model **out, const char *name, const char *path,
                      struct ws_error *err)
{
    struct model *model = calloc(1, sizeof(*model));
    if (model != NULL) {
        (void)pthread_mutex_init(&model->making, NULL);
        model->name = strdup(name);
        model->path = strdup(path);
    }
    if (model == NULL || model->name == NULL || model->path == NULL) {
        free_model(model);
        return ws_error_nomem(err);
    }
    *out = model;
    return 0;
}

/* `loading` is held. The model joins the list only once it is loaded. */
static int add_model(struct ws_host *host, const char *name, const char *path,
                     int is_stored, struct ws_error *err)
{
    struct model *model = NULL;
    if (host->model_count >= WS_NODE_MODELS_MAX)
        return ws_error_set(err, WS_E_LIMIT, "more than %d models", WS_NODE_MODELS_MAX);
    int rc = make_model(&model, name, path, err);
    if (rc != 0)
        return rc;
    model->is_stored = is_stored;
    rc = load_model(host, model, err);
    if (rc != 0) {
        free_model(model);
        return rc;
    }
    (void)pthread_mutex_lock(&host->lock);
    struct model **end = &host->models;
    while (*end != NULL)
        end = &(*end)->next;
    *end = model;
    host->model_count++;
    (void)pthread_mutex_unlock(&host->lock);
    return 0;
}

int ws_host_add(struct ws_host *host, const char *path, struct ws_error *err)
{
    char name[WS_NAME_MAX];
    ws_file_stem(name, sizeof(name), path);
    (void)pthread_mutex_lock(&host->loading);
    const struct model *other = find_model(host, name, strlen(name));
    int rc = other != NULL ? ws_error_set(err, WS_E_MISMATCH,
                                          "%s: there is a model \"%s\" already, %s", path,
                                          name, other->path)
                           : add_model(host, name, path, 0, err);
    (void)pthread_mutex_unlock(&host->loading);
    return rc;
}

/* A name from outside is a file's stem and nothing more. */
static int is_plain_name(const char *name)
{
    return name[0] != '\0' && name[0] != '.' && strchr(name, '/') == NULL &&
           strlen(name) < 200;
}

static int no_model(const char *name, struct ws_error *err)
{
    return ws_error_set(err, WS_E_NOT_FOUND, "no model \"%.200s\"", name);
}

/* Forgets what is loaded of a model, once nobody uses it any more. `loading` is held. */
static void unload(struct ws_host *host, struct model *model)
{
    (void)pthread_mutex_lock(&host->lock);
    model->is_leaving = 1;
    while (model->pins > 0)
        (void)pthread_cond_wait(&host->unpinned, &host->lock);
    drop_contents(model);
    model->is_leaving = 0;
    (void)pthread_mutex_unlock(&host->lock);
}

static int other_digest(const char *name, const char *digest, struct ws_error *err)
{
    return ws_error_set(err, WS_E_NOT_FOUND, "model \"%.200s\" here has not digest %.64s",
                        name, digest);
}

/* A model that is known, from where it was; one of the store can be replaced by another
 * of its name. */
static int load_known(struct ws_host *host, struct model *model, const char *digest,
                      struct ws_error *err)
{
    char path[WS_STORE_PATH_MAX];
    int rc = 0;
    if (model->is_stored) {
        rc = ws_store_find(path, &host->options.store, model->name, digest, err);
        if (rc == 0 && strcmp(path, model->path) != 0) {
            char *copy = strdup(path);
            if (copy == NULL)
                return ws_error_nomem(err);
            unload(host, model);
            free(model->path);
            model->path = copy;
        }
    }
    if (rc == 0 && model->splitter == NULL)
        rc = load_model(host, model, err);
    if (rc == 0 && digest[0] != '\0' && strcmp(digest, model->digest) != 0)
        rc = other_digest(model->name, digest, err);
    return rc;
}

/* A model that is not known yet. */
static int load_new(struct ws_host *host, const char *name, const char *digest,
                    struct ws_error *err)
{
    char path[WS_STORE_PATH_MAX];
    const struct ws_host_options *options = &host->options;
    if (!is_plain_name(name))
        return no_model(name, err);
    int length = snprintf(path, sizeof(path), "%s/%s.onnx",
                          options->repository != NULL ? options->repository : "", name);
    if (options->repository != NULL && length < (int)sizeof(path) &&
        access(path, R_OK) == 0) {
        int rc = add_model(host, name, path, 0, err);
        const struct model *model = rc == 0 ? find_model(host, name, strlen(name)) : NULL;
        if (model != NULL && digest[0] != '\0' && strcmp(digest, model->digest) != 0)
            rc = other_digest(name, digest, err);
        return rc;
    }
    if (options->store.dir == NULL)
        return no_model(name, err);
    int rc = ws_store_find(path, &options->store, name, digest, err);
    return rc == 0 ? add_model(host, name, path, 1, err) : rc;
}

static int load_any(struct ws_host *host, const char *name, const char *digest,
                    struct ws_error *err)
{
    struct model *model = find_model(host, name, strlen(name));
    return model != NULL ? load_known(host, model, digest, err)
                         : load_new(host, name, digest, err);
}

int ws_host_load(struct ws_host *host, const char *name, const char *digest,
                 struct ws_error *err)
{
    (void)pthread_mutex_lock(&host->loading);
    int rc = load_any(host, name, digest, err);
    (void)pthread_mutex_unlock(&host->loading);
    return rc;
}

/* A file of the store is about to go: so does what is loaded of it. */
static void evict(void *user, const char *path)
{
    struct ws_host *host = user;
    for (struct model *m = host->models; m != NULL; m = m->next) {
        if (strcmp(m->path, path) == 0)
            unload(host, m);
    }
}

/* What the runtime does not take is the sender's fault, and need not be kept. */
static int reject(const char *path, const char *name, struct ws_error *err)
{
    (void)unlink(path);
    if (err != NULL)
        err->code = WS_E_FORMAT;
    (void)ws_error_context(err, "the model \"%s\" that was sent", name);
    return WS_E_FORMAT;
}

int ws_host_upload(struct ws_host *host, const char *name, const char *digest,
                   const uint8_t *bytes, size_t size, struct ws_error *err)
{
    char path[WS_STORE_PATH_MAX];
    if (host->options.store.dir == NULL)
        return ws_error_set(err, WS_E_UNSUPPORTED,
                            "this node keeps no models of clients: start it with "
                            "--store");
    if (!is_plain_name(name) || strlen(name) > STORED_NAME_MAX)
        return ws_error_set(err, WS_E_FORMAT, "\"%.200s\" is no name for a model", name);
    (void)pthread_mutex_lock(&host->loading);
    const struct model *model = find_model(host, name, strlen(name));
    int rc = model != NULL && !model->is_stored
                 ? ws_error_set(err, WS_E_MISMATCH,
                                "\"%s\" is a model of this node's own, not to be "
                                "replaced",
                                name)
                 : ws_store_add(path, &host->options.store, name, digest, bytes, size,
                                evict, host, err);
    if (rc == 0) {
        rc = load_any(host, name, digest, err);
        if (rc == WS_E_RUNTIME)
            rc = reject(path, name, err);
    }
    (void)pthread_mutex_unlock(&host->loading);
    return rc;
}

int ws_host_unload(struct ws_host *host, const char *name, struct ws_error *err)
{
    (void)pthread_mutex_lock(&host->loading);
    struct model *model = find_model(host, name, strlen(name));
    if (model != NULL)
        unload(host, model);
    (void)pthread_mutex_unlock(&host->loading);
    return model == NULL ? no_model(name, err) : 0;
}

/* NAME, or NAME~CUT~CODEC; a model whose own name looks like that comes first. */
static struct model *find_named(const struct ws_host *host, const char *name,
                                const char **cut, const char **codec)
{
    *cut = *codec = NULL;
    struct model *model = find_model(host, name, strlen(name));
    const char *last = strrchr(name, '~');
    if (model != NULL || last == NULL || last == name)
        return model;
    const char *first = last - 1;
    while (first > name && *first != '~')
        first--;
    *cut = first + 1;
    *codec = last + 1;
    return find_model(host, name, (size_t)(first - name));
}

/* What a name asks for, as numbers. */
static int resolve(size_t *out_cut, enum ws_codec *out_codec, const struct model *model,
                   const char *cut, const char *codec, struct ws_error *err)
{
    char text[WS_NAME_MAX];
    *out_cut = 0;
    *out_codec = WS_CODEC_NONE;
    if (cut == NULL)
        return 0;
    (void)snprintf(text, sizeof(text), "%.*s", (int)(codec - 1 - cut), cut);
    int rc = ws_cuts_find(out_cut, ws_splitter_cuts(model->splitter), text, err);
    if (rc == 0)
        rc = ws_codec_find(out_codec, codec, err);
    /* Whatever is wrong with the name, there is no model under it. */
    return rc == 0 ? 0
                   : ws_error_set(err, WS_E_NOT_FOUND,
                                  "no segment \"%s~%.200s\": no such "
                                  "natural cut or codec",
                                  model->name, cut);
}

static struct entry *find_entry(const struct model *model, size_t cut,
                                enum ws_codec codec)
{
    for (struct entry *e = model->entries; e != NULL; e = e->next) {
        if (e->cut == cut && e->codec == codec)
            return e;
    }
    return NULL;
}

/* The protocol carries tensors of its own types and nothing else. */
static int check_port(const struct ws_stage_port *port, struct ws_error *err)
{
    if (!port->is_tensor)
        return ws_error_set(err, WS_E_UNSUPPORTED,
                            "\"%s\" is no tensor, and only tensors cross the network",
                            port->name);
    if (!ws_oip_dtype_is_known(port->dtype))
        return ws_error_set(err, WS_E_UNSUPPORTED,
                            "\"%s\" is %s, which the protocol does not have", port->name,
                            ws_dtype_name(port->dtype));
    return 0;
}

static int make_entry(struct entry **out, struct model *model, size_t cut,
                      enum ws_codec codec, struct ws_error *err)
{
    char name[WS_NAME_MAX];
    const struct ws_cuts *cuts = ws_splitter_cuts(model->splitter);
    if (model->entry_count >= WS_NODE_STAGES_MAX)
        return ws_error_set(err, WS_E_LIMIT, "more than %d segments of one model",
                            WS_NODE_STAGES_MAX);
    struct entry *entry = calloc(1, sizeof(*entry));
    if (entry == NULL)
        return ws_error_nomem(err);
    if (cut == 0 && codec == WS_CODEC_NONE)
        (void)snprintf(name, sizeof(name), "%s", model->name);
    else
        (void)snprintf(name, sizeof(name), "%s~%s~%s", model->name, cuts->cuts[cut].id,
                       ws_codec_name(codec));
    entry->cut = cut;
    entry->codec = codec;
    entry->name = strdup(name);
    int rc = entry->name == NULL ? ws_error_nomem(err)
                                 : ws_stage_create(&entry->stage, model->splitter, cut,
                                                   codec, NULL, WS_STAGE_TAIL, err);
    for (size_t i = 0; rc == 0 && i < ws_stage_input_count(entry->stage); i++)
        rc = check_port(ws_stage_input(entry->stage, i), err);
    for (size_t i = 0; rc == 0 && i < ws_stage_output_count(entry->stage); i++)
        rc = check_port(ws_stage_output(entry->stage, i), err);
    if (rc != 0) {
        ws_stage_destroy(entry->stage);
        free(entry->name);
        free(entry);
        return rc;
    }
    ws_tally_init(&entry->tally);
    *out = entry;
    return 0;
}

/* The model is pinned. Makes the stage where it is not there yet. */
static int find_or_make(struct entry **out, struct ws_host *host, struct model *model,
                        const char *cut_text, const char *codec_text,
                        struct ws_error *err)
{
    size_t cut = 0;
    enum ws_codec codec = WS_CODEC_NONE;
    int rc = resolve(&cut, &codec, model, cut_text, codec_text, err);
    if (rc != 0)
        return rc;
    /* One stage of a model is made at a time, and whoever waited finds it made. */
    (void)pthread_mutex_lock(&model->making);
    struct entry *entry = find_entry(model, cut, codec);
    if (entry == NULL) {
        rc = make_entry(&entry, model, cut, codec, err);
        (void)pthread_mutex_lock(&host->lock);
        if (rc == 0) {
            entry->next = model->entries;
            model->entries = entry;
            model->entry_count++;
        }
        (void)pthread_mutex_unlock(&host->lock);
    }
    (void)pthread_mutex_unlock(&model->making);
    if (rc == 0)
        *out = entry;
    return rc;
}

static void unpin(struct ws_host *host, struct model *model)
{
    (void)pthread_mutex_lock(&host->lock);
    if (--model->pins == 0)
        (void)pthread_cond_broadcast(&host->unpinned);
    (void)pthread_mutex_unlock(&host->lock);
}

int ws_host_acquire(struct ws_host_use *out, struct ws_host *host, const char *name,
                    struct ws_error *err)
{
    const char *cut = NULL, *codec = NULL;
    struct entry *entry = NULL;
    (void)pthread_mutex_lock(&host->lock);
    struct model *model = find_named(host, name, &cut, &codec);
    int rc = 0;
    if (model == NULL)
        rc = no_model(name, err);
    else if (model->splitter == NULL || model->is_leaving)
        rc = ws_error_set(err, WS_E_BUSY, "model \"%s\" is not loaded", model->name);
    else
        model->pins++;
    if (rc == 0 && model->is_stored && ws_clock_now_ns() - model->used_ns > MARK_NS) {
        model->used_ns = ws_clock_now_ns();
        ws_store_touch(model->path);
    }
    (void)pthread_mutex_unlock(&host->lock);
    if (rc != 0)
        return rc;
    rc = find_or_make(&entry, host, model, cut, codec, err);
    if (rc != 0) {
        unpin(host, model);
        return rc;
    }
    *out = (struct ws_host_use){.stage = entry->stage,
                                .tally = &entry->tally,
                                .digest = model->digest,
                                .model = model};
    return 0;
}

void ws_host_release(struct ws_host *host, struct ws_host_use *use)
{
    if (use->model != NULL)
        unpin(host, use->model);
    *use = (struct ws_host_use){0};
}

/* Files of the repository that are no models of the list yet. */
static int each_file(struct ws_host *host, ws_host_model_fn visit, void *user,
                     struct ws_error *err)
{
    DIR *dir =
        host->options.repository == NULL ? NULL : opendir(host->options.repository);
    if (dir == NULL)
        return 0;
    int rc = 0;
    const struct dirent *file;
    while (rc == 0 && (file = readdir(dir)) != NULL) {
        char name[WS_NAME_MAX];
        size_t size = strlen(file->d_name);
        if (size < 6 || strcmp(file->d_name + size - 5, ".onnx") != 0)
            continue;
        ws_file_stem(name, sizeof(name), file->d_name);
        if (is_plain_name(name) && find_model(host, name, strlen(name)) == NULL)
            rc = visit(user, name, 0, err);
    }
    (void)closedir(dir);
    return rc;
}

/* What a visit of the store's names needs to go on to the caller's. */
struct stored_visit {
    struct ws_host *host;
    ws_host_model_fn visit;
    void *user;
};

static int visit_stored(void *user, const char *name, struct ws_error *err)
{
    const struct stored_visit *to = user;
    return find_model(to->host, name, strlen(name)) == NULL
               ? to->visit(to->user, name, 0, err)
               : 0;
}

int ws_host_each_model(struct ws_host *host, ws_host_model_fn visit, void *user,
                       struct ws_error *err)
{
    struct stored_visit stored = {host, visit, user};
    int rc = 0;
    (void)pthread_mutex_lock(&host->lock);
    for (const struct model *m = host->models; rc == 0 && m != NULL; m = m->next)
        rc = visit(user, m->name, m->splitter != NULL && !m->is_leaving, err);
    if (rc == 0)
        rc = each_file(host, visit, user, err);
    if (rc == 0 && host->options.store.dir != NULL)
        rc = ws_store_each(&host->options.store, visit_stored, &stored, err);
    (void)pthread_mutex_unlock(&host->lock);
    return rc;
}

int ws_host_each_stage(struct ws_host *host, ws_host_stage_fn visit, void *user,
                       struct ws_error *err)
{
    int rc = 0;
    (void)pthread_mutex_lock(&host->lock);
    for (const struct model *m = host->models; rc == 0 && m != NULL; m = m->next) {
        for (struct entry *e = m->entries; rc == 0 && e != NULL; e = e->next)
            rc = visit(user, e->name, &e->tally, err);
    }
    (void)pthread_mutex_unlock(&host->lock);
    return rc;
}
