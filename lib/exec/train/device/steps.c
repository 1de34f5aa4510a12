/* The ops of training on a device: one line an op; and a pass through all steps, queued. */
#include "exec/train/device/device_train.h"

static const struct device_op *const ops[STEP_KINDS] = {
    [STEP_NORMALIZE] = &device_normalize, [STEP_CONV] = &device_conv_op, [STEP_NORM] = &device_norm_op,
    [STEP_RELU] = &device_relu,           [STEP_ADD] = &device_add,      [STEP_POOL] = &device_pool,
};

static int name_it(const struct gradient *g, int i, int status, struct message *m)
{
    return status < 0 ? message_prefix(m, status, "%s", gradient_node(g, g->steps.at[i].node)->name) : 0;
}

/* ---- forward ---- */

/* Whatever the last node is, its values as floats. */
static int queue_logits(const struct device_place *at, int i, struct message *m)
{
    const struct gradient *g = at->g;
    const struct device_training *t = device_of(g);
    int last = g->graph.count - 1;
    size_t count = device_slot_count(at, last);
    (void)i;
    if (gradient_quantized(g) || t->type == DEVICE_F32 || gradient_node(g, last)->op == OP_LINEAR)
        return at->b->copy_on(at->d, QUEUE_COMPUTE, device_logits(at), device_slot_value(at, last),
                              count * sizeof(float), m);
    return at->b->cast(at->d, t->type, device_slot_value(at, last), DEVICE_F32, device_logits(at), count, m);
}

static int forward_step(struct gradient *g, int i, struct message *m)
{
    const struct device_op *op = ops[g->steps.at[i].kind];
    if (g->shard && op->forward_shards)
        return op->forward_shards(g, i, m);
    TRY(device_each(g, gradient_quantized(g) ? op->forward_codes : op->forward, i, m));
    return gradient_quantized(g) ? device_range_update(g, i, m) : 0;
}

int device_queue_forward(struct gradient *g, struct message *m)
{
    const struct device_training *t = device_of(g);
    const struct device_context *c = t->context;
    if (gradient_quantized(g))
        TRY(c->backend->maps(c->device, device_at(t->constants, t->sources), g->graph.count, device_map_of(g, 0),
                             &device_outcome_of(g)->report, m));
    for (int i = 0; i < g->steps.count; i++) {
        TRY(device_mark(g, i, MARK_FORWARD, m));
        TRY(name_it(g, i, forward_step(g, i, m), m));
        TRY(device_mark(g, i, MARK_FORWARD_END, m));
    }
    return device_each(g, queue_logits, 0, m);
}

/* ---- backward ---- */

static int backward_step(struct gradient *g, int i, struct message *m)
{
    const struct device_op *op = ops[g->steps.at[i].kind];
    if (!op->backward || !gradient_wants(g, g->steps.at[i].output))
        return 0;
    if (!g->shard)
        return device_each(g, op->backward, i, m);
    return op->backward_shards ? op->backward_shards(g, i, m) : device_each_gradient(g, op->backward, i, m);
}

int device_queue_backward(struct gradient *g, struct message *m)
{
    for (int i = g->steps.count - 1; i >= 0; i--) {
        TRY(device_mark(g, i, MARK_BACKWARD, m));
        TRY(name_it(g, i, backward_step(g, i, m), m));
        TRY(device_mark(g, i, MARK_BACKWARD_END, m));
    }
    return device_shared_gradients(g, m);
}
