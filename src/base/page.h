/*
 * A report as one HTML page: text into a buffer whose first failure sticks, so that a
 * page need not check every line; one style for all reports, which reads on a phone and
 * printed; and what plots share. Plots are SVG written by hand: few and small, and so a
 * page needs no script, no font and no second file.
 */
#ifndef WS_BASE_PAGE_H
#define WS_BASE_PAGE_H

#include "base/buf.h"
#include "base/error.h"

struct ws_page {
    struct ws_buf *out;
    int rc;
    struct ws_error *err;
};

/* Up to 2 KiB at a time. */
__attribute__((format(printf, 2, 3))) void ws_page_put(struct ws_page *page,
                                                       const char *fmt, ...);
/* Text as it shall be seen: markup in it is none. */
void ws_page_text(struct ws_page *page, const char *text);
/* Up to and into the body; everything after it. */
void ws_page_begin(struct ws_page *page, const char *title);
void ws_page_end(struct ws_page *page);

/* Colour number `index`: told apart in print and by the colour-blind (Okabe and Ito),
 * then lighter again. */
const char *ws_page_colour(size_t index);
/* A round step that gives about `want` marks from 0 up to `most`. */
double ws_page_step(double most, double want);

#endif
