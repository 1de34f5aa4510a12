#include "exec/train/statistics.h"
#include <math.h>

/* running += momentum * (batch - running), with the unbiased variance. */
static void update_running(struct gradient *g, const struct train_step *t, int c, double mean, double variance,
                           double rows)
{
    double momentum = g->options.batchnorm_momentum;
    float *running_mean = &g->state[t->mean + (size_t)c], *running_var = &g->state[t->variance + (size_t)c];
    double unbiased = rows > 1 ? variance * rows / (rows - 1) : variance;
    *running_mean = (float)((1 - momentum) * (double)*running_mean + momentum * mean);
    *running_var = (float)((1 - momentum) * (double)*running_var + momentum * unbiased);
}

struct norm_channel norm_channel_update(struct gradient *g, int step, int c, struct norm_sums sums, double rows)
{
    const struct train_step *t = &g->train[step];
    double mean = sums.sum / rows, variance = sums.squares / rows - mean * mean;
    variance = variance > 0 ? variance : 0;
    double inv_std = 1 / sqrt(variance + (double)gradient_node(g, g->steps.at[step].node)->eps);
    double factor = (double)g->parameters[t->weight + (size_t)c] * inv_std;
    update_running(g, t, c, mean, variance, rows);
    return (struct norm_channel){(float)mean, (float)inv_std, (float)factor,
                                 (float)((double)g->parameters[t->bias + (size_t)c] - mean * factor)};
}
