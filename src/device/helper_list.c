/* The list of allowed settings. */
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"

#include "device/helper.h"

static int is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Copies the words from `at` to `end`, each with one blank before and behind; NULL where
 * memory is out. *out_count: how many. */
static char *join_words(const char *at, const char *end, size_t *out_count)
{
    char *text = malloc((size_t)(end - at) + 3);
    size_t size = 0;
    *out_count = 0;
    if (text == NULL)
        return NULL;
    text[size++] = ' ';
    while (at < end) {
        while (at < end && is_blank(*at))
            at++;
        if (at == end)
            break;
        while (at < end && !is_blank(*at))
            text[size++] = *at++;
        text[size++] = ' ';
        (*out_count)++;
    }
    text[size] = '\0';
    return text;
}

static int take_line(void *user, const char *line, const char *end, const char *name,
                     size_t number, struct ws_error *err)
{
    struct ws_helper_list *list = user;
    const char *comment = memchr(line, '#', (size_t)(end - line));
    end = comment != NULL ? comment : end;
    while (line < end && is_blank(*line))
        line++;
    const char *knob = line;
    while (line < end && !is_blank(*line))
        line++;
    size_t knob_size = (size_t)(line - knob), count = 0;
    if (knob_size == 0)
        return 0;
    char *values = join_words(line, end, &count);
    char *copy = strndup(knob, knob_size);
    struct ws_helper_line *more =
        realloc(list->lines, (list->count + 1) * sizeof(*list->lines));
    if (more != NULL)
        list->lines = more;
    int rc = 0;
    if (values == NULL || copy == NULL || more == NULL)
        rc = ws_error_nomem(err);
    else if (list->count == WS_KNOBS_MAX)
        rc = ws_error_set(err, WS_E_LIMIT, "%s:%zu: more than %d knobs", name, number,
                          WS_KNOBS_MAX);
    else if (count == 0)
        rc = ws_error_set(err, WS_E_FORMAT, "%s:%zu: \"%.64s\" without values, or *",
                          name, number, copy);
    if (rc != 0) {
        free(values);
        free(copy);
        return rc;
    }
    if (strcmp(values, " * ") == 0) {
        free(values);
        values = NULL;
    }
    more[list->count++] = (struct ws_helper_line){.knob = copy, .values = values};
    return 0;
}

int ws_helper_list_parse(struct ws_helper_list *out, const void *bytes, size_t size,
                         const char *name, struct ws_error *err)
{
    struct ws_helper_list list = {0};
    int rc = ws_parse_lines(bytes, size, name, take_line, &list, err);
    if (rc != 0)
        ws_helper_list_fini(&list);
    else
        *out = list;
    return rc;
}

void ws_helper_list_fini(struct ws_helper_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->lines[i].knob);
        free(list->lines[i].values);
    }
    free(list->lines);
    *list = (struct ws_helper_list){0};
}

int ws_helper_allows(const struct ws_helper_list *list, const char *knob,
                     const char *value)
{
    if (strpbrk(value, " \t\r") != NULL)
        return 0; /* it could not be told from several */
    for (size_t i = 0; i < list->count; i++) {
        const struct ws_helper_line *line = &list->lines[i];
        if (strcmp(line->knob, knob) != 0)
            continue;
        if (line->values == NULL)
            return 1;
        size_t size = strlen(value);
        for (const char *at = strstr(line->values, value); at != NULL && size > 0;
             at = strstr(at + 1, value)) {
            if (at[-1] == ' ' && at[size] == ' ')
                return 1;
        }
    }
    return 0;
}
