/*
 * The machine that a command line asks to pass for: a device model by its name, and its
 * knobs as KNOB=VALUE ("edge.cpu_khz=600000", or without the "edge.").
 */
#ifndef WS_CLI_EMULATION_H
#define WS_CLI_EMULATION_H

#include "device/board.h"

struct ws_emulation {
    const char *name;
    const char *settings[WS_KNOBS_MAX];
    size_t setting_count;
};

#define WS_EMULATE_HELP                                                                  \
    "  --emulate NAME     pass for another machine: a device model of etc/devices (or\n" \
    "                     a file); each request takes the time that the model says,\n"   \
    "                     and its energy is modelled\n"                                  \
    "  --set KNOB=VALUE   of that machine; again for another knob\n"

/* Remembers one --set. */
int ws_emulation_add(struct ws_emulation *emulation, const char *text,
                     struct ws_error *err);
/* WS_E_NOT_FOUND names the knobs there are. */
int ws_emulation_open(struct ws_board **out, struct ws_setting *out_setting,
                      const struct ws_emulation *emulation, struct ws_error *err);

#endif
