#include "check.h"

#include <glpk.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/rng.h"
#include "policy/share.h"

/* A problem with its numbers. */
struct scene {
    struct ws_share_level levels[WS_SHARE_NODES_MAX][WS_SHARE_LEVELS_MAX];
    struct ws_share_node nodes[WS_SHARE_NODES_MAX];
    struct ws_share_problem problem;
};

/* Unequal nodes; a level's speed and accuracy go together roughly, and not always. */
static void draw_scene(struct scene *scene, struct ws_rng *rng, size_t nodes,
                       size_t levels, size_t images)
{
    memset(scene, 0, sizeof(*scene));
    double capacity = 0.0;
    for (size_t i = 0; i < nodes; i++) {
        double pace = 0.002 * (1.0 + 9.0 * ws_rng_uniform(rng));
        for (size_t j = 0; j < levels; j++) {
            struct ws_share_level *level = &scene->levels[i][j];
            double size = (double)(j + 1) / (double)levels;
            level->image_s = pace * (0.15 + size) * (0.7 + 0.6 * ws_rng_uniform(rng));
            level->accuracy = 0.6 + 0.2 * size + 0.04 * ws_rng_uniform(rng);
            level->energy_j = level->image_s * (2.0 + 4.0 * ws_rng_uniform(rng));
        }
        scene->nodes[i] = (struct ws_share_node){
            .levels = scene->levels[i],
            .level_count = levels,
            .delay_s = 0.02 * ws_rng_uniform(rng),
        };
        capacity += 1.0 / scene->levels[i][levels / 2].image_s;
    }
    scene->problem = (struct ws_share_problem){
        .nodes = scene->nodes,
        .node_count = nodes,
        .images = images,
        .budget_s = 0.02 + (double)images / capacity * (0.3 + 1.5 * ws_rng_uniform(rng)),
        .min_accuracy = 0.62 + 0.18 * ws_rng_uniform(rng),
        .knows_energy = 1,
    };
}

static struct ws_share *make_share(void)
{
    struct ws_share *share = NULL;
    assert_int_equal(ws_share_create(&share, NULL), 0);
    return share;
}

/* Counts add up to the batch, and what the plan says of itself is so. */
static void check_sound(const struct ws_share_plan *plan,
                        const struct ws_share_problem *problem)
{
    size_t sum = 0;
    double right = 0.0, joules = 0.0, last_s = 0.0;
    for (size_t i = 0; i < problem->node_count; i++) {
        double busy_s = 0.0;
        for (size_t j = 0; j < WS_SHARE_LEVELS_MAX; j++) {
            size_t count = plan->counts[i * WS_SHARE_LEVELS_MAX + j];
            if (count == 0)
                continue;
            assert_true(j < problem->nodes[i].level_count);
            sum += count;
            busy_s += (double)count * problem->nodes[i].levels[j].image_s;
            right += (double)count * problem->nodes[i].levels[j].accuracy;
            joules += (double)count * problem->nodes[i].levels[j].energy_j;
        }
        if (busy_s > 0)
            last_s = fmax(last_s, problem->nodes[i].delay_s + busy_s);
    }
    assert_int_equal(sum, problem->images);
    assert_near(plan->time_s, last_s, 1e-9 * (1.0 + last_s));
    assert_near(plan->accuracy, right / (double)problem->images, 1e-9);
    assert_near(plan->energy_j, joules, 1e-9 * (1.0 + joules));
    if (problem->budget_s > 0)
        assert_int_equal(plan->meets_throughput, last_s <= problem->budget_s + 1e-9);
    assert_int_equal(plan->meets_accuracy,
                     plan->accuracy >= problem->min_accuracy - 1e-9);
}

/* What trying every way to share the batch finds. */
struct brute {
    const struct ws_share_problem *problem;
    size_t cells, levels;
    size_t counts[WS_SHARE_LEVELS_MAX];
    double right;    /* the most within the budget; -1: nothing fits */
    double time_s;   /* the soonest with it */
    double energy_j; /* the least within budget and accuracy; -1: nothing */
};

