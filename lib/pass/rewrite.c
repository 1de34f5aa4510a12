#include "pass/rewrite.h"
#include <string.h>

void graph_remove(struct graph *g, int i, int instead)
{
    for (int j = i + 1; j < g->count; j++) {
        for (int k = 0; k < g->nodes[j].input_count; k++) {
            int *input = &g->nodes[j].inputs[k];
            *input = *input == i ? instead : *input > i ? *input - 1 : *input;
        }
    }
    memmove(&g->nodes[i], &g->nodes[i + 1], (size_t)(g->count - i - 1) * sizeof *g->nodes);
    g->count--;
}
