/*
 * From a plan file and a configuration to a crew that can serve: testbed, machine or
 * board, executor with everything loaded that the plan needs, policies. The machine's
 * knobs and meters belong to the process and outlive crews.
 */
#ifndef WS_CLI_SERVE_CREW_H
#define WS_CLI_SERVE_CREW_H

#include "cli/metering.h"
#include "device/device.h"
#include "node/config.h"
#include "node/serve.h"

/* This machine, as far as it is the edge. Zero-initialise; opened when first needed. */
struct ws_serve_machine {
    struct ws_sysfs *fs;
    struct ws_device *device;
    struct ws_metering *metering; /* NULL: nothing meters it */
};
/* Gives the hardware back. */
int ws_serve_machine_close(struct ws_serve_machine *machine, struct ws_error *err);

/* Takes the configuration over, also where it fails. */
int ws_serve_crew_create(struct ws_serve_crew *out, struct ws_config *config,
                         const char *plan_path, struct ws_serve_machine *machine,
                         struct ws_error *err);

#endif