static void brute_judge(struct brute *brute)
{
    const struct ws_share_problem *problem = brute->problem;
    double right = 0.0, joules = 0.0, last_s = 0.0;
    for (size_t i = 0; i < problem->node_count; i++) {
        double busy_s = 0.0;
        for (size_t j = 0; j < brute->levels; j++) {
            double count = (double)brute->counts[i * brute->levels + j];
            busy_s += count * problem->nodes[i].levels[j].image_s;
            right += count * problem->nodes[i].levels[j].accuracy;
            joules += count * problem->nodes[i].levels[j].energy_j;
        }
        if (busy_s > 0)
            last_s = fmax(last_s, problem->nodes[i].delay_s + busy_s);
    }
    if (last_s > problem->budget_s)
        return;
    if (right > brute->right + 1e-9 ||
        (right > brute->right - 1e-9 && last_s < brute->time_s)) {
        brute->right = right;
        brute->time_s = last_s;
    }
    if (right >= problem->min_accuracy * (double)problem->images - 1e-9 &&
        (brute->energy_j < 0 || joules < brute->energy_j))
        brute->energy_j = joules;
}

static void brute_search(struct brute *brute, size_t at, size_t left)
{
    if (at + 1 == brute->cells) {
        brute->counts[at] = left;
        brute_judge(brute);
        return;
    }
    for (size_t n = 0; n <= left; n++) {
        brute->counts[at] = n;
        brute_search(brute, at + 1, left - n);
    }
}

static const struct {
    size_t nodes, levels, images;
} small[] = {{2, 3, 8}, {3, 2, 8}, {2, 4, 6}, {3, 3, 5}, {4, 2, 6}, {1, 4, 10}};

static void test_solve_equals_brute_force(void **state)
{
    struct ws_rng rng;
    struct ws_share *share = make_share();
    size_t impossible = 0, energy_exact = 0, energy_tried = 0;
    double worst_energy = 0.0;
    (void)state;
    ws_rng_init(&rng, 1);
    for (int round = 0; round < 240; round++) {
        struct scene scene;
        struct ws_share_plan plan;
        size_t s = (size_t)round % (sizeof(small) / sizeof(small[0]));
        draw_scene(&scene, &rng, small[s].nodes, small[s].levels, small[s].images);
        struct brute brute = {.problem = &scene.problem,
                              .cells = small[s].nodes * small[s].levels,
                              .levels = small[s].levels,
                              .right = -1,
                              .energy_j = -1};
        brute_search(&brute, 0, small[s].images);
        scene.problem.keep = WS_SHARE_KEEP_THROUGHPUT;
        assert_int_equal(ws_share_solve(&plan, share, &scene.problem, NULL), 0);
        check_sound(&plan, &scene.problem);
        assert_int_equal(plan.meets_throughput, brute.right >= 0);
        if (brute.right < 0) {
            impossible++;
            continue;
        }
        assert_near(plan.accuracy, brute.right / (double)small[s].images, 1e-9);
        assert_near(plan.time_s, brute.time_s, 2e-6 * brute.time_s);

        scene.problem.goal = WS_SHARE_ENERGY;
        assert_int_equal(ws_share_solve(&plan, share, &scene.problem, NULL), 0);
        check_sound(&plan, &scene.problem);
        assert_int_equal(plan.meets_accuracy && plan.meets_throughput,
                         brute.energy_j >= 0);
        if (brute.energy_j >= 0) {
            energy_tried++;
            assert_true(plan.energy_j >= brute.energy_j - 1e-9);
            assert_true(plan.bound <= brute.energy_j + 1e-9);
            energy_exact += plan.energy_j <= brute.energy_j + 1e-9;
            worst_energy = fmax(worst_energy, plan.energy_j / brute.energy_j - 1.0);
        }
    }
    print_message("accuracy and time exact in all; energy exact in %zu of %zu, worst "
                  "%.2f %% above; %zu cannot be done in time\n",
                  energy_exact, energy_tried, 100.0 * worst_energy, impossible);
    /* The table has both kinds, or it shows nothing. */
    assert_true(impossible > 5 && energy_tried > 50);
    assert_true(energy_exact * 10 >= energy_tried * 8 && worst_energy < 0.25);
    ws_share_destroy(share);
}

