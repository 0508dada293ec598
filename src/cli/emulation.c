#include "cli/emulation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

static int list_knobs(const struct ws_board *board, const char *name,
                      struct ws_error *err)
{
    const struct ws_space *space = ws_board_space(board);
    struct ws_buf names;
    ws_buf_init(&names, 0);
    int rc = 0;
    for (size_t k = 0; rc == 0 && k < space->knob_count; k++)
        rc = ws_buf_printf(&names, err, "%s%s", k == 0 ? "" : ", ", space->knobs[k].name);
    if (rc == 0)
        rc = ws_error_set(err, WS_E_NOT_FOUND, "%s has no knob \"%s\" among %s",
                          ws_board_name(board), name,
                          names.size == 0 ? "none" : names.data);
    ws_buf_fini(&names);
    return rc;
}

static int set_knob(struct ws_setting *setting, const struct ws_board *board,
                    const char *text, struct ws_error *err)
{
    const struct ws_space *space = ws_board_space(board);
    const char *equals = strchr(text, '=');
    char name[WS_NAME_MAX];
    size_t knob = 0;
    size_t value = 0;
    (void)snprintf(name, sizeof(name), "edge.%.*s", (int)(equals - text), text);
    if (ws_space_find(&knob, space, name, NULL) != 0 &&
        ws_space_find(&knob, space, name + strlen("edge."), NULL) != 0)
        return list_knobs(board, name + strlen("edge."), err);
    int rc = ws_knob_find(&value, &space->knobs[knob], equals + 1, err);
    if (rc == 0)
        setting->value[knob] = (uint16_t)value;
    return rc;
}

int ws_emulation_open(struct ws_board **out, struct ws_setting *out_setting,
                      const struct ws_emulation *emulation, struct ws_error *err)
{
    struct ws_board *board = NULL;
    struct ws_setting setting;
    int rc = ws_board_load(&board, emulation->name, err);
    if (rc == 0)
        ws_board_default(&setting, board);
    for (size_t i = 0; rc == 0 && i < emulation->settings.count; i++)
        rc = set_knob(&setting, board, emulation->settings.at[i], err);
    if (rc == 0) {
        *out = board;
        *out_setting = setting;
    } else {
        ws_board_destroy(board);
    }
    return rc;
}
