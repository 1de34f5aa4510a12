/* device_exec.h: a model's steps on a device: inference. Private to lib/exec/infer/device.
 *
 * A batch is always a whole one, so that one plan and one captured graph serve any
 * count of images: those beyond the count are computed and thrown away. */
#ifndef RESQ_EXEC_INFER_DEVICE_DEVICE_EXEC_H
#define RESQ_EXEC_INFER_DEVICE_DEVICE_EXEC_H

#include "exec/device/constants.h"
#include "exec/device/pipe.h"
#include "exec/infer/exec_engine.h"
#include "exec/plan/lifetimes.h"
#include "exec/plan/shapes.h"

#define NOT_THERE SIZE_MAX /* no such constant or value */

/* Offsets into the constants; packed: into the packed weights. */
struct device_step {
    size_t weight, bias, scale, shift, table, requantize, packed;
    struct device_plan *plan; /* convolutions; the context's */
};

struct device_exec {
    struct device_context *context;
    enum device_type type; /* of float values */
    void *constants, *packed, *arena, *workspace;
    size_t constant_bytes, packed_bytes, arena_bytes, workspace_bytes, logits; /* logits: in the arena, f32 */
    struct device_step *steps;                                                 /* as many as the exec has */
    size_t *values;                                                            /* one a node, in the arena */
    size_t *maps;                                                              /* one a node, in the constants */
    struct device_pipe pipe;
    struct device_graph *graph;                               /* NULL: the steps are queued anew each time */
    struct device_event **events;                             /* steps + 1 */
    double *seconds;                                          /* of each step, while profiled */
    struct device_event *begin[PIPE_SLOTS], *end[PIPE_SLOTS]; /* of a batch's steps */
    double run_seconds;                                       /* of the last call */
};

static inline struct device_exec *device_of(const struct exec *e)
{
    return e->own;
}

/* plan.c: constants, plans, places and memory; device_exec_release also what a failed one left. */
int device_exec_plan(struct exec *e, struct message *m) RESQ_USE_RESULT;
void device_exec_release(struct exec *e);
/* steps.c: queues all steps; events: one before each and one behind the last, or NULL. */
int device_steps_queue(const struct exec *e, struct device_event *const *events, struct message *m) RESQ_USE_RESULT;
int device_steps_pack(const struct exec *e, struct message *m) RESQ_USE_RESULT;
/* batches.c: exec_run, exec_observe. */
int device_exec_batches(struct exec *e, const uint8_t *images, int64_t count, float *logits,
                        struct message *m) RESQ_USE_RESULT;
int device_exec_observe(struct exec *e, const uint8_t *images, int64_t count, exec_visitor *visit, void *context,
                        struct message *m) RESQ_USE_RESULT;

static inline void *device_constant(const struct device_exec *d, size_t offset)
{
    return offset == NOT_THERE ? NULL : device_at(d->constants, offset);
}

static inline void *device_value(const struct device_exec *d, int node)
{
    return node < 0 ? NULL : device_at(d->arena, d->values[node]);
}

#endif
