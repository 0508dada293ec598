#include "cli/plot_plan.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"

extern char **environ;

/* Axes over more than this factor are logarithmic. */
static const double log_factor = 8;

/* The knob that gives the colour. */
static size_t colour_knob(const struct ws_space *space)
{
    for (size_t k = 0; k < space->knob_count; k++) {
        if (space->knobs[k].part == WS_PART_SHARED)
            return k;
    }
    return 0;
}

/* Text between gnuplot's double quotes: without quotes, backslashes and markup. */
static int add_plain(struct ws_buf *buf, const char *text, struct ws_error *err)
{
    int rc = 0;
    for (; rc == 0 && *text != '\0'; text++)
        rc = ws_buf_add(buf, strchr("\"\\$`", *text) == NULL ? text : "_", 1, err);
    return rc;
}

static int add_terminal(struct ws_buf *buf, const char *path, struct ws_error *err)
{
    const char *dot = strrchr(path, '.');
    const char *terminal = NULL;
    if (dot != NULL && strcmp(dot, ".svg") == 0)
        terminal = "svg size 900,600 noenhanced background 'white'";
    else if (dot != NULL && strcmp(dot, ".png") == 0)
        terminal = "pngcairo size 900,600 noenhanced background 'white'";
    if (terminal == NULL)
        return ws_error_set(err, WS_E_USAGE, "--plot %s: expected a name in .svg or .png",
                            path);
    if (strchr(path, '\'') != NULL || strchr(path, '\n') != NULL)
        return ws_error_set(err, WS_E_USAGE, "--plot %s: no quotes in a plot's name",
                            path);
    return ws_buf_printf(buf, err, "set terminal %s\nset output '%s'\n", terminal, path);
}

struct axes {
    enum ws_measure x;
    enum ws_measure y;
    double least[2];
    double largest[2];
};

static int point_of(double out[2], const struct axes *axes,
                    const struct ws_outcome *outcome)
{
    return ws_outcome_get(&out[0], outcome, axes->x) == 0 &&
           ws_outcome_get(&out[1], outcome, axes->y) == 0 && isfinite(out[0]) &&
           isfinite(out[1]);
}

/* The staircase of energy over deadline. Entries come in the order of energy, so a step
 * is whatever is faster than all before it. */
static int add_steps(struct ws_buf *buf, const struct axes *axes,
                     const struct ws_plan *plan, struct ws_error *err)
{
    double fastest = INFINITY;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < plan->entry_count; i++) {
        double at[2];
        if (!point_of(at, axes, &plan->entries[i].outcome) || at[0] >= fastest)
            continue;
        fastest = at[0];
        rc = ws_buf_printf(buf, err, "%.9g %.9g\n", at[0], at[1]);
    }
    return rc == 0 ? ws_buf_add_text(buf, "EOD\n", err) : rc;
}

static int add_points(struct ws_buf *buf, struct axes *axes, const struct ws_plan *plan,
                      const struct ws_trials *trials, struct ws_error *err)
{
    size_t colour = colour_knob(&plan->space);
    int rc = ws_buf_add_text(buf, "$trials << EOD\n", err);
    for (size_t i = 0; rc == 0 && i < trials->count; i++) {
        double at[2];
        if (!point_of(at, axes, &trials->items[i].outcome))
            continue;
        for (size_t d = 0; d < 2; d++) {
            axes->least[d] = fmin(axes->least[d], at[d]);
            axes->largest[d] = fmax(axes->largest[d], at[d]);
        }
        rc = ws_buf_printf(buf, err, "%.9g %.9g %u\n", at[0], at[1],
                           (unsigned)trials->items[i].setting.value[colour]);
    }
    if (rc == 0)
        rc = ws_buf_add_text(buf, "EOD\n$front << EOD\n", err);
    for (size_t i = 0; rc == 0 && i < plan->entry_count; i++) {
        double at[2];
        if (plan->entries[i].on_front && point_of(at, axes, &plan->entries[i].outcome))
            rc = ws_buf_printf(buf, err, "%.9g %.9g %u\n", at[0], at[1],
                               (unsigned)plan->entries[i].setting.value[colour]);
    }
    if (rc == 0)
        rc = ws_buf_add_text(buf, "EOD\n$steps << EOD\n", err);
    return rc == 0 ? add_steps(buf, axes, plan, err) : rc;
}

