#include "split/optimised.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "base/parse.h"

/* The weights as the runtime wrote them, unaligned, and as sessions use them. */
#define RAW_MODEL       "model.onnx"
#define RAW_WEIGHTS     "weights.bin"
#define ALIGNED_MODEL   "aligned.onnx"
#define ALIGNED_WEIGHTS "aligned.bin"

/* The folder they lie in: DIR_PREFIX, the process's number, "-", six characters. */
#define DIR_PREFIX "wattshed-segments-"
enum { DIR_PARENT_MAX = 200 };

static char *in_dir(char *path, size_t size, const struct ws_optimised *optimised,
                    const char *name)
{
    (void)snprintf(path, size, "%s/%s", optimised->dir, name);
    return path;
}

static void remove_file(const struct ws_optimised *optimised, const char *name)
{
    char path[WS_OPTIMISED_PATH_MAX];
    unlink(in_dir(path, sizeof(path), optimised, name));
}

static void remove_all(const struct ws_optimised *optimised)
{
    static const char *const names[] = {RAW_MODEL, RAW_WEIGHTS, ALIGNED_MODEL,
                                        ALIGNED_WEIGHTS};
    if (optimised->dir[0] == '\0')
        return;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        remove_file(optimised, names[i]);
    rmdir(optimised->dir);
}

/* Removes what a process left behind that was killed: folders are named for theirs. */
static void sweep(const char *parent)
{
    struct dirent *entry;
    DIR *dir = opendir(parent);
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        struct ws_optimised left;
        char number[16];
        int64_t pid = 0;
        const char *from = entry->d_name + sizeof(DIR_PREFIX) - 1;
        if (strncmp(entry->d_name, DIR_PREFIX, sizeof(DIR_PREFIX) - 1) != 0)
            continue;
        (void)snprintf(number, sizeof(number), "%.*s", (int)strcspn(from, "-"), from);
        if (ws_parse_i64(&pid, number, 1, INT32_MAX, "process", NULL) != 0 ||
            kill((pid_t)pid, 0) == 0 || errno != ESRCH)
            continue;
        int length = snprintf(left.dir, sizeof(left.dir), "%s/%s", parent, entry->d_name);
        if (length > 0 && (size_t)length < sizeof(left.dir))
            remove_all(&left);
    }
    if (dir != NULL)
        closedir(dir);
}

static int make_dir(struct ws_optimised *optimised, struct ws_error *err)
{
    const char *parent = getenv("TMPDIR");
    if (parent == NULL || parent[0] == '\0' || strlen(parent) > DIR_PARENT_MAX)
        parent = "/tmp";
    sweep(parent);
    (void)snprintf(optimised->dir, sizeof(optimised->dir), "%s/" DIR_PREFIX "%d-XXXXXX",
                   parent, (int)getpid());
    if (mkdtemp(optimised->dir) != NULL)
        return 0;
    optimised->dir[0] = '\0';
    return ws_error_set_errno(err, WS_E_IO, errno, "create a directory in %s", parent);
}

/* Optimises at the highest level that the runtime accepts. */
static int run_optimiser(struct ws_optimised *optimised, const char *path,
                         enum ws_level level, struct ws_error *err)
{
    struct ws_error refusal = {0};
    int rc = ws_engine_optimise(optimised->engine, path, level, optimised->keep_layout,
                                optimised->dir, &refusal);
    if (rc != 0)
        (void)snprintf(optimised->note, sizeof(optimised->note),
                       "optimisation level %s refused (%.180s)", ws_level_name(level),
                       refusal.text);
    while (rc != 0 && level > WS_LEVEL_NONE) {
        level--;
        rc = ws_engine_optimise(optimised->engine, path, level, optimised->keep_layout,
                                optimised->dir, &refusal);
    }
    optimised->level = level;
    if (rc != 0)
        return ws_error_set(err, refusal.code, "%s", refusal.text);
    if (optimised->note[0] != '\0') {
        size_t used = strlen(optimised->note);
        (void)snprintf(optimised->note + used, sizeof(optimised->note) - used,
                       ", %s used", ws_level_name(level));
    } else if (optimised->keep_layout) {
        (void)snprintf(optimised->note, sizeof(optimised->note),
                       "quantised tensors keep their layout, or few cuts would survive");
    }
    return 0;
}

