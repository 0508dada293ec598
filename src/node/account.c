#include "node/account.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "device/ledger.h"
#include "wire/oip_tensor.h"

/* A request; end_ns 0: it is under way. */
struct entry {
    size_t number;
    int64_t start_ns;
    int64_t end_ns;
};

struct ws_account {
    struct ws_account_options options;
    pthread_mutex_t lock;
    /* Those under way, and those that overlap one of these. In the order of starts. */
    struct entry entries[WS_ACCOUNT_MAX];
    size_t count;
    size_t next_number;
    size_t missing;   /* under way, and there was no room for them */
    int64_t blind_ns; /* when somebody was missing last */
};

int ws_account_create(struct ws_account **out, const struct ws_account_options *options,
                      struct ws_error *err)
{
    struct ws_account *account = calloc(1, sizeof(*account));
    if (account == NULL)
        return ws_error_nomem(err);
    account->options = *options;
    (void)pthread_mutex_init(&account->lock, NULL);
    *out = account;
    return 0;
}

void ws_account_destroy(struct ws_account *account)
{
    if (account == NULL)
        return;
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

/* Drops those that were over before the first that is under way began. */
static void forget(struct ws_account *account, int64_t now_ns)
{
    int64_t first_ns = now_ns;
    size_t kept = 0;
    for (size_t i = account->count; i > 0; i--) {
        if (account->entries[i - 1].end_ns == 0)
            first_ns = account->entries[i - 1].start_ns;
    }
    for (size_t i = 0; i < account->count; i++) {
        const struct entry *entry = &account->entries[i];
        if (entry->end_ns == 0 || entry->end_ns > first_ns)
            account->entries[kept++] = *entry;
    }
    account->count = kept;
}

struct ws_ticket ws_account_open(struct ws_account *account)
{
    struct ws_ticket ticket = {.start_ns = ws_clock_now_ns()};
    if (account->options.board != NULL)
        return ticket;
    pthread_mutex_lock(&account->lock);
    ticket.start_ns = ws_clock_now_ns();
    ticket.number = account->next_number++;
    if (account->count == WS_ACCOUNT_MAX)
        forget(account, ticket.start_ns);
    if (account->count < WS_ACCOUNT_MAX)
        account->entries[account->count++] =
            (struct entry){.number = ticket.number, .start_ns = ticket.start_ns};
    else
        account->missing++;
    pthread_mutex_unlock(&account->lock);
    return ticket;
}

/* Those that share the meter with a request, and the request itself. */
struct sharing {
    struct ws_share shares[WS_ACCOUNT_MAX];
    size_t count;
    size_t own;
    int64_t start_ns;
    int64_t end_ns;
};

/* Ends the entry, and gathers who was under way meanwhile. */
static int close_entry(struct sharing *out, struct ws_account *account, size_t number,
                       struct ws_error *err)
{
    int64_t now_ns = ws_clock_now_ns();
    size_t own = 0;
    if (account->missing > 0)
        account->blind_ns = now_ns;
    while (own < account->count && account->entries[own].number != number)
        own++;
    if (own == account->count) {
        account->missing--;
        return ws_error_set(err, WS_E_LIMIT, "more than %d requests at once",
                            WS_ACCOUNT_MAX);
    }
    account->entries[own].end_ns = now_ns;
    out->start_ns = account->entries[own].start_ns;
    out->end_ns = now_ns;
    out->count = 0;
    for (size_t i = 0; i < account->count; i++) {
        const struct entry *entry = &account->entries[i];
        int64_t end_ns = entry->end_ns == 0 ? now_ns : entry->end_ns;
        if (end_ns <= out->start_ns || end_ns <= entry->start_ns)
            continue;
        if (i == own)
            out->own = out->count;
        out->shares[out->count++] =
            (struct ws_share){.start_ns = entry->start_ns, .end_ns = end_ns, .weight = 1};
    }
    int is_blind = account->blind_ns > out->start_ns;
    forget(account, now_ns);
    return is_blind
               ? ws_error_set(err, WS_E_UNKNOWN, "others were under way and not counted")
               : 0;
}

/* For ws_ledger_share. */
struct metering {
    const struct ws_account_options *options;
    int is_interpolated;
};

static int meter_energy(void *user, double *out_j, int64_t start_ns, int64_t end_ns,
                        struct ws_error *err)
{
    struct metering *metering = user;
    struct ws_energy energy;
    int rc = ws_sampler_energy(&energy, metering->options->sampler,
                               metering->options->meter, start_ns, end_ns, err);
    if (rc == 0) {
        *out_j = energy.energy_j;
        metering->is_interpolated |= energy.is_interpolated;
    }
    return rc;
}

static int close_metered(struct ws_bill *out, struct ws_account *account,
                         struct ws_ticket ticket, struct ws_error *err)
{
    struct metering metering = {.options = &account->options};
    struct sharing *sharing = malloc(sizeof(*sharing));
    double idle_j = 0;
    if (sharing == NULL)
        return ws_error_nomem(err);
    pthread_mutex_lock(&account->lock);
    int rc = close_entry(sharing, account, ticket.number, err);
    pthread_mutex_unlock(&account->lock);
    if (rc == 0)
        rc = ws_ledger_share(sharing->shares, sharing->count, &idle_j, sharing->start_ns,
                             sharing->end_ns, account->options.idle_w, meter_energy,
                             &metering, err);
    if (rc == 0)
        *out = (struct ws_bill){.energy_j = sharing->shares[sharing->own].energy_j,
                                .truth = account->options.info->truth,
                                .boundary = account->options.info->boundary,
                                .is_interpolated = metering.is_interpolated};
    free(sharing);
    return rc;
}

static int close_emulated(struct ws_bill *out, struct ws_account *account,
                          struct ws_ticket ticket, const struct ws_work *work,
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
                            .late_ns = ws_stretch_until(ticket.start_ns, ms)};
    return 0;
}

int ws_account_close(struct ws_bill *out, struct ws_account *account,
                     struct ws_ticket ticket, const struct ws_work *work,
                     struct ws_error *err)
{
    return account->options.board != NULL
               ? close_emulated(out, account, ticket, work, err)
               : close_metered(out, account, ticket, err);
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
