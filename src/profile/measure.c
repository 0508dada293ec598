#include "profile/measure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/names.h"
#include "base/rng.h"

/* Numbers of samples that only warm up, out of the way of those that count. */
static const uint64_t warmup_numbers = UINT64_C(1) << 40;

/* An attempt with so many samples late, and more late than not, is given up. */
enum { LATE_MAX = 10 };

/* A run that is this much faster than the one before shows that both were warming up. */
static const double steady = 0.95;
/* What takes less does next to nothing, and no meter has to see it. */
static const double brief_ms = 0.02;

struct ws_measurer {
    struct ws_rig *rig;
    struct ws_measure_options options;
    struct ws_study_part *parts;
    unsigned char *is_changed;
    size_t part_count, part_room;
    struct ws_names by_key; /* of parts[].key */
    struct ws_buf key;
};

/* One setting while it is measured. */
struct job {
    struct ws_measurer *measurer;
    const struct ws_setting *setting;
    uint32_t sides;             /* it has */
    uint32_t running;           /* that are sampled now */
    size_t part[WS_SIDE_COUNT]; /* of parts */
    /* Of this attempt. */
    struct ws_stats ms[WS_SIDE_COUNT], energy_j[WS_SIDE_COUNT];
    struct ws_stats total_ms, total_j; /* where all sides run */
    struct ws_stats beside_ms;
    double bytes;
    size_t late, gaps;
};

void ws_measure_defaults(struct ws_measure_options *out)
{
    *out = (struct ws_measure_options){.tolerance = 0.02,
                                       .samples_min = 5,
                                       .samples_max = 200,
                                       .warmups_max = 10,
                                       .attempts_max = 3,
                                       .check_share = 0.1,
                                       .seed = 1};
}

/* --- Parts ---------------------------------------------------------------------------
 */

static int add_part(size_t *out, struct ws_measurer *m, const char *key,
                    struct ws_error *err)
{
    if (m->part_count == m->part_room) {
        size_t room = m->part_room == 0 ? 64 : 2 * m->part_room;
        struct ws_study_part *parts = realloc(m->parts, room * sizeof(*parts));
        if (parts == NULL)
            return ws_error_nomem(err);
        m->parts = parts;
        unsigned char *is_changed = realloc(m->is_changed, room);
        if (is_changed == NULL)
            return ws_error_nomem(err);
        m->is_changed = is_changed;
        m->part_room = room;
    }
    char *copy = strdup(key);
    if (copy == NULL)
        return ws_error_nomem(err);
    int rc = ws_names_add(&m->by_key, copy, m->part_count, err);
    if (rc != 0) {
        free(copy);
        return rc;
    }
    m->is_changed[m->part_count] = 0;
    m->parts[m->part_count] = (struct ws_study_part){.key = copy};
    *out = m->part_count++;
    return 0;
}

static int part_of(size_t *out, struct ws_measurer *m, const char *key,
                   struct ws_error *err)
{
    return ws_names_find(out, &m->by_key, key) ? 0 : add_part(out, m, key, err);
}

int ws_measurer_restore(struct ws_measurer *measurer, const struct ws_study_part *part,
                        struct ws_error *err)
{
    size_t index = 0;
    int rc = part_of(&index, measurer, part->key, err);
    if (rc != 0)
        return rc;
    measurer->parts[index].ms = part->ms;
    measurer->parts[index].energy_j = part->energy_j;
    measurer->parts[index].bytes = part->bytes;
    return 0;
}

int ws_measurer_each_changed(struct ws_measurer *measurer, ws_study_part_fn fn,
                             void *user, struct ws_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < measurer->part_count; i++) {
        if (measurer->is_changed[i])
            rc = fn(user, &measurer->parts[i], err);
    }
    return rc;
}

int ws_measurer_create(struct ws_measurer **out, struct ws_rig *rig,
                       const struct ws_measure_options *options, struct ws_error *err)
{
    struct ws_measurer *m = calloc(1, sizeof(*m));
    if (m == NULL)
        return ws_error_nomem(err);
    m->rig = rig;
    m->options = *options;
    ws_buf_init(&m->key, 0);
    *out = m;
    return 0;
}

