/* exec.h: runs a model: plans buffers and kernels once, then no allocation. */
#ifndef RESQ_EXEC_INFER_EXEC_H
#define RESQ_EXEC_INFER_EXEC_H

#include "graph/model.h"
#include <stddef.h>
#include <stdint.h>

struct exec; /* opaque */

/* All-zero is the default: one thread, batch 64, best instruction set, device "cpu". */
struct exec_options {
    int threads;           /* 0: 1 */
    int batch;             /* most images a call of exec_run handles at once internally; 0: 64 */
    const char *isa;       /* see kernel_table_get */
    const char *device;    /* see device_choose of exec/device/choose.h */
    int keep_activations;  /* needed by exec_observe: every buffer stays readable */
    const char *precision; /* of float layers: "fp32" (NULL too), "bf16"; on a GPU also "fp16" */
    int plans_alone;       /* nothing is allocated for images, and nothing may be run: see exec_plan_bytes */
    int tf32, fast;        /* a GPU's, see struct device_options of kernel/contract/device.h */
};

/* Inference in bfloat16 on the CPU. Every value between steps (a convolution with the batch norm, add and relu
 * behind it is one) is a bfloat16: rounded once, to nearest, ties to even. So are the normalised pixels, and, once,
 * the weights, after a batch norm behind them was folded in as `fuse` does it. Products of them are exact; they,
 * the bias and the residual are summed in f32 in any order, and what else is computed is computed in f32 too
 * (kernel.h has the tolerance). Logits are f32. Nothing is observed, and a model with integer layers is
 * STATUS_UNSUPPORTED. Fast where the instruction set has tiles (amx); elsewhere as slow as direct convolutions of
 * floats.
 *
 * Plans and packs. Any stage: float (batch norm by running statistics), fused, int8, mixed. The model must outlive
 * the exec. */
int exec_open(struct exec **e, const struct model *model, const struct exec_options *options,
              struct message *m) RESQ_USE_RESULT;
/* What an exec of these options would hold in buffers, scratch and weights, without holding it; 0 on a device, which
 * has memory of its own. */
int exec_plan_bytes(const struct model *model, const struct exec_options *options, size_t *bytes,
                    struct message *m) RESQ_USE_RESULT;
/* images u8 [count,H,W,C] NHWC -> logits f32 [count,K]. Any count >= 1. The logits of an image depend on that image
 * alone: not on batch, count or threads, bit for bit. (On a GPU not on count; for integer models not on batch.) */
int exec_run(struct exec *e, const uint8_t *images, int64_t count, float *logits,
             struct message *m) RESQ_USE_RESULT;

/* Runs and shows every f32 activation that node_is_observed (graph.h) names - by node index, in graph order, for
 * all images of this call at once or in several pieces. Values are f32 [n, h, w, c]. */
typedef int exec_visitor(void *context, int node, const float *values, size_t count, struct message *m);
int exec_observe(struct exec *e, const uint8_t *images, int64_t count, exec_visitor *visit, void *context,
                 struct message *m) RESQ_USE_RESULT;

/* An integer layer as it computes, some images of a call. */
struct exec_sums {
    int images, pixels, outputs; /* pixels: H'*W' of an image */
    const uint8_t *x;            /* codes it reads: [h,w,c] of each image, x_image bytes apart */
    size_t x_image;
    const float
        *sums; /* [images, pixels, outputs]: the sum of weight code * (x - zero point), as f32, without bias */
};
typedef int exec_sums_visitor(void *context, const struct exec_sums *s, struct message *m);
/* Runs the steps up to integer layer `node` and shows its sums, in the order of the images, in pieces. On a CPU alone
 * (others are STATUS_UNSUPPORTED); the same bits for any batch, threads and instruction set. */
int exec_observe_sums(struct exec *e, const uint8_t *images, int64_t count, int node, exec_sums_visitor *visit,
                      void *context, struct message *m) RESQ_USE_RESULT;

/* ---- a run in parts ---- */

/* Steps stand in the order in which they run, as exec_layer_at has them. A run can be left before any of them and
 * gone on with from what it leaves there, its cut: the values that this and later steps read, or of step 0 the
 * images. Another exec may go on with it, of a model of the same graph whose weights, scales and codes differ. Both
 * keep their activations, and are on a CPU (others are STATUS_UNSUPPORTED). The same bits as a run that is not cut. */
int exec_step_of(const struct exec *e, int node); /* that computes the node; -1: none */
/* Bytes of the cut before step 0..exec_layer_count, of one image. Images' cuts stand one behind the other. Before no
 * step, at the end: the logits, f32 [K]. */
size_t exec_cut_bytes(const struct exec *e, int step);
/* Where in an image's cut the value of a node lies, f32 or u8 [h,w,c]; -1 where it has none. */
int64_t exec_cut_offset(const struct exec *e, int step, int node);
/* Steps first to end - 1. in: `count` images' cuts before `first`; out: theirs before `end`. */
int exec_run_part(struct exec *e, int first, int end, const uint8_t *in, int64_t count, uint8_t *out,
                  struct message *m) RESQ_USE_RESULT;
/* exec_observe_sums of the integer layer of step i, from cuts before it. */
int exec_observe_part(struct exec *e, int i, const uint8_t *in, int64_t count, exec_sums_visitor *visit,
                      void *context, struct message *m) RESQ_USE_RESULT;

int exec_classes(const struct exec *e);           /* K */
size_t exec_image_bytes(const struct exec *e);    /* H*W*C of the input */
const char *exec_isa(const struct exec *e);       /* what runs: "avx2", on a GPU its name */
const char *exec_device(const struct exec *e);    /* "cpu", "cuda" */
const char *exec_precision(const struct exec *e); /* "f32", "bf16", "int8", "mixed"; on a GPU also "f16", "tf32" */
int exec_threads(const struct exec *e);           /* threads that really run */
double exec_macs(const struct exec *e);           /* an image */
size_t exec_arena_bytes(const struct exec *e);    /* on a GPU: all that it holds there */

/* One planned step, for bench --layers. */
struct exec_layer {
    const char *name, *op, *algorithm;
    double macs;    /* an image */
    double seconds; /* accumulated since exec_profile(e, 1), the mean of all threads */
    size_t bytes;   /* of packed weights */
};
void exec_profile(struct exec *e, int on); /* on: clears and starts timing each step; off: stops */
int exec_layer_count(const struct exec *e);
struct exec_layer exec_layer_at(const struct exec *e, int i);
/* A convolution by the algorithm that was chosen and by the other one, each alone on one thread, in turns, on what
 * its buffers hold: the fastest of a few calls with `images` images (at most a chunk), in seconds an image. */
struct exec_comparison {
    const char *other; /* "direct", "pairs", "winograd"; "-" where there is none for this layer */
    double chosen_seconds, other_seconds;
};
/* 1, or 0 where there is no other. Packs weights anew: not for use while the clock runs elsewhere. */
int exec_compare_layer(struct exec *e, int i, int images, struct exec_comparison *c,
                       struct message *m) RESQ_USE_RESULT;
/* Measured multiply-accumulate peak of this machine for what this exec runs (u8, f32 or bf16), in MAC/s, one thread
 * times threads. */
double exec_peak(const struct exec *e);
/* Seconds of the last exec_run by a GPU's own clock, copies of images and logits left out; 0 on a CPU. */
double exec_device_seconds(const struct exec *e);

void exec_close(struct exec *e);

#endif
