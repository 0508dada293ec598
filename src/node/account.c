#include "node/account.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "wire/oip_tensor.h"

struct ws_account {
    struct ws_account_options options;
    struct ws_claims *claims; /* on the meter; NULL: there is a board */
    pthread_mutex_t lock;     /* the board's setting */
};

int ws_account_create(struct ws_account **out, const struct ws_account_options *options,
                      struct ws_error *err)
{
    struct ws_account *account = calloc(1, sizeof(*account));
    if (account == NULL)
        return ws_error_nomem(err);
    account->options = *options;
    (void)pthread_mutex_init(&account->lock, NULL);
    const struct ws_claims_options claims = {.sampler = options->sampler,
                                             .idle_w = options->idle_w};
    int rc =
        options->board == NULL ? ws_claims_create(&account->claims, &claims, err) : 0;
    if (rc != 0)
        ws_account_destroy(account);
    else
        *out = account;
    return rc;
}

void ws_account_destroy(struct ws_account *account)
{
    if (account == NULL)
        return;
    ws_claims_destroy(account->claims);
    (void)pthread_mutex_destroy(&account->lock);
    free(account);
}

const struct ws_board *ws_account_board(const struct ws_account *account)
{
    return account->options.board;
}

void ws_account_set(struct ws_account *account, const struct ws_setting *setting)
{
    pthread_mutex_lock(&account->lock);
    account->options.setting = *setting;
    pthread_mutex_unlock(&account->lock);
}

struct ws_claim ws_account_open(struct ws_account *account)
{
    return account->claims != NULL ? ws_claims_begin(account->claims)
                                   : (struct ws_claim){.start_ns = ws_clock_now_ns()};
}

static int close_metered(struct ws_bill *out, struct ws_account *account,
                         struct ws_claim claim, struct ws_error *err)
{
    struct ws_energy energy;
    int rc = ws_claims_end(&energy, account->claims, claim, ws_clock_now_ns(), err);
    if (rc == 0)
        *out = (struct ws_bill){.energy_j = energy.energy_j,
                                .truth = account->options.info->truth,
                                .boundary = account->options.info->boundary,
                                .is_interpolated = energy.is_interpolated};
    return rc;
}

static int close_emulated(struct ws_bill *out, struct ws_account *account,
                          struct ws_claim claim, const struct ws_work *work,
                          struct ws_error *err)
{
    const struct ws_board *board = account->options.board;
    double ms = 0;
    double j = 0;
    pthread_mutex_lock(&account->lock);
    struct ws_setting setting = account->options.setting;
    pthread_mutex_unlock(&account->lock);
    int rc = ws_board_predict(&ms, &j, board, &setting, work, err);
    if (rc != 0)
        return rc;
    *out = (struct ws_bill){.energy_j = j,
                            .truth = WS_MODELLED,
                            .boundary = ws_board_boundary(board),
                            .machine = ws_board_name(board),
                            .late_ns = ws_stretch_until(claim.start_ns, ms)};
    return 0;
}

int ws_account_close(struct ws_bill *out, struct ws_account *account,
                     struct ws_claim claim, const struct ws_work *work,
                     struct ws_error *err)
{
    return account->options.board != NULL ? close_emulated(out, account, claim, work, err)
                                          : close_metered(out, account, claim, err);
}

int ws_bill_write(struct ws_buf *out, const struct ws_bill *bill, struct ws_error *err)
{
    int rc = ws_buf_printf(
        out, err, "\"energy_j\":%.9g,\"truth\":\"%s\",\"boundary\":\"%s\"",
        bill->energy_j, ws_truth_name(bill->truth), ws_boundary_name(bill->boundary));
    if (rc == 0 && bill->machine != NULL) {
        rc = ws_buf_add_text(out, ",\"machine\":", err);
        if (rc == 0)
            rc = ws_oip_add_quoted(out, bill->machine, err);
    }
    if (rc == 0 && bill->is_interpolated)
        rc = ws_buf_add_text(out, ",\"interpolated\":true", err);
    if (rc == 0 && bill->late_ns > 0)
        rc = ws_buf_printf(out, err, ",\"late_ms\":%.6g", (double)bill->late_ns / 1e6);
    return rc;
}
