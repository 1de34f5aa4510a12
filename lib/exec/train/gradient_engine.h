/* gradient_engine.h: what gradient.h's engines share: the plan of a network, its flat buffers, and the table through
 * which an engine trains it. Private to lib/exec/train.
 *
 * An engine is a folder that gives one `struct gradient_engine`; gradient.c chooses it. Forward step i runs at time
 * i, its backward at time 2 * steps - 1 - i (exec/plan/lifetimes.h).
 *
 * Quantized mode keeps two buffers for a value: its codes, and `before`, the value before rounding in units of a
 * code. */
#ifndef RESQ_EXEC_TRAIN_GRADIENT_ENGINE_H
#define RESQ_EXEC_TRAIN_GRADIENT_ENGINE_H

#include "base/progress.h"
#include "exec/plan/lifetimes.h"
#include "exec/plan/maps.h"
#include "exec/plan/shapes.h"
#include "exec/plan/steps.h"
#include "exec/train/gradient.h"

enum train_pass { PASS_FORWARD, PASS_DATA, PASS_WEIGHT, PASS_COUNT };

#define NO_OFFSET SIZE_MAX /* no such parameter, state or buffer */

/* What every engine knows of a step, besides struct step. */
struct train_step {
    int accumulate_x, accumulate_other; /* backward: add to the operand's gradient, which another user began */
    uint64_t accumulate_more;           /* the same for step.more, a bit each */
    size_t weight, bias;                /* in parameters: weights, or gamma and beta */
    size_t mean, variance, tracked;     /* in state: running statistics */
    size_t scale;                       /* in parameters: the learned scale of the output */
    size_t weight_scale;                /* in parameters: the learned scales of the weights */
    size_t low, high;                   /* in state: the moving range of the output */
    double seconds[PASS_COUNT];         /* since profiling began */
};

struct train_value {
    size_t elements;                /* of one image */
    int wants_gradient;             /* a parameter stands before it */
    size_t value, before, gradient; /* where they lie in the engine's arena */
    struct affine map, given;       /* quantized: as it now is; as it was given */
};

/* Whole steps, see gradient.h: the same arguments as the functions of that name. */
struct gradient_whole_steps {
    int (*begin)(struct gradient *g, const struct gradient_rule *rule, struct message *m);
    int (*step)(struct gradient *g, const uint8_t *images, const struct targets *targets, int count, double rate,
                double bias_rate, double share, struct gradient_done *done, struct message *m);
    int (*wait)(struct gradient *g, struct gradient_done *done, struct message *m);
    int (*settle)(struct gradient *g, struct gradient_done *done, struct message *m);
    struct gradient_scale *(*loss_scale)(struct gradient *g);
};

struct gradient_engine {
    const char *name;                               /* what gradient_engine gives */
    const struct gradient_whole_steps *whole_steps; /* NULL: the caller makes them of forward and backward */
    /* 1 where it can train this network in this mode on this machine; g has its steps. NULL: always. */
    int (*suits)(const struct gradient *g);
    /* 1 where it is also the faster one for it. NULL: always. */
    int (*pays)(const struct gradient *g);
    /* g has its steps, slices and maps: places values, sets g->own. After a failure `close` is called too. */
    int (*open)(struct gradient *g, struct message *m);
    void (*close)(struct gradient *g); /* g->own may be NULL */
    /* gradient_forward and gradient_backward, arguments checked. */
    int (*forward)(struct gradient *g, const uint8_t *images, int count, float *logits, struct message *m);
    int (*backward)(struct gradient *g, const float *dlogits, struct message *m);
    int (*profile_begin)(struct gradient *g); /* negative: cannot; NULL: nothing to do */
    /* gradient_layer_algorithms; NULL: there are none that were chosen */
    int (*algorithms)(const struct gradient *g, int i, char *text, size_t size);
    /* gradient_sharing; NULL: nothing to say */
    int (*sharing)(const struct gradient *g, char *text, size_t size);
    /* What gradient_threads, _device, _isa, _precision, _arena_bytes, _held_bytes and _peak give. */
    int (*threads)(const struct gradient *g);
    struct threads *(*workers)(const struct gradient *g); /* NULL: there is none */
    const char *(*device)(const struct gradient *g);
    const char *(*isa)(const struct gradient *g);
    const char *(*precision)(const struct gradient *g);
    size_t (*arena_bytes)(const struct gradient *g);
    size_t (*held_bytes)(const struct gradient *g);
    double (*peak)(const struct gradient *g);
};

extern const struct gradient_engine image_gradient_engine;  /* image/engine.c */
extern const struct gradient_engine block_gradient_engine;  /* block/engine.c */
extern const struct gradient_engine device_gradient_engine; /* device/engine.c */

