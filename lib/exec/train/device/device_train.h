/* device_train.h: training steps on a device. Private to gradient*.c and device_*.c.
 *
 * The steps are those of gradient_plan.h. Parameters, their gradients, velocity and averages are flat buffers on
 * the device as on the host, but for the order within a convolution's weights ([K][R][R][C]). Values and gradients
 * of activations share one arena, planned for the largest mini-batch; each size of mini-batch that comes (the last
 * of an epoch is smaller) has a program of its own: plans, and the captured step. */
#ifndef RESQ_EXEC_TRAIN_DEVICE_DEVICE_TRAIN_H
#define RESQ_EXEC_TRAIN_DEVICE_DEVICE_TRAIN_H

#include "exec/device/device_constants.h"
#include "exec/train/gradient_plan.h"

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

/* Where a node's value and its gradient lie, in the arena. before: quantized, before rounding. */
struct device_slot {
    size_t value, before, gradient;
};

/* What comes in with a step, in this order, and what goes out. */
struct device_intake {
    size_t labels, pixels, bytes; /* scalars lie at 0 */
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
    struct device_slot *slots;                               /* one a node */
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

/* device_train_open.c: after steps and slices were planned. */
int device_training_open(struct gradient *g, struct message *m) RESQ_USE_RESULT;
void device_training_close(struct gradient *g);
size_t device_training_bytes(const struct gradient *g);
/* device_train_describe.c */
const char *device_training_precision(const struct gradient *g);
double device_training_peak(const struct gradient *g); /* 0 where it cannot be measured */
int device_profile_begin(struct gradient *g);          /* makes the events, where there are none yet */
/* device_train_program.c */
int device_program_get(struct gradient *g, int count, struct device_program **p, struct message *m) RESQ_USE_RESULT;
void device_program_close(struct gradient *g, struct device_program *p);
/* device_train_flat.c: flat buffers in and out. The device's may be NULL: nothing is done. */
int device_flat_in(struct gradient *g, const float *from, float *to, struct message *m) RESQ_USE_RESULT;
int device_flat_out(struct gradient *g, const float *from, float *to, struct message *m) RESQ_USE_RESULT;
int device_state_in(struct gradient *g, const float *from, float *to, struct message *m) RESQ_USE_RESULT;
/* But for the counters, which the host keeps. */
int device_state_out(struct gradient *g, const float *from, float *to, struct message *m) RESQ_USE_RESULT;
int device_copy_parameters(struct gradient *g, struct message *m) RESQ_USE_RESULT; /* -> 16 bits */
/* device_train_forward.c, device_train_backward.c, device_train_step.c: queue. */
int device_queue_forward(struct gradient *g, struct device_program *p, struct message *m) RESQ_USE_RESULT;
int device_queue_backward(struct gradient *g, struct device_program *p, struct message *m) RESQ_USE_RESULT;
int device_queue_step(struct gradient *g, struct device_program *p, struct message *m) RESQ_USE_RESULT;
/* device_train_calls.c: gradient_forward and gradient_backward. */
int device_forward(struct gradient *g, const uint8_t *images, int count, float *logits,
                   struct message *m) RESQ_USE_RESULT;
int device_backward(struct gradient *g, const float *dlogits, struct message *m) RESQ_USE_RESULT;

/* ---- where things lie ---- */

static inline const struct node *device_node(const struct gradient *g, int i)
{
    return &g->graph.nodes[i];
}

static inline int device_is_last(const struct gradient *g, int node)
{
    return node == g->graph.count - 1;
}

static inline void *device_slot_value(const struct gradient *g, int node)
{
    const struct device_training *t = g->on_device;
    if (node < 0)
        return NULL;
    return node == 0 ? device_at(t->intake, t->at.pixels) : device_at(t->arena, t->slots[node].value);
}

static inline void *device_slot_before(const struct gradient *g, int node)
{
    return device_at(g->on_device->arena, g->on_device->slots[node].before);
}

static inline void *device_slot_gradient(const struct gradient *g, int node)
{
    return device_at(g->on_device->arena, g->on_device->slots[node].gradient);
}

static inline size_t device_slot_rows(const struct gradient *g, const struct device_program *p, int node)
{
    const struct node *n = device_node(g, node);
    return (size_t)p->count * (size_t)n->h * (size_t)n->w;
}

static inline size_t device_slot_count(const struct gradient *g, const struct device_program *p, int node)
{
    return (size_t)p->count * g->values[node].elements;
}

static inline void *device_layer_at(const struct gradient *g, size_t offset)
{
    return device_at(g->on_device->layers, offset);
}

static inline struct device_map *device_map_of(const struct gradient *g, int node)
{
    return (struct device_map *)device_at(g->on_device->constants, g->on_device->maps) + node;
}

/* A convolution's or linear layer's weights, as they are multiplied. */
static inline const void *device_weights(const struct gradient *g, const struct train_step *s)
{
    const struct device_training *t = g->on_device;
    return t->copy ? device_at(t->copy, s->weight * device_type_bytes(t->type))
                   : (const void *)(t->parameters + s->weight);
}

static inline int device_step_is_linear(const struct gradient *g, const struct train_step *s)
{
    return s->kind == TRAIN_CONV && device_node(g, s->node)->op == OP_LINEAR;
}

static inline struct device_outcome *device_outcome_of(const struct gradient *g)
{
    return g->on_device->outcome;
}

/* NULL where the loss is not scaled. */
static inline struct device_scale *device_scale_of(const struct gradient *g)
{
    return g->on_device->is_scaled
               ? (struct device_scale *)device_at(g->on_device->outcome, offsetof(struct device_outcome, scale))
               : NULL;
}

static inline int device_mark(const struct gradient *g, const struct train_step *s, enum device_mark mark,
                              struct message *m)
{
    const struct device_training *t = g->on_device;
    if (!g->profiling)
        return 0;
    return t->context->backend->event_record(t->context->device, t->events[(s - g->steps) * DEVICE_EVENTS + mark],
                                             QUEUE_COMPUTE, m);
}

#endif
