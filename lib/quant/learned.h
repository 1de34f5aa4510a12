/* learned.h: weights whose scales are trained with them (LSQ: Esser et al. 2020, arXiv:1902.08153; element-wise
 * gradient scaling, EWGS: Lee et al. 2021, arXiv:2104.00903), and the float weights that stand behind given codes.
 *
 * With v = w / s, c = clamp(v, -qmax, qmax), q = rint(c) and w^ = s * q, what the network computes with:
 *
 *     d w^ / d w = 1                                where |rint(v)| <= qmax, else 0
 *     d w^ / d s = q - v                            there, else q: qmax or -qmax
 *
 * EWGS replaces the 1 by 1 + delta * sign(g) * (v - q), g being the gradient by w^: the further a weight has to
 * go to where it is pushed, the more that counts. The gradient by s is multiplied by 1 / sqrt(n * qmax), n weights
 * having this scale, so that a scale moves as weights do. */
#ifndef RESQ_QUANT_LEARNED_H
#define RESQ_QUANT_LEARNED_H

#include <stddef.h>
#include <stdint.h>

/* Of count weights with scale s: in place, gradients by w^ become those by w. Returns the sum of the gradients by s,
 * double, in the order of the weights, not yet multiplied. delta >= 0; 0: straight through. */
double learned_weights_backward(const float *w, size_t count, float s, int qmax, double delta, float *gradient);

/* The gradient of a scale that n weights share, from that sum. */
float learned_scale_gradient(double sum, size_t n, int qmax);

/* Weights that become the codes q at scale s, as near as that allows to the count weights w: with
 * a = sum w * q / sum q * q (s where no code is other than 0, or a is not above 0), v = w / a moved to within 0.49 of
 * its code (a largest or smallest code's: further out it stays), to = s * v. */
void learned_weights_of_codes(const float *w, const int8_t *q, size_t count, float s, int qmax, float *to);

#endif
