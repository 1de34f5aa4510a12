/* Depthwise integer convolution: 16 channels of a pixel at a time, in two registers through all of its taps. vpmaddwd
 * multiplies a channel's codes at two taps, side by side, by their weights; what the zero point takes away is
 * subtracted where sums start, so that codes stay bytes until they are multiplied and padding is the zero point. */
#include "kernel/list.h"
#include "kernel/contract/requantize.h"
#include "kernel/contract/shape.h"
#include "kernel/x86/avx2/vector_u8_256.h"
#include <string.h>

/* BAND_BYTES: of input that is copied with its padding, where x has no border */
enum { BLOCK = 2 * LANES, HALVES = 2, BAND_BYTES = 16 * 1024 };
#define UNROLLED static inline __attribute__((always_inline)) /* its counts are constants where it is called */

static int supports(const struct conv_shape *s)
{
    return shape_group_inputs(s) == 1 && shape_group_outputs(s) == 1;
}

/* ---- weights ---- */

/* Two taps, by row and column; weight[i] is 0 where tap i has another pair or there is none. */
struct pair {
    int row[2], col[2], weight[2];
};

/* Of 3x3 those of one column in the first two rows, which neighbours on the map share, then two neighbours in the
 * third, twice. Of other kernels neighbours in a row; the last of an odd row is alone. */
static int pairs_of(int kernel)
{
    return kernel == 3 ? 5 : kernel * ((kernel + 1) / 2);
}

static struct pair pair_at(int kernel, int i)
{
    if (kernel == 3 && i < 3)
        return (struct pair){.row = {0, 1}, .col = {i, i}, .weight = {1, 1}};
    if (kernel == 3)
        return (struct pair){.row = {2, 2}, .col = {i - 3, i - 2}, .weight = {i == 3, 1}};
    int wide = (kernel + 1) / 2, row = i / wide, col = i % wide * 2, both = col + 1 < kernel;
    return (struct pair){.row = {row, row}, .col = {col, col + both}, .weight = {1, both}};
}

/* Of a block of channels: pairs [pairs][HALVES][LANES][2], then the starts of its sums but for the bias,
 * [HALVES][LANES]. Channels lie in a half's lanes as vpunpck leaves them. */
static size_t block_bytes(const struct conv_shape *s)
{
    return (size_t)(pairs_of(s->kernel) + 1) * HALVES * LANES * sizeof(int32_t);
}

static size_t packed_bytes(const struct conv_shape *s)
{
    return (size_t)((s->out + BLOCK - 1) / BLOCK) * block_bytes(s);
}

/* Index of a block's channel in [HALVES][LANES]: 0-3 and 8-11, then 4-7 and 12-15. */
static int lane_of(int channel)
{
    return channel / 4 % HALVES * LANES + channel / LANES * 4 + channel % 4;
}

static void pack(const struct conv_shape *s, const int8_t *weight, uint8_t zero_point_x, uint8_t high_x,
                 void *packed)
{
    int pairs = pairs_of(s->kernel);
    (void)high_x;
    memset(packed, 0, packed_bytes(s));
    for (int k = 0; k < s->out; k++) {
        int16_t *to = (int16_t *)(void *)((char *)packed + (size_t)(k / BLOCK) * block_bytes(s));
        int32_t *start = (int32_t *)(void *)(to + pairs * HALVES * LANES * 2);
        for (int i = 0; i < pairs; i++) {
            struct pair p = pair_at(s->kernel, i);
            for (int j = 0; j < 2; j++) {
                int w = p.weight[j] * weight[shape_weight_at(s, k, 0, p.row[j], p.col[j])];
                to[(i * HALVES * LANES + lane_of(k % BLOCK)) * 2 + j] = (int16_t)w;
                start[lane_of(k % BLOCK)] -= w * zero_point_x;
            }
        }
    }
}

/* ---- sums ---- */

/* Of a block's channels, in the order of lane_of. */
struct sums {
    vector half[HALVES];
};

/* What a row of output pixels needs of a block: `count` channels, less than BLOCK at the end of a tensor. */
struct row {
    const struct conv_shape *s;
    const uint8_t *x; /* of the first pixel's tap (0,0) */
    size_t down, right;
    const int16_t *weights;
    struct sums start;
    int count;
};

UNROLLED vector codes_at(const struct row *r, const uint8_t *x, int row, int col, const int whole)
{
    x += (size_t)row * r->down + (size_t)col * r->right;
    return whole ? vector_load_u8(x) : vector_load_u8_part(x, (size_t)r->count);
}

UNROLLED void pair_add(struct sums *sums, vector x, vector y, const int16_t *weights)
{
    sums->half[0] = vector_multiply_add(sums->half[0], _mm256_unpacklo_epi16(x, y), vector_load(weights));
    sums->half[1] =
        vector_multiply_add(sums->half[1], _mm256_unpackhi_epi16(x, y), vector_load(weights + 2 * LANES));
}

