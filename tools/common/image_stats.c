#include "tools/common/image_stats.h"
#include "report/table.h"
#include <stdio.h>

static int notes_add(struct table *t, const struct dataset *d, const char *part, int64_t count, struct message *m)
{
    char images[32];
    snprintf(images, sizeof images, "%lld", (long long)count);
    TRY(table_note(t, "dataset", d->name, m));
    TRY(table_note(t, "dataset-digest", d->digest, m));
    TRY(table_note(t, "split", d->split, m));
    TRY(table_note(t, "part", part, m));
    TRY(table_note(t, "images", images, m));
    return table_columns(t, "channel mean std", m);
}

int image_stats_print(const struct dataset *d, const char *part, const int64_t *indices, int64_t count,
                      const char *path, struct message *m)
{
    static const char *const colours[] = {"red", "green", "blue"}, *const grey[] = {"grey"};
    const char *const *channels = d->shape.channels == 1 ? grey : colours;
    struct table t = {0};
    double mean[3], std[3];
    dataset_statistics(d, indices, count, mean, std);
    int status = notes_add(&t, d, part, count, m);
    for (int c = 0; c < d->shape.channels && status >= 0; c++)
        status = table_rowf(&t, m, "%s\t%.8f\t%.8f", channels[c], mean[c], std[c]);
    if (status >= 0)
        status = table_save(&t, path ? path : "-", m);
    table_free(&t);
    return status;
}
