#include "report/ablation.h"
#include "base/memory.h"
#include <gsl/gsl_cdf.h>
#include <math.h>
#include <string.h>

enum { ABLATION_MAX_ROWS = 10000 };

struct reader {
    const struct table *t;
    int variant, seed, change;
};

static int column_of(const struct table *t, const char *name, int *column, struct message *m)
{
    *column = table_column(t, name);
    return *column >= 0 ? 0 : message_set(m, STATUS_FORMAT, "no column '%s'", name);
}

static int is_of(const struct reader *r, int row, const char *variant)
{
    return strcmp(table_cell(r->t, row, r->variant), variant) == 0;
}

/* The row of a variant with the same seed as `row`, up to before `end`; -1: none. */
static int find_seed(const struct reader *r, const char *variant, int row, int end)
{
    const char *seed = table_cell(r->t, row, r->seed);
    for (int i = 0; i < end; i++)
        if (is_of(r, i, variant) && strcmp(table_cell(r->t, i, r->seed), seed) == 0)
            return i;
    return -1;
}

/* ---- a variant's means, and its differences from the base ---- */

struct spread {
    double squares; /* of differences around their variant's mean */
    int freedom;
};

static int row_add(struct ablation_row *to, const struct reader *r, int row, double *squares, struct message *m)
{
    double held_out, train, seconds, base;
    TRY(table_number(r->t, row, "accuracy_held_out", 0, 100, &held_out, m));
    TRY(table_number(r->t, row, "accuracy_train", 0, 100, &train, m));
    TRY(table_number(r->t, row, "seconds", 0, 1e12, &seconds, m));
    if (find_seed(r, to->variant, row, row) >= 0)
        return message_set(m, STATUS_FORMAT, "row %d: variant '%s' has seed %s twice", row + 1, to->variant,
                           table_cell(r->t, row, r->seed));
    to->seeds++;
    to->held_out += held_out;
    to->train += train;
    to->seconds += seconds;
    int other = strcmp(to->variant, "base") == 0 ? -1 : find_seed(r, "base", row, r->t->rows);
    if (other < 0)
        return 0;
    TRY(table_number(r->t, other, "accuracy_held_out", 0, 100, &base, m));
    to->pairs++;
    to->difference += held_out - base;
    *squares += (held_out - base) * (held_out - base);
    return 0;
}

static int variant_take(struct ablation_row *to, const struct reader *r, int first, struct spread *spread,
                        struct message *m)
{
    double squares = 0;
    *to = (struct ablation_row){.variant = table_cell(r->t, first, r->variant),
                                .change = table_cell(r->t, first, r->change)};
    for (int row = first; row < r->t->rows; row++)
        if (is_of(r, row, to->variant))
            TRY(row_add(to, r, row, &squares, m));
    to->held_out = round_decimals(to->held_out / to->seeds, 3);
    to->train = round_decimals(to->train / to->seeds, 3);
    to->seconds = round_decimals(to->seconds / to->seeds, 1);
    if (to->pairs > 0) {
        spread->squares += squares - to->difference * to->difference / to->pairs;
        spread->freedom += to->pairs - 1;
    }
    to->difference = to->pairs > 0 ? round_decimals(to->difference / to->pairs, 3) : (double)NAN;
    return 0;
}

static int rows_take(struct ablation *a, const struct reader *r, struct spread *spread, struct message *m)
{
    for (int row = 0; row < r->t->rows; row++) {
        int k = 0;
        while (k < a->count && !is_of(r, row, a->rows[k].variant))
            k++;
        if (k == a->count)
            TRY(variant_take(&a->rows[a->count++], r, row, spread, m));
    }
    return 0;
}

int ablation_of_table(struct ablation *a, const struct table *t, struct message *m)
{
    struct reader r = {.t = t};
    struct spread spread = {0};
    *a = (struct ablation){.table = t};
    TRY(column_of(t, "variant", &r.variant, m));
    TRY(column_of(t, "seed", &r.seed, m));
    TRY(column_of(t, "change", &r.change, m));
    if (t->rows < 1 || t->rows > ABLATION_MAX_ROWS)
        return message_set(m, STATUS_FORMAT, "%d rows, want 1 to %d", t->rows, ABLATION_MAX_ROWS);
    a->rows = memory_new((size_t)t->rows, sizeof *a->rows, m);
    if (!a->rows)
        return STATUS_NOMEM;
    TRY(rows_take(a, &r, &spread, m));
    const int f = spread.freedom;
    const double deviation = f > 0 && spread.squares > 0 ? sqrt(spread.squares / f) : 0;
    const double t975 = f > 0 ? gsl_cdf_tdist_Pinv(0.975, f) : 0;
    for (int k = 0; k < a->count; k++) {
        struct ablation_row *row = &a->rows[k];
        row->chance =
            f > 0 && row->pairs > 0 ? round_decimals(t975 * deviation / sqrt(row->pairs), 3) : (double)NAN;
    }
    return 0;
}

void ablation_free(struct ablation *a)
{
    memory_free(a->rows);
    *a = (struct ablation){0};
}

/* ---- the page ---- */

static int head_add(const struct table *t, struct text *out, struct message *m)
{
    static const char *const keys[] = {"dataset", "augment", "train", "size", "images", "held-out"};
    const char *notes[6];
    for (int i = 0; i < 6; i++)
        TRY(table_note_of(t, keys[i], &notes[i], m));
    TRY(text_add(out, m,
                 "# Ablation: what each choice of the recipe is worth, %s\n\n"
                 "The base is `augment %s`, `train-fp32 %s`, but smaller: `%s`, %s training\n"
                 "images. ",
                 notes[0], notes[1], notes[2], notes[3], notes[4]));
    return text_add(
        out, m,
        "Each variant changes one thing. Accuracy is that of the last epoch, on %s held-out images: nothing was "
        "chosen by\n"
        "it, the test split was not opened. Differences are taken seed by seed; chance alone makes one as large as "
        "that in the\n"
        "next column in one case of 20, so smaller ones mean nothing. All trainings: "
        "[ablation.tsv](ablation.tsv).\n\n"
        "| variant | change | seeds | held-out, %% | difference | chance | train, %% | seconds |\n"
        "|---|---|---|---|---|---|---|---|\n",
        notes[5]);
}

static int row_print(const struct ablation_row *r, struct text *out, struct message *m)
{
    const char *tick = strcmp(r->change, "-") == 0 ? "" : "`";
    TRY(text_add(out, m, "| %s | %s%s%s | %d | %.2f | ", r->variant, tick, r->change, tick, r->seeds, r->held_out));
    TRY(isnan(r->difference) ? text_add(out, m, "- | ") : text_add(out, m, "%+.2f | ", r->difference));
    TRY(isnan(r->chance) ? text_add(out, m, "- | ") : text_add(out, m, "%.2f | ", r->chance));
    return text_add(out, m, "%.2f | %.0f |\n", r->train, r->seconds);
}

int ablation_page(const struct ablation *a, struct text *out, struct message *m)
{
    TRY(head_add(a->table, out, m));
    for (int k = 0; k < a->count; k++)
        TRY(row_print(&a->rows[k], out, m));
    return text_add(out, m, "\n![ablation](charts/ablation.png)\n");
}
