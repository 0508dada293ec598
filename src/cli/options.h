/*
 * A command's options as one table: what -h says of an option and how its value is read
 * stand in one line, so that neither can be without the other. A line names the field of
 * the command's own struct that the value goes to; its type is checked when it is
 * compiled, its bounds when it is read. Options that several commands share (a model's, a
 * client's identity) are tables of their own, which a command takes as a group. Values
 * are not copied: they are argv's.
 */
#ifndef WS_CLI_OPTIONS_H
#define WS_CLI_OPTIONS_H

#include <getopt.h> /* optind */
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/limits.h"

struct ws_cli_option;

/* Reads a value into the option's field. Any failure is wrong usage. */
typedef int (*ws_cli_take_fn)(void *field, const char *value,
                              const struct ws_cli_option *option, struct ws_error *err);

enum ws_cli_kind {
    WS_CLI_NONE, /* ends a table */
    WS_CLI_IS_FLAG,
    WS_CLI_IS_TEXT,
    WS_CLI_IS_TEXTS,
    WS_CLI_IS_SIZE,
    WS_CLI_IS_WHOLE,
    WS_CLI_IS_NUMBER,
    WS_CLI_IS_BYTES,
    WS_CLI_IS_CHOICE,
    WS_CLI_IS_TAKEN,
    WS_CLI_IS_HEADING,
    WS_CLI_IS_GROUP
};

struct ws_cli_option {
    const char *name;  /* "repeat" for --repeat */
    const char *value; /* what -h calls its value, NULL for a flag */
    const char *help;  /* broken into lines where it is printed */
    size_t offset;     /* of the field */
    int64_t min, max;  /* of SIZE and WHOLE, both included */
    double low, high;  /* of NUMBER, both included */
    ws_cli_take_fn take;
    const struct ws_cli_option *group;
    void (*more)(void); /* lists its values by ws_cli_print_value; NULL: does not */
    enum ws_cli_kind kind;
    char letter; /* 'o': -o means the same; 0: none */
};

/* All values of an option that may be given again and again. */
struct ws_cli_texts {
    const char *at[WS_CLI_TEXTS_MAX];
    size_t count;
};

/* Where a field is; does not compile for one of another type. */
#define WS_CLI_AT(owner, field, type)                                                    \
    .offset = offsetof(owner, field) + 0 * sizeof(&((owner *)0)->field == (type *)0)
#define WS_CLI_SAID(name_, value_, help_) .name = name_, .value = value_, .help = help_

/* A line of a table, {WS_CLI_...(...)}; {0} ends it.
 *
 * int, 1 once it is given: */
#define WS_CLI_FLAG(name, owner, field, help)                                            \
    WS_CLI_SAID(name, NULL, help), .kind = WS_CLI_IS_FLAG, WS_CLI_AT(owner, field, int)
/* const char *: */
#define WS_CLI_TEXT(name, value, owner, field, help)                                     \
    WS_CLI_SAID(name, value, help), .kind = WS_CLI_IS_TEXT,                              \
                                    WS_CLI_AT(owner, field, const char *)
/* struct ws_cli_texts: */
#define WS_CLI_TEXTS(name, value, owner, field, help)                                    \
    WS_CLI_SAID(name, value, help), .kind = WS_CLI_IS_TEXTS,                             \
                                    WS_CLI_AT(owner, field, struct ws_cli_texts)
/* size_t, int64_t and double between two bounds: */
#define WS_CLI_SIZE(name, value, owner, field, least, most, help)                        \
    WS_CLI_SAID(name, value, help), .kind = WS_CLI_IS_SIZE, .min = (least),              \
                                    .max = (most), WS_CLI_AT(owner, field, size_t)
#define WS_CLI_WHOLE(name, value, owner, field, least, most, help)                       \
    WS_CLI_SAID(name, value, help), .kind = WS_CLI_IS_WHOLE, .min = (least),             \
                                    .max = (most), WS_CLI_AT(owner, field, int64_t)
#define WS_CLI_NUMBER(name, value, owner, field, least, most, help)                      \
    WS_CLI_SAID(name, value, help), .kind = WS_CLI_IS_NUMBER, .low = (least),            \
                                    .high = (most), WS_CLI_AT(owner, field, double)
/* uint64_t, in bytes; the value may end in K, M or G: */
#define WS_CLI_BYTES(name, value, owner, field, help)                                    \
    WS_CLI_SAID(name, value, help), .kind = WS_CLI_IS_BYTES,                             \
                                    WS_CLI_AT(owner, field, uint64_t)
/* An enum of as many values as `value` names, in their order: "fifo|deadline". */
#define WS_CLI_CHOICE(name, value, owner, field_, help)                                  \
    WS_CLI_SAID(name, value, help),                                                      \
        .kind = WS_CLI_IS_CHOICE,                                                        \
        .offset = offsetof(owner, field_) +                                              \
                  0 * sizeof(char[sizeof(((owner *)0)->field_) == sizeof(int) ? 1 : -1])
/* Of any type, read by a function that gets the field's address: */
#define WS_CLI_TAKE(name, value, owner, field, take_, help)                              \
    WS_CLI_SAID(name, value, help), .kind = WS_CLI_IS_TAKEN, .take = (take_),            \
                                    .offset = offsetof(owner, field)
/* Read by a function that gets the address of the command's whole struct: */
#define WS_CLI_TAKE_WHOLE(name, value, take_, help)                                      \
    WS_CLI_SAID(name, value, help), .kind = WS_CLI_IS_TAKEN, .take = (take_)
/* No option: a line before those that follow. */
#define WS_CLI_HEADING(text) .kind = WS_CLI_IS_HEADING, .help = (text)
/* The options of another table, whose struct is this field: */
#define WS_CLI_GROUP(table, owner, field)                                                \
    .kind = WS_CLI_IS_GROUP, .group = (table), .offset = offsetof(owner, field)

enum { WS_CLI_ANY_WORDS = 1 << 30 };

/* One command, as -h explains it. */
struct ws_cli_usage {
    const char *command;
    const char *synopsis; /* what follows "wattshed COMMAND "; a line for each form */
    const char *about;
    const struct ws_cli_option *options;
    const char *example; /* lines as a shell has them: "  $ COMMAND \\\n  > MORE" */
    /* What is left after the options: at least min, at most max words, else `wants` is
     * the error: "one MODEL is needed". */
    int words_min, words_max;
    const char *wants;
};

/* Reads argv into the struct that the table is about. 0 when the command shall go on,
 * its words from argv[optind]; else 1 with its exit status: -h was answered, or one line
 * on stderr says what is wrong. */
int ws_cli_parse(int *status, void *into, int argc, char **argv,
                 const struct ws_cli_usage *usage);

/* A line of -h about one value of an option. */
void ws_cli_print_value(const char *value, const char *help);

/* ---- Values that several commands take ---- */

/* enum ws_codec, enum ws_encoding */
int ws_cli_take_codec(void *field, const char *value, const struct ws_cli_option *option,
                      struct ws_error *err);
int ws_cli_take_encoding(void *field, const char *value,
                         const struct ws_cli_option *option, struct ws_error *err);
/* uint64_t: a seed */
int ws_cli_take_seed(void *field, const char *value, const struct ws_cli_option *option,
                     struct ws_error *err);
/* double: a share of the settings up to 1, or a number of trials */
int ws_cli_take_budget(void *field, const char *value, const struct ws_cli_option *option,
                       struct ws_error *err);
/* struct ws_cli_texts: NAME=VALUE */
int ws_cli_take_pair(void *field, const char *value, const struct ws_cli_option *option,
                     struct ws_error *err);

#endif
