/* A mini-batch's size, or a shard's, planned: algorithms and workspace. */
#include "base/memory.h"
#include "exec/train/device/device_train.h"

static int plan_conv(struct gradient *g, struct device_program *p, int i, struct message *m)
{
    struct device_training *t = device_of(g);
    const struct step *s = &g->steps.at[i];
    const struct conv_shape *c = &s->shape;
    struct device_conv conv = {p->count, c->h,      c->w,      c->c,   c->out_h, c->out_w,
                               c->out,   c->kernel, c->stride, c->pad, t->type};
    unsigned fixed = g->shard ? (unsigned)DEVICE_FIXED : 0, passes = fixed | 1u << DEVICE_WEIGHT;
    if (!gradient_quantized(g))
        passes |= 1u << DEVICE_FORWARD;
    if (gradient_wants(g, s->x))
        passes |= 1u << DEVICE_DATA;
    if (!device_is_linear(g, i))
        TRY(device_conv_plan_get(t->context, &conv, passes, &p->steps[i].plan, m));
    if (!gradient_quantized(g))
        return 0;
    conv.type = DEVICE_U8;
    return device_conv_plan_get(t->context, &conv, 1u << DEVICE_FORWARD, &p->steps[i].integer, m);
}

struct device_norm device_norm_of(const struct gradient *g, const struct device_program *p, int i)
{
    const struct step *s = &g->steps.at[i];
    const struct node *n = gradient_node(g, s->node);
    return (struct device_norm){.n = p->count,
                                .h = n->h,
                                .w = n->w,
                                .c = n->c,
                                .type = device_of(g)->type,
                                .relu = s->relu,
                                .has_other = s->other >= 0,
                                .eps = (double)n->eps,
                                .momentum = g->options.batchnorm_momentum};
}

static int plan_norm(struct gradient *g, struct device_program *p, int i, struct message *m)
{
    struct device_norm norm = device_norm_of(g, p, i);
    TRY(device_norm_plan_get(device_of(g)->context, &norm, &p->steps[i].plan, m));
    p->steps[i].reserve = p->reserve_bytes;
    p->reserve_bytes += device_align(device_of(g)->context->backend->plan_reserve(p->steps[i].plan));
    return 0;
}

static int plan_steps(struct gradient *g, struct device_program *p, struct message *m)
{
    const struct device_backend *b = device_of(g)->context->backend;
    for (int i = 0; i < g->steps.count; i++) {
        const struct step *s = &g->steps.at[i];
        int status = s->kind == STEP_CONV                ? plan_conv(g, p, i, m)
                     : s->kind == STEP_NORM && !g->shard ? plan_norm(g, p, i, m)
                                                         : 0;
        if (status < 0)
            return message_prefix(m, status, "%s", gradient_node(g, s->node)->name);
        if (p->steps[i].plan)
            p->workspace_bytes = max_size(p->workspace_bytes, b->plan_workspace(p->steps[i].plan));
        if (p->steps[i].integer)
            p->workspace_bytes = max_size(p->workspace_bytes, b->plan_workspace(p->steps[i].integer));
    }
    return 0;
}

static int program_open(struct gradient *g, struct device_program *p, int count, struct message *m)
{
    const struct device_context *c = device_of(g)->context;
    p->count = count;
    p->steps = memory_new((size_t)g->steps.count, sizeof *p->steps, m);
    if (!p->steps)
        return STATUS_NOMEM;
    TRY(plan_steps(g, p, m));
    TRY(c->backend->allocate(c->device, device_align(p->workspace_bytes + 1), &p->workspace, m));
    return c->backend->allocate(c->device, device_align(p->reserve_bytes + 1), &p->reserve, m);
}

void device_program_close(struct gradient *g, struct device_program *p)
{
    const struct device_context *c = device_of(g)->context;
    c->backend->release(c->device, p->workspace);
    c->backend->release(c->device, p->reserve);
    memory_free(p->steps);
    *p = (struct device_program){0};
}

/* ---- captured steps ---- */

void device_captures_forget(struct gradient *g)
{
    const struct device_context *c = device_of(g)->context;
    for (int i = 0; i < MOST_PROGRAMS; i++) {
        struct device_capture *one = &device_of(g)->captures[i];
        c->backend->graph_free(c->device, one->graph);
        *one = (struct device_capture){0};
    }
}

struct device_capture *device_capture_get(struct gradient *g)
{
    struct device_capture *all = device_of(g)->captures;
    int i = 0;
    while (i < MOST_PROGRAMS && all[i].images && all[i].images != g->reduce.images)
        i++;
    if (i == MOST_PROGRAMS) {
        device_captures_forget(g);
        i = 0;
    }
    all[i].images = g->reduce.images;
    return &all[i];
}

/* ---- programs ---- */

/* The one for the largest mini-batch stays; where there is no room, another one makes it, and with it go the captured
 * steps, which may be its. */
static struct device_program *program_slot(struct gradient *g)
{
    struct device_training *t = device_of(g);
    for (int i = 0; i < MOST_PROGRAMS; i++)
        if (!t->programs[i].count)
            return &t->programs[i];
    struct device_program *p = &t->programs[MOST_PROGRAMS - 1];
    device_captures_forget(g);
    device_program_close(g, p);
    return p;
}

int device_program_get(struct gradient *g, int count, struct device_program **out, struct message *m)
{
    struct device_training *t = device_of(g);
    for (int i = 0; i < MOST_PROGRAMS; i++)
        if (t->programs[i].count == count) {
            *out = &t->programs[i];
            return 0;
        }
    struct device_program *p = program_slot(g);
    int status = program_open(g, p, count, m);
    if (status < 0) {
        device_program_close(g, p);
        return status;
    }
    *out = p;
    return 0;
}
