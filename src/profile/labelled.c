#include "profile/labelled.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/parse.h"
#include "onnx/npy.h"
#include "wire/encoding.h"

enum { FILES_MAX = 100000, CIFAR_PIXELS = 3 * 32 * 32, CIFAR_RECORD = 1 + CIFAR_PIXELS };

/* A folder's files by name, sorted. */
struct listing {
    const char *folder;
    char **names;
    size_t count;
};

static void listing_fini(struct listing *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->names[i]);
    free(list->names);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int list_folder(struct listing *out, const char *folder, struct ws_error *err)
{
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return ws_error_set_errno(err, WS_E_IO, errno, "%s", folder);
    struct listing list = {.folder = folder, .names = calloc(FILES_MAX, sizeof(char *))};
    int rc = list.names == NULL ? ws_error_nomem(err) : 0;
    for (struct dirent *file = NULL; rc == 0 && (file = readdir(dir)) != NULL;) {
        if (file->d_name[0] == '.')
            continue;
        if (list.count == FILES_MAX)
            rc = ws_error_set(err, WS_E_LIMIT, "%s: more than %d files", folder,
                              FILES_MAX);
        else if ((list.names[list.count] = strdup(file->d_name)) == NULL)
            rc = ws_error_nomem(err);
        else
            list.count++;
    }
    (void)closedir(dir);
    if (rc != 0) {
        listing_fini(&list);
        return rc;
    }
    qsort(list.names, list.count, sizeof(char *), by_name);
    *out = list;
    return 0;
}

static int ends_with(const char *name, const char *end)
{
    size_t length = strlen(name), wanted = strlen(end);
    return length >= wanted && strcmp(name + length - wanted, end) == 0;
}

/* The first file with both words in its name; NULL where there is none. */
static const char *find_file(const struct listing *list, const char *a, const char *b)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strstr(list->names[i], a) != NULL && strstr(list->names[i], b) != NULL)
            return list->names[i];
    }
    return NULL;
}

/* A file of the folder, unpacked where it ends in .gz. */
static int read_file(struct ws_buf *out, const struct listing *list, const char *name,
                     struct ws_error *err)
{
    struct ws_buf path, raw;
    ws_buf_init(&path, 0);
    ws_buf_init(&raw, 0);
    int rc = ws_buf_printf(&path, err, "%s/%s", list->folder, name);
    if (rc == 0)
        rc = ws_file_read(ends_with(name, ".gz") ? &raw : out, path.data, err);
    if (rc == 0 && ends_with(name, ".gz")) {
        rc = ws_encoding_decode(out, WS_ENCODING_GZIP, raw.data, raw.size,
                                WS_BUF_MAX_DEFAULT - 1, err);
        if (rc != 0)
            (void)ws_error_context(err, "%s", path.data);
    }
    ws_buf_fini(&raw);
    ws_buf_fini(&path);
    return rc;
}

/* Room for `count` samples of this type and shape. */
static int make_room(struct ws_labelled *data, enum ws_dtype dtype, const int64_t *dims,
                     size_t rank, size_t count, struct ws_error *err)
{
    int64_t all[WS_TENSOR_RANK_MAX] = {(int64_t)count};
    if (rank + 1 > WS_TENSOR_RANK_MAX)
        return ws_error_set(err, WS_E_TYPE, "samples of rank %zu", rank);
    memcpy(all + 1, dims, rank * sizeof(*dims));
    data->labels = calloc(count + 1, sizeof(*data->labels));
    data->count = count;
    return data->labels == NULL
               ? ws_error_nomem(err)
               : ws_tensor_init(&data->samples, dtype, all, rank + 1, err);
}

/* --- IDX -----------------------------------------------------------------------------
 */

