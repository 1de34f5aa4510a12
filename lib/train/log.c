#include "train/log.h"
#include "record/file.h"
#include "record/lineage.h"
#include <math.h>
#include <stdio.h>

static int add_note(struct text *log, const char *key, const char *value, struct message *m)
{
    return value && *value ? text_add(log, m, "# %s: %s\n", key, value) : STATUS_OK;
}

int log_begin(struct text *log, const char *tool, const struct record *stream, int64_t images, int64_t held_out,
              const char *precision, double clip_norm, int shard, struct message *m)
{
    TRY(text_add(log, m, "# tool: %s %s\n", tool, RESQ_VERSION));
    if (stream) {
        TRY(add_note(log, "dataset", record_get(stream, "dataset"), m));
        TRY(add_note(log, "dataset-digest", record_get(stream, "dataset-digest"), m));
        TRY(text_add(log, m, "# images: %lld\n", (long long)images));
    }
    if (held_out > 0)
        TRY(text_add(log, m, "# held-out: %lld\n", (long long)held_out));
    TRY(add_note(log, "precision", precision, m));
    char number[32];
    format_number(number, clip_norm);
    if (clip_norm > 0)
        TRY(add_note(log, "clip-norm", number, m));
    if (shard > 0)
        TRY(text_add(log, m, "# shard: %d\n", shard));
    return text_add(log, m,
                    "epoch\tstep\tlearning_rate\tloss\taccuracy_train\taccuracy_held_out\timages_per_s\tseconds\n");
}

static int add_cell(struct text *log, double value, int decimals, char end, struct message *m)
{
    return isfinite(value) ? text_add(log, m, "%.*f%c", decimals, value, end) : text_add(log, m, "-%c", end);
}

int log_add(struct text *log, const struct log_row *row, struct message *m)
{
    TRY(text_add(log, m, "%lld\t%lld\t", (long long)row->epoch, (long long)row->step));
    if (isfinite(row->learning_rate))
        TRY(text_add(log, m, "%.6g\t", row->learning_rate));
    else
        TRY(text_add(log, m, "-\t"));
    TRY(add_cell(log, row->loss, 6, '\t', m));
    TRY(add_cell(log, row->accuracy_train, 3, '\t', m));
    TRY(add_cell(log, row->accuracy_held_out, 3, '\t', m));
    TRY(add_cell(log, row->images_per_second, 1, '\t', m));
    return add_cell(log, row->seconds, 2, '\n', m);
}

int log_save(const struct text *log, const char *path, struct message *m)
{
    struct atomic_file f;
    if (!path)
        return STATUS_OK;
    TRY(atomic_open(&f, path, m));
    fwrite(log->data, 1, log->length, f.stream); /* a failure is found by the commit */
    return atomic_commit(&f, m);
}
