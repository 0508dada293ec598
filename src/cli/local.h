/*
 * This machine while a command runs a model on it: knobs set for the time, and given back
 * after it, and a meter that says what it drew. A knob is one that `wattshed doctor`
 * lists; what the machine does not take is an error here, since somebody asked for it.
 */
#ifndef WS_CLI_LOCAL_H
#define WS_CLI_LOCAL_H

#include <jansson.h>
#include <stdint.h>

#include "base/error.h"
#include "cli/metering.h"
#include "cli/options.h"

struct ws_local_options {
    struct ws_cli_texts settings; /* KNOB=VALUE */
    const char *meter;            /* NULL: none */
};

extern const struct ws_cli_option ws_local_cli[];

struct ws_local;

/* Sets the knobs, measures a second of doing nothing. *out is NULL where nothing was
 * asked for. WS_E_NOT_FOUND names the knobs there are; WS_E_IO what was refused or
 * clamped. */
int ws_local_open(struct ws_local **out, const struct ws_local_options *options,
                  struct ws_error *err);
/* Gives back what was set. Takes NULL. */
void ws_local_close(struct ws_local *local);

/* What this machine drew from start to end, idle included, as a line and as members of a
 * JSON object ("edge_energy": {"energy_j", "truth", "boundary", "meter", "idle_w"}), for
 * each of `count` requests. Nothing without a meter; a failure of the meter says so
 * instead. */
void ws_local_print(struct ws_local *local, int64_t start_ns, int64_t end_ns,
                    size_t count);
void ws_local_json(json_t *root, struct ws_local *local, int64_t start_ns, int64_t end_ns,
                   size_t count);

#endif
