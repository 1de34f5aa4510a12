/* unit_pass.h: a unit computed in floats, as its integers would give it, forward and back to its weights' rounding.
 * Values between layers are rounded to their codes and clamped, and so is what it gives; of each value some elements,
 * drawn anew in each pass, are left as they were before that (QDrop: Wei et al. 2022, arXiv:2203.05740); backward
 * goes straight through the rounding. Private to lib/ptq. */
#ifndef RESQ_PTQ_UNIT_PASS_H
#define RESQ_PTQ_UNIT_PASS_H

#include "base/scalar.h"
#include "base/threads.h"
#include "exec/train/float_conv.h"
#include "exec/train/reduce.h"
#include "ptq/unit.h"
#include <stdint.h>

enum { UNIT_VALUES = UNIT_INPUTS + UNIT_LAYERS };

/* A value of a mini-batch, dense. */
struct unit_value {
    int node; /* of the fused graph */
    size_t elements;
    int is_codes; /* 0: logits, never rounded */
    struct affine map;
    float low, high;   /* what its codes less the zero point are clamped to: a relu, a clip */
    float least, most; /* and what its reals are clamped to where they are left */
    float *at;         /* [batch, elements] */
    float *gradient;   /* the same; of layers */
    uint8_t *passes;   /* [batch, elements], of layers: 1 where the clamp lets its gradient pass */
    /* Where map.scale is learned (unit_scales.c): */
    int is_learned;
    const struct node *giver;    /* `node`, in the fused model */
    float *slope;                /* [batch, elements]: the value's derivative by the scale; 0 where it is left */
    float low_slope, high_slope; /* that where it is clamped */
    float start;                 /* the scale at first, from the model */
    float variable[3];           /* log(scale / start), and the moments of its gradient */
    double gradient_by_scale;
};

struct unit_layer {
    int at, x, other; /* node of int8; values, -1: none */
    int outputs, qmax;
    size_t row, count; /* weights of an output, of the layer */
    struct float_conv *conv;
    int8_t *base;                 /* [count] */
    float *scale, *bias;          /* [outputs]: those of int8, as reals */
    float *weight;                /* [count]: what is computed with */
    float *variables, *gradients; /* [count]: v of quant/rounding.h */
    float *mean, *square;         /* [count]: moments of the gradients */
};

struct unit_pass {
    const struct unit *unit;
    struct unit_value values[UNIT_VALUES]; /* inputs, then layers' */
    struct unit_layer layers[UNIT_LAYERS];
    int batch; /* most images of a pass, of this rank */
    struct threads *pool;
    double *partials;  /* [batch] */
    int learns_scales; /* of layers' values with fewer than 8 bits */
    uint64_t seed;
    int64_t step;
    int keep; /* of 256 elements so many are left unrounded */
    /* the pass: */
    struct reduce
        *reduce;      /* the caller's: which images of a mini-batch are this rank's, and where gradients meet */
    int total;        /* images of the mini-batch */
    int first, count; /* the own ones: the first's number in it, how many */
    /* the item at work: */
    int at;
    const float *target;
};

/* What a pass is opened with. */
struct unit_pass_options {
    int batch; /* most images of a pass, of this rank */
    /* The caller's; reduce opened for the mini-batch and the unit's largest layer. */
    struct threads *pool;
    struct reduce *reduce;
    const char *isa;
    int learns_scales; /* those of what its layers give, where these have fewer than 8 bits */
};

/* int8 as it is: its scales, biases and maps. unit_pass_close after a failure too. */
int unit_pass_open(struct unit_pass *p, const struct unit *unit, const struct model *fused,
                   const struct model *int8, const struct unit_pass_options *o, struct message *m) RESQ_USE_RESULT;
/* Bytes that it will hold. */
size_t unit_pass_bytes(const struct unit *unit, const struct model *fused, const struct unit_pass_options *o);
void unit_pass_close(struct unit_pass *p);

static inline struct unit_value *unit_output(struct unit_pass *p)
{
    return &p->values[p->unit->input_count + p->unit->count - 1];
}

/* A pass over a mini-batch of `total` images begins. */
void unit_begin(struct unit_pass *p, int total);
/* Own image i has codes u8 or (is_codes 0) f32 `codes` in the quantized network and `real` in the float
 * one, for input k: what stands there is either, element by element. */
void unit_take_input(struct unit_pass *p, int k, int image, const void *codes, const float *real);
/* Of p->count images: returns what they have of the loss, the mean over the mini-batch's images and pixels of the
 * squared distance from target [count, elements], summed over channels. */
double unit_forward(struct unit_pass *p, const float *target);
/* After it: gradients by all variables, of the whole mini-batch, rounding's penalty included. Negative where ranks
 * could not tell each other. */
int unit_backward(struct unit_pass *p, float lambda, float beta, struct message *m) RESQ_USE_RESULT;
/* Codes of layer l, [count]. */
void unit_codes(const struct unit_pass *p, int l, int8_t *q);
/* One step of Adam (Kingma and Ba 2014, arXiv:1412.6980; 0.9, 0.999, 1e-8), the `number`th, from 1; scale_rate: of the
 * logarithms of learned scales. */
void unit_step(struct unit_pass *p, int64_t number, double rate, double scale_rate);

/* ---- unit_scales.c: scales of activations, learned as LSQ has it (quant/learned.h), but by their logarithms ---- */

/* Whether the value with this map has one. */
int unit_learns_scale(const struct unit_pass *p, const struct unit_value *v);
/* The map, and what follows from it, by v->variable[0]. */
void unit_scale_set(struct unit_value *v);
/* Derivatives by the scale of n values that are about to be rounded. */
void unit_slopes(const struct unit_value *v, const int *drawn, int keep, int n, const float *at, float *slope);
/* One step of Adam on all that are learned. */
void unit_scales_step(struct unit_pass *p, double mean_share, double square_share, double rate);
/* What codes less the zero point, and reals that are left, are clamped to. */
void unit_set_clamp(struct unit_value *v);

#endif
