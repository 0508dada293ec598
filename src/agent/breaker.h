/*
 * A circuit breaker for one node: after a few failures in a row nothing is sent there any
 * more, and it is tried again after a wait that doubles each time it fails again. Closed,
 * it lets everything pass; open, nothing; once the wait is over, one trial at a time,
 * whose success closes it. Plain data on the caller's clock, no allocation.
 */
#ifndef WS_AGENT_BREAKER_H
#define WS_AGENT_BREAKER_H

enum ws_breaker_state {
    WS_BREAKER_CLOSED,
    WS_BREAKER_OPEN,  /* until the wait is over */
    WS_BREAKER_TRIAL, /* the wait is over: one may try */
};

/* Zeros are the defaults in brackets. */
struct ws_breaker_options {
    unsigned failures;  /* in a row, that open it (2) */
    double wait_ms;     /* the first wait (500) */
    double wait_ms_max; /* and the longest (10000) */
};

struct ws_breaker {
    struct ws_breaker_options options;
    unsigned failures; /* in a row */
    int is_open;
    int is_tried; /* a trial is under way */
    double wait_ms;
    double until_ms;      /* of the wait; of a trial: when it counts as forgotten */
    unsigned long opened; /* how often */
};

void ws_breaker_init(struct ws_breaker *breaker,
                     const struct ws_breaker_options *options);
/* How `from` stands, by its own options; its clock lies `shift_ms` before. */
void ws_breaker_inherit(struct ws_breaker *breaker, const struct ws_breaker *from,
                        double shift_ms);
enum ws_breaker_state ws_breaker_state(const struct ws_breaker *breaker, double now_ms);
/* Whether something may be sent now. */
int ws_breaker_allows(const struct ws_breaker *breaker, double now_ms);
/* Something is sent; of an open breaker that is its trial, and none else may go until its
 * end is told (or a whole longest wait has passed, in case it never is). */
void ws_breaker_begin(struct ws_breaker *breaker, double now_ms);
void ws_breaker_succeed(struct ws_breaker *breaker);
void ws_breaker_fail(struct ws_breaker *breaker, double now_ms);
/* "closed", "open", "trial". */
const char *ws_breaker_state_name(enum ws_breaker_state state);

#endif