/* `pixels` of a row, 1 or 2, of a 3x3 kernel: what both see is loaded once. */
UNROLLED void sums_3(const struct row *r, const uint8_t *x, const int pixels, const int stride, const int whole,
                     struct sums *sums)
{
    enum { PAIR = HALVES * LANES * 2 };
    const int16_t *w = r->weights;
    for (int p = 0; p < pixels; p++)
        sums[p] = r->start;
    for (int i = 0; i < (pixels - 1) * stride + 3; i++) {
        vector top = codes_at(r, x, 0, i, whole), middle = codes_at(r, x, 1, i, whole);
        for (int p = 0; p < pixels; p++)
            if (i >= p * stride && i < p * stride + 3)
                pair_add(&sums[p], top, middle, w + (i - p * stride) * PAIR);
    }
    for (int i = 0; i < (pixels - 1) * stride + 2; i++) {
        vector left = codes_at(r, x, 2, i, whole), right = codes_at(r, x, 2, i + 1, whole);
        for (int p = 0; p < pixels; p++)
            if (i == p * stride || i == p * stride + 1)
                pair_add(&sums[p], left, right, w + (3 + i - p * stride) * PAIR);
    }
}

UNROLLED void sums_any(const struct row *r, const uint8_t *x, const int whole, struct sums *sums)
{
    const int16_t *w = r->weights;
    int kernel = r->s->kernel;
    *sums = r->start;
    for (int row = 0; row < kernel; row++)
        for (int col = 0; col < kernel; col += 2, w += HALVES * LANES * 2) {
            int next = col + 1 < kernel ? col + 1 : col;
            pair_add(sums, codes_at(r, x, row, col, whole), codes_at(r, x, row, next, whole), w);
        }
}

/* stride: of a 3x3 kernel; 0: of any kernel and stride */
UNROLLED void sums_of(const struct row *r, const uint8_t *x, const int pixels, const int stride, const int whole,
                      struct sums *sums)
{
    if (stride) {
        sums_3(r, x, pixels, stride, whole, sums);
        return;
    }
    for (int p = 0; p < pixels; p++, x += (size_t)r->s->stride * r->right)
        if (r->s->kernel == 3)
            sums_3(r, x, 1, 1, whole, sums + p);
        else
            sums_any(r, x, whole, sums + p);
}

/* ---- rows ---- */

static struct sums halves_load(const int32_t *values)
{
    struct sums h;
    for (int i = 0; i < HALVES; i++)
        h.half[i] = _mm256_loadu2_m128i((const __m128i *)(const void *)(values + LANES + 4 * i),
                                        (const __m128i *)(const void *)(values + 4 * i));
    return h;
}

UNROLLED vector pixel_codes(const struct epilogue *e, const struct sums *sums, const struct sums *multiplier)
{
    return codes_16(e, codes_below(e, sums->half[0], _mm256_castsi256_ps(multiplier->half[0]), NULL),
                    codes_below(e, sums->half[1], _mm256_castsi256_ps(multiplier->half[1]), NULL));
}

/* A row of whole blocks whose codes are all that is asked for. A row's last two pixels may be computed together with
 * one that was before; y holds the same bytes then. */
UNROLLED void row_codes(const struct row *r, const struct epilogue *e, const struct sums *multiplier, uint8_t *y,
                        size_t y_pixel, const int stride)
{
    int width = r->s->out_w;
    size_t step = (size_t)r->s->stride * r->right;
    struct sums sums[2];
    for (int i = 0; width >= 2 && i < width; i += 2) {
        int col = i < width - 1 ? i : width - 2;
        uint8_t *to = y + (size_t)col * y_pixel;
        sums_of(r, r->x + (size_t)col * step, 2, stride, 1, sums);
        vector codes = codes_8(e, pixel_codes(e, sums, multiplier), pixel_codes(e, sums + 1, multiplier));
        codes = _mm256_permute4x64_epi64(codes, 0xd8);
        _mm_storeu_si128((__m128i *)(void *)to, _mm256_castsi256_si128(codes));
        _mm_storeu_si128((__m128i *)(void *)(to + y_pixel), _mm256_extracti128_si256(codes, 1));
    }
    if (width == 1) {
        sums_of(r, r->x, 1, stride, 1, sums);
        vector codes = pixel_codes(e, sums, multiplier);
        codes = _mm256_permute4x64_epi64(codes_8(e, codes, codes), 0xd8);
        _mm_storeu_si128((__m128i *)(void *)y, _mm256_castsi256_si128(codes));
    }
}

/* Any row. */
static void row_any(const struct row *r, const struct epilogue *e, const struct conv_u8_call *call, int image,
                    int row, int k)
{
    size_t step = (size_t)r->s->stride * r->right;
    for (int col = 0; col < r->s->out_w; col++) {
        struct requantize_pointers at = requantize_at(call, image, row, col);
        struct sums sums;
        sums_of(r, r->x + (size_t)col * step, 1, 0, 0, &sums);
        requantize_vector(e, &at, _mm256_permute2x128_si256(sums.half[0], sums.half[1], 0x20), k,
                          r->count < LANES ? r->count : LANES);
        if (r->count > LANES)
            requantize_vector(e, &at, _mm256_permute2x128_si256(sums.half[0], sums.half[1], 0x31), k + LANES,
                              r->count - LANES);
    }
}

