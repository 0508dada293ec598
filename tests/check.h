/* What every test includes: cmocka with its prerequisites, and one way to compare
 * doubles. */
#ifndef WS_TESTS_CHECK_H
#define WS_TESTS_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <math.h>

/* |actual - expected| <= tolerance, in double (cmocka's own compares as float). */
#define assert_near(actual, expected, tolerance)                                         \
    assert_near_at((actual), (expected), (tolerance), #actual, __FILE__, __LINE__)

static inline void assert_near_at(double actual, double expected, double tolerance,
                                  const char *what, const char *file, int line)
{
    if (fabs(actual - expected) <= tolerance)
        return;
    print_error("%s is %.17g, expected %.17g within %g\n", what, actual, expected,
                tolerance);
    _fail(file, line);
}

#endif
