/* edge.accelerator: the power of the USB port that a Coral accelerator hangs on. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/device_impl.h"

#define USB_DIR "bus/usb/devices"

struct port {
    struct ws_actuator base;
    char disable[WS_SYSFS_PATH_MAX];
};

static void port_destroy(struct ws_actuator *actuator)
{
    free(actuator);
}

static int port_paths(const struct ws_actuator *actuator, ws_device_path_fn fn,
                      void *user, struct ws_error *err)
{
    return fn(user, ((const struct port *)actuator)->disable, err);
}

static int port_set(struct ws_actuator *actuator, struct ws_device *device, size_t value,
                    struct ws_error *err)
{
    struct port *port = (struct port *)actuator;
    return ws_device_write(device, port->disable, value == 0 ? "1" : "0", err);
}

static int port_get(char *out, size_t size, const struct ws_actuator *actuator,
                    struct ws_device *device, struct ws_error *err)
{
    int64_t disabled = 0;
    int rc = ws_sysfs_read_i64(&disabled, device->fs,
                               ((const struct port *)actuator)->disable, 0, 1, err);
    if (rc == 0)
        (void)snprintf(out, size, "%s", disabled ? "off" : "on");
    return rc;
}

static const struct ws_actuator_ops port_ops = {
    .paths = port_paths,
    .set = port_set,
    .get = port_get,
    .destroy = port_destroy,
};

/* Coral's accelerator, before and after its firmware is loaded. */
static int is_accelerator(const struct ws_sysfs *fs, const char *name)
{
    char path[WS_SYSFS_PATH_MAX];
    char vendor[16];
    char product[16];
    if (ws_sysfs_path(path, NULL, USB_DIR "/%s/idVendor", name) != 0 ||
        ws_sysfs_read(vendor, sizeof(vendor), fs, path, NULL) != 0 ||
        ws_sysfs_path(path, NULL, USB_DIR "/%s/idProduct", name) != 0 ||
        ws_sysfs_read(product, sizeof(product), fs, path, NULL) != 0)
        return 0;
    return (strcmp(vendor, "1a6e") == 0 && strcmp(product, "089a") == 0) ||
           (strcmp(vendor, "18d1") == 0 && strcmp(product, "9302") == 0);
}

/* The hub's own folder for the port: with the port off, the device's is gone. "2-1" hangs
 * on port 1 of root hub 2, "1-1.2" on port 2 of hub "1-1". */
static int disable_path(char *out, const char *name, struct ws_error *err)
{
    const char *dot = strrchr(name, '.');
    const char *dash = strchr(name, '-');
    if (dot != NULL)
        return ws_sysfs_path(out, err, USB_DIR "/%.*s:1.0/%.*s-port%s/disable",
                             (int)(dot - name), name, (int)(dot - name), name, dot + 1);
    if (dash == NULL)
        return ws_error_set(err, WS_E_FORMAT, "%s: not the name of a USB device", name);
    return ws_sysfs_path(out, err, USB_DIR "/%.*s-0:1.0/usb%.*s-port%s/disable",
                         (int)(dash - name), name, (int)(dash - name), name, dash + 1);
}

static int add_port(struct ws_device *device, const char *name, struct ws_error *err)
{
    static const char *const values[] = {"off", "on"};
    char path[WS_SYSFS_PATH_MAX];
    int rc = disable_path(path, name, err);
    if (rc != 0 || !ws_sysfs_exists(device->fs, path))
        return rc; /* kernels before 6.0 have no such switch */
    struct port *port = calloc(1, sizeof(*port));
    if (port == NULL)
        return ws_error_nomem(err);
    port->base = (struct ws_actuator){.ops = &port_ops, .rank = WS_RANK_PORT};
    memcpy(port->disable, path, sizeof(path));
    return ws_device_add(device, &port->base, "edge.accelerator", WS_KIND_NOMINAL, values,
                         2, err);
}

int ws_knob_port_discover(struct ws_device *device, struct ws_error *err)
{
    struct ws_sysfs_names names = {0};
    int rc = ws_sysfs_list(&names, device->fs, USB_DIR, err);
    for (size_t i = 0; rc == 0 && i < names.count; i++) {
        if (is_accelerator(device->fs, names.names[i])) {
            rc = add_port(device, names.names[i], err);
            break; /* the first; more of them would need names of their own */
        }
    }
    free(names.names);
    return rc;
}