void ws_measurer_destroy(struct ws_measurer *measurer)
{
    if (measurer == NULL)
        return;
    ws_names_fini(&measurer->by_key);
    for (size_t i = 0; i < measurer->part_count; i++)
        free(measurer->parts[i].key);
    free(measurer->parts);
    free(measurer->is_changed);
    ws_buf_fini(&measurer->key);
    free(measurer);
}

/* --- Intervals -----------------------------------------------------------------------
 */

static int has_side(uint32_t sides, int side)
{
    return (int)(sides >> side & 1u);
}

/* What is known of one side: this attempt's samples where it runs, else its part. */
static const struct ws_stats *times_of(const struct job *job, int side)
{
    return has_side(job->running, side) ? &job->ms[side]
                                        : &job->measurer->parts[job->part[side]].ms;
}

static const struct ws_stats *energies_of(const struct job *job, int side)
{
    return has_side(job->running, side) ? &job->energy_j[side]
                                        : &job->measurer->parts[job->part[side]].energy_j;
}

/* Whether the mean of all sides together is known well enough. What runs now need not be
 * better than half the tolerance to make up for sides that are measured already. */
static int sum_is_known(const struct job *job,
                        const struct ws_stats *(*of)(const struct job *job, int side))
{
    double sum = 0, fixed = 0, running = 0;
    for (int s = 0; s < WS_SIDE_COUNT; s++) {
        if (!has_side(job->sides, s))
            continue;
        const struct ws_stats *stats = of(job, s);
        double half = ws_stats_ci95(stats);
        sum += stats->mean;
        *(has_side(job->running, s) ? &running : &fixed) += half * half;
    }
    double goal = job->measurer->options.tolerance * sum;
    return running <= fmax(goal * goal - fixed, goal * goal / 4);
}

static int mean_is_known(const struct job *job, const struct ws_stats *stats)
{
    return ws_stats_ci95(stats) <= job->measurer->options.tolerance * fabs(stats->mean);
}

/* Energy that is not metered is not waited for. */
static int is_known(const struct job *job)
{
    if (job->running == job->sides)
        return mean_is_known(job, &job->total_ms) &&
               (job->total_j.count < 2 || mean_is_known(job, &job->total_j));
    return sum_is_known(job, times_of) && sum_is_known(job, energies_of);
}

/* --- Sampling ------------------------------------------------------------------------
 */

static int take_sample(struct ws_rig_sample *out, const struct job *job, uint64_t offset,
                       struct ws_error *err)
{
    struct ws_rig *rig = job->measurer->rig;
    uint64_t index[WS_SIDE_COUNT];
    for (int s = 0; s < WS_SIDE_COUNT; s++)
        index[s] =
            offset + job->measurer->parts[job->part[s]].ms.count + job->ms[s].count;
    return rig->ops->sample(rig, out, job->setting, job->running, index, err);
}

static double running_ms(const struct job *job, const struct ws_rig_sample *sample)
{
    double sum = 0;
    for (int s = 0; s < WS_SIDE_COUNT; s++)
        sum += has_side(job->running, s) ? sample->ms[s] : 0;
    return sum;
}

static int warm_up(struct ws_study_trial *trial, const struct job *job,
                   struct ws_error *err)
{
    const struct ws_measure_options *options = &job->measurer->options;
    int64_t settled_ns = ws_clock_now_ns() + (int64_t)(options->settle_s * 1e9);
    double before = INFINITY;
    for (size_t w = 0; w < options->warmups_max || ws_clock_now_ns() < settled_ns; w++) {
        struct ws_rig_sample sample;
        int rc = take_sample(&sample, job, warmup_numbers + w, err);
        if (rc != 0)
            return rc;
        trial->warmups++;
        double now = running_ms(job, &sample);
        if (now < brief_ms)
            settled_ns = 0;
        if (w > 0 && now >= steady * before && ws_clock_now_ns() >= settled_ns)
            return 0;
        before = now;
    }
    return 0;
}

