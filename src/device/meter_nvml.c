/* NVIDIA's cards through their management library, which is opened when it is there. Its
 * types and numbers are those of its published interface. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "device/meter.h"

typedef void *nvml_device;

enum { NVML_SUCCESS = 0, NVML_NAME_MAX = 96, NVML_GPU_IS_LOST = 15 };

struct nvml_functions {
    int (*init)(void);
    int (*shutdown)(void);
    int (*count)(unsigned *count);
    int (*handle)(unsigned index, nvml_device *device);
    int (*name)(nvml_device device, char *name, unsigned size);
    int (*energy)(nvml_device device, unsigned long long *mj);
    int (*power)(nvml_device device, unsigned *mw);
};

/* One for all its cards; the last meter closes it. */
struct nvml {
    void *library;
    struct nvml_functions call;
    size_t users;
};

struct card {
    struct ws_meter base;
    struct nvml *nvml;
    nvml_device device;
    unsigned long long first_mj;
};

static void nvml_release(struct nvml *nvml)
{
    if (--nvml->users > 0)
        return;
    (void)nvml->call.shutdown();
    dlclose(nvml->library);
    free(nvml);
}

static int failed(const struct ws_meter *meter, int status, struct ws_error *err)
{
    int code = status == NVML_GPU_IS_LOST ? WS_E_NOT_FOUND : WS_E_IO;
    return ws_error_set(err, code, "%s: NVML answers %d", meter->info.name, status);
}

static int card_read(struct ws_meter *meter, struct ws_meter_reading *out,
                     struct ws_error *err)
{
    struct card *card = (struct card *)meter;
    if (meter->info.is_counter) {
        unsigned long long mj = 0;
        int status = card->nvml->call.energy(card->device, &mj);
        if (status != NVML_SUCCESS)
            return failed(meter, status, err);
        if (mj < card->first_mj)
            return ws_error_set(err, WS_E_UNKNOWN, "%s: the counter fell",
                                meter->info.name);
        out->value = (double)(mj - card->first_mj) * 1e-3;
    } else {
        unsigned mw = 0;
        int status = card->nvml->call.power(card->device, &mw);
        if (status != NVML_SUCCESS)
            return failed(meter, status, err);
        out->value = mw * 1e-3;
    }
    out->time_ns = ws_clock_now_ns();
    return 0;
}

static void card_destroy(struct ws_meter *meter)
{
    nvml_release(((struct card *)meter)->nvml);
    free(meter);
}

/* A function of the library; through a union, since C has no cast for it. */
static int find(void *out, void *library, const char *name, struct ws_error *err)
{
    void *symbol = dlsym(library, name);
    if (symbol == NULL)
        return ws_error_set(err, WS_E_UNSUPPORTED, "NVML has no %s", name);
    memcpy(out, &symbol, sizeof(symbol));
    return 0;
}

static int open_library(struct nvml **out, const char *name, struct ws_error *err)
{
    static const char *const names[] = {"nvmlInit_v2",
                                        "nvmlShutdown",
                                        "nvmlDeviceGetCount_v2",
                                        "nvmlDeviceGetHandleByIndex_v2",
                                        "nvmlDeviceGetName",
                                        "nvmlDeviceGetTotalEnergyConsumption",
                                        "nvmlDeviceGetPowerUsage"};
    struct nvml *nvml = calloc(1, sizeof(*nvml));
    if (nvml == NULL)
        return ws_error_nomem(err);
    void *const slots[] = {&nvml->call.init,   &nvml->call.shutdown, &nvml->call.count,
                           &nvml->call.handle, &nvml->call.name,     &nvml->call.energy,
                           &nvml->call.power};
    int rc = 0;
    nvml->users = 1;
    nvml->library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (nvml->library == NULL) {
        free(nvml);
        return ws_error_set(err, WS_E_NOT_FOUND, "%s: not on this machine", name);
    }
    for (size_t i = 0; rc == 0 && i < sizeof(names) / sizeof(names[0]); i++)
        rc = find(slots[i], nvml->library, names[i], err);
    int status = rc == 0 ? nvml->call.init() : NVML_SUCCESS;
    if (status != NVML_SUCCESS)
        rc = ws_error_set(err, WS_E_IO, "NVML: cannot start, it answers %d", status);
    if (rc != 0) {
        dlclose(nvml->library);
        free(nvml);
        return rc;
    }
    *out = nvml;
    return 0;
}

/* Joules where the card counts them (Volta and later), else watts. */
static int add_card(struct ws_meters *meters, struct nvml *nvml, unsigned index,
                    struct ws_error *err)
{
    static const struct ws_meter_ops ops = {card_read, card_destroy};
    char name[NVML_NAME_MAX] = "";
    struct card *card = calloc(1, sizeof(*card));
    if (card == NULL)
        return ws_error_nomem(err);
    int status = nvml->call.handle(index, &card->device);
    if (status != NVML_SUCCESS) {
        ws_log(WS_LOG_INFO, "NVML: card %u answers %d", index, status);
        free(card);
        return 0;
    }
    (void)nvml->call.name(card->device, name, sizeof(name));
    card->nvml = nvml;
    card->base.ops = &ops;
    card->base.info = (struct ws_meter_info){
        .counts = "everything that runs on this card",
        .boundary = WS_BOUNDARY_CARD,
        .truth = WS_MEASURED,
        .resolution = 0.001,
    };
    status = nvml->call.energy(card->device, &card->first_mj);
    card->base.info.is_counter = status == NVML_SUCCESS;
    card->base.info.interval_s = card->base.info.is_counter ? 0.1 : 1.0;
    (void)snprintf(card->base.info.name, sizeof(card->base.info.name), "nvml %u %.40s",
                   index, name);
    (void)snprintf(card->base.info.source, sizeof(card->base.info.source), "NVML, %s",
                   card->base.info.is_counter ? "total energy"
                                              : "power, a mean of a second");
    nvml->users++;
    return ws_meters_add(meters, &card->base, err);
}

int ws_meter_nvml_discover(struct ws_meters *meters, const char *library,
                           struct ws_error *err)
{
    struct nvml *nvml = NULL;
    unsigned count = 0;
    if (library == NULL)
        library = "libnvidia-ml.so.1";
    int rc = open_library(&nvml, library, err);
    if (rc != 0)
        return rc == WS_E_NOT_FOUND ? 0 : rc;
    int status = nvml->call.count(&count);
    if (status != NVML_SUCCESS)
        rc = ws_error_set(err, WS_E_IO, "NVML: no count of cards, it answers %d", status);
    for (unsigned i = 0; rc == 0 && i < count; i++)
        rc = add_card(meters, nvml, i, err);
    nvml_release(nvml);
    return rc;
}
