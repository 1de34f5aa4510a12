/* The operations with constants or sums a channel: the definition. */
#include "kernel/list.h"
#include "kernel/contract/shape.h"
#include <string.h>

void elementwise_scale_shift_ref(const float *x, int rows, int c, const float *scale, const float *shift,
                                 const float *residual, int relu, float *y)
{
    for (int i = 0; i < rows; i++, x += c, y += c) {
        for (int j = 0; j < c; j++)
            y[j] = x[j] * scale[j] + shift[j];
        if (residual) {
            for (int j = 0; j < c; j++)
                y[j] += residual[j];
            residual += c;
        }
        if (relu)
            for (int j = 0; j < c; j++)
                y[j] = relu_value(y[j]);
    }
}

void elementwise_sum_and_squares_ref(const float *x, int rows, int c, double *sum, double *squares)
{
    memset(sum, 0, (size_t)c * sizeof *sum);
    memset(squares, 0, (size_t)c * sizeof *squares);
    for (int i = 0; i < rows; i++, x += c)
        for (int j = 0; j < c; j++) {
            double v = (double)x[j];
            sum[j] += v;
            squares[j] += v * v;
        }
}

void elementwise_batchnorm_backward_sums_ref(const float *x, const float *dy, int rows, int c, const float *mean,
                                             const float *inv_std, double *sum_dy, double *sum_dy_xhat)
{
    memset(sum_dy, 0, (size_t)c * sizeof *sum_dy);
    memset(sum_dy_xhat, 0, (size_t)c * sizeof *sum_dy_xhat);
    for (int i = 0; i < rows; i++, x += c, dy += c)
        for (int j = 0; j < c; j++) {
            float xhat = (x[j] - mean[j]) * inv_std[j];
            sum_dy[j] += (double)dy[j];
            sum_dy_xhat[j] += (double)dy[j] * (double)xhat;
        }
}

void elementwise_batchnorm_backward_ref(const float *x, const float *dy, int rows, int c, const float *mean,
                                        const float *inv_std, const float *gamma, const float *mean_dy,
                                        const float *mean_dy_xhat, float *dx)
{
    for (int i = 0; i < rows; i++, x += c, dy += c, dx += c)
        for (int j = 0; j < c; j++) {
            float xhat = (x[j] - mean[j]) * inv_std[j];
            dx[j] = gamma[j] * inv_std[j] * (dy[j] - mean_dy[j] - xhat * mean_dy_xhat[j]);
        }
}
