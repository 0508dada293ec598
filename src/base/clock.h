/*
 * Time. Monotonic nanoseconds for everything that is measured; wall time only for records
 * that people read. Code that must run on a virtual clock takes the time as an argument.
 */
#ifndef WS_BASE_CLOCK_H
#define WS_BASE_CLOCK_H

#include <stdint.h>

/* CLOCK_MONOTONIC, in nanoseconds. */
int64_t ws_clock_now_ns(void);

/* CPU time of this process, in nanoseconds. */
int64_t ws_clock_cpu_ns(void);

/* Seconds since 1970, UTC. */
double ws_clock_wall_s(void);

/* Sleeps until the monotonic time `until_ns`; returns at once if it has passed. */
void ws_clock_sleep_until(int64_t until_ns);

#endif
