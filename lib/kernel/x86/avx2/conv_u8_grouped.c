/* Depthwise integer convolution: eight channels of a pixel at a time, in one register through all of its taps. A code
 * less the zero point and a weight are 16 bits each, the upper halves of the weights' lanes
 * zeros: vpmaddwd is their product. */
#include "kernel/list.h"
#include "kernel/contract/requantize.h"
#include "kernel/contract/shape.h"
#include "kernel/x86/avx2/vector_u8_256.h"
#include <string.h>

static int supports(const struct conv_shape *s)
{
    return shape_group_inputs(s) == 1 && shape_group_outputs(s) == 1;
}

static size_t stride_of(const struct conv_shape *s)
{
    return (size_t)((s->out + LANES - 1) / LANES * LANES);
}

static size_t packed_bytes(const struct conv_shape *s)
{
    return round_up_64(shape_reduced(s) * stride_of(s) * sizeof(int32_t));
}

/* [R,R,C] in lanes of 32 bits, zeros beyond C */
static void pack(const struct conv_shape *s, const int8_t *weight, uint8_t zero_point_x, uint8_t high_x,
                 void *packed)
{
    int32_t *to = packed;
    (void)zero_point_x, (void)high_x;
    memset(packed, 0, packed_bytes(s));
    for (int r = 0; r < s->kernel; r++)
        for (int t = 0; t < s->kernel; t++, to += stride_of(s))
            for (int k = 0; k < s->out; k++)
                to[k] = (uint16_t)(int16_t)weight[shape_weight_at(s, k, 0, r, t)];
}

static size_t scratch_bytes(const struct conv_shape *s)
{
    (void)s;
    return 0;
}

/* Eight codes as integers of 32 bits; of the last channels of a tensor only those that are there. */
static vector codes_load(const uint8_t *x, int count)
{
    uint8_t some[LANES] = {0};
    if (count < LANES) {
        memcpy(some, x, (size_t)count);
        x = some;
    }
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)x));
}

/* The taps of an output pixel that lie on the map, and where they begin. */
struct window {
    int top, bottom, left, right; /* of the kernel: [top, bottom) x [left, right) */
    const uint8_t *x;             /* of tap (0,0), which may lie outside */
};

static vector window_sum(const struct conv_shape *s, const struct conv_u8_call *call, const struct window *w, int k,
                         int count)
{
    const int32_t *weights = (const int32_t *)call->packed + k;
    vector zero = vector_set_32(call->requantize->zero_point_x),
           sum = count < LANES ? vector_load_s32_part(call->requantize->bias + k, count)
                               : vector_load(call->requantize->bias + k);
    for (int r = w->top; r < w->bottom; r++)
        for (int t = w->left; t < w->right; t++) {
            vector x = vector_sub_32(codes_load(w->x + layout_at(&call->x_at, 0, r, t) + k, count), zero);
            const int32_t *tap = weights + (size_t)(r * s->kernel + t) * stride_of(s);
            sum = vector_multiply_add(sum, x, _mm256_loadu_si256((const __m256i *)(const void *)tap));
        }
    return sum;
}

/* [begin, end) of the kernel's taps that lie on 0..size - 1. */
static void taps_of(const struct conv_shape *s, int first, int size, int *begin, int *end)
{
    *begin = first < 0 ? -first : 0;
    *end = size - first < s->kernel ? size - first : s->kernel;
}

static void run(const struct conv_shape *s, const struct conv_u8_call *call, void *scratch)
{
    struct epilogue e = epilogue_of(call->requantize);
    (void)scratch;
    for (int image = 0; image < call->images; image++)
        for (int oy = call->row_begin; oy < call->row_end; oy++)
            for (int ox = 0; ox < s->out_w; ox++) {
                int iy = oy * s->stride - s->pad, ix = ox * s->stride - s->pad;
                struct window w = {.x = call->x + layout_at(&call->x_at, image, iy, ix)};
                struct requantize_pointers at = requantize_at(call, image, oy, ox);
                taps_of(s, iy, s->h, &w.top, &w.bottom);
                taps_of(s, ix, s->w, &w.left, &w.right);
                for (int k = 0; k < s->out; k += LANES) {
                    int count = s->out - k < LANES ? s->out - k : LANES;
                    requantize_vector(&e, &at, window_sum(s, call, &w, k, count), k, count);
                }
            }
}

const struct conv_u8_kernel conv_u8_grouped_avx2_depthwise = {
    .supports = supports, .packed_bytes = packed_bytes, .pack = pack, .scratch_bytes = scratch_bytes, .run = run};
