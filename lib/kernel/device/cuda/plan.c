/* What all plans have in common. */
#include "kernel/device/cuda/cuda.h"

static int shape_check(const struct device_conv *c, unsigned passes, struct message *m)
{
    if (passes == 0 || passes >= 1u << DEVICE_PASSES)
        return message_set(m, STATUS_RANGE, "convolution: no such passes: %u", passes);
    if (c->kernel < 1 || c->stride < 1 || c->pad < 0 || c->kernel > c->h + 2 * c->pad ||
        c->kernel > c->w + 2 * c->pad)
        return message_set(m, STATUS_RANGE, "convolution: kernel %d, stride %d, padding %d on %dx%d", c->kernel,
                           c->stride, c->pad, c->h, c->w);
    if (tensor_count(c->n, c->h, c->w, c->c) == 0 || tensor_count(c->n, c->out_h, c->out_w, c->k) == 0 ||
        tensor_count(c->k, c->kernel, c->kernel, c->c) == 0)
        return message_set(m, STATUS_RANGE, "convolution of %dx%dx%dx%d to %d: want 1 to 2^31 - 1 values", c->n,
                           c->h, c->w, c->c, c->k);
    if (c->out_h != (c->h + 2 * c->pad - c->kernel) / c->stride + 1 ||
        c->out_w != (c->w + 2 * c->pad - c->kernel) / c->stride + 1)
        return message_set(m, STATUS_MISMATCH, "convolution: an output of %dx%d does not follow from %dx%d",
                           c->out_h, c->out_w, c->h, c->w);
    return 0;
}

int cuda_conv_plan(struct device *d, const struct device_conv *c, unsigned passes, size_t workspace_limit,
                   struct device_plan **p, struct message *m)
{
    struct device_plan *new = NULL;
    TRY(shape_check(c, passes & ~(unsigned)DEVICE_FIXED, m));
    switch (c->type) {
    case DEVICE_F32:
    case DEVICE_F16:
    case DEVICE_BF16:
        TRY(conv_float_plan(d, c, passes, workspace_limit, &new, m));
        break;
    case DEVICE_U8:
        TRY(conv_u8_plan(c, passes & ~(unsigned)DEVICE_FIXED, workspace_limit, &new, m));
        break;
    default:
        return message_set(m, STATUS_UNSUPPORTED, "convolution of type %d", (int)c->type);
    }
    int status = held_add(d, HELD_PLAN, new, m);
    if (status < 0)
        new->free(new);
    else
        *p = new;
    return status;
}

void cuda_plan_free(struct device *d, struct device_plan *p)
{
    if (p && held_remove(d, HELD_PLAN, p))
        p->free(p);
}

const char *cuda_plan_algorithm(const struct device_plan *p, enum device_pass pass)
{
    return p->algorithm[pass] ? p->algorithm[pass] : "none";
}

size_t cuda_plan_workspace(const struct device_plan *p)
{
    return p->workspace;
}

size_t cuda_plan_reserve(const struct device_plan *p)
{
    return p->reserve;
}

size_t cuda_plan_packed(const struct device_plan *p)
{
    return p->packed;
}
