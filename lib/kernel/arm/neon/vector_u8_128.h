/* vector_u8_128.h: the vectors that the integer convolutions of this set are written
 * in: 4 lanes of 32 bits or 8 of 16. */
#ifndef RESQ_KERNEL_ARM_NEON_VECTOR_U8_128_H
#define RESQ_KERNEL_ARM_NEON_VECTOR_U8_128_H

#include "kernel/contract/requantize.h"
#include <arm_neon.h>
#include <string.h>

enum { LANES = 4 };
typedef int32x4_t vector;
typedef int16x4_t vector_inputs; /* of vector_pair */

#define S16(v) vreinterpretq_s16_s32(v)
#define S32(v) vreinterpretq_s32_s16(v)

static inline vector vector_zero(void)
{
    return vdupq_n_s32(0);
}

static inline vector vector_load(const void *p)
{
    return vld1q_s32(p);
}

static inline void vector_store(void *p, vector v)
{
    vst1q_s32(p, v);
}

/* 2 LANES bytes as 16-bit integers */
static inline vector vector_load_s8(const int8_t *p)
{
    return S32(vmovl_s8(vld1_s8(p)));
}

/* x p[2i] + y p[2i+1] in 16 bits */
static inline vector vector_weigh(int x, int y, const int8_t *p)
{
    int8x8x2_t pairs = vld2_s8(p);
    int16x8_t sum = vmull_s8(pairs.val[0], vdup_n_s8((int8_t)x));
    return S32(vmlal_s8(sum, pairs.val[1], vdup_n_s8((int8_t)y)));
}

static inline vector vector_load_u8(const uint8_t *p)
{
    return vreinterpretq_s32_u16(vmovl_u8(vld1_u8(p)));
}

/* The first `count` of them, zeros behind. */
static inline vector vector_load_u8_part(const uint8_t *p, size_t count)
{
    uint8_t part[2 * LANES] = {0};
    memcpy(part, p, count);
    return vector_load_u8(part);
}

/* The first `count` of LANES values, zeros behind. */
static inline vector vector_load_s32_part(const int32_t *p, int count)
{
    int32_t part[LANES] = {0};
    memcpy(part, p, (size_t)count * sizeof *p);
    return vector_load(part);
}

/* Four bytes as the first lane: what multiplies as an element of its register needs no other. */
static inline int32x2_t vector_load_first(const void *p)
{
    int32_t first;
    memcpy(&first, p, sizeof first);
    return vset_lane_s32(first, vdup_n_s32(0), 0);
}

/* Two neighbouring 16-bit integers */
static inline vector_inputs vector_pair(const int16_t *p)
{
    return vreinterpret_s16_s32(vector_load_first(p));
}

/* Where the 16-bit lanes hold the inputs of a pair, for the product below. */
#define PAIR_LANE(output, input) ((input)*LANES + (output))

/* sum + x a[output, 0] + y a[output, 1] in every lane, modulo 2^32; pair: x and y */
static inline vector vector_multiply_add(vector sum, vector_inputs pair, vector a)
{
    sum = vmlal_lane_s16(sum, vget_low_s16(S16(a)), pair, 0);
    return vmlal_high_lane_s16(sum, S16(a), pair, 1);
}

/* A line of memory into the first-level cache. */
#define vector_fetch(p) __builtin_prefetch(p)
#define vector_add_16(a, b) S32(vaddq_s16(S16(a), S16(b)))
#define vector_sub_16(a, b) S32(vsubq_s16(S16(a), S16(b)))
#define vector_shift_16(a, bits) S32(vshlq_n_s16(S16(a), bits))
#define vector_add_32(a, b) vaddq_s32(a, b)
#define vector_sub_32(a, b) vsubq_s32(a, b)
#define vector_shift_32(a, bits) vshlq_n_s32(a, bits)
#define vector_shift_right_32(a, bits) vshrq_n_s32(a, bits)
#define vector_multiply_32(a, b) vmulq_s32(a, b)
#define vector_set_16(a) S32(vdupq_n_s16(a))
#define vector_set_32(a) vdupq_n_s32(a)

/* requantize.h for vectors. Clamping v between low - zero_point_y and high - zero_point_y, which are integers,
 * gives the code that clamping after rounding gives; NaN becomes the lower one: of a number and what is none, the
 * fmaxnm instruction takes the number. */
