/* plot_grids.c: plot's kinds that are pictures in a grid: images as loaded, as augmented, as predicted. */
#include "base/memory.h"
#include "data/batch.h"
#include "report/metrics.h"
#include "report/png_grid.h"
#include "report/predictions.h"
#include "tools/common/plot.h"
#include <stdio.h>
#include <string.h>

enum { DEFAULT_IMAGES = 40, DEFAULT_ROWS = 8, SHORT_DIGEST = 7 + 12, DEFAULT_PIXELS = 160, DATA_SIZE = 1024 };

/* One picture kept from the stream. */
struct shown {
    int64_t index, epoch;
    int label, is_used;
    char share[GRID_MORE_SIZE]; /* of the label, where the image is mixed */
    uint8_t *pixels;            /* RGB; owned */
};

/* What a kind keeps: a table of rows x versions; a plain grid has one version a row. */
struct gallery {
    struct shown *items; /* [rows * versions] */
    int rows, versions, used_rows, used_versions, status;
    const struct predictions *predictions; /* samples: only images found here are kept */
    struct batch_reader reader;            /* of the stream, for its class names and data */
};

static int gallery_open(struct gallery *g, int64_t rows, int64_t versions, struct message *m)
{
    *g = (struct gallery){.rows = (int)rows, .versions = (int)versions};
    g->items = memory_new((size_t)(rows * versions), sizeof *g->items, m);
    return g->items ? 0 : STATUS_NOMEM;
}

static void gallery_close(struct gallery *g)
{
    for (int64_t i = 0; g->items && i < (int64_t)g->rows * g->versions; i++)
        memory_free(g->items[i].pixels);
    memory_free(g->items);
    batch_reader_close(&g->reader);
}

static struct shown *item_at(const struct gallery *g, int row, int version)
{
    return g->items + (size_t)row * (size_t)g->versions + version;
}

/* Of a mixed image the label of the largest share, which is said. */
static int label_of(const struct batch *b, int64_t i, char share[GRID_MORE_SIZE])
{
    int label = batch_label(b, i);
    double left = 1, most = -1;
    for (int k = 0; k < b->mixed; k++)
        left -= (double)b->share[i * b->mixed + k];
    for (int k = -1; k < b->mixed; k++) {
        double part = k < 0 ? left : (double)b->share[i * b->mixed + k];
        if (part > most) {
            most = part;
            label = k < 0 ? label : batch_label2(b, i, k);
        }
    }
    share[0] = '\0';
    if (b->mixed)
        snprintf(share, GRID_MORE_SIZE, " %.0f %%", 100 * most);
    return label;
}

/* Without memory for its pixels the item stays unused, and g->status says so. */
static void item_fill(struct gallery *g, struct shown *item, const struct batch *b, int64_t i)
{
    const size_t pixels = (size_t)b->shape.height * (size_t)b->shape.width;
    item->pixels = memory_new_raw(pixels, 3, NULL);
    if (!item->pixels) {
        g->status = STATUS_NOMEM;
        return;
    }
    item->index = b->indices[i];
    item->epoch = b->epoch;
    item->label = label_of(b, i, item->share);
    item->is_used = 1;
    image_recolour(b->images + (size_t)i * image_shape_bytes(b->shape), b->shape.channels, item->pixels, 3, pixels);
}

/* The row that shows this index, or -1. */
static int row_of(const struct gallery *g, int64_t index)
{
    for (int row = 0; row < g->used_rows; row++)
        for (int version = 0; version < g->versions; version++)
            if (item_at(g, row, version)->is_used && item_at(g, row, version)->index == index)
                return row;
    return -1;
}

static int prediction_of(const struct predictions *p, int64_t index)
{
    for (int64_t i = 0; i < p->count; i++)
        if (p->indices[i] == index)
            return (int)i;
    return -1;
}

typedef void gallery_keep(struct gallery *g, const struct batch *b, int64_t i);

static void keep_first(struct gallery *g, const struct batch *b, int64_t i)
{
    if (g->used_rows < g->rows && (!g->predictions || prediction_of(g->predictions, b->indices[i]) >= 0))
        item_fill(g, item_at(g, g->used_rows++, 0), b, i);
}

/* Rows are images in their order of appearance; versions (from 1; 0 is the original's place) fill from the left. */
static void keep_versions(struct gallery *g, const struct batch *b, int64_t i)
{
    int row = row_of(g, b->indices[i]);
    if (row < 0 && g->used_rows == g->rows)
        return;
    row = row < 0 ? g->used_rows++ : row;
    int version = 1;
    while (version < g->versions && item_at(g, row, version)->is_used)
        version++;
    if (version == g->versions)
        return;
    item_fill(g, item_at(g, row, version), b, i);
    g->used_versions = version + 1 > g->used_versions ? version + 1 : g->used_versions;
}

static void keep_original(struct gallery *g, const struct batch *b, int64_t i)
{
    int row = row_of(g, b->indices[i]);
    if (row >= 0 && !item_at(g, row, 0)->is_used)
        item_fill(g, item_at(g, row, 0), b, i);
}

