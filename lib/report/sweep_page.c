/* The sweep's page. */
#include "base/memory.h"
#include "report/sweep.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BITS = 8, LEAST_BITS = 2 };

struct page {
    const struct sweep *s;
    struct text *out;
    struct message *m;
};

#define ADD(p, ...) TRY(text_add((p)->out, (p)->m, __VA_ARGS__))

static int accuracy_add(const struct page *p, const struct sweep_row *r)
{
    return text_add(p->out, p->m, "%.2f (%.2f to %.2f)", r->accuracy, r->low, r->high);
}

static int head_add(const struct page *p)
{
    const char *dataset, *images;
    TRY(table_note_of(p->s->table, "dataset", &dataset, p->m));
    TRY(table_note_of(p->s->table, "images", &images, p->m));
    ADD(p, "# Sweep: quantization of one float network, %s\n\n", dataset);
    ADD(p,
        "Measured on %s held-out images of the train split, for choosing; the test split was not opened. PTQ is "
        "the "
        "mean of\n"
        "the seeds, which draw the calibration images. QAT is one seed and the last epoch, whatever the held-out "
        "images say of the\n"
        "others. Intervals are of 95 %%: smaller differences mean little. All rows: [sweep.tsv](sweep.tsv).\n\n",
        images);
    return 0;
}

/* ---- what was chosen ---- */

static int is_of_bits(const struct sweep *s, const struct sweep_row *r, const char *stage, int bits)
{
    if (strcmp(r->stage, stage) != 0 || r->weight_bits != bits)
        return 0;
    return strcmp(stage, "qat") == 0 || (sweep_is_usual(s, r) && r->activation_bits == bits);
}

static const struct sweep_row *best_of(const struct sweep *s, const char *stage, int bits)
{
    const struct sweep_row *best = NULL;
    for (int k = 0; k < s->count; k++)
        if (is_of_bits(s, &s->rows[k], stage, bits) && (!best || sweep_is_better(&s->rows[k], best)))
            best = &s->rows[k];
    return best;
}

static int chosen_add(const struct page *p)
{
    ADD(p, "## Chosen on the held-out images\n\n"
           "| bits | PTQ | accuracy, %% | QAT | accuracy, %% | float, %% |\n|---|---|---|---|---|---|\n");
    for (int bits = MOST_BITS; bits >= LEAST_BITS; bits--) {
        const struct sweep_row *ptq = best_of(p->s, "ptq", bits), *qat = best_of(p->s, "qat", bits);
        if (!ptq && !qat)
            continue;
        ADD(p, "| %d | ", bits);
        if (ptq)
            ADD(p, "%s, per %s | ", ptq->observer, ptq->granularity);
        TRY(ptq ? accuracy_add(p, ptq) : text_add(p->out, p->m, "- | -"));
        ADD(p, " | ");
        if (qat)
            ADD(p, "%s ranges | ", qat->ranges);
        TRY(qat ? accuracy_add(p, qat) : text_add(p->out, p->m, "- | -"));
        ADD(p, " | %.2f |\n", p->s->rows[p->s->float_row].accuracy);
    }
    return text_add(p->out, p->m, "\n");
}

/* The fewest calibration images from which on no mean is further than 0.1 points from that of the most; NULL: none
 * fewer than the most. */
static const struct sweep_row *enough_of(const struct sweep *s, const char *observer, const struct sweep_row **most)
{
    const struct sweep_row *largest = NULL, *worst = NULL, *enough = NULL;
#define EACH(r)                                                                \
    for (const struct sweep_row *(r) = s->rows; r < s->rows + s->count; (r)++) \
        if (sweep_is_calibration(r) && strcmp((r)->observer, observer) == 0)
    EACH(r)
    if (!largest || r->calibration_images > largest->calibration_images)
        largest = r;
    EACH(r)
    if (fabs(r->accuracy - largest->accuracy) > 0.1 &&
        (!worst || r->calibration_images > worst->calibration_images))
        worst = r;
    EACH(r)
    if ((!worst || r->calibration_images > worst->calibration_images) &&
        (!enough || r->calibration_images < enough->calibration_images))
        enough = r;
#undef EACH
    *most = largest;
    return enough && enough->calibration_images < largest->calibration_images ? enough : NULL;
}

static int enough_add(const struct page *p)
{
    const struct sweep_row *best = best_of(p->s, "ptq", 8), *most;
    const struct sweep_row *enough = best ? enough_of(p->s, best->observer, &most) : NULL;
    if (enough)
        ADD(p,
            "Calibration images: %lld are enough for %s, per channel, at 8 bits: from there on, the mean stays "
            "within 0.1 points of that of %lld.\n\n",
            (long long)enough->calibration_images, best->observer, (long long)most->calibration_images);
    return 0;
}

