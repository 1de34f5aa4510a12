/* What a layer reads, sampled, and its codes by it. */
#include "base/memory.h"
#include "exec/infer/exec.h"
#include "graph/codes.h"
#include "ptq/gptq.h"
#include "quant/weights.h"
#include <string.h>

enum { SAMPLES = 16 /* pixels an image */ };

struct sampling {
    const struct node *node, *input;
    int zero_point, kernel, stride, pad;
    struct gram gram;
    int64_t images; /* so far */
    int16_t *values;
    struct threads *pool;
};

static int samples_of(int pixels)
{
    return pixels < SAMPLES ? pixels : SAMPLES;
}

/* Pixel t of those sampled of an image: an odd distance apart, begun elsewhere for each image, so that rows and columns
 * are all met. */
static int sampled_pixel(int64_t image, int t, int pixels)
{
    int step = pixels / samples_of(pixels) | 1;
    return pixels <= SAMPLES ? t : (int)((image * 7 + (int64_t)t * step) % pixels);
}

/* What the layer multiplies for one output pixel, into column `at` of values [inputs, samples]. */
static void take_pixel(const struct sampling *s, const uint8_t *x, int pixel, int samples, int at)
{
    const struct node *in = s->input;
    int row = pixel / s->node->w * s->stride - s->pad, column = pixel % s->node->w * s->stride - s->pad;
    int16_t *to = s->values + at;
    for (int c = 0; c < in->c; c++)
        for (int r = row; r < row + s->kernel; r++)
            for (int t = column; t < column + s->kernel; t++, to += samples) {
                int inside = r >= 0 && t >= 0 && r < in->h && t < in->w;
                *to = (int16_t)(inside ? x[((size_t)r * (size_t)in->w + (size_t)t) * (size_t)in->c + (size_t)c] -
                                             s->zero_point
                                       : 0);
            }
}

static int see(void *context, const struct exec_sums *shown, struct message *m)
{
    struct sampling *s = context;
    int each = samples_of(shown->pixels), samples = shown->images * each;
    s->values = memory_new_raw((size_t)samples * (size_t)s->gram.inputs, sizeof *s->values, m);
    if (!s->values)
        return STATUS_NOMEM;
    for (int i = 0; i < shown->images; i++, s->images++)
        for (int t = 0; t < each; t++)
            take_pixel(s, shown->x + (size_t)i * shown->x_image, sampled_pixel(s->images, t, shown->pixels),
                       samples, i * each + t);
    gram_add(&s->gram, s->values, samples, s->pool);
    memory_free(s->values);
    s->values = NULL;
    return 0;
}

static int look(const struct model *model, int node, struct sampling *s, const uint8_t *images, int64_t count,
                int threads, struct message *m)
{
    const struct exec_options how = {.threads = threads, .keep_activations = 1};
    struct exec *exec;
    TRY(exec_open(&exec, model, &how, m));
    int status = exec_observe_sums(exec, images, count, node, see, s, m);
    exec_close(exec);
    return status;
}

static int set_codes(struct model *model, int node, struct sampling *s, const float *w, struct message *m)
{
    struct tensor *weight = model_tensor(model, node, "weight");
    size_t count = model_weight_count(model, node);
    int bits = model_weight_bits(model, node);
    const float *scale = model_tensor(model, node, "weight_scale")->data;
    int8_t *codes = memory_new_raw(count, 1, m);
    if (!codes)
        return STATUS_NOMEM;
    int status = gptq_codes(&s->gram, w, scale, s->node->c, weight_qmax(bits), s->pool, codes, m);
    if (status == 0 && weight->dtype == DTYPE_I8)
        memcpy(weight->data, codes, count);
    else if (status == 0)
        codes_pack(codes, count, bits, weight->data);
    memory_free(codes);
    return status < 0 ? status : 0;
}

int gptq_layer(struct model *int8, int node, const float *w, const uint8_t *images, int64_t count, int threads,
               struct message *m)
{
    const struct node *n = &int8->graph.nodes[node];
    int is_conv = n->op == OP_CONV2D, status;
    struct sampling s = {.node = n,
                         .input = &int8->graph.nodes[n->inputs[0]],
                         .zero_point = *(const uint8_t *)model_tensor(int8, n->inputs[0], "zero_point")->data,
                         .kernel = is_conv ? n->kernel : 1,
                         .stride = is_conv ? n->stride : 1,
                         .pad = is_conv ? n->pad : 0};
    TRY(threads_open(&s.pool, threads ? threads : 1, m));
    TRY_GOTO(gram_open(&s.gram, (int)(model_weight_count(int8, node) / (size_t)n->c), m), done);
    TRY_GOTO(look(int8, node, &s, images, count, threads, m), done);
    status = set_codes(int8, node, &s, w, m);
done:
    memory_free(s.values);
    gram_close(&s.gram);
    threads_close(s.pool);
    return status;
}
