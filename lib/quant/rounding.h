/* rounding.h: which way each weight is rounded, learned (AdaRound: Nagel et al. 2020, arXiv:2004.10568). With s the
 * weight's scale and v its variable, the network computes with
 *
 *     w^ = s * (base + h(v)),   h(v) = clamp(1.2 * sigmoid(v) - 0.1, 0, 1)
 *
 * base = floor(w / s) within -qmax .. qmax - 1. At first h(v) is what w / s is above base, within 0.001 .. 0.999,
 * where h is not flat: w^ = w, to 0.001 s, wherever the codes reach, else next to the last one. To the loss is added
 * lambda * sum (1 - |2 h(v) - 1|^beta), which, beta falling, drives each h(v) to 0 or 1. Floats, in arithmetic that
 * is the same on every machine; exponentials and logarithms to 2e-7 of themselves. */
#ifndef RESQ_QUANT_ROUNDING_H
#define RESQ_QUANT_ROUNDING_H

#include <stddef.h>
#include <stdint.h>

/* h(v), and the v of which h is `part`, moved into 0.001 .. 0.999. */
float rounding_value(float v);
float rounding_start(float part);

/* Of count weights w with scale s. */
void rounding_begin(const float *w, size_t count, float s, int qmax, int8_t *base, float *v);
/* to = s * (base + h(v)) */
void rounding_soft(const int8_t *base, const float *v, size_t count, float s, float *to);
/* gradient: by w^ on entry, by v after; lambda's part is in it. beta >= 1. */
void rounding_backward(const float *v, size_t count, float s, float lambda, float beta, float *gradient);
/* sum (1 - |2 h(v) - 1|^beta), double, in the order of the weights. */
double rounding_penalty(const float *v, size_t count, float beta);
/* q = base + (h(v) >= 1/2): in -qmax..qmax. */
void rounding_codes(const int8_t *base, const float *v, size_t count, int8_t *q);

#endif
