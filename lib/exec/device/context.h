/* context.h: an opened device, shared by all plans of the process, and what they have in common. Private to
 * lib/exec. */
#ifndef RESQ_EXEC_DEVICE_CONTEXT_H
#define RESQ_EXEC_DEVICE_CONTEXT_H

#include "exec/device/choose.h"
#include "kernel/contract/device.h"

/* A plan and what it was made from, so that the same shape is measured once. */
struct device_planned {
    int is_norm;
    struct device_conv conv;
    struct device_norm norm;
    unsigned passes;
    struct device_plan *plan;
};

struct device_context {
    const struct device_backend *backend;
    struct device *device;
    struct device_options options;
    struct device_information information;
    size_t workspace_limit; /* bytes that a convolution's algorithm may ask for */
    struct device_planned *planned;
    int planned_count, planned_capacity;
    struct device_peers *peers; /* NULL: there are none, or bytes go through the host's memory */
    char peers_words[400];      /* how they go to other processes; empty: not asked yet. The trainer's */
};

/* A device opened with these options, the same each time; open until devices_close. */
int device_context_get(int tf32, int fast, struct device_context **c, struct message *m) RESQ_USE_RESULT;

/* A plan for this shape, made when it is first asked for; the context's. */
int device_conv_plan_get(struct device_context *c, const struct device_conv *conv, unsigned passes,
                         struct device_plan **p, struct message *m) RESQ_USE_RESULT;
int device_norm_plan_get(struct device_context *c, const struct device_norm *norm, struct device_plan **p,
                         struct message *m) RESQ_USE_RESULT;

/* A float type by the name of its precision: "fp32" (NULL and "" too), "fp16", "bf16". STATUS_UNSUPPORTED where the
 * device has none, or there is none of that name. */
int device_type_choose(const struct device_context *c, const char *precision, enum device_type *type,
                       struct message *m) RESQ_USE_RESULT;
const char *device_type_precision(enum device_type type);
size_t device_type_bytes(enum device_type type);
/* Floats rounded to 16 bits (or copied), on the host. */
void device_values_round(const float *values, size_t count, enum device_type type, void *to);

static inline size_t device_align(size_t bytes)
{
    return (bytes + DEVICE_ALIGNMENT - 1) / DEVICE_ALIGNMENT * DEVICE_ALIGNMENT;
}

static inline void *device_at(void *base, size_t offset)
{
    return (unsigned char *)base + offset;
}

#endif
