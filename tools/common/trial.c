#include "tools/common/trial.h"
#include "base/memory.h"
#include "ptq/analyse.h"
#include "report/metrics.h"
#include "report/metrics_table.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static int run(struct trials *t, const struct model *model, struct message *m)
{
    const struct exec_options how = {.threads = t->threads};
    struct loss_sums sums;
    return held_out_evaluate(&t->held, model, &how, &sums, m);
}

static int right(const struct trials *t, const float *logits, int64_t i)
{
    int classes = t->held.set.class_count;
    return argmax(logits + i * classes, classes) == t->held.set.labels[i];
}

int trials_open(struct trials *t, const char *path, const struct record *stream, struct message *m)
{
    TRY(held_out_open(&t->held, path, stream, t->f->model.record, m));
    size_t values = (size_t)t->held.set.count * (size_t)t->held.set.class_count;
    int64_t correct = 0;
    t->wanted = memory_new_raw(values, sizeof *t->wanted, m);
    if (!t->wanted)
        return STATUS_NOMEM;
    TRY(run(t, &t->f->model, m));
    memcpy(t->wanted, t->held.logits, values * sizeof *t->wanted);
    for (int64_t i = 0; i < t->held.set.count; i++)
        correct += right(t, t->wanted, i);
    t->accuracy = 100 * (double)correct / (double)t->held.set.count;
    return 0;
}

/* The float network beside the model whose logits are in t->held. */
static void compare(const struct trials *t, struct trial *x)
{
    int64_t n = t->held.set.count, lost = 0, won = 0;
    int classes = t->held.set.class_count;
    for (int64_t i = 0; i < n; i++) {
        int before = right(t, t->wanted, i), now = right(t, t->held.logits, i);
        lost += before && !now;
        won += now && !before;
        x->kl += analyse_divergence(t->wanted + i * classes, t->held.logits + i * classes, classes) / (double)n;
    }
    const struct interval w = paired_interval(won, lost, n);
    x->drop = 100 * (double)(lost - won) / (double)n;
    x->drop_low = 100 * w.low;
    x->drop_high = 100 * w.high;
    x->accuracy = t->accuracy - x->drop;
    x->mcnemar_p = mcnemar_exact(lost, won);
}

static int make(const struct trials *t, const struct bit_plan *plan, struct model *out, struct message *m)
{
    struct lower_options how = t->how;
    struct match_options match = t->match;
    how.plan = plan;
    if (!bit_plan_is_low(plan))
        match.mode = MATCH_OFF;
    TRY(model_copy(out, &t->f->model, m));
    TRY(pass_lower_int8(out, &t->f->ranges, &how, NULL, m));
    return ptq_match(out, &t->f->model, &match, m);
}

static int try_plan(struct trials *t, struct trial *x, struct message *m)
{
    struct model model = {0};
    int status = make(t, &x->plan, &model, m);
    if (status >= 0)
        status = run(t, &model, m);
    if (status >= 0) {
        x->bytes = tensors_bytes(&model);
        compare(t, x);
    }
    model_free(&model);
    return status;
}

static int find(const struct trials *t, const struct bit_plan *plan)
{
    for (int i = 0; i < t->count; i++)
        if (memcmp(t->tried[i].plan.rows, plan->rows, (size_t)plan->nodes * sizeof *plan->rows) == 0)
            return i;
    return -1;
}

int trials_add(struct trials *t, const char *kind, const char *name, struct bit_plan *plan, struct message *m)
{
    int at = find(t, plan);
    if (at >= 0 || t->count == TRIALS_MOST) {
        bit_plan_free(plan);
        return at >= 0 ? at : message_set(m, STATUS_RANGE, "more than %d plans to try", TRIALS_MOST);
    }
    struct trial *x = &t->tried[t->count];
    *x = (struct trial){.kind = kind,
                        .plan = *plan,
                        .average = plan_average(t->a, plan),
                        .kl_expected = plan_loss(t->a, plan, LOSS_KL)};
    if (name)
        snprintf(x->name, sizeof x->name, "%s", name);
    else
        snprintf(x->name, sizeof x->name, "%.2f bits", x->average);
    *plan = (struct bit_plan){0};
    t->count++;
    TRY(try_plan(t, x, m));
    return t->count - 1;
}

static int stands_before(const struct trial *a, const struct trial *b)
{
    int first = strcmp(a->kind, "uniform") == 0, second = strcmp(b->kind, "uniform") == 0;
    return first != second ? first : a->bytes < b->bytes;
}

int trials_table(const struct trials *t, struct table *table, struct message *m)
{
    int order[TRIALS_MOST];
    for (int i = 0; i < t->count; i++) {
        int k = i;
        for (; k > 0 && stands_before(&t->tried[i], &t->tried[order[k - 1]]); k--)
            order[k] = order[k - 1];
        order[k] = i;
    }
    TRY(table_columns(table, "kind name bits bytes kl_expected kl accuracy drop drop_low drop_high mcnemar_p", m));
    for (int i = 0; i < t->count; i++) {
        const struct trial *x = &t->tried[order[i]];
        TRY(table_rowf(table, m, "%s\t%s\t%.4f\t%lld\t%.6g\t%.6g\t%.4f\t%.4f\t%.4f\t%.4f\t%.6g", x->kind, x->name,
                       x->average, (long long)x->bytes, x->kl_expected, x->kl, x->accuracy, x->drop, x->drop_low,
                       x->drop_high, x->mcnemar_p));
    }
    return 0;
}

int trials_save(const struct trials *t, const char *path, struct message *m)
{
    struct table table = {0};
    char accuracy[32], images[32];
    snprintf(accuracy, sizeof accuracy, "%.4f", t->accuracy);
    snprintf(images, sizeof images, "%lld", (long long)t->held.set.count);
    const char *const said[][2] = {
        {"images", images}, {"model-digest", t->f->digest}, {"float-accuracy", accuracy}};
    int status = table_note(&table, "tool", "allot " RESQ_VERSION, m);
    if (status >= 0)
        status = table_note_data(&table, t->held.set.first, m);
    for (size_t i = 0; i < sizeof said / sizeof said[0] && status >= 0; i++)
        status = table_note(&table, said[i][0], said[i][1], m);
    if (status >= 0)
        status = trials_table(t, &table, m);
    if (status >= 0)
        status = table_save(&table, path, m);
    table_free(&table);
    return status;
}

void trials_close(struct trials *t)
{
    for (int i = 0; i < t->count; i++)
        bit_plan_free(&t->tried[i].plan);
    held_out_close(&t->held);
    memory_free(t->wanted);
    t->count = 0;
    t->wanted = NULL;
}
