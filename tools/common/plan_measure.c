#include "tools/common/plan_measure.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/random.h"
#include "data/augment.h"
#include "graph/resnet.h"
#include "report/table.h"
#include "train/measure_step.h"
#include <stdio.h>
#include <string.h>

/* A mini-batch is timed that is short enough on a slow machine; images a second hardly depend on it. */
enum { NARROW_BATCH = 64, WIDE_BATCH = 32, WIDE = 32, PRECISIONS = 2 };
#define SECONDS 0.6 /* a case */

static const char *const precisions[PRECISIONS] = {"fp32", "bf16"};

/* A network as it is initialised, and random images. */
struct subject {
    struct model model;
    int batch;
    uint8_t images[NARROW_BATCH * IMAGE_BYTES], labels[NARROW_BATCH];
};

static int subject_open(struct subject *s, int width, int classes, struct message *m)
{
    struct graph g = {0};
    struct random_stream draw = random_open(1, RANDOM_TEST, 0, 0);
    s->batch = width < WIDE ? NARROW_BATCH : WIDE_BATCH;
    for (size_t k = 0; k < sizeof s->images; k++)
        s->images[k] = (uint8_t)random_below(&draw, 256);
    for (int n = 0; n < NARROW_BATCH; n++)
        s->labels[n] = (uint8_t)random_below(&draw, (uint32_t)classes);
    TRY(resnet18_build(&g, width, classes, NULL, NULL, m));
    return model_initialise(&s->model, &g, 1, m);
}

static int time_training(const struct subject *s, const struct budget_given *g, int classes,
                         double rates[PRECISIONS], struct message *m)
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
                                .classes = classes,
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

static int time_width(struct subject *s, struct budget_given *g, int i, int classes, struct message *m)
{
    double rates[PRECISIONS] = {0};
    int status = subject_open(s, budget_widths[i].width, classes, m);
    if (status >= 0)
        status = time_training(s, g, classes, rates, m);
    if (status >= 0)
        status = time_inference(s, g, &g->speeds[i].infer, m);
    g->speeds[i].fp32 = rates[0];
    g->speeds[i].bf16 = rates[1];
    model_free(&s->model);
    return status;
}

static double time_augmenting(const struct subject *s)
{
    const struct augment_options o = {.seed = 1,
                                      .crop = 4,
                                      .pad = PAD_REFLECT,
                                      .flip = 0.5,
                                      .brightness = 0.1,
                                      .contrast = 0.1,
                                      .saturation = 0.1};
    static uint8_t out[IMAGE_BYTES];
    double began = clock_seconds(), now = began;
    uint64_t done = 0;
    for (; now - began < SECONDS / 4; now = clock_seconds())
        for (int k = 0; k < NARROW_BATCH; k++, done++)
            augment_image(&o, 0, done, s->images + k * IMAGE_BYTES, out);
    return (double)done / (now - began);
}

int plan_measure(struct budget_given *g, int classes, struct message *m)
{
    struct subject *s = memory_new(1, sizeof *s, m);
    int status = s ? time_width(s, g, 0, classes, m) : STATUS_NOMEM;
    if (status >= 0)
        g->augment = time_augmenting(s);
    for (int i = 1; i < BUDGET_WIDTHS && status >= 0 && budget_is_worth_timing(g, i); i++)
        status = time_width(s, g, i, classes, m);
    memory_free(s);
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

static int read_rows(struct budget_given *g, const struct table *t, struct message *m)
{
    if (t->rows < 1 || t->rows > BUDGET_WIDTHS)
        return message_set(m, STATUS_FORMAT, "has %d rows, want 1 to %d", t->rows, BUDGET_WIDTHS);
    for (int i = 0; i < t->rows; i++) {
        double width;
        TRY(read_cell(t, i, "width", &width, m));
        if ((int)width != budget_widths[i].width)
            return message_set(m, STATUS_FORMAT, "row %d: width %g, want %d", i + 1, width, budget_widths[i].width);
        TRY(read_cell(t, i, "train_fp32", &g->speeds[i].fp32, m));
        TRY(read_cell(t, i, "train_bf16", &g->speeds[i].bf16, m));
        TRY(read_cell(t, i, "infer", &g->speeds[i].infer, m));
        TRY(read_cell(t, i, "augment", &g->augment, m));
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
