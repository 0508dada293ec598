#include "cli/options.h"

#include <assert.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "cli/command.h"
#include "onnx/codec.h"
#include "wire/encoding.h"

enum {
    OPTIONS_MAX = 128,
    FIRST = 256,      /* what getopt calls the first option; letters lie below */
    WIDTH = 80,       /* of a line of -h */
    HELP_COLUMN = 21, /* where it explains an option */
    VALUE_WIDTH = 15, /* of a value that is explained by itself */
};

/* A table, its groups unfolded, with where each option's value goes. */
struct unfolded {
    const struct ws_cli_option *options[OPTIONS_MAX];
    void *fields[OPTIONS_MAX];
    size_t count;
};

static void unfold(struct unfolded *out, const struct ws_cli_option *options, void *into)
{
    for (; options->kind != WS_CLI_NONE; options++) {
        void *field = (char *)into + options->offset;
        if (options->kind == WS_CLI_IS_GROUP) {
            unfold(out, options->group, field);
        } else {
            assert(out->count < OPTIONS_MAX);
            out->options[out->count] = options;
            out->fields[out->count++] = field;
        }
    }
}

/* ---- -h ---- */

/* Text from a column on, broken at blanks; its own line ends and the blanks after them
 * stay. */
static void print_wrapped(const char *text, size_t indent, size_t column)
{
    while (*text != '\0') {
        size_t blanks = strspn(text, " ");
        size_t size = blanks + strcspn(text + blanks, " \n");
        if (column > indent && column + size > WIDTH) {
            printf("\n%*s", (int)indent, "");
            column = indent;
            text += blanks;
            size -= blanks;
        }
        (void)fwrite(text, 1, size, stdout);
        column += size;
        text += size;
        if (*text == '\n') {
            printf("\n%*s", text[1] != '\n' ? (int)indent : 0, "");
            column = indent;
            text++;
        }
    }
    putchar('\n');
}

static void print_option(const struct ws_cli_option *option)
{
    char label[96];
    char letter[8] = "";
    if (option->kind == WS_CLI_IS_HEADING) {
        printf("\n%s\n", option->help);
        return;
    }
    if (option->letter != 0)
        (void)snprintf(letter, sizeof(letter), "-%c, ", option->letter);
    int size = snprintf(label, sizeof(label), "  %s--%s%s%s ", letter, option->name,
                        option->value != NULL ? " " : "",
                        option->value != NULL ? option->value : "");
    if (size > HELP_COLUMN) /* its explanation has the next line */
        printf("%.*s\n%*s", size - 1, label, HELP_COLUMN, "");
    else
        printf("%-*s", HELP_COLUMN, label);
    print_wrapped(option->help, HELP_COLUMN, HELP_COLUMN);
    if (option->more != NULL)
        option->more();
}

void ws_cli_print_value(const char *value, const char *help)
{
    printf("%*s%-*s", HELP_COLUMN, "", VALUE_WIDTH, value);
    print_wrapped(help, HELP_COLUMN + VALUE_WIDTH, HELP_COLUMN + VALUE_WIDTH);
}

static void print_help(const struct ws_cli_usage *usage, const struct unfolded *table)
{
    const char *lead = "Usage:";
    for (const char *line = usage->synopsis; *line != '\0';) {
        size_t size = strcspn(line, "\n");
        /* A line that goes on begins with a blank. */
        if (*line == ' ')
            printf("%*s%.*s\n",
                   (int)(strlen("Usage: wattshed ") + strlen(usage->command)), "",
                   (int)size, line);
        else
            printf("%-6s wattshed %s %.*s\n", lead, usage->command, (int)size, line);
        lead = "";
        line += size + (line[size] == '\n');
    }
    putchar('\n');
    print_wrapped(usage->about, 0, 0);
    if (table->count > 0)
        putchar('\n');
    for (size_t i = 0; i < table->count; i++)
        print_option(table->options[i]);
    if (usage->example != NULL)
        printf("\nExamples:\n%s\n", usage->example);
}

/* ---- Values ---- */

static int take_number(double *out, const char *value, const struct ws_cli_option *option,
                       const char *what, struct ws_error *err)
{
    double number = 0;
    int rc = ws_parse_double(&number, value, what, err);
    if (rc == 0 && !(number >= option->low && number <= option->high))
        rc = ws_error_set(err, WS_E_USAGE, "%s %s: expected %g to %g", what, value,
                          option->low, option->high);
    if (rc == 0)
        *out = number;
    return rc;
}

static int take_choice(int *out, const char *value, const struct ws_cli_option *option,
                       struct ws_error *err)
{
    int which = 0;
    for (const char *name = option->value; *name != '\0'; which++) {
        size_t size = strcspn(name, "|");
        if (strlen(value) == size && strncmp(value, name, size) == 0) {
            *out = which;
            return 0;
        }
        name += size + (name[size] == '|');
    }
    return ws_error_set(err, WS_E_USAGE, "--%s %s: expected %s", option->name, value,
                        option->value);
}

static int add_text(struct ws_cli_texts *texts, const char *value,
                    const struct ws_cli_option *option, struct ws_error *err)
{
    if (texts->count == WS_CLI_TEXTS_MAX)
        return ws_error_set(err, WS_E_LIMIT, "--%s: given more than %d times",
                            option->name, WS_CLI_TEXTS_MAX);
    texts->at[texts->count++] = value;
    return 0;
}

