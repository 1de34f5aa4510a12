#include "tools/common/bench_train.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/threads.h"
#include "data/batch.h"
#include "graph/resnet.h"
#include "pass/pass.h"
#include "record/file.h"
#include "report/table.h"
#include "tools/common/bench_table.h"
#include "train/measure_step.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

/* A model with its images; activations where it is trained quantized. */
struct subject {
    struct model model;
    char name[BENCH_NAME_SIZE];
    struct affine *activations;
    uint8_t *images;
    uint16_t *labels;
};

struct run {
    const struct bench_train *o;
    struct subject subjects[STRING_LIST_MAX + 1];
    int subject_count, case_count, batch; /* batch: the largest */
    struct step_case *cases;
};

static const char *const parts[STEP_PARTS] = {"forward", "loss", "backward", "update"};
static const char *const passes[LAYER_PASSES] = {"forward", "data", "weight"};

/* ---- models ---- */

static int read_ranges(struct subject *s, const char *path, struct message *m)
{
    const struct lower_options lower = {"mse", NAN, 8, 8, 0, NULL}; /* as qat-finetune's */
    struct ranges ranges = {0};
    struct record *record;
    TRY(record_load(&record, path, m));
    int status = ranges_from_record(&ranges, record, m);
    if (status >= 0)
        status = ranges_match_model(record, &s->model, m);
    if (status < 0)
        message_prefix(m, status, "%s", path);
    s->activations = memory_new((size_t)s->model.graph.count, sizeof *s->activations, m);
    if (status >= 0)
        status =
            s->activations ? lower_choose_activations(&s->model, &ranges, &lower, s->activations, m) : STATUS_NOMEM;
    ranges_free(&ranges);
    record_free(record);
    return status;
}

static int load_models(struct run *r, struct message *m)
{
    for (int i = 0; i < r->o->models->count; i++) {
        struct subject *s = &r->subjects[i];
        TRY(output_differs(r->o->models->items[i], r->o->output, m));
        TRY(model_open(&s->model, r->o->models->items[i], r->o->given, m));
        r->subject_count = i + 1;
        bench_name(s->name, r->o->models->items, r->o->models->count, i);
        if (r->o->ranges)
            TRY(read_ranges(s, r->o->ranges, m));
    }
    if (r->o->width > 0) {
        struct subject *s = &r->subjects[r->subject_count];
        struct graph g = {0};
        TRY(resnet18_build_for(&g, r->o->image, (int)r->o->width, 10, NULL, NULL, m));
        TRY(model_initialise(&s->model, &g, 1, m));
        r->subject_count++;
        snprintf(s->name, sizeof s->name, "resnet18-width%d", (int)r->o->width);
    }
    return 0;
}

/* r->batch images: from the set, over and over, or drawn; labels drawn. */
static int make_images(const struct run *r, struct subject *s, const struct image_set *set, struct message *m)
{
    const struct graph *g = &s->model.graph;
    const struct node *x = &g->nodes[0];
    size_t bytes = (size_t)x->h * (size_t)x->w * (size_t)x->c, batch = (size_t)r->batch;
    struct random_stream draw = random_open(1, RANDOM_TEST, 0, 0);
    int status = set->count > 0 ? images_match_input(set->shape, x->h, x->w, x->c, m) : 0;
    if (status < 0)
        return message_prefix(m, status, "%s", s->name);
    s->images = memory_new(batch, bytes, m);
    s->labels = memory_new(batch, sizeof *s->labels, m);
    if (!s->images || !s->labels)
        return STATUS_NOMEM;
    for (size_t n = 0; n < batch && set->count > 0; n++)
        memcpy(s->images + n * bytes, set->images + n % (size_t)set->count * bytes, bytes);
    for (size_t k = 0; set->count == 0 && k < batch * bytes; k++)
        s->images[k] = (uint8_t)random_below(&draw, 256);
    for (size_t n = 0; n < batch; n++)
        s->labels[n] = (uint16_t)random_below(&draw, (uint32_t)g->nodes[g->count - 1].c);
    return 0;
}

/* ---- cases ---- */

