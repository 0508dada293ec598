#include "check.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/file.h"
#include "onnx/npy.h"
#include "profile/labelled.h"

struct folder {
    char path[64];
};

static int setup(void **state)
{
    struct folder *folder = calloc(1, sizeof(*folder));
    (void)snprintf(folder->path, sizeof(folder->path), "/tmp/test_labelled.XXXXXX");
    *state = folder;
    return mkdtemp(folder->path) == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    struct folder *folder = *state;
    DIR *dir = opendir(folder->path);
    for (struct dirent *file = NULL; dir != NULL && (file = readdir(dir)) != NULL;)
        (void)unlinkat(dirfd(dir), file->d_name, 0);
    (void)closedir(dir);
    int rc = rmdir(folder->path);
    free(folder);
    return rc;
}

static void put(const struct folder *folder, const char *name, const void *bytes,
                size_t size)
{
    char path[160];
    (void)snprintf(path, sizeof(path), "%s/%s", folder->path, name);
    assert_int_equal(ws_file_write(path, bytes, size, NULL), 0);
}

static void put_npy(const struct folder *folder, const char *name, enum ws_dtype dtype,
                    const int64_t *dims, size_t rank, const void *bytes)
{
    char path[160];
    struct ws_tensor tensor;
    assert_int_equal(ws_tensor_init(&tensor, dtype, dims, rank, NULL), 0);
    memcpy(tensor.data, bytes, tensor.size_bytes);
    (void)snprintf(path, sizeof(path), "%s/%s", folder->path, name);
    assert_int_equal(ws_npy_save(path, &tensor, NULL), 0);
    ws_tensor_fini(&tensor);
}

static void put_gz(const struct folder *folder, const char *name, const void *bytes,
                   unsigned size)
{
    char path[160];
    (void)snprintf(path, sizeof(path), "%s/%s", folder->path, name);
    gzFile file = gzopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(gzwrite(file, bytes, size), size);
    assert_int_equal(gzclose(file), Z_OK);
}

