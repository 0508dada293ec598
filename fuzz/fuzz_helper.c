#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/helper.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const values[] = {"1", "10", "off"};
static size_t value_now;

/* Only what the list of every input allows may ever be set. */
static const struct ws_helper_list *allowed;

static int set(void *user, size_t value, struct ws_error *err)
{
    (void)user;
    (void)err;
    if (!ws_helper_allows(allowed, "k", values[value]))
        __builtin_trap();
    value_now = value;
    return 0;
}

static int get(void *user, size_t *out, struct ws_error *err)
{
    (void)user;
    (void)err;
    *out = value_now;
    return 0;
}

static struct ws_device *make_device(void)
{
    static char lease[64];
    struct ws_sysfs *fs = NULL;
    struct ws_device *device = NULL;
    char dir[] = "/tmp/wattshed-fuzz-XXXXXX";
    const struct ws_knob_custom knob = {
        .name = "k", .values = values, .value_count = 3, .set = set, .get = get};
    if (mkdtemp(dir) == NULL)
        exit(1);
    (void)snprintf(lease, sizeof(lease), "%s/lease", dir);
    const struct ws_device_options options = {.lease_path = lease, .bare = 1};
    if (ws_sysfs_open(&fs, dir, NULL) != 0 ||
        ws_device_open(&device, fs, &options, NULL) != 0 ||
        ws_device_add_custom(device, &knob, NULL) != 0)
        exit(1);
    return device;
}

/* A list of allowed settings up to the first NUL, messages of a client behind it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ws_device *device; /* one for all inputs: it takes a lease */
    struct ws_helper_list list;
    char message[300], reply[600];
    const uint8_t *nul = size > 0 ? memchr(data, 0, size) : NULL;
    size_t list_size = nul == NULL ? size : (size_t)(nul - data);
    if (device == NULL)
        device = make_device();
    if (ws_helper_list_parse(&list, data, list_size, "list", NULL) != 0)
        return 0;
    allowed = &list;
    for (size_t at = list_size; at < size; at += strlen(message) + 1) {
        size_t left = size - at < sizeof(message) - 1 ? size - at : sizeof(message) - 1;
        memcpy(message, data + at, left);
        message[left] = '\0';
        ws_helper_answer(reply, sizeof(reply), device, &list, message);
        if (strncmp(reply, "ok ", 3) != 0 && strncmp(reply, "refused ", 8) != 0)
            __builtin_trap();
    }
    ws_helper_list_fini(&list);
    return 0;
}
