/* tiles_f32_512.h: what the f32 convolutions, forward and backward by data, have in common: a dense correlation of NHWC
 * images with packed weights, computed in register tiles of up to 6 pixels x 64 outputs. */
#ifndef RESQ_KERNEL_X86_AVX512_TILES_F32_512_H
#define RESQ_KERNEL_X86_AVX512_TILES_F32_512_H

#include "kernel/contract/kernel.h"

enum { TILE_OUTPUTS = 64, TILE_LANES = 16 };

/* y[row,col,k] = [clip][relu](bias[k] + residual + sum over r, t, i of x[row*stride+top+r, col*stride+left+t, i] *
 * w[r,t,i,k]), x being zero outside of its h x w pixels. */
struct tiles_f32 {
    int images;
    const float *x;
    struct layout x_at;
    int h, w, c;
    int top, left; /* where the first tap of output (0,0) lies; negative: in the padding */
    int taps_h, taps_w, stride;
    int out, rows, cols;   /* rows: of the whole result */
    const float *packed;   /* [panel of 64 outputs][taps_h][taps_w][c][64, or what is left in vectors of 16] */
    const float *bias;     /* [out] or NULL */
    const float *residual; /* or NULL; may be y */
    struct layout residual_at;
    int relu;
    const float *clip; /* [low, high] or NULL */
    float *y;
    struct layout y_at;
};

size_t tiles_f32_avx512_packed_floats(int taps, int c, int out);
/* Where the weights of output k begin; from one (tap, channel) to the next *step floats. */
size_t tiles_f32_avx512_packed_at(int taps, int c, int out, int k, size_t *step);
size_t tiles_f32_avx512_scratch_bytes(const struct tiles_f32 *t);
void tiles_f32_avx512_run(const struct tiles_f32 *t, int row_begin, int row_end, void *scratch);

#endif
