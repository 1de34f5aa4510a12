/* What an open gradient holds in memory. */
#include "exec/train/block/block_engine.h"
#include "exec/train/device/device_train.h"

static size_t conv_bytes(const struct gradient *g, int i)
{
    const struct train_step *s = &g->steps[i];
    const struct kernel_table *k = g->kernels;
    size_t bytes = 0;
    if (block_back(g, i)) {
        const struct block_step *b = &g->block->steps[i];
        bytes += b->forward ? g->block->kernels->packed_bytes(&b->conv, BLOCK_FORWARD) : 0;
        bytes += b->backward ? g->block->kernels->packed_bytes(&b->conv, BLOCK_BACKWARD) : 0;
    } else {
        bytes += k->conv_f32_backward_data.packed_bytes(&s->shape);
    }
    if (!block_on(g, i))
        bytes += gradient_quantized(g) ? k->conv_u8.packed_bytes(&s->shape) : k->conv_f32.packed_bytes(&s->shape);
    return bytes;
}

size_t gradient_held_bytes(const struct gradient *g)
{
    if (g->on_device)
        return device_training_bytes(g);
    size_t bytes = g->arena_bytes + (size_t)threads_count(g->pool) * g->scratch_stride;
    bytes += (2 * g->parameter_count + g->state_count) * sizeof(float);
    bytes += (size_t)g->options.batch * g->partial_stride * sizeof *g->partials;
    for (int i = 0; i < g->step_count; i++)
        bytes += g->steps[i].kind == TRAIN_CONV ? conv_bytes(g, i) : 0;
    return bytes;
}