/* The header of an IDX file of bytes: dims, and where the data starts. */
static int idx_header(int64_t *dims, size_t *out_rank, size_t *out_start,
                      const struct ws_buf *file, const char *name, struct ws_error *err)
{
    const unsigned char *bytes = (const unsigned char *)file->data;
    uint64_t count = 1;
    if (file->size < 4 || bytes[0] != 0 || bytes[1] != 0)
        return ws_error_set(err, WS_E_FORMAT, "%s: no IDX file", name);
    if (bytes[2] != 8)
        return ws_error_set(err, WS_E_UNSUPPORTED,
                            "%s: IDX of type 0x%02x, and only unsigned bytes (0x08) are "
                            "read",
                            name, bytes[2]);
    size_t rank = bytes[3], start = 4 + 4 * rank;
    if (rank < 1 || rank > 4 || file->size < start)
        return ws_error_set(err, WS_E_FORMAT, "%s: IDX of rank %zu", name, rank);
    for (size_t i = 0; i < rank; i++) {
        const unsigned char *at = bytes + 4 + 4 * i;
        dims[i] = (int64_t)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3];
        count *= (uint64_t)dims[i];
        if (dims[i] < 1 || count > WS_BUF_MAX_DEFAULT)
            return ws_error_set(err, WS_E_LIMIT, "%s: a dimension of %lld", name,
                                (long long)dims[i]);
    }
    if (file->size - start != count)
        return ws_error_set(err, WS_E_FORMAT,
                            "%s: %zu bytes of data, the header says %llu", name,
                            file->size - start, (unsigned long long)count);
    *out_rank = rank;
    *out_start = start;
    return 0;
}

static int load_idx(struct ws_labelled *data, const struct listing *list,
                    const char *images, const char *labels, size_t limit,
                    struct ws_error *err)
{
    struct ws_buf pixels, numbers;
    int64_t dims[4], label_dims[4];
    size_t rank = 0, start = 0, label_rank = 0, label_start = 0;
    ws_buf_init(&pixels, 0);
    ws_buf_init(&numbers, 0);
    int rc = read_file(&pixels, list, images, err);
    if (rc == 0)
        rc = read_file(&numbers, list, labels, err);
    if (rc == 0)
        rc = idx_header(dims, &rank, &start, &pixels, images, err);
    if (rc == 0)
        rc = idx_header(label_dims, &label_rank, &label_start, &numbers, labels, err);
    if (rc == 0 && (label_rank != 1 || label_dims[0] != dims[0]))
        rc = ws_error_set(err, WS_E_MISMATCH, "%s: %lld samples, %s: %lld labels", images,
                          (long long)dims[0], labels, (long long)label_dims[0]);
    size_t count = rc == 0 && (size_t)dims[0] < limit ? (size_t)dims[0] : limit;
    if (rc == 0)
        rc = make_room(data, WS_DTYPE_UINT8, dims + 1, rank - 1, count, err);
    if (rc == 0)
        memcpy(data->samples.data, pixels.data + start, data->samples.size_bytes);
    for (size_t i = 0; rc == 0 && i < count; i++)
        data->labels[i] = (unsigned char)numbers.data[label_start + i];
    ws_buf_fini(&pixels);
    ws_buf_fini(&numbers);
    return rc;
}

/* --- CIFAR ---------------------------------------------------------------------------
 */

static int load_cifar(struct ws_labelled *data, const struct listing *list, size_t limit,
                      struct ws_error *err)
{
    static const int64_t dims[] = {3, 32, 32};
    struct ws_buf all;
    ws_buf_init(&all, 0);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < list->count; i++) {
        size_t before = all.size;
        if (!ends_with(list->names[i], ".bin") && !ends_with(list->names[i], ".bin.gz"))
            continue;
        rc = read_file(&all, list, list->names[i], err);
        if (rc == 0 && (all.size - before) % CIFAR_RECORD != 0)
            rc = ws_error_set(err, WS_E_FORMAT,
                              "%s/%s: %zu bytes are no whole records of %d", list->folder,
                              list->names[i], all.size - before, CIFAR_RECORD);
    }
    size_t count = all.size / CIFAR_RECORD < limit ? all.size / CIFAR_RECORD : limit;
    if (rc == 0)
        rc = make_room(data, WS_DTYPE_UINT8, dims, 3, count, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        const char *record = all.data + i * CIFAR_RECORD;
        data->labels[i] = (unsigned char)record[0];
        memcpy((char *)data->samples.data + i * CIFAR_PIXELS, record + 1, CIFAR_PIXELS);
    }
    ws_buf_fini(&all);
    return rc;
}

