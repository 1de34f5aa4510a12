/* Whole training steps on a device: queued, captured, and their outcomes collected while later ones run. */
#include "base/memory.h"
#include "exec/train/device/device_train.h"
#include <math.h>
#include <string.h>

/* ---- one step, queued ---- */

static int queue_loss(const struct device_place *at, int i, struct message *m)
{
    struct gradient *g = at->g;
    struct device_training *t = device_of(g);
    size_t first = (size_t)at->first;
    const uint16_t *labels = device_at(t->intake, t->at.labels), *labels2 = device_at(t->intake, t->at.labels2);
    const float *share = device_at(t->intake, t->at.share);
    const struct targets targets = {.labels = labels + first,
                                    .labels2 = labels2 + first * DEVICE_MORE_LABELS,
                                    .share = share + first * DEVICE_MORE_LABELS,
                                    .more = DEVICE_MORE_LABELS};
    int last = g->graph.count - 1;
    struct device_outcome *o = device_outcome_of(g);
    const struct device_loss_call call = {.logits = device_logits(at),
                                          .targets = targets,
                                          .n = at->p->count,
                                          .k = (int)g->values[last].elements,
                                          .of = g->reduce.images,
                                          .smoothing = t->rule.label_smoothing,
                                          .scale = device_scale_of(g),
                                          .type = t->type,
                                          .dlogits = device_slot_gradient(at, last),
                                          .report = g->shard ? &o->shards[at->shard] : &o->report};
    (void)i;
    return at->b->loss(at->d, &call, m);
}

static int queue_update(struct gradient *g, struct message *m)
{
    struct device_training *t = device_of(g);
    const struct device_backend *b = t->context->backend;
    struct device *d = t->context->device;
    struct device_scale *scale = device_scale_of(g);
    struct device_sgd sgd = {.count = g->parameter_count,
                             .parameters = t->parameters,
                             .velocity = t->velocity,
                             .gradients = t->gradients,
                             .flags = device_at(t->constants, t->flags),
                             .average = t->average,
                             .copy = t->copy,
                             .copy_type = t->type,
                             .scalars = t->intake,
                             .scale = scale,
                             .momentum = (float)t->rule.momentum,
                             .weight_decay = (float)t->rule.weight_decay,
                             .nesterov = t->rule.nesterov};
    if (scale)
        TRY(b->scale_check(d, t->gradients, g->parameter_count, scale, m));
    TRY(b->sgd(d, &sgd, m));
    if (t->average && g->state_count)
        TRY(b->blend(d, t->average + g->parameter_count, t->state, g->state_count, t->intake, scale, m));
    return scale ? b->scale_update(d, scale, m) : 0;
}

static int queue_step(struct gradient *g, struct message *m)
{
    TRY(device_queue_forward(g, m));
    TRY(device_each(g, queue_loss, 0, m));
    TRY(device_queue_backward(g, m));
    return queue_update(g, m);
}

static int capture(struct gradient *g, struct device_capture *p, struct message *m)
{
    const struct device_context *c = device_of(g)->context;
    struct message why = {{0}};
    int status = c->backend->capture_begin(c->device, &why);
    if (status == STATUS_UNSUPPORTED)
        return 0;
    if (status < 0)
        return message_set(m, status, "%s", why.text);
    status = queue_step(g, m);
    if (status < 0) {
        c->backend->capture_abandon(c->device);
        return status;
    }
    return c->backend->capture_end(c->device, &p->graph, m);
}

/* ---- outcomes ---- */

/* Of the whole mini-batch of `images`. */
static int report_of(struct gradient *g, const struct device_outcome *o, int images, struct device_report *all,
                     struct message *m)
{
    enum { VALUES = 2 };
    double each[TREE_SHARDS][VALUES];
    if (!g->shard) {
        *all = o->report;
        return 0;
    }
    reduce_begin(&g->reduce, images);
    int count = g->reduce.share.end - g->reduce.share.begin;
    for (int i = 0; i < count; i++) {
        each[i][0] = o->shards[i].loss;
        each[i][1] = (double)o->shards[i].correct;
    }
    const struct parts parts = {each[0], VALUES, count, 1};
    const double *sums = reduce_sums(&g->reduce, &parts, VALUES);
    TRY(reduce_end(&g->reduce, m));
    *all = (struct device_report){.loss = sums[0], .correct = (int32_t)sums[1], .images = images};
    return 0;
}