/* Threads change fastest, and what differs in them alone is a group. */
static int make_case(struct run *r, struct subject *s, const char *precision, int at, struct message *m)
{
    const struct bench_train *o = r->o;
    const struct graph *g = &s->model.graph;
    struct step_case *c = &r->cases[r->case_count];
    const struct gradient_options how = {.threads = (int)o->threads->items[at % o->threads->count],
                                         .batch = (int)o->batches->items[at / o->threads->count],
                                         .precision = precision,
                                         .device = o->where.device,
                                         .tf32 = o->where.tf32,
                                         .fast = o->where.fast,
                                         .quantized = s->activations != NULL,
                                         .activations = s->activations,
                                         .weight_bits = 8,
                                         .activation_bits = 8};
    int status = gradient_open(&c->gradient, &s->model, &how, m);
    if (status < 0)
        return message_prefix(m, status, "%s", s->name);
    c->images = s->images;
    c->labels = s->labels;
    c->batch = how.batch;
    c->classes = g->nodes[g->count - 1].c;
    c->rate = s->activations ? 0.001 : 0.01;
    c->group = r->case_count++ / o->threads->count;
    c->name = s->name;
    return 0;
}

static int make_cases(struct run *r, struct message *m)
{
    static const struct string_list fp32 = {{"fp32"}, 1};
    const struct bench_train *o = r->o;
    const struct string_list *precisions = o->precisions->count > 0 ? o->precisions : &fp32;
    struct image_set set = {0};
    int each = o->threads->count * o->batches->count, status = 0;
    r->cases = memory_new((size_t)(r->subject_count * precisions->count * each), sizeof *r->cases, m);
    if (!r->cases)
        return STATUS_NOMEM;
    for (int i = 0; i < o->batches->count; i++)
        r->batch = r->batch > (int)o->batches->items[i] ? r->batch : (int)o->batches->items[i];
    if (o->images)
        TRY(image_set_load(&set, o->images, m));
    for (int i = 0; i < r->subject_count && status >= 0; i++) {
        status = make_images(r, &r->subjects[i], &set, m);
        for (int k = 0; k < precisions->count * each && status >= 0; k++)
            status = make_case(r, &r->subjects[i], precisions->items[k / each], k % each, m);
    }
    image_set_free(&set);
    return status;
}

static void run_close(struct run *r)
{
    step_measure_free(r->cases, r->cases ? r->case_count : 0);
    for (int i = 0; i < r->case_count; i++)
        gradient_close(r->cases[i].gradient);
    for (int i = 0; i < r->subject_count; i++) {
        model_free(&r->subjects[i].model);
        memory_free(r->subjects[i].activations);
        memory_free(r->subjects[i].images);
        memory_free(r->subjects[i].labels);
    }
    memory_free(r->cases);
}

/* ---- the table ---- */

/* macs: of one image. Nothing for what took no time at all: a pass that there is not. */
static int add_row(struct table *t, const struct run *r, const struct step_case *c, const char *what,
                   struct timing s, double macs, size_t bytes, struct message *m)
{
    char peak[64] = "-\t-";
    double rate = macs * c->batch / s.median;
    const struct subject *of = r->subjects;
    while (of->name != c->name)
        of++;
    if (s.p99 <= 0)
        return 0;
    if (c->peak > 0 && macs > 0)
        snprintf(peak, sizeof peak, "%.2f\t%.4f", c->peak / 1e9, rate / c->peak);
    return table_rowf(t, m, "%s\t%s\t%s\t%s\t%s%s\t%s\t%d\t%d\t%.6f\t%.6f\t%.6f\t%.6f\t%.1f\t%.3f\t%s\t%zu", what,
                      c->name, gradient_isa(c->gradient), gradient_device(c->gradient),
                      of->activations ? "int8+" : "", gradient_precision(c->gradient), gradient_engine(c->gradient),
                      gradient_threads(c->gradient), c->batch, s.median * 1e3, s.min * 1e3, s.p95 * 1e3,
                      s.p99 * 1e3, c->batch / s.median, rate / 1e9, peak, bytes);
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

static int is_quantized(const struct run *r, const struct step_case *c)
{
    for (int i = 0; i < r->subject_count; i++)
        if (r->subjects[i].name == c->name)
            return r->subjects[i].activations != NULL;
    return 0;
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

int bench_train_run(const struct bench_train *o, struct message *m)
{
    static struct run r; /* large */
    struct table table = {0};
    r = (struct run){.o = o};
    int status = output_check(o->output, m);
    if (status >= 0)
        status = load_models(&r, m);
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
