#include "ptq/analyse.h"
#include "base/available.h"
#include "base/memory.h"
#include "graph/codes.h"
#include "graph/op.h"
#include "ptq/match_layer.h"
#include "ptq/walk.h"
#include "quant/affine.h"
#include <math.h>
#include <string.h>

enum { FULL = 8 };

struct analysing {
    struct analysis *out;
    const struct model *fused;
    const struct analyse_options *o;
    struct lower_options how;      /* o->lower at 8 bits */
    struct bit_plan plan;          /* how's: a change is a row of it */
    struct affine *maps[FULL + 1]; /* of each width in use, one a node */
    struct affine *now;            /* the maps of a changed network */
    struct layer_moments *moments;
    struct match_options match; /* without images */
    struct model eight;
    struct walk whole, floats; /* of eight over all images, of fused over the first */
    int64_t shown;             /* 0: no noise is measured */
    int64_t judged;
    int classes;
    float *wanted, *logits;  /* [judged, classes]: the float network's, and the row's at work */
    float *own_logits;       /* where logits are not kept */
    struct analyse_row full; /* of 8 bits everywhere, once it is known */
    const float *full_logits;
};

/* ---- nodes ---- */

static int has_weights(const struct analysing *a, int i)
{
    return bit_plan_has_weights(&a->fused->graph, i) &&
           model_tensor(&a->eight, walk_node(&a->eight, a->fused, i), "weight_scale");
}

static int has_values(const struct analysing *a, int i)
{
    return bit_plan_has_activations(&a->fused->graph, i) &&
           a->eight.graph.nodes[walk_node(&a->eight, a->fused, i)].type == NODE_U8;
}

/* ---- networks ---- */

/* With one thing at `bits`, all else at 8; not matched. */
static int make_changed(struct analysing *a, int node, int is_weights, int bits, struct model *out,
                        struct message *m)
{
    size_t nodes = (size_t)a->fused->graph.count;
    memset(a->plan.rows, 0, nodes * sizeof *a->plan.rows);
    memcpy(a->now, a->maps[FULL], nodes * sizeof *a->now);
    if (is_weights)
        a->plan.rows[node].weights = bits;
    else
        a->now[node] = a->maps[bits][node];
    TRY(model_copy(out, a->fused, m));
    return pass_lower_int8_with(out, a->now, &a->how, NULL, m);
}

static int match(const struct analysing *a, struct model *changed, int layer, const uint8_t *cut, struct message *m)
{
    int of = graph_find(&a->fused->graph, changed->graph.nodes[layer].name);
    const float *weights = model_tensor(a->fused, of, "weight")->data;
    return match_layer(changed, layer, weights, &a->moments[of], &a->match, cut, m);
}

/* The layer whose weights changed, or all that read the values that did. */
static int match_changed(const struct analysing *a, struct model *changed, int node, int is_weights,
                         struct message *m)
{
    if (a->match.mode == MATCH_OFF)
        return 0;
    if (is_weights)
        return match(a, changed, node, a->whole.cut, m);
    for (int r = node + 1; r < changed->graph.count; r++) {
        struct walk w;
        if (!walk_reads(changed, r, node))
            continue;
        int status = walk_open(&w, changed, a->whole.cut, a->match.count, a->o->threads, m);
        w.step = a->whole.step;
        if (status >= 0)
            status = walk_to(&w, exec_step_of(w.exec, r), m);
        if (status >= 0)
            status = match(a, changed, r, w.cut, m);
        walk_close(&w);
        TRY(status);
    }
    return 0;
}

/* All weights, or all values, at `bits`, but for the ends. */
static int make_uniform(struct analysing *a, int is_weights, int bits, struct model *out, struct message *m)
{
    struct lower_options how = a->how;
    struct match_options all = a->match;
    how.plan = NULL;
    how.observer = a->o->lower->observer;
    how.end_bits = a->o->lower->end_bits;
    *(is_weights ? &how.weight_bits : &how.activation_bits) = bits;
    TRY(model_copy(out, a->fused, m));
    TRY(pass_lower_int8(out, a->o->ranges, &how, NULL, m));
    all.images = a->o->images;
    all.mode = bits < FULL ? all.mode : MATCH_OFF;
    return ptq_match(out, a->fused, &all, m);
}

/* ---- what is measured ---- */

static int predicted(const float *row, int classes)
{
    int best = 0;
    for (int k = 1; k < classes; k++)
        best = row[k] > row[best] ? k : best;
    return best;
}

static double log_sum(const float *row, int classes)
{
    double most = (double)row[predicted(row, classes)], sum = 0;
    for (int k = 0; k < classes; k++)
        sum += exp((double)row[k] - most);
    return most + log(sum);
}

