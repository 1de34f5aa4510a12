/* Chart of an ablation: the variants by their difference from the base, the best on top. */
#include "report/chart.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_VARIANTS = 64, NAME_SIZE = 256, NAME_EM = 20 };

/* Rows that have a difference, from the least on; equal ones in the table's order. */
static int by_difference(const void *left, const void *right)
{
    const struct ablation_row *a = *(const struct ablation_row *const *)left;
    const struct ablation_row *b = *(const struct ablation_row *const *)right;
    int order = (a->difference > b->difference) - (a->difference < b->difference);
    return order ? order : (a > b) - (a < b);
}

static int subtitle_add(struct chart *c, const struct table *t, struct message *m)
{
    const char *held_out, *size, *images, *dataset = table_get_note(t, "dataset");
    TRY(table_note_of(t, "held-out", &held_out, m));
    TRY(table_note_of(t, "size", &size, m));
    TRY(table_note_of(t, "images", &images, m));
    struct text line = {0};
    int status = text_add(&line, m, "%s, %s held-out images; %s, %s training images", dataset ? dataset : "-",
                          held_out, size, images);
    if (status >= 0)
        status = chart_text(c, "subtitle", line.data, (struct chart_setting){FONT_PLAIN, 100, CHART_LABEL}, m);
    text_free(&line);
    return status;
}

int chart_ablation(struct chart *c, const struct ablation *a, struct message *m)
{
    const struct ablation_row *rows[MAX_VARIANTS];
    char names[MAX_VARIANTS][NAME_SIZE];
    const char *shown[MAX_VARIANTS];
    int count = 0;
    for (int k = 0; k < a->count; k++) {
        if (isnan(a->rows[k].difference))
            continue;
        if (count == MAX_VARIANTS)
            return message_set(m, STATUS_FORMAT, "more than %d variants", MAX_VARIANTS);
        rows[count++] = &a->rows[k];
    }
    if (count == 0)
        return message_set(m, STATUS_FORMAT, "no variant has a seed of the base");
    qsort(rows, (size_t)count, sizeof *rows, by_difference);
    TRY(text_add(&c->text, m, "$differences << END_OF_DATA\n"));
    for (int i = 0; i < count; i++) {
        const double chance = isnan(rows[i]->chance) ? 0 : rows[i]->chance;
        snprintf(names[i], NAME_SIZE, "%.200s%s", rows[i]->variant, rows[i]->seeds > 1 ? "" : " (one seed)");
        shown[i] = names[i];
        TRY(text_add(&c->text, m, "%.3f\t%d\t%.3f\n", rows[i]->difference, i + 1, chance));
    }
    TRY(text_add(&c->text, m, "END_OF_DATA\n"));
    TRY(chart_number(c, "variants", count, m));
    TRY(chart_texts(c, "names", shown, count, (struct chart_setting){FONT_PLAIN, NAME_EM, CHART_TIC}, m));
    return subtitle_add(c, a->table, m);
}
