#include "base/data.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"

/* Takes DIR/NAME if it can be read, or remembers in `tried` that it cannot. */
static int try_dir(char **out, struct ws_buf *tried, const char *dir, const char *name,
                   struct ws_error *err)
{
    struct ws_buf path;
    ws_buf_init(&path, PATH_MAX);
    int rc = ws_buf_printf(&path, err, "%s/%s", dir, name);
    if (rc == 0 && access((const char *)path.data, R_OK) == 0)
        *out = ws_buf_take(&path);
    else if (rc == 0)
        rc = ws_buf_printf(tried, err, "%s%s", tried->size > 0 ? ", " : "", dir);
    ws_buf_fini(&path);
    return rc;
}

/* The same for a folder beside the program's own. */
static int try_beside(char **out, struct ws_buf *tried, const char *sibling,
                      const char *name, struct ws_error *err)
{
    char program[PATH_MAX];
    char dir[PATH_MAX + 64];
    ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
    if (length <= 0)
        return 0;
    program[length] = '\0';
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(program, '/');
        if (slash == NULL)
            return 0;
        *slash = '\0';
    }
    (void)snprintf(dir, sizeof(dir), "%s/%s", program, sibling);
    return try_dir(out, tried, dir, name, err);
}

int ws_data_find(char **out, const char *name, struct ws_error *err)
{
    static const char *const siblings[] = {"share/wattshed", "etc"};
    const char *chosen = getenv("WATTSHED_DATA");
    char *path = NULL;
    struct ws_buf tried;
    ws_buf_init(&tried, 0);
    int rc = 0;
    if (chosen != NULL && chosen[0] != '\0')
        rc = try_dir(&path, &tried, chosen, name, err);
    for (size_t i = 0; rc == 0 && path == NULL && i < 2; i++)
        rc = try_beside(&path, &tried, siblings[i], name, err);
    if (rc == 0 && path == NULL)
        rc = try_dir(&path, &tried, WS_DATA_DIR, name, err);
    if (rc == 0 && path == NULL)
        rc = ws_error_set(err, WS_E_NOT_FOUND, "there is no %s in %s", name,
                          (const char *)tried.data);
    if (rc == 0)
        *out = path;
    ws_buf_fini(&tried);
    return rc;
}
