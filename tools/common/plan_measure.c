#include "tools/common/plan_measure.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/random.h"
#include "data/augment.h"
#include "data/batch.h"
#include "data/dataset.h"
#include "report/table.h"
#include "train/measure_step.h"
#include <stdio.h>
#include <string.h>

/* A mini-batch is timed that is short enough on a slow machine; images a second hardly depend on it. */
enum { NARROW_BATCH = 64, WIDE_BATCH = 32, LEAST_BATCH = 8, WIDE = 32, PRECISIONS = 2 };
#define SECONDS 0.6 /* a case */

static const char *const precisions[PRECISIONS] = {"fp32", "bf16"};

/* A network as it is initialised, and random images. */
struct subject {
    struct float_training network;
    struct image_shape shape;
    int classes, batch;
    struct model model;
    uint8_t *images; /* [NARROW_BATCH] */
    uint16_t labels[NARROW_BATCH];
};

static int subject_open(struct subject *s, const struct float_training *network, struct message *m)
{
    struct random_stream draw = random_open(1, RANDOM_TEST, 0, 0);
    size_t bytes = NARROW_BATCH * image_shape_bytes(network->image);
    *s = (struct subject){.network = *network,
                          .shape = network->image,
                          .classes = (int)network->classes,
                          .images = memory_new(bytes, 1, m)};
    if (!s->images)
        return STATUS_NOMEM;
    for (size_t k = 0; k < bytes; k++)
        s->images[k] = (uint8_t)random_below(&draw, 256);
    for (int n = 0; n < NARROW_BATCH; n++)
        s->labels[n] = (uint16_t)random_below(&draw, (uint32_t)s->classes);
    return STATUS_OK;
}

/* Fewer of large images. */
static int batch_of(const struct subject *s, int is_wide)
{
    int batch = is_wide ? WIDE_BATCH : NARROW_BATCH, pixels = s->shape.height * s->shape.width;
    int fits = (int)((int64_t)batch * IMAGE_SIDE * IMAGE_SIDE / pixels);
    return fits >= batch ? batch : fits < LEAST_BATCH ? LEAST_BATCH : fits;
}

/* Images and labels of its own kind alone: what another stage would refuse is no time at all. */
static int subject_fits(const struct subject *s, struct message *m)
{
    const struct graph *g = &s->model.graph;
    int classes = g->nodes[g->count - 1].c;
    TRY(images_match_input(s->shape, g->nodes[0].h, g->nodes[0].w, g->nodes[0].c, m));
    if (classes != s->classes)
        return message_set(m, STATUS_MISMATCH, "classes: the images have %d, the network %d", s->classes, classes);
    return STATUS_OK;
}

static int subject_build(struct subject *s, const struct budget_given *g, int width, struct message *m)
{
    s->network.width = width;
    s->batch = batch_of(s, g->network || width >= WIDE);
    TRY(float_training_start(&s->network, &s->model, m));
    int status = subject_fits(s, m);
    if (status < 0)
        model_free(&s->model);
    return status;
}

static int time_training(const struct subject *s, const struct budget_given *g, double rates[PRECISIONS],
                         struct message *m)
{
    struct step_case cases[PRECISIONS] = {{0}};
    int status = 0, open = 0;
    for (; open < PRECISIONS && status >= 0; open += status >= 0) {
        const struct gradient_options how = {
            .threads = g->threads, .batch = s->batch, .precision = precisions[open]};
        struct step_case *c = &cases[open];
        *c = (struct step_case){.images = s->images,
                                .labels = s->labels,
                                .batch = s->batch,
                                .classes = s->classes,
                                .rate = 0.01,
                                .group = open,
                                .name = precisions[open]};
        status = gradient_open(&c->gradient, &s->model, &how, m);
    }
    if (status >= 0)
        status = step_measure(cases, PRECISIONS, &(struct measure_options){SECONDS, 0}, m);
    for (int k = 0; k < open; k++) {
        if (status >= 0)
            rates[k] = s->batch / cases[k].step.median;
        gradient_close(cases[k].gradient);
    }
    return status;
}

static int time_inference(const struct subject *s, const struct budget_given *g, double *rate, struct message *m)
{
    const struct exec_options how = {.threads = g->threads, .batch = s->batch};
    struct exec *e;
    TRY(exec_open(&e, &s->model, &how, m));
    struct measure_case c = {.exec = e, .images = s->images, .batch = s->batch, .name = "inference"};
    int status = measure_run(&c, 1, &(struct measure_options){SECONDS / 2, 0}, m);
    if (status >= 0)
        *rate = s->batch / c.call.median;
    measure_free(&c, 1);
    exec_close(e);
    return status;
}

/* On the small pictures of budget.h, where the network takes them, in the precision that is the faster: 0 where not.
 * The images are the first so many pixels of the others. */
