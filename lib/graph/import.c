#include "graph/import.h"
#include "graph/resnet.h"
#include "graph/schema.h"
#include <string.h>

/* The other popular naming of this network's parts (kuangliu/pytorch-cifar), and what torchvision calls them. */
static const struct {
    const char *theirs, *ours;
} aliases[] = {{".shortcut.0.", ".downsample.0."}, {".shortcut.1.", ".downsample.1."}};

static int rename_tensor(struct record *r, struct tensor *t, char *name, struct message *m)
{
    if (!name)
        return STATUS_NOMEM;
    struct tensor *other = record_find(r, name);
    if (other && other != t) {
        int status = message_set(m, STATUS_MISMATCH, "%s: stands beside '%s', which means the same", t->name, name);
        memory_free(name);
        return status;
    }
    memory_free(t->name);
    t->name = name;
    return 0;
}

static int rename_all(struct record *r, struct message *m)
{
    for (size_t i = 0; i < r->tensor_count; i++) {
        struct tensor *t = &r->tensors[i];
        if (strncmp(t->name, "module.", 7) == 0)
            TRY(rename_tensor(r, t, memory_strdup(t->name + 7, m), m));
        if (strncmp(t->name, "linear.", 7) == 0)
            TRY(rename_tensor(r, t, memory_printf(m, "fc.%s", t->name + 7), m));
        for (size_t k = 0; k < sizeof aliases / sizeof aliases[0]; k++) {
            const char *at = strstr(t->name, aliases[k].theirs);
            if (at)
                TRY(rename_tensor(r, t,
                                  memory_printf(m, "%.*s%s%s", (int)(at - t->name), t->name, aliases[k].ours,
                                                at + strlen(aliases[k].theirs)),
                                  m));
        }
    }
    return 0;
}

/* Files from before PyTorch 0.4.1 have no batch counters; nothing but training reads them. */
static int add_counters(struct record *r, const struct graph *g, struct message *m)
{
    for (int i = 0; i < g->count; i++) {
        char name[TENSOR_NAME_SIZE];
        tensor_name(name, &g->nodes[i], "num_batches_tracked");
        if (g->nodes[i].op == OP_BATCHNORM && !record_find(r, name))
            TRY(record_add(r, name, DTYPE_I64, 0, NULL, NULL, m));
    }
    return 0;
}

int state_dict_import(struct record *r, struct graph *g, struct message *m)
{
    TRY(rename_all(r, m));
    const struct tensor *stem = record_find(r, "conv1.weight"), *head = record_find(r, "fc.weight");
    if (!stem || !head)
        return message_set(m, STATUS_MISMATCH,
                           "%s: missing tensor; without a graph, a ResNet-18 state_dict is expected",
                           stem ? "fc.weight" : "conv1.weight");
    char got[192];
    tensor_describe(stem, got);
    if (stem->rank == 4 && stem->shape[2] == 7 && stem->shape[3] == 7)
        return message_set(
            m, STATUS_MISMATCH,
            "conv1.weight: got %s, want F32[%lld,3,3,3]: torchvision's stock model has the 7x7 stem for "
            "ImageNet, this network the 3x3 stem for 32x32 images",
            got, (long long)stem->shape[0]);
    if (stem->rank != 4 || stem->shape[0] < 1 || stem->shape[0] > 512)
        return message_set(m, STATUS_MISMATCH, "conv1.weight: got %s, want F32[width,3,3,3], width 1..512", got);
    tensor_describe(head, got);
    if (head->rank != 2 || head->shape[0] < 2 || head->shape[0] > 1000)
        return message_set(m, STATUS_MISMATCH, "fc.weight: got %s, want F32[classes,%lld], classes 2..1000", got,
                           8 * (long long)stem->shape[0]);
    TRY(resnet18_build(g, (int)stem->shape[0], (int)head->shape[0], NULL, NULL, m));
    return add_counters(r, g, m);
}
