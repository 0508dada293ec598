#include <math.h>

#include "device/meter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the instrument answers to everything that is asked. */
struct answer {
    const uint8_t *data;
    size_t size;
};

static int ask(void *user, struct ws_buf *out, const char *question, struct ws_error *err)
{
    const struct answer *answer = user;
    (void)question;
    return ws_buf_add(out, answer->data, answer->size, err);
}

static void check_reading(struct ws_meter *meter)
{
    struct ws_meter_reading reading;
    if (ws_meter_read(meter, &reading, NULL) == 0 && !isfinite(reading.value))
        __builtin_trap();
    ws_meter_destroy(meter);
}

/* The first byte says who answers: a bench meter, one of two plugs, or the text of a
 * power management chip. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ws_meter *meter = NULL;
    double watts = 0;
    if (size == 0)
        return 0;
    struct answer answer = {data + 1, size - 1};
    switch (data[0]) {
    case 'S':
        if (ws_meter_scpi_create(&meter, "bench", ask, &answer, NULL) == 0)
            check_reading(meter);
        break;
    case 'H':
    case 'T':
        if (ws_meter_plug_create(&meter,
                                 data[0] == 'H' ? WS_PLUG_SHELLY : WS_PLUG_TASMOTA,
                                 "plug", ask, &answer, NULL) == 0)
            check_reading(meter);
        break;
    default:
        if (ws_pmic_parse(&watts, (const char *)data + 1, size - 1, NULL) == 0 &&
            !isfinite(watts))
            __builtin_trap();
        break;
    }
    return 0;
}
