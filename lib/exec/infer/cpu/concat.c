/* The channels of all operands, one behind the other; of codes on the result's map, by a table an operand.
 *   x_k [N,H,W,C_k] -> y [N,H,W,sum of C_k] */
#include "exec/infer/cpu/rows.h"

/* Writes one operand's pixels of one row to where its channels begin in y. */
typedef void place_row(const struct exec *e, int i, int k, const void *x, int channels, int pixels, char *y);

static void each_operand(const struct exec *e, int i, const struct span *at, place_row *place)
{
    const struct step *s = &e->steps.at[i];
    const struct node *n = exec_node(e, s->output);
    size_t element = cpu_of(e)->values[s->output].element;
    FOR_EACH_ROW(r)
    {
        char *y = row_of(e, s->output, at, r);
        for (int k = 0; k < n->input_count; k++) {
            int channels = exec_node(e, n->inputs[k])->c;
            place(e, i, k, row_of(e, n->inputs[k], at, r), channels, n->w, y);
            y += (size_t)channels * element;
        }
    }
}

static void place_same(const struct exec *e, int i, int k, const void *x, int channels, int pixels, char *y)
{
    int output = e->steps.at[i].output;
    size_t element = cpu_of(e)->values[output].element, bytes = (size_t)channels * element;
    (void)k;
    for (int p = 0; p < pixels; p++)
        memcpy(y + (size_t)p * (size_t)exec_node(e, output)->c * element, (const char *)x + (size_t)p * bytes,
               bytes);
}

/* As logits they become floats. */
static void place_bf16(const struct exec *e, int i, int k, const void *x, int channels, int pixels, char *y)
{
    int output = e->steps.at[i].output;
    if (cpu_of(e)->values[output].element == sizeof(bf16)) {
        place_same(e, i, k, x, channels, pixels, y);
        return;
    }
    for (int p = 0; p < pixels; p++)
        e->kernels->elementwise.widen_bf16((const bf16 *)x + (size_t)p * (size_t)channels, (size_t)channels,
                                           (float *)(void *)y + (size_t)p * (size_t)exec_node(e, output)->c);
}

static void place_codes(const struct exec *e, int i, int k, const void *x, int channels, int pixels, char *y)
{
    size_t step = (size_t)exec_node(e, e->steps.at[i].output)->c;
    for (int p = 0; p < pixels; p++)
        e->kernels->elementwise.lookup_u8((const uint8_t *)x + (size_t)p * (size_t)channels, channels, 1,
                                          e->constants[i].table + 256 * k, (uint8_t *)y + (size_t)p * step);
}

static void concat_f32(const struct exec *e, int i, const struct span *at)
{
    each_operand(e, i, at, place_same);
}

static void concat_bf16(const struct exec *e, int i, const struct span *at)
{
    each_operand(e, i, at, place_bf16);
}

static void concat_u8(const struct exec *e, int i, const struct span *at)
{
    each_operand(e, i, at, place_codes);
}

const struct cpu_op cpu_concat = {.f32 = concat_f32, .bf16 = concat_bf16, .u8 = concat_u8};
