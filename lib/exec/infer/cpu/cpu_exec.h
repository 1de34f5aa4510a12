/* cpu_exec.h: inference on a CPU. Private to lib/exec/infer/cpu.
 *
 * Steps in a row make a segment: a few images (a chunk) go through all of its steps while their values stay in the
 * second-level cache. Values that a later segment reads are kept for the whole batch; others belong to the chunk of
 * one worker. */
#ifndef RESQ_EXEC_INFER_CPU_CPU_EXEC_H
#define RESQ_EXEC_INFER_CPU_CPU_EXEC_H

#include "base/threads.h"
#include "exec/infer/exec_engine.h"
#include "exec/plan/cost.h"
#include "exec/plan/lifetimes.h"
#include "exec/plan/shapes.h"
#include <stdatomic.h>

/* Outputs [first, first + count) of a convolution, by one algorithm. */
struct conv_part {
    int first, count;
    enum algorithm algorithm;
    void *packed; /* in memory of the caller's */
    size_t bytes; /* a multiple of 64 */
};

/* A convolution's parts in order of their outputs, together all of them. */
struct conv_parts {
    struct conv_part *part; /* owned */
    int count;
};

/* What a step needs besides. */
struct cpu_step {
    struct conv_parts parts; /* convolutions */
    const char *algorithm;
};

/* Where a node's value lies. bytes 0: never stored. */
struct value {
    struct layout at;
    size_t element;        /* bytes */
    size_t bytes;          /* of one image, border included */
    size_t origin;         /* bytes from an image's beginning to its pixel (0,0) */
    size_t offset;         /* in the shared arena, or in a worker's */
    size_t images;         /* that there is room for */
    int is_local, padding; /* padding: the border's value, a code (f32: 0) */
};

/* Steps [begin, end), for at most `chunk` images at once. */
struct segment {
    int begin, end, chunk;
};

/* The packed weights that one worker reads of all steps, in order, where all work on each step together. */
struct reads {
    struct ahead_range *ranges; /* owned */
    size_t *before;             /* [ranges]: bytes of those before it; owned */
    int *first;                 /* [steps + 1]: ranges of the steps before it; owned */
};

struct cpu_exec {
    struct threads *pool;
    int is_bf16; /* values between layers are bf16, but for the last node's */
    enum conv_choice choice;
    struct cpu_step *steps;
    struct segment *segments;
    int segment_count;
    struct value *values;   /* one a node */
    unsigned char *arena;   /* shared values, then each worker's; owned, and the two below behind it */
    unsigned char *scratch; /* one a worker */
    unsigned char *weights; /* packed, of all steps in their order */
    struct reads *reads;    /* [workers]; owned */
    size_t ahead_distance;  /* bytes of weights that may wait in the second-level cache */
    size_t shared_bytes, local_bytes, arena_bytes, scratch_stride;
    double *seconds;   /* [workers][steps] */
    atomic_int *taken; /* of each segment's chunks, while a call runs */
    int begin, stop;   /* steps [begin, stop) are run: all, or those that are looked at */
};

static inline struct cpu_exec *cpu_of(const struct exec *e)
{
    return e->own;
}

/* What a worker computes of one step: images [image, image + count) of the call, part `part` of `parts`. The values
 * that are local lie in worker `owner`'s arena, image `first` of the call being their first. */
struct span {
    const uint8_t *images; /* of the call */
    int image, count, first;
    int part, parts;
    int owner;
    void *scratch;
    struct ahead *ahead; /* what is to be read by later steps, or NULL */
};

/* ---- an op ---- */

/* Computes one worker's part of step i, one function for each type of number that it may compute on; NULL: never.
 * steps.c has the table. */
typedef void cpu_work(const struct exec *e, int i, const struct span *at);
struct cpu_op {
    cpu_work *f32, *bf16, *u8;
};

extern const struct cpu_op cpu_normalize, cpu_lookup;    /* normalize.c */
extern const struct cpu_op cpu_conv;                     /* conv.c */
extern const struct cpu_op cpu_norm;                     /* norm.c */
extern const struct cpu_op cpu_relu, cpu_clip;           /* relu.c */
extern const struct cpu_op cpu_add;                      /* add.c */
extern const struct cpu_op cpu_concat;                   /* concat.c */
extern const struct cpu_op cpu_pool;                     /* pool.c */
extern const struct cpu_op cpu_window, cpu_max;          /* window.c */
extern const struct cpu_op cpu_flatten;                  /* flatten.c */
extern const struct cpu_op cpu_quantize, cpu_dequantize; /* quantize.c */