/* --- NumPy ---------------------------------------------------------------------------
 */

static int open_npy(struct ws_npy *out, const struct listing *list, const char *name,
                    struct ws_error *err)
{
    struct ws_buf path;
    ws_buf_init(&path, 0);
    int rc = ws_buf_printf(&path, err, "%s/%s", list->folder, name);
    if (rc == 0)
        rc = ws_npy_open(out, path.data, err);
    ws_buf_fini(&path);
    return rc;
}

/* Element `index` of a tensor of whole numbers. */
static int label_at(int64_t *out, const struct ws_tensor *tensor, size_t index,
                    const char *name, struct ws_error *err)
{
    switch (tensor->dtype) {
    case WS_DTYPE_INT64:
        *out = ((const int64_t *)tensor->data)[index];
        return 0;
    case WS_DTYPE_INT32:
        *out = ((const int32_t *)tensor->data)[index];
        return 0;
    case WS_DTYPE_UINT8:
        *out = ((const uint8_t *)tensor->data)[index];
        return 0;
    default:
        return ws_error_set(err, WS_E_TYPE,
                            "%s: labels of type %s, expected INT64, INT32 or UINT8", name,
                            ws_dtype_name(tensor->dtype));
    }
}

static int load_npy(struct ws_labelled *data, const struct listing *list,
                    const char *inputs, const char *labels, size_t limit,
                    struct ws_error *err)
{
    struct ws_npy samples = {0}, numbers = {0};
    struct ws_tensor taken = {0};
    int rc = open_npy(&samples, list, inputs, err);
    if (rc == 0)
        rc = open_npy(&numbers, list, labels, err);
    if (rc == 0 &&
        (samples.rank < 1 || numbers.rank != 1 || samples.dims[0] != numbers.dims[0]))
        rc = ws_error_set(err, WS_E_MISMATCH,
                          "%s: %s and %s are not samples and a label "
                          "for each",
                          list->folder, inputs, labels);
    size_t count =
        rc == 0 && (size_t)samples.dims[0] < limit ? (size_t)samples.dims[0] : limit;
    if (rc == 0)
        rc = ws_npy_slice(&data->samples, &samples, 0, count, err);
    if (rc == 0)
        rc = ws_npy_slice(&taken, &numbers, 0, count, err);
    if (rc == 0 && (data->labels = calloc(count + 1, sizeof(*data->labels))) == NULL)
        rc = ws_error_nomem(err);
    data->count = count;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = label_at(&data->labels[i], &taken, i, labels, err);
    ws_tensor_fini(&taken);
    ws_npy_close(&samples);
    ws_npy_close(&numbers);
    return rc;
}

/* --- A folder of tensors -------------------------------------------------------------
 */

/* One whole number a line into `labels`; how many there are is *out_count. */
static int read_label_lines(int64_t *labels, size_t most, size_t *out_count,
                            const struct listing *list, struct ws_error *err)
{
    struct ws_buf text;
    size_t count = 0;
    ws_buf_init(&text, 0);
    int rc = read_file(&text, list, "labels.txt", err);
    for (char *at = text.data; rc == 0 && at != NULL && *at != '\0';) {
        size_t length = strcspn(at, "\r\n");
        char *next = at + length;
        next += strspn(next, "\r\n");
        at[length] = '\0';
        if (count == most)
            rc = ws_error_set(err, WS_E_MISMATCH, "%s/labels.txt: more labels than files",
                              list->folder);
        else
            rc = ws_parse_i64(&labels[count++], at, 0, INT32_MAX, "labels.txt", err);
        at = next;
    }
    ws_buf_fini(&text);
    *out_count = count;
    return rc;
}

