#include "graph/import.h"
#include "graph/convert.h"
#include "graph/resnet.h"
#include "graph/schema.h"
#include "record/describe.h"
#include "record/digest.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- names ---- */

/* torch.nn.DataParallel, torch.compile, Lightning, what people call their network's member, and a checkpoint's. */
static const char *const wrappers[] = {"module.",   "_orig_mod.",  "model.",           "net.",
                                       "backbone.", "state_dict.", "model_state_dict."};

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

/* Whether a given graph (NULL: none) has the node that a tensor belongs to: then its name is right as it is. */
static int is_of_graph(const struct graph *g, const char *tensor)
{
    char node[NODE_NAME_SIZE];
    const char *dot = strrchr(tensor, '.');
    if (!g || !dot || (size_t)(dot - tensor) >= sizeof node)
        return 0;
    memcpy(node, tensor, (size_t)(dot - tensor));
    node[dot - tensor] = '\0';
    return graph_find(g, node) >= 0;
}

static size_t wrapper_length(const char *name)
{
    for (size_t k = 0; k < sizeof wrappers / sizeof wrappers[0]; k++)
        if (strncmp(name, wrappers[k], strlen(wrappers[k])) == 0)
            return strlen(wrappers[k]);
    return 0;
}

/* What every tensor's name begins with, its dot included, or 0. */
static size_t common_length(const struct record *r, const struct graph *g)
{
    const char *first = r->tensor_count > 1 ? r->tensors[0].name : "";
    const char *dot = strchr(first, '.');
    size_t length = dot ? (size_t)(dot - first) + 1 : 0;
    for (size_t i = 0; i < r->tensor_count && length > 0; i++)
        if (strncmp(r->tensors[i].name, first, length) != 0 || strchr(r->tensors[i].name + length, '.') == NULL ||
            is_of_graph(g, r->tensors[i].name))
            length = 0;
    return length;
}

static int unwrap_all(struct record *r, const struct graph *g, struct message *m)
{
    for (size_t i = 0; i < r->tensor_count; i++) {
        struct tensor *t = &r->tensors[i];
        size_t length = 0, more;
        while (!is_of_graph(g, t->name + length) && (more = wrapper_length(t->name + length)) > 0)
            length += more;
        if (length > 0)
            TRY(rename_tensor(r, t, memory_strdup(t->name + length, m), m));
    }
    for (size_t length; (length = common_length(r, g)) > 0;)
        for (size_t i = 0; i < r->tensor_count; i++)
            TRY(rename_tensor(r, &r->tensors[i], memory_strdup(r->tensors[i].name + length, m), m));
    return 0;
}

/* Others' names to torchvision's, but not where the given graph has them. */
static int translate_all(struct record *r, const struct graph *g, struct state_dict_notes *notes, struct message *m)
{
    for (size_t i = 0; i < r->tensor_count; i++) {
        struct tensor *t = &r->tensors[i];
        char *name;
        if (is_of_graph(g, t->name))
            continue;
        TRY(dialect_translate(t->name, &name, &notes->names, m));
        if (name)
            TRY(rename_tensor(r, t, name, m));
    }
    return 0;
}

/* How many models torch.optim.swa_utils.AveragedModel has averaged: no weight of any. */
static void remove_averaging(struct record *r)
{
    static const char name[] = "n_averaged";
    for (size_t i = r->tensor_count; i-- > 0;) {
        const char *own = r->tensors[i].name, *dot = strrchr(own, '.');
        if (strcmp(dot ? dot + 1 : own, name) == 0)
            record_remove(r, own);
    }
}

/* ---- types ---- */

