/*
 * The two 16-bit floating-point formats to and from float: IEEE 754 binary16 (FP16) and
 * the upper half of a float (BF16). Compilers differ in whether they know these types, so
 * they are converted here, rounding to nearest even; infinities and NaN stay what they
 * are. Pure functions.
 */
#ifndef WS_CORE_HALF_H
#define WS_CORE_HALF_H

#include <stdint.h>

float ws_half_to_float(uint16_t half);
uint16_t ws_half_from_float(float value);
float ws_bf16_to_float(uint16_t bf16);
uint16_t ws_bf16_from_float(float value);

#endif
