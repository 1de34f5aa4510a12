/* exec_engine.h: what exec.h's engines share: the plan of a model, and the table through which an engine runs it.
 * Private to lib/exec/infer.
 *
 * An engine is a folder that gives one `struct exec_engine`; exec.c chooses it. */
#ifndef RESQ_EXEC_INFER_EXEC_ENGINE_H
#define RESQ_EXEC_INFER_EXEC_ENGINE_H

#include "exec/infer/exec.h"
#include "exec/infer/step_constants.h"
#include "exec/plan/lifetimes.h"
#include "exec/plan/steps.h"
#include "kernel/contract/kernel.h"

struct exec_engine {
    /* What steps take in; STATUS_UNSUPPORTED where the options ask for what the engine has not. Before `open`. */
    int (*choose)(const struct model *model, const struct exec_options *options, enum step_fusion *fusion,
                  struct message *m);
    /* e has its plan and constants: sets e->own. After a failure `close` is called too. */
    int (*open)(struct exec *e, const struct exec_options *options, struct message *m);
    void (*close)(struct exec *e); /* e->own may be NULL */
    /* exec_run and exec_observe, with count >= 1 and e->keep checked. */
    int (*run)(struct exec *e, const uint8_t *images, int64_t count, float *logits, struct message *m);
    int (*observe)(struct exec *e, const uint8_t *images, int64_t count, exec_visitor *visit, void *context,
                   struct message *m);
    /* exec_run_part; NULL: none. visit: not NULL where step `end`, an integer layer, is not left but looked at: its
     * sums are shown, and out is NULL. */
    int (*run_part)(struct exec *e, int first, int end, const uint8_t *in, int64_t count, uint8_t *out,
                    exec_sums_visitor *visit, void *context, struct message *m);
    void (*profile_clear)(struct exec *e);
    /* algorithm, seconds and bytes of step i; the rest is set. */
    void (*layer)(const struct exec *e, int i, struct exec_layer *layer);
    /* exec_compare_layer; NULL: no layer has another algorithm. */
    int (*compare)(struct exec *e, int i, int images, struct exec_comparison *c, struct message *m);
    /* exec_isa, exec_precision of float layers, exec_threads, exec_arena_bytes, exec_peak, exec_device_seconds */
    const char *(*isa)(const struct exec *e);
    const char *(*precision)(const struct exec *e);
    int (*threads)(const struct exec *e);
    size_t (*bytes)(const struct exec *e);
    double (*peak)(const struct exec *e);
    double (*seconds)(const struct exec *e);
};

extern const struct exec_engine cpu_exec_engine;    /* cpu/engine.c */
extern const struct exec_engine device_exec_engine; /* device/engine.c */

struct exec {
    const struct model *model; /* the caller's */
    const struct exec_engine *engine;
    void *own; /* the engine's */
    const struct kernel_table *kernels;
    const char *device;
    int batch, keep, profiling;
    struct steps steps;
    struct step_constants *constants; /* one a step; owned */
    struct lifetime *lives;           /* one a node, of inference; owned */
    double macs;                      /* an image */
    int integer_layers, float_layers; /* convolutions and linear layers */
};

static inline const struct node *exec_node(const struct exec *e, int i)
{
    return &e->model->graph.nodes[i];
}

static inline int exec_is_last(const struct exec *e, int node)
{
    return node == e->model->graph.count - 1;
}

#endif
