/*
 * The machine that a command line asks to pass for: a device model by its name, and its
 * knobs as KNOB=VALUE ("edge.cpu_khz=600000", or without the "edge.").
 */
#ifndef WS_CLI_EMULATION_H
#define WS_CLI_EMULATION_H

#include "cli/options.h"
#include "device/board.h"

struct ws_emulation {
    const char *name;
    struct ws_cli_texts settings; /* KNOB=VALUE */
};

/* WS_E_NOT_FOUND names the knobs there are. */
int ws_emulation_open(struct ws_board **out, struct ws_setting *out_setting,
                      const struct ws_emulation *emulation, struct ws_error *err);

#endif
