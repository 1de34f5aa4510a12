/* device_train.h: training on a device. Private to lib/exec/train/device.
 *
 * Parameters, their gradients, velocity and averages are flat buffers on
 * the device as on the host, but for the order within a convolution's weights ([K][R][R][C]). Values and gradients
 * of activations share one arena, planned for the largest mini-batch; each size of mini-batch that comes (the last
 * of an epoch is smaller) has a program of its own, its plans, and a captured step.
 *
 * In shards (gradient.h) a program is a shard's, and every operation is queued once a shard (device_place): values,
 * their gradients and logits of each shard are a block of their own, one after the other. Gradients by parameters go
 * into rows of the tree's partial sums, flat like `gradients` itself; what travels between ranks is in shared.c. */
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
};

/* A step of a mini-batch of so many images. */
struct device_capture {
    int images;                 /* 0: none yet */
    int has_run;                /* once, so that what libraries do at first is not captured */
    struct device_graph *graph; /* NULL: not captured */
};

/* Offsets into the layers' block. */
struct device_layer {
    size_t saved_mean, saved_inv_std, scale, shift;                      /* batch norm */
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
    struct device_report report; /* in shards bad_map alone */
    struct device_scale scale;
    struct device_report shards[]; /* in shards: one each, [shards] */
};

/* What shards give, and the sums of it; in shards alone. */
struct device_shared {
    size_t row_bytes;   /* room of a row */
    void *rows, *total; /* a row each shard of the mini-batch, all ranks'; their sum */
    float *sums;        /* [own subtrees but the first][parameters]: the first one's sum is in `gradients` */
    float *partial;     /* [..][parameters]: partial sums of a subtree, but the first */
    /* several ranks */
    float *slices;             /* [subtrees][slice] */
    size_t slice;              /* floats */
    void *host_own, *host_all; /* page-locked, for what goes through the host */
    size_t *table;             /* [4][ranks] */
};