/* Rewrites what the optimiser wrote with every weight on a page border, opens that, and
 * removes the files: the mapping keeps the weights alive. */
static int open_aligned(struct ws_optimised *optimised, struct ws_error *err)
{
    char path[WS_OPTIMISED_PATH_MAX];
    struct ws_model *raw = NULL;
    struct ws_weights_file file = {0};
    int rc = ws_model_open(&raw, in_dir(path, sizeof(path), optimised, RAW_MODEL), err);
    if (rc == 0)
        rc = ws_model_rename_doubles(raw, err);
    if (rc == 0)
        rc = ws_weights_export(&file, raw, optimised->dir, ALIGNED_WEIGHTS, err);
    if (rc == 0)
        rc = ws_model_pack_file(in_dir(path, sizeof(path), optimised, ALIGNED_MODEL), raw,
                                &ws_model_proto(raw)->base, WS_WEIGHTS_FILE, &file, err);
    ws_weights_file_fini(&file);
    ws_model_close(raw);
    remove_file(optimised, RAW_MODEL);
    remove_file(optimised, RAW_WEIGHTS);
    if (rc == 0)
        rc = ws_model_open(&optimised->model,
                           in_dir(path, sizeof(path), optimised, ALIGNED_MODEL), err);
    remove_file(optimised, ALIGNED_MODEL);
    if (rc != 0)
        return ws_error_context(err, "optimised model");
    return ws_graph_create(&optimised->graph, optimised->model, err);
}

static int has_bodies(const struct ws_graph *graph)
{
    for (size_t n = 0; n < graph->node_count; n++) {
        const Onnx__NodeProto *node = graph->nodes[n].proto;
        for (size_t a = 0; a < node->n_attribute; a++) {
            if (node->attribute[a]->g != NULL || node->attribute[a]->n_graphs > 0)
                return 1;
        }
    }
    return 0;
}

/* Weights of the top level are handed to sessions, and the file that they name has only
 * to be there; those of control-flow bodies are read from it. */
