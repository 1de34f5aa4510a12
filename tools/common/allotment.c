#include "tools/common/allotment.h"
#include "base/memory.h"
#include "graph/codes.h"
#include "graph/op.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { FULL = 8 };

/* ---- what was measured ---- */

static int read_row(struct allotment *a, const struct table *t, int row, struct message *m)
{
    double bits, kl, error;
    const char *name = table_cell(t, row, table_column(t, "layer")),
               *what = table_cell(t, row, table_column(t, "what"));
    int node = graph_find(&a->fused->graph, name), is_weights = strcmp(what, "weights") == 0;
    TRY(table_number(t, row, "bits", 2, FULL, &bits, m));
    TRY(table_number(t, row, "kl", -1, 1e9, &kl, m));
    TRY(table_number(t, row, "logit_error", 0, 1e30, &error, m));
    if (node < 0 || (is_weights ? !bit_plan_has_weights(&a->fused->graph, node)
                                : !bit_plan_has_activations(&a->fused->graph, node)))
        return message_set(m, STATUS_MISMATCH, "row %d: the network has no %s of '%s'", row + 1, what, name);
    struct node_costs *n = &a->nodes[node];
    double(*to)[WIDTHS] = is_weights ? n->loss : n->values;
    to[LOSS_KL][(int)bits] = kl;
    to[LOSS_LOGITS][(int)bits] = error;
    if (is_weights)
        n->weights = (int64_t)node_weight_count(&a->fused->graph, &a->fused->graph.nodes[node]);
    return 0;
}

/* Losses are counted from 8 bits on, whose own every row has. */
static int subtract_full(struct allotment *a, struct message *m)
{
    for (int i = 0; i < a->fused->graph.count; i++)
        for (int k = 0; k < 2 * LOSSES; k++) {
            double *of = k < LOSSES ? a->nodes[i].loss[k] : a->nodes[i].values[k - LOSSES], full = of[FULL];
            for (int bits = 2; bits <= FULL; bits++) {
                if (!isnan(of[bits]) && isnan(full))
                    return message_set(m, STATUS_MISMATCH, "%s: no row of 8 bits", a->fused->graph.nodes[i].name);
                of[bits] -= full;
            }
        }
    return 0;
}

static int read_table(struct allotment *a, const struct fused *f, const struct table *t, struct message *m)
{
    static const char *const columns[] = {"layer", "what", "bits", "kl", "logit_error"};
    const char *digest = table_get_note(t, "model-digest");
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++)
        if (table_column(t, columns[i]) < 0)
            return message_set(m, STATUS_FORMAT, "missing column '%s'", columns[i]);
    if (!digest || strcmp(digest, f->digest) != 0)
        return message_set(m, STATUS_MISMATCH, "model-digest: the table is of another model (%s)",
                           digest ? digest : "-");
    for (int row = 0; row < t->rows; row++)
        TRY(read_row(a, t, row, m));
    return subtract_full(a, m);
}

int allotment_open(struct allotment *a, const struct fused *f, const char *path, struct message *m)
{
    struct table t = {0};
    int count = f->model.graph.count;
    *a = (struct allotment){.fused = &f->model, .activation_bits = FULL, .keep_ends = 1};
    a->nodes = memory_new((size_t)count, sizeof *a->nodes, m);
    a->items = memory_new((size_t)count, sizeof *a->items, m);
    a->item_node = memory_new((size_t)count, sizeof *a->item_node, m);
    a->item_bits = memory_new((size_t)count * ALLOT_CHOICES, 1, m);
    if (!a->nodes || !a->items || !a->item_node || !a->item_bits)
        return STATUS_NOMEM;
    for (int i = 0; i < count; i++)
        for (int k = 0; k < WIDTHS; k++) {
            a->nodes[i].ms[k] = (double)NAN;
            for (int l = 0; l < LOSSES; l++)
                a->nodes[i].loss[l][k] = a->nodes[i].values[l][k] = (double)NAN;
        }
    TRY(table_load(&t, path, m));
    int status = read_table(a, f, &t, m);
    table_free(&t);
    return status < 0 ? message_prefix(m, status, "%s", path) : 0;
}

int64_t tensors_bytes(const struct model *model)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < model->record->tensor_count; i++)
        bytes += (int64_t)model->record->tensors[i].bytes;
    return bytes;
}

int allotment_weigh(struct allotment *a, const struct fused *f, const struct lower_options *how, struct message *m)
{
    struct bit_plan all = {0};
    struct model model = {0};
    int status = model_copy(&model, &f->model, m);
    if (status >= 0)
        status = pass_lower_int8(&model, &f->ranges, how, NULL, m);
    if (status >= 0)
        status = allotment_uniform(a, FULL, FULL, &all, m);
    if (status >= 0)
        a->bytes_beside = tensors_bytes(&model) - plan_bytes(a, &all);
    bit_plan_free(&all);
    model_free(&model);
    return status;
}

void allotment_close(struct allotment *a)
{
    memory_free(a->nodes);
    memory_free(a->items);
    memory_free(a->item_node);
    memory_free(a->item_bits);
    *a = (struct allotment){0};
}

/* ---- times ---- */