/* The relaxation as GLPK sees it, with none of our algebra: a column for each node and
 * level, a row for each node's time, one for the batch and for energy one for accuracy.
 * Returns the best mean accuracy or the least energy, NAN where there is no solution. */
static double glpk_bound(const struct ws_share_problem *problem)
{
    size_t nodes = problem->node_count, entries = 0;
    int is_energy = problem->goal == WS_SHARE_ENERGY;
    int *row = calloc(4 * WS_SHARE_NODES_MAX * WS_SHARE_LEVELS_MAX, sizeof(int));
    int *column = calloc(4 * WS_SHARE_NODES_MAX * WS_SHARE_LEVELS_MAX, sizeof(int));
    double *value = calloc(4 * WS_SHARE_NODES_MAX * WS_SHARE_LEVELS_MAX, sizeof(double));
    glp_prob *lp = glp_create_prob();
    glp_smcp how;
    glp_set_obj_dir(lp, is_energy ? GLP_MIN : GLP_MAX);
    glp_add_rows(lp, (int)nodes + 2);
    for (size_t i = 0; i < nodes; i++)
        glp_set_row_bnds(lp, (int)i + 1, GLP_UP, 0,
                         fmax(0.0, problem->budget_s - problem->nodes[i].delay_s));
    glp_set_row_bnds(lp, (int)nodes + 1, GLP_FX, (double)problem->images,
                     (double)problem->images);
    glp_set_row_bnds(lp, (int)nodes + 2, is_energy ? GLP_LO : GLP_FR,
                     problem->min_accuracy * (double)problem->images, 0);
    for (size_t i = 0; i < nodes; i++) {
        for (size_t j = 0; j < problem->nodes[i].level_count; j++) {
            const struct ws_share_level *level = &problem->nodes[i].levels[j];
            int c = glp_add_cols(lp, 1);
            glp_set_col_bnds(lp, c, GLP_LO, 0, 0);
            glp_set_obj_coef(lp, c, is_energy ? level->energy_j : level->accuracy);
            const double values[] = {level->image_s, 1.0, level->accuracy};
            const int rows[] = {(int)i + 1, (int)nodes + 1, (int)nodes + 2};
            for (size_t k = 0; k < 3; k++) {
                entries++;
                row[entries] = rows[k];
                column[entries] = c;
                value[entries] = values[k];
            }
        }
    }
    glp_load_matrix(lp, (int)entries, row, column, value);
    glp_init_smcp(&how);
    how.msg_lev = GLP_MSG_OFF;
    how.presolve = GLP_ON;
    double found = NAN;
    if (glp_simplex(lp, &how) == 0 && glp_get_status(lp) == GLP_OPT)
        found = glp_get_obj_val(lp);
    glp_delete_prob(lp);
    free(row);
    free(column);
    free(value);
    return is_energy ? found : found / (double)problem->images;
}

static const struct {
    size_t nodes, levels, images;
    int rounds;
    double gap,
        energy_gap; /* of whole images to the relaxation, at most; GLPK's own
                     * integer optimum is 2.1 % above it in the first row's worst */
} large[] = {{3, 6, 200, 20, 2e-3, 0.03},   {3, 7, 1000, 20, 5e-4, 0.01},
             {8, 6, 2000, 20, 1e-3, 0.01},  {16, 8, 5000, 10, 1e-3, 0.01},
             {64, 16, 5000, 4, 1e-3, 0.01}, {64, 16, 50000, 4, 1e-3, 0.01}};

