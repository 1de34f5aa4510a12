/* Training over blocks: opened, and the way through a mini-batch. */
#include "base/memory.h"
#include "exec/train/block/block_engine.h"

/* ---- open and close ---- */

static size_t scratch_of(const struct gradient *g)
{
    const struct block_engine *e = block_of(g);
    size_t bytes = 0;
    for (int i = 0; i < g->steps.count; i++)
        if (g->steps.at[i].kind == STEP_CONV && e->steps[i].backward_on)
            bytes = max_size(bytes, e->steps[i].kernels->scratch_bytes(&e->steps[i].conv));
    return bytes;
}

static int open_engine(struct gradient *g, struct message *m)
{
    g->own = memory_new(1, sizeof(struct block_engine), m);
    if (!g->own)
        return STATUS_NOMEM;
    TRY(image_begin(g, m));
    TRY(block_plan(g, m));
    TRY(block_prepare(g, m));
    return image_prepare(g, scratch_of(g), m);
}

static void close_engine(struct gradient *g)
{
    if (!g->own)
        return;
    block_release(g);
    image_release(g);
    memory_free(g->own);
}

/* ---- a mini-batch ---- */

static void pack_forward(struct gradient *g, int count)
{
    image_pack_forward(g, count);
    block_of(g)->blocks = block_count(count);
}

static void step_forward(struct gradient *g, int i)
{
    (block_of(g)->steps[i].forward_on ? block_step_forward : image_step_forward)(g, i);
}

static void step_backward(struct gradient *g, int i)
{
    (block_of(g)->steps[i].backward_on ? block_step_backward : image_step_backward)(g, i);
}

static const struct image_passes passes = {
    .pack_forward = pack_forward,
    .step_forward = step_forward,
    .pack_backward = image_pack_backward,
    .step_backward = step_backward,
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

static const char *precision(const struct gradient *g)
{
    return block_of(g)->planes == 1 ? "bf16" : "fp32";
}

static size_t held_bytes(const struct gradient *g)
{
    return image_held_bytes(g) + block_of(g)->packed_bytes;
}

/* Floats in three planes are six products each; as they are, one of their own. */
static double peak(const struct gradient *g)
{
    int planes = block_of(g)->planes;
    double one = kernel_peak(g->kernels, planes == BLOCK_PLAIN ? "f32" : "bf16", 0.05);
    return one / (planes == 3 ? 6 : 1) * image_threads(g);
}

const struct gradient_engine block_gradient_engine = {
    .name = "block",
    .suits = block_suits,
    .pays = block_pays,
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
    .held_bytes = held_bytes,
    .peak = peak,
};
