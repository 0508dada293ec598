#include "base/json.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"

/* Where the nesting first goes beyond the limit, as a line and column; 0 if nowhere.
 * jansson recurses to a depth of its own choosing, so this runs before it. */
static size_t too_deep_line(const char *text, size_t size, size_t *out_column)
{
    size_t depth = 0;
    size_t line = 1;
    size_t line_start = 0;
    int in_string = 0;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (c == '\n') {
            line++;
            line_start = i + 1;
        }
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = 0;
        } else if (c == '"') {
            in_string = 1;
        } else if (c == '{' || c == '[') {
            if (++depth > WS_JSON_DEPTH_MAX) {
                *out_column = i - line_start + 1;
                return line;
            }
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return 0;
}

/* ---- Out of memory within jansson ----
 *
 * Its lexer goes on when a token's buffer cannot grow: it then asserts, or reads past the
 * buffer. So an allocation that fails during a parse leaves the parse at once; what it
 * had taken was written down and is given back. Blocks are the C library's, whoever frees
 * them. */
struct block_list {
    void **blocks;
    size_t count, capacity;
};

struct parse {
    jmp_buf leave;
    struct block_list taken; /* all that may still be alive */
    struct block_list late;  /* those of them that are freed when the parse is over */
    int is_out_of_memory;
};

/* jansson mostly frees what it took a moment ago. A document that fails at its end is
 * taken down from its beginning: looking for each of its blocks among all would make a
 * few megabytes from a stranger cost hours. */
enum { RECENT_BLOCKS = 32 };

static _Thread_local struct parse *current; /* NULL: nobody parses on this thread */
static pthread_once_t hooked = PTHREAD_ONCE_INIT;

static int note_block(struct block_list *list, void *block)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 64 : 2 * list->capacity;
        void **more = realloc(list->blocks, capacity * sizeof(*more));
        if (more == NULL)
            return 0;
        list->blocks = more;
        list->capacity = capacity;
    }
    list->blocks[list->count++] = block;
    return 1;
}

static void *take_block(size_t size)
{
    void *block = malloc(size);
    if (current == NULL || (block != NULL && note_block(&current->taken, block)))
        return block;
    free(block);
    longjmp(current->leave, 1);
}

static void free_block(void *block)
{
    if (current == NULL || block == NULL) {
        free(block);
        return;
    }
    struct block_list *taken = &current->taken;
    size_t first = taken->count > RECENT_BLOCKS ? taken->count - RECENT_BLOCKS : 0;
    size_t i = taken->count;
    while (i > first && taken->blocks[i - 1] != block)
        i--;
    if (i > first) {
        taken->blocks[i - 1] = taken->blocks[--taken->count];
        free(block);
    } else if (!note_block(&current->late, block)) {
        longjmp(current->leave, 1);
    }
}

static void hook(void)
{
    json_set_alloc_funcs(take_block, free_block);
}

static void free_blocks(const struct block_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->blocks[i]);
}

static json_t *load_or_leave(struct parse *parse, const void *bytes, size_t size,
                             json_error_t *fault)
{
    if (setjmp(parse->leave) != 0) {
        parse->is_out_of_memory = 1;
        return NULL;
    }
    return json_loadb(bytes, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, fault);
}

/* json_loadb, which ends with *out_of_memory set where it is. Without a document nothing
 * of what was taken is anybody's; with one, all but the late blocks is its. */
static json_t *load(const void *bytes, size_t size, json_error_t *fault,
                    int *out_of_memory)
{
    struct parse parse = {.is_out_of_memory = 0};
    (void)pthread_once(&hooked, hook);
    current = &parse;
    json_t *root = load_or_leave(&parse, bytes, size, fault);
    current = NULL;
    free_blocks(root == NULL ? &parse.taken : &parse.late);
    free(parse.taken.blocks);
    free(parse.late.blocks);
    *out_of_memory = parse.is_out_of_memory;
    return root;
}

int ws_json_parse(struct ws_json_doc *out, const void *bytes, size_t size,
                  const char *name, struct ws_error *err)
{
    size_t column = 0;
    size_t line = too_deep_line(bytes, size, &column);
    if (line != 0)
        return ws_error_set(err, WS_E_LIMIT, "%s:%zu:%zu: nested deeper than %d", name,
                            line, column, WS_JSON_DEPTH_MAX);
    json_error_t fault;
    int out_of_memory = 0;
    json_t *root = load(size == 0 ? "" : bytes, size, &fault, &out_of_memory);
    if (out_of_memory)
        return ws_error_nomem(err);
    if (root == NULL)
        return ws_error_set(err, WS_E_FORMAT, "%s:%d:%d: %s", name, fault.line,
                            fault.column, fault.text);
    char *copy = strdup(name);
    if (copy == NULL) {
        json_decref(root);
        return ws_error_nomem(err);
    }
    *out = (struct ws_json_doc){.root = root, .name = copy};
    return 0;
}

