#include <getopt.h>
#include <stdio.h>

#include "cli/command.h"
#include "study/import.h"

static const char help[] =
    "usage: wattshed import FILE.csv --map MAP.json -o DIR\n\n"
    "Turns somebody else's table into a testbed: DIR/testbed.json and DIR/table.csv. "
    "The\n"
    "map says which columns are knobs and measures (docs/plan.md):\n\n"
    "  {\"name\": \"theirs\", \"source\": \"where it is from\",\n"
    "   \"where\": {\"Model\": \"resnet50\"},\n"
    "   \"knobs\": {\"cut\": {\"column\": \"Split\", \"part\": \"shared\",\n"
    "                     \"kind\": \"ordered\"}},\n"
    "   \"measures\": {\"edge_ms\": {\"column\": \"Head (s)\", \"scale\": 1000},\n"
    "                \"cloud_ms\": {\"column\": \"Tail (s)\", \"scale\": 1000},\n"
    "                \"latency_ms\": {\"terms\": {\"edge_ms\": 1, \"cloud_ms\": 1}}},\n"
    "   \"objectives\": [\"latency_ms\", \"edge_ms\"]}\n\n"
    "  --map MAP.json  the column map\n"
    "  -o DIR          where the testbed goes; made if it is not there\n"
    "  -h, --help      this text\n";

static const struct option long_options[] = {
    {"map", required_argument, NULL, 'm'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

int ws_cmd_import(int argc, char **argv)
{
    const char *map = NULL;
    const char *dir = NULL;
    struct ws_error err = {0};
    struct ws_import_result result;
    int option = 0;
    while ((option = getopt_long(argc, argv, "o:h", long_options, NULL)) != -1) {
        if (option == 'h') {
            fputs(help, stdout);
            return WS_EXIT_OK;
        }
        if (option == '?')
            return WS_EXIT_USAGE;
        if (option == 'm')
            map = optarg;
        else
            dir = optarg;
    }
    if (argc - optind != 1 || map == NULL || dir == NULL)
        return ws_cli_usage_error("import", "FILE.csv, --map and -o are needed");
    if (ws_import(&result, argv[optind], map, dir, &err) != 0)
        return ws_cli_fail(&err);
    printf("%s/testbed.json: %zu rows of %zu settings%s\n", dir, result.row_count,
           result.setting_count,
           result.modelled ? "; modelled, since an energy is computed from times" : "");
    if (result.left_count > 0)
        printf("%zu rows left out\n", result.left_count);
    return WS_EXIT_OK;
}
