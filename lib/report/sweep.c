#include "report/sweep.h"
#include "base/memory.h"
#include <stdlib.h>
#include <string.h>

enum { SWEEP_MAX_ROWS = 10000, KEYS = 8 };

/* What makes a configuration, in the table's words. */
static const char *const key_names[KEYS] = {"stage",           "observer",           "granularity", "weight_bits",
                                            "activation_bits", "calibration_images", "ranges",      "images"};

struct reader {
    const struct table *t;
    int keys[KEYS];
};

static int reader_open(struct reader *r, const struct table *t, struct message *m)
{
    r->t = t;
    for (int k = 0; k < KEYS; k++)
        if ((r->keys[k] = table_column(t, key_names[k])) < 0)
            return message_set(m, STATUS_FORMAT, "no column '%s'", key_names[k]);
    return 0;
}

static int same_keys(const struct reader *r, int a, int b)
{
    for (int k = 0; k < KEYS; k++)
        if (strcmp(table_cell(r->t, a, r->keys[k]), table_cell(r->t, b, r->keys[k])) != 0)
            return 0;
    return 1;
}

/* 0 where the cell is "-". */
static int whole_number(const struct table *t, int row, const char *column, double most, int64_t *value,
                        struct message *m)
{
    double number = 0;
    int at = table_column(t, column);
    if (at < 0 || strcmp(table_cell(t, row, at), "-") != 0)
        TRY(table_number(t, row, column, 0, most, &number, m));
    *value = (int64_t)number;
    return 0;
}

static int row_begin(struct sweep_row *to, const struct reader *r, int row, struct message *m)
{
    const struct table *t = r->t;
    int64_t weight_bits, activation_bits;
    TRY(whole_number(t, row, "weight_bits", 32, &weight_bits, m));
    TRY(whole_number(t, row, "activation_bits", 32, &activation_bits, m));
    *to = (struct sweep_row){.stage = table_cell(t, row, r->keys[0]),
                             .observer = table_cell(t, row, r->keys[1]),
                             .granularity = table_cell(t, row, r->keys[2]),
                             .weight_bits = (int)weight_bits,
                             .activation_bits = (int)activation_bits,
                             .ranges = table_cell(t, row, r->keys[6]),
                             .images = table_cell(t, row, r->keys[7]),
                             .least = 100};
    TRY(whole_number(t, row, "calibration_images", 1e15, &to->calibration_images, m));
    return whole_number(t, row, "bytes", 1e15, &to->bytes, m);
}

static int row_add(struct sweep_row *to, const struct table *t, int row, struct message *m)
{
    double accuracy, low, high, loss;
    TRY(table_number(t, row, "accuracy", 0, 100, &accuracy, m));
    TRY(table_number(t, row, "accuracy_low", 0, 100, &low, m));
    TRY(table_number(t, row, "accuracy_high", 0, 100, &high, m));
    TRY(table_number(t, row, "loss", 0, 1e300, &loss, m));
    to->seeds++;
    to->accuracy += accuracy;
    to->low += low;
    to->high += high;
    to->loss += loss;
    to->least = accuracy < to->least ? accuracy : to->least;
    to->most = accuracy > to->most ? accuracy : to->most;
    return 0;
}

static void row_end(struct sweep_row *r)
{
    const double seeds = r->seeds;
    r->accuracy = round_decimals(r->accuracy / seeds, 4);
    r->low = round_decimals(r->low / seeds, 4);
    r->high = round_decimals(r->high / seeds, 4);
    r->least = round_decimals(r->least, 4);
    r->most = round_decimals(r->most, 4);
    r->loss = round_decimals(r->loss / seeds, 6);
}

static int rows_collect(struct sweep *s, const struct reader *r, int *first, struct message *m)
{
    for (int row = 0; row < s->table->rows; row++) {
        int k = 0;
        while (k < s->count && !same_keys(r, first[k], row))
            k++;
        if (k == s->count) {
            TRY(row_begin(&s->rows[k], r, row, m));
            first[s->count++] = row;
        }
        TRY(row_add(&s->rows[k], s->table, row, m));
    }
    return 0;
}

static int rows_look(struct sweep *s, struct message *m)
{
    s->float_row = -1;
    s->usual = -1;
    for (int k = 0; k < s->count; k++) {
        const struct sweep_row *r = &s->rows[k];
        row_end(&s->rows[k]);
        s->seeds = r->seeds > s->seeds ? r->seeds : s->seeds;
        if (strcmp(r->stage, "float") == 0)
            s->float_row = k;
        if (strcmp(r->granularity, "tensor") == 0)
            s->usual = r->calibration_images;
    }
    return s->float_row >= 0 ? 0 : message_set(m, STATUS_FORMAT, "no row of the stage 'float'");
}

int sweep_of_table(struct sweep *s, const struct table *t, struct message *m)
{
    struct reader r;
    *s = (struct sweep){.table = t};
    TRY(reader_open(&r, t, m));
    if (t->rows < 1 || t->rows > SWEEP_MAX_ROWS)
        return message_set(m, STATUS_FORMAT, "%d rows, want 1 to %d", t->rows, SWEEP_MAX_ROWS);
    s->rows = memory_new((size_t)t->rows, sizeof *s->rows, m);
    int *first = memory_new((size_t)t->rows, sizeof *first, m);
    int status = s->rows && first ? rows_collect(s, &r, first, m) : STATUS_NOMEM;
    memory_free(first);
    return status < 0 ? status : rows_look(s, m);
}

void sweep_free(struct sweep *s)
{
    memory_free(s->rows);
    *s = (struct sweep){0};
}

int sweep_is_better(const struct sweep_row *a, const struct sweep_row *b)
{
    return a->accuracy > b->accuracy || (a->accuracy == b->accuracy && a->loss < b->loss);
}

int sweep_is_usual(const struct sweep *s, const struct sweep_row *r)
{
    return strcmp(r->stage, "ptq") == 0 && r->calibration_images == s->usual;
}

int sweep_is_calibration(const struct sweep_row *r)
{
    return strcmp(r->stage, "ptq") == 0 && strcmp(r->granularity, "channel") == 0 && r->weight_bits == 8 &&
           r->activation_bits == 8;
}
