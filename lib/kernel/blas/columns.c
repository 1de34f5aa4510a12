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

/* Where tap [r,t] of an output pixel reads: the index of the input's first channel, or -1 in the padding. */
static ptrdiff_t input_at(const struct conv_shape *s, size_t pixel, int r, int t)
{
    int iy = (int)(pixel / (size_t)s->out_w) * s->stride - s->pad + r;
    int ix = (int)(pixel % (size_t)s->out_w) * s->stride - s->pad + t;
    if (iy < 0 || iy >= s->h || ix < 0 || ix >= s->w)
        return -1;
    return ((ptrdiff_t)iy * s->w + ix) * s->c;
}

void columns_f32(const struct conv_shape *s, const float *x, size_t first, size_t count, float *to)
{
    for (size_t i = first; i < first + count; i++)
        for (int r = 0; r < s->kernel; r++)
            for (int t = 0; t < s->kernel; t++, to += s->c) {
                ptrdiff_t at = input_at(s, i, r, t);
                if (at < 0)
                    memset(to, 0, (size_t)s->c * sizeof *to);
                else
                    memcpy(to, x + at, (size_t)s->c * sizeof *to);
            }
}

void columns_u8(const struct conv_shape *s, const uint8_t *x, uint8_t zero_point, size_t first, size_t count,
                float *to)
{
    for (size_t i = first; i < first + count; i++)
        for (int r = 0; r < s->kernel; r++)
            for (int t = 0; t < s->kernel; t++, to += s->c) {
                ptrdiff_t at = input_at(s, i, r, t);
                for (int c = 0; c < s->c; c++)
                    to[c] = at < 0 ? 0.0f : (float)(x[at + c] - zero_point);
            }
}
