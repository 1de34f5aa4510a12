/* optimizer.h: SGD with momentum as PyTorch's torch.optim.SGD does it, over one flat buffer:
 *
 *     g = gradient + weight_decay * w      (added to the gradient, not decoupled)
 *     v = g at the first step, afterwards momentum * v + g
 *     w = w - rate * (g + momentum * v)    with Nesterov; otherwise w - rate * v
 *
 * A change of rate acts on the whole velocity. With clip_norm, gradients whose norm is more are multiplied by
 * clip_norm / norm before all that: the norm of all of them together, as torch.nn.utils.clip_grad_norm_ takes it
 * (which adds 1e-6 to it).
 *
 * With layer_rates each slice has a rate of its own, the given one times
 *
 *     trust = |w| / (|gradient| + weight_decay * |w|)
 *
 * (1 where |w| or |gradient| is zero or not finite, or trust 1e12 and more; of learned scales times scale_share), so
 * that what enters v is the same share of all of them: LARS (You, Gitman and Ginsburg 2017,
 * arXiv:1708.03888), by which g is multiplied before it enters v. Norms are of a slice: all weights of a layer, its
 * biases, its scales. A network without batch norm needs it where much is to change: the relative gradients of its
 * layers lie three orders of magnitude apart. */
#ifndef RESQ_TRAIN_OPTIMIZER_H
#define RESQ_TRAIN_OPTIMIZER_H

#include "base/threads.h"
#include "exec/train/gradient.h"
#include <stddef.h>

struct optimizer_options {
    double momentum, weight_decay;
    int nesterov;
    int decay_all; /* 1: weight decay on every parameter, as torch does ungrouped; 0: on weights of convolutions and
                    * linear layers alone. Learned scales never decay. */
    double bias_rate;   /* rate of every *.bias (batch norm's shifts included) as a multiple of the others'; 0: 1 */
    double clip_norm;   /* the most that the norm of all gradients may be; 0: whatever it is */
    int layer_rates;    /* 1: see above */
    double scale_share; /* trust of learned scales is multiplied by it; 0: 1. Of layer_rates only. */
};

/* Slices belong to the gradient and must outlive the optimizer. */
struct optimizer {
    struct optimizer_options options;
    const struct slice *slices;
    int slice_count;
    size_t count;
    float *velocity;               /* [count], zero at first; saved and restored with a checkpoint */
    struct slice_factors *factors; /* [slice_count], of the step that is being made */
    struct threads *pool;          /* who shares a step, the same bytes however many; NULL: the caller alone */
};

int optimizer_open(struct optimizer *o, const struct optimizer_options *options, const struct slice *slices,
                   int slice_count, size_t count, struct message *m) RESQ_USE_RESULT;
/* One step on parameters [count] by gradients [count]. */
void optimizer_step(struct optimizer *o, float *parameters, const float *gradients, double rate);
/* What gradients [count] are multiplied by in a step: 1 where clip_norm is 0 or their norm, the root of the sum of
 * all squares, is no more. Squares are summed in double in an order that depends on the slices alone. A norm that is
 * no number gives 1, an infinite one 0, so that values which are not finite stay so (0 *
 * inf) and the next loss says it. */
double optimizer_clip(const struct optimizer *o, const float *gradients);
/* How a device is told which parameters decay, and which have the rate of biases: flags of exec/train/gradient.h, one
 * byte for GRADIENT_FLAG_FLOATS parameters, [count / GRADIENT_FLAG_FLOATS]. */
void optimizer_flags(const struct optimizer *o, unsigned char *flags);
void optimizer_close(struct optimizer *o);

#endif
