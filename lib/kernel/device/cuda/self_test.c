/* The device's own test: each kind of call once, on so few values that the result is known. A driver that is too
 * old, a library without kernels for this GPU, or a GPU that computes nonsense shows here and not in the middle of
 * a run. */
#include "kernel/device/cuda/cuda.h"

enum { SIDE = 16, CONV_SIDE = 4 };

/* A product of a matrix of twos with one of halves: SIDE everywhere. */
static int test_product(struct device *d, float *device_values, float *host, struct message *m)
{
    float *a = device_values, *b = a + SIDE * SIDE, *y = b + SIDE * SIDE;
    struct product_shape s = {PRODUCT_FORWARD, SIDE, SIDE, SIDE, DEVICE_F32, DEVICE_F32};
    for (int i = 0; i < SIDE * SIDE; i++)
        host[i] = 2, host[SIDE * SIDE + i] = 0.5f;
    TRY(cuda_copy_in(d, QUEUE_COMPUTE, a, host, 2 * SIDE * SIDE * sizeof *host, m));
    TRY(product_run(d, &s, a, b, y, m));
    TRY(cuda_copy_out(d, QUEUE_COMPUTE, host, y, SIDE * SIDE * sizeof *host, m));
    TRY(cuda_synchronize(d, m));
    for (int i = 0; i < SIDE * SIDE; i++)
        if (host[i] != (float)SIDE)
            return message_set(m, STATUS_UNSUPPORTED, "the device computes a product wrongly: %g, want %d",
                               (double)host[i], (int)SIDE);
    return 0;
}

/* Ones with weights of one, 3x3, padded: how many taps lie in the picture, times the channels; bias 1. */
static int test_conv(struct device *d, float *device_values, float *host, struct message *m)
{
    enum { PIXELS = CONV_SIDE * CONV_SIDE, INPUTS = PIXELS * SIDE, WEIGHTS = SIDE * 9 * SIDE };
    struct device_conv c = {1, CONV_SIDE, CONV_SIDE, SIDE, CONV_SIDE, CONV_SIDE, SIDE, 3, 1, 1, DEVICE_F32};
    struct device_plan *p = NULL;
    float *x = device_values, *w = x + INPUTS, *bias = w + WEIGHTS, *y = bias + SIDE;
    const struct device_conv_call call = {
        .x = x, .w = w, .bias = bias, .relu = 1, .y = y, .workspace = d->product_workspace};
    for (int i = 0; i < INPUTS + WEIGHTS + SIDE; i++)
        host[i] = 1;
    TRY(cuda_conv_plan(d, &c, 1u << DEVICE_FORWARD, PRODUCT_WORKSPACE_BYTES, &p, m));
    int status = cuda_copy_in(d, QUEUE_COMPUTE, x, host, (INPUTS + WEIGHTS + SIDE) * sizeof *host, m);
    if (status >= 0)
        status = cuda_conv_forward(d, p, &call, m);
    if (status >= 0)
        status = cuda_copy_out(d, QUEUE_COMPUTE, host, y, INPUTS * sizeof *host, m);
    if (status >= 0)
        status = cuda_synchronize(d, m);
    cuda_plan_free(d, p);
    TRY(status);
    for (int i = 0; i < INPUTS; i++) {
        int row = i / SIDE / CONV_SIDE, col = i / SIDE % CONV_SIDE;
        int rows = row % (CONV_SIDE - 1) ? 3 : 2, cols = col % (CONV_SIDE - 1) ? 3 : 2;
        if (host[i] != (float)(rows * cols * SIDE + 1))
            return message_set(m, STATUS_UNSUPPORTED, "the device computes a convolution wrongly: %g, want %d",
                               (double)host[i], rows * cols * SIDE + 1);
    }
    return 0;
}

int cuda_self_test(struct device *d, struct message *m)
{
    enum { FLOATS = 8192 };
    float host[FLOATS];
    void *values = NULL;
    TRY(cuda_allocate(d, sizeof host, &values, m));
    int status = test_product(d, values, host, m);
    if (status >= 0)
        status = test_conv(d, values, host, m);
    cuda_release(d, values);
    return status;
}
