#include "tools/common/bench_train.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/threads.h"
#include "pass/pass.h"
#include "record/file.h"
#include "report/table.h"
#include "tools/common/bench_table.h"
#include "train/measure_step.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

/* What training a subject takes besides its images. */
struct trained {
    struct affine *activations; /* NULL where it is not trained quantized */
    uint16_t *labels;           /* [batch] */
};

struct run {
    const struct bench_arguments *o;
    struct bench_subjects subjects;
    struct trained trained[BENCH_SUBJECTS_MOST]; /* of each subject */
    int case_count, batch;                       /* batch: the largest */
    struct step_case *cases;
};

static const char *const parts[STEP_PARTS] = {"forward", "loss", "backward", "update"};
static const char *const passes[LAYER_PASSES] = {"forward", "data", "weight"};

/* ---- models ---- */

static int read_ranges(const struct model *model, const char *path, struct affine **activations, struct message *m)
{
    const struct lower_options lower = {/* as qat-finetune's */
                                        .observer = "mse",
                                        .observer_parameter = NAN,
                                        .weight_bits = 8,
                                        .activation_bits = 8};
    struct ranges ranges = {0};
    struct record *record;
    TRY(record_load(&record, path, m));
    int status = ranges_from_record(&ranges, record, m);
    if (status >= 0)
        status = ranges_match_model(record, model, m);
    if (status < 0)
        message_prefix(m, status, "%s", path);
    struct affine *chosen = memory_new((size_t)model->graph.count, sizeof *chosen, m);
    *activations = chosen;
    if (status >= 0)
        status = chosen ? lower_choose_activations(model, &ranges, &lower, chosen, m) : STATUS_NOMEM;
    ranges_free(&ranges);
    record_free(record);
    return status;
}

static int open_models(struct run *r, struct bench_arguments *o, struct message *m)
{
    TRY(bench_subjects_open(&r->subjects, o, m));
    for (int i = 0; i < o->models.count && o->ranges; i++)
        TRY(read_ranges(&r->subjects.items[i].model, o->ranges, &r->trained[i].activations, m));
    return 0;
}

/* r->batch images and their labels, drawn. */
static int make_images(struct run *r, int i, const struct image_set *set, struct message *m)
{
    const struct graph *g = &r->subjects.items[i].model.graph;
    struct random_stream draw = random_open(1, RANDOM_TEST, 0, 0);
    uint16_t *labels = memory_new((size_t)r->batch, sizeof *labels, m);
    r->trained[i].labels = labels;
    if (!labels)
        return STATUS_NOMEM;
    TRY(bench_subject_draw(&r->subjects.items[i], set, r->batch, &draw, m));
    for (int n = 0; n < r->batch; n++)
        labels[n] = (uint16_t)random_below(&draw, (uint32_t)g->nodes[g->count - 1].c);
    return 0;
}

/* ---- cases ---- */

/* Threads change fastest, and what differs in them alone is a group. */
static int make_case(struct run *r, int i, const char *precision, int at, struct message *m)
{
    const struct bench_arguments *o = r->o;
    const struct bench_subject *s = &r->subjects.items[i];
    const struct trained *trained = &r->trained[i];
    const struct graph *g = &s->model.graph;
    struct step_case *c = &r->cases[r->case_count];
    const struct gradient_options how = {.threads = (int)o->threads.items[at % o->threads.count],
                                         .batch = (int)o->batches.items[at / o->threads.count],
                                         .precision = precision,
                                         .device = o->where.device,
                                         .tf32 = o->where.tf32,
                                         .fast = o->where.fast,
                                         .quantized = trained->activations != NULL,
                                         .activations = trained->activations,
                                         .weight_bits = 8,
                                         .activation_bits = 8};
    int status = gradient_open(&c->gradient, &s->model, &how, m);
    if (status < 0)
        return message_prefix(m, status, "%s", s->name);
    c->images = s->images;
    c->labels = trained->labels;
    c->batch = how.batch;
    c->classes = g->nodes[g->count - 1].c;
    c->rate = trained->activations ? 0.001 : 0.01;
    c->group = r->case_count++ / o->threads.count;
    c->name = s->name;
    return 0;
}

static int make_cases(struct run *r, struct message *m)
{
    const struct bench_arguments *o = r->o;
    struct image_set set = {0};
    int each = o->threads.count * o->batches.count, status = 0;
    r->cases = memory_new((size_t)(r->subjects.count * o->precisions.count * each), sizeof *r->cases, m);
    if (!r->cases)
        return STATUS_NOMEM;
    r->batch = bench_largest_batch(o);
    if (o->images)
        TRY(image_set_load(&set, o->images, m));
    for (int i = 0; i < r->subjects.count && status >= 0; i++) {
        status = make_images(r, i, &set, m);
        for (int k = 0; k < o->precisions.count * each && status >= 0; k++)
            status = make_case(r, i, o->precisions.items[k / each], k % each, m);
    }
    image_set_free(&set);
    return status;
}

static void run_close(struct run *r)
{
    step_measure_free(r->cases, r->cases ? r->case_count : 0);
    for (int i = 0; i < r->case_count; i++)
        gradient_close(r->cases[i].gradient);
    for (int i = 0; i < BENCH_SUBJECTS_MOST; i++) {
        memory_free(r->trained[i].activations);
        memory_free(r->trained[i].labels);
    }
    bench_subjects_close(&r->subjects);
    memory_free(r->cases);
}

/* ---- the table ---- */

static int is_quantized(const struct run *r, const struct step_case *c)
{
    for (int i = 0; i < r->subjects.count; i++)
        if (r->subjects.items[i].name == c->name)
            return r->trained[i].activations != NULL;
    return 0;
}

