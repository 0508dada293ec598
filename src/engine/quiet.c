#include "engine/quiet.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char noise[] = "Schema error: Trying to register schema with name ";

int ws_quiet_needed(void)
{
    void *onnx = dlopen("libonnx.so.1", RTLD_LAZY | RTLD_NOLOAD);
    if (onnx == NULL)
        return 0;
    dlclose(onnx); /* the count of its users, not the library */
    return 1;
}

void ws_quiet_begin(struct ws_quiet *quiet)
{
    quiet->held = memfd_create("wattshed-quiet", MFD_CLOEXEC);
    quiet->saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    if (quiet->held >= 0 && quiet->saved >= 0 && dup2(quiet->held, STDERR_FILENO) >= 0)
        return;
    if (quiet->held >= 0)
        close(quiet->held);
    if (quiet->saved >= 0)
        close(quiet->saved);
    *quiet = (struct ws_quiet){-1, -1};
}

/* Line by line, without the known lines and the empty line behind each. */
static void pass_on(FILE *from, int to)
{
    char line[4096];
    int was_noise = 0, line_starts = 1, dropping = 0;
    while (fgets(line, sizeof(line), from) != NULL) {
        size_t size = strlen(line);
        if (line_starts) {
            int is_noise = strncmp(line, noise, sizeof(noise) - 1) == 0;
            dropping = is_noise || (was_noise && strcmp(line, "\n") == 0);
            was_noise = is_noise;
        }
        line_starts = size > 0 && line[size - 1] == '\n';
        if (!dropping && write(to, line, size) < 0)
            return; /* nobody listens */
    }
}

void ws_quiet_end(struct ws_quiet *quiet)
{
    if (quiet->saved < 0)
        return;
    (void)dup2(quiet->saved, STDERR_FILENO);
    FILE *held = fdopen(quiet->held, "r");
    if (held != NULL) {
        rewind(held);
        pass_on(held, quiet->saved);
        fclose(held);
    } else {
        close(quiet->held);
    }
    close(quiet->saved);
    *quiet = (struct ws_quiet){-1, -1};
}