static int take(void *field, const char *value, const struct ws_cli_option *option,
                struct ws_error *err)
{
    char what[64]; /* what an error says of it */
    (void)snprintf(what, sizeof(what), "--%s", option->name);
    switch (option->kind) {
    case WS_CLI_IS_FLAG:
        *(int *)field = 1;
        return 0;
    case WS_CLI_IS_TEXT:
        *(const char **)field = value;
        return 0;
    case WS_CLI_IS_TEXTS:
        return add_text(field, value, option, err);
    case WS_CLI_IS_SIZE:
        return ws_parse_size(field, value, (size_t)option->min, (size_t)option->max, what,
                             err);
    case WS_CLI_IS_WHOLE:
        return ws_parse_i64(field, value, option->min, option->max, what, err);
    case WS_CLI_IS_NUMBER:
        return take_number(field, value, option, what, err);
    case WS_CLI_IS_CHOICE:
        return take_choice(field, value, option, err);
    case WS_CLI_IS_BYTES:
        return ws_parse_bytes(field, value, what, err);
    default:
        return option->take(field, value, option, err);
    }
}

int ws_cli_take_codec(void *field, const char *value, const struct ws_cli_option *option,
                      struct ws_error *err)
{
    (void)option;
    return ws_codec_find(field, value, err);
}

int ws_cli_take_encoding(void *field, const char *value,
                         const struct ws_cli_option *option, struct ws_error *err)
{
    (void)option;
    return ws_encoding_find(field, value, err);
}

int ws_cli_take_seed(void *field, const char *value, const struct ws_cli_option *option,
                     struct ws_error *err)
{
    int64_t seed = 0;
    (void)option;
    int rc = ws_parse_i64(&seed, value, 0, INT64_MAX, "--seed", err);
    if (rc == 0)
        *(uint64_t *)field = (uint64_t)seed;
    return rc;
}

int ws_cli_take_budget(void *field, const char *value, const struct ws_cli_option *option,
                       struct ws_error *err)
{
    double budget = 0;
    int rc = ws_parse_double(&budget, value, "--budget", err);
    if (rc == 0 &&
        (!(budget > 0) || (budget > 1 && budget != floor(budget)) || budget > 1e9))
        rc = ws_error_set(err, WS_E_USAGE,
                          "--%s %s: expected a share up to 1 or a number of trials",
                          option->name, value);
    if (rc == 0)
        *(double *)field = budget;
    return rc;
}

int ws_cli_take_pair(void *field, const char *value, const struct ws_cli_option *option,
                     struct ws_error *err)
{
    const char *equals = strchr(value, '=');
    if (equals == NULL || equals == value || equals[1] == '\0')
        return ws_error_set(err, WS_E_USAGE, "--%s %s: expected %s", option->name, value,
                            option->value);
    return add_text(field, value, option, err);
}

/* ---- All of it ---- */

/* The options as getopt wants them; shorts holds a letter and a colon for each. */
static void describe(struct option *longs, char *shorts, const struct unfolded *table)
{
    *shorts++ = ':'; /* a value that lacks is told from an option that there is not */
    *shorts++ = 'h';
    for (size_t i = 0; i < table->count; i++) {
        const struct ws_cli_option *option = table->options[i];
        if (option->kind == WS_CLI_IS_HEADING)
            continue;
        int has_value = option->value != NULL ? required_argument : no_argument;
        int id = option->letter != 0 ? option->letter : FIRST + (int)i;
        *longs++ = (struct option){option->name, has_value, NULL, id};
        if (option->letter == 0)
            continue;
        *shorts++ = option->letter;
        if (has_value == required_argument)
            *shorts++ = ':';
    }
    *shorts = '\0';
    *longs = (struct option){"help", no_argument, NULL, 'h'};
}

static size_t find(const struct unfolded *table, int id)
{
    if (id >= FIRST)
        return (size_t)(id - FIRST);
    for (size_t i = 0; i < table->count; i++)
        if (table->options[i]->letter == id)
            return i;
    return table->count;
}

/* What getopt did not take, the option that it was or the letter in it. */
static int refuse(const char *command, int why, const char *word)
{
    char letter[] = {'-', (char)optopt, '\0'};
    if (strncmp(word, "--", 2) != 0 && optopt > 0 && optopt < FIRST)
        word = letter;
    return ws_cli_usage_error(command, "%s %s", why == ':' ? "no value for" : "no option",
                              word);
}

int ws_cli_parse(int *status, void *into, int argc, char **argv,
                 const struct ws_cli_usage *usage)
{
    struct ws_error err = {0};
    struct unfolded table = {.count = 0};
    struct option longs[OPTIONS_MAX + 2] = {0};
    char shorts[2 * OPTIONS_MAX + 3];
    int id = 0;
    unfold(&table, usage->options, into);
    describe(longs, shorts, &table);
    opterr = 0;
    *status = WS_EXIT_OK;
    while ((id = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        size_t at = find(&table, id);
        if (id == 'h') {
            print_help(usage, &table);
            return 1;
        }
        if (at == table.count) {
            *status = refuse(usage->command, id, argv[optind - 1]);
            return 1;
        }
        if (take(table.fields[at], optarg, table.options[at], &err) != 0) {
            *status = ws_cli_usage_error(usage->command, "%s", err.text);
            return 1;
        }
    }
    int words = argc - optind;
    if (words >= usage->words_min && words <= usage->words_max)
        return 0;
    *status =
        usage->words_max == 0
            ? ws_cli_usage_error(usage->command, "\"%s\" is not an option", argv[optind])
            : ws_cli_usage_error(usage->command, "%s", usage->wants);
    return 1;
}
