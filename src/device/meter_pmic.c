/* The Raspberry Pi 5's power management chip. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/parse.h"
#include "device/child.h"
#include "device/meter.h"

enum { RAILS_MAX = 64, TIMEOUT_MS = 2000, TEXT_MAX = 65536 };

struct rail {
    char name[32];
    double volts, amperes;
    int has_volts, has_amperes;
};

/* "VDD_CORE_A current(7)=0.7A" or "VDD_CORE_V volt(15)=0.9V", leading blanks dropped. */
static int parse_line(struct rail *rails, size_t *count, char *line, struct ws_error *err)
{
    char *space = strchr(line, ' ');
    char *equals = strchr(line, '=');
    size_t length = strlen(line);
    if (space == NULL || equals == NULL || equals < space || space - line < 3)
        return ws_error_set(err, WS_E_FORMAT, "\"%s\" is no line of the PMIC", line);
    char unit = space[-1];
    if (space[-2] != '_' || (unit != 'A' && unit != 'V') || line[length - 1] != unit)
        return ws_error_set(err, WS_E_FORMAT, "\"%s\": neither amperes nor volts", line);
    space[-2] = '\0';
    line[length - 1] = '\0';
    double value = 0;
    int rc = ws_parse_double(&value, equals + 1, line, err);
    if (rc != 0)
        return rc;
    size_t i = 0;
    while (i < *count && strcmp(rails[i].name, line) != 0)
        i++;
    if (i == RAILS_MAX || strlen(line) >= sizeof(rails[i].name))
        return ws_error_set(err, WS_E_LIMIT, "more than %d rails", RAILS_MAX);
    if (i == *count) {
        rails[i] = (struct rail){0};
        memcpy(rails[i].name, line, strlen(line) + 1);
        ++*count;
    }
    if (unit == 'A') {
        rails[i].amperes = value;
        rails[i].has_amperes = 1;
    } else {
        rails[i].volts = value;
        rails[i].has_volts = 1;
    }
    return 0;
}

int ws_pmic_parse(double *out_w, const char *text, size_t size, struct ws_error *err)
{
    struct rail rails[RAILS_MAX];
    size_t count = 0;
    char *copy = strndup(text, size);
    char *rest = NULL;
    int rc = copy == NULL ? ws_error_nomem(err) : 0;
    for (char *line = rc == 0 ? strtok_r(copy, "\r\n", &rest) : NULL;
         rc == 0 && line != NULL; line = strtok_r(NULL, "\r\n", &rest)) {
        line += strspn(line, " \t");
        if (*line != '\0')
            rc = parse_line(rails, &count, line, err);
    }
    double sum_w = 0;
    size_t pairs = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (!rails[i].has_volts || !rails[i].has_amperes)
            continue; /* the inputs have volts alone */
        sum_w += rails[i].volts * rails[i].amperes;
        pairs++;
    }
    free(copy);
    if (rc == 0 && pairs == 0)
        rc = ws_error_set(err, WS_E_FORMAT, "no rail has both volts and amperes");
    if (rc == 0)
        *out_w = sum_w;
    return rc;
}

struct pmic {
    struct ws_meter base;
    const char *const *argv;
};

static int pmic_read(struct ws_meter *meter, struct ws_meter_reading *out,
                     struct ws_error *err)
{
    struct pmic *pmic = (struct pmic *)meter;
    struct ws_buf text;
    ws_buf_init(&text, TEXT_MAX);
    int64_t start_ns = ws_clock_now_ns();
    int rc = ws_child_run(&text, pmic->argv, TIMEOUT_MS, err);
    if (rc == 0)
        rc = ws_buf_reserve(&text, 1, err);
    /* The chip was asked somewhere in between. */
    out->time_ns = start_ns + (ws_clock_now_ns() - start_ns) / 2;
    if (rc == 0)
        rc = ws_pmic_parse(&out->value, text.data, text.size, err);
    ws_buf_fini(&text);
    return rc;
}

static void pmic_destroy(struct ws_meter *meter)
{
    free(meter);
}

int ws_meter_pmic_create(struct ws_meter **out, const char *const *argv,
                         struct ws_error *err)
{
    static const char *const vcgencmd[] = {"vcgencmd", "pmic_read_adc", NULL};
    static const struct ws_meter_ops ops = {pmic_read, pmic_destroy};
    struct ws_meter_reading reading;
    struct pmic *pmic = calloc(1, sizeof(*pmic));
    if (pmic == NULL)
        return ws_error_nomem(err);
    pmic->argv = argv != NULL ? argv : vcgencmd;
    pmic->base.ops = &ops;
    pmic->base.info = (struct ws_meter_info){
        .name = "pmic",
        .source = "vcgencmd pmic_read_adc",
        .counts = "the whole board but what its USB and HATs draw from 5 V",
        .boundary = WS_BOUNDARY_BOARD,
        .truth = WS_MEASURED,
        .interval_s = 0.5, /* a reading is a process, so not too many of them */
        .resolution = 0.001,
    };
    int rc = ws_meter_read(&pmic->base, &reading, err);
    if (rc == 0)
        *out = &pmic->base;
    else
        free(pmic);
    return rc;
}
