#include "tools/common/sensitivity.h"
#include <math.h>
#include <stdio.h>

static void decibels(char out[32], double value)
{
    if (isnan(value))
        snprintf(out, 32, "-");
    else if (isinf(value))
        snprintf(out, 32, "inf");
    else
        snprintf(out, 32, "%.2f", value);
}

int sensitivity_to_table(struct table *t, const struct analysis *a, const struct model *fused, int64_t images,
                         struct message *m)
{
    TRY(table_columns(t, "layer what bits kl logit_error sqnr sqnr_accumulated accuracy agreement bytes", m));
    for (int i = 0; i < a->count; i++) {
        const struct analyse_row *r = &a->rows[i];
        char alone[32], accumulated[32];
        decibels(alone, r->sqnr);
        decibels(accumulated, r->sqnr_accumulated);
        TRY(table_rowf(t, m, "%s\t%s\t%d\t%.8g\t%.8g\t%s\t%s\t%.4f\t%.4f\t%lld", fused->graph.nodes[r->node].name,
                       r->is_weights ? "weights" : "activations", r->bits, r->kl, r->logit_error, alone,
                       accumulated, 100 * (double)r->correct / (double)images,
                       100 * (double)r->agreed / (double)images, (long long)r->bytes));
    }
    return 0;
}
