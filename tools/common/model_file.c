#include "tools/common/model_file.h"
#include "exec/plan/bounds.h"
#include "graph/model.h"
#include "graph/resnet.h"
#include "quant/histogram.h"
#include "record/file.h"
#include "record/output.h"
#include "train/stages.h"
#include <string.h>

enum { GRAPH_MAX_BYTES = 4 << 20 };

static void warn(void *context, const char *line)
{
    const struct model_arguments *a = context;
    tool_warn(a->tool, "%s %s", a->path && !path_is_standard(a->path) ? a->path : "stdin", line);
}

int model_arguments_take(struct model_arguments *a, const struct tool *tool, int quiet)
{
    struct message m = {{0}};
    struct model_given *g = &a->given;
    *g = (struct model_given){.tell = quiet ? NULL : warn, .context = a};
    a->tool = tool;
    if (a->graph && (a->normalize || a->eps))
        return tool_misuse(tool, "--graph: brings its own normalisation and eps");
    if (a->normalize && normalize_parse(a->normalize, g->mean, g->std, &m) < 0)
        return tool_misuse(tool, "%s", m.text);
    double eps = 0;
    if (a->eps && parse_number(a->eps, 0, 1, "--eps", &eps, &m) < 0)
        return tool_misuse(tool, "%s", m.text);
    g->has_normalize = a->normalize != NULL;
    g->has_eps = a->eps != NULL;
    g->eps = (float)eps;
    if (a->graph && file_read(a->graph, GRAPH_MAX_BYTES, &a->text, &m) < 0)
        return tool_end(tool, STATUS_IO, &m);
    g->graph = a->graph ? a->text.data : NULL;
    g->graph_name = a->graph;
    return -1;
}

void model_arguments_hush(struct model_arguments *a, int quiet)
{
    a->given.tell = quiet ? NULL : a->given.tell;
}

int model_open(struct model *model, const char *path, struct model_arguments *a, struct message *m)
{
    a->path = path;
    return model_load_given(model, path, &a->given, m);
}

void model_arguments_free(struct model_arguments *a)
{
    text_free(&a->text);
}

static int model_take(struct model *model, struct file_summary *file, const struct model_given *given,
                      struct message *m)
{
    struct record *record = file->first;
    file->first = NULL;
    return model_from_record_given(model, record, given, m);
}

int file_graph(struct file_summary *file, const struct model_given *given, struct text *t, struct message *m)
{
    struct model model = {0};
    if (record_get(file->first, "graph") || record_require_kind(file->first, "model", NULL) < 0)
        return record_show_lines(file->first, "graph", t, m);
    int status = model_take(&model, file, given, m); /* a state_dict: the network is read off its shapes */
    if (status >= 0)
        status = graph_print(&model.graph, t, m);
    model_free(&model);
    return status;
}

int file_network(struct file_summary *file, const struct model_given *given, struct text *t, struct message *m)
{
    struct model model = {0};
    int width = 0, convolutions = 0, linears = 0;
    int status = model_take(&model, file, given, m);
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

int file_stages(struct file_summary *file, const struct model_given *given, struct text *t, struct message *m)
{
    struct model model = {0};
    int status = model_take(&model, file, given, m);
    if (status >= 0 && graph_stage(&model.graph) == STAGE_INT8)
        status = graph_require_stage(&model.graph, STAGE_FLOAT, m);
    if (status >= 0)
        status = stages_check(&model, t, m);
    model_free(&model);
    return status;
}

int file_bounds(struct file_summary *file, struct text *t, struct message *m)
{
    struct model model = {0};
    int status = model_take(&model, file, NULL, m);
    if (status >= 0)
        status = winograd_bounds_print(&model, t, m);
    model_free(&model);
    return status;
}

int file_fits(struct file_summary *file, const struct model_given *given, struct message *m)
{
    struct model model = {0};
    struct ranges ranges = {0};
    int status = STATUS_OK;
    if (strcmp(record_kind(file->first), "ranges") == 0)
        status = ranges_from_record(&ranges, file->first, m);
    else if (strcmp(record_kind(file->first), "model") == 0)
        status = model_take(&model, file, given, m);
    model_free(&model);
    ranges_free(&ranges);
    return status;
}