struct gradient {
    struct graph graph;
    struct gradient_options options; /* activations and names: while it is opened */
    const struct kernel_table *kernels;
    const struct gradient_engine *engine;
    void *own; /* the engine's */
    struct steps steps;
    struct train_step *train;   /* [steps] */
    struct train_value *values; /* one a node */
    struct slice *slices, *state_slices;
    int slice_count, state_slice_count;
    float *parameters, *gradients, *state;
    size_t parameter_count, state_count;
    int batch; /* images of the largest mini-batch; options.batch is then those of its largest share */
    int shard; /* a device's: images at a time, at most options.batch; 0: all of the share at once */
    struct reduce reduce;
    int count;      /* own images of the last forward */
    int is_forward; /* backward may follow it */
    int profiling;
};

static inline int gradient_quantized(const struct gradient *g)
{
    return g->options.quantized != 0;
}

/* How the weights of step i become codes. */
static inline struct weight_codes gradient_weight_codes(const struct gradient *g, int i)
{
    const struct gradient_options *o = &g->options;
    if (o->weights)
        return o->weights[g->steps.at[i].node];
    return (struct weight_codes){.bits = o->weight_bits, .per_tensor = o->per_tensor};
}

static inline const struct node *gradient_node(const struct gradient *g, int i)
{
    return &g->graph.nodes[i];
}

static inline int gradient_is_last(const struct gradient *g, int node)
{
    return node == g->graph.count - 1;
}

/* node: -1 where there is no such operand. */
static inline int gradient_wants(const struct gradient *g, int node)
{
    return node >= 0 && g->values[node].wants_gradient;
}

/* How many values a channel of a map of so many pixels has over the mini-batch. */
static inline double gradient_rows(const struct gradient *g, int pixels)
{
    return (double)g->reduce.images * pixels;
}

static inline double profile_begin(const struct gradient *g)
{
    return g->profiling ? clock_seconds() : 0;
}

static inline void profile_end(struct gradient *g, int step, enum train_pass pass, double start)
{
    if (g->profiling)
        g->train[step].seconds[pass] += clock_seconds() - start;
}

/* ---- plan.c ---- */

/* Steps, what each accumulates, and which values want a gradient. */
int gradient_plan_steps(struct gradient *g, struct message *m) RESQ_USE_RESULT;

/* How many bytes a node's buffers take in an engine's arena, for the largest mini-batch; 0: it has none. step: the
 * one that makes it, -1 for node 0. */
struct buffer_bytes {
    size_t value, before, gradient;
    int longer; /* the gradient is read by the backward of the step before its maker's too */
};
typedef struct buffer_bytes buffer_rule(const struct gradient *g, int node, int step);
/* 1 where, in quantized mode, the step's codes are on its input's map, as lowering has it. */
int gradient_keeps_map(const struct gradient *g, int step);
/* 1 where quantized mode keeps the value before rounding. */
int gradient_has_before(const struct gradient *g, int node, int step);
/* Places all nodes' buffers (offsets in g->values) and `count` blocks of the engine's own, whose bytes and lives are
 * set, in one arena; *total: its bytes. */
int gradient_plan_buffers(struct gradient *g, buffer_rule *bytes, struct lifetime *others, int count, size_t *total,
                          struct message *m) RESQ_USE_RESULT;

/* ---- slices.c: the flat buffers, filled from the model ---- */

int gradient_plan_slices(struct gradient *g, const struct model *model, struct message *m) RESQ_USE_RESULT;

/* ---- qat.c: what quantized mode is on every engine ---- */

/* Copies the given maps, one a node. STATUS_MISMATCH names one that is none. */
int qat_take_maps(struct gradient *g, const struct affine *activations, struct message *m) RESQ_USE_RESULT;
/* The output map of a step: as given, by its learned scale in `parameters`, or by its moving range in `state`; where
 * it keeps its input's, that of the step that made those codes. */
int qat_map(const struct gradient *g, const float *parameters, const float *state, int step, struct affine *map,
            struct message *m) RESQ_USE_RESULT;

/* ---- weight_scales.c: scales of weights that are parameters ---- */

/* How many a step has: [outputs], or 1. */
int weight_scales_count(const struct gradient *g, int step);
/* Before a pass: those that fell to nothing are raised in place. STATUS_RANGE names one that is not finite. */
int weight_scales_begin(struct gradient *g, struct message *m) RESQ_USE_RESULT;
/* A step's, as they now are, into scale [outputs]. */
void weight_scales_read(const struct gradient *g, const float *parameters, int step, float *scale);
/* After a backward pass, whose gradients are those by the weights that it computed with, summed over the whole
 * mini-batch: makes of them those by weights and scales. Of a channel or layer at once:
 * sums in the order of its weights. */
void weight_scales_backward(struct gradient *g, int step);

#endif
