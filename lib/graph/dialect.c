#include "graph/dialect.h"
#include "graph/schema.h"
#include <stdio.h>
#include <string.h>

/* A beginning of a name with up to three numbers in it, as sscanf reads it, and what torchvision has instead, the
 * numbers being those plus `more`. */
struct rule {
    const char *names, *theirs, *ours;
    int numbers, more[3];
};

#define KUANGLIU "kuangliu's pytorch-cifar"
#define WEIAICUNZAI "weiaicunzai's pytorch-cifar100"
#define HUGGING_FACE "Hugging Face transformers'"

static const struct rule rules[] = {
    {KUANGLIU, "layer%d.%d.shortcut.%d.%n", "layer%d.%d.downsample.%d.", 3, {0, 0, 0}},
    {KUANGLIU, "linear.%n", "fc.", 0, {0}},
    {WEIAICUNZAI, "conv1.0.%n", "conv1.", 0, {0}},
    {WEIAICUNZAI, "conv1.1.%n", "bn1.", 0, {0}},
    {WEIAICUNZAI, "conv%d_x.%d.residual_function.0.%n", "layer%d.%d.conv1.", 2, {-1, 0}},
    {WEIAICUNZAI, "conv%d_x.%d.residual_function.1.%n", "layer%d.%d.bn1.", 2, {-1, 0}},
    {WEIAICUNZAI, "conv%d_x.%d.residual_function.3.%n", "layer%d.%d.conv2.", 2, {-1, 0}},
    {WEIAICUNZAI, "conv%d_x.%d.residual_function.4.%n", "layer%d.%d.bn2.", 2, {-1, 0}},
    {WEIAICUNZAI, "conv%d_x.%d.shortcut.%d.%n", "layer%d.%d.downsample.%d.", 3, {-1, 0, 0}},
    {HUGGING_FACE, "resnet.embedder.embedder.convolution.%n", "conv1.", 0, {0}},
    {HUGGING_FACE, "resnet.embedder.embedder.normalization.%n", "bn1.", 0, {0}},
    {HUGGING_FACE,
     "resnet.encoder.stages.%d.layers.%d.layer.%d.convolution.%n",
     "layer%d.%d.conv%d.",
     3,
     {1, 0, 1}},
    {HUGGING_FACE,
     "resnet.encoder.stages.%d.layers.%d.layer.%d.normalization.%n",
     "layer%d.%d.bn%d.",
     3,
     {1, 0, 1}},
    {HUGGING_FACE,
     "resnet.encoder.stages.%d.layers.%d.shortcut.convolution.%n",
     "layer%d.%d.downsample.0.",
     2,
     {1, 0}},
    {HUGGING_FACE,
     "resnet.encoder.stages.%d.layers.%d.shortcut.normalization.%n",
     "layer%d.%d.downsample.1.",
     2,
     {1, 0}},
    {HUGGING_FACE, "classifier.1.%n", "fc.", 0, {0}},
};

/* The length of the rule's part of the name, 0 where it is none. */
static int match(const struct rule *rule, const char *name, int n[3])
{
    int end = 0, *last[4] = {&n[0], &n[1], &n[2], &end};
    last[rule->numbers] = &end;
    sscanf(name, rule->theirs, last[0], last[1], last[2], last[3]);
    for (int k = 0; k < rule->numbers; k++)
        if (n[k] < 0 || n[k] > GRAPH_MAX_NODES)
            return 0;
    return end;
}

int dialect_translate(const char *name, char **out, const char **names, struct message *m)
{
    *out = NULL;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        int n[3] = {0}, length = match(&rules[i], name, n);
        char ours[64];
        if (length == 0)
            continue;
        snprintf(ours, sizeof ours, rules[i].ours, n[0] + rules[i].more[0], n[1] + rules[i].more[1],
                 n[2] + rules[i].more[2]);
        *out = memory_printf(m, "%s%s", ours, name + length);
        *names = rules[i].names;
        return *out ? 0 : STATUS_NOMEM;
    }
    return 0;
}

static int is_wanted(const struct graph *g, const char *tensor)
{
    struct tensor_spec specs[SCHEMA_MAX_TENSORS];
    for (int i = 0; i < g->count; i++) {
        int count = node_tensors(g, i, specs);
        for (int k = 0; k < count; k++) {
            char name[TENSOR_NAME_SIZE];
            tensor_name(name, &g->nodes[i], specs[k].suffix);
            if (strcmp(name, tensor) == 0)
                return 1;
        }
    }
    return 0;
}

/* The length of what a name begins with, up to the first point, without a number at its
 * end: "layer" of "layer4.0.bn1". */
static size_t part_length(const char *name)
{
    size_t length = strcspn(name, ".");
    while (length > 1 && name[length - 1] >= '0' && name[length - 1] <= '9')
        length--;
    return length;
}

/* Whether it stands in a part that the network has, or in one more of a kind that it has (layer5). */
static int is_inside(const struct graph *g, const char *tensor)
{
    size_t length = part_length(tensor);
    for (int i = 0; i < g->count; i++)
        if (part_length(g->nodes[i].name) == length && strncmp(g->nodes[i].name, tensor, length) == 0)
            return 1;
    return 0;
}

void state_dict_drop_extras(struct record *r, const struct graph *g, struct state_dict_notes *notes)
{
    for (size_t i = 0; i < r->tensor_count;) {
        const char *name = r->tensors[i].name;
        size_t used = strlen(notes->extra);
        if (is_inside(g, name) || is_wanted(g, name)) {
            i++;
            continue;
        }
        if (notes->extras++ < 3 && used + strlen(name) + 3 < sizeof notes->extra)
            snprintf(notes->extra + used, sizeof notes->extra - used, "%s%s", used ? ", " : "", name);
        record_remove(r, name);
    }
}
