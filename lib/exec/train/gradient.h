/* gradient.h: forward with everything kept, and backward: what training needs. Two modes:
 *   float      a float-stage model, batch norm by the mini-batch's statistics;
 *   quantized  (options.quantized) a fused model, whose forward pass is the int8 arithmetic itself - the same
 *              kernels, in the form that also stores the value before rounding - and whose backward pass is
 *              straight-through: 1 where the value before clamping was within the codes, else 0 (a fused ReLU's
 *              clamp included).
 * Everything is deterministic for any number of threads: work is cut by shape, sums run in a fixed order.
 *
 * A device takes the mini-batch whole, or (options.shard) in shards: each of its operations computes one shard, in a
 * call of the same shape, and what shards give - batch norms' sums, forward and backward, gradients, extremes of
 * moving ranges, the loss - is added over the tree of their numbers (base/tree.h). What a shard gives is a function
 * of its images and of the parameters alone, so several devices that share a mini-batch, a rank each, give the bits
 * of one device with the same options.shard: parameters, state and loss, for any number of them, however they are
 * connected. That holds as far as calls of the same shape give the same bits on all of them: devices of one kind,
 * the same libraries, not options.fast. Convolutions' algorithms are then taken in a fixed order, not by what was
 * measured (DEVICE_FIXED of kernel/contract/device.h). Another options.shard, or none, is another order of sums.
 *
 * How exact it is, as parts of a tensor's norm, against the same step in double with the same decisions at relus
 * (measured on a half-trained network; tests/unit/train/test_half_trained.c holds it to this):
 *                                    fp32    bf16
 *   a layer's output                 5e-6    3e-2
 *   the gradient by a parameter      5e-5    5e-2
 * In bf16 nearly all of it is the rounding of what lies between layers. From a layer's own inputs as they are kept,
 * the gradients by its parameters are within 5e-5 in both, and what is passed on within 3e-6 and, with ties between
 * two bfloat16 that fall otherwise, 1e-3; both within 1e-2 in bf16 where products have fewer bits still (kernels of
 * the algorithm `winograd`).
 * Quantized, the forward pass has the same bits everywhere, and so have the masks: gradients over blocks are within
 * 2e-5 (fp32) and 1e-2 (bf16) of those image by image, all learned scales, and all biases, taken together
 * (test_qat_blocks.c). */
#ifndef RESQ_EXEC_TRAIN_GRADIENT_H
#define RESQ_EXEC_TRAIN_GRADIENT_H

#include "base/scalar.h"
#include "base/threads.h"
#include "exec/train/reduce.h"
#include "graph/model.h"
#include "quant/affine.h"
#include <stddef.h>
#include <stdint.h>

struct gradient; /* opaque */

enum range_mode { RANGE_FIXED, RANGE_AVERAGE, RANGE_LEARNED };

struct gradient_options {
    int threads;           /* 0: 1 */
    int batch;             /* the largest mini-batch, 1..65536 */
    const char *isa;       /* see kernel_table_get */
    const char *device;    /* see exec/device/choose.h */
    const char *precision; /* "fp32" (NULL too), "bf16"; on a GPU "fp16" too; others are STATUS_UNSUPPORTED. What
                                * comes of it: gradient_precision */
    int tf32, fast;        /* a GPU's, see struct device_options of kernel/contract/device.h */
    int over_blocks;       /* wherever that can be, also where image by image is faster: for tests */
    int shard; /* on a device: images that it computes at a time, SHARD_IMAGES..65536; 0: SHARD_IMAGES among several
                * ranks, and else all of the mini-batch. On a CPU 0 */
    const struct ranks *ranks; /* the processes that share each mini-batch, see exec/train/reduce.h; NULL: this one
                                * alone. The caller's, to outlive the gradient. All on the same kind of device */
    int plans_alone; /* nothing is allocated for images, and nothing may be run: see gradient_plan_bytes */
    double batchnorm_momentum; /* 0..1; 0: 0.1, PyTorch's */
    int quantized;
    /* quantized: */
    const struct affine *activations; /* one an original node of the fused graph, see lower_choose_activations; the
                                       * caller's, read while the gradient is opened */
    int weight_bits, activation_bits; /* 2..8; activations' are those of their maps, which may be more */
    int per_tensor;                   /* one scale for all of a layer's weights */
    const struct weight_codes *weights; /* one an original node, instead of the two above; or NULL. The caller's, to
                                         * outlive the gradient. A GPU has the observer max alone */
    enum range_mode ranges;
    double range_averaging; /* 0..1, RANGE_AVERAGE: low += a * (batch low - low); 0: 0.01 */
    /* the scales of weights are parameters, NODE.weight_scale, [outputs], or [1] where a layer has one; they begin as
     * the weights[].scale that every layer then has, and weights outside of their codes get no gradient
     * (quant/learned.h). Not on a GPU */
    int learn_weight_scales;
    double scale_rate; /* the gradients by those scales are multiplied by it; 0: 1 */
    double ewgs;       /* 0..1: delta of quant/learned.h's element-wise gradient scaling, for activations too, and
                              * for weights where their scales are learned; 0: straight through. Not on a GPU */
};