/* Output row `row` of an image; x: tap (0,0) of its first pixel, `down` and `right` apart. */
static void row_run(const struct conv_shape *s, const struct conv_u8_call *call, const struct epilogue *e,
                    int image, int row, const uint8_t *x, size_t down, size_t right)
{
    int pairs = pairs_of(s->kernel), plain = call->y && !call->residual && !call->before && !call->logits;
    for (int k = 0; k < s->out; k += BLOCK) {
        int32_t bias[BLOCK] = {0};
        const int16_t *w =
            (const int16_t *)(const void *)((const char *)call->packed + (size_t)(k / BLOCK) * block_bytes(s));
        struct row r = {.s = s, .x = x + k, .down = down, .right = right, .weights = w};
        r.count = s->out - k < BLOCK ? s->out - k : BLOCK;
        memcpy(bias, call->requantize->bias + k, (size_t)r.count * sizeof *bias);
        r.start = halves_load(bias);
        for (int i = 0; i < HALVES; i++)
            r.start.half[i] = vector_add_32(r.start.half[i], vector_load(w + (pairs * HALVES + i) * LANES * 2));
        if (r.count < BLOCK || !plain) {
            row_any(&r, e, call, image, row, k);
            continue;
        }
        struct sums multiplier = halves_load((const int32_t *)(const void *)(call->requantize->multiplier + k));
        uint8_t *y = call->y + layout_at(&call->y_at, image, row, 0) + k;
        if (s->kernel == 3 && s->stride == 1)
            row_codes(&r, e, &multiplier, y, call->y_at.pixel, 1);
        else if (s->kernel == 3 && s->stride == 2)
            row_codes(&r, e, &multiplier, y, call->y_at.pixel, 2);
        else
            row_codes(&r, e, &multiplier, y, call->y_at.pixel, 0);
    }
}

/* ---- x without a border: bands of it are copied with their padding ---- */

static int seen(const struct conv_shape *s, int outputs) /* inputs that a row or column of outputs sees */
{
    return (outputs - 1) * s->stride + s->kernel;
}

static size_t line_bytes(const struct conv_shape *s)
{
    return (size_t)seen(s, s->out_w) * (size_t)s->c;
}

static int band_rows(const struct conv_shape *s) /* of outputs */
{
    int rows = 1;
    while (rows < s->out_h && (size_t)seen(s, rows + 1) * line_bytes(s) <= BAND_BYTES)
        rows++;
    return rows;
}

static size_t scratch_bytes(const struct conv_shape *s)
{
    return round_up_64((size_t)seen(s, band_rows(s)) * line_bytes(s));
}

/* What output rows [row, end) of an image see. */
static void band_copy(const struct conv_shape *s, const struct conv_u8_call *call, int image, int row, int end,
                      uint8_t *to)
{
    size_t c = (size_t)s->c;
    int width = seen(s, s->out_w), first = row * s->stride - s->pad;
    int left = s->pad < width ? s->pad : width, inside = s->w < width - left ? s->w : width - left;
    memset(to, call->requantize->zero_point_x, (size_t)seen(s, end - row) * line_bytes(s));
    for (int y = first; y < first + seen(s, end - row); y++, to += line_bytes(s)) {
        if (y < 0 || y >= s->h)
            continue;
        const uint8_t *from = call->x + layout_at(&call->x_at, image, y, 0);
        if (call->x_at.pixel == c)
            memcpy(to + (size_t)left * c, from, (size_t)inside * c);
        else
            for (int i = 0; i < inside; i++)
                memcpy(to + (size_t)(left + i) * c, from + (size_t)i * call->x_at.pixel, c);
    }
}

static void image_run(const struct conv_shape *s, const struct conv_u8_call *call, const struct epilogue *e,
                      int image, uint8_t *scratch)
{
    int band = band_rows(s), copied = call->x_at.border < s->pad;
    for (int begin = call->row_begin; begin < call->row_end; begin += band) {
        int end = begin + band < call->row_end ? begin + band : call->row_end;
        size_t down = copied ? line_bytes(s) : call->x_at.row, right = copied ? (size_t)s->c : call->x_at.pixel;
        const uint8_t *x = scratch;
        if (copied)
            band_copy(s, call, image, begin, end, scratch);
        else
            x = call->x + layout_at(&call->x_at, image, begin * s->stride - s->pad, -s->pad);
        for (int row = begin; row < end; row++, x += (size_t)s->stride * down)
            row_run(s, call, e, image, row, x, down, right);
    }
}

static void run(const struct conv_shape *s, const struct conv_u8_call *call, void *scratch)
{
    struct epilogue e = epilogue_of(call->requantize);
    for (int image = 0; image < call->images; image++)
        image_run(s, call, &e, image, scratch);
}

const struct conv_u8_kernel conv_u8_grouped_avx2_depthwise = {
    .supports = supports, .packed_bytes = packed_bytes, .pack = pack, .scratch_bytes = scratch_bytes, .run = run};