static const unsigned char images[] = {0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2,  0,  0,
                                       0, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
static const unsigned char labels[] = {0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9};

static void test_idx(void **state)
{
    const struct folder *folder = *state;
    struct ws_labelled data;
    put_gz(folder, "t10k-images-idx3-ubyte.gz", images, sizeof(images));
    put(folder, "t10k-labels-idx1-ubyte", labels, sizeof(labels));
    assert_int_equal(ws_labelled_load(&data, folder->path, 2, NULL), 0);
    assert_int_equal(data.count, 2);
    assert_int_equal(data.samples.rank, 3);
    assert_int_equal(data.samples.dims[0], 2);
    assert_int_equal(data.samples.size_bytes, 8);
    assert_memory_equal(data.samples.data, images + 16, 8);
    assert_int_equal(data.labels[1], 8);
    char digest[WS_DIGEST_TEXT];
    memcpy(digest, data.digest, sizeof(digest));
    ws_labelled_fini(&data);
    /* The digest is of what was taken. */
    assert_int_equal(ws_labelled_load(&data, folder->path, 3, NULL), 0);
    assert_string_not_equal(digest, data.digest);
    ws_labelled_fini(&data);
}

static void test_cifar(void **state)
{
    const struct folder *folder = *state;
    static unsigned char records[2 * 3073];
    struct ws_labelled data;
    records[0] = 3;
    records[1] = 11;
    records[3073] = 5;
    put(folder, "batch.bin", records, sizeof(records));
    assert_int_equal(ws_labelled_load(&data, folder->path, 100, NULL), 0);
    assert_int_equal(data.count, 2);
    assert_int_equal(data.samples.dims[3], 32);
    assert_int_equal(((unsigned char *)data.samples.data)[0], 11);
    assert_int_equal(data.labels[0], 3);
    assert_int_equal(data.labels[1], 5);
    ws_labelled_fini(&data);
}

static void test_npy(void **state)
{
    const struct folder *folder = *state;
    const int64_t dims[] = {2, 3}, label_dims[] = {2};
    const float samples[] = {1, 2, 3, 4, 5, 6};
    const int64_t numbers[] = {1, 0};
    struct ws_labelled data;
    put_npy(folder, "inputs.npy", WS_DTYPE_FP32, dims, 2, samples);
    put_npy(folder, "labels.npy", WS_DTYPE_INT64, label_dims, 1, numbers);
    assert_int_equal(ws_labelled_load(&data, folder->path, 100, NULL), 0);
    assert_int_equal(data.count, 2);
    assert_int_equal(data.samples.dtype, WS_DTYPE_FP32);
    assert_int_equal(data.labels[0], 1);
    ws_labelled_fini(&data);
}

static void test_tensors(void **state)
{
    const struct folder *folder = *state;
    const int64_t dims[] = {3};
    const uint8_t one[] = {1, 2, 3}, two[] = {4, 5, 6};
    struct ws_labelled data;
    put_npy(folder, "000.npy", WS_DTYPE_UINT8, dims, 1, one);
    put_npy(folder, "001.npy", WS_DTYPE_UINT8, dims, 1, two);
    put(folder, "labels.txt", "4\n2\n", 4);
    assert_int_equal(ws_labelled_load(&data, folder->path, 100, NULL), 0);
    assert_int_equal(data.count, 2);
    assert_int_equal(data.samples.rank, 2);
    assert_memory_equal(data.samples.data, "\1\2\3\4\5\6", 6);
    assert_int_equal(data.labels[1], 2);
    ws_labelled_fini(&data);
}

/* What is wrong is named, whatever the form. */
static void test_bad_folders(void **state)
{
    static const struct {
        const char *names[2];
        struct {
            const void *bytes;
            size_t size;
        } files[2];
        int code;
        const char *says;
    } rows[] = {
        {{"readme.txt"}, {{"x", 1}}, WS_E_NOT_FOUND, "no labelled data"},
        {{"images-idx3", "labels-idx1"},
         {{"\0\0\10", 3}, {labels, sizeof(labels)}},
         WS_E_FORMAT,
         "no IDX file"},
        {{"images-idx3", "labels-idx1"},
         {{"\0\0\15\1\0\0\0\1\0\0\0\0", 12}, {labels, sizeof(labels)}},
         WS_E_UNSUPPORTED,
         "type 0x0d"},
        {{"images-idx3", "labels-idx1"},
         {{images, sizeof(images) - 1}, {labels, sizeof(labels)}},
         WS_E_FORMAT,
         "11 bytes of data, the header says 12"},
        {{"images-idx3", "labels-idx1"},
         {{images, sizeof(images)}, {"\0\0\10\1\0\0\0\2\1\1", 10}},
         WS_E_MISMATCH,
         "3 samples, labels-idx1: 2 labels"},
        {{"images-idx3", "labels-idx1"},
         {{"\0\0\10\1\377\377\377\377", 8}, {labels, sizeof(labels)}},
         WS_E_LIMIT,
         "a dimension of"},
        {{"images-idx3.gz", "labels-idx1"},
         {{"no gzip", 7}, {labels, sizeof(labels)}},
         WS_E_FORMAT,
         "images-idx3.gz"},
        {{"a.bin"}, {{"short", 5}}, WS_E_FORMAT, "no whole records of 3073"},
        {{"a.bin"}, {{"", 0}}, WS_E_FORMAT, "no samples"},
        {{"labels.txt"}, {{"1\n", 2}}, WS_E_MISMATCH, "more labels than files"},
        {{"labels.txt"}, {{"", 0}}, WS_E_FORMAT, "no samples"},
        {{"labels.npy", "x.npy"}, {{"no", 2}, {"no", 2}}, WS_E_FORMAT, ".npy"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct folder *folder = NULL;
        struct ws_labelled data;
        struct ws_error err = {0};
        assert_int_equal(setup((void **)&folder), 0);
        for (size_t f = 0; f < 2 && rows[i].names[f] != NULL; f++)
            put(folder, rows[i].names[f], rows[i].files[f].bytes, rows[i].files[f].size);
        int rc = ws_labelled_load(&data, folder->path, 100, &err);
        if (rc != rows[i].code || strstr(err.text, rows[i].says) == NULL)
            print_error("row %zu: %d \"%s\"\n", i, rc, err.text);
        assert_int_equal(rc, rows[i].code);
        assert_non_null(strstr(err.text, rows[i].says));
        void *done = folder;
        assert_int_equal(teardown(&done), 0);
    }
    struct ws_labelled data;
    assert_int_equal(ws_labelled_load(&data, "/nowhere", 1, NULL), WS_E_IO);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_idx, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cifar, setup, teardown),
        cmocka_unit_test_setup_teardown(test_npy, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tensors, setup, teardown),
        cmocka_unit_test(test_bad_folders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
