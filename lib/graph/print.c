#include "graph/op.h"
#include <string.h>

/* "OP INPUTS attributes". */
static int print_body(const struct graph *g, const struct node *n, struct text *t, struct message *m)
{
    const struct op *op = op_of(n);
    TRY(text_add(t, m, "%s", op->name));
    for (int k = 0; k < (op->more_inputs ? n->input_count : op->input_count); k++)
        TRY(text_add(t, m, " %s", node_input(g, n, k)->name));
    for (const struct attribute *a = op->attributes; a && a->name; a++)
        TRY(attribute_print(a, g, n, t, m));
    return 0;
}

static int print_lines(const struct graph *g, struct text *t, struct text *body, struct message *m)
{
    int name_width = 0, body_width = 0;
    for (int i = 0; i < g->count; i++) {
        int width = (int)strlen(g->nodes[i].name);
        text_clear(body);
        TRY(print_body(g, &g->nodes[i], body, m));
        name_width = width > name_width ? width : name_width;
        body_width = (int)body->length > body_width ? (int)body->length : body_width;
    }
    for (int i = 0; i < g->count; i++) {
        char type[64];
        text_clear(body);
        TRY(print_body(g, &g->nodes[i], body, m));
        node_describe(&g->nodes[i], type);
        TRY(text_add(t, m, "%-*s = %-*s  %s\n", name_width, g->nodes[i].name, body_width, body->data, type));
    }
    return 0;
}

int graph_print(const struct graph *g, struct text *t, struct message *m)
{
    struct text body = {0};
    int status = print_lines(g, t, &body, m);
    text_free(&body);
    return status;
}
