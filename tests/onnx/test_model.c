/* Opening models: where weights may lie, what is refused and how, what is held. */
#include "check.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "onnx/build.h"
#include "onnx/graph.h"
#include "raw_proto.h"

static const char *seed_folder(void)
{
    static char path[4096];
    const char *root = getenv("WS_SOURCE_ROOT");
    (void)snprintf(path, sizeof(path), "%s/fuzz/corpus/onnx", root != NULL ? root : ".");
    return path;
}

/* ---- refusals ---- */

static void test_open_refusals_table(void **state)
{
    (void)state;
    static const struct {
        const char *seed;
        int code;
        const char *says;
    } rows[] = {
        {"empty", WS_E_FORMAT, "without a graph"},
        {"text", WS_E_FORMAT, "not an ONNX model"},
        {"truncated", WS_E_FORMAT, "not an ONNX model"},
        {"length-too-long", WS_E_FORMAT, "34359738367"},
        {"group", WS_E_FORMAT, "wire type 3"},
        {"no-graph", WS_E_FORMAT, "without a graph"},
        {"graph-twice", WS_E_FORMAT, "ModelProto.graph"},
        {"cycle", WS_E_FORMAT, "a cycle goes through tensor \""},
        {"made-twice", WS_E_FORMAT, "\"y\" is made twice"},
        {"dangling", WS_E_FORMAT, "reads tensor \"ghost\""},
        {"no-such-output", WS_E_FORMAT, "nothing makes the output \"y\""},
        {"deep-bodies", WS_E_LIMIT, "deeper than"},
        {"deep-type", WS_E_LIMIT, "deeper than"},
        {"nameless-sparse", WS_E_FORMAT, "without a name"},
        {"short-weight", WS_E_FORMAT, "tensor \"w\": 15 bytes where its shape needs 16"},
        {"huge-weight", WS_E_LIMIT, "tensor \"w\""},
        {"negative-dim", WS_E_TYPE, "tensor \"w\": dimension 0 is -4"},
        {"external-outside", WS_E_FORMAT, "leaves the model's folder"},
        {"external-absolute", WS_E_FORMAT, "not a relative path"},
        {"external-beyond", WS_E_IO, "(memory)"},
        {"external-offset", WS_E_LIMIT, "offset: -1"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ws_error err = {0};
        struct ws_model *model = NULL;
        struct ws_graph *graph = NULL;
        char path[4200];
        (void)snprintf(path, sizeof(path), "%s/%s.onnx", seed_folder(), rows[i].seed);
        int code = ws_model_open(&model, path, &err);
        if (code == 0)
            code = ws_graph_create(&graph, model, &err);
        /* The line names the file and says what is wrong with it. */
        if (code != rows[i].code || strstr(err.text, rows[i].says) == NULL ||
            strstr(err.text, rows[i].seed) == NULL)
            fail_msg("%s: code %d, \"%s\"", rows[i].seed, code, err.text);
        ws_graph_destroy(graph);
        ws_model_close(model);
    }
}

static void test_open_no_file(void **state)
{
    (void)state;
    struct ws_error err = {0};
    struct ws_model *model = NULL;
    assert_int_equal(ws_model_open(&model, "/no/such.onnx", &err), WS_E_IO);
    assert_string_equal(err.text, "open /no/such.onnx: No such file or directory");
    assert_int_equal(ws_model_open(&model, "/", &err), WS_E_IO);
    assert_null(model);
}

/* ---- where weights lie ---- */

struct folder {
    char path[64];
};

static struct folder folder_create(void)
{
    struct folder folder = {.path = "/tmp/wattshed-test-XXXXXX"};
    assert_non_null(mkdtemp(folder.path));
    return folder;
}

static const char *in_folder(const struct folder *folder, const char *name)
{
    static char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", folder->path, name);
    return path;
}

static void folder_remove(struct folder *folder)
{
    static const char *const names[] = {
        "inline.onnx", "external.onnx", "w.bin",           "typed.onnx",
        "big.onnx",    "sub/link.bin",  "sub/escapes.onnx"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        (void)unlink(in_folder(folder, names[i]));
    (void)rmdir(in_folder(folder, "sub"));
    assert_int_equal(rmdir(folder->path), 0);
}

enum { ROWS = 300, COLUMNS = 4 }; /* 4800 bytes: more than stays in the skeleton */

static const float *some_weights(void)
{
    static float weights[ROWS * COLUMNS];
    for (size_t i = 0; i < ROWS * COLUMNS; i++)
        weights[i] = (float)i / 7;
    return weights;
}

enum place { PLACE_RAW, PLACE_TYPED, PLACE_EXTERNAL };

/* y = x * w; the weight as raw bytes, as float_data, or in w.bin at byte 8. */
static void write_model(const char *path, enum place place, const char *location)
{
    Onnx__StringStringEntryProto entries[2], *list[2] = {&entries[0], &entries[1]};
    char where[] = "location", offset[] = "offset", eight[] = "8";
    struct ws_builder *b = NULL;
    struct ws_buf buf;
    assert_int_equal(ws_builder_create(&b, "g", 17, NULL), 0);
    ws_builder_input(b, "x", WS_DTYPE_FP32, (const int64_t[]){1, ROWS}, 2);
    ws_builder_output(b, "y", WS_DTYPE_FP32, (const int64_t[]){1, COLUMNS}, 2);
    ws_builder_weight(b, "w", WS_DTYPE_FP32, (const int64_t[]){ROWS, COLUMNS}, 2,
                      some_weights());
    ws_builder_node(b, "MatMul", "m", (const char *[]){"x", "w", NULL},
                    (const char *[]){"y", NULL});
    ws_buf_init(&buf, 0);
    assert_int_equal(ws_builder_pack(&buf, b, NULL), 0);
    ws_builder_destroy(b);

    Onnx__ModelProto *model =
        onnx__model_proto__unpack(NULL, buf.size, (const uint8_t *)buf.data);
    Onnx__TensorProto *w = model->graph->initializer[0];
    Onnx__TensorProto whole = *w;
    if (place != PLACE_RAW) {
        w->has_raw_data = 0;
        w->raw_data = (ProtobufCBinaryData){0};
    }
    if (place == PLACE_TYPED) {
        w->n_float_data = ROWS * COLUMNS;
        w->float_data = (float *)(void *)whole.raw_data.data;
    }
    if (place == PLACE_EXTERNAL) {
        onnx__string_string_entry_proto__init(&entries[0]);
        onnx__string_string_entry_proto__init(&entries[1]);
        entries[0].key = where;
        entries[0].value = (char *)(uintptr_t)location;
        entries[1].key = offset;
        entries[1].value = eight;
        w->n_external_data = 2;
        w->external_data = list;
        w->has_data_location = 1;
        w->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    }
    ws_buf_clear(&buf);
    size_t size = onnx__model_proto__get_packed_size(model);
    assert_int_equal(ws_buf_reserve(&buf, size, NULL), 0);
    (void)onnx__model_proto__pack(model, (uint8_t *)buf.data);
    *w = whole;
    onnx__model_proto__free_unpacked(model, NULL);
    assert_int_equal(ws_file_write(path, buf.data, size, NULL), 0);
    ws_buf_fini(&buf);
}

static void write_external_file(const char *path)
{
    struct ws_writer *writer = NULL;
    assert_int_equal(ws_writer_open(&writer, path, NULL), 0);
    assert_int_equal(ws_writer_add(writer, "8 bytes.", 8, NULL), 0);
    assert_int_equal(
        ws_writer_add(writer, some_weights(), ROWS * COLUMNS * sizeof(float), NULL), 0);
    assert_int_equal(ws_writer_commit(writer, NULL), 0);
}

/* Opens, checks the weight, and gives the digest. */
static void check_weight(char digest[static WS_DIGEST_TEXT], const char *path)
{
    struct ws_error err = {0};
    struct ws_model *model = NULL;
    if (ws_model_open(&model, path, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(ws_model_weight_count(model), 1);
    const struct ws_weight *w = ws_model_weight(model, 0);
    assert_string_equal(w->name, "w");
    assert_int_equal(w->dtype, WS_DTYPE_FP32);
    assert_int_equal(w->size_bytes, ROWS * COLUMNS * sizeof(float));
    assert_memory_equal(w->data, some_weights(), w->size_bytes);
    /* It lies in a file, and the file has it there. */
    struct ws_map map;
    assert_non_null(w->path);
    assert_int_equal(ws_map_open(&map, w->path, 0, NULL), 0);
    assert_memory_equal(map.data + w->offset, w->data, w->size_bytes);
    ws_map_close(&map);
    /* The skeleton says the same as external data and holds no copy. */
    const Onnx__TensorProto *tensor = ws_model_proto(model)->graph->initializer[0];
    assert_false(tensor->has_raw_data);
    assert_int_equal(tensor->n_float_data, 0);
    assert_int_equal(tensor->n_external_data, 3);
    const uint8_t *bytes = NULL;
    size_t size = 0;
    assert_int_equal(ws_model_tensor_bytes(&bytes, &size, model, tensor, NULL), 0);
    assert_ptr_equal(bytes, w->data);
    assert_int_equal(ws_model_digest(digest, model, &err), 0);
    ws_model_close(model);
}

/* One model in three forms. */
static void test_weights_anywhere(void **state)
{
    (void)state;
    struct folder folder = folder_create();
    char raw[WS_DIGEST_TEXT], typed[WS_DIGEST_TEXT], external[WS_DIGEST_TEXT];
    write_external_file(in_folder(&folder, "w.bin"));
    write_model(in_folder(&folder, "inline.onnx"), PLACE_RAW, NULL);
    write_model(in_folder(&folder, "typed.onnx"), PLACE_TYPED, NULL);
    write_model(in_folder(&folder, "external.onnx"), PLACE_EXTERNAL, "w.bin");
    check_weight(raw, in_folder(&folder, "inline.onnx"));
    check_weight(typed, in_folder(&folder, "typed.onnx"));
    check_weight(external, in_folder(&folder, "external.onnx"));
    assert_string_equal(raw, typed);
    assert_string_equal(raw, external);
    folder_remove(&folder);
}

/* One file for all weights: each on a page border, so that a runtime can map it. */
static void test_weights_export(void **state)
{
    (void)state;
    struct folder folder = folder_create();
    struct ws_model *model = NULL;
    struct ws_weights_file file = {0};
    struct ws_map map;
    write_model(in_folder(&folder, "inline.onnx"), PLACE_RAW, NULL);
    assert_int_equal(ws_model_open(&model, in_folder(&folder, "inline.onnx"), NULL), 0);
    assert_int_equal(ws_weights_export(&file, model, folder.path, "w.bin", NULL), 0);
    assert_int_equal(file.count, 1);
    assert_int_equal(file.offsets[0] % 4096, 0);
    assert_int_equal(ws_map_open(&map, in_folder(&folder, "w.bin"), 0, NULL), 0);
    assert_memory_equal(map.data + file.offsets[0], some_weights(),
                        ROWS * COLUMNS * sizeof(float));
    ws_map_close(&map);
    /* What is packed with it refers to it, and the model itself is as it was. */
    assert_int_equal(ws_model_pack_file(in_folder(&folder, "external.onnx"), model,
                                        &ws_model_proto(model)->base, WS_WEIGHTS_FILE,
                                        &file, NULL),
                     0);
    char before[WS_DIGEST_TEXT], after[WS_DIGEST_TEXT];
    check_weight(before, in_folder(&folder, "inline.onnx"));
    check_weight(after, in_folder(&folder, "external.onnx"));
    assert_string_equal(before, after);
    ws_weights_file_fini(&file);
    ws_model_close(model);
    folder_remove(&folder);
}

/* A link inside the folder that leads out of it. */
static void test_external_link_escapes(void **state)
{
    (void)state;
    struct folder folder = folder_create();
    struct ws_error err = {0};
    struct ws_model *model = NULL;
    write_external_file(in_folder(&folder, "w.bin"));
    assert_int_equal(mkdir(in_folder(&folder, "sub"), 0700), 0);
    assert_int_equal(symlink("../w.bin", in_folder(&folder, "sub/link.bin")), 0);
    write_model(in_folder(&folder, "sub/escapes.onnx"), PLACE_EXTERNAL, "link.bin");
    assert_int_equal(ws_model_open(&model, in_folder(&folder, "sub/escapes.onnx"), &err),
                     WS_E_FORMAT);
    assert_non_null(strstr(err.text, "\"link.bin\" leaves the model's folder"));
    folder_remove(&folder);
}

enum { FILES = 9 };

/* y = the sum of as many weights as there are files, each all of `digit`s in its own. */
static void write_scattered_model(const struct folder *folder, const char *name)
{
    char names[FILES][8], locations[FILES][8], where[] = "location";
    const char *inputs[FILES + 1] = {NULL};
    const int64_t dims[] = {ROWS, COLUMNS};
    Onnx__StringStringEntryProto entries[FILES], *lists[FILES];
    struct ws_builder *b = NULL;
    struct ws_buf buf;
    assert_int_equal(ws_builder_create(&b, "g", 17, NULL), 0);
    ws_builder_output(b, "y", WS_DTYPE_FP32, dims, 2);
    for (int i = 0; i < FILES; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "w%d", i);
        (void)snprintf(locations[i], sizeof(locations[i]), "w%d.bin", i);
        inputs[i] = names[i];
        ws_builder_weight(b, names[i], WS_DTYPE_FP32, dims, 2, some_weights());
        char digits[ROWS * COLUMNS * sizeof(float)];
        memset(digits, '0' + i, sizeof(digits));
        assert_int_equal(
            ws_file_write(in_folder(folder, locations[i]), digits, sizeof(digits), NULL),
            0);
    }
    ws_builder_node(b, "Sum", "s", inputs, (const char *[]){"y", NULL});
    ws_buf_init(&buf, 0);
    assert_int_equal(ws_builder_pack(&buf, b, NULL), 0);
    ws_builder_destroy(b);
    Onnx__ModelProto *model =
        onnx__model_proto__unpack(NULL, buf.size, (const uint8_t *)buf.data);
    for (int i = 0; i < FILES; i++) {
        Onnx__TensorProto *w = model->graph->initializer[i];
        lists[i] = &entries[i];
        onnx__string_string_entry_proto__init(&entries[i]);
        entries[i].key = where;
        entries[i].value = locations[i];
        w->has_raw_data = 0;
        w->n_external_data = 1;
        w->external_data = &lists[i];
        w->has_data_location = 1;
        w->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    }
    size_t size = onnx__model_proto__get_packed_size(model);
    ws_buf_clear(&buf);
    assert_int_equal(ws_buf_reserve(&buf, size, NULL), 0);
    (void)onnx__model_proto__pack(model, (uint8_t *)buf.data);
    for (int i = 0; i < FILES; i++) { /* what is ours is not to be freed with it */
        model->graph->initializer[i]->n_external_data = 0;
        model->graph->initializer[i]->external_data = NULL;
    }
    onnx__model_proto__free_unpacked(model, NULL);
    assert_int_equal(ws_file_write(in_folder(folder, name), buf.data, size, NULL), 0);
    ws_buf_fini(&buf);
}

/* More files than there is room for at first, each with its own weight. */
static void test_external_many_files(void **state)
{
    (void)state;
    struct folder folder = folder_create();
    struct ws_error err = {0};
    struct ws_model *model = NULL;
    write_scattered_model(&folder, "external.onnx");
    if (ws_model_open(&model, in_folder(&folder, "external.onnx"), &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(ws_model_weight_count(model), FILES);
    for (size_t i = 0; i < FILES; i++) {
        char name[8];
        const struct ws_weight *w = ws_model_weight(model, i);
        (void)snprintf(name, sizeof(name), "w%zu", i);
        assert_string_equal(w->name, name);
        assert_int_equal(w->size_bytes, ROWS * COLUMNS * sizeof(float));
        assert_int_equal(w->data[0], '0' + i);
        assert_int_equal(w->data[w->size_bytes - 1], '0' + i);
        (void)snprintf(name, sizeof(name), "w%zu.bin", i);
        assert_non_null(strstr(w->path, name));
        (void)unlink(in_folder(&folder, name));
    }
    ws_model_close(model);
    folder_remove(&folder);
}

static void test_external_too_short(void **state)
{
    (void)state;
    struct folder folder = folder_create();
    struct ws_error err = {0};
    struct ws_model *model = NULL;
    write_external_file(in_folder(&folder, "w.bin"));
    assert_int_equal(truncate(in_folder(&folder, "w.bin"), 4000), 0);
    write_model(in_folder(&folder, "external.onnx"), PLACE_EXTERNAL, "w.bin");
    assert_int_equal(ws_model_open(&model, in_folder(&folder, "external.onnx"), &err),
                     WS_E_FORMAT);
    assert_non_null(strstr(err.text, "bytes 8 to 4808 of \"w.bin\", which has 4000"));
    folder_remove(&folder);
}

/* ---- memory ---- */

/* A model whose last bytes are one weight of zeroes, most of the file a hole. */
static void write_sparse_model(const char *path, size_t weight_bytes)
{
    struct ws_buf tensor, graph, model;
    ws_buf_init(&tensor, 0);
    ws_buf_init(&graph, 0);
    ws_buf_init(&model, 0);
    put_number(&tensor, 1, weight_bytes);
    put_number(&tensor, 2, WS_DTYPE_UINT8);
    put_bytes(&tensor, 8, "w", 1);
    put_bytes(&tensor, 9, NULL, weight_bytes);
    put_bytes(&graph, 5, NULL, tensor.size + weight_bytes);
    put_number(&model, 1, 8);
    put_bytes(&model, 7, NULL, graph.size + tensor.size + weight_bytes);
    assert_int_equal(ws_buf_add(&model, graph.data, graph.size, NULL), 0);
    assert_int_equal(ws_buf_add(&model, tensor.data, tensor.size, NULL), 0);
    assert_int_equal(ws_file_write(path, model.data, model.size, NULL), 0);
    assert_int_equal(truncate(path, (off_t)(model.size + weight_bytes)), 0);
    ws_buf_fini(&tensor);
    ws_buf_fini(&graph);
    ws_buf_fini(&model);
}

/* In bytes; the largest that this process has ever been. */
static uint64_t resident_max(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return (uint64_t)usage.ru_maxrss * 1024;
}

/* Opening, and reading every byte for the digest, takes a small part of the file's size
 * in memory. */
static void test_large_model_stays_small(void **state)
{
    (void)state;
    const size_t weight_bytes = (size_t)512 << 20;
    struct folder folder = folder_create();
    struct ws_model *model = NULL;
    char digest[WS_DIGEST_TEXT];
    write_sparse_model(in_folder(&folder, "big.onnx"), weight_bytes);
    uint64_t before = resident_max();
    assert_int_equal(ws_model_open(&model, in_folder(&folder, "big.onnx"), NULL), 0);
    assert_int_equal(ws_model_weight(model, 0)->size_bytes, weight_bytes);
    assert_int_equal(ws_model_digest(digest, model, NULL), 0);
    uint64_t grown = resident_max() - before;
    ws_model_close(model);
    folder_remove(&folder);
    print_message("a model of %zu MB took %llu MB of memory\n", weight_bytes >> 20,
                  (unsigned long long)grown >> 20);
    assert_true(grown < (uint64_t)64 << 20);
}

/* A weight of 3 GB in a file of its own, nearly all of it a hole. */
static void write_huge_external(const struct folder *folder, uint64_t weight_bytes)
{
    struct ws_buf entry, tensor, graph, model;
    ws_buf_init(&entry, 0);
    ws_buf_init(&tensor, 0);
    ws_buf_init(&graph, 0);
    ws_buf_init(&model, 0);
    put_bytes(&entry, 1, "location", 8);
    put_bytes(&entry, 2, "w.bin", 5);
    put_number(&tensor, 1, weight_bytes);
    put_number(&tensor, 2, WS_DTYPE_UINT8);
    put_bytes(&tensor, 8, "w", 1);
    put_bytes(&tensor, 13, entry.data, entry.size);
    put_number(&tensor, 14, 1);
    put_bytes(&graph, 5, tensor.data, tensor.size);
    put_bytes(&model, 7, graph.data, graph.size);
    assert_int_equal(
        ws_file_write(in_folder(folder, "big.onnx"), model.data, model.size, NULL), 0);
    assert_int_equal(ws_file_write(in_folder(folder, "w.bin"), "x", 1, NULL), 0);
    assert_int_equal(truncate(in_folder(folder, "w.bin"), (off_t)weight_bytes), 0);
    ws_buf_fini(&entry);
    ws_buf_fini(&tensor);
    ws_buf_fini(&graph);
    ws_buf_fini(&model);
}

/* Beyond 2 GB with external data; what does not fit one file is refused before a byte is
 * written. */
static void test_external_beyond_2gb(void **state)
{
    (void)state;
    const uint64_t weight_bytes = (uint64_t)3 << 30;
    struct folder folder = folder_create();
    struct ws_error err = {0};
    struct ws_model *model = NULL;
    write_huge_external(&folder, weight_bytes);
    assert_int_equal(ws_model_open(&model, in_folder(&folder, "big.onnx"), &err), 0);
    const struct ws_weight *w = ws_model_weight(model, 0);
    assert_int_equal(w->size_bytes, weight_bytes);
    assert_int_equal(w->data[0], 'x');
    assert_int_equal(w->data[weight_bytes - 1], 0);
    assert_int_equal(ws_model_pack_file(in_folder(&folder, "inline.onnx"), model,
                                        &ws_model_proto(model)->base, WS_WEIGHTS_INLINE,
                                        NULL, &err),
                     WS_E_LIMIT);
    assert_non_null(strstr(err.text, "external"));
    assert_int_not_equal(access(in_folder(&folder, "inline.onnx"), F_OK), 0);
    assert_int_equal(ws_model_pack_file(in_folder(&folder, "external.onnx"), model,
                                        &ws_model_proto(model)->base,
                                        WS_WEIGHTS_REFERENCE, NULL, &err),
                     0);
    ws_model_close(model);
    assert_int_equal(ws_model_open(&model, in_folder(&folder, "external.onnx"), &err), 0);
    ws_model_close(model);
    folder_remove(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_refusals_table),
        cmocka_unit_test(test_open_no_file),
        cmocka_unit_test(test_weights_anywhere),
        cmocka_unit_test(test_weights_export),
        cmocka_unit_test(test_external_link_escapes),
        cmocka_unit_test(test_external_many_files),
        cmocka_unit_test(test_external_too_short),
        cmocka_unit_test(test_large_model_stays_small),
        cmocka_unit_test(test_external_beyond_2gb),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
