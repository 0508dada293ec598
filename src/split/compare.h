/*
 * Whether two answers of one network are the same. Floats agree within
 * atol + rtol x |expected|; integers, booleans and strings when they are equal. Quantised
 * networks may round a border case the other way, so theirs agree as well when the
 * largest element of every row (along the last dimension) is the same one, or when
 * integers differ by one quantum. NaN agrees with NaN. Pure functions.
 */
#ifndef WS_SPLIT_COMPARE_H
#define WS_SPLIT_COMPARE_H

#include "base/error.h"
#include "core/datum.h"

struct ws_tolerance {
    double rtol;
    double atol;
    int quantised; /* as above */
};

/* Accumulates over any number of comparisons; start with zeros. */
struct ws_difference {
    double abs_max; /* |actual - expected|; infinite where only one is finite */
    double rel_max; /* over |expected|, where that is not 0 */
    size_t elements;
    size_t beyond;     /* elements outside the tolerance */
    size_t rows;       /* floats: rows of the last dimension */
    size_t rows_agree; /* whose largest element is the same one */
    int disagrees;     /* by the rule above, in any comparison */
};

/* WS_E_MISMATCH where kind, type, shape or number of items differ. */
int ws_compare_datum(struct ws_difference *difference, const struct ws_datum *actual,
                     const struct ws_datum *expected,
                     const struct ws_tolerance *tolerance, struct ws_error *err);

/* Index of the largest element of a row of `count` >= 1 elements starting at element
 * `first`; the first of equals. Numeric tensors only. */
size_t ws_compare_argmax(const struct ws_tensor *tensor, size_t first, size_t count);

#endif
