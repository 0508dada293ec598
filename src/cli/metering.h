/*
 * The meter that a command line names, sampled: one of the machine's own by its name (as
 * `wattshed doctor` lists them), the best of them, or one on the network.
 */
#ifndef WS_CLI_METERING_H
#define WS_CLI_METERING_H

#include "device/meter.h"
#include "device/sampler.h"

/* Adds all the meters of a machine, or of a tree that stands for one. */
int ws_metering_discover(struct ws_meters *out, const struct ws_sysfs *fs,
                         struct ws_error *err);

struct ws_metering;

/* Of a --meter NAME. */
#define WS_METER_HELP                                                                    \
    "what to read energy from: a meter that `wattshed doctor` lists, `best` of them, "   \
    "shelly:HOST[:PORT], tasmota:HOST[:PORT] or scpi:HOST[:PORT]"

/* Finds the meter, starts to sample it, and measures `idle_s` seconds of the machine
 * doing nothing (0: not at all, its idle power is taken as 0). WS_E_NOT_FOUND lists the
 * names there are. */
int ws_metering_open(struct ws_metering **out, const char *name, double idle_s,
                     struct ws_error *err);
/* The same of an edge, which may do without: name NULL is the best that the machine has
 * of its own. *out is NULL where there is none, or none that can be read, which is then
 * said. */
int ws_metering_open_edge(struct ws_metering **out, const char *name, double idle_s,
                          struct ws_error *err);
/* Takes NULL. */
void ws_metering_close(struct ws_metering *metering);

/* The sampler has this meter alone, as its number 0. */
struct ws_sampler *ws_metering_sampler(struct ws_metering *metering);
const struct ws_meter_info *ws_metering_info(const struct ws_metering *metering);
double ws_metering_idle_w(const struct ws_metering *metering);

#endif