/* steps.c */
void cpu_step_run(const struct exec *e, int i, const struct span *at);
size_t cpu_step_scratch(const struct exec *e, int i); /* bytes a worker */

/* ---- buffers.c: segments, layouts, and where values lie ---- */

int cpu_buffers_plan(struct exec *e, struct message *m) RESQ_USE_RESULT;
void cpu_borders_fill(const struct exec *e); /* once the arena is there */
size_t second_level_cache(void);             /* bytes */

/* ---- weights.c: the memory of a plan, and in it the weights of all steps, packed by all threads ---- */

int weights_open(struct exec *e, struct message *m) RESQ_USE_RESULT;
/* How many bytes weights_open takes. */
int weights_plan(const struct exec *e, size_t *bytes, struct message *m) RESQ_USE_RESULT;
void weights_close(struct exec *e);
/* Before a step: what worker `worker` may bring while it computes it. All zero before the first. */
void weights_ahead(const struct exec *e, int worker, int step, struct ahead *ahead);

/* ---- parts.c: which algorithm computes which outputs ---- */

/* And in how many bytes; the weights packed for it, into as many, aligned to 64. */
int conv_parts_choose(const struct exec *e, int i, enum conv_choice choice, struct conv_parts *parts,
                      struct message *m) RESQ_USE_RESULT;
int conv_parts_pack(const struct exec *e, int i, struct conv_parts *parts, void *to,
                    struct message *m) RESQ_USE_RESULT;
void conv_parts_free(struct conv_parts *parts);
size_t conv_parts_bytes(const struct conv_parts *parts);
/* The name of the one algorithm, or "mixed". */
const char *conv_parts_algorithm(const struct exec *e, int i, const struct conv_parts *parts);
size_t conv_scratch(const struct exec *e, int i);
/* The packed weights of these outputs on, counted from the part's first. */
const void *conv_packed_at(const struct exec *e, int i, const struct conv_part *p, int first);
int conv_out_grain(const struct exec *e, int i, const struct conv_part *p);
const struct conv_u8_kernel *conv_kernel_u8(const struct exec *e, const struct step *s, enum algorithm a);
const struct conv_f32_kernel *conv_kernel_f32(const struct exec *e, const struct step *s, enum algorithm a);

/* ---- conv.c ---- */

void conv_run(const struct exec *e, int i, const struct conv_parts *parts, const struct span *at);
/* The sums of integer step i of one image, without bias, into f32 [pixels, outputs]. ones, zeros: [outputs]. */
void conv_sums(const struct exec *e, int i, const struct span *at, const float *ones, const int32_t *zeros,
               float *to);
/* The packed weights of part k of step i that conv_run reads. */
struct ahead_range conv_reads(const struct exec *e, int i, int k, const struct span *at);

/* engine.c: at most e->batch images through the steps from cpu_of(e)->begin to before ->stop. */
void cpu_run_chunk(struct exec *e, const uint8_t *images, int count);
/* part.c: exec_run_part. */
int cpu_run_part(struct exec *e, int first, int end, const uint8_t *in, int64_t count, uint8_t *out,
                 exec_sums_visitor *visit, void *context, struct message *m) RESQ_USE_RESULT;

/* compare.c: exec_compare_layer. */
int cpu_compare(struct exec *e, int i, int images, struct exec_comparison *c, struct message *m) RESQ_USE_RESULT;

/* Pixel (0,0) of image i of the call. */
static inline void *exec_value(const struct exec *e, int node, const struct span *at, int i)
{
    const struct cpu_exec *c = cpu_of(e);
    const struct value *v = &c->values[node];
    size_t base = v->offset, index = (size_t)i;
    if (v->is_local) {
        base += c->shared_bytes + (size_t)at->owner * c->local_bytes;
        index = (size_t)(i - at->first);
    }
    return c->arena + base + v->origin + index * v->at.image * v->element;
}

#endif
