/*
 * Runs a fuzz target over files instead of under libFuzzer: every argument is a file or a
 * folder of files. This is how the normal tests replay the seeds with any compiler. It
 * fails if it found no file at all, so that a lost corpus is noticed.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    struct ws_error err;
    struct ws_buf buf;
    ws_buf_init(&buf, 0);
    if (ws_file_read(&buf, path, &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    /* An exact copy, so that the sanitizers see a read past the end. */
    uint8_t *exact = malloc(buf.size + (buf.size == 0));
    if (exact == NULL)
        exit(1);
    if (buf.size > 0)
        memcpy(exact, buf.data, buf.size);
    (void)LLVMFuzzerTestOneInput(exact, buf.size);
    free(exact);
    ws_buf_fini(&buf);
    return 1;
}

static int replay(const char *path)
{
    DIR *dir = opendir(path);
    if (dir == NULL)
        return replay_file(path);
    int count = 0;
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        char file[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
        count += replay_file(file);
    }
    closedir(dir);
    return count;
}

int main(int argc, char **argv)
{
    int count = 0;
    for (int i = 1; i < argc; i++)
        count += replay(argv[i]);
    printf("%d inputs replayed\n", count);
    return count > 0 ? 0 : 1;
}