static void count_sample(struct job *job, const struct ws_rig_sample *sample)
{
    const struct ws_rig *rig = job->measurer->rig;
    struct ws_outcome outcome;
    double value = 0;
    for (int s = 0; s < WS_SIDE_COUNT; s++) {
        if (!has_side(job->running, s))
            continue;
        ws_stats_add(&job->ms[s], sample->ms[s]);
        if (has_side(sample->energy_known, s))
            ws_stats_add(&job->energy_j[s], sample->energy_j[s]);
    }
    job->bytes = sample->bytes;
    if (job->running != job->sides)
        return;
    ws_outcome_of_sides(&outcome, sample, rig->edge_idle_w, rig->truth);
    ws_stats_add(&job->total_ms, outcome.value[WS_LATENCY_MS]);
    ws_stats_add(&job->beside_ms, sample->beside_ms);
    if (ws_outcome_get(&value, &outcome, WS_ENERGY_J) == 0 ||
        ws_outcome_get(&value, &outcome, WS_EDGE_ENERGY_J) == 0)
        ws_stats_add(&job->total_j, value);
}

/* Samples until the means are known. The question is put after 5, 6, 7, 8, 10, ...
 * samples, not after each, since asking often makes an early yes too likely. */
static int sample_all(struct ws_study_trial *trial, struct job *job, struct ws_error *err)
{
    const struct ws_measure_options *options = &job->measurer->options;
    int64_t seen_ns = ws_clock_now_ns() + (int64_t)(options->span_s * 1e9);
    size_t ask = options->samples_min;
    for (size_t n = 1; n <= options->samples_max || ws_clock_now_ns() < seen_ns; n++) {
        struct ws_rig_sample sample;
        int rc = take_sample(&sample, job, 0, err);
        if (rc != 0)
            return rc;
        trial->samples++;
        if (running_ms(job, &sample) < brief_ms)
            seen_ns = 0;
        if (sample.is_late) {
            if (++job->late >= LATE_MAX && 2 * job->late > n)
                return 0;
            continue;
        }
        uint32_t wanted = job->measurer->rig->metered & job->running;
        if ((sample.energy_known & wanted) != wanted)
            job->gaps++;
        count_sample(job, &sample);
        size_t counted = n - job->late;
        if (counted < ask)
            continue;
        if (ws_clock_now_ns() >= seen_ns && is_known(job))
            return 0;
        ask = counted + 1 + counted / 5;
    }
    return 0;
}

/* Whether the attempt counts; else the trial's reason says why it does not. */
static int is_sound(struct ws_study_trial *trial, const struct job *job)
{
    size_t counted = 0;
    for (int s = 0; s < WS_SIDE_COUNT; s++)
        counted = job->ms[s].count > counted ? job->ms[s].count : counted;
    if (job->late > counted)
        (void)snprintf(trial->reason, sizeof(trial->reason),
                       "this machine was too slow to pass for the emulated edge in %zu "
                       "of %zu samples",
                       job->late, job->late + counted);
    else if (job->gaps > 0)
        (void)snprintf(trial->reason, sizeof(trial->reason),
                       "the meter had a gap in %zu of %zu samples", job->gaps, counted);
    else
        return 1;
    return 0;
}

static int is_troubled(struct ws_study_trial *trial, const struct ws_measurer *m)
{
    return m->rig->ops->trouble != NULL &&
           m->rig->ops->trouble(m->rig, trial->reason, sizeof(trial->reason));
}