/* Reads a whole stream: also what is not shown is checked, and the program before us is not cut off. */
static int stream_read(struct gallery *g, struct batch_reader *reader, const char *path, gallery_keep *keep,
                       struct message *m)
{
    struct batch b;
    int status;
    TRY(batch_reader_open(reader, path, m));
    reader->takes_mixed = !g->predictions;
    while ((status = batch_reader_next(reader, &b, m)) > 0) {
        for (int64_t i = 0; i < b.count; i++)
            keep(g, &b, i);
        batch_free(&b);
        if (g->status < 0)
            return message_set(m, g->status, "memory exhausted: pictures to show");
    }
    return status;
}

/* "CIFAR-10 (JPEG q75), test, sha256:0123456789ab" */
static void data_line(const struct batch_reader *r, char *out, size_t size)
{
    int is_part = r->part[0] && strcmp(r->part, "all") != 0;
    snprintf(out, size, "%s%s%s%s%s%s%.*s", r->dataset, r->split[0] ? ", " : "", r->split, is_part ? "/" : "",
             is_part ? r->part : "", r->digest[0] ? ", " : "", (int)SHORT_DIGEST, r->digest);
}

/* scale 0: pictures of CIFAR-10's size five times as large, others as near to that as whole numbers come. */
static int grid_finish(const struct plot_job *job, const struct gallery *of, struct grid *g,
                       const struct grid_cell *cells, struct message *m)
{
    g->width = of->reader.shape.width;
    g->height = of->reader.shape.height;
    int side = g->width > g->height ? g->width : g->height, fitting = DEFAULT_PIXELS / side;
    g->scale = job->scale ? (int)job->scale : fitting < 1 ? 1 : fitting > GRID_MAX_SCALE ? GRID_MAX_SCALE : fitting;
    g->cells = cells;
    g->title = job->title ? job->title : g->title;
    return grid_save(g, job->output, m);
}

static const char *class_of(const struct gallery *g, int label)
{
    return g->reader.classes[label];
}

/* ---- images as loaded ---- */

static int images_draw(const struct plot_job *job, const struct gallery *g, struct message *m)
{
    struct grid_cell *cells = memory_new((size_t)g->used_rows, sizeof *cells, m);
    if (!cells)
        return STATUS_NOMEM;
    char data[DATA_SIZE];
    for (int i = 0; i < g->used_rows; i++) {
        struct shown *item = item_at(g, i, 0);
        cells[i].pixels = item->pixels;
        cells[i].lines[0].name = class_of(g, item->label);
        memcpy(cells[i].lines[0].more, item->share, sizeof item->share);
    }
    data_line(&g->reader, data, sizeof data);
    struct grid grid = {.title = "Images", .subtitle = data, .columns = (int)job->columns, .count = g->used_rows};
    int status = grid_finish(job, g, &grid, cells, m);
    memory_free(cells);
    return status;
}

int plot_images(struct plot_job *job, struct message *m)
{
    struct gallery g;
    int status = gallery_open(&g, job->count ? job->count : DEFAULT_IMAGES, 1, m);
    if (status >= 0)
        status = stream_read(&g, &g.reader, job->images, keep_first, m);
    if (status >= 0)
        status = images_draw(job, &g, m);
    gallery_close(&g);
    return status;
}

/* ---- images as augmented ---- */

static int augmented_draw(const struct plot_job *job, const struct gallery *g, struct message *m)
{
    int first = job->originals ? 0 : 1, columns = g->used_versions - first;
    struct grid_cell *cells = memory_new((size_t)(g->used_rows * columns), sizeof *cells, m);
    if (!cells)
        return STATUS_NOMEM;
    char data[DATA_SIZE];
    for (int i = 0; i < g->used_rows * columns; i++) {
        int version = first + i % columns;
        struct shown *item = item_at(g, i / columns, version);
        if (!item->is_used)
            continue;
        cells[i].pixels = item->pixels;
        cells[i].lines[0].name = class_of(g, item->label);
        memcpy(cells[i].lines[0].more, item->share, sizeof item->share);
        if (version == 0)
            cells[i].lines[1].name = "original";
        else
            snprintf(cells[i].lines[1].more, GRID_MORE_SIZE, "epoch %lld", (long long)item->epoch);
    }
    data_line(&g->reader, data, sizeof data);
    struct grid grid = {
        .title = "Augmented images", .subtitle = data, .columns = columns, .count = g->used_rows * columns};
    int status = grid_finish(job, g, &grid, cells, m);
    memory_free(cells);
    return status;
}

static int originals_read(struct gallery *g, const char *path, struct message *m)
{
    struct batch_reader reader = {0};
    int status = stream_read(g, &reader, path, keep_original, m);
    if (status >= 0 && strcmp(reader.digest, g->reader.digest) != 0)
        status = message_set(m, STATUS_MISMATCH, "%s: dataset-digest: %s, want %s", path, reader.digest,
                             g->reader.digest);
    else if (status >= 0 && strcmp(reader.split, g->reader.split) != 0)
        status = message_set(m, STATUS_MISMATCH, "%s: split: %s, want %s", path, reader.split, g->reader.split);
    batch_reader_close(&reader);
    return status;
}