static int check_outcome(const struct gradient *g, const struct device_outcome *o, const struct device_report *all,
                         struct message *m)
{
    if (o->report.bad_map > 0)
        return message_set(m, STATUS_RANGE, "%s: the learned scale or moving range is not finite",
                           gradient_node(g, o->report.bad_map - 1)->name);
    if (!isfinite(all->loss))
        return message_set(m, STATUS_RANGE, "loss is %s", isnan(all->loss) ? "nan" : "inf");
    if (device_of(g)->is_scaled && o->scale.in_a_row >= MOST_SKIPPED_IN_A_ROW)
        return message_set(m, STATUS_RANGE,
                           "the gradients of %d steps in a row overflowed fp16, at last with the loss times %g",
                           o->scale.in_a_row, (double)o->scale.scale);
    return 0;
}

/* Steps that were begun after the one in this slot. */
static int steps_behind(const struct device_training *t, int slot)
{
    int behind = 0;
    for (int i = 0; i < PIPE_SLOTS; i++)
        behind += i != slot && t->in_slot[i] > t->in_slot[slot];
    return behind;
}

static int collect(struct gradient *g, int slot, struct gradient_done *done, struct message *m)
{
    struct device_training *t = device_of(g);
    const struct device_outcome *o = t->pipe.slots[slot].out;
    struct device_report all;
    if (!t->in_slot[slot])
        return 0;
    done->behind = steps_behind(t, slot);
    t->in_slot[slot] = 0;
    TRY(device_pipe_wait(&t->pipe, slot, m));
    TRY(report_of(g, o, t->of_slot[slot], &all, m));
    TRY(check_outcome(g, o, &all, m));
    done->loss += all.loss;
    done->images += all.images;
    done->correct += all.correct;
    done->behind = -1;
    done->skipped += t->is_scaled ? o->scale.skipped - t->scale.skipped : 0;
    if (t->is_scaled)
        t->scale = (struct gradient_scale){o->scale.scale, o->scale.good, o->scale.in_a_row, o->scale.skipped};
    return 0;
}

/* ---- begin ---- */

static int allocate(struct gradient *g, size_t count, float **to, struct message *m)
{
    const struct device_context *c = device_of(g)->context;
    void *p;
    if (*to)
        return 0;
    TRY(c->backend->allocate(c->device, device_align(count * sizeof(float) + 1), &p, m));
    *to = p;
    return 0;
}

/* Before the first step: the graphs that hold the rule are captured after it is known. */
static int take_rule(struct gradient *g, const struct gradient_rule *rule, struct message *m)
{
    struct device_training *t = device_of(g);
    TRY(allocate(g, g->parameter_count, &t->velocity, m));
    if (rule->average)
        TRY(allocate(g, g->parameter_count + g->state_count, &t->average, m));
    t->rule = *rule;
    t->has_rule = 1;
    device_captures_forget(g);
    return 0;
}

static int scale_in(struct gradient *g, struct message *m)
{
    struct device_training *t = device_of(g);
    const struct device_context *c = t->context;
    const struct device_outcome o = {
        .scale = {t->scale.scale, 0, t->scale.good, t->scale.in_a_row, t->scale.skipped}};
    TRY(c->backend->copy_in(c->device, QUEUE_COMPUTE, t->outcome, &o, sizeof o, m));
    return c->backend->synchronize(c->device, m);
}

static int begin(struct gradient *g, const struct gradient_rule *rule, struct message *m)
{
    struct device_training *t = device_of(g);
    const struct device_context *c = t->context;
    TRY(take_rule(g, rule, m));
    TRY(device_flat_in(g, g->parameters, t->parameters, m));
    TRY(device_flat_in(g, rule->velocity, t->velocity, m));
    TRY(device_state_in(g, g->state, t->state, m));
    if (rule->average) {
        TRY(device_flat_in(g, rule->average, t->average, m));
        TRY(device_state_in(g, rule->average + g->parameter_count, t->average + g->parameter_count, m));
    }
    TRY(c->backend->copy_in(c->device, QUEUE_COMPUTE, device_at(t->constants, t->flags), rule->flags,
                            g->parameter_count / DEVICE_FLAG_FLOATS, m));
    TRY(scale_in(g, m)); /* waits for all of it */
    TRY(device_copy_parameters(g, m));
    return c->backend->synchronize(c->device, m);
}

/* ---- profile ---- */

static int seconds_between(const struct gradient *g, int step, enum device_mark from, enum device_mark to,
                           double *sum, struct message *m)
{
    const struct device_training *t = device_of(g);
    struct device_event **e = t->events + (size_t)step * DEVICE_EVENTS;
    double seconds;
    TRY(t->context->backend->event_seconds(t->context->device, e[from], e[to], &seconds, m));
    *sum += seconds;
    return 0;
}

