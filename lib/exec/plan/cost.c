#include "exec/plan/cost.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

int conv_choice_get(enum conv_choice *choice, struct message *m)
{
    const char *name = getenv("RESQ_CONV");
    *choice = CHOOSE_BY_COST;
    if (!name || !*name)
        return STATUS_OK;
    if (strcmp(name, "direct") == 0)
        *choice = CHOOSE_DIRECT;
    else if (strcmp(name, "pairs") == 0)
        *choice = CHOOSE_PAIRS;
    else if (strcmp(name, "winograd") == 0)
        *choice = CHOOSE_WINOGRAD;
    else
        return message_set(m, STATUS_UNSUPPORTED, "RESQ_CONV=%s: unknown (direct, pairs, winograd)", name);
    return STATUS_OK;
}

/* Nanoseconds: of a product, direct and by Winograd; of a transformed value of an input or output tile; of bringing
 * the weights of one input channel and output into the transformed form. Fitted to ResNet-18's 3x3 layers at 1 and 16
 * images, one core; of ARM's sets the instructions of the inner loops are counted instead. In pairs: of a product (0:
 * the set has better) and of an output, scaled so that their order among Winograd's is the one measured within
 * ResNet-18 of widths 16, 32 and 64 at 1, 2 and 4 images, on a core that has no more than AVX2 (Zen 3). */
struct rates {
    const char *isa;
    int is_integer;
    double direct, product, transform, weight, pairs, output;
};

static const struct rates measured[] = {
    {"neon", 1, 0.26, 0.34, 2.0, 35, 0, 0},
    {"neondot", 1, 0.094, 0.34, 2.0, 35, 0, 0},
    {"neoni8mm", 1, 0.059, 0.34, 2.0, 35, 0, 0},
    {"neon", 0, 0.34, 0.44, 2.0, 40, 0, 0},
    {"neondot", 0, 0.34, 0.44, 2.0, 40, 0, 0},
    {"neoni8mm", 0, 0.34, 0.44, 2.0, 40, 0, 0},
    {"avx2", 1, 12.4e-3, 14.5e-3, 0.08, 0.65, 4.63e-3, 0.32},
    {"avx2vnni", 1, 5.6e-3, 14.5e-3, 0.08, 0.65, 0, 0}, /* direct: not measured, half of avx512vnni's products */
    {"avx512", 1, 9.6e-3, 10.4e-3, 0.08, 0.78, 0, 0},
    {"avx512vnni", 1, 2.8e-3, 7.1e-3, 0.07, 0.65, 0, 0},
    {"amx", 1, 0.7e-3, 7.1e-3, 0.07, 0.65, 0, 0},
    {"avx2", 0, 18.3e-3, 20.0e-3, 0.20, 5.5, 0, 0},
    {"avx2vnni", 0, 18.3e-3, 20.0e-3, 0.20, 5.5, 0, 0},
    {"avx512", 0, 10.8e-3, 15.0e-3, 0.10, 3.5, 0, 0},
};

/* Sets above the last one named inherit its kernels. */
static const struct rates *rates_of(const char *isa, int is_integer)
{
    const struct rates *last = NULL;
    for (size_t i = 0; i < sizeof measured / sizeof *measured; i++) {
        if (measured[i].is_integer != is_integer)
            continue;
        last = &measured[i];
        if (strcmp(last->isa, isa) == 0)
            break;
    }
    return last;
}

/* Channels that Winograd transforms: of integers vectors of 16, of which a picture's 3 fill little. As they are where
 * it was not measured (sets without `pairs`), and of floats, whose results depend on the choice. */
static int transformed_channels(int channels, const struct rates *r)
{
    enum { VECTOR = 16 };
    return r->pairs > 0 ? (channels + VECTOR - 1) / VECTOR * VECTOR : channels;
}

double cost_of(enum algorithm algorithm, const struct conv_shape *s, const char *isa, int is_integer, int images)
{
    enum { SIDE = 4, VALUES = 36 };
    const struct rates *r = rates_of(isa, is_integer);
    double outputs = (double)s->out * s->out_h * s->out_w, products = outputs * s->kernel * s->kernel * s->c;
    if (algorithm == ALGORITHM_PAIRS)
        return r->pairs > 0 ? products * r->pairs + outputs * r->output : INFINITY;
    if (algorithm == ALGORITHM_DIRECT)
        return products * r->direct;
    int inputs = r->pairs > 0 ? (s->c + 1) / 2 * 2 : s->c; /* multiplied in twos */
    double pairs = (double)inputs * s->out, channels = (double)transformed_channels(s->c, r) + s->out;
    double tiles = (double)((s->out_h + SIDE - 1) / SIDE) * ((s->out_w + SIDE - 1) / SIDE);
    return VALUES * tiles * (pairs * r->product + channels * r->transform) + pairs * r->weight / images;
}
