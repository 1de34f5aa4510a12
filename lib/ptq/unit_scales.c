/* Scales of a unit's activations that are learned with its rounding (LSQ: Esser et al. 2020, arXiv:1902.08153; in
 * QDrop's reconstruction: Wei et al. 2022, arXiv:2203.05740). */
#include "graph/op.h"
#include "ptq/unit_pass.h"
#include "quant/affine.h"
#include <float.h>
#include <math.h>

#define FURTHEST 4.0f /* of a scale's logarithm from where it began */

int unit_learns_scale(const struct unit_pass *p, const struct unit_value *v)
{
    return p->learns_scales && v->is_codes && v->map.qmax - v->map.qmin < 255;
}

void unit_set_clamp(struct unit_value *v)
{
    const struct node *n = v->giver;
    const int zero = v->map.zero_point;
    int low = v->map.qmin - zero, high = v->map.qmax - zero;
    v->low_slope = (float)low;
    v->high_slope = (float)high;
    v->least = n->has_relu ? 0 : -FLT_MAX;
    v->most = FLT_MAX;
    if (n->has_relu && low < 0) {
        low = 0;
        v->low_slope = 0;
    }
    if (n->clip.on) { /* an end that stays where it is, but for its rounding */
        int from = affine_quantize(&v->map, n->clip.low) - zero, to = affine_quantize(&v->map, n->clip.high) - zero;
        if (from > low) {
            low = from;
            v->low_slope = (float)low - n->clip.low / v->map.scale;
        }
        if (to < high) {
            high = to;
            v->high_slope = (float)high - n->clip.high / v->map.scale;
        }
        v->least = n->clip.low > v->least ? n->clip.low : v->least;
        v->most = n->clip.high;
    }
    v->low = (float)low;
    v->high = (float)high;
}

void unit_scale_set(struct unit_value *v)
{
    v->map.scale = (float)((double)v->start * exp((double)v->variable[0]));
    unit_set_clamp(v);
}

void unit_slopes(const struct unit_value *v, const int *drawn, int keep, int n, const float *at, float *slope)
{
    const float inverse = 1 / v->map.scale, low = v->low, high = v->high;
    for (int i = 0; i < n; i++) {
        float u = at[i] * inverse;
        u = u > -1e6f ? u : -1e6f;
        u = u < 1e6f ? u : 1e6f;
        float q = (u + 12582912.0f) - 12582912.0f;
        float rounded = q < low ? v->low_slope : q > high ? v->high_slope : q - u;
        slope[i] = drawn[i] < keep ? 0 : rounded;
    }
}

void unit_scales_step(struct unit_pass *p, double mean_share, double square_share, double rate)
{
    for (int l = 0; l < p->unit->count; l++) {
        struct unit_value *v = &p->values[p->unit->input_count + l];
        float *log_scale = &v->variable[0], *mean = &v->variable[1], *square = &v->variable[2];
        if (!v->is_learned)
            continue;
        float g = (float)(v->gradient_by_scale * (double)v->map.scale); /* by the logarithm */
        *mean = 0.9f * *mean + 0.1f * g;
        *square = 0.999f * *square + 0.001f * (g * g);
        *log_scale -= (float)(rate * ((double)*mean / mean_share) / (sqrt((double)*square / square_share) + 1e-8));
        *log_scale = fminf(fmaxf(*log_scale, -FURTHEST), FURTHEST);
        unit_scale_set(v);
    }
}
