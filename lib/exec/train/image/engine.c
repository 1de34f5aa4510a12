/* Training image by image: memory, and the way through a mini-batch. */
#include "base/memory.h"
#include "exec/train/image/image_engine.h"
#include <string.h>

/* ---- buffers ---- */

static struct buffer_bytes bytes_of(const struct gradient *g, int node, int step)
{
    size_t elements = g->values[node].elements, batch = (size_t)g->options.batch;
    size_t floats = elements * sizeof(float) * batch;
    int codes = step < 0 || (gradient_quantized(g) && !gradient_is_last(g, node));
    return (struct buffer_bytes){.value = codes ? round_up_64(elements) * batch : floats,
                                 .before = gradient_has_before(g, node, step) ? floats : 0,
                                 .gradient = floats,
                                 .longer = step > 0 && image_of(g)->steps[step - 1].norm_behind};
}

/* The floats of a step's codes. */
static size_t dequantized_elements(const struct gradient *g, int i)
{
    const struct step *s = &g->steps.at[i];
    size_t elements = 0;
    if (s->kind == STEP_CONV || s->kind == STEP_MAX)
        return g->values[s->x].elements;
    for (int k = 0; gradient_is_last(g, s->output) && k < step_operands(s); k++)
        elements += step_operand(s, k) >= 0 ? g->values[step_operand(s, k)].elements : 0;
    return elements;
}

/* Besides: one block for the floats of any step's codes. A last step that gives floats reads it in forward too. */
static int plan_buffers(struct gradient *g, struct message *m)
{
    struct image_engine *e = image_of(g);
    size_t largest = 0;
    for (int i = 0; gradient_quantized(g) && i < g->steps.count; i++)
        largest = max_size(largest, dequantized_elements(g, i));
    struct lifetime dequantized = life_of_backward(&g->steps, largest * sizeof(float) * (size_t)g->options.batch);
    dequantized.begin -= g->steps.at[g->steps.count - 1].kind != STEP_CONV;
    TRY(gradient_plan_buffers(g, bytes_of, &dequantized, 1, &e->arena_bytes, m));
    e->dequantized = dequantized.offset;
    return 0;
}

/* ---- open and close ---- */

int image_begin(struct gradient *g, struct message *m)
{
    struct image_engine *e = image_of(g);
    TRY(threads_open(&e->pool, g->options.threads ? g->options.threads : 1, m));
    e->steps = memory_new((size_t)g->steps.count, sizeof *e->steps, m);
    if (!e->steps)
        return STATUS_NOMEM;
    for (int i = 0; i < g->steps.count; i++) {
        const struct step *s = &g->steps.at[i];
        struct image_step *own = &e->steps[i];
        *own = (struct image_step){.forward = 1, .backward = 1, .items = 1};
        if (s->kind != STEP_CONV)
            continue;
        own->rows = conv_item_rows(&s->shape);
        own->items = (s->shape.out_h + own->rows - 1) / own->rows;
    }
    return 0;
}

/* Of a worker: any kernel's, or one image's gradient. */
static size_t scratch_of(const struct gradient *g, int i)
{
    const struct kernel_table *k = g->kernels;
    const struct step *s = &g->steps.at[i];
    const struct image_step *own = &image_of(g)->steps[i];
    size_t bytes = g->train[i].accumulate_x ? g->values[s->x].elements * sizeof(float) : 0;
    if (s->kind == STEP_CONCAT) /* one operand's gradient: less than the result's */
        bytes = g->values[s->output].elements * sizeof(float);
    if (s->kind != STEP_CONV)
        return bytes;
    if (own->forward)
        bytes = max_size(bytes, gradient_quantized(g) ? kernel_conv_u8(k, &s->shape)->scratch_bytes(&s->shape)
                                                      : kernel_conv_f32(k, &s->shape)->scratch_bytes(&s->shape));
    if (own->backward) {
        bytes = max_size(bytes, kernel_conv_f32_backward_data(k, &s->shape)->scratch_bytes(&s->shape));
        bytes = max_size(bytes, kernel_conv_f32_backward_weight(k, &s->shape)->scratch_bytes(&s->shape));
    }
    return bytes;
}

int image_prepare(struct gradient *g, size_t scratch_bytes, struct message *m)
{
    struct image_engine *e = image_of(g);
    size_t inputs = 256 * (size_t)gradient_node(g, 0)->c, channels = 1, scratch = max_size(64, scratch_bytes);
    TRY(image_pack_prepare(g, m));
    for (int i = 0; i < g->steps.count; i++) {
        scratch = max_size(scratch, scratch_of(g, i));
        channels = max_size(channels, (size_t)gradient_node(g, g->steps.at[i].output)->c);
        channels = max_size(channels, (size_t)gradient_node(g, g->steps.at[i].x)->c);
    }
    e->scratch_stride = round_up_64(scratch);
    e->partial_stride = 2 * channels;
    if (g->options.plans_alone)
        return 0;
    e->arena = memory_new(e->arena_bytes, 1, m);
    if (!e->arena)
        return STATUS_NOMEM;
    e->scratch = memory_new((size_t)threads_count(e->pool), e->scratch_stride, m);
    e->partials = memory_new((size_t)g->options.batch, e->partial_stride * sizeof *e->partials, m);
    e->table = memory_new(inputs, 1, m);
    e->table_values = memory_new(inputs, sizeof *e->table_values, m);
    return e->scratch && e->partials && e->table && e->table_values ? 0 : STATUS_NOMEM;
}

