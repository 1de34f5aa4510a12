#include "exec/device/context.h"
#include "base/memory.h"
#include "kernel/contract/number.h"
#include <stdio.h>
#include <string.h>

/* By tf32 and fast; a device that could not be opened is not tried again. */
static struct device_context contexts[4];
static struct {
    int tried, status;
    struct message why;
} found[4];

static int preferred;

void device_prefer(int index)
{
    preferred = index;
}

/* ---- opening ---- */

static int context_open(struct device_context *c, struct message *m)
{
    enum { LARGEST_WORKSPACE = 1 << 30 };
    TRY(device_backend_open("cuda", &c->backend, m));
    TRY(c->backend->open(&c->options, &c->device, m));
    int status = c->backend->information(c->device, &c->information, m);
    if (status < 0) {
        c->backend->close(c->device);
        c->device = NULL;
        return status;
    }
    c->workspace_limit =
        c->information.memory / 16 < LARGEST_WORKSPACE ? c->information.memory / 16 : (size_t)LARGEST_WORKSPACE;
    return 0;
}

int device_context_get(int tf32, int fast, struct device_context **out, struct message *m)
{
    int i = (tf32 != 0) + 2 * (fast != 0);
    struct device_context *c = &contexts[i];
    if (!found[i].tried) {
        c->options = (struct device_options){.tf32 = tf32 != 0, .fast = fast != 0, .index = preferred};
        found[i].tried = 1;
        found[i].status = context_open(c, &found[i].why);
    }
    if (found[i].status < 0)
        return message_set(m, found[i].status, "%s", found[i].why.text);
    *out = c;
    return 0;
}

void devices_close(void)
{
    for (int i = 0; i < 4; i++) {
        struct device_context *c = &contexts[i];
        for (int k = 0; k < c->planned_count; k++)
            c->backend->plan_free(c->device, c->planned[k].plan);
        memory_free(c->planned);
        if (c->device)
            c->backend->close(c->device);
    }
    memset(contexts, 0, sizeof contexts);
    memset(found, 0, sizeof found);
}

static int is(const char *device, const char *name)
{
    return strcmp(device, name) == 0;
}

int device_choose(const char *device, const char **name, struct message *why, struct message *m)
{
    struct device_context *c;
    struct message reason = {{0}}, unused;
    const char *asked = device && *device ? device : "cpu";
    why = why ? why : &unused;
    *name = "cpu";
    if (is(asked, "cpu"))
        return message_set(why, 0, "asked for");
    if (!is(asked, "cuda") && !is(asked, "auto"))
        return message_set(m, STATUS_UNSUPPORTED, "unknown device '%s', want auto, cpu or cuda", asked);
    int status = device_context_get(0, 0, &c, &reason);
    if (status < 0 && is(asked, "auto"))
        return message_set(why, 0, "cuda: %s", reason.text);
    if (status < 0)
        return message_set(m, status, "device cuda: %s", reason.text);
    *name = "cuda";
    return message_set(why, 0, "%s, %s", c->information.name, c->information.library);
}

int device_is_offered(void)
{
    return device_backend_exists("cuda");
}

/* ---- plans ---- */

static struct device_planned *planned_new(struct device_context *c, struct message *m)
{
    if (c->planned_count == c->planned_capacity) {
        int capacity = c->planned_capacity ? 2 * c->planned_capacity : 32;
        struct device_planned *all =
            memory_resize(c->planned, (size_t)c->planned_count * sizeof *all, (size_t)capacity, sizeof *all, m);
        if (!all)
            return NULL;
        c->planned = all;
        c->planned_capacity = capacity;
    }
    return &c->planned[c->planned_count];
}

static int same_conv(const struct device_conv *a, const struct device_conv *b)
{
    return a->n == b->n && a->h == b->h && a->w == b->w && a->c == b->c && a->k == b->k && a->kernel == b->kernel &&
           a->stride == b->stride && a->pad == b->pad && a->type == b->type;
}

static int same_norm(const struct device_norm *a, const struct device_norm *b)
{
    return a->n == b->n && a->h == b->h && a->w == b->w && a->c == b->c && a->type == b->type &&
           a->relu == b->relu && a->has_other == b->has_other && a->eps == b->eps && a->momentum == b->momentum;
}

int device_conv_plan_get(struct device_context *c, const struct device_conv *conv, unsigned passes,
                         struct device_plan **p, struct message *m)
{
    for (int i = 0; i < c->planned_count; i++)
        if (!c->planned[i].is_norm && c->planned[i].passes == passes && same_conv(&c->planned[i].conv, conv)) {
            *p = c->planned[i].plan;
            return 0;
        }
    struct device_planned *new = planned_new(c, m);
    if (!new)
        return STATUS_NOMEM;
    *new = (struct device_planned){.conv = *conv, .passes = passes};
    TRY(c->backend->conv_plan(c->device, conv, passes, c->workspace_limit, &new->plan, m));
    c->planned_count++;
    *p = new->plan;
    return 0;
}

int device_norm_plan_get(struct device_context *c, const struct device_norm *norm, struct device_plan **p,
                         struct message *m)
{
    for (int i = 0; i < c->planned_count; i++)
        if (c->planned[i].is_norm && same_norm(&c->planned[i].norm, norm)) {
            *p = c->planned[i].plan;
            return 0;
        }
    struct device_planned *new = planned_new(c, m);
    if (!new)
        return STATUS_NOMEM;
    *new = (struct device_planned){.is_norm = 1, .norm = *norm};
    TRY(c->backend->norm_plan(c->device, norm, &new->plan, m));
    c->planned_count++;
    *p = new->plan;
    return 0;
}

/* ---- types ---- */

int device_type_choose(const struct device_context *c, const char *precision, enum device_type *type,
                       struct message *m)
{
    const struct device_information *i = &c->information;
    *type = DEVICE_F32;
    if (!precision || !precision[0] || is(precision, "fp32"))
        return 0;
    *type = is(precision, "fp16") ? DEVICE_F16 : DEVICE_BF16;
    if (!is(precision, "fp16") && !is(precision, "bf16"))
        return message_set(m, STATUS_UNSUPPORTED, "precision '%s' is not one of fp32, bf16, fp16", precision);
    if (is(precision, "fp16") ? !i->has_f16 : !i->has_bf16)
        return message_set(m, STATUS_UNSUPPORTED, "precision %s: %s has none", precision, i->name);
    return 0;
}

const char *device_type_precision(enum device_type type)
{
    return type == DEVICE_F16 ? "fp16" : type == DEVICE_BF16 ? "bf16" : "fp32";
}

size_t device_type_bytes(enum device_type type)
{
    return type == DEVICE_F32 || type == DEVICE_S32 ? 4 : type == DEVICE_U8 || type == DEVICE_S8 ? 1 : 2;
}

void device_values_round(const float *values, size_t count, enum device_type type, void *to)
{
    for (size_t i = 0; i < count; i++) {
        if (type == DEVICE_F16)
            ((struct half16 *)to)[i] = half_round(values[i]);
        else if (type == DEVICE_BF16)
            ((struct brain16 *)to)[i] = brain_round(values[i]);
        else
            ((float *)to)[i] = values[i];
    }
}
