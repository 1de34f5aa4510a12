/* tiles_f32.h: what the f32 convolutions, forward and backward by data, have in common: a dense correlation of an
 * NHWC image with packed weights, computed in register tiles of some pixels x 16 outputs. */
#ifndef RESQ_KERNEL_TEMPLATE_TILES_F32_H
#define RESQ_KERNEL_TEMPLATE_TILES_F32_H

#include <stddef.h>

enum { TILE_OUTPUTS = 16 };

/* y[row,col,k] = [clip][relu](bias[k] + residual + sum over r, t, i of x[row*stride+top+r, col*stride+left+t, i] *
 * w[r,t,i,k]), x being zero outside of its h x w pixels. */
struct tiles_f32 {
    int images;     /* x, residual and y: one behind the other, y_image.. apart */
    const float *x; /* pixel (0,0) of h x w x c, with zeros around */
    int h, w, c;
    size_t x_image, x_row, x_pixel; /* floats from one image, row and pixel to the next */
    int border;                     /* zeros around that may be read in place */
    int top, left;                  /* where the first tap of output (0,0) lies; negative: in the padding */
    int taps_h, taps_w, stride;
    int out, cols;
    const float *packed;   /* [ceil(out/16)][taps_h][taps_w][c][16], zeros beyond out */
    const float *bias;     /* [out] or NULL */
    const float *residual; /* or NULL; may be y */
    size_t residual_image, residual_row, residual_col;
    int relu;
    const float *clip; /* [low, high] or NULL */
    float *y;
    size_t y_image, y_row, y_col; /* floats from one image, output row and column to the next */
};

size_t tiles_f32_packed_floats(int taps, int c, int out);
size_t tiles_f32_scratch_bytes(const struct tiles_f32 *t, int rows);
void tiles_f32_run(const struct tiles_f32 *t, int row_begin, int row_end, void *scratch);

#endif
