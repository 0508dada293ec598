/*
 * Top-1 accuracy of a setting on labelled data: of its pair of variants, its cut or share
 * of feature maps, and its codec, which are all it depends on. Without a codec a cut
 * changes nothing, so a pair of one variant is measured once. Answers are kept in the
 * study, by the digests of data and models. Runs in this process, at this machine's speed
 * whatever is emulated.
 */
#ifndef WS_PROFILE_ACCURACY_H
#define WS_PROFILE_ACCURACY_H

#include "profile/labelled.h"
#include "split/executor.h"
#include "study/study.h"

struct ws_accuracy_options {
    const struct ws_labelled *data; /* must outlive */
    struct ws_executor *executor;
    struct ws_study *study;
    double scale; /* that bytes are multiplied by where the model wants floats */
};

/* Whether the data fits the models: WS_E_TYPE names what is wanted and what there is. */
int ws_accuracy_check(const struct ws_accuracy_options *options, size_t variant_count,
                      struct ws_error *err);
int ws_accuracy_of(double *out, const struct ws_accuracy_options *options,
                   const struct ws_setting *setting, struct ws_error *err);

#endif