double analyse_divergence(const float *want, const float *got, int classes)
{
    double a = log_sum(want, classes), b = log_sum(got, classes), sum = 0;
    for (int k = 0; k < classes; k++) {
        double p = (double)want[k] - a;
        sum += exp(p) * (p - ((double)got[k] - b));
    }
    return sum;
}

void analyse_row_add(struct analyse_row *row, const float *wanted, const float *logits, const uint16_t *labels,
                     int64_t count, int classes)
{
    for (int64_t i = 0; i < count; i++) {
        const float *want = wanted + i * classes, *got = logits + i * classes;
        int class = predicted(got, classes);
        row->kl += analyse_divergence(want, got, classes);
        for (int k = 0; k < classes; k++)
            row->logit_error += ((double)want[k] - (double)got[k]) * ((double)want[k] - (double)got[k]);
        row->correct += class == labels[i];
        row->agreed += class == predicted(want, classes);
    }
}

void analyse_row_finish(struct analyse_row *row, int64_t images, int classes)
{
    row->kl /= (double)images;
    row->logit_error /= (double)images * classes;
}

int64_t analyse_correct(const float *logits, const uint16_t *labels, int64_t count, int classes)
{
    int64_t correct = 0;
    for (int64_t i = 0; i < count; i++)
        correct += predicted(logits + i * classes, classes) == labels[i];
    return correct;
}

/* At 8 bits all are one network. */
static int row_is_known(const struct analysing *a, const struct analyse_row *row)
{
    return row->bits == FULL && a->full.bits == FULL;
}

static void take_result(struct analyse_row *row, const struct analyse_row *from)
{
    row->kl = from->kl;
    row->logit_error = from->logit_error;
    row->correct = from->correct;
    row->agreed = from->agreed;
}

/* The row's numbers are those of the network of 8 bits, logits too. */
static void take_full(const struct analysing *a, struct analyse_row *row)
{
    take_result(row, &a->full);
    if (a->o->keep)
        memcpy(a->logits, a->full_logits, (size_t)a->judged * (size_t)a->classes * sizeof *a->logits);
}

/* What stands behind `node` in a changed network, whose walk, from image `begin` on, is about to compute it: its noise,
 * then the logits. */
static int follow(struct analysing *a, struct walk *w, int64_t begin, int node, struct analyse_row *row,
                  struct message *m)
{
    TRY(walk_to(w, w->step + 1, m));
    if (a->shown > 0)
        row->sqnr = noise_sqnr(walk_noise(&a->floats, row->node, w, node));
    if (row_is_known(a, row)) {
        take_full(a, row);
        return 0;
    }
    const uint8_t *cut = w->cut + (size_t)(a->o->first - begin) * exec_cut_bytes(w->exec, w->step);
    TRY(exec_run_part(w->exec, w->step, exec_layer_count(w->exec), cut, a->judged, (uint8_t *)a->logits, m));
    analyse_row_add(row, a->wanted, a->logits, a->o->labels + a->o->first, a->judged, a->classes);
    analyse_row_finish(row, a->judged, a->classes);
    if (row->bits == FULL) {
        a->full = *row;
        a->full_logits = a->logits;
    }
    return 0;
}

/* Of the images those that a changed network is run on: from `begin` on. */
static int64_t images_wanted(const struct analysing *a, const struct analyse_row *row, int64_t *begin)
{
    int64_t past = row_is_known(a, row) ? a->shown : a->o->first + a->judged;
    *begin = a->shown > 0 ? 0 : a->o->first;
    return (past > a->shown ? past : a->shown) - *begin;
}

static int measure(struct analysing *a, struct analyse_row *row, struct message *m)
{
    struct model changed = {0};
    struct walk w = {0};
    int status, node;
    int64_t begin, count = images_wanted(a, row, &begin);
    if (row_is_known(a, row) && a->shown == 0) {
        take_full(a, row);
        return 0;
    }
    TRY_GOTO(make_changed(a, row->node, row->is_weights, row->bits, &changed, m), done);
    node = walk_node(&changed, a->fused, row->node);
    if (row->bits < FULL)
        TRY_GOTO(match_changed(a, &changed, node, row->is_weights, m), done);
    const uint8_t *cut = a->whole.cut + (size_t)begin * exec_cut_bytes(a->whole.exec, a->whole.step);
    TRY_GOTO(walk_open(&w, &changed, cut, count, a->o->threads, m), done);
    w.step = a->whole.step;
    status = follow(a, &w, begin, node, row, m);
done:
    walk_close(&w);
    model_free(&changed);
    return status;
}

/* ---- all rows ---- */

static void tell(const struct analysing *a, int64_t done)
{
    if (a->o->progress)
        a->o->progress(a->o->context, done, a->out->count);
}

