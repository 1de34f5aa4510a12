/* Linear layers, and the peak of the device: products and little else. */
#include "kernel/device/cuda/cuda.h"

int cuda_linear_forward(struct device *d, const struct device_linear *l, const void *x, const void *w,
                        const float *bias, void *y, struct message *m)
{
    struct product_shape s = {PRODUCT_FORWARD, l->n, l->c, l->k, l->type, l->y_type};
    TRY(product_run(d, &s, x, w, y, m));
    const struct device_scale_shift_call epilogue = {
        .type = l->y_type, .x = y, .rows = (size_t)l->n, .c = l->k, .shift = bias, .y = y};
    return bias ? cuda_scale_shift(d, &epilogue, m) : 0;
}

int cuda_linear_backward(struct device *d, const struct device_linear *l,
                         const struct device_linear_backward_call *call, struct message *m)
{
    struct product_shape data = {PRODUCT_DATA, l->n, l->c, l->k, l->type, l->type};
    struct product_shape weight = {PRODUCT_WEIGHT, l->n, l->c, l->k, l->type, DEVICE_F32};
    if (call->dx)
        TRY(product_run(d, &data, call->dy, call->w, call->dx, m));
    TRY(product_run(d, &weight, call->dy, call->x, call->dw, m));
    return call->db ? cuda_bias_gradient(d, l->type, call->dy, (size_t)l->n, l->k, call->db, m) : 0;
}

/* ---- the peak ---- */

enum { PEAK_LARGEST = 8192, PEAK_A_MULTIPROCESSOR = 64, PEAK_WARM_UP = 2 };

struct peak {
    struct product_shape shape;
    void *a, *b, *y;
    struct device_event *begin, *end;
};

static int peak_open(struct device *d, struct peak *p, enum device_type type, struct message *m)
{
    struct device_information i;
    TRY(cuda_information(d, &i, m));
    int side = i.multiprocessors * PEAK_A_MULTIPROCESSOR / 256 * 256;
    side = side > PEAK_LARGEST ? PEAK_LARGEST : side < 256 ? 256 : side;
    size_t count = (size_t)side * (size_t)side;
    p->shape =
        (struct product_shape){PRODUCT_FORWARD, side, side, side, type == DEVICE_U8 ? DEVICE_S8 : type, type};
    if (p->shape.in == DEVICE_S8)
        p->shape.out = DEVICE_S32;
    TRY(cuda_allocate(d, count * type_bytes(p->shape.in), &p->a, m));
    TRY(cuda_allocate(d, count * type_bytes(p->shape.in), &p->b, m));
    TRY(cuda_allocate(d, count * type_bytes(p->shape.out), &p->y, m));
    TRY(fill_run(d, p->shape.in, p->a, count, m));
    TRY(fill_run(d, p->shape.in, p->b, count, m));
    TRY(cuda_event_new(d, &p->begin, m));
    return cuda_event_new(d, &p->end, m);
}

static int peak_times(struct device *d, const struct peak *p, int times, double *seconds, struct message *m)
{
    TRY(cuda_event_record(d, p->begin, QUEUE_COMPUTE, m));
    for (int i = 0; i < times; i++)
        TRY(product_run(d, &p->shape, p->a, p->b, p->y, m));
    TRY(cuda_event_record(d, p->end, QUEUE_COMPUTE, m));
    TRY(cuda_event_synchronize(d, p->end, m));
    return cuda_event_seconds(d, p->begin, p->end, seconds, m);
}

/* The fastest of ever longer runs, which together take about so long. */
static int peak_measure(struct device *d, const struct peak *p, double seconds, double *macs, struct message *m)
{
    double side = p->shape.n, took = 0, spent = 0;
    TRY(peak_times(d, p, PEAK_WARM_UP, &took, m));
    for (int times = 1; spent < seconds; times = times < 64 ? times * 2 : times) {
        TRY(peak_times(d, p, times, &took, m));
        spent += took > 0 ? took : seconds;
        double rate = took > 0 ? side * side * side * times / took : 0;
        *macs = rate > *macs ? rate : *macs;
    }
    return 0;
}

int cuda_peak(struct device *d, enum device_type type, double seconds, double *macs, struct message *m)
{
    struct peak p = {.a = NULL};
    double found = 0;
    int status = peak_open(d, &p, type, m);
    if (status >= 0)
        status = peak_measure(d, &p, seconds, &found, m);
    cuda_release(d, p.a), cuda_release(d, p.b), cuda_release(d, p.y);
    cuda_event_free(d, p.begin), cuda_event_free(d, p.end);
    if (status >= 0)
        *macs = found;
    return status;
}
