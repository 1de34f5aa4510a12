/* plot_bits.c: plot's kinds that say what few bits cost. */
#include "tools/common/plot.h"

static int draw(struct plot_job *job, const char *title, const char *script,
                int (*add)(struct chart *c, const struct table *t, struct message *m), struct message *m)
{
    struct table table = {0};
    struct chart c = {0};
    int status = chart_open(&c, job->plots, job->format, m);
    if (status >= 0)
        status = chart_title(&c, job->title ? job->title : title, m);
    if (status >= 0)
        status = table_load(&table, job->inputs[0], m);
    if (status >= 0 && (status = add(&c, &table, m)) < 0)
        message_prefix(m, status, "%s", job->inputs[0]);
    if (status >= 0)
        status = chart_save(&c, script, job->output, job->format, m);
    chart_free(&c);
    table_free(&table);
    return status;
}

int plot_sensitivity(struct plot_job *job, struct message *m)
{
    return draw(job, "What few bits cost, layer by layer", "sensitivity.gp", chart_sensitivity, m);
}

int plot_frontier(struct plot_job *job, struct message *m)
{
    return draw(job, "What plans of bits cost", "frontier.gp", chart_frontier, m);
}
