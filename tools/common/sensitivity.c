#include "tools/common/sensitivity.h"
#include "base/progress.h"
#include "ptq/analyse_part.h"
#include "record/file.h"
#include "record/stream.h"
#include "report/metrics_table.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Metadata of which the table's notes are made: data, model, ranges, how it was analysed. */
static int describe(struct record *of, const struct fused *f, const struct lowering *lowering,
                    const struct analyse_options *how, const struct record *data, struct message *m)
{
    static const char *const carried[] = {"dataset", "dataset-digest", "classes", "split", "part"};
    const int64_t matched = how->match_count < how->count ? how->match_count : how->count;
    for (size_t i = 0; i < sizeof carried / sizeof carried[0]; i++)
        if (record_get(data, carried[i]))
            TRY(record_set(of, carried[i], record_get(data, carried[i]), m));
    TRY(record_set(of, "model-digest", f->digest, m));
    TRY(record_setf(of, "ranges-digest", m, "sha256:%s", f->ranges_hex));
    TRY(record_set(of, "observer", lowering->observer, m));
    TRY(record_set(of, "weights", lowering->per_tensor ? "per-tensor" : "per-channel", m));
    if (how->match == MATCH_OFF)
        TRY(record_set(of, "match", "off", m));
    else
        TRY(record_setf(of, "match", m, "%s, %lld images", match_mode_name(how->match), (long long)matched));
    return record_set(of, "ends", lowering->low.ends ? lowering->low.ends : "8", m);
}

/* ---- the table ---- */

static int add_notes(struct table *t, const struct analysis *a, const struct record *of, struct message *m)
{
    static const char *const digests[] = {"model-digest", "ranges-digest"};
    static const char *const how[] = {"observer", "weights", "match", "ends"};
    char images[32], correct[32];
    snprintf(images, sizeof images, "%lld", (long long)a->judged);
    snprintf(correct, sizeof correct, "%.4f", 100 * (double)a->correct / (double)a->judged);
    TRY(table_note(t, "tool", "analyse " RESQ_VERSION, m));
    TRY(table_note_data(t, of, m));
    for (size_t i = 0; i < sizeof digests / sizeof digests[0]; i++)
        if (record_get(of, digests[i]))
            TRY(table_note(t, digests[i], record_get(of, digests[i]), m));
    TRY(table_note(t, "images", images, m));
    TRY(table_note(t, "float-accuracy", correct, m));
    for (size_t i = 0; i < sizeof how / sizeof how[0]; i++)
        if (record_get(of, how[i]))
            TRY(table_note(t, how[i], record_get(of, how[i]), m));
    return 0;
}

static void decibels(char out[32], double value)
{
    if (isnan(value))
        snprintf(out, 32, "-");
    else if (isinf(value))
        snprintf(out, 32, "inf");
    else
        snprintf(out, 32, "%.2f", value);
}

static int add_rows(struct table *t, const struct analysis *a, struct message *m)
{
    TRY(table_columns(t, "layer what bits kl logit_error sqnr sqnr_accumulated accuracy agreement bytes", m));
    for (int i = 0; i < a->count; i++) {
        const struct analyse_row *r = &a->rows[i];
        char alone[32], accumulated[32];
        decibels(alone, r->sqnr);
        decibels(accumulated, r->sqnr_accumulated);
        TRY(table_rowf(t, m, "%s\t%s\t%d\t%.8g\t%.8g\t%s\t%s\t%.4f\t%.4f\t%lld", r->name,
                       r->is_weights ? "weights" : "activations", r->bits, r->kl, r->logit_error, alone,
                       accumulated, 100 * (double)r->correct / (double)a->judged,
                       100 * (double)r->agreed / (double)a->judged, (long long)r->bytes));
    }
    return 0;
}

static int save_table(const struct analysis *a, const struct record *of, const char *output, struct message *m)
{
    struct table t = {0};
    int status = add_notes(&t, a, of, m);
    if (status >= 0)
        status = add_rows(&t, a, m);
    if (status >= 0)
        status = table_save(&t, output, m);
    table_free(&t);
    return status;
}

/* ---- the work ---- */

static void show(void *context, int64_t done, int64_t rows)
{
    struct progress *p = context;
    p->total = rows;
    progress_show(p, done, "networks");
}

/* What is recorded of a part: all that its numbers depend on, but for which images they are of. */
static void lineage_of(const struct sensitivity *o, const struct fused *f, struct lineage *l)
{
    const struct lowering *lower = &o->lowering;
    char bits[8 * ANALYSE_WIDTHS] = "", *at = bits;
    for (int i = 0; i < o->bits.count; i++)
        at += snprintf(at, sizeof bits - (size_t)(at - bits), i ? ",%d" : "%d", (int)o->bits.items[i]);
    lineage_add(l, "bits", "%s", bits);
    lineage_add(l, "observer", "%s", lower->observer);
    lineage_add_number(l, "percentile", lower->percentile);
    lineage_add(l, "per-tensor", "%d", lower->per_tensor);
    lineage_add(l, "weight-observer", "%s", lower->low.weight_observer ? lower->low.weight_observer : "by-bits");
    lineage_add(l, "ends", "%s", lower->low.ends ? lower->low.ends : "8");
    lineage_add(l, "match", "%s", match_mode_name(o->matching.mode));
    lineage_add(l, "match-images", "%lld", (long long)o->matching.most);
    fused_lineage(f, &o->given, l);
}

