#include "net/changed.h"

#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"

static const int64_t ASK_NS = 1000000000;

/* What tells two states of a file apart; 0: it is not there. */
static uint64_t mark_of(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return 0;
    const uint64_t parts[] = {(uint64_t)st.st_dev, (uint64_t)st.st_ino,
                              (uint64_t)st.st_size, (uint64_t)st.st_mtim.tv_sec,
                              (uint64_t)st.st_mtim.tv_nsec};
    uint64_t mark = 14695981039346656037u; /* FNV-1a, a word at a time */
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        mark = (mark ^ parts[i]) * 1099511628211u;
    return mark | 1;
}

void ws_changed_init(struct ws_changed *changed, const char *const *paths, size_t count)
{
    *changed = (struct ws_changed){.asked_ns = ws_clock_now_ns()};
    for (size_t i = 0; i < count; i++) {
        changed->paths[i] = paths[i];
        changed->marks[i] = paths[i] != NULL ? mark_of(paths[i]) : 0;
    }
}

int ws_changed_ask(struct ws_changed *changed)
{
    int64_t now = ws_clock_now_ns();
    int is_new = 0;
    if (now - changed->asked_ns < ASK_NS)
        return 0;
    changed->asked_ns = now;
    for (size_t i = 0; i < WS_CHANGED_FILES_MAX; i++) {
        uint64_t mark = changed->paths[i] != NULL ? mark_of(changed->paths[i]) : 0;
        if (mark != 0 && mark != changed->marks[i]) {
            changed->marks[i] = mark;
            is_new = 1;
        }
    }
    return is_new;
}
