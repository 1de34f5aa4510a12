#include "tools/common/model_file.h"
#include "exec/plan/bounds.h"
#include "graph/model.h"
#include "graph/resnet.h"
#include "quant/histogram.h"
#include <string.h>

static int model_take(struct model *model, struct file_summary *file, struct message *m)
{
    struct record *record = file->first;
    file->first = NULL;
    return model_from_record(model, record, m);
}

int file_graph(struct file_summary *file, struct text *t, struct message *m)
{
    struct model model = {0};
    if (record_get(file->first, "graph") || record_require_kind(file->first, "model", NULL) < 0)
        return record_show_lines(file->first, "graph", t, m);
    int status = model_take(&model, file, m); /* a state_dict: the network is read off its shapes */
    if (status >= 0)
        status = graph_print(&model.graph, t, m);
    model_free(&model);
    return status;
}

int file_network(struct file_summary *file, struct text *t, struct message *m)
{
    struct model model = {0};
    int width = 0, convolutions = 0, linears = 0;
    int status = model_take(&model, file, m);
    if (status >= 0)
        status = resnet18_width(&model.graph, &width, m);
    for (int i = 0; i < model.graph.count; i++) {
        convolutions += model.graph.nodes[i].op == OP_CONV2D;
        linears += model.graph.nodes[i].op == OP_LINEAR;
    }
    if (status >= 0 && width > 0)
        status = text_add(t, m, "ResNet-18, width %d\n", width);
    else if (status >= 0)
        status = text_add(t, m, "a network of %d convolution%s and %d linear layer%s\n", convolutions,
                          convolutions == 1 ? "" : "s", linears, linears == 1 ? "" : "s");
    model_free(&model);
    return status;
}

int file_bounds(struct file_summary *file, struct text *t, struct message *m)
{
    struct model model = {0};
    int status = model_take(&model, file, m);
    if (status >= 0)
        status = winograd_bounds_print(&model, t, m);
    model_free(&model);
    return status;
}

int file_fits(struct file_summary *file, struct message *m)
{
    struct model model = {0};
    struct ranges ranges = {0};
    int status = STATUS_OK;
    if (strcmp(record_kind(file->first), "ranges") == 0)
        status = ranges_from_record(&ranges, file->first, m);
    else if (strcmp(record_kind(file->first), "model") == 0)
        status = model_take(&model, file, m);
    model_free(&model);
    ranges_free(&ranges);
    return status;
}