static int save(const struct sensitivity *o, const struct fused *f, const struct analyse_options *how,
                const struct analysis *a, struct message *m)
{
    const struct record *stream = o->matching.taken.reader.first, *const sides[] = {f->ranges_record, stream};
    struct lineage l = {.message = m};
    struct record *of = record_new(m);
    int status = of ? describe(of, f, &o->lowering, how, stream, m) : STATUS_NOMEM;
    if (status >= 0 && !o->is_part)
        status = save_table(a, of, o->output, m);
    if (status >= 0 && o->is_part) {
        lineage_of(o, f, &l);
        status = analysis_to_record(a, how->labels + how->first, o->offset, o->total, of, m);
        if (status >= 0)
            status = lineage_apply(of, f->model.record, "analyse", &l, sides, 2, m);
        if (status >= 0)
            status = record_save(of, o->output, m);
    }
    lineage_free(&l);
    record_free(of);
    return status;
}

static int analyse(const struct tool *tool, struct sensitivity *o, const struct fused *f, struct message *m)
{
    struct progress progress;
    struct analysis a = {0};
    const struct lower_options lower = lowering_options(&o->lowering);
    struct taken_images *taken = &o->matching.taken;
    const struct node *in = &f->model.graph.nodes[0];
    struct analyse_options how = {.lower = &lower,
                                  .ranges = &f->ranges,
                                  .width_count = o->bits.count,
                                  .images = taken->images,
                                  .labels = taken->labels,
                                  .count = taken->count,
                                  .match = o->matching.mode,
                                  .match_count = o->matching.most,
                                  .threads = (int)o->threads,
                                  .progress = show,
                                  .context = &progress};
    for (int i = 0; i < o->bits.count; i++)
        how.widths[i] = (int)o->bits.items[i];
    if (o->is_part)
        analyse_part_choose(&how, taken->images, taken->labels, (size_t)in->h * (size_t)in->w * (size_t)in->c,
                            o->offset, o->count);
    double start = clock_seconds();
    progress_open(&progress, stderr, o->quiet, tool_called(tool), 0);
    int status = ptq_analyse(&a, &f->model, &how, m);
    progress_close(&progress);
    if (status >= 0)
        status = save(o, f, &how, &a, m);
    if (status >= 0 && !o->quiet)
        fprintf(stderr, "%s: %d networks over %lld images in %.1f s, %.0f MB of values held at most\n",
                tool_called(tool), a.count, (long long)a.judged, clock_seconds() - start,
                (double)a.bytes_held / 1e6);
    analysis_free(&a);
    return status;
}

int sensitivity_run(const struct tool *tool, struct sensitivity *o, struct message *m)
{
    struct fused f = {0};
    TRY(output_check(o->output, m));
    TRY(output_differs(o->model, o->output, m));
    TRY(output_differs(o->ranges, o->output, m));
    TRY(output_differs(o->given.graph, o->output, m));
    int status = fused_open(&f, o->model, o->ranges, &o->given, m);
    if (status >= 0)
        status = images_take(&o->matching.taken, &f.model, o->count && !o->is_part ? o->count : INT64_MAX, m);
    o->total = o->matching.taken.count;
    if (status >= 0 && o->offset >= o->total)
        status = message_set(m, STATUS_RANGE, "--offset: image %lld is not one of the stream's %lld",
                             (long long)o->offset, (long long)o->total);
    if (status >= 0 && o->total - o->offset < o->count && tool_was_given(tool, "count") && !o->quiet)
        tool_warn(tool, "only %lld images came, of %lld asked for (-n)", (long long)(o->total - o->offset),
                  (long long)o->count);
    if (status >= 0)
        status = analyse(tool, o, &f, m);
    matching_close(&o->matching);
    fused_close(&f);
    return status;
}

/* ---- parts ---- */

int sensitivity_merge(const struct operands *files, const char *output, struct message *m)
{
    struct record *parts[STRING_LIST_MAX] = {0};
    struct analysis a = {0};
    int status = output_check(output, m);
    for (int i = 0; i < files->count && status >= 0; i++) {
        status = output_differs(files->items[i], output, m);
        if (status >= 0)
            status = record_load(&parts[i], files->items[i], m);
    }
    if (status >= 0)
        status = analysis_join(&a, parts, (const char *const *)files->items, files->count, m);
    if (status >= 0)
        status = save_table(&a, parts[0], output, m);
    analysis_free(&a);
    for (int i = 0; i < files->count; i++)
        record_free(parts[i]);
    return status;
}
