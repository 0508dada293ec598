#include "policy/experience.h"

#include <assert.h>
#include <stdlib.h>

int ws_experience_init(struct ws_experience *out, size_t capacity, struct ws_error *err)
{
    struct ws_step *steps = calloc(capacity, sizeof(*steps));
    if (steps == NULL)
        return ws_error_nomem(err);
    *out = (struct ws_experience){steps, capacity, 0, 0};
    return 0;
}

void ws_experience_fini(struct ws_experience *experience)
{
    free(experience->steps);
    *experience = (struct ws_experience){0};
}

void ws_experience_add(struct ws_experience *experience, const struct ws_step *step)
{
    experience->steps[experience->next] = *step;
    experience->next = (experience->next + 1) % experience->capacity;
    if (experience->count < experience->capacity)
        experience->count++;
}

const struct ws_step *ws_experience_draw(const struct ws_experience *experience,
                                         struct ws_rng *rng)
{
    assert(experience->count > 0);
    return &experience->steps[ws_rng_below(rng, experience->count)];
}
