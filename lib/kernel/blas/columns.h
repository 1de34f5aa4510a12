/* columns.h: im2col, and OpenBLAS as these kernels use it. */
#ifndef RESQ_KERNEL_BLAS_COLUMNS_H
#define RESQ_KERNEL_BLAS_COLUMNS_H

#include "kernel/contract/shape.h"
#include <cblas.h>

/* Pixels a matrix product takes. The last bits of OpenBLAS's results depend on the number of rows, so a row's place
 * among the blocks of its image is fixed by the shape: a caller that asks for part of a block gets the whole
 * block's arithmetic. */
enum { BLOCK_PIXELS = 128 };

static inline size_t block_pixels(const struct conv_shape *s)
{
    return shape_pixels(s) < BLOCK_PIXELS ? shape_pixels(s) : BLOCK_PIXELS;
}

/* One thread: the parallelism lies above. */
void blas_open(void);

/* c [m,n] = a [m,k] b [k,n] (+ c), rows contiguous; with transpose, a is [k,m]. */
void blas_multiply(int transpose, size_t m, size_t n, size_t k, const float *a, const float *b, int add, float *c);

/* Windows of `count` output pixels of one image from `first` on, one a row, [count][R,R,C]; zeros for padding. x:
 * the image's pixel (0,0). */
void columns_f32(const struct conv_shape *s, const float *x, const struct layout *x_at, size_t first, size_t count,
                 float *to);
/* The same of x - zero point, in floats. */
void columns_u8(const struct conv_shape *s, const uint8_t *x, const struct layout *x_at, uint8_t zero_point,
                size_t first, size_t count, float *to);

#endif
