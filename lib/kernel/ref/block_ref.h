/* block_ref.h: the parts of block_ref_direct, a file each, and what they share. Contracts: block.h. */
#ifndef RESQ_KERNEL_REF_BLOCK_REF_H
#define RESQ_KERNEL_REF_BLOCK_REF_H

#include "kernel/contract/block.h"

enum { BLOCK_CELL = BLOCK_IMAGES * BLOCK_CHANNELS };

/* Laid out as windows, a convolution is one of a single tap at stride 1, and the windows are its channels. */
static inline struct block_conv block_taps_of(const struct block_conv *s)
{
    struct block_conv t = *s;
    if (s->window) {
        t.h = s->out_h;
        t.w = s->out_w;
        t.c = s->c * s->kernel * s->kernel;
        t.kernel = t.stride = 1;
        t.pad = t.window = 0;
    }
    return t;
}

/* Where a value lies in a tensor of c channels; its planes are BLOCK_CELL apart. */
static inline size_t block_at(int pixel, int c, int planes, int image, int channel)
{
    size_t cell = (size_t)pixel * (size_t)(block_channels(c) / BLOCK_CHANNELS) + (size_t)(channel / BLOCK_CHANNELS);
    return cell * (size_t)planes * BLOCK_CELL +
           cell_offset(image * BLOCK_CHANNELS + channel % BLOCK_CHANNELS, planes);
}

/* block_conv.c */
size_t block_ref_packed_bytes(const struct block_conv *s, enum block_direction d);
int block_ref_pack_items(const struct block_conv *s);
void block_ref_pack(const struct block_conv *s, const float *weight, int item, void *forward, void *backward);
size_t block_ref_conv_scratch(const struct block_conv *s);
void block_ref_conv(const struct block_conv *s, enum block_direction d, const struct block_conv_call *call,
                    void *scratch);

/* block_weight.c */
size_t block_ref_weight_scratch(const struct block_conv *s);
size_t block_ref_weight_shared_bytes(const struct block_conv *s, int blocks);
int block_ref_weight_items(const struct block_conv *s, int blocks, int round);
void block_ref_weight_gradient(const struct block_conv *s, const struct block_weight_call *call, int round,
                               int item, void *shared, void *scratch);

/* block_passes.c */
void block_ref_input(const struct block_conv *s, const uint8_t *const *images, int count, const float *table,
                     int row, bf16 *y);
void block_ref_norm(const struct block_norm_call *call);
void block_ref_norm_backward_sums(const struct block_norm_backward_call *call);
void block_ref_norm_backward(const struct block_norm_backward_call *call);
void block_ref_dequantize(const struct block_map *map, const uint8_t *q, size_t q_image, float scale,
                          uint8_t zero_point, bf16 *y);
void block_ref_within(const struct block_map *map, const float *v, size_t v_image, float low, float high,
                      uint32_t *bits);
void block_ref_pool(const struct block_map *map, const bf16 *x, float *y, int y_stride);
void block_ref_pool_backward(const struct block_map *map, const float *dy, int dy_stride, bf16 *dx, int accumulate);

#endif