void image_release(struct gradient *g)
{
    struct image_engine *e = image_of(g);
    threads_close(e->pool);
    for (int i = 0; e->steps && i < g->steps.count; i++)
        image_pack_release(&e->steps[i]);
    memory_free(e->steps);
    memory_free(e->arena);
    memory_free(e->scratch);
    memory_free(e->partials);
    memory_free(e->real_weights);
    memory_free(e->table);
    memory_free(e->table_values);
}

static int open_engine(struct gradient *g, struct message *m)
{
    g->own = memory_new(1, sizeof(struct image_engine), m);
    if (!g->own)
        return STATUS_NOMEM;
    TRY(image_begin(g, m));
    image_links_plan(g);
    TRY(plan_buffers(g, m));
    return image_prepare(g, 0, m);
}

static void close_engine(struct gradient *g)
{
    if (!g->own)
        return;
    image_release(g);
    memory_free(g->own);
}

/* ---- a mini-batch ---- */

int image_forward_by(const struct image_passes *by, struct gradient *g, const uint8_t *images, int count,
                     float *logits, struct message *m)
{
    int last = g->graph.count - 1;
    size_t image_bytes = g->values[0].elements, classes = g->values[last].elements;
    if (gradient_quantized(g))
        TRY(codes_begin_forward(g, m));
    double start = profile_begin(g);
    by->pack_forward(g, count);
    profile_end(g, 0, PASS_FORWARD, start);
    for (int i = 0; i < count; i++)
        memcpy(value_u8(g, 0, i), images + (size_t)i * image_bytes, image_bytes);
    for (int i = 0; i < g->steps.count; i++) {
        start = profile_begin(g);
        by->step_forward(g, i);
        profile_end(g, i, PASS_FORWARD, start);
    }
    memcpy(logits, value_f32(g, last, 0), (size_t)count * classes * sizeof(float));
    return 0;
}

static void scales_item(void *context, int step, int worker)
{
    (void)worker;
    weight_scales_backward(context, step);
}

int image_backward_by(const struct image_passes *by, struct gradient *g, const float *dlogits)
{
    int last = g->graph.count - 1;
    by->pack_backward(g);
    memcpy(value_gradient(g, last, 0), dlogits, (size_t)g->count * g->values[last].elements * sizeof(float));
    for (int i = g->steps.count - 1; i >= 0; i--)
        by->step_backward(g, i);
    reduce_wait(&g->reduce); /* for the weights' gradients, which those of their scales are made of */
    if (g->options.learn_weight_scales)
        threads_run(image_of(g)->pool, scales_item, g, g->steps.count);
    return 0;
}

static const struct image_passes passes = {
    .pack_forward = image_pack_forward,
    .step_forward = image_step_forward,
    .pack_backward = image_pack_backward,
    .step_backward = image_step_backward,
};

static int forward(struct gradient *g, const uint8_t *images, int count, float *logits, struct message *m)
{
    return image_forward_by(&passes, g, images, count, logits, m);
}

static int backward(struct gradient *g, const float *dlogits, struct message *m)
{
    (void)m;
    return image_backward_by(&passes, g, dlogits);
}

/* ---- what it is ---- */

int image_threads(const struct gradient *g)
{
    return threads_count(image_of(g)->pool);
}

struct threads *image_workers(const struct gradient *g)
{
    return image_of(g)->pool;
}

const char *image_device(const struct gradient *g)
{
    (void)g;
    return "cpu";
}

const char *image_isa(const struct gradient *g)
{
    return g->kernels->isa;
}

static const char *precision(const struct gradient *g)
{
    (void)g;
    return "fp32";
}

size_t image_arena_bytes(const struct gradient *g)
{
    return image_of(g)->arena_bytes;
}

size_t image_held_bytes(const struct gradient *g)
{
    const struct image_engine *e = image_of(g);
    size_t flats = (gradient_quantized(g) ? 3 : 2) * g->parameter_count + g->state_count;
    size_t bytes = e->arena_bytes + (size_t)threads_count(e->pool) * e->scratch_stride + flats * sizeof(float);
    bytes += (size_t)g->options.batch * e->partial_stride * sizeof *e->partials;
    for (int i = 0; i < g->steps.count; i++)
        bytes += image_packed_bytes(g, i);
    return bytes;
}

static double peak(const struct gradient *g)
{
    return kernel_peak(g->kernels, "f32", 0.05) * image_threads(g);
}

const struct gradient_engine image_gradient_engine = {
    .name = "image",
    .open = open_engine,
    .close = close_engine,
    .forward = forward,
    .backward = backward,
    .threads = image_threads,
    .workers = image_workers,
    .device = image_device,
    .isa = image_isa,
    .precision = precision,
    .arena_bytes = image_arena_bytes,
    .held_bytes = image_held_bytes,
    .peak = peak,
};