static int time_size(const struct subject *s, const struct budget_given *g, int i, int k, double *rate,
                     struct message *m)
{
    const int is_bf16 = g->speeds[i].bf16 > g->speeds[i].fp32;
    struct subject small = *s;
    double rates[PRECISIONS];
    *rate = 0;
    if (!budget_size(s->shape, k, &small.shape) ||
        model_copy_resized(&small.model, &s->model, small.shape.height, small.shape.width, NULL) < 0)
        return STATUS_OK;
    int status = time_training(&small, g, rates, m);
    model_free(&small.model);
    if (status >= 0)
        *rate = rates[is_bf16];
    return status;
}

static int time_sizes(struct subject *s, struct budget_given *g, int i, struct message *m)
{
    int status = subject_build(s, g, budget_widths[i].width, m);
    for (int k = 0; k < BUDGET_SIZES && status >= 0; k++)
        status = time_size(s, g, i, k, &g->speeds[i].small[k], m);
    model_free(&s->model);
    return status;
}

static int time_width(struct subject *s, struct budget_given *g, int i, struct message *m)
{
    double rates[PRECISIONS] = {0};
    int status = subject_build(s, g, budget_widths[i].width, m);
    if (status >= 0)
        status = time_training(s, g, rates, m);
    if (status >= 0)
        status = time_inference(s, g, &g->speeds[i].infer, m);
    g->speeds[i].fp32 = rates[0];
    g->speeds[i].bf16 = rates[1];
    model_free(&s->model);
    return status;
}

static int time_augmenting(const struct subject *s, double *rate, struct message *m)
{
    const struct augment_options o = {.seed = 1,
                                      .crop = 4,
                                      .pad = PAD_REFLECT,
                                      .flip = 0.5,
                                      .brightness = 0.1,
                                      .contrast = 0.1,
                                      .saturation = 0.1};
    size_t bytes = image_shape_bytes(s->shape);
    uint8_t *out = memory_new(bytes + augment_scratch_bytes(s->shape), 1, m);
    double began = clock_seconds(), now = began;
    int64_t done = 0;
    int status = out ? STATUS_OK : STATUS_NOMEM;
    for (; status >= 0 && now - began < SECONDS / 4; now = clock_seconds(), done++)
        status = augment_image(&o, s->shape, 0, (uint64_t)done, s->images + (size_t)(done % NARROW_BATCH) * bytes,
                               out, out + bytes, m);
    *rate = (double)done / (now - began);
    memory_free(out);
    return status;
}

static int measure(struct subject *s, struct budget_given *g, struct message *m)
{
    TRY(time_augmenting(s, &g->augment, m));
    TRY(time_width(s, g, 0, m));
    for (int i = 1; !g->network && i < BUDGET_WIDTHS && budget_is_worth_timing(g, i); i++)
        TRY(time_width(s, g, i, m));
    return time_sizes(s, g, budget_choose_width(g), m);
}

int plan_measure(struct budget_given *g, const struct float_training *network, struct message *m)
{
    struct subject s;
    int status = subject_open(&s, network, m);
    if (status >= 0)
        status = measure(&s, g, m);
    memory_free(s.images);
    return status;
}

/* ---- from a table ---- */

static int read_cell(const struct table *t, int row, const char *name, double *value, struct message *m)
{
    int column = table_column(t, name);
    if (column < 0)
        return message_set(m, STATUS_FORMAT, "no column '%s'", name);
    TRY(parse_number(table_cell(t, row, column), 1e-3, 1e9, name, value, m));
    return STATUS_OK;
}

static const char *const small_columns[BUDGET_SIZES] = {"train_half", "train_three_quarters"};

static int read_rows(struct budget_given *g, const struct table *t, struct message *m)
{
    if (t->rows < 1 || t->rows > BUDGET_WIDTHS)
        return message_set(m, STATUS_FORMAT, "has %d rows, want 1 to %d", t->rows, BUDGET_WIDTHS);
    for (int i = 0; i < (g->network ? 1 : t->rows); i++) {
        double width;
        TRY(read_cell(t, i, "width", &width, m));
        if ((int)width != budget_widths[i].width && !g->network)
            return message_set(m, STATUS_FORMAT, "row %d: width %g, want %d", i + 1, width, budget_widths[i].width);
        TRY(read_cell(t, i, "train_fp32", &g->speeds[i].fp32, m));
        TRY(read_cell(t, i, "train_bf16", &g->speeds[i].bf16, m));
        TRY(read_cell(t, i, "infer", &g->speeds[i].infer, m));
        TRY(read_cell(t, i, "augment", &g->augment, m));
        for (int k = 0; k < BUDGET_SIZES; k++)
            if (table_column(t, small_columns[k]) >= 0)
                TRY(read_cell(t, i, small_columns[k], &g->speeds[i].small[k], m));
    }
    return STATUS_OK;
}

int plan_read(struct budget_given *g, const char *path, struct message *m)
{
    struct table t = {0};
    TRY(table_load(&t, path, m));
    int status = read_rows(g, &t, m);
    table_free(&t);
    return status < 0 ? message_prefix(m, status, "%s", path) : status;
}
