#include "cli/cluster_measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/measure.h"
#include "onnx/npy.h"
#include "profile/labelled.h"
#include "study/cluster_study.h"

int ws_cli_batch_load(struct ws_tensor *inputs, struct ws_tensor *labels,
                      const char *path, const char *labels_path, size_t limit,
                      struct ws_error *err)
{
    struct ws_labelled data;
    size_t length = strlen(path);
    if (length > 4 && strcmp(path + length - 4, ".npy") == 0) {
        int rc = ws_npy_load(inputs, path, err);
        return rc == 0 && labels_path != NULL ? ws_npy_load(labels, labels_path, err)
                                              : rc;
    }
    int rc = ws_labelled_load(&data, path, limit, err);
    if (rc != 0)
        return rc;
    const int64_t count = (int64_t)data.count;
    rc = ws_tensor_init(labels, WS_DTYPE_INT64, &count, 1, err);
    if (rc == 0) {
        memcpy(labels->data, data.labels, labels->size_bytes);
        *inputs = data.samples;
        data.samples = (struct ws_tensor){0};
    }
    ws_labelled_fini(&data);
    return rc;
}

int ws_cli_cluster_keep(const struct ws_cluster *cluster, const char *file,
                        const char *study, struct ws_error *err)
{
    int rc = study != NULL ? ws_cluster_study_save(cluster, study, err) : 0;
    return rc == 0 && file != NULL ? ws_cluster_save(cluster, file, err) : rc;
}

static void show_step(void *user, const char *what, size_t step, size_t steps)
{
    (void)user;
    fprintf(stderr, "\r%3zu %% %-40s%s", 100 * step / steps, what,
            step == steps ? "\n" : "");
}

/* A link's rate is that of images; `image_bytes` each. */
static void print_measured(const struct ws_cluster *cluster, size_t image_bytes)
{
    printf("%-12s %10s", "variant", "accuracy");
    for (size_t i = 0; i < cluster->node_count; i++)
        printf("  %18.18s", cluster->nodes[i].name);
    printf("\n%-12s %10s", "", "");
    for (size_t i = 0; i < cluster->node_count; i++)
        printf("  %18s", "images/s   J/image");
    putchar('\n');
    for (size_t j = 0; j < cluster->variant_count; j++) {
        const struct ws_cluster_variant *variant = &cluster->variants[j];
        printf("%-12s ", variant->name);
        if (variant->knows_accuracy)
            printf("%10.4f", variant->accuracy);
        else
            printf("%10s", "-");
        for (size_t i = 0; i < cluster->node_count; i++) {
            const struct ws_cluster_speed *speed = &cluster->nodes[i].speeds[j];
            if (!speed->is_here)
                printf("  %18s", "-");
            else if (speed->knows_energy)
                printf("  %8.1f %9.5f", 1.0 / speed->image_s, speed->image_j);
            else
                printf("  %8.1f %9s", 1.0 / speed->image_s, "-");
        }
        putchar('\n');
    }
    for (size_t i = 0; i < cluster->node_count; i++) {
        const struct ws_cluster_node *node = &cluster->nodes[i];
        printf("%s: delay %.2f ms, %.3f ms to send an image", node->name,
               1e3 * node->delay_s, 1e3 * node->send_s);
        if (node->send_s > 0)
            printf(" (%.1f Mbit/s)", 8e-6 * (double)image_bytes / node->send_s);
        printf(", %.2f ms for each request\n", 1e3 * node->request_s);
    }
}

static int print_json(const struct ws_cluster *cluster, struct ws_error *err)
{
    char *text = ws_cluster_text(cluster);
    if (text == NULL)
        return ws_error_nomem(err);
    puts(text);
    free(text);
    return 0;
}

int ws_cli_cluster_measure(struct ws_cluster *cluster,
                           const struct ws_cli_cluster_options *options,
                           struct ws_error *err)
{
    const struct ws_tensor *inputs = options->inputs, *labels = options->labels;
    const struct ws_measure_options how = {.inputs = inputs,
                                           .labels = labels->rank > 0 ? labels : NULL,
                                           .timeout_ms = options->timeout_ms,
                                           .identity = options->identity,
                                           .progress =
                                               isatty(STDERR_FILENO) ? show_step : NULL};
    int rc = ws_measure_cluster(cluster, &how, err);
    if (rc == 0)
        rc = ws_cli_cluster_keep(cluster, options->file, options->study, err);
    if (rc == 0 && options->json)
        return print_json(cluster, err);
    if (rc == 0)
        print_measured(cluster, inputs->size_bytes / (size_t)inputs->dims[0]);
    return rc;
}
