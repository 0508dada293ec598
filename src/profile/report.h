/*
 * What a study found, as one self-contained page: trials and front, latency and energy by
 * part, cuts, accuracy, conditions, and how each figure came about.
 */
#ifndef WS_PROFILE_REPORT_H
#define WS_PROFILE_REPORT_H

#include "base/buf.h"
#include "study/study.h"

/* Appends the page. */
int ws_study_report(struct ws_buf *out, struct ws_study *study, struct ws_error *err);

#endif