/* ---- tables ---- */

static int ptq_row_add(const struct page *p, const struct sweep_row *r)
{
    ADD(p, "| %d, %d | %s | %s | ", r->weight_bits, r->activation_bits, r->observer, r->granularity);
    TRY(accuracy_add(p, r));
    ADD(p, " | %.2f, %.2f | %.4f | %lld |\n", r->least, r->most, r->loss, (long long)r->bytes);
    return 0;
}

static int ptq_add(const struct page *p)
{
    const struct sweep *s = p->s;
    ADD(p, "## PTQ: observers and bits\n\n"
           "| bits (weights, activations) | observer | granularity | accuracy, %% (95 %% interval) | least, most "
           "of the "
           "seeds | loss | bytes |\n|---|---|---|---|---|---|---|\n");
    for (int bits = MOST_BITS; bits >= LEAST_BITS; bits--)
        for (int k = 0; k < s->count; k++)
            if (is_of_bits(s, &s->rows[k], "ptq", bits))
                TRY(ptq_row_add(p, &s->rows[k]));
    for (int bits = MOST_BITS - 1; bits >= LEAST_BITS; bits--)
        for (int k = 0; k < s->count; k++) {
            const struct sweep_row *r = &s->rows[k];
            if (strcmp(r->stage, "ptq") == 0 && r->weight_bits != r->activation_bits &&
                (r->weight_bits == bits || r->activation_bits == bits))
                TRY(ptq_row_add(p, r));
        }
    return text_add(p->out, p->m, "\n");
}

static int by_observer_and_images(const void *left, const void *right)
{
    const struct sweep_row *a = *(const struct sweep_row *const *)left;
    const struct sweep_row *b = *(const struct sweep_row *const *)right;
    int order = strcmp(a->observer, b->observer);
    if (order == 0)
        order = (a->calibration_images > b->calibration_images) - (a->calibration_images < b->calibration_images);
    return order ? order : (a > b) - (a < b);
}

static int calibration_rows_add(const struct page *p, const struct sweep_row **rows)
{
    int count = 0;
    for (int k = 0; k < p->s->count; k++)
        if (sweep_is_calibration(&p->s->rows[k]))
            rows[count++] = &p->s->rows[k];
    qsort(rows, (size_t)count, sizeof *rows, by_observer_and_images);
    for (int k = 0; k < count; k++) {
        ADD(p, "| %s | %lld | ", rows[k]->observer, (long long)rows[k]->calibration_images);
        TRY(accuracy_add(p, rows[k]));
        ADD(p, " | %.2f, %.2f | %.4f |\n", rows[k]->least, rows[k]->most, rows[k]->loss);
    }
    return text_add(p->out, p->m, "\n");
}

static int calibration_add(const struct page *p)
{
    ADD(p, "## PTQ at 8 bits: calibration images\n\n"
           "| observer | images | accuracy, %% (95 %% interval) | least, most of the seeds | loss |\n"
           "|---|---|---|---|---|\n");
    const struct sweep_row **rows = memory_new((size_t)p->s->count, sizeof *rows, p->m);
    int status = rows ? calibration_rows_add(p, rows) : STATUS_NOMEM;
    memory_free(rows);
    return status;
}

static int qat_add(const struct page *p)
{
    ADD(p, "## QAT\n\n"
           "| bits | ranges | accuracy, %% (95 %% interval) | loss | bytes |\n|---|---|---|---|---|\n");
    for (int bits = MOST_BITS; bits >= LEAST_BITS; bits--)
        for (int k = 0; k < p->s->count; k++) {
            const struct sweep_row *r = &p->s->rows[k];
            if (!is_of_bits(p->s, r, "qat", bits))
                continue;
            ADD(p, "| %d | %s | ", r->weight_bits, r->ranges);
            TRY(accuracy_add(p, r));
            ADD(p, " | %.4f | %lld |\n", r->loss, (long long)r->bytes);
        }
    return text_add(p->out, p->m, "\n");
}

int sweep_page(const struct sweep *s, char *const *charts, int count, struct text *out, struct message *m)
{
    const struct page p = {s, out, m};
    TRY(head_add(&p));
    TRY(chosen_add(&p));
    TRY(enough_add(&p));
    TRY(ptq_add(&p));
    TRY(calibration_add(&p));
    TRY(qat_add(&p));
    for (int i = 0; i < count; i++)
        TRY(text_add(out, m, "![%s](charts/%s.png)\n", charts[i], charts[i]));
    return 0;
}
