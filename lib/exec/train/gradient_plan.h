/* gradient_plan.h: a graph made into training steps. Private to gradient*.c.
 *
 * Forward step i runs at time i, its backward at time 2 * steps - 1 - i; every buffer lives between two times, and
 * all share one arena. Values are dense ([N, elements] without padding), as the weight gradient reads them.
 *
 * Quantized mode keeps two buffers for a value: its codes, and `before`, the value before rounding in units of a
 * code. */
#ifndef RESQ_EXEC_TRAIN_GRADIENT_PLAN_H
#define RESQ_EXEC_TRAIN_GRADIENT_PLAN_H

#include "base/progress.h"
#include "base/threads.h"
#include "exec/train/gradient.h"
#include "exec/plan/layout.h"
#include "kernel/contract/arithmetic.h"

enum train_kind {
    TRAIN_NORMALIZE, /* quantized: the input table */
    TRAIN_CONV,      /* convolution or linear, [+ residual] [relu] */
    TRAIN_NORM,      /* batch norm [+ other] [relu] */
    TRAIN_RELU,
    TRAIN_ADD,
    TRAIN_POOL
};

enum train_pass { PASS_FORWARD, PASS_DATA, PASS_WEIGHT, PASS_COUNT };

#define NO_OFFSET SIZE_MAX /* no such parameter, state or buffer */

struct train_step {
    enum train_kind kind;
    int node, output; /* named after; the node whose value it makes */
    int x, other;     /* nodes read; -1 */
    int relu;
    int accumulate_x, accumulate_other; /* backward: add to the operand's gradient, which another user began */
    struct conv_shape shape;
    int rows, blocks;
    size_t weight, bias;            /* in parameters: weights, or gamma and beta */
    size_t mean, variance, tracked; /* in state: running statistics */
    size_t scale;                   /* in parameters: the learned scale of the output */
    size_t low, high;               /* in state: the moving range of the output */
    void *packed, *packed_backward; /* owned, as all below */
    float *saved;                   /* batch norm: six rows of [C], see enum */
    int8_t *codes;                  /* quantized weights, and their constants: */
    float *code_scale, *multiplier;
    int32_t *code_bias;
    struct requantize requantize;
    double seconds[PASS_COUNT]; /* since profiling began */
};

enum saved_row {
    SAVED_MEAN,
    SAVED_INV_STD,
    SAVED_SCALE,
    SAVED_SHIFT,
    SAVED_MEAN_DY,
    SAVED_MEAN_DY_XHAT,
    SAVED_ROWS
};

struct train_value {
    size_t elements;      /* of one image */
    int wants_gradient;   /* a parameter stands before it */
    size_t value, before; /* in the arena */
    size_t gradient;
    struct affine map, given; /* quantized: as it now is; as it was given */
};

struct device_training;

struct gradient {
    struct graph graph;
    struct gradient_options options; /* activations: not kept */
    const struct kernel_table *kernels;
    struct threads *pool;
    struct train_step *steps;
    int step_count;
    struct train_value *values; /* one a node */
    struct slice *slices, *state_slices;
    int slice_count, state_slice_count;
    float *parameters, *gradients, *state;
    size_t parameter_count, state_count;
    unsigned char *arena, *scratch;
    size_t arena_bytes, scratch_stride;
    size_t dequantized;    /* quantized: the x of the step in backward as floats, in the arena */
    double *partials;      /* two rows of [channels] an image */
    size_t partial_stride; /* doubles an image */
    uint8_t *table;        /* quantized: the input's, [C][256] */
    float *table_values;
    int count; /* images of the last forward; 0: none yet */
    int bf16;  /* 16-bit products, where the block engine runs */
    int profiling;
    struct block_engine *block;        /* NULL: image by image */
    struct device_training *on_device; /* device_train.h; NULL: all of this is the CPU's */
};

static inline double profile_begin(const struct gradient *g)
{
    return g->profiling ? clock_seconds() : 0;
}

static inline void profile_end(struct gradient *g, int step, enum train_pass pass, double start)
{
    if (g->profiling)
        g->steps[step].seconds[pass] += clock_seconds() - start;
}

/* gradient_plan.c */
int gradient_plan_steps(struct gradient *g, struct message *m) RESQ_USE_RESULT;
int gradient_plan_buffers(struct gradient *g, struct message *m) RESQ_USE_RESULT;
/* gradient_slices.c: the flat buffers, filled from the model. */
int gradient_plan_slices(struct gradient *g, const struct model *model, struct message *m) RESQ_USE_RESULT;
/* gradient_pack.c: packs or quantizes the weights of all steps, from the parameters as they now are. */
int gradient_prepare_steps(struct gradient *g, struct message *m) RESQ_USE_RESULT;
void gradient_release_step(struct train_step *s);
void gradient_pack_forward(struct gradient *g);
void gradient_pack_backward(struct gradient *g);
/* gradient_qat.c: what only quantized mode does. */
/* The output map of a step: as given, by its learned scale, or by its moving range. */
int qat_map(const struct gradient *g, const float *parameters, const struct train_step *s, struct affine *map,
            struct message *m) RESQ_USE_RESULT;
/* All maps from parameters and state as they now are (scales that fell to nothing are raised in place), and the
 * input's table. */
int qat_begin_forward(struct gradient *g, struct message *m) RESQ_USE_RESULT;
void qat_constants(struct gradient *g,
                   struct train_step *s); /* multipliers and clamps, after weights were quantized */
void qat_forward_item(struct gradient *g, const struct train_step *s, int image, int block, void *scratch);
void qat_update_range(struct gradient *g, const struct train_step *s);
/* dy of one image is masked in place: straight-through; the learned scale's part goes to the image's partials. */
void qat_mask_item(struct gradient *g, const struct train_step *s, int image);
void qat_scale_gradient(struct gradient *g, const struct train_step *s);
/* The same from a sum over the whole mini-batch. */
void qat_set_scale_gradient(struct gradient *g, const struct train_step *s, double sum);
/* Which values before rounding pass the clamp, and d q / d scale at each. */
struct slope qat_slope_of(const struct gradient *g, const struct train_step *s);
void qat_dequantize_item(struct gradient *g, const struct train_step *s, int image);

static inline int gradient_quantized(const struct gradient *g)
{
    return g->options.quantized != 0;
}

static inline void *worker_scratch(const struct gradient *g, int worker)
{
    return g->scratch + (size_t)worker * g->scratch_stride;
}

/* Image i's part of a buffer. Codes are one byte an element, the rest four. */
static inline float *value_f32(const struct gradient *g, int node, int image)
{
    return (float *)(void *)(g->arena + g->values[node].value) + (size_t)image * g->values[node].elements;
}

static inline uint8_t *value_u8(const struct gradient *g, int node, int image)
{
    return g->arena + g->values[node].value + (size_t)image * round_up_64(g->values[node].elements);
}

static inline float *value_before(const struct gradient *g, int node, int image)
{
    return (float *)(void *)(g->arena + g->values[node].before) + (size_t)image * g->values[node].elements;
}

static inline float *value_gradient(const struct gradient *g, int node, int image)
{
    return (float *)(void *)(g->arena + g->values[node].gradient) + (size_t)image * g->values[node].elements;
}

static inline float *value_dequantized(const struct gradient *g, int node, int image)
{
    return (float *)(void *)(g->arena + g->dequantized) + (size_t)image * g->values[node].elements;
}

static inline float *saved_row(const struct train_step *s, enum saved_row row, int channels)
{
    return s->saved + (size_t)row * (round_up_64((size_t)channels * sizeof(float)) / sizeof(float));
}

#endif
