#include "tools/common/bench_infer.h"
#include "base/memory.h"
#include "data/augment.h"
#include "exec/infer/measure.h"
#include "tools/common/bench_table.h"
#include <string.h>

/* Everything a run holds: one exec a case, planned for its batch and threads; cases in the order of the table. */
struct run {
    const struct bench_arguments *o;
    struct bench_subjects subjects;
    int case_count, batch; /* batch: the most images of a case, mirror images included */
    struct exec **execs;
    struct measure_case *cases;
};

static int views_of(const struct bench_arguments *o)
{
    return o->flips ? 2 : 1;
}

/* Every second image becomes the one before it, mirrored: a case takes as many of both as it wants. */
static void make_mirrors(uint8_t *images, int batch, struct image_shape s)
{
    const size_t bytes = image_shape_bytes(s);
    for (int n = 0; n + 1 < batch; n += 2) {
        uint8_t *mirror = images + (size_t)(n + 1) * bytes;
        memcpy(mirror, mirror - bytes, bytes);
        image_flip(s, mirror);
    }
}

static int make_images(struct run *r, struct bench_subject *s, const struct image_set *set, struct message *m)
{
    const struct node *input = &s->model.graph.nodes[0];
    struct random_stream draw = random_open(1, RANDOM_TEST, 0, 0);
    TRY(bench_subject_draw(s, set, r->batch, &draw, m));
    if (r->o->flips)
        make_mirrors(s->images, r->batch, (struct image_shape){input->h, input->w, input->c});
    return 0;
}

/* One case: a model with the k-th of all precisions, threads and batches. Integer layers have a precision of their
 * own: the first alone. */
static int make_case(struct run *r, struct bench_subject *s, int k, struct message *m)
{
    const struct bench_arguments *o = r->o;
    int each = o->threads.count * o->batches.count;
    int batch = (int)o->batches.items[k % o->batches.count] * views_of(o);
    int integer = graph_stage(&s->model.graph) == STAGE_INT8;
    if (integer && k >= each)
        return 0;
    const struct exec_options how = {.threads = (int)o->threads.items[k % each / o->batches.count],
                                     .batch = batch,
                                     .device = o->where.device,
                                     .precision = integer ? NULL : o->precisions.items[k / each],
                                     .tf32 = o->where.tf32,
                                     .fast = o->where.fast};
    struct measure_case *c = &r->cases[r->case_count];
    int status = exec_open(&r->execs[r->case_count], &s->model, &how, m);
    if (status < 0)
        return message_prefix(m, status, "%s", s->name);
    *c = (struct measure_case){
        .exec = r->execs[r->case_count++], .batch = batch, .views = views_of(o), .name = s->name};
    return 0;
}

static int make_model_cases(struct run *r, struct bench_subject *s, const struct image_set *set, struct message *m)
{
    const struct bench_arguments *o = r->o;
    int first = r->case_count;
    for (int k = 0; k < o->precisions.count * o->threads.count * o->batches.count; k++)
        TRY(make_case(r, s, k, m));
    TRY(make_images(r, s, set, m));
    for (int k = first; k < r->case_count; k++)
        r->cases[k].images = s->images;
    return 0;
}

static int make_cases(struct run *r, struct message *m)
{
    const struct bench_arguments *o = r->o;
    struct image_set set = {0};
    size_t all = (size_t)r->subjects.count * (size_t)o->precisions.count * (size_t)o->threads.count *
                 (size_t)o->batches.count;
    r->execs = memory_new(all, sizeof(struct exec *), m);
    r->cases = memory_new(all, sizeof *r->cases, m);
    if (!r->execs || !r->cases)
        return STATUS_NOMEM;
    r->batch = bench_largest_batch(o) * views_of(o);
    if (o->images)
        TRY(image_set_load(&set, o->images, m));
    int status = 0;
    for (int i = 0; i < r->subjects.count && status >= 0; i++)
        status = make_model_cases(r, &r->subjects.items[i], &set, m);
    image_set_free(&set);
    return status;
}

static void run_close(struct run *r)
{
    measure_free(r->cases, r->case_count);
    for (int i = 0; i < r->case_count; i++)
        exec_close(r->execs[i]);
    bench_subjects_close(&r->subjects);
    memory_free(r->execs);
    memory_free(r->cases);
}

int bench_infer_run(struct bench_arguments *o, struct message *m)
{
    static struct run r; /* large */
    struct table table = {0};
    r.o = o;
    int status = bench_subjects_open(&r.subjects, o, m);
    if (status >= 0)
        status = make_cases(&r, m);
    if (status >= 0)
        status = measure_run(r.cases, r.case_count, &(struct measure_options){o->seconds, o->layers}, m);
    if (status >= 0)
        status = bench_table(&table, r.cases, r.case_count, o->images ? "from a batch file" : "random", m);
    if (status >= 0)
        status = table_save(&table, o->output, m);
    table_free(&table);
    run_close(&r);
    return status;
}
