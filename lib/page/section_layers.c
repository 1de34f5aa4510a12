/* section_layers.c: a row a layer: bits, range, grid, clipped tails, and the histogram that calibration counted. */
#include "page/layers.h"
#include "page/section.h"
#include "quant/observer.h"
#include <math.h>

enum { STRIP_WIDTH = 180, STRIP_HEIGHT = 36, COLUMNS = 90, MAX_LAYERS = 240, MOST_STEPS = 32 };

/* ---- the strip ---- */

struct strip {
    double from, to; /* the reals across its width */
};

static double strip_x(const struct strip *s, double value)
{
    double at = (value - s->from) / (s->to - s->from);
    return STRIP_WIDTH * fmin(fmax(at, 0), 1);
}

/* Counts of neighbouring bins together; heights by their logarithm, or a tail of a few could not be seen. */
static void strip_counts(struct html *h, const struct strip *s, const struct histogram *seen)
{
    double columns[COLUMNS] = {0}, most = 0;
    for (int j = 0; j < HISTOGRAM_BINS; j++) {
        double from, to;
        if (!seen->bins[j])
            continue;
        histogram_edges(seen, j, &from, &to);
        int first = (int)(strip_x(s, from) / STRIP_WIDTH * COLUMNS),
            last = (int)(strip_x(s, to) / STRIP_WIDTH * COLUMNS);
        first = first < COLUMNS ? first : COLUMNS - 1;
        last = last < COLUMNS ? last : COLUMNS - 1;
        for (int c = first; c <= last; c++)
            columns[c] += (double)seen->bins[j] / (last - first + 1);
    }
    for (int c = 0; c < COLUMNS; c++)
        most = fmax(most, log1p(columns[c]));
    html_put(h, "<path class=\"counts\" d=\"M0 %d", STRIP_HEIGHT);
    for (int c = 0; c < COLUMNS; c++)
        html_put(h, "V%.1fh%d", STRIP_HEIGHT * (1 - log1p(columns[c]) / most), STRIP_WIDTH / COLUMNS);
    html_put(h, "V%dz\"/>", STRIP_HEIGHT);
}

static void strip_draw(struct html *h, const struct layer_facts *f, const char *name)
{
    const struct affine *map = &f->map;
    double least = (map->qmin - map->zero_point) * (double)map->scale,
           most = (map->qmax - map->zero_point) * (double)map->scale;
    struct strip s = {(double)f->seen->min, (double)f->seen->max};
    if (f->has_map)
        s = (struct strip){fmin(s.from, least), fmax(s.to, most)};
    if (!(s.to > s.from))
        s.to = s.from + 1;
    html_put(h,
             "<svg class=\"strip\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"Histogram of %s: %.4g to "
             "%.4g\"><title>Values "
             "seen, logarithmic counts; shaded: beyond the range</title>",
             STRIP_WIDTH, STRIP_HEIGHT, name, (double)f->seen->min, (double)f->seen->max);
    if (f->has_map)
        html_put(h, "<path class=\"beyond\" d=\"M0 0H%.1fV%dH0zM%.1f 0H%dV%dH%.1fz\"/>", strip_x(&s, least),
                 STRIP_HEIGHT, strip_x(&s, most), STRIP_WIDTH, STRIP_HEIGHT, strip_x(&s, most));
    strip_counts(h, &s, f->seen);
    if (f->has_map && map->qmax - map->qmin <= MOST_STEPS) {
        html_raw(h, "<path class=\"steps\" d=\"");
        for (int q = map->qmin; q <= map->qmax; q++)
            html_put(h, "M%.1f 0V%d", strip_x(&s, (q - map->zero_point) * (double)map->scale), STRIP_HEIGHT);
        html_raw(h, "\"/>");
    }
    if (f->has_map)
        html_put(h, "<path class=\"ends\" d=\"M%.1f 0V%dM%.1f 0V%d\"/>", strip_x(&s, least), STRIP_HEIGHT,
                 strip_x(&s, most), STRIP_HEIGHT);
    html_raw(h, "</svg>");
}

/* ---- the row ---- */