/* One attempt: 1 where it counts, 0 where the machines spoilt it, or a code. */
static int attempt(struct ws_study_trial *trial, struct job *job, struct ws_error *err)
{
    struct ws_measurer *m = job->measurer;
    struct ws_executor_applied applied;
    memset(job->ms, 0, sizeof(job->ms));
    memset(job->energy_j, 0, sizeof(job->energy_j));
    job->total_ms = job->total_j = job->beside_ms = (struct ws_stats){0};
    job->late = job->gaps = 0;
    int rc = m->rig->ops->apply(m->rig, &applied, job->setting, err);
    if (rc != 0)
        return rc;
    if (!applied.is_exact) {
        (void)snprintf(trial->reason, sizeof(trial->reason), "%s", applied.reason);
        return 0;
    }
    if (is_troubled(trial, m))
        return 0;
    rc = warm_up(trial, job, err);
    if (rc == 0)
        rc = sample_all(trial, job, err);
    if (rc != 0)
        return rc;
    return !is_troubled(trial, m) && is_sound(trial, job);
}

/* --- Trials --------------------------------------------------------------------------
 */

/* The sides' means as one sample; `of` says where they are from. */
static void compose(struct ws_outcome *out, const struct job *job)
{
    const struct ws_measurer *m = job->measurer;
    struct ws_rig_sample sample = {0};
    for (int s = 0; s < WS_SIDE_COUNT; s++) {
        if (!has_side(job->sides, s)) {
            sample.energy_known |= 1u << s; /* nothing at all */
            continue;
        }
        const struct ws_study_part *part = &m->parts[job->part[s]];
        sample.ms[s] = part->ms.mean;
        sample.energy_j[s] = part->energy_j.mean;
        if (part->energy_j.count > 0)
            sample.energy_known |= 1u << s;
        sample.bytes = fmax(sample.bytes, part->bytes);
    }
    ws_outcome_of_sides(out, &sample, m->rig->edge_idle_w, m->rig->truth);
}

/* What the whole requests gave, which is not the sum of parts that others have added to;
 * nor, where sides run at once, that of the sides' means: the mean of what is longer is
 * more than the longer mean. */
static void take_whole(struct ws_study_trial *trial, const struct job *job)
{
    const struct ws_rig *rig = job->measurer->rig;
    struct ws_rig_sample sample = {.bytes = job->bytes, .beside_ms = job->beside_ms.mean};
    for (int s = 0; s < WS_SIDE_COUNT; s++) {
        sample.ms[s] = job->ms[s].mean;
        sample.energy_j[s] = job->energy_j[s].mean;
        if (!has_side(job->sides, s) || job->energy_j[s].count > 0)
            sample.energy_known |= 1u << s;
    }
    ws_outcome_of_sides(&trial->outcome, &sample, rig->edge_idle_w, rig->truth);
    ws_outcome_set(&trial->outcome, WS_LATENCY_MS, job->total_ms.mean);
    trial->latency_ci_ms = ws_stats_ci95(&job->total_ms);
    if (job->total_j.count > 1)
        trial->energy_ci_j = ws_stats_ci95(&job->total_j);
}

static void take_composed(struct ws_study_trial *trial, const struct job *job)
{
    double time = 0, energy = 0;
    int knows_energy = 1;
    compose(&trial->outcome, job);
    for (int s = 0; s < WS_SIDE_COUNT; s++) {
        const struct ws_study_part *part = &job->measurer->parts[job->part[s]];
        if (!has_side(job->sides, s))
            continue;
        double half = ws_stats_ci95(&part->ms), half_j = ws_stats_ci95(&part->energy_j);
        time += half * half;
        energy += half_j * half_j;
        knows_energy &= part->energy_j.count > 1 || s == WS_SIDE_TRANSFER;
    }
    trial->latency_ci_ms = sqrt(time);
    if (knows_energy)
        trial->energy_ci_j = sqrt(energy);
}

/* Adds a sound attempt's samples to the parts. */
static void keep_samples(struct job *job)
{
    struct ws_measurer *m = job->measurer;
    for (int s = 0; s < WS_SIDE_COUNT; s++) {
        struct ws_study_part *part = &m->parts[job->part[s]];
        if (!has_side(job->running, s))
            continue;
        ws_stats_merge(&part->ms, &job->ms[s]);
        ws_stats_merge(&part->energy_j, &job->energy_j[s]);
        part->bytes = job->bytes;
        m->is_changed[job->part[s]] = 1;
    }
}

