/*
 * The machines that trials are made on, as one thing that can be set and sampled: real or
 * emulated ones (live.h), or models of them on a virtual clock (virtual.h). A request has
 * three sides, edge, transfer and cloud; a sample is of all of them or of some, so that
 * a segment measured once need not run again for every setting it is part of. A side
 * depends on the knobs of its own part and on the shared and transfer ones, which is what
 * its key names. One thread.
 */
#ifndef WS_PROFILE_RIG_H
#define WS_PROFILE_RIG_H

#include "base/buf.h"
#include "core/knob.h"
#include "core/outcome.h"
#include "split/executor.h"

enum ws_side { WS_SIDE_EDGE, WS_SIDE_TRANSFER, WS_SIDE_CLOUD, WS_SIDE_COUNT };
/* Sets of sides: bit s is side s. */
#define WS_SIDES_EDGE (1u << WS_SIDE_EDGE)
#define WS_SIDES_AWAY (1u << WS_SIDE_TRANSFER | 1u << WS_SIDE_CLOUD)

/* Replaces `out` with "SIDE KNOB=VALUE ...", the side's key in a setting. */
int ws_side_key(struct ws_buf *out, const struct ws_space *space, enum ws_side side,
                const struct ws_setting *setting, struct ws_error *err);

struct ws_rig_sample {
    double ms[WS_SIDE_COUNT];
    double beside_ms; /* of the edge's, what runs while the others do; 0: nothing */
    /* The edge's is of its own work; waiting is idle power times the others' time, as far
     * as nothing runs beside them. The transfer has none. */
    double energy_j[WS_SIDE_COUNT];
    uint32_t energy_known; /* set of sides */
    double bytes;          /* that crossed */
    int is_late;           /* this machine was too slow to pass for an emulated one */
};

/* What the sides come to together. */
void ws_outcome_of_sides(struct ws_outcome *out, const struct ws_rig_sample *sample,
                         double edge_idle_w, enum ws_truth truth);

struct ws_rig;

struct ws_rig_ops {
    /* Whether the rig can run the setting. */
    int (*has)(struct ws_rig *rig, const struct ws_setting *setting);
    /* The sides it has: all, or the edge alone where nobody else is asked. */
    uint32_t (*sides)(struct ws_rig *rig, const struct ws_setting *setting);
    /* Sets the hardware of all machines. */
    int (*apply)(struct ws_rig *rig, struct ws_executor_applied *out,
                 const struct ws_setting *setting, struct ws_error *err);
    /* One request: all sides of the setting, or, unless the rig is whole, the edge's
     * alone or the two away. index[s]
     * is the number of the sample among those of side s; where the clock is virtual the
     * same numbers give the same sample. WS_E_IO, WS_E_TIMEOUT, WS_E_REMOTE: a machine is
     * gone or refuses; WS_E_NOT_FOUND: a meter has vanished. */
    int (*sample)(struct ws_rig *rig, struct ws_rig_sample *out,
                  const struct ws_setting *setting, uint32_t sides,
                  const uint64_t index[WS_SIDE_COUNT], struct ws_error *err);
    /* (optional) What holds the machines back just now; 0 where nothing does, else 1 and
     * a phrase. */
    int (*trouble)(struct ws_rig *rig, char *out, size_t size);
    /* (optional) Adds what is known of link, temperature and load. */
    void (*conditions)(struct ws_rig *rig, struct ws_conditions *out);
    void (*destroy)(struct ws_rig *rig);
};

/* Implementations embed this first. */
struct ws_rig {
    const struct ws_rig_ops *ops;
    const struct ws_space *space;
    enum ws_truth truth;
    uint32_t metered;   /* set of sides whose energy every sample should know */
    double edge_idle_w; /* 0: not known */
    int is_whole; /* sides run at once: none of them is sampled without the others */
};

/* Takes NULL. */
void ws_rig_destroy(struct ws_rig *rig);

#endif
