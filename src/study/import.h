/*
 * Turns somebody else's CSV into a testbed folder (testbed.json, table.csv), as a map
 * says (JSON): `name`, `source`; `where` {column: value}, to keep only some rows; `knobs`
 * {name: {"column", "part", "kind"}}, whose values are those the column holds, ascending
 * where they are numbers; `measures` {name: {"column", "scale"} or {"terms": {measure:
 * factor}}}, the latter computed from other measures; `objectives`; and `constraints`,
 * `baselines`, `switch_ms`, `link`, `edge_idle_w`, `energy_boundary` and `truth` as a
 * testbed has them. An energy computed from times is nobody's measurement: the testbed is
 * then marked modelled, whatever the map says. What is written has been read back.
 */
#ifndef WS_STUDY_IMPORT_H
#define WS_STUDY_IMPORT_H

#include <stddef.h>

#include "base/error.h"

struct ws_import_result {
    size_t row_count;  /* rows taken */
    size_t left_count; /* rows that `where` left out */
    size_t setting_count;
    int modelled;
};

/* Errors name file, line, column and key. `dir` is made if it is not there. */
int ws_import(struct ws_import_result *out, const char *csv_path, const char *map_path,
              const char *dir, struct ws_error *err);

#endif
