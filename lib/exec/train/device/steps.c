/* The ops of training on a device: one line an op; and a pass through all steps, queued. */
#include "exec/train/device/device_train.h"

static const struct device_op *const ops[STEP_KINDS] = {
    [STEP_NORMALIZE] = &device_normalize, [STEP_CONV] = &device_conv_op, [STEP_NORM] = &device_norm_op,
    [STEP_RELU] = &device_relu,           [STEP_ADD] = &device_add,      [STEP_POOL] = &device_pool,
};

static struct device_place place_of(struct gradient *g, struct device_program *p)
{
    const struct device_context *c = device_of(g)->context;
    return (struct device_place){g, p, c->backend, c->device};
}

static int name_it(const struct gradient *g, int i, int status, struct message *m)
{
    return status < 0 ? message_prefix(m, status, "%s", gradient_node(g, g->steps.at[i].node)->name) : 0;
}

/* ---- forward ---- */

/* Whatever the last node is, its values as floats. */
static int queue_logits(const struct device_place *at, struct message *m)
{
    const struct gradient *g = at->g;
    const struct device_training *t = device_of(g);
    int last = g->graph.count - 1;
    size_t count = device_slot_count(g, at->p, last);
    void *logits = device_at(t->arena, t->logits);
    if (gradient_quantized(g) || t->type == DEVICE_F32 || gradient_node(g, last)->op == OP_LINEAR)
        return at->b->copy_on(at->d, QUEUE_COMPUTE, logits, device_slot_value(g, last), count * sizeof(float), m);
    return at->b->cast(at->d, t->type, device_slot_value(g, last), DEVICE_F32, logits, count, m);
}

int device_queue_forward(struct gradient *g, struct device_program *p, struct message *m)
{
    const struct device_place at = place_of(g, p);
    const struct device_training *t = device_of(g);
    if (gradient_quantized(g))
        TRY(at.b->maps(at.d, device_at(t->constants, t->sources), g->graph.count, device_map_of(g, 0),
                       &device_outcome_of(g)->report, m));
    for (int i = 0; i < g->steps.count; i++) {
        const struct device_op *op = ops[g->steps.at[i].kind];
        TRY(device_mark(g, i, MARK_FORWARD, m));
        TRY(name_it(g, i, (gradient_quantized(g) ? op->forward_codes : op->forward)(&at, i, m), m));
        TRY(device_mark(g, i, MARK_FORWARD_END, m));
    }
    return queue_logits(&at, m);
}

/* ---- backward ---- */

int device_queue_backward(struct gradient *g, struct device_program *p, struct message *m)
{
    const struct device_place at = place_of(g, p);
    for (int i = g->steps.count - 1; i >= 0; i--) {
        const struct device_op *op = ops[g->steps.at[i].kind];
        TRY(device_mark(g, i, MARK_BACKWARD, m));
        if (op->backward && gradient_wants(g, g->steps.at[i].output))
            TRY(name_it(g, i, op->backward(&at, i, m), m));
        TRY(device_mark(g, i, MARK_BACKWARD_END, m));
    }
    return 0;
}