static int read_times(struct allotment *a, const struct table *t, int bits, struct message *m)
{
    static const char layer[] = "layer:";
    double beside = 0;
    int what = table_column(t, "what"), layers = 0;
    if (what < 0 || table_column(t, "ms_median") < 0)
        return message_set(m, STATUS_FORMAT, "no table of bench --layers");
    for (int row = 0; row < t->rows; row++) {
        double ms;
        const char *name = table_cell(t, row, what);
        if (strncmp(name, layer, sizeof layer - 1) != 0)
            continue;
        TRY(table_number(t, row, "ms_median", 0, 1e9, &ms, m));
        int node = graph_find(&a->fused->graph, name + sizeof layer - 1);
        if (node < 0 || a->nodes[node].weights == 0)
            beside += ms;
        else if (isnan(a->nodes[node].ms[bits])) /* of several batches and threads the first */
            a->nodes[node].ms[bits] = ms;
        layers++;
    }
    a->ms_beside = beside;
    return layers ? 0 : message_set(m, STATUS_MISMATCH, "no rows of layers: bench --layers has them");
}

int allotment_time(struct allotment *a, const char *timings, struct message *m)
{
    struct table t = {0};
    if (timings[0] < '2' || timings[0] > '8' || timings[1] != '=')
        return message_set(m, STATUS_RANGE, "--timings: '%s' is not BITS=FILE", timings);
    TRY(table_load(&t, timings + 2, m));
    int status = read_times(a, &t, timings[0] - '0', m);
    table_free(&t);
    return status < 0 ? message_prefix(m, status, "%s", timings + 2) : 0;
}

static double ms_of(const struct node_costs *n, int bits)
{
    return isnan(n->ms[bits]) ? n->ms[codes_field(bits)] : n->ms[bits];
}

/* ---- choices ---- */

static int64_t bytes_of(const struct node_costs *n, int bits)
{
    return (int64_t)codes_bytes((size_t)n->weights, bits) +
           (codes_field(bits) < FULL); /* and what says how many bits */
}

static int is_end(const struct allotment *a, int node, int weights)
{
    return a->keep_ends && lower_is_end(&a->fused->graph, node, weights);
}

/* Of one layer: from the fewest bits on. */
static int item_fill(struct allotment *a, int node, enum allot_loss loss, int by_time, struct message *m)
{
    const struct node_costs *n = &a->nodes[node];
    struct allot_item *item = &a->items[a->item_count];
    *item = (struct allot_item){0};
    for (int bits = is_end(a, node, 1) ? FULL : 2; bits <= FULL; bits++) {
        if (isnan(n->loss[loss][bits]))
            continue;
        if (by_time && isnan(ms_of(n, bits)))
            return message_set(m, STATUS_MISMATCH, "%s: no time at %d bits: want --timings %d=FILE",
                               a->fused->graph.nodes[node].name, bits, codes_field(bits));
        item->cost[item->count] = by_time ? (int64_t)rint(ms_of(n, bits) * 1e6) : bytes_of(n, bits);
        item->loss[item->count] = n->loss[loss][bits];
        a->item_bits[a->item_count * ALLOT_CHOICES + item->count++] = (uint8_t)bits;
    }
    a->item_node[a->item_count++] = node;
    return 0;
}

int allotment_items(struct allotment *a, enum allot_loss loss, int by_time, struct message *m)
{
    a->item_count = 0;
    for (int i = 0; i < a->fused->graph.count; i++)
        if (a->nodes[i].weights > 0)
            TRY(item_fill(a, i, loss, by_time, m));
    return a->item_count ? 0 : message_set(m, STATUS_MISMATCH, "the table has no weights of any layer");
}

int allotment_uniform(const struct allotment *a, int weight_bits, int activation_bits, struct bit_plan *plan,
                      struct message *m)
{
    const struct graph *g = &a->fused->graph;
    TRY(bit_plan_open(plan, g, m));
    for (int i = 0; i < g->count; i++) {
        if (a->nodes[i].weights > 0)
            plan->rows[i].weights = is_end(a, i, 1) ? FULL : weight_bits;
        if (bit_plan_has_activations(g, i))
            plan->rows[i].activations = is_end(a, i, 0) ? FULL : activation_bits;
    }
    return 0;
}

int allotment_plan(const struct allotment *a, const struct allot_front *f, int at, struct bit_plan *plan,
                   struct message *m)
{
    TRY(allotment_uniform(a, FULL, a->activation_bits, plan, m));
    for (int i = 0; i < a->item_count; i++)
        plan->rows[a->item_node[i]].weights =
            a->item_bits[i * ALLOT_CHOICES + f->pick[(size_t)at * (size_t)f->items + (size_t)i]];
    return 0;
}

/* ---- of a plan ---- */

int64_t plan_bytes(const struct allotment *a, const struct bit_plan *p)
{
    int64_t bytes = 0;
    for (int i = 0; i < p->nodes; i++)
        bytes += a->nodes[i].weights > 0 ? bytes_of(&a->nodes[i], p->rows[i].weights) : 0;
    return bytes;
}

double plan_average(const struct allotment *a, const struct bit_plan *p)
{
    double weights = 0, bits = 0;
    for (int i = 0; i < p->nodes; i++) {
        weights += (double)a->nodes[i].weights;
        bits += a->nodes[i].weights > 0 ? (double)a->nodes[i].weights * codes_field(p->rows[i].weights) : 0;
    }
    return bits / weights;
}

double plan_loss(const struct allotment *a, const struct bit_plan *p, enum allot_loss loss)
{
    double sum = 0;
    for (int i = 0; i < p->nodes; i++) {
        sum += a->nodes[i].weights > 0 ? a->nodes[i].loss[loss][p->rows[i].weights] : 0;
        sum += p->rows[i].activations ? a->nodes[i].values[loss][p->rows[i].activations] : 0;
    }
    return sum;
}

double plan_ms(const struct allotment *a, const struct bit_plan *p)
{
    double sum = a->ms_beside;
    for (int i = 0; i < p->nodes; i++)
        sum += a->nodes[i].weights > 0 ? ms_of(&a->nodes[i], p->rows[i].weights) : 0;
    return sum;
}