static void test_solve_against_glpk(void **state)
{
    struct ws_rng rng;
    struct ws_share *share = make_share();
    (void)state;
    ws_rng_init(&rng, 2);
    for (size_t s = 0; s < sizeof(large) / sizeof(large[0]); s++) {
        double worst[2] = {0.0, 0.0};
        size_t solved[2] = {0, 0};
        for (int round = 0; round < large[s].rounds; round++) {
            struct scene scene;
            struct ws_share_plan plan;
            draw_scene(&scene, &rng, large[s].nodes, large[s].levels, large[s].images);
            scene.problem.keep = WS_SHARE_KEEP_THROUGHPUT;
            double bound = glpk_bound(&scene.problem);
            assert_int_equal(ws_share_solve(&plan, share, &scene.problem, NULL), 0);
            check_sound(&plan, &scene.problem);
            if (isnan(bound)) {
                assert_false(plan.meets_throughput);
                continue;
            }
            assert_true(plan.meets_throughput);
            assert_near(plan.bound, bound, 1e-6);
            assert_true(plan.accuracy <= bound + 1e-6);
            worst[0] = fmax(worst[0], 1.0 - plan.accuracy / bound);
            solved[0]++;

            scene.problem.goal = WS_SHARE_ENERGY;
            bound = glpk_bound(&scene.problem);
            assert_int_equal(ws_share_solve(&plan, share, &scene.problem, NULL), 0);
            check_sound(&plan, &scene.problem);
            if (isnan(bound) || !plan.meets_accuracy)
                continue;
            assert_near(plan.bound, bound, 1e-5 * bound);
            assert_true(plan.energy_j >= bound * (1.0 - 1e-6));
            worst[1] = fmax(worst[1], plan.energy_j / bound - 1.0);
            solved[1]++;
        }
        print_message("%2zu nodes x %2zu levels, %5zu images: accuracy at most %.4f %% "
                      "below the bound (%zu solved), energy %.4f %% above (%zu)\n",
                      large[s].nodes, large[s].levels, large[s].images, 100.0 * worst[0],
                      solved[0], 100.0 * worst[1], solved[1]);
        assert_true(solved[0] > 0);
        assert_true(worst[0] <= large[s].gap);
        assert_true(worst[1] <= large[s].energy_gap);
    }
    ws_share_destroy(share);
}

/* Whatever a baseline can meet, ours meets at no less accuracy. */
static void test_solve_never_below_baselines(void **state)
{
    struct ws_rng rng;
    struct ws_share *share = make_share();
    size_t met[WS_SHARE_BASELINE_COUNT] = {0}, ours = 0;
    (void)state;
    ws_rng_init(&rng, 3);
    for (int round = 0; round < 400; round++) {
        struct scene scene;
        struct ws_share_plan best, plan;
        draw_scene(&scene, &rng, 2 + (size_t)round % 5, 1 + (size_t)round % 7, 300);
        assert_int_equal(ws_share_solve(&best, share, &scene.problem, NULL), 0);
        ours += best.meets_throughput && best.meets_accuracy;
        for (int b = 0; b < WS_SHARE_BASELINE_COUNT; b++) {
            assert_int_equal(ws_share_baseline(&plan, share, &scene.problem,
                                               (enum ws_share_baseline)b, NULL),
                             0);
            check_sound(&plan, &scene.problem);
            if (!plan.meets_throughput || !plan.meets_accuracy)
                continue;
            met[b]++;
            assert_true(best.meets_throughput && best.meets_accuracy);
            assert_true(best.accuracy >= plan.accuracy - 1e-9);
        }
    }
    print_message("of 400 problems ours meets %zu", ours);
    for (int b = 0; b < WS_SHARE_BASELINE_COUNT; b++)
        print_message(", %s %zu", ws_share_baseline_name((enum ws_share_baseline)b),
                      met[b]);
    print_message("\n");
    assert_true(ours > 100 && met[WS_SHARE_ASYMMETRIC_APPROX] > 10);
    ws_share_destroy(share);
}

/* Two nodes: 100 and 50 images/s at 0.8, twice that at 0.7; J follow the time. */
static const struct ws_share_level fast_levels[] = {{0.01, 0.8, 0.05},
                                                    {0.005, 0.7, 0.02}};
static const struct ws_share_level slow_levels[] = {{0.02, 0.8, 0.05}, {0.01, 0.7, 0.02}};
static const struct ws_share_node two[] = {{fast_levels, 2, 0}, {slow_levels, 2, 0}};

