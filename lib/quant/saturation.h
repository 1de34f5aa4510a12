/* saturation.h: weights whose pairs of products never leave 16 bits: quant/QUANT.md, Saturation-free. */
#ifndef RESQ_QUANT_SATURATION_H
#define RESQ_QUANT_SATURATION_H

#include <stdint.h>

/* Raises the scales of a quantized layer where two codes of a channel could saturate beside activations of at most
 * qmax_x, and quantizes weights and bias anew. w [O, per_output] and bias [O] (NULL: zeros) f32; q, scale, bias_q as
 * layer_quantize left them, with the same bits, per_tensor and scale_x.
 * Returns how many channels have another scale. */
int saturation_spare(const float *w, const float *bias, int outputs, int per_output, int bits, int per_tensor,
                     float scale_x, int qmax_x, int8_t *q, float *scale, int32_t *bias_q);

#endif
