/* A library with the names of NVIDIA's management library, for machines without a card:
 * two cards, one that counts joules and one that tells watts once and is lost then. */
#include <stdio.h>

int nvmlInit_v2(void);
int nvmlShutdown(void);
int nvmlDeviceGetCount_v2(unsigned *count);
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device);
int nvmlDeviceGetName(void *device, char *name, unsigned size);
int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *mj);
int nvmlDeviceGetPowerUsage(void *device, unsigned *mw);

enum { SUCCESS = 0, NOT_SUPPORTED = 3, GPU_IS_LOST = 15 };

static struct card {
    const char *name;
    unsigned long long mj;
    unsigned readings;
} cards[] = {{"Fake H200", 5000, 0}, {"Fake P100", 0, 0}};

int nvmlInit_v2(void)
{
    return SUCCESS;
}

int nvmlShutdown(void)
{
    return SUCCESS;
}

int nvmlDeviceGetCount_v2(unsigned *count)
{
    *count = 2;
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device)
{
    *device = &cards[index];
    return SUCCESS;
}

int nvmlDeviceGetName(void *device, char *name, unsigned size)
{
    (void)snprintf(name, size, "%s", ((struct card *)device)->name);
    return SUCCESS;
}

int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *mj)
{
    struct card *card = device;
    if (card != &cards[0])
        return NOT_SUPPORTED;
    card->mj += 100;
    *mj = card->mj;
    return SUCCESS;
}

int nvmlDeviceGetPowerUsage(void *device, unsigned *mw)
{
    struct card *card = device;
    *mw = 31500;
    return card->readings++ == 0 ? SUCCESS : GPU_IS_LOST;
}
