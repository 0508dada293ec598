/*
 * What requests cost on a machine that serves several at once, one bill for each. Either
 * the machine passes for another one, an emulated board: then a request is held back
 * until the board would be through with it, and time and energy are the model's. Or a
 * meter counts the real one, and those that overlap share it (device/claims.h). A
 * request counts from when it begins to compute, not from when it queues. Thread-safe.
 */
#ifndef WS_NODE_ACCOUNT_H
#define WS_NODE_ACCOUNT_H

#include "base/buf.h"
#include "core/outcome.h"
#include "core/work.h"
#include "device/board.h"
#include "device/claims.h"

struct ws_account;

struct ws_account_options {
    /* The machine to pass for, under a setting of its own space; must outlive. */
    const struct ws_board *board;
    struct ws_setting setting;
    /* Or: of the real one, by the sampler's first meter; must outlive. */
    struct ws_sampler *sampler;
    const struct ws_meter_info *info;
    double idle_w; /* what the machine draws while it does nothing */
};

int ws_account_create(struct ws_account **out, const struct ws_account_options *options,
                      struct ws_error *err);
/* Takes NULL. */
void ws_account_destroy(struct ws_account *account);
/* The machine it passes for, or NULL; and another setting of that one. */
const struct ws_board *ws_account_board(const struct ws_account *account);
void ws_account_set(struct ws_account *account, const struct ws_setting *setting);

struct ws_bill {
    double energy_j;
    enum ws_truth truth;
    enum ws_boundary boundary;
    const char *machine; /* the emulated one's name, or NULL */
    int is_interpolated; /* the request was shorter than the meter's interval */
    int64_t late_ns;     /* by how much this machine was too slow to pass for that one */
};

/* A request begins to compute now. Each claim is closed, once. */
struct ws_claim ws_account_open(struct ws_account *account);
/* It is through. An emulated machine waits here. WS_E_UNKNOWN and the codes of the meter:
 * it cannot be told; nobody has to fail for that. `work` is the request's, for a board.
 */
int ws_account_close(struct ws_bill *out, struct ws_account *account,
                     struct ws_claim claim, const struct ws_work *work,
                     struct ws_error *err);

/* The bill as members of a reply's parameters: "energy_j":...,"truth":...,"boundary":...,
 * and where it applies "machine", "interpolated", "late_ms". */
int ws_bill_write(struct ws_buf *out, const struct ws_bill *bill, struct ws_error *err);

#endif
