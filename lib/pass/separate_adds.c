/* Sums that stay sums. */
#include "graph/op.h"
#include "pass/pass.h"

int pass_separate_adds(struct model *model, struct text *report, struct message *m)
{
    struct graph *g = &model->graph;
    for (int i = 0; i < g->count; i++) {
        struct node *n = &g->nodes[i];
        if (n->op == OP_CONV2D && n->input_count > 1)
            return message_set(m, STATUS_MISMATCH, "%s: adds '%s' already: begin with the float model", n->name,
                               node_input(g, n, 1)->name);
        if (n->op != OP_ADD || n->is_separate)
            continue;
        n->is_separate = 1;
        if (report)
            TRY(text_add(report, m, "%s: stays separate\n", n->name));
    }
    return graph_verify(g, m);
}
