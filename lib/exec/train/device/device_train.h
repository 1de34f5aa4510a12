/* device_train.h: training on a device. Private to lib/exec/train/device.
 *
 * Parameters, their gradients, velocity and averages are flat buffers on
 * the device as on the host, but for the order within a convolution's weights ([K][R][R][C]). Values and gradients
 * of activations share one arena, planned for the largest mini-batch; each size of mini-batch that comes (the last
 * of an epoch is smaller) has a program of its own: plans, and the captured step. */
#ifndef RESQ_EXEC_TRAIN_DEVICE_DEVICE_TRAIN_H
#define RESQ_EXEC_TRAIN_DEVICE_DEVICE_TRAIN_H

#include "exec/device/constants.h"
#include "exec/device/pipe.h"
#include "exec/train/gradient_engine.h"

enum { MOST_PROGRAMS = 8, MOST_SKIPPED_IN_A_ROW = 100 };

struct device_program_step {
    struct device_plan *plan;    /* convolution of floats, or batch norm; the context's */
    struct device_plan *integer; /* quantized: forward */
    size_t reserve;              /* batch norm: in the program's */
};

struct device_program {
    int count; /* images; 0: none yet */
    struct device_program_step *steps;
    void *workspace, *reserve;
    size_t workspace_bytes, reserve_bytes;
    int has_run;                /* once, so that what libraries do at first is not captured */
    struct device_graph *graph; /* NULL: not captured */
};

/* Offsets into the layers' block. */
struct device_layer {
    size_t saved_mean, saved_inv_std;                                    /* batch norm */
    size_t codes, code_scale, code_bias, multiplier, requantize, packed; /* quantized */
};

/* Steps always have as many labels as there can be, so that one captured piece serves all: those too many have no
 * share, and so no part in anything. */
enum { DEVICE_MORE_LABELS = TARGETS_MOST - 1 };

/* What comes in with a step, in this order, and what goes out. */
struct device_intake {
    size_t labels, labels2, share, pixels, bytes; /* scalars lie at 0 */
};
struct device_outcome {
    struct device_report report;
    struct device_scale scale;
};

struct device_training {
    struct device_context *context;
    enum device_type type;
    void *arena, *layers, *constants, *intake, *outcome;
    size_t arena_bytes, layer_bytes;
    struct device_layer *layer;                              /* one a step */
    size_t spare, spare_other, dequantized, weights, logits; /* in the arena */
    size_t flags, sources, maps, table;                      /* in the constants */
    struct device_intake at;
    /* flat, on the device */
    float *parameters, *gradients, *state, *velocity, *average; /* average: [parameters, then state] or NULL */
    void *copy;                                                 /* of the parameters in 16 bits; NULL for f32 */
    float *flat;                                                /* page-locked, for one flat buffer on its way */
    struct gradient_rule rule;
    int has_rule;
    struct gradient_scale scale;
    int is_scaled; /* the loss is: fp16 */
    struct device_pipe pipe;
    int64_t begun;               /* steps */
    int64_t in_slot[PIPE_SLOTS]; /* which one's outcome is to arrive there; 0: none's */
    struct device_program programs[MOST_PROGRAMS];
    struct device_program *program; /* of the last forward */
    struct device_event **events;   /* DEVICE_EVENTS a step, while profiled */
};

enum device_mark {
    MARK_FORWARD,
    MARK_FORWARD_END,
    MARK_BACKWARD,
    MARK_WEIGHT_END,
    MARK_BACKWARD_END,
    DEVICE_EVENTS
};

static inline struct device_training *device_of(const struct gradient *g)
{
    return g->own;
}

/* plan.c: where everything lies; device_training_release also what a failed one left. */
int device_training_plan(struct gradient *g, struct message *m) RESQ_USE_RESULT;
void device_training_release(struct gradient *g);
/* program.c */
int device_program_get(struct gradient *g, int count, struct device_program **p, struct message *m) RESQ_USE_RESULT;
void device_program_close(struct gradient *g, struct device_program *p);
/* flat.c: flat buffers in and out. The device's may be NULL: nothing is done. */
int device_flat_in(struct gradient *g, const float *from, float *to, struct message *m) RESQ_USE_RESULT;
int device_flat_out(struct gradient *g, const float *from, float *to, struct message *m) RESQ_USE_RESULT;
int device_state_in(struct gradient *g, const float *from, float *to, struct message *m) RESQ_USE_RESULT;
/* But for the counters, which the host keeps: a number a batch norm, which floats hold exactly. */
int device_state_out(struct gradient *g, const float *from, float *to, struct message *m) RESQ_USE_RESULT;
void device_count_batch(struct gradient *g);
int device_copy_parameters(struct gradient *g, struct message *m) RESQ_USE_RESULT; /* -> 16 bits */
/* steps.c: queue all of a pass. */
int device_queue_forward(struct gradient *g, struct device_program *p, struct message *m) RESQ_USE_RESULT;
int device_queue_backward(struct gradient *g, struct device_program *p, struct message *m) RESQ_USE_RESULT;
/* calls.c: gradient_forward and gradient_backward. */
int device_forward(struct gradient *g, const uint8_t *images, int count, float *logits,
                   struct message *m) RESQ_USE_RESULT;