struct device_training {
    struct device_context *context;
    enum device_type type;
    int shard;  /* images at a time, at most */
    int shards; /* own ones of the largest mini-batch, at most: 1 where it is taken whole */
    void *arena, *layers, *constants, *intake, *outcome;
    size_t arena_bytes, layer_bytes;
    struct device_layer *layer;                              /* one a step */
    size_t spare, spare_other, dequantized, weights, logits; /* in the arena */
    size_t spare_bytes;                                      /* of a shard's spare_other */
    size_t flags, sources, maps, table;                      /* in the constants */
    struct device_intake at;
    /* flat, on the device */
    float *parameters, *gradients, *state, *velocity, *average; /* average: [parameters, then state] or NULL */
    void *copy;                                                 /* of the parameters in 16 bits; NULL for f32 */
    float *flat;                                                /* page-locked, for one flat buffer on its way */
    struct gradient_rule rule;
    int has_rule;
    struct device_shared shared;
    struct gradient_scale scale;
    int is_scaled; /* the loss is: fp16 */
    struct device_pipe pipe;
    int64_t begun;               /* steps */
    int64_t in_slot[PIPE_SLOTS]; /* which one's outcome is to arrive there; 0: none's */
    int of_slot[PIPE_SLOTS];     /* images of its mini-batch */
    struct device_program programs[MOST_PROGRAMS];
    struct device_capture captures[MOST_PROGRAMS];
    struct device_event **events; /* DEVICE_EVENTS a step, while profiled */
    float *logits_to;             /* for the length of a call: the host's */
    const void *gradient_from;
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
/* Batch norm, step i, of the program's images. */
struct device_norm device_norm_of(const struct gradient *g, const struct device_program *p, int i);
int device_program_get(struct gradient *g, int count, struct device_program **p, struct message *m) RESQ_USE_RESULT;
void device_program_close(struct gradient *g, struct device_program *p);
/* Of the mini-batch that reduce_begin has named; where there is no room, another one makes it. */
struct device_capture *device_capture_get(struct gradient *g);
void device_captures_forget(struct gradient *g);
/* flat.c: flat buffers in and out. The device's may be NULL: nothing is done. */
int device_flat_in(struct gradient *g, const float *from, float *to, struct message *m) RESQ_USE_RESULT;
int device_flat_out(struct gradient *g, const float *from, float *to, struct message *m) RESQ_USE_RESULT;
int device_state_in(struct gradient *g, const float *from, float *to, struct message *m) RESQ_USE_RESULT;
/* But for the counters, which the host keeps: a number a batch norm, which floats hold exactly. */
int device_state_out(struct gradient *g, const float *from, float *to, struct message *m) RESQ_USE_RESULT;
void device_count_batch(struct gradient *g);
int device_copy_parameters(struct gradient *g, struct message *m) RESQ_USE_RESULT; /* -> 16 bits */
/* steps.c: queue all of a pass. */
int device_queue_forward(struct gradient *g, struct message *m) RESQ_USE_RESULT;
int device_queue_backward(struct gradient *g, struct message *m) RESQ_USE_RESULT;
/* calls.c: gradient_forward and gradient_backward. */
int device_forward(struct gradient *g, const uint8_t *images, int count, float *logits,
                   struct message *m) RESQ_USE_RESULT;
int device_backward(struct gradient *g, const float *dlogits, struct message *m) RESQ_USE_RESULT;
/* whole_steps.c */
extern const struct gradient_whole_steps device_whole_steps;

/* ---- an op: one file, and one line in steps.c ---- */

/* Where its operations go: a shard of the own share, or all of it. */
struct device_place {
    struct gradient *g;
    struct device_program *p;
    const struct device_backend *b;
    struct device *d;
    int shard, first; /* number among the own ones, and its first image */
    int is_new;       /* the shard before it has another program, or there is none */
    float *gradients; /* flat: where those by parameters go */
};

/* Each queues step i, of a shard. */
typedef int device_work(const struct device_place *at, int i, struct message *m);
/* Likewise, of all own shards. */
typedef int device_step_work(struct gradient *g, int i, struct message *m);
struct device_op {
    device_work *forward, *forward_codes;               /* in float and in quantized mode; NULL: there is none */
    device_work *backward;                              /* NULL: it has none */
    device_step_work *forward_shards, *backward_shards; /* in shards; NULL: the ones above, shard by shard */
};
/* each.c: for each own shard of the mini-batch; once where it is taken whole. */
int device_each(struct gradient *g, device_work *work, int i, struct message *m) RESQ_USE_RESULT;
/* Likewise, where the work writes gradients by the step's parameters: they are added over the tree. */
int device_each_gradient(struct gradient *g, device_work *work, int i, struct message *m) RESQ_USE_RESULT;

/* ---- peers.c: context->peers, where devices of all ranks can tell each other bytes themselves ---- */
int device_peers_meet(struct gradient *g, struct message *m) RESQ_USE_RESULT;

/* ---- shared.c: what shards give, on this device and on others ---- */

int device_shared_open(struct gradient *g, struct message *m) RESQ_USE_RESULT;
void device_shared_close(struct gradient *g);
size_t device_shared_bytes(const struct gradient *g);
/* Row of own shard `shard`, in rows of `bytes`. */
void *device_shared_row(const struct gradient *g, int shard, size_t bytes);
/* Every rank's rows to all: they lie at shared.rows, one a shard of the mini-batch. */
int device_shared_gather(struct gradient *g, size_t bytes, struct message *m) RESQ_USE_RESULT;
/* And their sum, of rows of `values` doubles, at shared.total. */
int device_shared_sums(struct gradient *g, int values, struct message *m) RESQ_USE_RESULT;
/* Where own subtree `tree`'s sum by parameters lies; partial sums at `depth` of a tree. */
float *device_shared_sum(const struct gradient *g, int tree, int depth);
/* From every rank's sums of subtrees to the gradients of the mini-batch, on every device. */
int device_shared_gradients(struct gradient *g, struct message *m) RESQ_USE_RESULT;
/* 1 where all of a step is queued, and none of it goes through the host. */
int device_shared_is_queued(const struct gradient *g);

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
int device_range_update(struct gradient *g, int i, struct message *m) RESQ_USE_RESULT;

/* ---- where things lie ---- */

/* plan.c: bytes of a value of this node. */
size_t device_value_size(const struct gradient *g, int node);

/* Of one shard. */
static inline size_t device_block(const struct gradient *g, int node, size_t size)
{
    return device_align(g->values[node].elements * (size_t)device_of(g)->shard * size);
}

static inline void *device_slot_value(const struct device_place *at, int node)
{
    const struct gradient *g = at->g;
    const struct device_training *t = device_of(g);
    if (node < 0)
        return NULL;
    if (node == 0)
        return device_at(t->intake, t->at.pixels + g->values[0].elements * (size_t)at->first);
    return device_at(t->arena,
                     g->values[node].value + (size_t)at->shard * device_block(g, node, device_value_size(g, node)));
}

static inline void *device_slot_before(const struct device_place *at, int node)
{
    return device_at(device_of(at->g)->arena,
                     at->g->values[node].before + (size_t)at->shard * device_block(at->g, node, sizeof(float)));
}

static inline void *device_slot_gradient(const struct device_place *at, int node)
{
    const struct device_training *t = device_of(at->g);
    return device_at(t->arena, at->g->values[node].gradient +
                                   (size_t)at->shard * device_block(at->g, node, device_type_bytes(t->type)));
}

static inline float *device_logits(const struct device_place *at)
{
    const struct device_training *t = device_of(at->g);
    return device_at(t->arena,
                     t->logits + (size_t)at->shard * device_block(at->g, at->g->graph.count - 1, sizeof(float)));
}

static inline size_t device_slot_rows(const struct device_place *at, int node)
{
    const struct node *n = gradient_node(at->g, node);
    return (size_t)at->p->count * (size_t)n->h * (size_t)n->w;
}

static inline size_t device_slot_count(const struct device_place *at, int node)
{
    return (size_t)at->p->count * at->g->values[node].elements;
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

static inline size_t device_outcome_bytes(const struct gradient *g)
{
    size_t shards = g->shard ? (size_t)device_of(g)->shards : 0;
    return sizeof(struct device_outcome) + shards * sizeof(struct device_report);
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
