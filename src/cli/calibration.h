/*
 * From trials to a device model: one side of a testbed's trials as samples of a board's
 * units, the fit of each unit, and the board's JSON with the figures that were fitted in
 * place of those that were not.
 */
#ifndef WS_CLI_CALIBRATION_H
#define WS_CLI_CALIBRATION_H

#include <jansson.h>

#include "device/board.h"
#include "device/calibrate.h"
#include "device/cutting.h"
#include "study/testbed.h"

struct ws_calibration {
    const struct ws_testbed *testbed;
    const struct ws_cutting *cutting;
    int is_cloud;        /* of which side the trials tell; else the edge */
    json_t *document;    /* the board's; figures are replaced in it */
    const char *from;    /* what the trials are, for the sources */
    uint64_t seed;       /* of the split */
    double fitted_share; /* of the settings */
    double last_key;     /* of a setting that is fitted to, see split */
    struct ws_board *board;
    struct ws_binding *binding;
    struct ws_trial *trials;
    size_t trial_count, trial_room;
    size_t skipped; /* that say nothing of this side */
};

/* What became of one unit. */
struct ws_calibrated {
    const char *name;
    size_t fitted, held; /* samples */
    const char *clock;   /* knob, or NULL where none of the unit's moved */
    double reference;
    struct ws_fit fit;
    int has_fit; /* 0: too few samples, the unit is as it was */
    /* Relative errors of the trials held out: median and worst. */
    double time_error[2];
    double energy_error[2];
    size_t energy_count;
};

int ws_calibration_open(struct ws_calibration *out, const char *board,
                        struct ws_error *err);
void ws_calibration_close(struct ws_calibration *calibration);
/* Copies the trial; its setting is of the testbed's space. */
int ws_calibration_add(struct ws_calibration *calibration,
                       const struct ws_setting *setting, const struct ws_outcome *outcome,
                       struct ws_error *err);
struct ws_calibrated_board {
    struct ws_calibrated units[WS_BOARD_UNITS_MAX]; /* that trials tell of */
    size_t count;
    struct ws_calibrated all; /* errors of all units together */
    double idle_w;
    int has_idle; /* 0: no trial shows it */
};

/* Fits idle power and every unit, into the document, and measures the errors with the
 * document read back. */
int ws_calibration_run(struct ws_calibration *calibration,
                       struct ws_calibrated_board *out, struct ws_error *err);

#endif
