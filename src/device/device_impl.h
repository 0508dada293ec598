/*
 * What a device and its knobs know of each other. A knob is an actuator: it embeds
 * `struct ws_actuator`, says through its operations how a value is set and read back, and
 * writes only through ws_device_write, which writes what differs and nothing once the
 * lease has ended. Each knob_*.c discovers its own and adds them.
 */
#ifndef WS_DEVICE_DEVICE_IMPL_H
#define WS_DEVICE_DEVICE_IMPL_H

#include "device/device.h"
#include "device/lease.h"

struct ws_actuator;

typedef int (*ws_device_path_fn)(void *user, const char *path, struct ws_error *err);

/* Knobs are set in this order: what sets many others first, then what changes the set of
 * processors, then who governs, then speeds, then the rest. */
enum ws_rank {
    WS_RANK_MODE, /* before one of these, every attribute's original is kept */
    WS_RANK_CORES,
    WS_RANK_GOVERNOR,
    WS_RANK_CPU,
    WS_RANK_GPU,
    WS_RANK_MEM,
    WS_RANK_PORT,
    WS_RANK_PROCESS,
    WS_RANK_OTHER,
    WS_RANK_COUNT
};

struct ws_actuator_ops {
    /* Calls fn with each attribute that set may write. (optional: none) */
    int (*paths)(const struct ws_actuator *actuator, ws_device_path_fn fn, void *user,
                 struct ws_error *err);
    /* Puts into the lease what is no attribute. (optional: nothing) */
    int (*keep)(struct ws_actuator *actuator, struct ws_lease *lease,
                struct ws_error *err);
    int (*set)(struct ws_actuator *actuator, struct ws_device *device, size_t value,
               struct ws_error *err);
    /* What is in force, in the words of the knob's values. WS_E_UNKNOWN: cannot be told.
     * (optional: cannot) */
    int (*get)(char *out, size_t size, const struct ws_actuator *actuator,
               struct ws_device *device, struct ws_error *err);
    /* Gives back what is in no lease. (optional: nothing) */
    int (*restore)(struct ws_actuator *actuator, struct ws_device *device,
                   struct ws_error *err);
    void (*destroy)(struct ws_actuator *actuator);
};

struct ws_actuator {
    const struct ws_actuator_ops *ops;
    enum ws_rank rank;
    int is_kept;    /* its originals are in the lease */
    int needs_root; /* whatever the rights on its paths say */
};

struct ws_device {
    struct ws_sysfs *fs;
    struct ws_space space;
    struct ws_actuator *actuators[WS_KNOBS_MAX]; /* parallel to space.knobs */
    struct ws_lease *lease;                      /* NULL before originals are kept */
    char *lease_path;
    int catch_signals;
    int own_processors;
    size_t write_count;
};

/* Adds a knob of part edge; the actuator becomes the device's, in failure too. Words that
 * are numbers get their numeric reading. */
int ws_device_add(struct ws_device *device, struct ws_actuator *actuator,
                  const char *name, enum ws_kind kind, const char *const *values,
                  size_t value_count, struct ws_error *err);
/* The same for an ascending list of frequencies in Hz, named in kHz. */
int ws_device_add_khz(struct ws_device *device, struct ws_actuator *actuator,
                      const char *name, const int64_t *hz, size_t count,
                      struct ws_error *err);
/* Text of a value of the knob that this actuator stands behind. */
const char *ws_device_value(const struct ws_device *device,
                            const struct ws_actuator *actuator, size_t value);

/* Writes an attribute if it says something else; once more is no harm. */
int ws_device_write(struct ws_device *device, const char *path, const char *text,
                    struct ws_error *err);
int ws_device_write_i64(struct ws_device *device, const char *path, int64_t value,
                        struct ws_error *err);
/* Sets both bounds to `value`, upper first where it rises, lower first where it falls: a
 * kernel refuses bounds that cross. */
int ws_device_pin(struct ws_device *device, const char *min_path, const char *max_path,
                  int64_t value, struct ws_error *err);

/* A list of numbers as attributes hold them, in ascending order and each once, times
 * `scale`. *out is the caller's to free; an empty list is WS_E_FORMAT. */
int ws_numbers_parse(int64_t **out, size_t *count, const char *text, int64_t scale,
                     const char *what, struct ws_error *err);

/* Each adds what is there. */
int ws_knob_cores_discover(struct ws_device *device, struct ws_error *err);
int ws_knob_cpufreq_discover(struct ws_device *device, struct ws_error *err);
int ws_knob_devfreq_discover(struct ws_device *device, struct ws_error *err);
int ws_knob_emc_discover(struct ws_device *device, struct ws_error *err);
int ws_knob_port_discover(struct ws_device *device, struct ws_error *err);
int ws_knob_affinity_discover(struct ws_device *device, struct ws_error *err);
int ws_knob_nvpmodel_discover(struct ws_device *device,
                              const struct ws_device_options *options,
                              struct ws_error *err);

#endif