int device_backward(struct gradient *g, const float *dlogits, struct message *m) RESQ_USE_RESULT;
/* whole_steps.c */
extern const struct gradient_whole_steps device_whole_steps;

/* ---- an op: one file, and one line in steps.c ---- */

/* Where its operations go. */
struct device_place {
    struct gradient *g;
    struct device_program *p;
    const struct device_backend *b;
    struct device *d;
};

/* Each queues step i. */
typedef int device_work(const struct device_place *at, int i, struct message *m);
struct device_op {
    device_work *forward, *forward_codes; /* in float and in quantized mode; NULL: there is none */
    device_work *backward;                /* NULL: it has none */
};

extern const struct device_op device_normalize, device_conv_op, device_norm_op, device_relu, device_add,
    device_pool;

/* ---- pass.c: how gradients are handed on ---- */

/* The clamp of the output, in place: a relu, or the codes' range and the learned scale. */
int device_mask(const struct device_place *at, int i, struct message *m) RESQ_USE_RESULT;
/* Gives `from` to an operand: its first user writes, the others add. operand: -1 where there is none. */
int device_pass_on(const struct device_place *at, int operand, int accumulate, const void *from,
                   struct message *m) RESQ_USE_RESULT;
/* Where a gradient by x is to be written: its own place, or a spare one, which device_x_done then adds. */
void *device_x_target(const struct device_place *at, int i);
int device_x_done(const struct device_place *at, int i, struct message *m) RESQ_USE_RESULT;
/* And a step's moving range, where it has one; from the values before rounding. */
int device_range_update(const struct device_place *at, int i, struct message *m) RESQ_USE_RESULT;

/* ---- where things lie ---- */

static inline void *device_slot_value(const struct gradient *g, int node)
{
    const struct device_training *t = device_of(g);
    if (node < 0)
        return NULL;
    return node == 0 ? device_at(t->intake, t->at.pixels) : device_at(t->arena, g->values[node].value);
}

static inline void *device_slot_before(const struct gradient *g, int node)
{
    return device_at(device_of(g)->arena, g->values[node].before);
}

static inline void *device_slot_gradient(const struct gradient *g, int node)
{
    return device_at(device_of(g)->arena, g->values[node].gradient);
}

static inline size_t device_slot_rows(const struct gradient *g, const struct device_program *p, int node)
{
    const struct node *n = gradient_node(g, node);
    return (size_t)p->count * (size_t)n->h * (size_t)n->w;
}

static inline size_t device_slot_count(const struct gradient *g, const struct device_program *p, int node)
{
    return (size_t)p->count * g->values[node].elements;
}

static inline void *device_layer_at(const struct gradient *g, size_t offset)
{
    return device_at(device_of(g)->layers, offset);
}

static inline struct affine *device_map_of(const struct gradient *g, int node)
{
    return (struct affine *)device_at(device_of(g)->constants, device_of(g)->maps) + node;
}

/* A convolution's or linear layer's weights, as they are multiplied. */
static inline const void *device_weights(const struct gradient *g, int i)
{
    const struct device_training *t = device_of(g);
    size_t offset = g->train[i].weight;
    return t->copy ? device_at(t->copy, offset * device_type_bytes(t->type))
                   : (const void *)(t->parameters + offset);
}

static inline int device_is_linear(const struct gradient *g, int i)
{
    return gradient_node(g, g->steps.at[i].node)->op == OP_LINEAR;
}

static inline struct device_outcome *device_outcome_of(const struct gradient *g)
{
    return device_of(g)->outcome;
}

/* NULL where the loss is not scaled. */
static inline struct device_scale *device_scale_of(const struct gradient *g)
{
    return device_of(g)->is_scaled
               ? (struct device_scale *)device_at(device_of(g)->outcome, offsetof(struct device_outcome, scale))
               : NULL;
}

static inline int device_mark(const struct gradient *g, int i, enum device_mark mark, struct message *m)
{
    const struct device_training *t = device_of(g);
    if (!g->profiling)
        return 0;
    return t->context->backend->event_record(t->context->device, t->events[i * DEVICE_EVENTS + (int)mark],
                                             QUEUE_COMPUTE, m);
}

#endif