static void drop_weights_file(struct ws_optimised *optimised)
{
    char path[WS_OPTIMISED_PATH_MAX];
    if (has_bodies(optimised->graph))
        return;
    remove_file(optimised, ALIGNED_WEIGHTS);
    int fd = open(in_dir(path, sizeof(path), optimised, ALIGNED_WEIGHTS),
                  O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
}

/* Whether the runtime reads back what it wrote: only control flow has been seen to fail.
 */
static int check_readable(struct ws_optimised *optimised, const struct ws_graph *original,
                          struct ws_error *err)
{
    struct ws_session *session = NULL;
    if (!has_bodies(optimised->graph))
        return 0;
    int rc =
        ws_optimised_session(&session, optimised, original->inputs, original->input_count,
                             original->outputs, original->output_count, err);
    ws_session_destroy(session);
    return rc;
}

static int create_rewritten(struct ws_optimised *optimised,
                            const struct ws_graph *original, const char *path,
                            enum ws_level level, struct ws_error *err)
{
    optimised->is_rewritten = 1;
    int rc = make_dir(optimised, err);
    if (rc == 0)
        rc = run_optimiser(optimised, path, level, err);
    if (rc == 0)
        rc = open_aligned(optimised, err);
    if (rc != 0)
        return rc;
    drop_weights_file(optimised);
    rc = ws_twins_create(&optimised->twins, original, optimised->graph, err);
    if (rc == 0)
        rc = ws_pack_create(&optimised->pack, optimised->engine, err);
    return rc == 0 ? check_readable(optimised, original, err) : rc;
}

/* The model as it is, each segment to be optimised by itself. */
static int create_plain(struct ws_optimised *optimised, const struct ws_graph *original,
                        const char *path, enum ws_level level, struct ws_error *err)
{
    optimised->level = level;
    (void)snprintf(optimised->note, sizeof(optimised->note),
                   "the runtime cannot read back what it optimised: segments are "
                   "optimised one by one");
    int rc = ws_model_open(&optimised->model, path, err);
    if (rc == 0)
        rc = ws_graph_create(&optimised->graph, optimised->model, err);
    if (rc == 0)
        rc = ws_twins_create(&optimised->twins, original, optimised->graph, err);
    return rc;
}

static void close_all(struct ws_optimised *optimised)
{
    ws_pack_destroy(optimised->pack);
    ws_twins_destroy(optimised->twins);
    ws_graph_destroy(optimised->graph);
    ws_model_close(optimised->model);
    remove_all(optimised);
}

int ws_optimised_create(struct ws_optimised **out, struct ws_engine *engine,
                        const struct ws_graph *original, const char *path,
                        enum ws_level level, int keep_layout, struct ws_error *err)
{
    struct ws_optimised *optimised = calloc(1, sizeof(*optimised));
    if (optimised == NULL)
        return ws_error_nomem(err);
    optimised->engine = engine;
    optimised->keep_layout = keep_layout;
    int rc = create_rewritten(optimised, original, path, level, err);
    if (rc == WS_E_RUNTIME && optimised->twins != NULL) {
        close_all(optimised);
        *optimised = (struct ws_optimised){.engine = engine, .keep_layout = keep_layout};
        rc = create_plain(optimised, original, path, level, err);
    }
    /* The optimiser's session held the whole model; the heap keeps what it freed. */
    malloc_trim(0);
    if (rc != 0) {
        ws_optimised_destroy(optimised);
        return rc;
    }
    *out = optimised;
    return 0;
}

void ws_optimised_destroy(struct ws_optimised *optimised)
{
    if (optimised == NULL)
        return;
    close_all(optimised);
    free(optimised);
}

/* The segment's weights that lie in the mapped file. */
static size_t views_of(struct ws_weight_view *out, const struct ws_model *model,
                       const struct ws_segment *segment)
{
    size_t count = 0;
    for (size_t i = 0; i < segment->weight_count; i++) {
        const struct ws_weight *weight = ws_model_weight(model, segment->weights[i]);
        if (weight->path == NULL || weight->data == NULL)
            continue;
        out[count++] = (struct ws_weight_view){
            .name = weight->name,
            .dtype = weight->dtype,
            .dims = weight->dims,
            .rank = weight->rank,
            .data = weight->data,
            .size_bytes = weight->size_bytes,
        };
    }
    return count;
}

/* Gives the mapped pages of the weights back to the kernel. Those that the runtime packed
 * are not touched again; the others come back from the page cache as they are used. */
static void release_pages(const struct ws_weight_view *views, size_t count)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    for (size_t i = 0; i < count; i++) {
        uintptr_t start = ((uintptr_t)views[i].data + page - 1) & ~(page - 1);
        uintptr_t end = ((uintptr_t)views[i].data + views[i].size_bytes) & ~(page - 1);
        if (end > start)
            (void)madvise((void *)start, end - start, MADV_DONTNEED);
    }
}

int ws_optimised_session(struct ws_session **out, struct ws_optimised *optimised,
                         const size_t *from, size_t from_count, const size_t *to,
                         size_t to_count, struct ws_error *err)
{
    struct ws_buf bytes;
    struct ws_segment *segment = NULL;
    struct ws_weight_view *views = NULL;
    size_t view_count = 0;
    ws_buf_init(&bytes, 0);
    int rc = ws_twins_segment(&bytes, &segment, optimised->twins, from, from_count, to,
                              to_count, err);
    if (rc == 0) {
        views = calloc(segment->weight_count + 1, sizeof(*views));
        rc = views == NULL ? ws_error_nomem(err) : 0;
    }
    if (rc == 0) {
        struct ws_session_source source = {
            .bytes = bytes.data,
            .size_bytes = bytes.size,
            .dir = ws_model_dir(optimised->model),
            .level = optimised->level,
            .keep_layout = optimised->keep_layout,
        };
        if (optimised->is_rewritten) {
            /* Optimised already: doing it again would only cost time. */
            view_count = views_of(views, optimised->model, segment);
            source.dir = optimised->dir;
            source.level = WS_LEVEL_NONE;
            source.weights = views;
            source.weight_count = view_count;
            source.pack = optimised->pack;
        }
        rc = ws_session_create(out, optimised->engine, &source, err);
        if (rc != 0 && source.pack != NULL) {
            /* Some kernels (of quantised convolutions) cannot share what they pack. */
            source.pack = NULL;
            rc = ws_session_create(out, optimised->engine, &source, err);
        }
        release_pages(views, view_count);
    }
    free(views);
    ws_segment_destroy(segment);
    ws_buf_fini(&bytes);
    return rc;
}
