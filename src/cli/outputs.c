#include "cli/outputs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "onnx/npy.h"
#include "onnx/tensorpb.h"
#include "split/compare.h"

static int by_ns(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

double ws_cli_median_ms(const void *records, size_t count, size_t record_size,
                        size_t offset)
{
    int64_t *values = calloc(count + 1, sizeof(*values));
    if (values == NULL || count == 0) {
        free(values);
        return 0;
    }
    for (size_t i = 0; i < count; i++)
        memcpy(&values[i], (const char *)records + i * record_size + offset,
               sizeof(*values));
    qsort(values, count, sizeof(*values), by_ns);
    double median = (double)(values[(count - 1) / 2] + values[count / 2]) / 2;
    free(values);
    return median / 1e6;
}

int ws_cli_save_outputs(const char *dir, const char *const *names,
                        const struct ws_datum *outputs, size_t count,
                        struct ws_error *err)
{
    int rc = ws_dir_create(dir, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        char name[256], path[4096];
        (void)snprintf(name, sizeof(name), "%s", names[i]);
        for (char *c = name; *c != '\0'; c++) {
            if (*c == '/' || *c == ':')
                *c = '_';
        }
        int tensor = outputs[i].kind == WS_DATUM_TENSOR;
        int length =
            snprintf(path, sizeof(path), "%s/%s.%s", dir, name, tensor ? "npy" : "pb");
        if (length < 0 || (size_t)length >= sizeof(path))
            rc = ws_error_set(err, WS_E_LIMIT, "%s: path too long", dir);
        else if (tensor)
            rc = ws_npy_save(path, &outputs[i].tensor, err);
        else
            rc = ws_datumpb_save(path, &outputs[i], names[i], err);
    }
    return rc;
}

static void describe_datum(char *text, size_t size, const struct ws_datum *datum)
{
    if (datum->kind == WS_DATUM_TENSOR)
        ws_tensor_describe(text, size, datum->tensor.dtype, datum->tensor.dims,
                           datum->tensor.rank);
    else
        (void)snprintf(text, size, "%s of %zu", ws_datum_kind_name(datum->kind),
                       datum->item_count);
}

void ws_cli_print_outputs(const char *const *names, const struct ws_datum *outputs,
                          size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char text[256];
        const struct ws_datum *output = &outputs[i];
        describe_datum(text, sizeof(text), output);
        printf("%s: %s", names[i], text);
        const struct ws_tensor *tensor = &output->tensor;
        int is_row = output->kind == WS_DATUM_TENSOR && tensor->dtype == WS_DTYPE_FP32 &&
                     tensor->rank == 2 && tensor->dims[0] == 1 && tensor->dims[1] > 1;
        if (is_row)
            printf("  largest at %zu",
                   ws_compare_argmax(tensor, 0, (size_t)tensor->dims[1]));
        putchar('\n');
    }
}

json_t *ws_cli_outputs_json(const char *const *names, const struct ws_datum *outputs,
                            size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++) {
        char text[256];
        describe_datum(text, sizeof(text), &outputs[i]);
        json_array_append_new(array,
                              json_pack("{s:s, s:s}", "name", names[i], "type", text));
    }
    return array;
}