/* Colours are value indices; the box beside the plot names a few of the values. */
static int add_colours(struct ws_buf *buf, const struct ws_knob *knob,
                       struct ws_error *err)
{
    size_t step = (knob->value_count + 11) / 12;
    int rc = ws_buf_printf(buf, err,
                           "set palette defined (0 '#2b5fb3', 1 '#2aa198', 2 '#e0a800', "
                           "3 '#c0392b')\nset cbrange [0:%zu]\nset cblabel \"",
                           knob->value_count > 1 ? knob->value_count - 1 : 1);
    if (rc == 0)
        rc = add_plain(buf, knob->name, err);
    if (rc == 0)
        rc = ws_buf_add_text(buf, "\"\nset cbtics (", err);
    for (size_t v = 0; rc == 0 && v < knob->value_count; v += step) {
        rc = ws_buf_add_text(buf, v > 0 ? ", \"" : "\"", err);
        if (rc == 0)
            rc = add_plain(buf, knob->values[v].text, err);
        if (rc == 0)
            rc = ws_buf_printf(buf, err, "\" %zu", v);
    }
    return rc == 0 ? ws_buf_add_text(buf, ")\n", err) : rc;
}

static int add_script(struct ws_buf *buf, const char *path, const struct ws_plan *plan,
                      const struct ws_trials *trials, const char *truth,
                      struct ws_error *err)
{
    struct axes axes = {.x = WS_LATENCY_MS,
                        .y = WS_ENERGY_J,
                        .least = {INFINITY, INFINITY},
                        .largest = {-INFINITY, -INFINITY}};
    int rc = add_terminal(buf, path, err);
    if (rc == 0)
        rc = add_points(buf, &axes, plan, trials, err);
    if (rc == 0)
        rc = add_colours(buf, &plan->space.knobs[colour_knob(&plan->space)], err);
    for (size_t d = 0; rc == 0 && d < 2; d++) {
        if (axes.least[d] > 0 && axes.largest[d] > log_factor * axes.least[d])
            rc = ws_buf_printf(buf, err, "set logscale %c\nset %crange [%.9g:%.9g]\n",
                               d == 0 ? 'x' : 'y', d == 0 ? 'x' : 'y',
                               axes.least[d] / 1.2, axes.largest[d] * 1.2);
    }
    if (rc == 0)
        rc = ws_buf_add_text(buf, "set title \"", err);
    if (rc == 0)
        rc = add_plain(buf, plan->testbed, err);
    if (rc == 0)
        rc = ws_buf_printf(
            buf, err,
            " (%s): %zu trials\"\n"
            "set xlabel 'latency, ms'\nset ylabel 'energy per inference, J'\n"
            "set grid lc rgb '#cccccc' lt 1 lw 0.5\nset key top right opaque\n"
            "plot $steps using 1:2 with fsteps lc rgb '#888888' title "
            "'energy for a deadline', $trials using 1:2:3 with points pt 7 ps 0.8 lc "
            "palette title 'trial', "
            "$front using 1:2 with points pt 6 ps 1.8 lw 1.5 lc rgb 'black' "
            "title 'on the front of all objectives'\n",
            truth, trials->count);
    return rc;
}

/* Runs gnuplot with the script as its input. */
static int run_gnuplot(const struct ws_buf *script, struct ws_error *err)
{
    char name[] = "gnuplot";
    char *argv[] = {name, NULL};
    posix_spawn_file_actions_t actions;
    pid_t child = 0;
    int status = 0;
    int fd = -1;
    int rc = ws_file_temp(&fd, err);
    if (rc == 0)
        rc = ws_file_write_fd(fd, script->data, script->size, err);
    if (rc == 0 && lseek(fd, 0, SEEK_SET) != 0)
        rc = ws_error_set_errno(err, WS_E_IO, errno, "rewind the script");
    if (rc != 0)
        goto out;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, fd, STDIN_FILENO);
    int failed = posix_spawnp(&child, name, &actions, NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    if (failed == ENOENT)
        rc = ws_error_set(err, WS_E_NOT_FOUND,
                          "no gnuplot to draw with (Debian: gnuplot-nox)");
    else if (failed != 0)
        rc = ws_error_set_errno(err, WS_E_IO, failed, "run gnuplot");
    else if (waitpid(child, &status, 0) < 0)
        rc = ws_error_set_errno(err, WS_E_IO, errno, "wait for gnuplot");
    else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        rc = ws_error_set(err, WS_E_IO, "gnuplot failed");
out:
    if (fd >= 0)
        close(fd);
    return rc;
}

int ws_plot_plan(const char *path, const struct ws_plan *plan,
                 const struct ws_trials *trials, const char *truth, struct ws_error *err)
{
    struct ws_buf script;
    ws_buf_init(&script, 0);
    int rc = add_script(&script, path, plan, trials, truth, err);
    if (rc == 0)
        rc = run_gnuplot(&script, err);
    ws_buf_fini(&script);
    return rc;
}
