/* optimizer.h: SGD with momentum as PyTorch's torch.optim.SGD does it, over one flat buffer:
 *
 *     g = gradient + weight_decay * w      (added to the gradient, not decoupled)
 *     v = g at the first step, afterwards momentum * v + g
 *     w = w - rate * (g + momentum * v)    with Nesterov; otherwise w - rate * v
 *
 * A change of rate acts on the whole velocity. */
#ifndef RESQ_TRAIN_OPTIMIZER_H
#define RESQ_TRAIN_OPTIMIZER_H

#include "exec/train/gradient.h"
#include <stddef.h>

struct optimizer_options {
    double momentum, weight_decay;
    int nesterov;
    int decay_all; /* 1: weight decay on every parameter, as torch does ungrouped; 0: on weights of convolutions and
                    * linear layers alone. Learned scales never decay. */
    double bias_rate; /* rate of every *.bias (batch norm's shifts included) as a multiple of the others'; 0: 1 */
};

/* Slices belong to the gradient and must outlive the optimizer. */
struct optimizer {
    struct optimizer_options options;
    const struct slice *slices;
    int slice_count;
    size_t count;
    float *velocity; /* [count], zero at first; saved and restored with a checkpoint */
};

int optimizer_open(struct optimizer *o, const struct optimizer_options *options, const struct slice *slices,
                   int slice_count, size_t count, struct message *m) RESQ_USE_RESULT;
/* One step on parameters [count] by gradients [count]. */
void optimizer_step(struct optimizer *o, float *parameters, const float *gradients, double rate);
/* How a device is told which parameters decay, and which have the rate of biases: flags of exec/train/gradient.h, one
 * byte for GRADIENT_FLAG_FLOATS parameters, [count / GRADIENT_FLAG_FLOATS]. */
void optimizer_flags(const struct optimizer *o, unsigned char *flags);
void optimizer_close(struct optimizer *o);

#endif
