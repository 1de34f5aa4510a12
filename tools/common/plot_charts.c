/* plot_charts.c: plot's kinds that gnuplot draws. */
#include "base/memory.h"
#include "graph/model.h"
#include "quant/histogram.h"
#include "record/stream.h"
#include "report/metrics_table.h"
#include "tools/common/plot.h"
#include <stdio.h>
#include <string.h>

/* title: used where the user gave none; NULL: the script's own. */
static int chart_begin(struct chart *c, const struct plot_job *job, const char *title, struct message *m)
{
    title = job->title ? job->title : title;
    TRY(chart_open(c, job->plots, job->format, m));
    return title ? chart_title(c, title, m) : 0;
}

static int chart_end(struct chart *c, const struct plot_job *job, const char *script, int status, struct message *m)
{
    if (status >= 0)
        status = chart_save(c, script, job->output, job->format, m);
    chart_free(c);
    return status;
}

/* ---- curves ---- */

void plot_label(const struct plot_job *job, int i, char *out, size_t size)
{
    static const char *const endings[] = {".tsv", ".safetensors", ".log", ".metrics", ".predictions"};
    if (i < job->labels.count) {
        snprintf(out, size, "%s", job->labels.items[i]);
        return;
    }
    const char *slash = strrchr(job->inputs[i], '/');
    snprintf(out, size, "%s", slash ? slash + 1 : job->inputs[i]);
    for (size_t e = 0; e < sizeof endings / sizeof endings[0]; e++) {
        size_t length = strlen(out), ending = strlen(endings[e]);
        if (length > ending && strcmp(out + length - ending, endings[e]) == 0)
            out[length - ending] = '\0';
    }
}

static int plot_curves(struct plot_job *job, int is_accuracy, struct message *m)
{
    struct table logs[STRING_LIST_MAX] = {0};
    char names[STRING_LIST_MAX][PLOT_LABEL_SIZE];
    const char *labels[STRING_LIST_MAX];
    struct chart c = {0};
    int status = chart_begin(&c, job, NULL, m);
    for (int i = 0; i < job->input_count && status >= 0; i++) {
        plot_label(job, i, names[i], sizeof names[i]);
        labels[i] = names[i];
        status = table_load(&logs[i], job->inputs[i], m);
    }
    if (status >= 0)
        status = chart_curves(&c, logs, labels, job->input_count, is_accuracy, m);
    status = chart_end(&c, job, is_accuracy ? "accuracy.gp" : "loss.gp", status, m);
    for (int i = 0; i < job->input_count; i++)
        table_free(&logs[i]);
    return status;
}

int plot_loss(struct plot_job *job, struct message *m)
{
    return plot_curves(job, 0, m);
}

int plot_accuracy(struct plot_job *job, struct message *m)
{
    return plot_curves(job, 1, m);
}

/* ---- one table ---- */

static int plot_compare(struct plot_job *job, enum chart_bars kind, const char *script, struct message *m)
{
    struct table summary = {0};
    struct chart c = {0};
    int status = chart_begin(&c, job, NULL, m);
    if (status >= 0)
        status = table_load(&summary, job->inputs[0], m);
    if (status >= 0 && (status = chart_compare(&c, &summary, kind, m)) < 0)
        message_prefix(m, status, "%s", job->inputs[0]);
    status = chart_end(&c, job, script, status, m);
    table_free(&summary);
    return status;
}

int plot_compare_accuracy(struct plot_job *job, struct message *m)
{
    return plot_compare(job, BARS_ACCURACY, "compare-accuracy.gp", m);
}

int plot_compare_size(struct plot_job *job, struct message *m)
{
    return plot_compare(job, BARS_SIZE, "compare-size.gp", m);
}

int plot_compare_time(struct plot_job *job, struct message *m)
{
    return plot_compare(job, BARS_TIME, "compare-time.gp", m);
}

int plot_confusion(struct plot_job *job, struct message *m)
{
    struct table metrics = {0};
    struct chart c = {0};
    char label[PLOT_LABEL_SIZE], title[PLOT_LABEL_SIZE + 32];
    plot_label(job, 0, label, sizeof label);
    snprintf(title, sizeof title, "Confusion matrix: %s", label);
    int status = chart_begin(&c, job, title, m);
    if (status >= 0)
        status = table_load(&metrics, job->inputs[0], m);
    if (status >= 0 && (status = chart_confusion(&c, &metrics, m)) < 0)
        message_prefix(m, status, "%s", job->inputs[0]);
    status = chart_end(&c, job, "confusion.gp", status, m);
    table_free(&metrics);
    return status;
}

static int plot_sweep(struct plot_job *job, enum chart_sweep_kind kind, int64_t bits, struct message *m)
{
    struct table table = {0};
    struct sweep sweep = {0};
    struct chart c = {0};
    int status = chart_begin(&c, job, NULL, m);
    if (status >= 0)
        status = table_load(&table, job->inputs[0], m);
    if (status >= 0) {
        status = sweep_of_table(&sweep, &table, m);
        if (status >= 0)
            status = chart_sweep(&c, &sweep, kind, (int)bits, job->title, m);
        if (status < 0)
            message_prefix(m, status, "%s", job->inputs[0]);
    }
    status = chart_end(&c, job, kind == SWEEP_OBSERVERS ? "sweep-observers.gp" : "sweep-lines.gp", status, m);
    sweep_free(&sweep);
    table_free(&table);
    return status;
}

