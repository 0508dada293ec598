#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"

/* In the order of the work, as in the README: networks, machines, offline, online. */
static const struct ws_command commands[] = {
    {"inspect", ws_cmd_inspect, "list the places where a model can be cut"},
    {"verify", ws_cmd_verify, "prove that cutting changes nothing, at every natural cut"},
    {"compare", ws_cmd_compare, "whole and cut side by side on labelled samples"},
    {"split", ws_cmd_split, "write the two sides of a cut as models of their own"},
    {"zoo", ws_cmd_zoo, "write a well-known network with weights from a seed"},
    {"run", ws_cmd_run, "run a model, whole or cut, on inputs from files"},
    {"node", ws_cmd_node, "host models and tails of cuts for clients of the network"},
    {"infer", ws_cmd_infer,
     "run a model with the network between: head here, tail there"},
    {"share", ws_cmd_share, "share a network's feature maps between here and a node"},
    {"distribute", ws_cmd_distribute, "share a batch among unequal nodes"},
    {"doctor", ws_cmd_doctor, "say what this machine can set and measure"},
    {"calibrate", ws_cmd_calibrate, "fit a device model to trials of the real one"},
    {"shape", ws_cmd_shape, "a slower link between two processes: rate, delay, losses"},
    {"knobs", ws_cmd_knobs, "set knobs for a daemon that may not, from a list"},
    {"keys", ws_cmd_keys, "certificates and tokens for a fleet"},
    {"profile", ws_cmd_profile, "measure a model's settings on machines, into a study"},
    {"study", ws_cmd_study, "list the trials of a study"},
    {"report", ws_cmd_report, "write a study's results as one page"},
    {"import", ws_cmd_import, "turn somebody else's table into a testbed"},
    {"plan", ws_cmd_plan, "the settings worth choosing from, of a testbed or a study"},
    {"learn", ws_cmd_learn, "train an agent to choose every knob and the share"},
    {"replay", ws_cmd_replay,
     "compare policies on a recorded testbed, on a virtual clock"},
    {"serve", ws_cmd_serve, "the edge daemon: keep deadlines with the least energy"},
    {"load", ws_cmd_load, "send a workload with deadlines to any server"},
    {"top", ws_cmd_top, "show what an agent is doing"},
    {NULL, NULL, NULL},
};

int ws_cli_fail(const struct ws_error *err)
{
    fprintf(stderr, "wattshed: %s\n", err->text);
    return err->code == WS_E_USAGE ? WS_EXIT_USAGE : WS_EXIT_FAILURE;
}

int ws_cli_usage_error(const char *command, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "wattshed %s: ", command);
    vfprintf(stderr, fmt, args);
    fprintf(stderr, " (wattshed %s -h explains)\n", command);
    va_end(args);
    return WS_EXIT_USAGE;
}

static void print_help(FILE *to)
{
    fputs(
        "Usage: wattshed COMMAND [ARG ...]\n\n"
        "Energy-aware split inference: cut a neural network between an edge device and\n"
        "a server, and set the hardware, so that each deadline is met with the least\n"
        "energy.\n\n",
        to);
    for (const struct ws_command *c = commands; c->name != NULL; c++)
        fprintf(to, "  %-10s %s\n", c->name, c->summary);
    fputs("\nwattshed COMMAND -h explains a command.\n", to);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return WS_EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "-h") == 0 || strcmp(name, "--help") == 0) {
        print_help(stdout);
        return WS_EXIT_OK;
    }
    if (strcmp(name, "--version") == 0) {
        puts("wattshed " WS_VERSION);
        return WS_EXIT_OK;
    }
    for (const struct ws_command *c = commands; c->name != NULL; c++) {
        if (strcmp(c->name, name) == 0)
            return c->run(argc - 1, argv + 1);
    }
    fprintf(stderr, "wattshed: no command \"%s\" (wattshed -h lists them)\n", name);
    return WS_EXIT_USAGE;
}