static int convert_all(struct record *r, struct message *m)
{
    for (size_t i = 0; i < r->tensor_count; i++) {
        const struct tensor *t = &r->tensors[i];
        const char *dot = strrchr(t->name, '.');
        int is_float = t->dtype == DTYPE_F16 || t->dtype == DTYPE_BF16 || t->dtype == DTYPE_F64;
        if (dot && strcmp(dot, ".num_batches_tracked") == 0) {
            double count = t->count == 1 ? tensor_value(t, 0) : -1;
            if (count >= 0 && count < 0x1p53 && (t->dtype != DTYPE_I64 || t->rank > 0))
                TRY(tensor_convert(r, i, DTYPE_I64, 0, m));
        } else if (is_float) {
            TRY(tensor_convert(r, i, DTYPE_F32, t->rank, m));
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

/* ---- the network ---- */

static int build_resnet(struct graph *g, const struct record *r, const char *look, const struct model_given *given,
                        struct message *m)
{
    const struct tensor *stem = record_find(r, "conv1.weight"), *head = record_find(r, "fc.weight");
    char got[192];
    if (look[0])
        return message_set(m, STATUS_MISMATCH,
                           "looks like %s; without a graph, a ResNet-18 state_dict in torchvision's or kuangliu's "
                           "names is expected: --graph FILE brings another network as text",
                           look);
    if (!stem || !head)
        return message_set(m, STATUS_MISMATCH,
                           "%s: missing tensor; without a graph, a ResNet-18 state_dict is expected (--graph FILE "
                           "brings another network)",
                           stem ? "fc.weight" : "conv1.weight");
    tensor_describe(stem, got);
    if (stem->rank == 4 && stem->shape[2] == 7 && stem->shape[3] == 7)
        return message_set(
            m, STATUS_MISMATCH,
            "conv1.weight: got %s, want F32[%lld,3,3,3]: torchvision's stock model has the 7x7 stem for "
            "ImageNet, this network the 3x3 stem for small images",
            got, (long long)stem->shape[0]);
    if (stem->rank != 4 || stem->shape[0] < 1 || stem->shape[0] > 512)
        return message_set(m, STATUS_MISMATCH, "conv1.weight: got %s, want F32[width,3,3,3], width 1..512", got);
    const int image[3] = {32, 32, stem->shape[1] == 1 ? 1 : 3};
    tensor_describe(head, got);
    if (head->rank != 2 || head->shape[0] < 2 || head->shape[0] > 65535)
        return message_set(m, STATUS_MISMATCH, "fc.weight: got %s, want F32[classes,%lld], classes 2..65535", got,
                           8 * (long long)stem->shape[0]);
    const float *mean = given && given->has_normalize ? given->mean : NULL;
    TRY(resnet18_build_for(g, image, (int)stem->shape[0], (int)head->shape[0], mean, mean ? given->std : NULL, m));
    for (int i = 0; i < g->count && given && given->has_eps; i++)
        g->nodes[i].eps = given->eps;
    return 0;
}

void state_dict_warn(const struct graph *g, const struct model_given *given, const struct state_dict_notes *notes)
{
    char line[512], numbers[6][32];
    const struct node *norm = &g->nodes[1];
    if (given && given->tell && notes->extras > 0) {
        snprintf(line, sizeof line, "has %d tensor%s beside the network, left out: %s%s", notes->extras,
                 notes->extras == 1 ? "" : "s", notes->extra, notes->extras > 3 ? ", .." : "");
        given->tell(given->context, line);
    }
    if (!given || !given->tell || given->graph)
        return;
    for (int c = 0; c < 3; c++) {
        format_number_f32(numbers[c], norm->mean[c]);
        format_number_f32(numbers[3 + c], norm->std[c]);
    }
    int used = snprintf(line, sizeof line,
                        "has no graph: taken as ResNet-18%s%s%s with a 3x3 stem of stride 1, no max-pool",
                        notes->names ? " in " : "", notes->names ? notes->names : "", notes->names ? " names" : "");
    if (!given->has_normalize && norm->c == 1)
        used +=
            snprintf(line + used, sizeof line - (size_t)used,
                     ", grey images normalized by mean %s and deviation %s (CIFAR-10's)", numbers[0], numbers[3]);
    if (!given->has_normalize && norm->c == 3)
        used += snprintf(line + used, sizeof line - (size_t)used,
                         ", images normalized by mean %s,%s,%s and deviation %s,%s,%s (CIFAR-10's)", numbers[0],
                         numbers[1], numbers[2], numbers[3], numbers[4], numbers[5]);
    if (!given->has_eps)
        used += snprintf(line + used, sizeof line - (size_t)used, ", batch norm's eps 1e-05");
    snprintf(line + used, sizeof line - (size_t)used,
             "; if it was trained otherwise, its numbers are wrong: %s%s--graph",
             given->has_normalize ? "" : "--normalize, ", given->has_eps ? "" : "--eps, ");
    given->tell(given->context, line);
}

static int import(struct record *r, struct graph *g, const struct model_given *given,
                  struct state_dict_notes *notes, struct message *m)
{
    const struct graph *known = g->count > 0 ? g : NULL;
    char look[160];
    remove_averaging(r);
    TRY(unwrap_all(r, known, m));
    TRY(translate_all(r, known, notes, m));
    state_dict_look(r, notes->names, look);
    TRY(convert_all(r, m));
    if (!known)
        TRY(build_resnet(g, r, look, given, m));
    state_dict_drop_extras(r, g, notes);
    return add_counters(r, g, m);
}

int state_dict_import(struct record *r, struct graph *g, const struct model_given *given,
                      struct state_dict_notes *notes, struct message *m)
{
    *g = (struct graph){0};
    *notes = (struct state_dict_notes){0};
    if (given && given->graph) {
        int status = graph_parse(g, given->graph, m);
        if (status < 0)
            return message_prefix(m, status, "%s", given->graph_name);
    }
    int status = import(r, g, given, notes, m);
    if (status < 0)
        graph_free(g);
    return status;
}

/* ---- what was given ---- */

void model_given_lineage(const struct model_given *given, struct lineage *l)
{
    char hex[DIGEST_HEX], n[6][32];
    for (int c = 0; c < 3; c++) {
        format_number_f32(n[c], given->mean[c]);
        format_number_f32(n[3 + c], given->std[c]);
    }
    if (given->has_normalize)
        lineage_add(l, "normalize", "%s,%s,%s:%s,%s,%s", n[0], n[1], n[2], n[3], n[4], n[5]);
    if (given->has_eps) {
        format_number_f32(n[0], given->eps);
        lineage_add(l, "eps", "%s", n[0]);
    }
    if (given->graph) {
        digest_bytes(given->graph, strlen(given->graph), hex);
        lineage_add(l, "graph-file", "sha256:%s", hex);
    }
}

/* One or three numbers up to `end`; returns what follows them, or NULL. *most: the larger of it and their count. */
static const char *parse_channels(const char *text, char end, double low, float out[3], int *most)
{
    struct message unused;
    const char *stop = end ? strchr(text, end) : text + strlen(text);
    int count = 0;
    for (const char *p = text; stop && p <= stop; count++) {
        char word[64];
        double value;
        size_t size = strcspn(p, end ? ",:" : ",");
        if (count == 3 || size >= sizeof word)
            return NULL;
        memcpy(word, p, size);
        word[size] = '\0';
        if (parse_number(word, low, NORMALIZE_MAX, "value", &value, &unused) < 0)
            return NULL;
        out[count] = (float)value;
        p += size + 1;
    }
    if (count == 1)
        out[1] = out[2] = out[0];
    *most = count > *most ? count : *most;
    return count == 1 || count == 3 ? stop + (end != '\0') : NULL;
}

int normalize_parse(const char *text, float mean[3], float std[3], struct message *m)
{
    int channels = 1;
    const char *rest = parse_channels(text, ':', -NORMALIZE_MAX, mean, &channels);
    if (rest && parse_channels(rest, '\0', STD_MIN, std, &channels))
        return channels;
    return message_set(m, STATUS_RANGE,
                       "--normalize: '%s' is not mean,mean,mean:deviation,deviation,deviation, nor mean:deviation",
                       text);
}