static void list_rows(struct analysing *a, int node, int is_weights)
{
    double weights = is_weights ? node_weight_count(&a->fused->graph, &a->fused->graph.nodes[node]) : 0;
    for (int k = 0; k < a->o->width_count; k++) {
        int bits = a->o->widths[k];
        struct analyse_row *row = &a->out->rows[a->out->count++];
        *row = (struct analyse_row){.node = node,
                                    .is_weights = is_weights,
                                    .bits = bits,
                                    .sqnr = (double)NAN,
                                    .sqnr_accumulated = (double)NAN,
                                    .bytes = (int64_t)(weights > 0 ? codes_bytes((size_t)weights, bits) : 0)};
        strcpy(row->name, a->fused->graph.nodes[node].name);
    }
}

static int list_all(struct analysing *a, struct message *m)
{
    int nodes = a->fused->graph.count;
    a->out->rows = memory_new(2 * (size_t)nodes * ANALYSE_WIDTHS, sizeof *a->out->rows, m);
    if (!a->out->rows)
        return STATUS_NOMEM;
    for (int i = 0; i < nodes; i++) {
        if (has_weights(a, i))
            list_rows(a, i, 1);
        if (has_values(a, i))
            list_rows(a, i, 0);
    }
    return 0;
}

/* Each changed network in turn, from where its change begins. */
static int measure_all(struct analysing *a, struct message *m)
{
    for (int i = 0; i < a->out->count; i++) {
        struct analyse_row *row = &a->out->rows[i];
        tell(a, i);
        TRY(walk_to(&a->whole, exec_step_of(a->whole.exec, walk_node(&a->eight, a->fused, row->node)), m));
        if (a->shown > 0)
            TRY(walk_to(&a->floats, exec_step_of(a->floats.exec, row->node) + 1, m));
        if (a->o->keep)
            a->logits = a->out->logits + (size_t)i * (size_t)a->judged * (size_t)a->classes;
        TRY(measure(a, row, m));
    }
    return 0;
}

static int walk_both(struct analysing *a, struct walk *floats, struct walk *w, int is_weights, int bits,
                     struct message *m)
{
    for (int i = 0; i < a->out->count; i++) {
        struct analyse_row *row = &a->out->rows[i];
        if (row->is_weights != is_weights || row->bits != bits)
            continue;
        int node = walk_node(w->model, a->fused, row->node);
        TRY(walk_to(floats, exec_step_of(floats->exec, row->node) + 1, m));
        TRY(walk_to(w, exec_step_of(w->exec, node) + 1, m));
        row->sqnr_accumulated = noise_sqnr(walk_noise(floats, row->node, w, node));
    }
    return 0;
}

static int accumulate(struct analysing *a, int is_weights, int bits, struct message *m)
{
    struct model uniform = {0};
    struct walk w = {0}, floats = {0};
    int status;
    TRY_GOTO(make_uniform(a, is_weights, bits, &uniform, m), done);
    TRY_GOTO(walk_open(&w, &uniform, a->o->images, a->shown, a->o->threads, m), done);
    TRY_GOTO(walk_open(&floats, a->fused, a->o->images, a->shown, a->o->threads, m), done);
    status = walk_both(a, &floats, &w, is_weights, bits, m);
done:
    walk_close(&w);
    walk_close(&floats);
    model_free(&uniform);
    return status;
}

static int accumulate_all(struct analysing *a, struct message *m)
{
    for (int k = 0; k < a->o->width_count && a->shown > 0; k++) {
        TRY(accumulate(a, 1, a->o->widths[k], m));
        TRY(accumulate(a, 0, a->o->widths[k], m));
    }
    return 0;
}

/* ---- before them ---- */

static int choose_maps(struct analysing *a, struct message *m)
{
    size_t nodes = (size_t)a->fused->graph.count;
    a->now = memory_new(nodes, sizeof *a->now, m);
    if (!a->now)
        return STATUS_NOMEM;
    for (int k = -1; k < a->o->width_count; k++) {
        int bits = k < 0 ? FULL : a->o->widths[k];
        struct lower_options how = a->how;
        how.activation_bits = bits;
        how.plan = NULL;
        if (a->maps[bits])
            continue;
        a->maps[bits] = memory_new(nodes, sizeof **a->maps, m);
        if (!a->maps[bits])
            return STATUS_NOMEM;
        TRY(lower_choose_activations(a->fused, a->o->ranges, &how, a->maps[bits], m));
    }
    a->how.observer = NULL; /* from here on they are given */
    return 0;
}