/* A named part of a flat buffer. */
enum slice_role { SLICE_WEIGHT, SLICE_BIAS, SLICE_NORM, SLICE_SCALE /* learned scale */, SLICE_STATE };
struct slice {
    char name
        [96]; /* the tensor's name in the model, e.g. "layer1.0.bn1.weight"; learned scales "NODE.scale" of activations,
                    * "NODE.weight_scale" of weights */
    enum slice_role role;
    int rank;
    int64_t shape[4];
    size_t offset, count; /* in floats, in the flat buffer */
};

/* Copies the parameters out of the model (which may then be freed). */
int gradient_open(struct gradient **g, const struct model *model, const struct gradient_options *options,
                  struct message *m) RESQ_USE_RESULT;
/* What a gradient of these options would hold, gradient_held_bytes, without holding it; 0 on a device, which has memory
 * of its own. */
int gradient_plan_bytes(const struct model *model, const struct gradient_options *options, size_t *bytes,
                        struct message *m) RESQ_USE_RESULT;
/* 0 where a fused network can be trained quantized; else STATUS_UNSUPPORTED, which names the node. What gradient_open
 * checks itself. */
int gradient_check_quantized(const struct graph *g, struct message *m) RESQ_USE_RESULT;
/* 0 where a mini-batch of so many images can be trained on: 1..batch, and for every batch norm more than one value a
 * channel (one has no variance: every output would be the shift); else STATUS_RANGE, which names the node. What
 * gradient_forward and gradient_step check themselves. */
int gradient_check_count(const struct gradient *g, int64_t count, struct message *m) RESQ_USE_RESULT;
/* Mini-batch of count <= batch images: logits [count,K]. Where ranks share it, images and logits are those of
 * gradient_share alone. Every call is a training step's: float mode normalises by the mini-batch's statistics and
 * updates the running ones (unbiased variance, num_batches_tracked), RANGE_AVERAGE moves its ranges, which the next
 * call uses. A range or learned scale that is not finite is STATUS_RANGE. Parameters must stay as they are until
 * backward. */
int gradient_forward(struct gradient *g, const uint8_t *images, int count, float *logits,
                     struct message *m) RESQ_USE_RESULT;
/* dlogits [count,K] of the last forward (of the share) -> gradients (overwritten), same layout as parameters: those of
 * the whole mini-batch. */
int gradient_backward(struct gradient *g, const float *dlogits, struct message *m) RESQ_USE_RESULT;
/* Images of a shard of what is opened by these options; the last one of a mini-batch may have fewer. */
int gradient_shard(const struct gradient_options *options);
/* What of a mini-batch of count images this process computes: all of it, where it is alone. */
struct share gradient_share(const struct gradient *g, int count);
/* For what else is summed over the mini-batch of the last forward. */
struct reduce *gradient_reduce(struct gradient *g);

/* ---- whole steps, where a device makes them (a GPU): forward, loss, backward, optimizer and averages in one
 * queued piece, the next mini-batch on its way meanwhile. Where ranks share mini-batches, all make these calls, in the
 * same order: images and targets are of the own share, what steps leave is of the whole mini-batch ---- */

enum gradient_flag { GRADIENT_DECAY = 1, GRADIENT_BIAS = 2 };
/* Parameters that share a byte of flags: every slice begins on such a multiple. */
enum { GRADIENT_FLAG_FLOATS = 16 };

/* What the caller's optimizer does; train/optimizer.h and train/average.h state the arithmetic. The buffers are the
 * caller's and live until the gradient is closed. */
struct gradient_rule {
    double momentum, weight_decay, label_smoothing;
    int nesterov;
    const unsigned char *flags; /* one byte for GRADIENT_FLAG_FLOATS parameters */
    float *velocity;            /* [parameters] */
    float *average;             /* [parameters, then state], or NULL */
};

/* What steps left. A step's outcome arrives while later ones run. */
struct gradient_done {
    double loss; /* sums, as struct loss_sums of train/loss.h */
    int64_t images, correct;
    int64_t skipped; /* steps whose gradients overflowed: they changed no parameter */
    int behind;      /* where a call failed: so many steps were begun after the one that it is about; -1: about none
                      * of them */
};

/* Dynamic loss scaling of fp16, which belongs to a checkpoint. */
struct gradient_scale {
    float scale;
    int good, in_a_row, skipped; /* steps since the last change; skipped ones in a row; in all */
};

int gradient_makes_steps(const struct gradient *g); /* 1: those below are to be used, else none of them */
/* Takes parameters, state, the rule's buffers and gradient_loss_scale as they now are. */
int gradient_step_begin(struct gradient *g, const struct gradient_rule *rule, struct message *m) RESQ_USE_RESULT;
/* One step on what the images are to say [count]: rates of learning (the second of biases), share of the new value in
 * the averages. Adds to *done what has arrived of earlier steps. A loss that is not finite, or the 100th step skipped
 * in a row, is STATUS_RANGE. Parameters, state and the rule's buffers are stale until gradient_settle. */