static int take_tensor(struct ws_labelled *data, const struct listing *list,
                       const char *name, size_t at, size_t count, struct ws_error *err)
{
    struct ws_npy npy = {0};
    struct ws_tensor one = {0};
    int64_t *labels = data->labels;
    int rc = open_npy(&npy, list, name, err);
    if (rc == 0)
        rc = ws_npy_tensor(&one, &npy, err);
    if (rc == 0 && at == 0) {
        data->labels = NULL;
        rc = make_room(data, one.dtype, one.dims, one.rank, count, err);
        if (rc == 0)
            memcpy(data->labels, labels, count * sizeof(*labels));
        free(labels);
    }
    if (rc == 0 && (one.dtype != data->samples.dtype ||
                    one.size_bytes * count != data->samples.size_bytes))
        rc = ws_error_set(err, WS_E_MISMATCH,
                          "%s/%s: not of the type and shape of the "
                          "first",
                          list->folder, name);
    if (rc == 0 && one.size_bytes > 0)
        memcpy((char *)data->samples.data + at * one.size_bytes, one.data,
               one.size_bytes);
    ws_tensor_fini(&one);
    ws_npy_close(&npy);
    return rc;
}

static int load_tensors(struct ws_labelled *data, const struct listing *list,
                        size_t limit, struct ws_error *err)
{
    size_t files = 0, labelled = 0, at = 0;
    for (size_t i = 0; i < list->count; i++)
        files += ends_with(list->names[i], ".npy") ? 1 : 0;
    data->labels = calloc(files + 1, sizeof(*data->labels));
    int rc = data->labels == NULL
                 ? ws_error_nomem(err)
                 : read_label_lines(data->labels, files, &labelled, list, err);
    if (rc == 0 && labelled != files)
        rc = ws_error_set(err, WS_E_MISMATCH, "%s: %zu tensors and %zu labels",
                          list->folder, files, labelled);
    size_t count = files < limit ? files : limit;
    for (size_t i = 0; rc == 0 && i < list->count && at < count; i++) {
        if (ends_with(list->names[i], ".npy"))
            rc = take_tensor(data, list, list->names[i], at++, count, err);
    }
    return rc;
}

/* --- Interface -----------------------------------------------------------------------
 */

static int load(struct ws_labelled *data, const struct listing *list, size_t limit,
                struct ws_error *err)
{
    const char *images = find_file(list, "images", "idx");
    const char *labels = find_file(list, "labels", "idx");
    if (images != NULL && labels != NULL)
        return load_idx(data, list, images, labels, limit, err);
    if (find_file(list, "labels.txt", "") != NULL)
        return load_tensors(data, list, limit, err);
    labels = find_file(list, "label", ".npy");
    for (size_t i = 0; labels != NULL && i < list->count; i++) {
        if (list->names[i] != labels && ends_with(list->names[i], ".npy"))
            return load_npy(data, list, list->names[i], labels, limit, err);
    }
    if (find_file(list, ".bin", "") != NULL)
        return load_cifar(data, list, limit, err);
    return ws_error_set(err, WS_E_NOT_FOUND,
                        "%s: no labelled data: neither IDX files, nor .npy with labels, "
                        "nor CIFAR's .bin, nor tensors with labels.txt",
                        list->folder);
}

static int take_digest(struct ws_labelled *data, struct ws_error *err)
{
    struct ws_digest *digest = NULL;
    int rc = ws_digest_create(&digest, err);
    if (rc != 0)
        return rc;
    ws_digest_add_sized(digest, data->samples.data, data->samples.size_bytes);
    ws_digest_add_sized(digest, data->labels, data->count * sizeof(*data->labels));
    ws_digest_finish(data->digest, digest);
    ws_digest_destroy(digest);
    return 0;
}

int ws_labelled_load(struct ws_labelled *out, const char *folder, size_t limit,
                     struct ws_error *err)
{
    struct listing list;
    struct ws_labelled data = {0};
    int rc = list_folder(&list, folder, err);
    if (rc != 0)
        return rc;
    rc = load(&data, &list, limit, err);
    listing_fini(&list);
    if (rc == 0 && data.count == 0)
        rc = ws_error_set(err, WS_E_FORMAT, "%s: no samples", folder);
    if (rc == 0)
        rc = take_digest(&data, err);
    if (rc == 0)
        *out = data;
    else
        ws_labelled_fini(&data);
    return rc;
}

void ws_labelled_fini(struct ws_labelled *data)
{
    ws_tensor_fini(&data->samples);
    free(data->labels);
    *data = (struct ws_labelled){0};
}
