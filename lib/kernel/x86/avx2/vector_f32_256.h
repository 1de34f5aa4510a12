/* vector_f32_256.h: one register of floats, under names that the .inc files share between instruction sets. */
#ifndef RESQ_KERNEL_X86_AVX2_VECTOR_F32_256_H
#define RESQ_KERNEL_X86_AVX2_VECTOR_F32_256_H

#include <immintrin.h>

enum { LANES = 8 };

typedef __m256 vec;
typedef __m256i vec_mask;

#define INLINE static inline __attribute__((always_inline))

INLINE vec vec_zero(void)
{
    return _mm256_setzero_ps();
}

INLINE vec vec_set(float v)
{
    return _mm256_set1_ps(v);
}

INLINE vec vec_load(const float *from)
{
    return _mm256_loadu_ps(from);
}

INLINE void vec_store(float *to, vec v)
{
    _mm256_storeu_ps(to, v);
}

/* The first `count` lanes; all where there are more, none where it is negative. */
INLINE vec_mask vec_first(int count)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

/* Zero in the other lanes, whose memory is not touched. */
INLINE vec vec_load_some(const float *from, vec_mask mask)
{
    return _mm256_maskload_ps(from, mask);
}

INLINE void vec_store_some(float *to, vec_mask mask, vec v)
{
    _mm256_maskstore_ps(to, mask, v);
}

INLINE vec vec_add(vec a, vec b)
{
    return _mm256_add_ps(a, b);
}

INLINE vec vec_sub(vec a, vec b)
{
    return _mm256_sub_ps(a, b);
}

INLINE vec vec_mul(vec a, vec b)
{
    return _mm256_mul_ps(a, b);
}

INLINE vec vec_fma(vec a, vec b, vec c) /* a b + c, rounded once */
{
    return _mm256_fmadd_ps(a, b, c);
}

INLINE vec vec_fnma(vec a, vec b, vec c) /* c - a b, rounded once */
{
    return _mm256_fnmadd_ps(a, b, c);
}

INLINE vec vec_relu(vec v) /* as relu_value: what is not a number stays */
{
    return _mm256_max_ps(_mm256_setzero_ps(), v);
}

INLINE vec vec_clip(const float clip[2], vec v) /* as clip_value */
{
    return _mm256_min_ps(vec_set(clip[1]), _mm256_max_ps(vec_set(clip[0]), v));
}

#endif