int plot_augmented(struct plot_job *job, struct message *m)
{
    struct gallery g;
    int status = gallery_open(&g, job->count ? job->count : DEFAULT_ROWS, job->columns + !job->originals, m);
    if (status >= 0)
        status = stream_read(&g, &g.reader, job->images, keep_versions, m);
    if (status >= 0 && job->originals)
        status = originals_read(&g, job->originals, m);
    if (status >= 0)
        status = augmented_draw(job, &g, m);
    gallery_close(&g);
    return status;
}

/* ---- images as predicted ---- */

static int samples_check(const struct gallery *g, const struct predictions *p, struct message *m)
{
    static const char *const keys[] = {"dataset-digest", "split", "classes"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const char *a = record_get(g->reader.first, keys[i]), *b = record_get(p->metadata, keys[i]);
        if (a && b && strcmp(a, b) != 0)
            return message_set(m, STATUS_MISMATCH, "%s: the images' is %.300s, the predictions' %.300s", keys[i], a,
                               b);
    }
    if (p->classes != g->reader.class_count)
        return message_set(m, STATUS_MISMATCH, "classes: the images have %d, the predictions %d",
                           g->reader.class_count, p->classes);
    if (g->used_rows == 0)
        return message_set(m, STATUS_MISMATCH, "indices: none of the images is among the predictions");
    for (int i = 0; i < g->used_rows; i++) {
        const struct shown *item = item_at(g, i, 0);
        int place = prediction_of(p, item->index);
        if (p->labels[place] != item->label)
            return message_set(m, STATUS_MISMATCH, "labels: image %lld: the images' is %d, the predictions' %d",
                               (long long)item->index, item->label, p->labels[place]);
    }
    return 0;
}

/* Fills one cell; 1 where the prediction is right. */
static int sample_cell(struct grid_cell *cell, const struct gallery *g, const struct shown *item)
{
    const struct predictions *p = g->predictions;
    const float *row = p->logits + (int64_t)prediction_of(p, item->index) * p->classes;
    int predicted = argmax(row, p->classes), is_right = predicted == item->label;
    cell->pixels = item->pixels;
    cell->is_marked = !is_right;
    cell->lines[0].name = class_of(g, item->label);
    cell->lines[1].name = class_of(g, predicted);
    snprintf(cell->lines[1].more, GRID_MORE_SIZE, " %.0f %%",
             100 * softmax_probability(row, p->classes, predicted));
    return is_right;
}

static int64_t right_of(const struct predictions *p)
{
    int64_t right = 0;
    for (int64_t i = 0; i < p->count; i++)
        right += argmax(p->logits + i * p->classes, p->classes) == p->labels[i];
    return right;
}

static int samples_draw(const struct plot_job *job, const struct gallery *g, struct message *m)
{
    struct grid_cell *cells = memory_new((size_t)g->used_rows, sizeof *cells, m);
    if (!cells)
        return STATUS_NOMEM;
    const struct predictions *p = g->predictions;
    char data[DATA_SIZE], line[DATA_SIZE + 256], label[PLOT_LABEL_SIZE], title[PLOT_LABEL_SIZE + 128];
    int right = 0;
    for (int i = 0; i < g->used_rows; i++)
        right += sample_cell(&cells[i], g, item_at(g, i, 0));
    const char *stage = record_get(p->metadata, "stage");
    int64_t all = right_of(p);
    data_line(&g->reader, data, sizeof data);
    snprintf(line, sizeof line, "%s; right: %d of these %d, %lld of all %lld (%.2f %%)", data, right, g->used_rows,
             (long long)all, (long long)p->count, 100 * (double)all / (double)p->count);
    plot_label(job, 0, label, sizeof label);
    snprintf(title, sizeof title, "Predictions: %s%s%.64s%s", label, stage ? " (" : "", stage ? stage : "",
             stage ? ")" : "");
    struct grid grid = {.title = title,
                        .subtitle = line,
                        .legend =
                            "above: true class; below: predicted class, its probability; framed and crossed: wrong",
                        .columns = (int)job->columns,
                        .count = g->used_rows};
    int status = grid_finish(job, g, &grid, cells, m);
    memory_free(cells);
    return status;
}

int plot_samples(struct plot_job *job, struct message *m)
{
    struct gallery g;
    struct predictions predictions;
    TRY(predictions_load(&predictions, job->inputs[0], m));
    int status = gallery_open(&g, job->count ? job->count : DEFAULT_IMAGES, 1, m);
    g.predictions = &predictions;
    if (status >= 0)
        status = stream_read(&g, &g.reader, job->images, keep_first, m);
    if (status >= 0)
        status = samples_check(&g, &predictions, m);
    if (status >= 0)
        status = samples_draw(job, &g, m);
    gallery_close(&g);
    predictions_free(&predictions);
    return status;
}
