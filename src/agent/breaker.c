#include "agent/breaker.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static const struct ws_breaker_options defaults = {
    .failures = 2, .wait_ms = 500, .wait_ms_max = 10000};

void ws_breaker_init(struct ws_breaker *breaker, const struct ws_breaker_options *options)
{
    memset(breaker, 0, sizeof(*breaker));
    struct ws_breaker_options *o = &breaker->options;
    *o = *options;
    if (o->failures == 0)
        o->failures = defaults.failures;
    if (!(o->wait_ms > 0))
        o->wait_ms = defaults.wait_ms;
    if (!(o->wait_ms_max > 0))
        o->wait_ms_max = fmax(defaults.wait_ms_max, o->wait_ms);
    breaker->wait_ms = o->wait_ms;
}

void ws_breaker_inherit(struct ws_breaker *breaker, const struct ws_breaker *from,
                        double shift_ms)
{
    const struct ws_breaker_options options = breaker->options;
    *breaker = *from;
    breaker->options = options;
    breaker->until_ms += shift_ms;
    breaker->wait_ms = fmin(breaker->wait_ms, options.wait_ms_max);
    breaker->is_tried = 0; /* that trial is over */
}

enum ws_breaker_state ws_breaker_state(const struct ws_breaker *breaker, double now_ms)
{
    if (!breaker->is_open)
        return WS_BREAKER_CLOSED;
    return now_ms < breaker->until_ms ? WS_BREAKER_OPEN : WS_BREAKER_TRIAL;
}

int ws_breaker_allows(const struct ws_breaker *breaker, double now_ms)
{
    return ws_breaker_state(breaker, now_ms) != WS_BREAKER_OPEN;
}

void ws_breaker_begin(struct ws_breaker *breaker, double now_ms)
{
    if (!breaker->is_open)
        return;
    breaker->is_tried = 1;
    breaker->until_ms = now_ms + breaker->options.wait_ms_max;
}

void ws_breaker_succeed(struct ws_breaker *breaker)
{
    breaker->is_open = breaker->is_tried = 0;
    breaker->failures = 0;
    breaker->wait_ms = breaker->options.wait_ms;
}

void ws_breaker_fail(struct ws_breaker *breaker, double now_ms)
{
    const struct ws_breaker_options *o = &breaker->options;
    breaker->failures++;
    if (breaker->is_open && !breaker->is_tried)
        return; /* sent before it opened: nothing new */
    if (breaker->is_tried)
        breaker->wait_ms = fmin(2 * breaker->wait_ms, o->wait_ms_max);
    else if (breaker->failures < o->failures)
        return;
    else
        breaker->opened++;
    breaker->is_tried = 0;
    breaker->is_open = 1;
    breaker->until_ms = now_ms + breaker->wait_ms;
}

const char *ws_breaker_state_name(enum ws_breaker_state state)
{
    static const char *const names[] = {
        [WS_BREAKER_CLOSED] = "closed",
        [WS_BREAKER_OPEN] = "open",
        [WS_BREAKER_TRIAL] = "trial",
    };
    assert((unsigned)state < sizeof(names) / sizeof(names[0]));
    return names[state];
}