int gradient_step(struct gradient *g, const uint8_t *images, const struct targets *targets, int count, double rate,
                  double bias_rate, double share, struct gradient_done *done, struct message *m) RESQ_USE_RESULT;
/* Waits for all steps and adds the rest to *done; nothing is brought up to date. */
int gradient_step_wait(struct gradient *g, struct gradient_done *done, struct message *m) RESQ_USE_RESULT;
/* Waits for all steps, adds the rest to *done, and brings parameters, state and the rule's buffers up to date.
 * Steps may go on from there. */
int gradient_settle(struct gradient *g, struct gradient_done *done, struct message *m) RESQ_USE_RESULT;
/* NULL where the loss is not scaled. */
struct gradient_scale *gradient_loss_scale(struct gradient *g);
/* "conv1: forward ALGORITHM, data ALGORITHM, weight ALGORITHM" of layer i (gradient_layer_at) into text; 0 where
 * the layer has none that was chosen. */
int gradient_layer_algorithms(const struct gradient *g, int i, char *text, size_t size);

/* Images that a device computes at a time; 0 where mini-batches are taken whole, and on a CPU. */
int gradient_device_shard(const struct gradient *g);
/* "shards of 32 images, on 2 devices, by NCCL 2.28.3", or why through the host's memory, into text; 0 where
 * mini-batches are taken whole, 2 where they go through the host's memory, else 1. */
int gradient_sharing(const struct gradient *g, char *text, size_t size);

/* Flat buffers; valid until close. parameters may be written between steps. */
float *gradient_parameters(struct gradient *g);
float *gradient_gradients(struct gradient *g);
size_t gradient_parameter_count(const struct gradient *g);
int gradient_slices(const struct gradient *g, const struct slice **slices); /* how many; in flat order */
/* State that is not learned: running_mean, running_var, num_batches_tracked (as a float count below 2^24), moving
 * ranges ("NODE.low", "NODE.high"). Saved and restored with a checkpoint. */
float *gradient_state(struct gradient *g);
size_t gradient_state_count(const struct gradient *g);
int gradient_state_slices(const struct gradient *g, const struct slice **slices);

/* Writes parameters and state into a model of the same graph as was opened. Each is a flat copy, e.g. averaged
 * values, [gradient_parameter_count] and [gradient_state_count]; NULL: the current ones. */
int gradient_store(const struct gradient *g, const float *parameters, const float *state, struct model *model,
                   struct message *m) RESQ_USE_RESULT;
/* Quantized mode: the activation maps that follow from parameters and state (as above), one an original node:
 * activations [nodes of the graph], the caller's. */
int gradient_activations(const struct gradient *g, const float *parameters, const float *state,
                         struct affine *activations, struct message *m) RESQ_USE_RESULT;

/* Quantized mode: a layer's weights as they now are, and what they become codes by. */
struct gradient_weights {
    const char *name; /* of the node */
    int node, bits, outputs, per_output;
    float *weight;      /* [outputs, per_output]: parameters */
    const float *scale; /* [outputs], or [1]: learned or given; NULL: the observer finds it in each pass */
    int one_scale;      /* [1] */
};
/* 1, or 0 where step i (gradient_layer_at) has none. */
int gradient_weights_at(struct gradient *g, int i, struct gradient_weights *w);
/* The scales that the weights of this node have by flat parameters (NULL: the current ones) into scale [outputs]: 1,
 * or 0 where they are not learned. */
int gradient_weight_scales(const struct gradient *g, const float *parameters, int node, float *scale);
int gradient_threads(const struct gradient *g);
/* The threads that compute, free for other work between its calls; its own. NULL on a device. */
struct threads *gradient_workers(const struct gradient *g);
const char *gradient_device(const struct gradient *g); /* "cpu", "cuda" */
const char *gradient_isa(const struct gradient *g);
size_t gradient_arena_bytes(const struct gradient *g);
/* All of it: arena, scratch, packed weights, flat buffers. */
size_t gradient_held_bytes(const struct gradient *g);
/* What computes: "bf16", "fp32", "tf32", "fp16"; asked for bf16 and unable (no kernels of that kind on this
 * machine, or for this network), "fp32". */
const char *gradient_precision(const struct gradient *g);
/* "block" (kernel/contract/block.h), "image", or "device". */
const char *gradient_engine(const struct gradient *g);
/* Multiply-accumulates of one image's step: forward and both gradients. */
double gradient_macs(const struct gradient *g);
/* This machine's peak for them, all threads, MAC/s; 0 where there is none to measure. */
double gradient_peak(const struct gradient *g);

/* One step of the plan, for bench --train --layers. Seconds since gradient_profile(g, 1), 0 where a pass does not
 * exist; packing weights counts as the forward of the first. What has no weights is all forward and data; what a
 * convolution's gradients have in common counts as that by the weights. */
struct gradient_layer {
    const char *name, *op;
    double macs; /* one image, one pass */
    double forward, data, weight;
};
void gradient_profile(struct gradient *g, int on); /* on: clears and starts; off: stops */
int gradient_layer_count(const struct gradient *g);
struct gradient_layer gradient_layer_at(const struct gradient *g, int i);
void gradient_close(struct gradient *g);

#endif