int ws_json_load(struct ws_json_doc *out, const char *path, struct ws_error *err)
{
    struct ws_buf buf;
    ws_buf_init(&buf, WS_TEXT_FILE_MAX);
    int rc = ws_file_read(&buf, path, err);
    if (rc == 0)
        rc = ws_json_parse(out, buf.data, buf.size, path, err);
    ws_buf_fini(&buf);
    return rc;
}

void ws_json_doc_fini(struct ws_json_doc *doc)
{
    json_decref(doc->root);
    free(doc->name);
    *doc = (struct ws_json_doc){0};
}

struct ws_json ws_json_root(const struct ws_json_doc *doc)
{
    return (struct ws_json){.value = doc->root, .doc = doc};
}

/* Appends "knobs.cut.values[3]" to text at `used`; returns the new length. */
static size_t add_path(char *text, size_t size, size_t used, const struct ws_json *node)
{
    if (node->parent == NULL)
        return used;
    used = add_path(text, size, used, node->parent);
    int put = 0;
    if (node->key == NULL)
        put = snprintf(text + used, size - used, "[%zu]", node->index);
    else
        put = snprintf(text + used, size - used, "%s%s", used > 0 ? "." : "", node->key);
    size_t length = put > 0 ? (size_t)put : 0;
    return used + length < size ? used + length : size - 1;
}

char *ws_json_path(char *out, size_t size, const struct ws_json *node)
{
    out[0] = '\0';
    (void)add_path(out, size, 0, node);
    return out;
}

int ws_json_fail(const struct ws_json *node, int code, struct ws_error *err,
                 const char *fmt, ...)
{
    char text[WS_ERROR_TEXT_MAX];
    char path[WS_ERROR_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (ws_json_path(path, sizeof(path), node)[0] == '\0')
        return ws_error_set(err, code, "%s: %s", node->doc->name, text);
    return ws_error_set(err, code, "%s: %s: %s", node->doc->name, path, text);
}

static const char *type_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    case JSON_NULL:
        break;
    }
    return "null";
}

static int wrong_type(const struct ws_json *node, const char *expected,
                      struct ws_error *err)
{
    return ws_json_fail(node, WS_E_FORMAT, err, "expected %s, got %s", expected,
                        type_name(node->value));
}

int ws_json_object(const struct ws_json *node, struct ws_error *err)
{
    return json_is_object(node->value) ? 0 : wrong_type(node, "an object", err);
}

int ws_json_array(const struct ws_json *node, struct ws_error *err)
{
    return json_is_array(node->value) ? 0 : wrong_type(node, "an array", err);
}

int ws_json_find(struct ws_json *out, const struct ws_json *object, const char *key)
{
    json_t *value = json_object_get(object->value, key);
    if (value == NULL || json_is_null(value))
        return 0;
    *out = (struct ws_json){
        .value = value, .doc = object->doc, .parent = object, .key = key};
    return 1;
}

int ws_json_member(struct ws_json *out, const struct ws_json *object, const char *key,
                   struct ws_error *err)
{
    int rc = ws_json_object(object, err);
    if (rc != 0)
        return rc;
    if (!ws_json_find(out, object, key))
        return ws_json_fail(object, WS_E_FORMAT, err, "\"%s\" is missing", key);
    return 0;
}

size_t ws_json_count(const struct ws_json *node)
{
    if (json_is_array(node->value))
        return json_array_size(node->value);
    return json_object_size(node->value);
}

struct ws_json ws_json_at(const struct ws_json *array, size_t index)
{
    return (struct ws_json){.value = json_array_get(array->value, index),
                            .doc = array->doc,
                            .parent = array,
                            .index = index};
}

int ws_json_next(struct ws_json *out, const struct ws_json *object)
{
    void *at =
        out->value == NULL
            ? json_object_iter(object->value)
            : json_object_iter_next(object->value, json_object_key_to_iter(out->key));
    if (at == NULL)
        return 0;
    *out = (struct ws_json){.value = json_object_iter_value(at),
                            .doc = object->doc,
                            .parent = object,
                            .key = json_object_iter_key(at)};
    return 1;
}

