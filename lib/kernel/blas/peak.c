/* What a large matrix product reaches. */
#include "base/memory.h"
#include "base/progress.h"
#include "kernel/blas/columns.h"
#include "kernel/list.h"

enum { SIDE = 384 };

double peak_f32_blas(double seconds)
{
    size_t count = (size_t)SIDE * SIDE;
    float *a = memory_new(3 * count, sizeof *a, NULL);
    double start = clock_seconds(), best = 0;
    do {
        if (!a)
            break;
        double t = clock_seconds();
        blas_multiply(0, SIDE, SIDE, SIDE, a, a + count, 0, a + 2 * count);
        t = clock_seconds() - t;
        double rate = t > 0 ? (double)SIDE * SIDE * SIDE / t : 0;
        best = rate > best ? rate : best;
    } while (clock_seconds() - start < seconds);
    memory_free(a);
    return best;
}
