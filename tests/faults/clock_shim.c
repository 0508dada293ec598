/* Preloaded into a process, moves its wall clock by the seconds that the file named by
 * WS_CLOCK_FILE holds; the file can change while it runs. The monotonic clock stays. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int64_t offset_s(void)
{
    const char *path = getenv("WS_CLOCK_FILE");
    FILE *file = path != NULL ? fopen(path, "re") : NULL;
    int64_t sign = 1, value = 0;
    int c = file != NULL ? getc(file) : EOF;
    if (c == '-') {
        sign = -1;
        c = getc(file);
    }
    for (; c >= '0' && c <= '9'; c = getc(file))
        value = value * 10 + (c - '0');
    if (file != NULL)
        (void)fclose(file);
    return sign * value;
}

int clock_gettime(clockid_t clock, struct timespec *out)
{
    int rc = (int)syscall(SYS_clock_gettime, clock, out);
    if (rc == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        out->tv_sec += offset_s();
    return rc;
}

time_t time(time_t *out)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (out != NULL)
        *out = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}
