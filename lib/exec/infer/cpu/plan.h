/* plan.h: a model made into steps. Private to exec*.c.
 *
 * A step computes one node, or a convolution with the batch norm, add and relu behind it. Steps in a row make a
 * segment: a few images (a chunk) go through all of its steps while their values stay in the second-level cache.
 * Values that a later segment reads are kept for the whole batch; others belong to the chunk of one worker. */
#ifndef RESQ_EXEC_INFER_CPU_PLAN_H
#define RESQ_EXEC_INFER_CPU_PLAN_H

#include "base/threads.h"
#include "exec/plan/cost.h"
#include "exec/infer/exec.h"
#include "exec/plan/layout.h"
#include <stdatomic.h>

enum step_kind {
    STEP_NORMALIZE,
    STEP_LOOKUP_INPUT, /* normalize and quantize as one table */
    STEP_CONV_F32,
    STEP_CONV_BF16, /* linear too */
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

/* Outputs [first, first + count) of a convolution, by one algorithm. */
struct conv_part {
    int first, count;
    enum algorithm algorithm;
    void *packed; /* in memory of the caller's */
    size_t bytes; /* a multiple of 64 */
};

/* A convolution's parts in order of their outputs, together all of them. */
struct conv_parts {
    struct conv_part *part; /* owned */
    int count;
};

struct step {
    enum step_kind kind;
    int node;                /* what the step is called after: the first node it computes */
    int output;              /* the last node it computes: what later steps read */
    int x, other;            /* nodes read; other: second operand or residual, -1 where there is none */
    int relu;                /* behind the convolution, or behind norm's scale and shift where norm >= 0 */
    int norm;                /* batch norm fused behind a convolution, or -1 */
    int fold;                /* bfloat16: batch norm folded into a convolution's weights, or -1 */
    float *folded;           /* those weights, until they are packed; owned, or NULL */
    int norm_other;          /* residual added behind that batch norm, or -1 */
    struct conv_shape shape; /* convolution and linear */
    struct conv_parts parts;
    float *scale, *shift; /* batch norm; scale also: multipliers of an integer convolution; owned */
    float *bias;          /* float convolution, aligned copy; owned */
    int32_t *bias_q;      /* owned */
    uint8_t *table;       /* [C][256]; owned */
    struct requantize requantize;
    struct affine map_x, map_y; /* of u8 values */
    const char *algorithm;
    double macs;
};

/* Where a node's value lies. bytes 0: never stored. */
struct value {
    struct layout at;
    size_t element;        /* bytes */
    size_t bytes;          /* of one image, border included */
    size_t origin;         /* bytes from an image's beginning to its pixel (0,0) */
    size_t offset;         /* in the shared arena, or in a worker's */
    size_t images;         /* that there is room for */
    int is_local, padding; /* padding: the border's value, a code (f32: 0) */
};

/* Steps [begin, end), for at most `chunk` images at once. */
struct segment {
    int begin, end, chunk;
};

/* The packed weights that one worker reads of all steps, in order, where all work on each step together. */
struct reads {
    struct ahead_range *ranges; /* owned */
    size_t *before;             /* [ranges]: bytes of those before it; owned */
    int *first;                 /* [steps + 1]: ranges of the steps before it; owned */
};

struct device_exec; /* device_exec.h */

struct exec {
    const struct model *model;
    const struct kernel_table *kernels;
    struct threads *pool;
    const char *device;
    int batch, keep, profiling;
    int is_bf16; /* values between layers are bf16, but for the last node's */
    enum conv_choice choice;
    struct step *steps;
    int step_count;
    struct segment *segments;
    int segment_count;
    struct value *values;   /* one a node */
    unsigned char *arena;   /* shared values, then each worker's; owned, and the two below behind it */
    unsigned char *scratch; /* one a worker */
    unsigned char *weights; /* packed, of all steps in their order */
    struct reads *reads;    /* [workers]; owned */
    size_t ahead_distance;  /* bytes of weights that may wait in the second-level cache */
    size_t shared_bytes, local_bytes, arena_bytes, scratch_stride;
    double *seconds;   /* [workers][steps] */
    atomic_int *taken; /* of each segment's chunks, while a call runs */
    double macs;
    int integer_layers, float_layers; /* convolutions and linears */
    struct device_exec *on_device;    /* NULL: all of this is the CPU's */
};

/* What a worker computes of one step: images [image, image + count) of the call, part `part` of `parts`. The values
 * that are local lie in worker `owner`'s arena, image `first` of the call being their first. */
struct span {
    const uint8_t *images; /* of the call */
    int image, count, first;
    int part, parts;
    int owner;
    void *scratch;
    struct ahead *ahead; /* what is to be read by later steps, or NULL */
};

/* exec_plan.c: steps; nothing is packed yet. */
int plan_steps(struct exec *e, struct message *m) RESQ_USE_RESULT;
/* exec_buffers.c: segments, layouts, and where values lie. */
int plan_buffers(struct exec *e, struct message *m) RESQ_USE_RESULT;
size_t second_level_cache(void);         /* bytes */
void plan_borders(const struct exec *e); /* once the arena is there */
/* exec_constants.c: packed weights, tables, requantization constants. */
int step_prepare(struct exec *e, struct step *s, struct message *m) RESQ_USE_RESULT;
void step_release(struct step *s);
/* exec_weights.c: the memory of a plan, and in it the weights of all steps, packed by all threads. */
int weights_open(struct exec *e, struct message *m) RESQ_USE_RESULT;
void weights_close(struct exec *e);
/* Before a step: what worker `worker` may bring while it computes it. All zero before the first. */
void weights_ahead(const struct exec *e, int worker, int step, struct ahead *ahead);
/* exec_conv.c: which algorithm computes which outputs, and in how many bytes; the weights packed for it, into as
 * many, aligned to 64. weight: OIHW, f32 or s8. */
int conv_parts_choose(const struct exec *e, const struct step *s, enum conv_choice choice, const void *weight,
                      struct conv_parts *parts, struct message *m) RESQ_USE_RESULT;
void conv_parts_pack(const struct exec *e, const struct step *s, const void *weight, struct conv_parts *parts,
                     void *to);
void conv_parts_free(struct conv_parts *parts);
size_t conv_parts_bytes(const struct conv_parts *parts);
size_t conv_scratch(const struct exec *e, const struct step *s);
void conv_run(const struct exec *e, const struct step *s, const struct conv_parts *parts, const struct span *at);
/* The packed weights of part i that conv_run reads. */
struct ahead_range conv_reads(const struct exec *e, const struct step *s, int i, const struct span *at);
/* exec_steps.c */
void step_run(const struct exec *e, const struct step *s, const struct span *at);
size_t step_scratch(const struct exec *e, const struct step *s); /* of a step that is no convolution */

/* Pixel (0,0) of image i of the call. */
static inline void *exec_value(const struct exec *e, int node, const struct span *at, int i)
{
    const struct value *v = &e->values[node];
    size_t base = v->offset, index = (size_t)i;
    if (v->is_local) {
        base += e->shared_bytes + (size_t)at->owner * e->local_bytes;
        index = (size_t)(i - at->first);
    }
    return e->arena + base + v->origin + index * v->at.image * v->element;
}

static inline int step_is_conv(const struct step *s)
{
    return s->kind == STEP_CONV_F32 || s->kind == STEP_CONV_BF16 || s->kind == STEP_CONV_U8 ||
           s->kind == STEP_LINEAR_U8;
}

#endif
