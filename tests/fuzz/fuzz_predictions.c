/* Any bytes as predictions: what is taken has metrics and a table, agrees with itself, and writes back the same. */
#include "fuzz.h"
#include "report/metrics_table.h"
#include <stdio.h>

enum { MOST_CLASSES = 64 };

static void tables(const struct predictions *p)
{
    static char names[MOST_CLASSES][8];
    char *classes[MOST_CLASSES];
    struct message m = {{0}};
    struct metrics x;
    struct pair_metrics pair;
    struct table table = {0}, other = {0};
    for (int i = 0; i < p->classes; i++) {
        snprintf(names[i], sizeof names[i], "c%d", i);
        classes[i] = names[i];
    }
    require(metrics_compute(&x, p->logits, p->labels, p->count, p->classes, &m) >= 0);
    require(x.images == p->count && x.correct <= x.top2 && x.top2 <= x.images);
    require_reason(table_note_data(&table, p->metadata, &m), &m);
    require_reason(metrics_to_table(&table, &x, classes, &m), &m);
    require(predictions_same_images(p, p, &m) >= 0 && pair_compute(&pair, p, p, &m) >= 0);
    require(pair.agree == p->count && pair.only_first == 0 && pair.both_right == x.correct && pair.mcnemar_p == 1);
    require_reason(pair_to_table(&other, &pair, classes, &m), &m);
    pair_free(&pair);
    metrics_free(&x);
    table_free(&table);
    table_free(&other);
}

static void again(const struct predictions *p)
{
    struct message m = {{0}};
    struct predictions back;
    struct record *record = record_new(&m);
    require(record && predictions_to_record(p, record, &m) >= 0);
    require(predictions_from_record(&back, record, &m) >= 0 && back.count == p->count);
    require(memcmp(back.logits, p->logits, (size_t)p->count * (size_t)p->classes * sizeof *p->logits) == 0);
    predictions_free(&back);
    record_free(record);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct message m = {{0}};
    struct predictions p;
    struct record *record = record_of(bytes, count);
    if (!record)
        return 0;
    int status = predictions_from_record(&p, record, &m);
    require_reason(status, &m);
    record_free(record);
    if (status < 0)
        return 0;
    if (p.classes <= MOST_CLASSES)
        tables(&p);
    again(&p);
    predictions_free(&p);
    return 0;
}