static int add_times(struct gradient *g, struct message *m)
{
    const struct device_context *c = device_of(g)->context;
    TRY(c->backend->synchronize(c->device, m));
    for (int i = 0; i < g->steps.count; i++) {
        double *seconds = g->train[i].seconds;
        int is_conv = g->steps.at[i].kind == STEP_CONV;
        TRY(seconds_between(g, i, MARK_FORWARD, MARK_FORWARD_END, &seconds[PASS_FORWARD], m));
        if (is_conv)
            TRY(seconds_between(g, i, MARK_BACKWARD, MARK_WEIGHT_END, &seconds[PASS_WEIGHT], m));
        TRY(seconds_between(g, i, is_conv ? MARK_WEIGHT_END : MARK_BACKWARD, MARK_BACKWARD_END, &seconds[PASS_DATA],
                            m));
    }
    return 0;
}

/* ---- steps ---- */

static void fill_targets(unsigned char *to, const struct device_intake *at, const struct targets *targets,
                         int count)
{
    uint16_t *labels2 = (uint16_t *)(to + at->labels2);
    float *share = (float *)(to + at->share);
    memcpy(to + at->labels, targets->labels, (size_t)count * sizeof *targets->labels);
    for (int i = 0; i < count; i++) {
        for (int j = 0; j < DEVICE_MORE_LABELS; j++) {
            const int from = i * targets->more + j, slot = i * DEVICE_MORE_LABELS + j;
            labels2[slot] = j < targets->more ? targets->labels2[from] : targets->labels[i];
            share[slot] = j < targets->more ? targets->share[from] : 0;
        }
    }
}

static size_t fill(const struct gradient *g, unsigned char *to, const uint8_t *images,
                   const struct targets *targets, int count, struct device_scalars scalars)
{
    const struct device_intake *at = &device_of(g)->at;
    size_t bytes = g->values[0].elements * (size_t)count;
    memcpy(to, &scalars, sizeof scalars);
    fill_targets(to, at, targets, count);
    memcpy(to + at->pixels, images, bytes);
    return at->pixels + bytes;
}

static int launch(struct gradient *g, const struct device_capture *p, int slot, size_t bytes, struct message *m)
{
    struct device_training *t = device_of(g);
    const struct device_context *c = t->context;
    TRY(device_pipe_send(&t->pipe, slot, t->intake, bytes, m));
    if (p->graph && !g->profiling)
        TRY(c->backend->graph_launch(c->device, p->graph, m));
    else
        TRY(queue_step(g, m));
    TRY(device_pipe_receive(&t->pipe, slot, t->outcome, device_outcome_bytes(g), m));
    return g->profiling ? add_times(g, m) : 0;
}

static int step(struct gradient *g, const uint8_t *images, const struct targets *targets, int count, double rate,
                double bias_rate, double share, struct gradient_done *done, struct message *m)
{
    struct device_training *t = device_of(g);
    if (!t->has_rule)
        return message_set(m, STATUS_MISMATCH, "a step needs gradient_step_begin before it");
    int slot = t->pipe.next;
    TRY(collect(g, slot, done, m));
    reduce_begin(&g->reduce, count);
    int own = g->reduce.share.images;
    struct device_capture *p = device_capture_get(g);
    if (p->has_run && !p->graph && !g->profiling && device_shared_is_queued(g))
        TRY(capture(g, p, m));
    p->has_run = 1;
    size_t bytes = fill(g, t->pipe.slots[slot].in, images, targets, own,
                        (struct device_scalars){(float)rate, (float)bias_rate, (float)share});
    TRY(launch(g, p, slot, bytes, m));
    t->in_slot[slot] = ++t->begun;
    t->of_slot[slot] = count;
    device_count_batch(g);
    return 0;
}

static int wait_for_all(struct gradient *g, struct gradient_done *done, struct message *m)
{
    struct device_training *t = device_of(g);
    for (int i = 0; i < PIPE_SLOTS; i++)
        TRY(collect(g, (t->pipe.next + i) % PIPE_SLOTS, done, m));
    return 0;
}

static int settle(struct gradient *g, struct gradient_done *done, struct message *m)
{
    struct device_training *t = device_of(g);
    if (!t->has_rule)
        return 0;
    TRY(wait_for_all(g, done, m));
    TRY(device_flat_out(g, t->parameters, g->parameters, m));
    TRY(device_flat_out(g, t->velocity, t->rule.velocity, m));
    TRY(device_state_out(g, t->state, g->state, m));
    if (!t->rule.average)
        return 0;
    TRY(device_flat_out(g, t->average, t->rule.average, m));
    return device_state_out(g, t->average + g->parameter_count, t->rule.average + g->parameter_count, m);
}

static struct gradient_scale *loss_scale(struct gradient *g)
{
    return device_of(g)->is_scaled ? &device_of(g)->scale : NULL;
}

const struct gradient_whole_steps device_whole_steps = {
    .begin = begin, .step = step, .wait = wait_for_all, .settle = settle, .loss_scale = loss_scale};