int plot_sweep_bits(struct plot_job *job, struct message *m)
{
    return plot_sweep(job, SWEEP_BITS, 0, m);
}

int plot_sweep_parts(struct plot_job *job, struct message *m)
{
    return plot_sweep(job, SWEEP_PARTS, 0, m);
}

int plot_sweep_calibration(struct plot_job *job, struct message *m)
{
    return plot_sweep(job, SWEEP_CALIBRATION, 0, m);
}

int plot_sweep_observers(struct plot_job *job, struct message *m)
{
    int64_t bits;
    TRY(parse_integer(job->inputs[1], 2, 8, "bits", &bits, m));
    return plot_sweep(job, SWEEP_OBSERVERS, bits, m);
}

int plot_ablation(struct plot_job *job, struct message *m)
{
    struct table table = {0};
    struct ablation ablation = {0};
    struct chart c = {0};
    int status = chart_begin(&c, job, "What each change of the recipe is worth", m);
    if (status >= 0)
        status = table_load(&table, job->inputs[0], m);
    if (status >= 0) {
        status = ablation_of_table(&ablation, &table, m);
        if (status >= 0)
            status = chart_ablation(&c, &ablation, m);
        if (status < 0)
            message_prefix(m, status, "%s", job->inputs[0]);
    }
    status = chart_end(&c, job, "ablation.gp", status, m);
    ablation_free(&ablation);
    table_free(&table);
    return status;
}

/* ---- histogram ---- */

/* The node of an int8 graph whose codes stand for the activation: itself, or the quantize node that reads it; -1:
 * none. */
static int find_codes(const struct model *model, const char *activation)
{
    int node = graph_find(&model->graph, activation);
    if (node < 0 || model_tensor(model, node, "scale"))
        return node;
    for (int i = 0; i < model->graph.count; i++)
        if (model->graph.nodes[i].op == OP_QUANTIZE && model->graph.nodes[i].inputs[0] == node)
            return i;
    return -1;
}

static int clip_load(struct chart_activation *a, const char *path, struct message *m)
{
    struct model model = {0};
    TRY(model_load(&model, path, m));
    int node = find_codes(&model, a->node);
    struct tensor *scale = node < 0 ? NULL : model_tensor(&model, node, "scale");
    struct tensor *zero_point = node < 0 ? NULL : model_tensor(&model, node, "zero_point");
    struct tensor *range = node < 0 ? NULL : model_tensor(&model, node, "range");
    int status = 0;
    if (scale && zero_point && range) { /* types and sizes were checked with the model */
        double s = (double)*(const float *)scale->data, zero = *(const uint8_t *)zero_point->data;
        const uint8_t *codes = range->data;
        a->clip_low = s * (codes[0] - zero);
        a->clip_high = s * (codes[1] - zero);
    } else {
        status = message_set(m, STATUS_MISMATCH, "%s: %s: no int8 activation", path, a->node);
    }
    model_free(&model);
    return status;
}

static int histogram_notes(struct table *notes, const struct record *record, struct message *m)
{
    const char *images = record_get(record, "images");
    TRY(table_note_data(notes, record, m));
    return images ? table_note(notes, "images", images, m) : 0;
}

static int histogram_chart(struct chart *c, const struct plot_job *job, const struct record *record,
                           const struct ranges *ranges, struct message *m)
{
    const char *node = job->inputs[1];
    int place = ranges_find(ranges, node);
    if (place < 0)
        return message_set(m, STATUS_MISMATCH, "%s: no activation '%s'; the first is '%s'", job->inputs[0], node,
                           ranges->count ? ranges->names[0] : "-");
    const struct histogram *h = &ranges->histograms[place];
    struct chart_activation a = {
        .node = node, .bins = h->bins, .exponent = h->exponent, .min = (double)h->min, .max = (double)h->max};
    struct table notes = {0};
    int status = job->model ? clip_load(&a, job->model, m) : 0;
    if (status >= 0)
        status = histogram_notes(&notes, record, m);
    if (status >= 0)
        status = chart_histogram(c, &a, &notes, m);
    table_free(&notes);
    return status;
}

int plot_histogram(struct plot_job *job, struct message *m)
{
    struct record *record = NULL;
    struct ranges ranges = {0};
    struct chart c = {0};
    char title[PLOT_LABEL_SIZE + 32];
    snprintf(title, sizeof title, "Values of %s", job->inputs[1]);
    int status = chart_begin(&c, job, title, m);
    if (status >= 0)
        status = record_load(&record, job->inputs[0], m);
    if (status >= 0) {
        status = record_require_kind(record, "ranges", m);
        if (status >= 0)
            status = ranges_from_record(&ranges, record, m);
        if (status < 0)
            message_prefix(m, status, "%s", job->inputs[0]);
    }
    if (status >= 0)
        status = histogram_chart(&c, job, record, &ranges, m);
    status = chart_end(&c, job, "histogram.gp", status, m);
    ranges_free(&ranges);
    record_free(record);
    return status;
}
