/*
 * What a learner is trained on, made from files: a testbed with its evaluator, whichever
 * of the kinds it is (a recorded table, a device model, halves side by side), or a study,
 * whose valid trials are a table; and a course over it. An input must not move once made:
 * task and course point into it.
 */
#ifndef WS_CLI_LEARN_INPUT_H
#define WS_CLI_LEARN_INPUT_H

#include "replay/school.h"
#include "study/recorded.h"
#include "study/study.h"
#include "study/table.h"
#include "study/testbed.h"

struct ws_learn_input {
    const struct ws_testbed *testbed; /* `own`, or the study's */
    struct ws_testbed own;
    struct ws_study *study; /* NULL: it came from a testbed */
    struct ws_table table;
    struct ws_evaluator *evaluator;
    enum ws_truth truth;
    int32_t fixed[WS_KNOBS_MAX];
    struct ws_learner_task task;
    struct ws_course_options course;
};

/* Zero-initialise first; goes through fini after a failure, too. Fills task and course
 * with what the testbed says; the caller changes the rest. A testbed without a baseline
 * "edge-only" starts from the first setting that the evaluator has. */
int ws_learn_input_init(struct ws_learn_input *out, const char *path,
                        struct ws_error *err);
void ws_learn_input_fini(struct ws_learn_input *input);
/* "KNOB=VALUE": a knob that is not to be touched. WS_E_NOT_FOUND, WS_E_USAGE. */
int ws_learn_input_fix(struct ws_learn_input *input, const char *text,
                       struct ws_error *err);

#endif