static int find_parts(struct job *job, struct ws_error *err)
{
    struct ws_measurer *m = job->measurer;
    int rc = 0;
    for (int s = 0; rc == 0 && s < WS_SIDE_COUNT; s++) {
        rc = ws_side_key(&m->key, m->rig->space, (enum ws_side)s, job->setting, err);
        if (rc == 0)
            rc = part_of(&job->part[s], m, m->key.data, err);
    }
    return rc;
}

static int is_checked(const struct ws_measurer *m, const struct ws_setting *setting)
{
    struct ws_rng rng;
    ws_rng_init_stream(&rng, m->options.seed,
                       ws_setting_to_index(m->rig->space, setting));
    return ws_rng_uniform(&rng) < m->options.check_share;
}

/* What is to run: nothing where all sides are known. Away both run, since the one cannot
 * without the other; where sides run at once, all do. */
static uint32_t missing_sides(const struct job *job)
{
    const struct ws_measurer *m = job->measurer;
    uint32_t missing = 0;
    if (m->rig->is_whole)
        return job->sides;
    for (int s = 0; s < WS_SIDE_COUNT; s++) {
        if (has_side(job->sides, s) &&
            m->parts[job->part[s]].ms.count < m->options.samples_min)
            missing |= 1u << s;
    }
    return (missing & WS_SIDES_AWAY) != 0 ? missing | WS_SIDES_AWAY : missing;
}

/* Runs those sides until an attempt counts or there were enough. */
static int measure(struct ws_study_trial *trial, struct job *job, uint32_t sides,
                   struct ws_error *err)
{
    struct ws_measurer *m = job->measurer;
    job->running = sides;
    trial->is_valid = 0;
    for (unsigned a = 0; !trial->is_valid && a < m->options.attempts_max; a++) {
        trial->attempts++;
        int rc = attempt(trial, job, err);
        if (rc < 0)
            return rc;
        trial->is_valid = rc;
    }
    if (trial->is_valid) {
        trial->reason[0] = '\0';
        keep_samples(job);
    }
    return 0;
}

static int measure_setting(struct ws_study_trial *trial, struct job *job,
                           struct ws_error *err)
{
    uint32_t missing = missing_sides(job);
    int rc = 0;
    trial->how = missing == 0            ? WS_HOW_COMPOSED
                 : missing != job->sides ? WS_HOW_PARTS
                                         : WS_HOW_WHOLE;
    trial->is_valid = 1;
    if (missing != 0)
        rc = measure(trial, job, missing, err);
    if (rc != 0 || !trial->is_valid)
        return rc;
    if (trial->how == WS_HOW_WHOLE) {
        take_whole(trial, job);
    } else if (is_checked(job->measurer, job->setting)) {
        compose(&trial->composed, job);
        trial->how = WS_HOW_WHOLE;
        rc = measure(trial, job, job->sides, err);
        if (rc == 0 && trial->is_valid)
            take_whole(trial, job);
    } else {
        take_composed(trial, job);
    }
    return rc;
}

int ws_measurer_run(struct ws_study_trial *out, struct ws_measurer *measurer,
                    const struct ws_setting *setting, struct ws_error *err)
{
    struct ws_rig *rig = measurer->rig;
    struct job job = {.measurer = measurer, .setting = setting};
    struct ws_study_trial trial = {
        .setting = *setting, .latency_ci_ms = -1, .energy_ci_j = -1};
    int64_t start = ws_clock_now_ns();
    trial.outcome.truth = trial.composed.truth = rig->truth;
    for (size_t i = 0; i < measurer->part_count; i++)
        measurer->is_changed[i] = 0;
    job.sides = rig->ops->sides(rig, setting);
    int rc = find_parts(&job, err);
    if (rc != 0)
        return rc;
    rc = measure_setting(&trial, &job, err);
    if (rc != 0)
        return rc;
    if (rig->ops->conditions != NULL)
        rig->ops->conditions(rig, &trial.conditions);
    trial.took_s = (double)(ws_clock_now_ns() - start) / 1e9;
    *out = trial;
    return 0;
}
