/*
 * What a setting should give, from models of both machines and of the link, before
 * anything has run: a roofline. It is what a cold start goes by, and what virtual trials
 * are drawn around. A machine without a model is taken to be an ordinary one; then its
 * time is a guess and its energy unknown. One thread.
 */
#ifndef WS_PROFILE_PREDICT_H
#define WS_PROFILE_PREDICT_H

#include "core/evaluator.h"
#include "device/board.h"
#include "profile/rig.h"
#include "search/search.h"

struct ws_predictor;

struct ws_predictor_options {
    struct ws_executor *executor; /* knows models and cuts; must outlive */
    const struct ws_space *space; /* the executor's */
    const struct ws_board *edge;  /* NULL: an ordinary machine; must outlive */
    const struct ws_board *cloud; /* likewise */
    double link_mbit_s, link_delay_ms;
};

/* WS_E_NOT_FOUND: the space has a knob edge.x or cloud.x that the board lacks. */
int ws_predictor_create(struct ws_predictor **out,
                        const struct ws_predictor_options *options, struct ws_error *err);
void ws_predictor_destroy(struct ws_predictor *predictor);

/* All sides of a setting; 0 for those it does not have. */
int ws_predictor_predict(struct ws_rig_sample *out, struct ws_predictor *predictor,
                         const struct ws_setting *setting, struct ws_error *err);

/* Up to `want` settings to begin with: spread along the front that is predicted, in what
 * of the task's objectives can be predicted, from its fastest to its cheapest. The caller
 * frees *out. */
int ws_predictor_first(struct ws_setting **out, size_t *out_count,
                       struct ws_predictor *predictor, const struct ws_search_task *task,
                       size_t want, struct ws_error *err);

#endif
