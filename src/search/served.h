/*
 * What trials are good for: the cost that a request pays when, for its deadline, the
 * cheapest trial that is fast enough serves it, averaged over deadlines nobody knows yet.
 * They are taken to be spread evenly over the logarithm of time, from the fastest trial
 * to the cheapest, with some beyond; a deadline that no trial meets costs twice what the
 * fastest trial does. The staircase of the trials holds the cost for every deadline.
 * Internal to this room.
 */
#ifndef WS_SEARCH_SERVED_H
#define WS_SEARCH_SERVED_H

#include <stddef.h>

#include "base/error.h"

struct ws_step {
    double log_time; /* deadlines from here on ... */
    double cost;     /* ... cost this, up to the next step */
};

struct ws_staircase {
    struct ws_step *steps; /* times ascending, costs descending */
    size_t count;
    size_t capacity;
    double end; /* logarithm of the largest deadline that counts */
};

void ws_staircase_fini(struct ws_staircase *stairs);
/* Adds a trial; dominated ones change nothing. log_time and cost are finite. */
int ws_staircase_add(struct ws_staircase *stairs, double log_time, double cost,
                     struct ws_error *err);
/* By how much the trial would lower the sum of cost over log deadline; 0 or more. */
double ws_staircase_gain(const struct ws_staircase *stairs, double log_time, double cost);

#endif