static const struct {
    const char *what;
    double budget_s, min_accuracy;
    enum ws_share_goal goal;
    enum ws_share_keep keep;
    int throughput, accuracy;                 /* met */
    double time_s, mean, energy_j, tolerance; /* expected */
} cases[] = {
    {"time enough for the best", 3.0, 0.75, 0, 0, 1, 1, 2.0, 0.8, 15.0, 0},
    {"no requirement of time", 0, 0.75, 0, 0, 1, 1, 2.0, 0.8, 15.0, 0},
    /* x upgraded of both: half the time is what all at 0.7 take, 1 s; 1.5 s is half way.
     */
    {"a mix", 1.5, 0.7, 0, 0, 1, 1, 1.5, 0.75, 10.5, 1e-9},
    {"accuracy kept, late", 1.2, 0.75, 0, WS_SHARE_KEEP_ACCURACY, 0, 1, 1.5, 0.75, 10.5,
     1e-4},
    {"throughput kept, less accurate", 1.2, 0.75, 0, WS_SHARE_KEEP_THROUGHPUT, 1, 0, 1.2,
     0.72, 7.8, 1e-3},
    {"too fast for any", 0.5, 0.6, 0, WS_SHARE_KEEP_THROUGHPUT, 0, 1, 1.0, 0.7, 6.0,
     1e-4},
    {"more accuracy than there is", 1.5, 0.9, 0, WS_SHARE_KEEP_ACCURACY, 0, 0, 2.0, 0.8,
     15.0, 1e-4},
    {"least energy", 3.0, 0.75, WS_SHARE_ENERGY, 0, 1, 1, -1, 0.75, 10.5, 1e-9},
    {"least energy, any accuracy", 3.0, 0, WS_SHARE_ENERGY, 0, 1, 1, -1, 0.7, 6.0, 1e-9},
};

static void test_solve_cases(void **state)
{
    struct ws_share *share = make_share();
    (void)state;
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        struct ws_share_plan plan;
        const struct ws_share_problem problem = {.nodes = two,
                                                 .node_count = 2,
                                                 .images = 300,
                                                 .budget_s = cases[c].budget_s,
                                                 .min_accuracy = cases[c].min_accuracy,
                                                 .knows_energy = 1,
                                                 .goal = cases[c].goal,
                                                 .keep = cases[c].keep};
        assert_int_equal(ws_share_solve(&plan, share, &problem, NULL), 0);
        check_sound(&plan, &problem);
        double tolerance = 1e-9 + cases[c].tolerance;
        if (plan.meets_throughput != cases[c].throughput ||
            plan.meets_accuracy != cases[c].accuracy ||
            (cases[c].time_s >= 0 &&
             fabs(plan.time_s - cases[c].time_s) > tolerance + 1e-5) ||
            fabs(plan.accuracy - cases[c].mean) > tolerance ||
            fabs(plan.energy_j - cases[c].energy_j) > 100 * tolerance)
            fail_msg("%s: %g s, accuracy %.9g, %g J, meets %d %d", cases[c].what,
                     plan.time_s, plan.accuracy, plan.energy_j, plan.meets_throughput,
                     plan.meets_accuracy);
    }
    ws_share_destroy(share);
}

/* A level that is slower and worse is never used; a tie in accuracy goes to the faster,
 * and of equals to the cheaper. */
static void test_solve_levels_not_monotone(void **state)
{
    static const struct ws_share_level odd[] = {
        {0.02, 0.70, 0.01}, {0.01, 0.75, 0.09}, {0.01, 0.75, 0.05}, {0.015, 0.75, 0.01}};
    static const struct ws_share_node node = {odd, 4, 0.0};
    const struct ws_share_problem problem = {
        .nodes = &node, .node_count = 1, .images = 500, .budget_s = 9, .knows_energy = 1};
    struct ws_share *share = make_share();
    struct ws_share_plan plan;
    (void)state;
    assert_int_equal(ws_share_solve(&plan, share, &problem, NULL), 0);
    assert_near(plan.accuracy, 0.75, 1e-12);
    assert_near(plan.time_s, 5.0, 1e-5);
    assert_int_equal(plan.counts[2], 500);
    ws_share_destroy(share);
}

