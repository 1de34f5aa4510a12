#include "tools/common/allotment_choose.h"
#include <math.h>
#include <stdio.h>

static const char *bound_text(const struct bound *b, char out[64])
{
    switch (b->kind) {
    case BOUND_BYTES:
        snprintf(out, 64, "at most %.0f bytes", b->most);
        break;
    case BOUND_AVERAGE:
        snprintf(out, 64, "at most %g bits a weight", b->most);
        break;
    case BOUND_MS:
        snprintf(out, 64, "at most %g ms an image", b->most);
        break;
    case BOUND_DROP:
        snprintf(out, 64, "at most %g points below the float network", b->most);
        break;
    }
    return out;
}

/* In what choices cost: bytes of weights, or nanoseconds of layers. */
static int64_t most_cost(const struct allotment *a, const struct bound *b)
{
    double weights = 0;
    for (int i = 0; i < a->fused->graph.count; i++)
        weights += (double)a->nodes[i].weights;
    double cost = b->kind == BOUND_BYTES     ? b->most - (double)a->bytes_beside
                  : b->kind == BOUND_AVERAGE ? b->most * weights / 8 + a->item_count
                                             : (b->most - a->ms_beside) * 1e6;
    return (int64_t)floor(cost);
}

/* The last of a front that keeps the bound. */
static int within(const struct allotment *a, const struct allot_front *f, const struct bound *b, int *at,
                  struct message *m)
{
    char text[64];
    *at = allot_within(f, most_cost(a, b));
    while (*at >= 0 && b->kind == BOUND_AVERAGE) { /* what a layer's last byte has left over counts in none */
        struct bit_plan plan;
        TRY(allotment_plan(a, f, *at, &plan, m));
        double average = plan_average(a, &plan);
        bit_plan_free(&plan);
        if (average <= b->most)
            break;
        (*at)--;
    }
    if (*at >= 0)
        return 0;
    double least = b->kind == BOUND_MS ? (double)f->cost[0] / 1e6 + a->ms_beside : (double)f->cost[0];
    if (b->kind == BOUND_BYTES)
        least += (double)a->bytes_beside;
    return message_set(m, STATUS_RANGE, "no plan has %s: the least takes %.*f %s", bound_text(b, text),
                       b->kind == BOUND_MS ? 4 : 0, least,
                       b->kind == BOUND_MS      ? "ms"
                       : b->kind == BOUND_BYTES ? "bytes"
                                                : "bytes of weights");
}

/* ---- under a bound of cost ---- */

/* Tries plan `at` of a front; *best: of those tried the one nearest to the float network. */
static int try_at(struct allotment *a, struct trials *trials, const struct allot_front *f, int at, int *best,
                  struct message *m)
{
    struct bit_plan plan;
    if (at < 0)
        return 0;
    TRY(allotment_plan(a, f, at, &plan, m));
    int now = trials_add(trials, "planned", NULL, &plan, m);
    TRY(now);
    if (*best < 0 || trials->tried[now].kl < trials->tried[*best].kl)
        *best = now;
    return 0;
}

/* What the table of this loss names, and the next cheaper. */
static int try_loss(struct allotment *a, const struct bound *bound, struct trials *trials, enum allot_loss loss,
                    int *best, struct message *m)
{
    struct allot_front f = {0};
    int at, status = allotment_items(a, loss, bound->kind == BOUND_MS, m);
    if (status >= 0)
        status = allot_find(&f, a->items, a->item_count, m);
    if (status >= 0)
        status = within(a, &f, bound, &at, m);
    for (int k = 0; k < 2 && status >= 0; k++)
        status = try_at(a, trials, &f, at - k, best, m);
    allot_free(&f);
    return status;
}

static int choose_untried(struct allotment *a, const struct bound *bound, struct bit_plan *plan, struct message *m)
{
    struct allot_front f = {0};
    int at, status = allotment_items(a, LOSS_KL, bound->kind == BOUND_MS, m);
    if (status >= 0)
        status = allot_find(&f, a->items, a->item_count, m);
    if (status >= 0)
        status = within(a, &f, bound, &at, m);
    if (status >= 0)
        status = allotment_plan(a, &f, at, plan, m);
    allot_free(&f);
    return status;
}

/* ---- under a bound of accuracy ---- */

/* Halves the front between one that falls too far and one that does not. */
static int search(struct allotment *a, const struct bound *bound, struct trials *trials,
                  const struct allot_front *f, int *best, struct message *m)
{
    int low = -1, high = f->count - 1, now = -1;
    TRY(try_at(a, trials, f, high, &now, m));
    if (trials->tried[now].drop > bound->most)
        return message_set(m, STATUS_RANGE,
                           "no plan is at most %g points below the float network: the dearest is %.2f", bound->most,
                           trials->tried[now].drop);
    *best = now;
    while (high - low > 1) {
        int middle = low + (high - low) / 2;
        now = -1;
        TRY(try_at(a, trials, f, middle, &now, m));
        if (trials->tried[now].drop <= bound->most) {
            high = middle;
            *best = now;
        } else {
            low = middle;
        }
    }
    return 0;
}

