#include "device/claims.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "device/ledger.h"

/* A request; end_ns 0: it is under way. */
struct entry {
    size_t number;
    int64_t start_ns, end_ns;
};

struct ws_claims {
    struct ws_claims_options options;
    pthread_mutex_t lock;
    /* Those under way, and those that overlap one of these. In the order of starts. */
    struct entry entries[WS_CLAIMS_MAX];
    size_t count;
    size_t next_number;
    size_t missing;   /* under way, and there was no room for them */
    int64_t blind_ns; /* when somebody was missing last */
};

int ws_claims_create(struct ws_claims **out, const struct ws_claims_options *options,
                     struct ws_error *err)
{
    struct ws_claims *claims = calloc(1, sizeof(*claims));
    if (claims == NULL)
        return ws_error_nomem(err);
    claims->options = *options;
    (void)pthread_mutex_init(&claims->lock, NULL);
    *out = claims;
    return 0;
}

void ws_claims_destroy(struct ws_claims *claims)
{
    if (claims == NULL)
        return;
    (void)pthread_mutex_destroy(&claims->lock);
    free(claims);
}

/* Drops those that were over before the first that is under way began. */
static void forget(struct ws_claims *claims, int64_t now_ns)
{
    int64_t first_ns = now_ns;
    size_t kept = 0;
    for (size_t i = claims->count; i > 0; i--) {
        if (claims->entries[i - 1].end_ns == 0)
            first_ns = claims->entries[i - 1].start_ns;
    }
    for (size_t i = 0; i < claims->count; i++) {
        const struct entry *entry = &claims->entries[i];
        if (entry->end_ns == 0 || entry->end_ns > first_ns)
            claims->entries[kept++] = *entry;
    }
    claims->count = kept;
}

struct ws_claim ws_claims_begin(struct ws_claims *claims)
{
    pthread_mutex_lock(&claims->lock);
    struct ws_claim claim = {.number = WS_CLAIM_LOST, .start_ns = ws_clock_now_ns()};
    if (claims->count == WS_CLAIMS_MAX)
        forget(claims, claim.start_ns);
    if (claims->count < WS_CLAIMS_MAX) {
        claim.number = claims->next_number++;
        claims->entries[claims->count++] =
            (struct entry){.number = claim.number, .start_ns = claim.start_ns};
    } else {
        claims->missing++;
    }
    pthread_mutex_unlock(&claims->lock);
    return claim;
}

/* Those that share the meter with a request, and the request itself. */
struct sharing {
    struct ws_share shares[WS_CLAIMS_MAX];
    size_t count;
    size_t own;
};

/* Who was under way during the claim, the entry of which is `own`. */
static void gather(struct sharing *out, const struct ws_claims *claims, size_t own,
                   int64_t now_ns)
{
    int64_t start_ns = claims->entries[own].start_ns;
    for (size_t i = 0; i < claims->count; i++) {
        const struct entry *entry = &claims->entries[i];
        int64_t end_ns = entry->end_ns == 0 ? now_ns : entry->end_ns;
        if (end_ns <= start_ns || end_ns <= entry->start_ns)
            continue;
        if (i == own)
            out->own = out->count;
        out->shares[out->count++] =
            (struct ws_share){.start_ns = entry->start_ns, .end_ns = end_ns, .weight = 1};
    }
}

/* Ends the entry, and tells who was under way meanwhile (NULL: nobody asks). */
static int end_entry(struct sharing *out, struct ws_claims *claims, struct ws_claim claim,
                     int64_t end_ns, struct ws_error *err)
{
    int64_t now_ns = ws_clock_now_ns();
    size_t own = 0;
    if (claims->missing > 0)
        claims->blind_ns = now_ns;
    if (claim.number == WS_CLAIM_LOST) {
        claims->missing--;
        return ws_error_set(err, WS_E_LIMIT, "more than %d requests at once",
                            WS_CLAIMS_MAX);
    }
    while (claims->entries[own].number != claim.number)
        own++;
    claims->entries[own].end_ns = end_ns;
    if (out != NULL)
        gather(out, claims, own, now_ns);
    int is_blind = claims->blind_ns > claim.start_ns;
    forget(claims, now_ns);
    return is_blind
               ? ws_error_set(err, WS_E_UNKNOWN, "others were under way and not counted")
               : 0;
}

/* For ws_ledger_share. */
struct metering {
    const struct ws_claims_options *options;
    int is_interpolated;
};

static int meter_energy(void *user, double *out_j, int64_t start_ns, int64_t end_ns,
                        struct ws_error *err)
{
    struct metering *metering = user;
    struct ws_energy energy;
    int rc =
        ws_sampler_energy(&energy, metering->options->sampler, 0, start_ns, end_ns, err);
    if (rc == 0) {
        *out_j = energy.energy_j;
        metering->is_interpolated |= energy.is_interpolated;
    }
    return rc;
}

int ws_claims_end(struct ws_energy *out, struct ws_claims *claims, struct ws_claim claim,
                  int64_t end_ns, struct ws_error *err)
{
    struct metering metering = {.options = &claims->options};
    struct sharing *sharing = out == NULL ? NULL : malloc(sizeof(*sharing));
    double idle_j = 0;
    if (sharing != NULL)
        sharing->count = sharing->own = 0;
    pthread_mutex_lock(&claims->lock);
    int rc = end_entry(sharing, claims, claim, end_ns, err);
    pthread_mutex_unlock(&claims->lock);
    if (rc != 0 || out == NULL) {
        free(sharing);
        return rc;
    }
    if (sharing == NULL)
        return ws_error_nomem(err);
    if (end_ns <= claim.start_ns)
        rc = ws_error_set(err, WS_E_UNKNOWN, "it ended before it began");
    if (rc == 0)
        rc =
            ws_ledger_share(sharing->shares, sharing->count, &idle_j, claim.start_ns,
                            end_ns, claims->options.idle_w, meter_energy, &metering, err);
    if (rc == 0)
        *out = (struct ws_energy){.energy_j = sharing->shares[sharing->own].energy_j,
                                  .is_interpolated = metering.is_interpolated};
    free(sharing);
    return rc;
}
