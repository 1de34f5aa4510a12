/* From ranges to activation maps: where an observer's answer becomes scale and zero point. */
#include "pass/pass.h"
#include "quant/affine.h"
#include "quant/observer.h"
#include <math.h>

static int choose_one(const struct histogram *h, const struct observer *observer,
                      const struct lower_options *options, int bits, struct affine *out, struct message *m)
{
    double parameter = options->observer_parameter, low, high;
    if (isnan(parameter))
        parameter = observer->default_parameter;
    TRY(observer->range(h, bits, parameter, &low, &high, m));
    return options->symmetric ? affine_symmetric(low, high, out, m) : affine_from_range(low, high, bits, out, m);
}

int lower_choose_activations(const struct model *model, const struct ranges *ranges,
                             const struct lower_options *options, struct affine *activations, struct message *m)
{
    const struct observer *observer = options->observer ? observer_find(options->observer) : NULL;
    if (!observer)
        return message_set(m, STATUS_RANGE, "no observer '%s'", options->observer ? options->observer : "");
    if (options->activation_bits < 2 || options->activation_bits > 8)
        return message_set(m, STATUS_RANGE, "%d activation bits, want 2..8", options->activation_bits);
    for (int i = 0; i < model->graph.count; i++) {
        const char *name = model->graph.nodes[i].name;
        activations[i] = (struct affine){0};
        if (!node_is_observed(&model->graph, i))
            continue;
        int at = ranges_find(ranges, name);
        if (at < 0)
            return message_set(m, STATUS_MISMATCH, "the ranges do not have '%s'", name);
        int bits = lower_activation_bits(options, &model->graph, i);
        if (options->symmetric && bits != 8)
            return message_set(m, STATUS_RANGE, "%s: symmetric activations have 8 bits, not %d", name, bits);
        int status = choose_one(&ranges->histograms[at], observer, options, bits, &activations[i], m);
        if (status < 0)
            return message_prefix(m, status, "%s", name);
        for (int k = i; lower_is_clamp_of_sum(&model->graph, k);) {
            k = model->graph.nodes[k].inputs[0];
            activations[k] = activations[i];
        }
    }
    return 0;
}