static int choose_by_drop(struct allotment *a, const struct bound *bound, struct trials *trials, int *best,
                          struct message *m)
{
    struct allot_front f = {0};
    int status = allotment_items(a, LOSS_KL, 0, m);
    if (status >= 0)
        status = allot_find(&f, a->items, a->item_count, m);
    if (status >= 0)
        status = search(a, bound, trials, &f, best, m);
    allot_free(&f);
    return status;
}

int plan_choose(struct allotment *a, const struct bound *bound, struct trials *trials, struct bit_plan *plan,
                struct message *m)
{
    int best = -1;
    if (!trials)
        return choose_untried(a, bound, plan, m);
    if (bound->kind == BOUND_DROP) {
        TRY(choose_by_drop(a, bound, trials, &best, m));
    } else {
        TRY(try_loss(a, bound, trials, LOSS_KL, &best, m));
        TRY(try_loss(a, bound, trials, LOSS_LOGITS, &best, m));
    }
    const struct bit_plan *from = &trials->tried[best].plan;
    trials->tried[best].kind = "chosen";
    TRY(bit_plan_open(plan, &a->fused->graph, m));
    for (int i = 0; i < plan->nodes; i++)
        plan->rows[i] = from->rows[i];
    return 0;
}

/* ---- beside what was chosen ---- */

static int has_width(const struct allotment *a, int bits)
{
    for (int i = 0; i < a->fused->graph.count; i++)
        if (a->nodes[i].weights > 0 && isnan(a->nodes[i].loss[LOSS_KL][bits]))
            return 0;
    return 1;
}

static int try_uniform(struct allotment *a, struct trials *trials, struct message *m)
{
    for (int bits = 2; bits <= 8; bits++) {
        struct bit_plan plan;
        char name[TRIAL_NAME_SIZE];
        if (!has_width(a, bits))
            continue;
        TRY(allotment_uniform(a, bits, a->activation_bits, &plan, m));
        snprintf(name, sizeof name, "W%dA%d", bits, a->activation_bits);
        TRY(trials_add(trials, "uniform", name, &plan, m));
    }
    return 0;
}

int plans_around(struct allotment *a, struct trials *trials, int points, struct message *m)
{
    struct allot_front f = {0};
    TRY(try_uniform(a, trials, m));
    int best = -1, status = allotment_items(a, LOSS_KL, 0, m);
    if (status >= 0)
        status = allot_find(&f, a->items, a->item_count, m);
    for (int k = 0; k < points && status >= 0; k++) {
        double cost = (double)f.cost[0] + (double)(f.cost[f.count - 1] - f.cost[0]) * k / (points - 1);
        status = try_at(a, trials, &f, allot_within(&f, (int64_t)cost), &best, m);
    }
    allot_free(&f);
    return status;
}

/* ---- text ---- */

static const struct trial *chosen(const struct trials *trials)
{
    for (int i = 0; trials && i < trials->count; i++)
        if (trials->tried[i].kind[0] == 'c')
            return &trials->tried[i];
    return NULL;
}

static char digit(int bits)
{
    return bits ? (char)('0' + bits) : '-';
}

static int print_layer(const struct allotment *a, const struct bit_row *row, int node, struct text *t,
                       struct message *m)
{
    const struct node_costs *n = &a->nodes[node];
    TRY(text_add(t, m, "%-28s %c %c", a->fused->graph.nodes[node].name, digit(row->weights),
                 digit(row->activations)));
    if (n->weights > 0) {
        TRY(text_add(t, m, "  # KL of its weights at"));
        for (int bits = 2; bits < 8; bits++)
            if (!isnan(n->loss[LOSS_KL][bits]))
                TRY(text_add(t, m, " %d: %.2g", bits, n->loss[LOSS_KL][bits]));
    }
    return text_add(t, m, "\n");
}

int plan_print(const struct allotment *a, const struct bound *bound, const struct trials *trials,
               const struct bit_plan *plan, struct text *t, struct message *m)
{
    char text[64];
    const struct trial *x = chosen(trials);
    const struct graph *g = &a->fused->graph;
    double ms = plan_ms(a, plan);
    TRY(text_add(t, m, "# %s: %.3f bits a weight on average, %lld bytes", bound_text(bound, text),
                 plan_average(a, plan), (long long)(plan_bytes(a, plan) + a->bytes_beside)));
    if (bound->kind == BOUND_MS)
        TRY(text_add(t, m, ", %.4f ms", ms));
    if (x)
        TRY(text_add(t, m, ", %.2f points below the float network (%.2f to %.2f, p %.3g)", x->drop, x->drop_low,
                     x->drop_high, x->mcnemar_p));
    TRY(text_add(t, m, "\n# KL from the float network, by analyse's table: %.4g", plan_loss(a, plan, LOSS_KL)));
    if (x)
        TRY(text_add(t, m, ", measured: %.4g, on %lld held-out images", x->kl, (long long)trials->held.set.count));
    TRY(text_add(t, m, "\n# layer, bits of its weights, of what it gives\n"));
    for (int i = 0; i < g->count; i++)
        if (plan->rows[i].weights || plan->rows[i].activations)
            TRY(print_layer(a, &plan->rows[i], i, t, m));
    return 0;
}
