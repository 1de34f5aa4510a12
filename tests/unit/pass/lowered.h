/* lowered.h: fused models with their ranges, and what lowering makes of them, for the tests of the lowering. */
#ifndef TESTS_UNIT_PASS_LOWERED_H
#define TESTS_UNIT_PASS_LOWERED_H

#include "interpret.h"
#include "pass/pass.h"

static const struct lower_options defaults = {
    .observer = "mse", .observer_parameter = (double)NAN, .weight_bits = 8, .activation_bits = 8};

/* A fused model and its ranges. */
struct setup {
    struct model model;
    struct ranges ranges;
};

static inline struct setup fused(struct model model)
{
    struct message m;
    struct setup s = {.model = model};
    ASSERT_OK(pass_fold_batchnorm(&s.model, NULL, &m), m);
    ASSERT_OK(pass_fuse_epilogue(&s.model, NULL, &m), m);
    ASSERT_OK(model_store(&s.model, &m), m);
    s.ranges = sample_ranges(&s.model, 2);
    return s;
}

static inline void setup_free(struct setup *s)
{
    model_free(&s->model);
    ranges_free(&s->ranges);
}

/* Its int8 model; report may be NULL. */
static inline struct model lowered(const struct setup *s, const struct lower_options *o,
                                   struct lower_report *report)
{
    struct message m;
    struct model copy;
    ASSERT_OK(model_copy(&copy, &s->model, &m), m);
    ASSERT_OK(pass_lower_int8(&copy, &s->ranges, o, report, &m), m);
    return copy;
}

/* A network of one convolution and one linear layer. */
static const char small[] __attribute__((unused)) =
    "x = input u8[6,6,3]\nn = normalize x mean=0.5,0.5,0.5 std=0.3,0.3,0.3\n"
    "c = conv2d n out=4 kernel=3 pad=1 bias relu\np = avgpool c\nfc = linear p out=3 bias\n";

#endif