/* macs: of one image. Nothing for what took no time at all: a pass that there is not. */
static int add_row(struct table *t, const struct run *r, const struct step_case *c, const char *what,
                   struct timing s, double macs, size_t bytes, struct message *m)
{
    char peak[64] = "-\t-";
    double rate = macs * c->batch / s.median;
    if (s.p99 <= 0)
        return 0;
    if (c->peak > 0 && macs > 0)
        snprintf(peak, sizeof peak, "%.2f\t%.4f", c->peak / 1e9, rate / c->peak);
    return table_rowf(t, m, "%s\t%s\t%s\t%s\t%s%s\t%s\t%d\t%d\t%.6f\t%.6f\t%.6f\t%.6f\t%.1f\t%.3f\t%s\t%zu", what,
                      c->name, gradient_isa(c->gradient), gradient_device(c->gradient),
                      is_quantized(r, c) ? "int8+" : "", gradient_precision(c->gradient),
                      gradient_engine(c->gradient), gradient_threads(c->gradient), c->batch, s.median * 1e3,
                      s.min * 1e3, s.p95 * 1e3, s.p99 * 1e3, c->batch / s.median, rate / 1e9, peak, bytes);
}

static int add_parts(struct table *t, const struct run *r, const struct step_case *c, struct message *m)
{
    char what[160];
    for (int i = 0; i < STEP_PARTS; i++) {
        snprintf(what, sizeof what, "train-part:%s", parts[i]);
        TRY(add_row(t, r, c, what, c->parts[i], 0, 0, m));
    }
    TRY(add_row(t, r, c, "train-part:products", c->products, gradient_macs(c->gradient), 0, m));
    TRY(add_row(t, r, c, "train-part:elementwise", c->elementwise, 0, 0, m));
    for (int i = 0; i < gradient_layer_count(c->gradient); i++) {
        struct gradient_layer layer = gradient_layer_at(c->gradient, i);
        for (int k = 0; k < LAYER_PASSES; k++) {
            snprintf(what, sizeof what, "train-layer:%s:%s", layer.name, passes[k]);
            TRY(add_row(t, r, c, what, c->layers[i][k], layer.macs, 0, m));
        }
    }
    return 0;
}

static int add_notes(struct table *t, const struct run *r, struct message *m)
{
    char text[256];
    struct rusage usage = {0};
    TRY(table_note(t, "tool", "bench " RESQ_VERSION, m));
    machine_name(text, sizeof text);
    TRY(table_note(t, "cpu", text, m));
    TRY(bench_note_device(t, gradient_device(r->cases[0].gradient), m));
    snprintf(text, sizeof text, "%d", threads_online());
    TRY(table_note(t, "processors", text, m));
    snprintf(text, sizeof text, "%d", r->cases[0].samples);
    TRY(table_note(t, "steps", text, m));
    TRY(table_note(t, "times", "of a step", m));
    TRY(table_note(t, "images", r->o->images ? "from a batch file" : "random", m));
    getrusage(RUSAGE_SELF, &usage);
    snprintf(text, sizeof text, "%lld", (long long)usage.ru_maxrss * 1024);
    return table_note(t, "peak-resident-bytes", text, m);
}

/* The float32 step that a quantized one may be compared with: same network, as many images and threads. */
static const struct step_case *float_of(const struct run *r, const struct step_case *c)
{
    for (int i = 0; i < r->case_count; i++) {
        const struct step_case *f = &r->cases[i];
        if (!is_quantized(r, f) && strcmp(gradient_precision(f->gradient), "fp32") == 0 && f->batch == c->batch &&
            gradient_threads(f->gradient) == gradient_threads(c->gradient) &&
            fabs(gradient_macs(f->gradient) - gradient_macs(c->gradient)) < 0.5)
            return f;
    }
    return NULL;
}

static int add_ratios(struct table *t, const struct run *r, struct message *m)
{
    for (int i = 0; i < r->case_count; i++) {
        char text[256];
        const struct step_case *c = &r->cases[i], *f = float_of(r, c);
        if (!is_quantized(r, c) || !f)
            continue;
        snprintf(text, sizeof text, "%.3f times the images/s of %s fp32: %s int8+%s, batch %d, threads %d",
                 f->step.median / c->step.median, f->name, c->name, gradient_precision(c->gradient), c->batch,
                 gradient_threads(c->gradient));
        TRY(table_note(t, "quantized", text, m));
    }
    return 0;
}

static int make_table(struct table *t, const struct run *r, struct message *m)
{
    TRY(table_columns(t,
                      "what model isa device precision algorithm threads batch ms_median ms_min ms_p95 ms_p99 "
                      "samples_per_s gmac_per_s peak_gmac_per_s of_peak bytes",
                      m));
    TRY(add_notes(t, r, m));
    TRY(add_ratios(t, r, m));
    for (int i = 0; i < r->case_count; i++)
        TRY(add_row(t, r, &r->cases[i], "train", r->cases[i].step, gradient_macs(r->cases[i].gradient),
                    gradient_held_bytes(r->cases[i].gradient), m));
    for (int i = 0; i < r->case_count && r->o->layers; i++)
        TRY(add_parts(t, r, &r->cases[i], m));
    return 0;
}

int bench_train_run(struct bench_arguments *o, struct message *m)
{
    static struct run r; /* large */
    struct table table = {0};
    r.o = o;
    int status = open_models(&r, o, m);
    if (status >= 0)
        status = make_cases(&r, m);
    if (status >= 0)
        status = step_measure(r.cases, r.case_count, &(struct measure_options){o->seconds, o->layers}, m);
    if (status >= 0)
        status = make_table(&table, &r, m);
    if (status >= 0)
        status = table_save(&table, o->output, m);
    table_free(&table);
    run_close(&r);
    return status;
}
