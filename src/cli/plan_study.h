/*
 * The plan of a study: what `wattshed plan STUDY` and the end of `wattshed profile` have
 * in common.
 */
#ifndef WS_CLI_PLAN_STUDY_H
#define WS_CLI_PLAN_STUDY_H

#include "base/error.h"

struct ws_study;

struct ws_plan_study_options {
    const char *plan_path; /* (optional) where the plan goes */
    const char *plot_path; /* (optional) and the picture, .svg or .png */
    int json;
};

/* Whether the file is SQLite's, as studies are. */
int ws_cli_is_study(const char *path);
/* Prints the front and what it rests on. */
int ws_cli_plan_study(struct ws_study *study, const struct ws_plan_study_options *options,
                      struct ws_error *err);
/* The same from the file. */
int ws_cli_plan_study_file(const char *path, const struct ws_plan_study_options *options,
                           struct ws_error *err);

#endif
