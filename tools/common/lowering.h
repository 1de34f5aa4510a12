/* lowering.h: how an int8 model is made of a fused one, as command lines say it: observer, bits, a plan of bits. */
#ifndef RESQ_TOOLS_LOWERING_H
#define RESQ_TOOLS_LOWERING_H

#include "pass/pass.h"
#include "tools/common/low_bits.h"

struct lowering {
    const char *observer;
    double percentile; /* of the observer of that name */
    int64_t weight_bits, activation_bits;
    int per_tensor;
    struct low_bits_arguments low;
    /* filled by lowering_read_plan: */
    struct bit_plan plan;
    char plan_hex[DIGEST_HEX];
};
#define lowering_defaults                                                              \
    {                                                                                  \
        .observer = "mse", .percentile = 99.99, .weight_bits = 8, .activation_bits = 8 \
    }

/* observers: see observer_names. is_recorded: they decide what a model becomes, and stand in its lineage. */
/* clang-format off */
#define OBSERVER_OPTIONS(a, observers, is_recorded) \
    {"observer", 0, OPTION_CHOICE, &(a).observer, 0, 0, "NAME", "how ranges are chosen", observers, is_recorded}, \
    {"percentile", 0, OPTION_NUMBER, &(a).percentile, 50.001, 100, "P", "of the observer percentile", 0, is_recorded}
#define PER_TENSOR_OPTION(a, is_recorded) \
    {"per-tensor", 0, OPTION_FLAG, &(a).per_tensor, 0, 0, 0, "one weight scale a layer, not one a channel", 0, \
     is_recorded}
#define LOWERING_OPTIONS(a, observers) \
    OBSERVER_OPTIONS(a, observers, 1), \
    {"weight-bits", 0, OPTION_INTEGER, &(a).weight_bits, 2, 8, "N", "bits of the weights, 2 to 8", 0, 1}, \
    {"activation-bits", 0, OPTION_INTEGER, &(a).activation_bits, 2, 8, "N", "bits of the activations, 2 to 8", 0, 1}, \
    LOW_BITS_OPTIONS((a).low), \
    PER_TENSOR_OPTION(a, 1)
/* clang-format on */

/* Reads the file of the option --plan, where it was given: of this fused graph. Failures name the file. */
int lowering_read_plan(struct lowering *l, const struct graph *fused, struct message *m) RESQ_USE_RESULT;
/* What they ask for; borrows from l. */
struct lower_options lowering_options(const struct lowering *l);
/* Adds plan=, ends= and weight-observer=, each where there is something to say: what the options alone do not tell. */
void lowering_lineage(const struct lowering *l, struct lineage *lineage);
void lowering_close(struct lowering *l);

#endif
