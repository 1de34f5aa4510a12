#include "kernel/blas/columns.h"
#include <pthread.h>
#include <string.h>

static void one_thread(void)
{
    openblas_set_num_threads(1);
}

void blas_open(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, one_thread);
}

void blas_multiply(int transpose, size_t m, size_t n, size_t k, const float *a, const float *b, int add, float *c)
{
    blas_open();
    cblas_sgemm(CblasRowMajor, transpose ? CblasTrans : CblasNoTrans, CblasNoTrans, (blasint)m, (blasint)n,
                (blasint)k, 1.0f, a, (blasint)(transpose ? m : k), b, (blasint)n, add ? 1.0f : 0.0f, c, (blasint)n);
}

/* Whether tap [r,t] of an output pixel lies in the image, and where from its pixel (0,0). */
static int input_at(const struct conv_shape *s, const struct layout *x_at, size_t pixel, int r, int t,
                    ptrdiff_t *at)
{
    int iy = (int)(pixel / (size_t)s->out_w) * s->stride - s->pad + r;
    int ix = (int)(pixel % (size_t)s->out_w) * s->stride - s->pad + t;
    *at = layout_at(x_at, 0, iy, ix);
    return iy >= 0 && iy < s->h && ix >= 0 && ix < s->w;
}

void columns_f32(const struct conv_shape *s, const float *x, const struct layout *x_at, size_t first, size_t count,
                 float *to)
{
    ptrdiff_t at;
    for (size_t i = first; i < first + count; i++)
        for (int r = 0; r < s->kernel; r++)
            for (int t = 0; t < s->kernel; t++, to += s->c) {
                if (input_at(s, x_at, i, r, t, &at))
                    memcpy(to, x + at, (size_t)s->c * sizeof *to);
                else
                    memset(to, 0, (size_t)s->c * sizeof *to);
            }
}

void columns_u8(const struct conv_shape *s, const uint8_t *x, const struct layout *x_at, uint8_t zero_point,
                size_t first, size_t count, float *to)
{
    ptrdiff_t at;
    for (size_t i = first; i < first + count; i++)
        for (int r = 0; r < s->kernel; r++)
            for (int t = 0; t < s->kernel; t++, to += s->c) {
                int inside = input_at(s, x_at, i, r, t, &at);
                for (int c = 0; c < s->c; c++)
                    to[c] = inside ? (float)(x[at + c] - zero_point) : 0.0f;
            }
}