int ws_json_only(const struct ws_json *object, const char *const *keys,
                 struct ws_error *err)
{
    int rc = ws_json_object(object, err);
    if (rc != 0)
        return rc;
    struct ws_json member = {0};
    while (ws_json_next(&member, object)) {
        size_t k = 0;
        while (keys[k] != NULL && strcmp(keys[k], member.key) != 0)
            k++;
        if (keys[k] != NULL)
            continue;
        char expected[256] = "";
        size_t used = 0;
        for (k = 0; keys[k] != NULL && used < sizeof(expected); k++) {
            int put = snprintf(expected + used, sizeof(expected) - used, "%s%s",
                               k > 0 ? ", " : "", keys[k]);
            used += put > 0 ? (size_t)put : 0;
        }
        return ws_json_fail(object, WS_E_FORMAT, err, "unknown key \"%s\", expected %s",
                            member.key, expected);
    }
    return 0;
}

int ws_json_string(const char **out, const struct ws_json *node, struct ws_error *err)
{
    if (!json_is_string(node->value))
        return wrong_type(node, "a string", err);
    *out = json_string_value(node->value);
    return 0;
}

int ws_json_double(double *out, const struct ws_json *node, double min, double max,
                   struct ws_error *err)
{
    if (!json_is_number(node->value))
        return wrong_type(node, "a number", err);
    double value = json_number_value(node->value);
    /* Written so that a NaN, which no parser should give us, fails too. */
    if (!(value >= min && value <= max))
        return ws_json_fail(node, WS_E_LIMIT, err, "%g is outside %g .. %g", value, min,
                            max);
    *out = value;
    return 0;
}

int ws_json_doubles(double *out, const struct ws_json *list, size_t count, double min,
                    double max, struct ws_error *err)
{
    int rc = ws_json_array(list, err);
    if (rc == 0 && ws_json_count(list) != count)
        rc = ws_json_fail(list, WS_E_FORMAT, err, "expected %zu numbers, got %zu", count,
                          ws_json_count(list));
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct ws_json item = ws_json_at(list, i);
        rc = ws_json_double(&out[i], &item, min, max, err);
    }
    return rc;
}

int ws_json_i64(int64_t *out, const struct ws_json *node, int64_t min, int64_t max,
                struct ws_error *err)
{
    if (!json_is_integer(node->value))
        return wrong_type(node, "a whole number", err);
    int64_t value = json_integer_value(node->value);
    if (value < min || value > max)
        return ws_json_fail(node, WS_E_LIMIT, err,
                            "%" PRId64 " is outside %" PRId64 " .. %" PRId64, value, min,
                            max);
    *out = value;
    return 0;
}

int ws_json_bool(int *out, const struct ws_json *node, struct ws_error *err)
{
    if (!json_is_boolean(node->value))
        return wrong_type(node, "true or false", err);
    *out = json_is_true(node->value);
    return 0;
}

int ws_json_get_string(const char **out, const struct ws_json *object, const char *key,
                       struct ws_error *err)
{
    struct ws_json node;
    int rc = ws_json_member(&node, object, key, err);
    return rc != 0 ? rc : ws_json_string(out, &node, err);
}

int ws_json_get_text(char **out, const struct ws_json *object, const char *key,
                     struct ws_error *err)
{
    const char *text = NULL;
    int rc = ws_json_get_string(&text, object, key, err);
    char *copy = rc == 0 ? strdup(text) : NULL;
    if (rc == 0 && copy == NULL)
        rc = ws_error_nomem(err);
    if (rc == 0)
        *out = copy;
    return rc;
}

int ws_json_get_double(double *out, const struct ws_json *object, const char *key,
                       double min, double max, struct ws_error *err)
{
    struct ws_json node;
    int rc = ws_json_member(&node, object, key, err);
    return rc != 0 ? rc : ws_json_double(out, &node, min, max, err);
}

int ws_json_get_i64(int64_t *out, const struct ws_json *object, const char *key,
                    int64_t min, int64_t max, struct ws_error *err)
{
    struct ws_json node;
    int rc = ws_json_member(&node, object, key, err);
    return rc != 0 ? rc : ws_json_i64(out, &node, min, max, err);
}

int ws_json_write(const char *path, const json_t *root, struct ws_error *err)
{
    char *text =
        json_dumps(root, JSON_INDENT(1) | JSON_ENCODE_ANY | JSON_REAL_PRECISION(12));
    if (text == NULL)
        return ws_error_set(err, WS_E_FORMAT, "%s: cannot be written as JSON", path);
    struct ws_buf buf;
    ws_buf_init(&buf, 0);
    int rc = ws_buf_add_text(&buf, text, err);
    if (rc == 0)
        rc = ws_buf_add_text(&buf, "\n", err);
    if (rc == 0)
        rc = strcmp(path, "-") == 0
                 ? ws_file_write_fd(STDOUT_FILENO, buf.data, buf.size, err)
                 : ws_file_write(path, buf.data, buf.size, err);
    ws_buf_fini(&buf);
    free(text);
    return rc;
}