static int run_float(struct analysing *a, struct message *m)
{
    const struct exec_options how = {.threads = a->o->threads};
    struct exec *e;
    TRY(exec_open(&e, a->fused, &how, m));
    a->classes = a->out->classes = exec_classes(e);
    a->out->isa = exec_isa(e);
    size_t values = (size_t)a->judged * (size_t)a->classes;
    const uint8_t *images = a->o->images + (size_t)a->o->first * exec_image_bytes(e);
    a->wanted = a->out->wanted = memory_new_raw(values, sizeof *a->wanted, m);
    a->logits = a->own_logits = memory_new_raw(values, sizeof *a->logits, m);
    int status = a->wanted && a->logits ? exec_run(e, images, a->judged, a->wanted, m) : STATUS_NOMEM;
    exec_close(e);
    if (status >= 0)
        a->out->correct = analyse_correct(a->wanted, a->o->labels + a->o->first, a->judged, a->classes);
    return status;
}

/* Each row's logits, where they are to be kept. */
static int open_kept(struct analysing *a, struct message *m)
{
    size_t values = (size_t)a->out->count * (size_t)a->judged * (size_t)a->classes, left = memory_available();
    if (!a->o->keep)
        return 0;
    if (values > left / sizeof *a->out->logits)
        return message_set(
            m, STATUS_NOMEM,
            "the logits of %lld images by %d networks take %.0f MB, of which %.0f are left: want fewer",
            (long long)a->judged, a->out->count, (double)values * sizeof *a->out->logits / 1e6, (double)left / 1e6);
    a->out->logits = memory_new_raw(values, sizeof *a->out->logits, m);
    return a->out->logits ? 0 : STATUS_NOMEM;
}

/* The walk over all images, its step's copy in a changed network, and the first images' floats. */
static int check_room(struct analysing *a, struct message *m)
{
    size_t bytes = 2 * walk_bytes(a->whole.exec, a->o->count) + walk_bytes(a->floats.exec, a->shown),
           left = memory_available();
    a->out->bytes_held = bytes;
    if (bytes <= left)
        return 0;
    return message_set(m, STATUS_NOMEM,
                       "the values of %lld images take %.0f MB, of which %.0f are left: want fewer",
                       (long long)a->o->count, (double)bytes / 1e6, (double)left / 1e6);
}

static int prepare(struct analysing *a, struct message *m)
{
    TRY(bit_plan_open(&a->plan, &a->fused->graph, m));
    a->how.plan = &a->plan;
    TRY(choose_maps(a, m));
    TRY(model_copy(&a->eight, a->fused, m));
    TRY(pass_lower_int8_with(&a->eight, a->maps[FULL], &a->how, NULL, m));
    TRY(walk_open(&a->whole, &a->eight, a->o->images, a->o->count, a->o->threads, m));
    TRY(walk_open(&a->floats, a->fused, a->o->images, a->shown, a->o->threads, m));
    TRY(check_room(a, m));
    TRY(run_float(a, m));
    if (a->match.mode != MATCH_OFF)
        TRY(float_outputs(&a->moments, a->fused, a->o->images, a->match.count, a->o->threads, m));
    TRY(list_all(a, m));
    return open_kept(a, m);
}

static void finish(struct analysing *a)
{
    walk_close(&a->whole);
    walk_close(&a->floats);
    model_free(&a->eight);
    bit_plan_free(&a->plan);
    for (int i = 0; i <= FULL; i++)
        memory_free(a->maps[i]);
    memory_free(a->now);
    float_outputs_free(a->moments, a->fused->graph.count);
    memory_free(a->own_logits);
    if (!a->o->keep) {
        memory_free(a->wanted);
        a->out->wanted = NULL;
    }
}

static int64_t at_most(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int ptq_analyse(struct analysis *out, const struct model *fused, const struct analyse_options *o, struct message *m)
{
    struct analysing a = {.out = out, .fused = fused, .o = o, .how = *o->lower};
    *out = (struct analysis){0};
    if (o->count < 1)
        return message_set(m, STATUS_RANGE, "no images to analyse by");
    a.how.weight_bits = a.how.activation_bits = FULL;
    a.how.end_bits = 0;
    a.judged = o->judged ? o->judged : o->count - o->first;
    out->judged = a.judged;
    a.shown = o->is_blind ? 0 : at_most(o->count, ANALYSE_SHOWN);
    a.match = (struct match_options){.mode = o->match,
                                     .count = at_most(o->count, o->match_count),
                                     .per_tensor = o->lower->per_tensor,
                                     .threads = o->threads};
    int status = prepare(&a, m);
    if (status >= 0)
        status = measure_all(&a, m);
    if (status >= 0)
        status = accumulate_all(&a, m);
    if (status >= 0)
        tell(&a, out->count);
    finish(&a);
    return status;
}

void analysis_free(struct analysis *a)
{
    memory_free(a->rows);
    memory_free(a->wanted);
    memory_free(a->logits);
    *a = (struct analysis){0};
}
