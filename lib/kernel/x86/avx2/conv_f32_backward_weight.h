/* conv_f32_backward_weight.h: what gradients by weights, of one tap and of several, have in common: tiles of up to 6
 * channels x 16 outputs, and the chunks that are summed from zero. Chunks follow from the shape alone, and so do the
 * bits of a result. */
#ifndef RESQ_KERNEL_X86_AVX2_CONV_F32_BACKWARD_WEIGHT_H
#define RESQ_KERNEL_X86_AVX2_CONV_F32_BACKWARD_WEIGHT_H

#include "base/tree.h"
#include "kernel/contract/shape.h"

enum { CHANNELS = 6, OUTPUTS = 16, CHUNK_LINES = 256 };

/* Outputs a chunk holds: each takes a cache line of dy and stride^2 lines of x, a half of the cache in all. */
static inline int chunk_pixels(const struct conv_shape *s)
{
    return CHUNK_LINES / (1 + s->stride * s->stride);
}

/* Output rows a chunk takes of each image, and how many images: either is one or all. */
static inline int chunk_rows(const struct conv_shape *s)
{
    int rows = chunk_pixels(s) / s->out_w;
    rows = rows > 0 ? rows : 1;
    return rows < s->out_h ? rows : s->out_h;
}

static inline int chunk_images(const struct conv_shape *s)
{
    int images = chunk_rows(s) < s->out_h ? 1 : chunk_pixels(s) / (s->out_w * s->out_h);
    return images < 1 ? 1 : images < SHARD_IMAGES ? images : SHARD_IMAGES;
}

static inline size_t chunk_most_pixels(const struct conv_shape *s)
{
    return (size_t)chunk_images(s) * (size_t)chunk_rows(s) * (size_t)s->out_w;
}

/* Of one tap: as struct conv_f32_backward_weight_kernel. */
int one_tap_supports(const struct conv_shape *s);
int one_tap_items(const struct conv_shape *s);
size_t one_tap_scratch_bytes(const struct conv_shape *s);
void one_tap_run(const struct conv_shape *s, int images, const float *x, const float *dy, int item, float *dw,
                 void *scratch);

#endif
