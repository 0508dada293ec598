#include <stdio.h>

#include "cli/command.h"
#include "cli/options.h"
#include "study/import.h"

struct import_options {
    const char *map, *dir;
};

static const struct ws_cli_option options_table[] = {
    {WS_CLI_TEXT("map", "MAP.json", struct import_options, map, "the column map")},
    {WS_CLI_TEXT("output", "DIR", struct import_options, dir,
                 "where the testbed goes; made if it is not there"),
     .letter = 'o'},
    {0},
};

static const struct ws_cli_usage usage = {
    .command = "import",
    .synopsis = "FILE.csv --map MAP.json -o DIR",
    .about = "Turns somebody else's table into a testbed: DIR/testbed.json and "
             "DIR/table.csv. The map says which columns are knobs and measures: "
             "docs/plan.md explains it, etc/maps holds one.",
    .options = options_table,
    .example = "  $ wattshed import lookup.csv --map etc/maps/splitrl-resnet50.json "
               "-o testbed",
    .words_min = 1,
    .words_max = 1,
    .wants = "FILE.csv, --map and -o are needed",
};

int ws_cmd_import(int argc, char **argv)
{
    struct import_options options = {0};
    struct ws_error err = {0};
    struct ws_import_result result;
    int status = WS_EXIT_OK;
    if (ws_cli_parse(&status, &options, argc, argv, &usage) != 0)
        return status;
    if (options.map == NULL || options.dir == NULL)
        return ws_cli_usage_error("import", "%s", usage.wants);
    if (ws_import(&result, argv[optind], options.map, options.dir, &err) != 0)
        return ws_cli_fail(&err);
    printf("%s/testbed.json: %zu rows of %zu settings%s\n", options.dir, result.row_count,
           result.setting_count,
           result.modelled ? "; modelled, since an energy is computed from times" : "");
    if (result.left_count > 0)
        printf("%zu rows left out\n", result.left_count);
    return WS_EXIT_OK;
}