struct epilogue {
    const struct requantize *requantize;
    float32x4_t low, high, residual_multiplier;
    vector residual_zero_point, zero_point, zero_point_16;
};

static inline struct epilogue epilogue_of(const struct requantize *rq)
{
    return (struct epilogue){.requantize = rq,
                             .low = vdupq_n_f32((float)(rq->low - rq->zero_point_y)),
                             .high = vdupq_n_f32((float)(rq->high - rq->zero_point_y)),
                             .residual_multiplier = vdupq_n_f32(rq->residual_multiplier),
                             .residual_zero_point = vector_set_32(rq->residual_zero_point),
                             .zero_point = vector_set_32(rq->zero_point_y),
                             .zero_point_16 = vector_set_16(rq->zero_point_y)};
}

static inline void requantize_part(const struct epilogue *e, const struct requantize_pointers *at, vector acc,
                                   int k, int count)
{
    int32_t sums[LANES];
    vector_store(sums, acc);
    requantize_pixel(e->requantize, at, sums, k, k + count);
}

/* v and what a residual's codes add to it. */
static inline float32x4_t residual_add(const struct epilogue *e, float32x4_t v, const uint8_t *residual)
{
    uint32_t codes;
    memcpy(&codes, residual, sizeof codes);
    uint16x8_t wide = vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(codes)));
    vector r = vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(wide)));
    r = vector_sub_32(r, e->residual_zero_point);
    return vaddq_f32(v, vmulq_f32(vcvtq_f32_s32(r), e->residual_multiplier));
}

/* Codes less zero_point_y. */
static inline vector codes_round(const struct epilogue *e, float32x4_t v)
{
    return vcvtnq_s32_f32(vminnmq_f32(vmaxnmq_f32(v, e->low), e->high));
}

/* Outputs [k, k + count) of a pixel, count <= LANES, whatever the call asks for. */
static inline void requantize_vector(const struct epilogue *e, const struct requantize_pointers *at, vector acc,
                                     int k, int count)
{
    if (count < LANES) {
        requantize_part(e, at, acc, k, count);
        return;
    }
    float32x4_t v = vmulq_f32(vcvtq_f32_s32(acc), vld1q_f32(e->requantize->multiplier + k));
    if (at->logits)
        vst1q_f32(at->logits + k, v);
    if (at->residual)
        v = residual_add(e, v, at->residual + k);
    if (at->before)
        vst1q_f32(at->before + k, v);
    if (!at->y)
        return;
    int16x4_t q = vmovn_s32(vector_add_32(codes_round(e, v), e->zero_point));
    uint8x8_t bytes = vmovn_u16(vreinterpretq_u16_s16(vcombine_s16(q, q)));
    uint32_t codes = vget_lane_u32(vreinterpret_u32_u8(bytes), 0);
    memcpy(at->y + k, &codes, sizeof codes);
}

/* Codes less zero_point_y, where codes are all that is asked for; residual: of these LANES outputs, or NULL. */
static inline vector requantize_codes(const struct epilogue *e, vector acc, const float *multiplier,
                                      const uint8_t *residual)
{
    float32x4_t v = vmulq_f32(vcvtq_f32_s32(acc), vld1q_f32(multiplier));
    return codes_round(e, residual ? residual_add(e, v, residual) : v);
}

/* Four of those as bytes, one behind the other. */
static inline vector codes_pack(const struct epilogue *e, vector a, vector b, vector c, vector d)
{
    int16x8_t zero_point = S16(e->zero_point_16);
    int16x8_t ab = vaddq_s16(vcombine_s16(vmovn_s32(a), vmovn_s32(b)), zero_point);
    int16x8_t cd = vaddq_s16(vcombine_s16(vmovn_s32(c), vmovn_s32(d)), zero_point);
    return vreinterpretq_s32_u8(vcombine_u8(vqmovun_s16(ab), vqmovun_s16(cd)));
}

/* The four parts of LANES bytes, `step` apart. */
static inline void codes_store(uint8_t *y, size_t step, vector codes)
{
    int32_t part[LANES];
    vector_store(part, codes);
    for (size_t i = 0; i < LANES; i++)
        memcpy(y + i * step, part + i, sizeof *part);
}

#endif
