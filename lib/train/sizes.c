/* sizes.c: a run whose first epochs see their pictures smaller. */
#include "base/memory.h"
#include "train/trainer.h"
#include <string.h>

/* Every size that the run's mini-batches will have, before any of it is trained on. */
static int check_counts(const struct trainer *t, const struct gradient *g, struct message *m)
{
    int64_t total = t->source.total, batch = t->options->batch, rest = total % batch;
    int status = total >= batch ? gradient_check_count(g, batch, m) : STATUS_OK;
    if (status >= 0 && rest > 0)
        status = gradient_check_count(g, rest, m);
    if (status >= 0)
        return status;
    return message_prefix(m, status, "%lld images an epoch by %lld (--batch)", (long long)total, (long long)batch);
}

/* What training on pictures of this shape takes: the start model as a network of them, opened by these options. */
static int open_at(const struct trainer *t, struct image_shape shape, const struct gradient_options *options,
                   struct gradient **g, struct message *m)
{
    struct model model;
    TRY(model_copy_resized(&model, &t->start, shape.height, shape.width, m));
    int status = gradient_open(g, &model, options, m);
    model_free(&model);
    return status;
}

static int check_at(const struct trainer *t, struct image_shape shape, struct message *m)
{
    struct gradient_options alone = t->gradient_options;
    struct gradient *g = NULL;
    alone.plans_alone = 1;
    int status = open_at(t, shape, &alone, &g, m);
    if (status >= 0)
        status = check_counts(t, g, m);
    gradient_close(g);
    return status < 0 ? message_prefix(m, status, "on pictures of %dx%d", shape.height, shape.width) : status;
}

int trainer_sizes_check(struct trainer *t, struct message *m)
{
    const struct growth *growth = &t->options->growth;
    size_t most = 0;
    TRY(check_counts(t, t->gradient, m));
    TRY(growth_check(growth, t->whole, m));
    for (int i = 0; i < growth->count; i++) {
        const struct image_shape shape = {growth->stages[i].height, growth->stages[i].width, t->whole.channels};
        TRY(check_at(t, shape, m));
        most = image_shape_bytes(shape) > most ? image_shape_bytes(shape) : most;
    }
    if (most == 0)
        return STATUS_OK;
    t->shrunk = memory_new_raw((size_t)t->options->batch, most, m);
    return t->shrunk ? threads_open(&t->shrinkers, t->options->threads > 0 ? t->options->threads : 1, m)
                     : STATUS_NOMEM;
}

/* kept: [parameters, then state]. One gradient at a time is held: the other's memory is its. */
static int gradient_change(struct trainer *t, struct image_shape shape, float *kept, struct message *m)
{
    const size_t parameters = t->parameters * sizeof *kept, states = t->states * sizeof *kept;
    struct gradient_scale *scale = gradient_loss_scale(t->gradient), before = {0};
    if (scale)
        before = *scale;
    memcpy(kept, gradient_parameters(t->gradient), parameters);
    memcpy(kept + t->parameters, gradient_state(t->gradient), states);
    gradient_close(t->gradient);
    t->gradient = NULL;
    TRY(open_at(t, shape, &t->gradient_options, &t->gradient, m));
    memcpy(gradient_parameters(t->gradient), kept, parameters);
    memcpy(gradient_state(t->gradient), kept + t->parameters, states);
    scale = gradient_loss_scale(t->gradient);
    if (scale)
        *scale = before;
    stepper_move(&t->stepper, t->gradient);
    t->shape = shape;
    return STATUS_OK;
}

int trainer_sizes_follow(struct trainer *t, struct message *m)
{
    const struct image_shape shape =
        growth_shape(&t->options->growth, t->state.epoch, t->options->epochs, t->whole);
    if (image_shape_is(shape, t->shape))
        return STATUS_OK;
    float *kept = memory_new_raw(t->parameters + t->states, sizeof *kept, m);
    int status = kept ? gradient_change(t, shape, kept, m) : STATUS_NOMEM;
    memory_free(kept);
    if (status >= 0)
        trainer_say(t, 1, "epoch %lld: pictures of %dx%d from here on", (long long)t->state.epoch + 1, shape.height,
                    shape.width);
    return status;
}

int trainer_sizes_apply(struct trainer *t, const uint8_t **images, int count, struct message *m)
{
    if (image_shape_is(t->shape, t->whole))
        return STATUS_OK;
    TRY(growth_shrink(t->shrinkers, *images, gradient_share(t->gradient, count).images, t->whole, t->shrunk,
                      t->shape, m));
    *images = t->shrunk;
    return STATUS_OK;
}

int64_t trainer_sizes_work(const struct trainer *t, int64_t epochs, int64_t images)
{
    const struct growth *growth = &t->options->growth;
    const int64_t all = t->options->epochs;
    double before = growth_cost(growth, epochs, all, t->whole);
    double share = growth_cost(growth, epochs + 1, all, t->whole) - before;
    return (int64_t)(before * (double)t->source.total + share * (double)images);
}
