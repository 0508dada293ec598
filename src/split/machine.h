/*
 * A node's machine, as its control requests tell it: what it is, whether its energy is
 * known, and knobs that may be set from here. A server that is none of ours has none. One
 * thread.
 */
#ifndef WS_SPLIT_MACHINE_H
#define WS_SPLIT_MACHINE_H

#include "core/knob.h"
#include "core/outcome.h"
#include "net/http_client.h"

struct ws_machine;

/* Asks the node at `url`. WS_E_UNSUPPORTED: it does not speak of its machine. */
int ws_machine_open(struct ws_machine **out, const char *url,
                    const struct ws_http_client_options *options, struct ws_error *err);
/* Takes NULL. */
void ws_machine_close(struct ws_machine *machine);

/* "gpu-server", or "this machine" where it emulates none. */
const char *ws_machine_name(const struct ws_machine *machine);
/* Whether replies tell energy, and how it came about. */
int ws_machine_energy(enum ws_truth *out, const struct ws_machine *machine);
/* Knobs, as cloud.x; none where they may not be set. */
const struct ws_space *ws_machine_space(const struct ws_machine *machine);

/* Sets those knobs of `space` (a testbed's) that are cloud.x. `owner` is who holds them
 * meanwhile. WS_E_REMOTE with the node's words: refused, or held by somebody else. */
int ws_machine_set(double *out_switch_ms, int *out_exact, char *reason, size_t size,
                   struct ws_machine *machine, const struct ws_space *space,
                   const struct ws_setting *setting, const char *owner,
                   struct ws_error *err);

#endif
