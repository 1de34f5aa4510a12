/* By the names of its tensors, what network a state_dict seems to hold: for the message that refuses it. */
#include "graph/import.h"
#include <stdio.h>
#include <string.h>

enum { LAYERS = 4 };

struct look {
    int blocks[LAYERS + 1]; /* layer1.. */
    int is_bottleneck;      /* three convolutions a block */
};

static int has_part(const struct record *r, const char *part)
{
    for (size_t i = 0; i < r->tensor_count; i++)
        if (strstr(r->tensors[i].name, part))
            return 1;
    return 0;
}

static struct look look_at(const struct record *r)
{
    struct look l = {0};
    for (size_t i = 0; i < r->tensor_count; i++) {
        int layer, block, end = 0;
        const char *name = r->tensors[i].name;
        if (sscanf(name, "layer%1d.%3d.%n", &layer, &block, &end) != 2 || end == 0 || layer < 1 || layer > LAYERS ||
            block < 0)
            continue;
        if (block + 1 > l.blocks[layer])
            l.blocks[layer] = block + 1;
        l.is_bottleneck |= strcmp(name + end, "conv3.weight") == 0;
    }
    return l;
}

/* The depth by which a ResNet with so many blocks is known, or 0. */
static int depth_of(const struct look *l)
{
    static const struct {
        int blocks[LAYERS], is_bottleneck, depth;
    } known[] = {{{1, 1, 1, 1}, 0, 10}, {{2, 2, 2, 2}, 0, 18},   {{3, 4, 6, 3}, 0, 34},   {{2, 2, 2, 2}, 1, 26},
                 {{3, 4, 6, 3}, 1, 50}, {{3, 4, 23, 3}, 1, 101}, {{3, 8, 36, 3}, 1, 152}, {{3, 3, 3, 0}, 0, 20},
                 {{5, 5, 5, 0}, 0, 32}, {{7, 7, 7, 0}, 0, 44},   {{9, 9, 9, 0}, 0, 56},   {{18, 18, 18, 0}, 0, 110},
                 {{2, 2, 2, 0}, 0, 14}, {{1, 1, 1, 0}, 0, 8}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (memcmp(known[i].blocks, l->blocks + 1, sizeof known[i].blocks) == 0 &&
            known[i].is_bottleneck == l->is_bottleneck)
            return known[i].depth;
    return 0;
}

/* Only where it is not ResNet-18 under names that are taken. */
void state_dict_look(const struct record *r, const char *names, char out[160])
{
    enum { SIZE = 160 };
    static const struct {
        const char *part, *is;
    } others[] = {{"embedder.embedder.", "a ResNet of Hugging Face's transformers without its head"},
                  {"denseblock", "a DenseNet"},
                  {"blocks.0.attn.", "a vision transformer"},
                  {"encoder.layers.encoder_layer_0", "torchvision's vision transformer"},
                  {"features.0.0.", "a MobileNet or EfficientNet of torchvision's"},
                  {"features.0.", "a VGG or AlexNet"},
                  {"lora_A", "a network with LoRA matrices beside its weights"}};
    out[0] = '\0';
    struct look l = look_at(r);
    int depth = depth_of(&l);
    names = names ? names : "torchvision's";
    if (l.blocks[1] > 0 && depth > 0 && depth != 18)
        snprintf(out, SIZE, "ResNet-%d in %s names", depth, names);
    else if (l.blocks[1] > 0 && depth == 0)
        snprintf(out, SIZE, "a ResNet of %d, %d, %d and %d %sblocks in %s names", l.blocks[1], l.blocks[2],
                 l.blocks[3], l.blocks[4], l.is_bottleneck ? "bottleneck " : "", names);
    for (size_t i = 0; i < sizeof others / sizeof others[0] && l.blocks[1] == 0 && !out[0]; i++)
        if (has_part(r, others[i].part))
            snprintf(out, SIZE, "%s", others[i].is);
}
