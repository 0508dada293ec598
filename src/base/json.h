/*
 * JSON, read strictly, over jansson. A document knows the file it came from; a node knows
 * its place in the document, so that every refusal names both: `t.json:
 * knobs.cut.values[3]: expected a number, got a string`. Syntax errors name line and
 * column. Duplicate keys, nesting beyond WS_JSON_DEPTH_MAX and files beyond
 * WS_TEXT_FILE_MAX are refused. Nodes live on the caller's stack and point at their
 * parents, so a parent must outlive its children; strings belong to the document.
 * Writing is jansson's own json_pack and ws_json_write. One thread per document.
 */
#ifndef WS_BASE_JSON_H
#define WS_BASE_JSON_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct ws_json_doc {
    json_t *root;
    char *name; /* of the file, for error lines */
};

/* A place in a document. */
struct ws_json {
    json_t *value;
    const struct ws_json_doc *doc;
    const struct ws_json *parent; /* NULL at the root */
    const char *key;              /* NULL inside an array */
    size_t index;                 /* inside an array */
};

/* "-" reads standard input. WS_E_IO, WS_E_LIMIT, WS_E_FORMAT. */
int ws_json_load(struct ws_json_doc *out, const char *path, struct ws_error *err);
/* `name` stands for the file in error lines. */
int ws_json_parse(struct ws_json_doc *out, const void *bytes, size_t size,
                  const char *name, struct ws_error *err);
void ws_json_doc_fini(struct ws_json_doc *doc);
struct ws_json ws_json_root(const struct ws_json_doc *doc);

/* Sets the line "FILE: PATH: ..." and returns `code`. */
__attribute__((format(printf, 4, 5))) int ws_json_fail(const struct ws_json *node,
                                                       int code, struct ws_error *err,
                                                       const char *fmt, ...);

/* The node's place, as error lines name it: "knobs.cut.values[3]", "" for the root. Cut
 * to fit; returns `out`. */
char *ws_json_path(char *out, size_t size, const struct ws_json *node);

/* A member that must be there (WS_E_FORMAT otherwise), and one that may: 1 and *out if it
 * is there and not null, 0 if not. Both demand an object (`find` gives 0 for others). */
int ws_json_member(struct ws_json *out, const struct ws_json *object, const char *key,
                   struct ws_error *err);
int ws_json_find(struct ws_json *out, const struct ws_json *object, const char *key);
/* Members of an object or elements of an array; 0 for anything else. */
size_t ws_json_count(const struct ws_json *node);
/* Element `index` < count of an array. */
struct ws_json ws_json_at(const struct ws_json *array, size_t index);
/* Steps through an object's members in the file's order: start with out->value = NULL,
 * goes on while it gives 1. */
int ws_json_next(struct ws_json *out, const struct ws_json *object);

/* Demand a kind. */
int ws_json_object(const struct ws_json *node, struct ws_error *err);
int ws_json_array(const struct ws_json *node, struct ws_error *err);
/* An object whose keys are all among the NULL-terminated `keys`: the line names the first
 * stranger and what was expected. */
int ws_json_only(const struct ws_json *object, const char *const *keys,
                 struct ws_error *err);

/* Values of a node. Strings hold no NUL. Numbers are finite. Bounds are inclusive. */
int ws_json_string(const char **out, const struct ws_json *node, struct ws_error *err);
int ws_json_double(double *out, const struct ws_json *node, double min, double max,
                   struct ws_error *err);
int ws_json_i64(int64_t *out, const struct ws_json *node, int64_t min, int64_t max,
                struct ws_error *err);
int ws_json_bool(int *out, const struct ws_json *node, struct ws_error *err);
/* An array of exactly `count` numbers. */
int ws_json_doubles(double *out, const struct ws_json *list, size_t count, double min,
                    double max, struct ws_error *err);

/* The same for a member that must be there. */
int ws_json_get_string(const char **out, const struct ws_json *object, const char *key,
                       struct ws_error *err);
/* A copy, the caller's to free. */
int ws_json_get_text(char **out, const struct ws_json *object, const char *key,
                     struct ws_error *err);
int ws_json_get_double(double *out, const struct ws_json *object, const char *key,
                       double min, double max, struct ws_error *err);
int ws_json_get_i64(int64_t *out, const struct ws_json *object, const char *key,
                    int64_t min, int64_t max, struct ws_error *err);

/* Writes indented text with a final newline through ws_file_write; "-" is standard
 * output. */
int ws_json_write(const char *path, const json_t *root, struct ws_error *err);

#endif
