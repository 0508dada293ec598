/* Knobs of somebody else: through functions, or by running a command. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/child.h"
#include "device/device_impl.h"

/* --- through functions --- */

struct custom {
    struct ws_actuator base;
    int (*set)(void *user, size_t value, struct ws_error *err);
    int (*get)(void *user, size_t *out, struct ws_error *err);
    void *user;
};

static void custom_destroy(struct ws_actuator *actuator)
{
    free(actuator);
}

static int custom_set(struct ws_actuator *actuator, struct ws_device *device,
                      size_t value, struct ws_error *err)
{
    struct custom *custom = (struct custom *)actuator;
    size_t now = 0;
    if (custom->get != NULL && custom->get(custom->user, &now, NULL) == 0 && now == value)
        return 0;
    device->write_count++;
    return custom->set(custom->user, value, err);
}

static int custom_get(char *out, size_t size, const struct ws_actuator *actuator,
                      struct ws_device *device, struct ws_error *err)
{
    const struct custom *custom = (const struct custom *)actuator;
    size_t value = 0;
    if (custom->get == NULL)
        return ws_error_set(err, WS_E_UNKNOWN, "a knob that cannot be read back");
    int rc = custom->get(custom->user, &value, err);
    if (rc == 0)
        (void)snprintf(out, size, "%s", ws_device_value(device, actuator, value));
    return rc;
}

static const struct ws_actuator_ops custom_ops = {
    .set = custom_set,
    .get = custom_get,
    .destroy = custom_destroy,
};

int ws_device_add_custom(struct ws_device *device, const struct ws_knob_custom *custom,
                         struct ws_error *err)
{
    struct custom *actuator = calloc(1, sizeof(*actuator));
    if (actuator == NULL)
        return ws_error_nomem(err);
    *actuator = (struct custom){
        .base = {.ops = &custom_ops, .rank = WS_RANK_OTHER},
        .set = custom->set,
        .get = custom->get,
        .user = custom->user,
    };
    return ws_device_add(device, &actuator->base, custom->name, custom->kind,
                         custom->values, custom->value_count, err);
}

/* --- by a command --- */

struct command {
    struct ws_actuator base;
    char **argv;    /* NULL-terminated */
    size_t count;   /* of words */
    char *original; /* NULL: nothing to undo */
    char *current;  /* what was set last; NULL before */
    int timeout_ms;
};

static void command_destroy(struct ws_actuator *actuator)
{
    struct command *command = (struct command *)actuator;
    for (size_t i = 0; command->argv != NULL && i < command->count; i++)
        free(command->argv[i]);
    free(command->argv);
    free(command->original);
    free(command->current);
    free(command);
}

/* The words with each "{}" replaced. One block, the words stay the command's. */
static const char **words_for(const struct command *command, const char *value)
{
    const char **words = calloc(command->count + 1, sizeof(*words));
    for (size_t i = 0; words != NULL && i < command->count; i++)
        words[i] = strcmp(command->argv[i], "{}") == 0 ? value : command->argv[i];
    return words;
}

static int command_keep(struct ws_actuator *actuator, struct ws_lease *lease,
                        struct ws_error *err)
{
    struct command *command = (struct command *)actuator;
    if (command->original == NULL)
        return 0;
    /* A lease before this one may have undone what was set. */
    free(command->current);
    command->current = NULL;
    const char **words = words_for(command, command->original);
    if (words == NULL)
        return ws_error_nomem(err);
    int rc = ws_lease_keep_command(lease, words, err);
    free(words);
    return rc;
}

static int command_set(struct ws_actuator *actuator, struct ws_device *device,
                       size_t value, struct ws_error *err)
{
    struct command *command = (struct command *)actuator;
    const char *text = ws_device_value(device, actuator, value);
    if (command->current != NULL && strcmp(command->current, text) == 0)
        return 0;
    const char **words = words_for(command, text);
    char *current = strdup(text);
    int rc = words == NULL || current == NULL ? ws_error_nomem(err) : 0;
    if (rc == 0) {
        device->write_count++;
        rc = ws_child_run(NULL, words, command->timeout_ms, err);
    }
    free(words);
    /* After a failure nobody knows what is in force. */
    free(command->current);
    command->current = rc == 0 ? current : NULL;
    if (rc != 0)
        free(current);
    return rc;
}

static const struct ws_actuator_ops command_ops = {
    .keep = command_keep,
    .set = command_set,
    .destroy = command_destroy,
};

int ws_device_add_command(struct ws_device *device, const struct ws_knob_command *command,
                          struct ws_error *err)
{
    struct command *actuator = calloc(1, sizeof(*actuator));
    if (actuator == NULL)
        return ws_error_nomem(err);
    int rc = 0;
    actuator->base = (struct ws_actuator){.ops = &command_ops, .rank = WS_RANK_OTHER};
    actuator->timeout_ms = command->timeout_ms;
    while (command->argv[actuator->count] != NULL)
        actuator->count++;
    actuator->argv = calloc(actuator->count + 1, sizeof(*actuator->argv));
    for (size_t i = 0; actuator->argv != NULL && i < actuator->count; i++) {
        actuator->argv[i] = strdup(command->argv[i]);
        if (actuator->argv[i] == NULL)
            rc = ws_error_nomem(err);
    }
    if (command->original != NULL)
        actuator->original = strdup(command->original);
    if (actuator->argv == NULL ||
        (command->original != NULL && actuator->original == NULL))
        rc = ws_error_nomem(err);
    if (rc != 0) {
        command_destroy(&actuator->base);
        return rc;
    }
    return ws_device_add(device, &actuator->base, command->name, command->kind,
                         command->values, command->value_count, err);
}
