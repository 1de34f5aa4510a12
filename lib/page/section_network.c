/* section_network.c: the network as it is computed, a box a node from top to bottom. */
#include "page/layers.h"
#include "page/section.h"
#include <math.h>
#include <stdio.h>

enum { WIDTH = 520, PITCH = 46, BOX = 40, LEFT = 56, MAX_BOXES = 160 };

/* "37.7 M" */
static void put_count(struct html *h, double value)
{
    if (value >= 1e9)
        html_put(h, "%.2f G", value / 1e9);
    else if (value >= 1e6)
        html_put(h, "%.2f M", value / 1e6);
    else if (value >= 1e3)
        html_put(h, "%.1f k", value / 1e3);
    else
        html_put(h, "%.0f", value);
}

/* Inputs that are not the node before go along the left side. */
static void edges_draw(struct html *h, const struct graph *g, int i)
{
    for (int k = 0; k < g->nodes[i].input_count; k++) {
        int from = g->nodes[i].inputs[k];
        int y = i * PITCH + BOX / 2, y0 = from * PITCH + BOX / 2;
        if (from == i - 1)
            html_put(h, "<path class=\"edge\" d=\"M%d %dv%d\"/>", (WIDTH + LEFT) / 2, y - BOX / 2 - (PITCH - BOX),
                     PITCH - BOX);
        else
            html_put(h, "<path class=\"edge\" d=\"M%d %dC%d %d %d %d %d %d\"/>", LEFT, y0, LEFT - 44, y0, LEFT - 44,
                     y, LEFT, y);
    }
}

static void put_facts(struct html *h, const struct layer_facts *f)
{
    if (f->weight_bits)
        html_put(h, ", weights %d bits", f->weight_bits);
    if (f->macs > 0) {
        html_raw(h, ", ");
        put_count(h, f->macs);
        html_raw(h, " MACs");
    }
    if (isfinite(f->ms))
        html_put(h, ", %.4f ms", f->ms);
}

static void box_draw(struct html *h, const struct run *r, const struct run_model *model, int i, double most)
{
    const struct node *n = &model->model.graph.nodes[i];
    struct layer_facts f;
    char title[96], shape[64];
    layer_facts(r, model, i, &f);
    layer_title(n, title);
    node_describe(n, shape);
    double size = isfinite(f.ms) ? f.ms : f.macs;
    int y = i * PITCH, width = WIDTH - LEFT - 4;
    html_put(h, "<g class=\"q%d\"><rect class=\"box\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"4\"/>",
             layer_grade(&f), LEFT, y, width, BOX);
    html_put(h, "<rect class=\"stripe\" x=\"%d\" y=\"%d\" width=\"10\" height=\"%d\"/>", LEFT, y, BOX);
    if (most > 0 && size > 0)
        html_put(h, "<rect class=\"load\" x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"4\"/>", LEFT + 10, y + BOX - 4,
                 (width - 10) * size / most);
    html_put(h, "<text x=\"%d\" y=\"%d\"><tspan class=\"name\">%.40s</tspan> %s</text>", LEFT + 18, y + 16, n->name,
             title);
    html_put(h, "<text class=\"small\" x=\"%d\" y=\"%d\">%s", LEFT + 18, y + 31, shape);
    put_facts(h, &f);
    html_raw(h, "</text>");
    if (isfinite(f.activation_sqnr))
        html_put(h, "<text class=\"small\" x=\"%d\" y=\"%d\" text-anchor=\"end\">%.1f dB</text>", WIDTH - 12,
                 y + 16, f.activation_sqnr);
    html_raw(h, "</g>\n");
}

static void legend(struct html *h, int is_timed)
{
    static const char *const names[] = {"below 10 dB", "10 to 20", "20 to 30", "30 to 40", "40 dB and more"};
    html_raw(h, "<p class=\"legend\">Signal to quantization noise, the worse of weights and activation: ");
    for (int i = 0; i < 5; i++)
        html_put(h, "<span class=\"swatch q%d\"></span> %s &nbsp; ", i, names[i]);
    html_put(
        h, "Without colour: not known. In the box, in dB, that of its activation. The bar: its share of %s.</p>\n",
        is_timed ? "the time, beside the slowest"
                 : "the multiply-accumulates, beside the largest (layers were not timed: "
                   "bench --layers does)");
}

void section_network(struct html *h, const struct run *r)
{
    const struct run_model *model = layers_model(r);
    section_open(h, "network", "Network", NULL);
    if (!model) {
        section_missing(h, "No model record here.");
        section_close(h);
        return;
    }
    const struct graph *g = &model->model.graph;
    double most_ms = 0, most_macs = 0;
    int count = g->count < MAX_BOXES ? g->count : MAX_BOXES;
    for (int i = 0; i < count; i++) {
        struct layer_facts f;
        layer_facts(r, model, i, &f);
        most_ms = fmax(most_ms, isfinite(f.ms) ? f.ms : 0);
        most_macs = fmax(most_macs, f.macs);
    }
    html_put(h, "<p>%s, from top to bottom; a line at the left is a residual.</p>\n", model->name);
    legend(h, most_ms > 0);
    html_put(h,
             "<svg class=\"network\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"The network of %s, %d nodes; "
             "the table "
             "of layers has the numbers\">",
             WIDTH, count * PITCH, model->name, g->count);
    for (int i = 0; i < count; i++) {
        edges_draw(h, g, i);
        box_draw(h, r, model, i, most_ms > 0 ? most_ms : most_macs);
    }
    html_raw(h, "</svg>\n");
    if (count < g->count)
        html_put(h, "<p>%d more nodes are left out.</p>\n", g->count - count);
    section_close(h);
}
