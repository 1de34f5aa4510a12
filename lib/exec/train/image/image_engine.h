/* image_engine.h: training on a CPU, image by image: works for every network. Private to lib/exec/train/image, and to
 * lib/exec/train/block, whose engine is this one with some steps computed otherwise.
 *
 * Values are dense, [images][elements] without padding, as the weight gradient reads them; codes are one byte an
 * element, each image on a multiple of 64 bytes. */
#ifndef RESQ_EXEC_TRAIN_IMAGE_IMAGE_ENGINE_H
#define RESQ_EXEC_TRAIN_IMAGE_IMAGE_ENGINE_H

#include "base/threads.h"
#include "exec/train/gradient_engine.h"
#include "kernel/contract/arithmetic.h"

/* What a step needs besides. Pointers are owned. */
struct image_step {
    int forward, backward; /* 0: another engine computes this pass of it */
    int rows, items;       /* convolution: output rows of an item, items an image; others: one item an image */
    int norm_before, norm_behind;   /* convolution: the step before gives its x, the one behind is of its output */
    void *packed, *packed_backward; /* weights of a convolution */
    float *saved;                   /* batch norm: SAVED_ROWS rows of [C] */
    /* quantized: weights [K,C,R,R] as codes, and their constants, all [K] */
    int8_t *codes;
    float *code_scale, *multiplier;
    int32_t *code_bias;
    struct requantize requantize;
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

struct image_engine {
    struct threads *pool;
    int links; /* norm_before and norm_behind may be used */
    struct image_step *steps;
    unsigned char *arena, *scratch; /* scratch: one a worker */
    size_t arena_bytes, scratch_stride;
    double *partials; /* two rows of [channels] an image */
    size_t partial_stride;
    /* quantized: */
    size_t dequantized; /* in the arena: operands of the step in backward, or of a last step in floats, as floats */
    float *real_weights; /* the weights that forward computed with, scale times code; laid out as the parameters */
    uint8_t *table;      /* the input's, [C][256] */
    float *table_values; /* room for making it, [256][C] */
};

/* Also where the block engine runs, which begins with one. */
static inline struct image_engine *image_of(const struct gradient *g)
{
    return g->own;
}

/* ---- an op: one file, and one line in steps.c ---- */

struct image_op {
    void (*forward)(struct gradient *g, int i);       /* of all images */
    void (*forward_codes)(struct gradient *g, int i); /* the same in quantized mode; NULL: there is none */
    /* The gradient of the step's output becomes those of its operands and parameters; NULL: it has none. */
    void (*backward)(struct gradient *g, int i);
};

/* Calls item 0..items-1 of step i, in any order, by all threads. worker: for worker_scratch. */
typedef void image_item(struct gradient *g, int i, int item, int worker);
void image_each(struct gradient *g, int i, image_item *call, int items);

/* ---- linked.c: a convolution and the batch norms around it, image by image ---- */

/* Between two sums over the mini-batch an image's passes follow each other while its maps are still in the cache, not
 * a pass over all images after the other. Forward, a convolution's images are normalized on their way in and summed on
 * their way out; backward, the other way around. Results are the same. */
void image_links_plan(struct gradient *g);
/* Whether step i, of this engine, runs so in this mini-batch: not while layers are timed one by one. */
int image_links_before(const struct gradient *g, int i);
int image_links_behind(const struct gradient *g, int i);
/* The batch norm's passes over one image, by the convolution or by itself. */
image_item image_norm_sums, image_norm_apply, image_norm_backward_sums, image_norm_backward_data;

extern const struct image_op image_normalize, image_conv, image_norm, image_relu, image_clip, image_add,
    image_concat, image_pool, image_window, image_max, image_flatten;

/* steps.c: one step, forward or backward; keeps the profile of backward. */
void image_step_forward(struct gradient *g, int i);
void image_step_backward(struct gradient *g, int i);

/* ---- engine.c ---- */

/* All steps are this engine's at first. */
int image_begin(struct gradient *g, struct message *m) RESQ_USE_RESULT;
/* After arena_bytes is known and steps were given away: memory. scratch_bytes: a worker's, at least. */
int image_prepare(struct gradient *g, size_t scratch_bytes, struct message *m) RESQ_USE_RESULT;
void image_release(struct gradient *g);

/* How an engine of the CPU goes through a mini-batch: weights first, then step by step. */
struct image_passes {
    void (*pack_forward)(struct gradient *g, int count);
    void (*step_forward)(struct gradient *g, int i);
    void (*pack_backward)(struct gradient *g);
    void (*step_backward)(struct gradient *g, int i);
};
int image_forward_by(const struct image_passes *by, struct gradient *g, const uint8_t *images, int count,
                     float *logits, struct message *m) RESQ_USE_RESULT;
int image_backward_by(const struct image_passes *by, struct gradient *g, const float *dlogits);

int image_threads(const struct gradient *g);
struct threads *image_workers(const struct gradient *g);
const char *image_device(const struct gradient *g);
const char *image_isa(const struct gradient *g);
size_t image_arena_bytes(const struct gradient *g);
size_t image_held_bytes(const struct gradient *g);

/* ---- pack.c: weights in the form that kernels take, made anew from the parameters before each pass ---- */

int image_pack_prepare(struct gradient *g, struct message *m) RESQ_USE_RESULT;
void image_pack_release(struct image_step *s);
size_t image_packed_bytes(const struct gradient *g, int i);
void image_pack_forward(struct gradient *g, int count); /* packs or quantizes, all layers in parallel */
void image_pack_backward(struct gradient *g);

/* ---- codes.c: quantized mode's own ---- */

/* All maps from parameters and state as they now are (scales that fell to nothing are raised in place), and the
 * input's table. */
int codes_begin_forward(struct gradient *g, struct message *m) RESQ_USE_RESULT;
/* After the output's values before rounding are there: moves its range, where it has one. */
void codes_update_range(struct gradient *g, int i);
/* Which values before rounding pass the clamp of step i, and d q / d scale at each. */
struct slope codes_slope(const struct gradient *g, int i);
/* dy of one image is masked in place: straight-through; the learned scale's part goes to the image's partials. */
void codes_mask_item(struct gradient *g, int i, int image);
/* From those partials, where the step has a learned scale; from a sum over the whole mini-batch. */
void codes_scale_gradient(struct gradient *g, int i);
void codes_set_scale_gradient(struct gradient *g, int i, double sum);
/* One image of a step's x as floats. */
void codes_dequantize_item(struct gradient *g, int i, int image);
/* All operands of a step whose result is floats, the logits, as floats. */
void codes_dequantize_operands(struct gradient *g, int i);

/* ---- pass.c: how gradients are handed on ---- */

/* The clip behind a step of floats, where it has one, on some of its values, in place. */
void image_clip_values(const struct gradient *g, int i, float *y, size_t count);
/* The clamp of the output's gradient of one image, in place: a relu, a clip, or the codes' range. */
void image_mask_item(struct gradient *g, int i, int image);
/* What of a relu's or clip's output on its input's codes passes: dx = code of x within the clamp ? dy : 0. */
void codes_clamp_backward(const struct gradient *g, int i, int image, float *dx);
/* Gives `from` to an operand: its first user writes, the others add. operand: -1 where there is none. */
void image_pass_on(const struct gradient *g, int operand, int accumulate, int image, const float *from);
/* Where x's gradient may be written: itself, or scratch that image_x_done then adds. */
float *image_x_target(const struct gradient *g, int i, int image, void *scratch);
void image_x_done(const struct gradient *g, int i, int image, const void *scratch);

/* ---- where things lie ---- */

static inline void *worker_scratch(const struct gradient *g, int worker)
{
    return image_of(g)->scratch + (size_t)worker * image_of(g)->scratch_stride;
}

/* Of one image: two rows of [channels]. */
static inline double *image_partials(const struct gradient *g, int image)
{
    return image_of(g)->partials + (size_t)image * image_of(g)->partial_stride;
}

/* Those of the own images, a part each. */
static inline struct parts image_parts(const struct gradient *g)
{
    return (struct parts){image_of(g)->partials, image_of(g)->partial_stride, g->count, SHARD_IMAGES};
}

/* Their sums over the whole mini-batch: reduce_sums. */
static inline const double *image_sums(struct gradient *g, int values)
{
    const struct parts parts = image_parts(g);
    return reduce_sums(&g->reduce, &parts, values);
}

/* Image i's part of a buffer. */
static inline float *value_f32(const struct gradient *g, int node, int image)
{
    return (float *)(void *)(image_of(g)->arena + g->values[node].value) + (size_t)image * g->values[node].elements;
}

static inline uint8_t *value_u8(const struct gradient *g, int node, int image)
{
    return image_of(g)->arena + g->values[node].value + (size_t)image * round_up_64(g->values[node].elements);
}

static inline float *value_before(const struct gradient *g, int node, int image)
{
    return (float *)(void *)(image_of(g)->arena + g->values[node].before) +
           (size_t)image * g->values[node].elements;
}

static inline float *value_gradient(const struct gradient *g, int node, int image)
{
    return (float *)(void *)(image_of(g)->arena + g->values[node].gradient) +
           (size_t)image * g->values[node].elements;
}

static inline float *value_dequantized(const struct gradient *g, int node, int image)
{
    return (float *)(void *)(image_of(g)->arena + image_of(g)->dequantized) +
           (size_t)image * g->values[node].elements;
}

/* Operand k of step i as floats: in quantized mode of a last step, where operands lie one behind the other. */
static inline float *operand_f32(const struct gradient *g, int i, int k, int image)
{
    const struct step *s = &g->steps.at[i];
    size_t before = 0;
    if (!gradient_quantized(g))
        return value_f32(g, step_operand(s, k), image);
    for (int j = 0; j < k; j++)
        before += step_operand(s, j) >= 0 ? g->values[step_operand(s, j)].elements : 0;
    return value_dequantized(g, step_operand(s, k), image) + before * (size_t)g->options.batch;
}

static inline int image_pixels(const struct gradient *g, int node)
{
    return gradient_node(g, node)->h * gradient_node(g, node)->w;
}

static inline float *saved_row(const struct image_step *s, enum saved_row row, int channels)
{
    return s->saved + (size_t)row * (round_up_64((size_t)channels * sizeof(float)) / sizeof(float));
}

#endif
