/* vector_f32_128.h: one register of floats, under names that the .inc files share between instruction sets. */
#ifndef RESQ_KERNEL_ARM_NEON_VECTOR_F32_128_H
#define RESQ_KERNEL_ARM_NEON_VECTOR_F32_128_H

#include <arm_neon.h>

enum { LANES = 4 };

typedef float32x4_t vec;
typedef int vec_mask; /* lanes, from the first on */

#define INLINE static inline __attribute__((always_inline))

INLINE vec vec_zero(void)
{
    return vdupq_n_f32(0);
}

INLINE vec vec_set(float v)
{
    return vdupq_n_f32(v);
}

INLINE vec vec_load(const float *from)
{
    return vld1q_f32(from);
}

INLINE void vec_store(float *to, vec v)
{
    vst1q_f32(to, v);
}

/* The first `count` lanes; all where there are more, none where it is negative. */
INLINE vec_mask vec_first(int count)
{
    return count < 0 ? 0 : count < LANES ? count : LANES;
}

/* Zero in the other lanes, whose memory is not touched. */
INLINE vec vec_load_some(const float *from, vec_mask mask)
{
    float some[LANES] = {0};
    for (int i = 0; i < mask; i++)
        some[i] = from[i];
    return vld1q_f32(some);
}

INLINE void vec_store_some(float *to, vec_mask mask, vec v)
{
    float some[LANES];
    vst1q_f32(some, v);
    for (int i = 0; i < mask; i++)
        to[i] = some[i];
}

INLINE vec vec_add(vec a, vec b)
{
    return vaddq_f32(a, b);
}

INLINE vec vec_sub(vec a, vec b)
{
    return vsubq_f32(a, b);
}

INLINE vec vec_mul(vec a, vec b)
{
    return vmulq_f32(a, b);
}

INLINE vec vec_fma(vec a, vec b, vec c) /* a b + c, rounded once */
{
    return vfmaq_f32(c, a, b);
}

INLINE vec vec_fnma(vec a, vec b, vec c) /* c - a b, rounded once */
{
    return vfmsq_f32(c, a, b);
}

INLINE vec vec_relu(vec v) /* as relu_value: what is not a number stays, and so does -0 */
{
    return vbslq_f32(vcltzq_f32(v), vdupq_n_f32(0), v);
}

INLINE vec vec_clip(const float clip[2], vec v) /* as clip_value */
{
    vec low = vec_set(clip[0]), high = vec_set(clip[1]);
    v = vbslq_f32(vcltq_f32(v, low), low, v);
    return vbslq_f32(vcgtq_f32(v, high), high, v);
}

#endif
