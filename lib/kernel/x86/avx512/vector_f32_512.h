/* vector_f32_512.h: one register of floats, under names that the .inc files share between instruction sets. */
#ifndef RESQ_KERNEL_X86_AVX512_VECTOR_F32_512_H
#define RESQ_KERNEL_X86_AVX512_VECTOR_F32_512_H

#include <immintrin.h>

enum { LANES = 16 };

typedef __m512 vec;
typedef __mmask16 vec_mask;

#define INLINE static inline __attribute__((always_inline))

INLINE vec vec_zero(void)
{
    return _mm512_setzero_ps();
}

INLINE vec vec_set(float v)
{
    return _mm512_set1_ps(v);
}

INLINE vec vec_load(const float *from)
{
    return _mm512_loadu_ps(from);
}

INLINE void vec_store(float *to, vec v)
{
    _mm512_storeu_ps(to, v);
}

/* The first `count` lanes; all where there are more, none where it is negative. */
INLINE vec_mask vec_first(int count)
{
    return count >= LANES ? (vec_mask)0xffff : count > 0 ? (vec_mask)((1u << count) - 1) : (vec_mask)0;
}

/* Zero in the other lanes, whose memory is not touched. */
INLINE vec vec_load_some(const float *from, vec_mask mask)
{
    return _mm512_maskz_loadu_ps(mask, from);
}

INLINE void vec_store_some(float *to, vec_mask mask, vec v)
{
    _mm512_mask_storeu_ps(to, mask, v);
}

INLINE vec vec_add(vec a, vec b)
{
    return _mm512_add_ps(a, b);
}

INLINE vec vec_sub(vec a, vec b)
{
    return _mm512_sub_ps(a, b);
}

INLINE vec vec_mul(vec a, vec b)
{
    return _mm512_mul_ps(a, b);
}

INLINE vec vec_fma(vec a, vec b, vec c) /* a b + c, rounded once */
{
    return _mm512_fmadd_ps(a, b, c);
}

INLINE vec vec_fnma(vec a, vec b, vec c) /* c - a b, rounded once */
{
    return _mm512_fnmadd_ps(a, b, c);
}

INLINE vec vec_relu(vec v) /* as relu_value: what is not a number stays */
{
    return _mm512_max_ps(_mm512_setzero_ps(), v);
}

INLINE vec vec_clip(const float clip[2], vec v) /* as clip_value */
{
    return _mm512_min_ps(vec_set(clip[1]), _mm512_max_ps(vec_set(clip[0]), v));
}

#endif
