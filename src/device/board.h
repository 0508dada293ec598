/*
 * One machine that we do not have, as a model (JSON, docs/device-model.md): its knobs,
 * the rates of its computing units by class of operator, how each knob's values scale
 * them, fixed costs, power, idle power, the times that switching takes, and for every
 * figure where it comes from or that it is assumed. A board predicts what a segment takes
 * without running it; ws_stretch_until lets the same segment, run for real on this
 * machine, take that long. Knobs are named as on the edge ("edge.cpu_khz"); where a board
 * is the cloud of a testbed they are "cloud.cpu_khz". Whatever comes of a board is
 * modelled, and who shows it says so. Immutable once loaded; read from any thread.
 */
#ifndef WS_DEVICE_BOARD_H
#define WS_DEVICE_BOARD_H

#include <stdint.h>

#include "base/error.h"
#include "base/json.h"
#include "core/knob.h"
#include "core/work.h"
#include "device/meter.h"

struct ws_board;

/* A name ("rpi4-coral") is devices/NAME/board.json among the program's data
 * (base/data.h); what holds a '/' or ends in ".json" is a file. WS_E_NOT_FOUND,
 * WS_E_FORMAT with file and key; a figure that no source covers is WS_E_FORMAT too. */
int ws_board_load(struct ws_board **out, const char *name_or_path, struct ws_error *err);
/* The same from an object of a document that is there already. */
int ws_board_read(struct ws_board **out, const struct ws_json *node,
                  struct ws_error *err);
/* Takes NULL. */
void ws_board_destroy(struct ws_board *board);

/* "rpi4-coral"; and what it is, in a line. */
const char *ws_board_name(const struct ws_board *board);
const char *ws_board_machine(const struct ws_board *board);
/* What its energy counts. */
enum ws_boundary ws_board_boundary(const struct ws_board *board);
/* What it draws while it does nothing. */
double ws_board_idle_w(const struct ws_board *board);
/* Where the figure at a path of the file comes from: "units.cpu.fixed_ms" gives
 * "assumed: ...". NULL: there is no such figure. */
const char *ws_board_source(const struct ws_board *board, const char *path);

const struct ws_space *ws_board_space(const struct ws_board *board);
/* Every knob as the file says it is when nobody sets it. */
void ws_board_default(struct ws_setting *out, const struct ws_board *board);
/* Milliseconds from one setting to another: knobs are set one after the other. */
double ws_board_switch_ms(const struct ws_board *board, const struct ws_setting *from,
                          const struct ws_setting *to);

/* Time and energy of a segment, alone on the machine; 0 and 0 for no work. `setting` is
 * of the board's space. WS_E_UNKNOWN: there is work of a class whose rate the model does
 * not know. */
int ws_board_predict(double *out_ms, double *out_j, const struct ws_board *board,
                     const struct ws_setting *setting, const struct ws_work *work,
                     struct ws_error *err);
/* 0 where it can be predicted under every setting, else that WS_E_UNKNOWN. */
int ws_board_check_work(const struct ws_board *board, const struct ws_work *work,
                        struct ws_error *err);
/* What it draws while it works under a setting. */
double ws_board_power_w(const struct ws_board *board, const struct ws_setting *setting);

/* How the knobs of another space (a testbed's) set a board's: knob "SIDE.x" there is
 * "edge.x" here. Knobs of the board that the space lacks keep their defaults.
 * WS_E_NOT_FOUND: the space has a knob SIDE.x, or a value of it, that the board lacks.
 * The binding copies what it needs. */
struct ws_binding;
int ws_binding_create(struct ws_binding **out, const struct ws_board *board,
                      const struct ws_space *space, const char *side,
                      struct ws_error *err);
void ws_binding_destroy(struct ws_binding *binding);
/* The board's setting for one of that space. */
void ws_binding_setting(struct ws_setting *out, const struct ws_binding *binding,
                        const struct ws_setting *setting);

/* Waits until `modelled_ms` after start_ns (ws_clock_now_ns). 0, or by how many
 * nanoseconds that was missed, where it was by more than a tenth of a millisecond: this
 * machine was too slow to pass for that one, or too busy, and whoever shows the time says
 * so. */
int64_t ws_stretch_until(int64_t start_ns, double modelled_ms);

#endif
