/*
 * What a command that ran a model has to show: its outputs as lines, as JSON and as
 * files, and the median of what its runs took.
 */
#ifndef WS_CLI_OUTPUTS_H
#define WS_CLI_OUTPUTS_H

#include <jansson.h>

#include "core/datum.h"

/* Median in milliseconds of an int64_t of nanoseconds at `offset` in each of `count`
 * records of `record_size` bytes. */
double ws_cli_median_ms(const void *records, size_t count, size_t record_size,
                        size_t offset);

/* DIR/NAME.npy for tensors, NAME.pb for the rest; '/' and ':' become '_'. */
int ws_cli_save_outputs(const char *dir, const char *const *names,
                        const struct ws_datum *outputs, size_t count,
                        struct ws_error *err);
/* One line each: name, type and, for a row of scores, where the largest is. */
void ws_cli_print_outputs(const char *const *names, const struct ws_datum *outputs,
                          size_t count);
/* [{"name","type"}, ...] */
json_t *ws_cli_outputs_json(const char *const *names, const struct ws_datum *outputs,
                            size_t count);

#endif