static void put_share(struct html *h, double share)
{
    if (isnan(share))
        html_raw(h, "<td>-</td>");
    else if (share > 0 && share < 1e-5)
        html_put(h, "<td data-v=\"%.9f\">&lt; 0.001</td>", share);
    else
        html_put(h, "<td data-v=\"%.9f\">%.3f</td>", share, 100 * share);
}

static void map_cells(struct html *h, const struct layer_facts *f)
{
    const struct affine *map = &f->map;
    if (f->seen)
        html_put(h, "<td>%.4g to %.4g</td>", (double)f->seen->min, (double)f->seen->max);
    else
        html_raw(h, "<td>-</td>");
    if (f->has_map)
        html_put(h, "<td>%.4g to %.4g</td><td>%d</td><td>%.4g</td><td>%d</td>",
                 (map->qmin - map->zero_point) * (double)map->scale,
                 (map->qmax - map->zero_point) * (double)map->scale, map->qmax - map->qmin + 1, (double)map->scale,
                 map->zero_point);
    else
        html_raw(h, "<td>-</td><td>-</td><td>-</td><td>-</td>");
}

static void layer_row(struct html *h, const struct run *r, const struct run_model *model, int i)
{
    const struct node *n = &model->model.graph.nodes[i];
    struct layer_facts f;
    char title[96];
    layer_facts(r, model, i, &f);
    if (!f.seen && !f.has_map && f.weights <= 0)
        return;
    layer_title(n, title);
    html_put(h, "<tr><th scope=\"row\">%.40s<br><small>%s</small></th><td>", n->name, title);
    if (f.seen)
        strip_draw(h, &f, n->name);
    html_raw(h, "</td>");
    map_cells(h, &f);
    put_share(h, f.clipped_low);
    put_share(h, f.clipped_high);
    put_cell(h, f.activation_sqnr, 1);
    put_cell(h, f.weight_bits ? (double)f.weight_bits : (double)NAN, 0);
    put_cell(h, f.weight_sqnr, 1);
    html_raw(h, "</tr>\n");
}

/* *left: rows that the page still has room for. */
static void layers_table(struct html *h, const struct run *r, const struct run_model *model, int *left)
{
    int count = model->model.graph.count, shown = count < *left ? count : *left;
    *left -= shown;
    html_put(h, "<h3>%s</h3>\n", model->name);
    frame_open(h, "Layers: ranges, grids, clipped shares", "sort");
    html_raw(h,
             "<thead><tr><th scope=\"col\">layer</th><th scope=\"col\">values seen</th>"
             "<th scope=\"col\">least to most</th><th scope=\"col\">range of codes</th><th scope=\"col\">codes</th>"
             "<th scope=\"col\">step</th><th scope=\"col\">zero point</th><th scope=\"col\">clipped below, %</th>"
             "<th scope=\"col\">clipped above, %</th><th scope=\"col\">activation SQNR, dB</th>"
             "<th scope=\"col\">weight bits</th><th scope=\"col\">weight SQNR, dB</th></tr></thead><tbody>\n");
    for (int i = 0; i < shown; i++)
        layer_row(h, r, model, i);
    html_raw(h, "</tbody>");
    frame_close(h);
    if (shown < count)
        html_put(h, "<p>%d more nodes are left out.</p>\n", count - shown);
}

void section_layers(struct html *h, const struct run *r)
{
    const struct run_model *first = layers_model(r);
    int left = MAX_LAYERS;
    section_open(
        h, "layers", "Layers",
        "Over all values that calibration saw: the range that codes can stand for, and what lies beyond its "
        "ends and is clipped (shaded). SQNR: signal to quantization noise; of activations expected, from the "
        "histogram; of weights measured beside the fused network, which for a trained model also says how far "
        "training moved them.");
    if (!first)
        section_missing(h, "No model record here.");
    if (first && !r->ranges_record)
        section_missing(h, "No ranges record here: no histograms.");
    if (first)
        layers_table(h, r, first, &left);
    for (int i = 0; i < r->answer_count; i++) {
        const struct run_model *model = r->answers[i].model;
        if (model && model != first && model->stage == STAGE_INT8)
            layers_table(h, r, model, &left);
    }
    section_close(h);
}
