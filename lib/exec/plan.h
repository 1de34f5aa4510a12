/* plan.h: a model made into steps. Private to exec*.c.
 *
 * A step computes one node, or a convolution with the batch norm, add and relu behind it. Its work is cut into
 * images * blocks items; an item is run by one worker and writes memory of its own. */
#ifndef RESQ_EXEC_PLAN_H
#define RESQ_EXEC_PLAN_H

#include "base/threads.h"
#include "exec/exec.h"
#include "exec/layout.h"

enum step_kind {
    STEP_NORMALIZE,
    STEP_LOOKUP_INPUT, /* normalize and quantize as one table */
    STEP_CONV_F32,
    STEP_CONV_U8,
    STEP_LINEAR_U8, /* f32 out */
    STEP_SCALE_SHIFT,
    STEP_RELU_F32,
    STEP_RELU_U8,
    STEP_ADD,
    STEP_POOL_F32,
    STEP_POOL_U8,
    STEP_QUANTIZE,
    STEP_DEQUANTIZE,
    STEP_KINDS
};

struct step {
    enum step_kind kind;
    int node;                /* what the step is called after: the first node it computes */
    int output;              /* the last node it computes: what later steps read */
    int x, other;            /* nodes read; other: second operand or residual, -1 where there is none */
    int relu;                /* behind the convolution, or behind norm's scale and shift where norm >= 0 */
    int norm;                /* batch norm fused behind a convolution, or -1 */
    int norm_other;          /* residual added behind that batch norm, or -1 */
    struct conv_shape shape; /* convolution and linear */
    int rows, blocks;        /* output rows an item; items an image */
    void *packed;            /* weights in the kernel's form; owned */
    size_t packed_bytes;
    float *scale, *shift; /* batch norm; scale also: multipliers of an integer convolution; owned */
    float *bias;          /* float convolution, aligned copy; owned */
    int32_t *bias_q;      /* owned */
    uint8_t *table;       /* [C][256]; owned */
    struct requantize requantize;
    struct affine map_x, map_y; /* of u8 values */
    const char *algorithm;
    double macs, seconds;
};

/* Where a node's value lies: image i at arena + offset + i * stride. stride 0: never stored. */
struct value {
    size_t offset, stride;
};

struct exec {
    const struct model *model;
    const struct kernel_table *kernels;
    struct threads *pool;
    const char *device;
    int batch, keep, profiling;
    struct step *steps;
    int step_count;
    struct value *values; /* one a node */
    unsigned char *arena, *scratch;
    size_t arena_bytes, scratch_stride; /* scratch: one a worker */
    double macs;
    int integer_layers, float_layers; /* convolutions and linears */
};

/* exec_plan.c: steps and the order of their buffers; nothing is packed yet. */
int plan_steps(struct exec *e, struct message *m) RESQ_USE_RESULT;
int plan_buffers(struct exec *e, struct message *m) RESQ_USE_RESULT;
/* exec_constants.c: packed weights, tables, requantization constants. */
int step_prepare(struct exec *e, struct step *s, struct message *m) RESQ_USE_RESULT;
void step_release(struct step *s);
/* exec_steps.c: one item of one step, on the values of an image of the current chunk. */
struct place {
    int image, block; /* which item */
    void *scratch;    /* the worker's own */
};
void step_item(const struct exec *e, const struct step *s, const struct place *at);
size_t step_scratch(const struct exec *e, const struct step *s);

static inline void *exec_value(const struct exec *e, int node, int image)
{
    return e->arena + e->values[node].offset + (size_t)image * e->values[node].stride;
}

#endif
