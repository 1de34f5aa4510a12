/* The tensors of a model by node. */
#include "graph/model.h"
#include "graph/schema.h"

struct tensor *model_tensor(const struct model *model, int node, const char *suffix)
{
    char name[TENSOR_NAME_SIZE];
    tensor_name(name, &model->graph.nodes[node], suffix);
    return record_find(model->record, name);
}

int model_parameters(const struct model *model, struct tensor **tensors)
{
    int found = 0;
    for (int i = 0; i < model->graph.count; i++) {
        struct tensor_spec specs[SCHEMA_MAX_TENSORS];
        int count = node_tensors(&model->graph, i, specs);
        for (int k = 0; k < count; k++) {
            struct tensor *t = specs[k].is_parameter ? model_tensor(model, i, specs[k].suffix) : NULL;
            if (t && tensors)
                tensors[found] = t;
            found += t != NULL;
        }
    }
    return found;
}

int64_t model_parameter_elements(const struct model *model)
{
    int64_t elements = 0;
    for (int i = 0; i < model->graph.count; i++) {
        struct tensor_spec specs[SCHEMA_MAX_TENSORS];
        int count = node_tensors(&model->graph, i, specs);
        for (int k = 0; k < count; k++) {
            const struct tensor *t = specs[k].is_parameter ? model_tensor(model, i, specs[k].suffix) : NULL;
            elements += t ? (int64_t)t->count : 0;
        }
    }
    return elements;
}
