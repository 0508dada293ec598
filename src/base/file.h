/*
 * Files, whole: mapped read-only, read into memory with a limit, or written so that a
 * reader sees the old content or the new, never half of it.
 */
#ifndef WS_BASE_FILE_H
#define WS_BASE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

/* A read-only mapping. An empty file has size 0 and data NULL. */
struct ws_map {
    const uint8_t *data;
    size_t size;
};

/* WS_E_IO, or WS_E_LIMIT above size_max (0: no limit). Directories, pipes and devices are
 * refused. */
int ws_map_open(struct ws_map *out, const char *path, uint64_t size_max,
                struct ws_error *err);
void ws_map_close(struct ws_map *map);

/* Appends the file to `buf`, within buf's limit; "-" reads standard input. */
int ws_file_read(struct ws_buf *buf, const char *path, struct ws_error *err);

/*
 * A file written piece by piece, with a buffer between: beside the target until
 * ws_writer_commit syncs it and renames it over the target. Abort, which takes NULL,
 * leaves the target as it was; so does a failed commit. Both end the writer.
 */
struct ws_writer;
int ws_writer_open(struct ws_writer **out, const char *path, struct ws_error *err);
int ws_writer_add(struct ws_writer *writer, const void *bytes, size_t size,
                  struct ws_error *err);
/* Bytes added so far. */
uint64_t ws_writer_size(const struct ws_writer *writer);
int ws_writer_commit(struct ws_writer *writer, struct ws_error *err);
void ws_writer_abort(struct ws_writer *writer);

/* The same for bytes that are all there. */
int ws_file_write(const char *path, const void *bytes, size_t size, struct ws_error *err);

/* Writes all of it to fd, whatever the signals. */
int ws_file_write_fd(int fd, const void *bytes, size_t size, struct ws_error *err);

/* The file's name without folder and last ending: "a/b.c.onnx" is "b.c". Cut to fit. */
void ws_file_stem(char *out, size_t size, const char *path);

/* mkdir -p. */
int ws_dir_create(const char *path, struct ws_error *err);

/* An unlinked temporary file under $TMPDIR or /tmp that lives as long as its descriptor,
 * on a real file system where there is one. */
int ws_file_temp(int *out_fd, struct ws_error *err);

#endif
