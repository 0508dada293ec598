#include "core/half.h"

#include <math.h>
#include <string.h>

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

float ws_half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t exponent = half >> 10 & 0x1f;
    uint32_t mantissa = half & 0x3ff;
    if (exponent == 0x1f) /* infinity, NaN */
        return float_of(sign | 0x7f800000 | mantissa << 13);
    if (exponent == 0) { /* zero, subnormal: units of 2^-24 */
        float magnitude = (float)mantissa * 0x1p-24f;
        return sign != 0 ? -magnitude : magnitude;
    }
    return float_of(sign | (exponent + 127 - 15) << 23 | mantissa << 13);
}

uint16_t ws_half_from_float(float value)
{
    uint32_t bits = bits_of(value);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    uint32_t magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) /* NaN stays a quiet one */
        return sign | 0x7e00;
    if (magnitude >= 0x477ff000) /* rounds to 65536 or more */
        return sign | 0x7c00;
    if (magnitude < 0x38800000) /* below 2^-14: units of 2^-24, rounded by the FPU */
        return sign | (uint16_t)nearbyintf(float_of(magnitude) * 0x1p24f);
    /* Half of the last place, less one where the kept part is even. */
    uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
    return sign | (uint16_t)((rounded >> 13) - ((127 - 15) << 10));
}

float ws_bf16_to_float(uint16_t bf16)
{
    return float_of((uint32_t)bf16 << 16);
}

uint16_t ws_bf16_from_float(float value)
{
    uint32_t bits = bits_of(value);
    if ((bits & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