static void test_solve_refuses(void **state)
{
    static const struct ws_share_level stuck[] = {{0.0, 0.7, 0}};
    static const struct ws_share_level sure[] = {{0.1, 1.7, 0}};
    static const struct ws_share_level fine[] = {{0.1, 0.7, 0}};
    static const struct ws_share_node nodes[] = {
        {stuck, 1, 0}, {sure, 1, 0}, {fine, 0, 0}, {fine, 1, -1}, {fine, 1, NAN}};
    struct ws_share *share = make_share();
    struct ws_share_plan plan;
    struct ws_error err;
    (void)state;
    for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
        const struct ws_share_problem bad = {
            .nodes = &nodes[i], .node_count = 1, .images = 1};
        assert_int_equal(ws_share_solve(&plan, share, &bad, &err), WS_E_USAGE);
        assert_int_equal(ws_share_baseline(&plan, share, &bad, WS_SHARE_UNIFORM, &err),
                         WS_E_USAGE);
    }
    struct ws_share_problem problem = {.nodes = two, .node_count = 2, .images = 10};
    problem.images = 0;
    assert_int_equal(ws_share_solve(&plan, share, &problem, &err), WS_E_USAGE);
    problem.images = 10;
    problem.node_count = WS_SHARE_NODES_MAX + 1;
    assert_int_equal(ws_share_solve(&plan, share, &problem, &err), WS_E_USAGE);
    problem.node_count = 2;
    problem.budget_s = -1;
    assert_int_equal(ws_share_solve(&plan, share, &problem, &err), WS_E_USAGE);
    problem.budget_s = 0;
    problem.goal = WS_SHARE_ENERGY;
    assert_int_equal(ws_share_solve(&plan, share, &problem, &err), WS_E_UNKNOWN);
    ws_share_destroy(share);
}

/* Shares of 10 images among speeds 3 : 1, and how approximation steps down. */
static void test_baseline_cases(void **state)
{
    static const struct ws_share_level quick[] = {{0.1, 0.8, 0}, {0.05, 0.6, 0}};
    static const struct ws_share_level tardy[] = {
        {0.3, 0.8, 0}, {0.15, 0.7, 0}, {0.1, 0.6, 0}};
    static const struct ws_share_node nodes[] = {{quick, 2, 0}, {tardy, 3, 0}};
    static const struct {
        enum ws_share_baseline baseline;
        double budget_s;
        size_t quick[2], tardy[3];
    } rows[] = {
        {WS_SHARE_UNIFORM, 0.7, {5, 0}, {5, 0, 0}},
        {WS_SHARE_UNIFORM_APPROX, 0.76, {5, 0}, {0, 5, 0}},
        {WS_SHARE_UNIFORM_APPROX, 0.3, {0, 5}, {0, 0, 5}},
        {WS_SHARE_UNIFORM_APPROX, 0, {5, 0}, {5, 0, 0}},
        {WS_SHARE_ASYMMETRIC, 0.3, {8, 0}, {2, 0, 0}},
        {WS_SHARE_ASYMMETRIC_APPROX, 0.5, {0, 8}, {0, 2, 0}},
        {WS_SHARE_ASYMMETRIC_APPROX, 0.8, {8, 0}, {2, 0, 0}},
    };
    struct ws_share *share = make_share();
    (void)state;
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        const struct ws_share_problem problem = {
            .nodes = nodes, .node_count = 2, .images = 10, .budget_s = rows[r].budget_s};
        struct ws_share_plan plan;
        assert_int_equal(
            ws_share_baseline(&plan, share, &problem, rows[r].baseline, NULL), 0);
        for (size_t j = 0; j < 2; j++)
            assert_int_equal(plan.counts[j], rows[r].quick[j]);
        for (size_t j = 0; j < 3; j++)
            assert_int_equal(plan.counts[WS_SHARE_LEVELS_MAX + j], rows[r].tardy[j]);
    }
    ws_share_destroy(share);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_solve_equals_brute_force),
        cmocka_unit_test(test_solve_against_glpk),
        cmocka_unit_test(test_solve_never_below_baselines),
        cmocka_unit_test(test_solve_cases),
        cmocka_unit_test(test_solve_levels_not_monotone),
        cmocka_unit_test(test_solve_refuses),
        cmocka_unit_test(test_baseline_cases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
