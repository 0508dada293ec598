/*
 * A machine's knobs. Opening a device discovers what can be set here and names it with
 * the project's words; the result is a space of named finite lists. Applying a setting
 * changes only what differs, in the order that hardware needs, reads back what was
 * achieved, and says for each knob whether it was taken, clamped or refused. Originals go
 * to a lease (device/lease.h) before the first write and come back when the device is
 * closed. One thread.
 */
#ifndef WS_DEVICE_DEVICE_H
#define WS_DEVICE_DEVICE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "core/knob.h"
#include "device/sysfs.h"

struct ws_device;

struct ws_device_options {
    const char *lease_path;  /* NULL: ws_lease_default_path */
    int catch_signals;       /* as ws_lease_catch_signals */
    int bare;                /* discovers nothing: its knobs are to be added */
    int own_processors;      /* a tree's processors are this machine's: edge.cpus on it */
    const char *nvpmodel;    /* its path; NULL: as $PATH has it, and none on a tree */
    int nvpmodel_timeout_ms; /* of each run of it; 0: 10 s */
};

/*
 * Discovers, in this order and as far as they are there:
 *   edge.cores         how many processors are online, the first ones
 *   edge.cpu_governor  the governor of cpufreq (edge.cpuN_governor from the second
 *   edge.cpu_khz       cluster on, N its first processor): a pinned frequency
 *   edge.gpu_khz, edge.mem_khz   of devfreq, or of Jetson's memory controller
 *   edge.accelerator   power of the USB port of a Coral accelerator: off, on
 *   edge.nvpmodel      Jetson's power mode, by nvpmodel's names; setting it sets cores
 *                      and bounds anew, so it goes first (not on a tree)
 *   edge.cpus          processors this process runs on: each cluster, and all; within
 *                      its cpuset (not on a tree, but with own_processors)
 * `fs` must outlive the device. Nothing is written, and no lease is taken, before the
 * first setting is applied that has something to give back.
 */
int ws_device_open(struct ws_device **out, struct ws_sysfs *fs,
                   const struct ws_device_options *options, struct ws_error *err);
/* The knobs; lives as long as the device and grows by ws_device_add_*. */
const struct ws_space *ws_device_space(const struct ws_device *device);

/* A knob of somebody else: threads and provider of an engine, say. */
struct ws_knob_custom {
    const char *name;
    enum ws_kind kind;
    const char *const *values;
    size_t value_count;
    int (*set)(void *user, size_t value, struct ws_error *err);
    /* (optional) The value that is set now; the default trusts `set`. */
    int (*get)(void *user, size_t *out, struct ws_error *err);
    void *user;
};
int ws_device_add_custom(struct ws_device *device, const struct ws_knob_custom *custom,
                         struct ws_error *err);

/* A knob that is set by running a command, for anything else. In `argv` each word "{}"
 * stands for the value. `original` is what the lease gives back: NULL where the command
 * leaves nothing to undo. */
struct ws_knob_command {
    const char *name;
    enum ws_kind kind;
    const char *const *values;
    size_t value_count;
    const char *const *argv; /* NULL-terminated */
    const char *original;
    int timeout_ms;
};
int ws_device_add_command(struct ws_device *device, const struct ws_knob_command *command,
                          struct ws_error *err);

enum ws_applied {
    WS_APPLIED_ABSENT,  /* no such knob or value here */
    WS_APPLIED_SAME,    /* it was so already */
    WS_APPLIED_SET,     /* it is so now */
    WS_APPLIED_CLAMPED, /* taken, and something else is in force */
    WS_APPLIED_REFUSED, /* the machine did not take it */
};
/* "absent", "same", "set", "clamped", "refused". */
const char *ws_applied_name(enum ws_applied applied);

struct ws_applied_knob {
    enum ws_applied applied;
    int64_t time_ns;   /* to set it and to read it back */
    char achieved[64]; /* what is in force; "" where that cannot be read */
    char reason[256];  /* of a refusal, "" else */
};

struct ws_device_report {
    struct ws_applied_knob knobs[WS_KNOBS_MAX]; /* in the order of the setting's space */
    size_t write_count;                         /* attributes written */
    int64_t time_ns;                            /* for all of it */
};

/* Applies those knobs of `space` (a testbed's, or the device's own) that this device has,
 * by name and value text. Fails only where it must not go on: WS_E_BUSY and WS_E_IO of
 * the lease; what the machine does not take is in the report. */
int ws_device_apply(struct ws_device *device, struct ws_device_report *report,
                    const struct ws_space *space, const struct ws_setting *setting,
                    struct ws_error *err);

/* What is in force for a knob of the device's space. WS_E_UNKNOWN: it cannot be told. */
int ws_device_current(char *out, size_t size, struct ws_device *device, size_t knob,
                      struct ws_error *err);
/* Calls `fn` with each attribute the knob writes: what `doctor` prints rules for. */
int ws_device_paths(struct ws_device *device, size_t knob,
                    int (*fn)(void *user, const char *path, struct ws_error *err),
                    void *user, struct ws_error *err);

/* Whether only root can set the knob, whatever rights there are on attributes. */
int ws_device_needs_root(const struct ws_device *device, size_t knob);

/* Gives every original back; the device can be used again. */
int ws_device_restore(struct ws_device *device, struct ws_error *err);
/* Gives every original back and frees the device. Takes NULL. */
int ws_device_close(struct ws_device *device, struct ws_error *err);

#endif
