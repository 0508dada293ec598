/*
 * Meters: sources of energy readings behind one small interface. A meter either counts
 * joules since it was opened or tells the watts of the moment; it says how often it has
 * something new, how fine it is, what its boundary is and who else it counts, because an
 * energy without these means nothing. What cannot be read is a code, never a zero:
 * WS_E_NOT_FOUND where the meter has vanished, WS_E_UNKNOWN where it has no value now,
 * WS_E_FORMAT where it talks nonsense. A meter is used by one thread at a time. Sampling,
 * windows and sharing out are in device/track.h, sampler.h and ledger.h.
 */
#ifndef WS_DEVICE_METER_H
#define WS_DEVICE_METER_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "core/outcome.h"
#include "device/sysfs.h"

enum ws_boundary {
    WS_BOUNDARY_RAIL,    /* one supply rail of a board */
    WS_BOUNDARY_PACKAGE, /* a processor's package, or a part of it */
    WS_BOUNDARY_CARD,    /* an accelerator's card */
    WS_BOUNDARY_BOARD,   /* everything behind the board's input */
    WS_BOUNDARY_BATTERY, /* everything the battery feeds */
    WS_BOUNDARY_WALL,    /* everything behind a plug, losses of the supply included */
};
/* "rail", "package", ... */
const char *ws_boundary_name(enum ws_boundary boundary);

struct ws_meter_info {
    char name[64];    /* unique on the machine, e.g. "rapl package-0" */
    char source[96];  /* how it is read, e.g. "RAPL, class/powercap/intel-rapl:0" */
    char overlap[64]; /* name of a meter that counts this one's joules too; "" if none */
    const char *counts; /* what else than us it counts */
    enum ws_boundary boundary;
    enum ws_truth truth;
    int is_counter;    /* reads joules, not watts */
    double interval_s; /* between new values; 0: with every reading */
    double resolution; /* of a reading, in its unit; 0: not known */
};

struct ws_meter_reading {
    int64_t time_ns; /* ws_clock_now_ns, or the source's own where it has one */
    double value;    /* J since the meter was opened, or W */
};

struct ws_meter;
struct ws_meter_ops {
    int (*read)(struct ws_meter *meter, struct ws_meter_reading *out,
                struct ws_error *err);
    void (*destroy)(struct ws_meter *meter);
};

/* Implementations embed this first. */
struct ws_meter {
    const struct ws_meter_ops *ops;
    struct ws_meter_info info;
};

int ws_meter_read(struct ws_meter *meter, struct ws_meter_reading *out,
                  struct ws_error *err);
/* Takes NULL. */
void ws_meter_destroy(struct ws_meter *meter);

struct ws_meters {
    struct ws_meter *meters[WS_METERS_MAX];
    size_t count;
};
void ws_meters_fini(struct ws_meters *meters);

/* Adds the meters of the machine's attributes: RAPL zones, hwmon's energy, power and
 * volts times amperes, rails under iio, batteries that discharge. What cannot be read is
 * logged and left out. `fs` must outlive them. */
int ws_meter_sysfs_discover(struct ws_meters *meters, const struct ws_sysfs *fs,
                            struct ws_error *err);

/* Adds a counter for each NVIDIA card. library NULL: "libnvidia-ml.so.1". A machine
 * without the library has none; that is no failure. */
int ws_meter_nvml_discover(struct ws_meters *meters, const char *library,
                           struct ws_error *err);

/* The Raspberry Pi 5's power management chip, through a command that prints it; argv
 * NULL: "vcgencmd pmic_read_adc". It is run once to see that it works. Not all that the
 * board draws passes the chip: a lower bound of the board's power. */
int ws_meter_pmic_create(struct ws_meter **out, const char *const *argv,
                         struct ws_error *err);
/* Its text: the sum of volts times amperes over the rails that have both. WS_E_FORMAT
 * where there is none, or a number is malformed. */
int ws_pmic_parse(double *out_w, const char *text, size_t size, struct ws_error *err);

/* Somebody who carries a question to a meter on the network and brings the answer: one
 * line for an instrument, a body for an HTTP path. WS_E_TIMEOUT, WS_E_IO, WS_E_REMOTE. */
typedef int (*ws_meter_ask)(void *user, struct ws_buf *answer, const char *question,
                            struct ws_error *err);

enum ws_plug { WS_PLUG_SHELLY, WS_PLUG_TASMOTA };
/* A plug with a meter (Shelly Gen2, Tasmota); `ask` is given paths to GET. */
int ws_meter_plug_create(struct ws_meter **out, enum ws_plug plug, const char *name,
                         ws_meter_ask ask, void *user, struct ws_error *err);
/* A bench meter that speaks SCPI (GW Instek GPM-8213 and its like); `ask` is given lines
 * without their end. A question that ends in no "?" has no answer. */
int ws_meter_scpi_create(struct ws_meter **out, const char *name, ws_meter_ask ask,
                         void *user, struct ws_error *err);

/* A recording: watts at rising times; the arrays must outlive it. Each reading gives the
 * next, then WS_E_END. */
int ws_meter_replay_create(struct ws_meter **out, const char *name,
                           const int64_t *times_ns, const double *watts, size_t count,
                           struct ws_error *err);

/* For implementations: adds, or destroys and WS_E_LIMIT. */
int ws_meters_add(struct ws_meters *meters, struct ws_meter *meter, struct ws_error *err);

#endif
