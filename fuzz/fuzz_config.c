#include "node/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was taken is within its bounds. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ws_config config;
    ws_config_init(&config);
    if (ws_config_parse(&config, data, size, "config", NULL) == 0 &&
        (config.drain_s < 0 || config.threads < 0 ||
         config.variant_count > WS_VARIANTS_MAX ||
         config.node_count > WS_AGENT_NODES_MAX))
        __builtin_trap();
    ws_config_fini(&config);
    return 0;
}
