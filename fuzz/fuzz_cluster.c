#include "study/clusterfile.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ws_cluster cluster;
    if (ws_cluster_parse(&cluster, data, size, "fuzz", NULL) != 0)
        return 0;
    if (cluster.variant_count == 0 || cluster.node_count == 0)
        __builtin_trap();
    if (ws_cluster_check_measured(&cluster, NULL) == 0) {
        for (size_t i = 0; i < cluster.node_count; i++) {
            for (size_t j = 0; j < cluster.variant_count; j++) {
                const struct ws_cluster_speed *speed = &cluster.nodes[i].speeds[j];
                if (speed->is_here && !(speed->image_s > 0))
                    __builtin_trap();
            }
        }
    }
    ws_cluster_fini(&cluster);
    return 0;
}
