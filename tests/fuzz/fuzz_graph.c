/* Any bytes as a graph's text: what parses prints, and what was printed parses to the same. Small networks are
 * given values and go through the passes, which must leave a sound model or say why not. */
#include "graph/model.h"
#include "pass/pass.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

enum { MOST_MACS = 1 << 16 };

static void require(int condition)
{
    if (!condition)
        abort();
}

static void require_reason(int status, const struct message *m)
{
    require(status == 0 || (status < 0 && m->text[0] && !strchr(m->text, '\n')));
}

static void passes_exercise(struct graph *g)
{
    struct message m = {{0}};
    struct model model;
    struct text report = {0};
    double macs = 0;
    for (int i = 0; i < g->count; i++)
        macs += node_macs(g, i) + (double)g->nodes[i].c;
    if (macs > MOST_MACS || graph_stage(g) == STAGE_INT8)
        return;
    require(model_initialise(&model, g, 1, &m) == 0);
    require(model_verify(&model, &m) == 0);
    int status = pass_fold_batchnorm(&model, &report, &m);
    require_reason(status, &m);
    if (status == 0)
        status = pass_fuse_epilogue(&model, &report, &m);
    require_reason(status, &m);
    if (status == 0)
        require(graph_stage(&model.graph) == STAGE_FUSED && model_store(&model, &m) == 0);
    text_free(&report);
    model_free(&model);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct message m = {{0}};
    struct graph g, again;
    struct text first = {0}, second = {0};
    char *text = malloc(count + 1);
    require(text != NULL);
    memcpy(text, bytes, count);
    text[count] = '\0';
    int status = graph_parse(&g, text, &m);
    free(text);
    require_reason(status, &m);
    if (status < 0)
        return 0;
    require(graph_print(&g, &first, &m) == 0);
    require(graph_parse(&again, first.data, &m) == 0);
    require(graph_print(&again, &second, &m) == 0);
    require(strcmp(first.data, second.data) == 0);
    passes_exercise(&again);
    text_free(&first);
    text_free(&second);
    graph_free(&g);
    graph_free(&again);
    return 0;
}
