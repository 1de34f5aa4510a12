#include "graph/resnet.h"
#include <stdio.h>
#include <string.h>

enum { MOST_CLASSES = 65535 };

/* A graph under construction; a failure sticks, so that the network below reads as a network. */
struct builder {
    struct graph *g;
    struct message *m;
    int status;
    char prefix[NODE_NAME_SIZE / 2]; /* "layer1.0." */
};

static int append(struct builder *b, enum graph_op op, const char *name, int x, int y)
{
    char full[NODE_NAME_SIZE];
    if (b->status < 0)
        return 0;
    snprintf(full, sizeof full, "%s%s", b->prefix, name);
    int i = graph_append(b->g, op, full, x, y, b->m);
    if (i < 0)
        b->status = i;
    return i < 0 ? 0 : i;
}

/* A convolution without bias and its batch norm. */
static int conv_norm(struct builder *b, const char *conv, const char *norm, int x, int out, int kernel, int stride)
{
    int i = append(b, OP_CONV2D, conv, x, -1);
    if (b->status == 0) {
        struct node *n = &b->g->nodes[i];
        n->out = out;
        n->kernel = kernel;
        n->stride = stride;
        n->pad = kernel / 2;
    }
    return append(b, OP_BATCHNORM, norm, i, -1);
}

/* relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut). The shortcut stands first, so that x can be given up early. */
static int basic_block(struct builder *b, int x, int in, int out, int stride)
{
    int shortcut = x;
    if (stride != 1 || in != out)
        shortcut = conv_norm(b, "downsample.0", "downsample.1", x, out, 1, stride);
    int y = conv_norm(b, "conv1", "bn1", x, out, 3, stride);
    y = append(b, OP_RELU, "relu1", y, -1);
    y = conv_norm(b, "conv2", "bn2", y, out, 3, 1);
    y = append(b, OP_ADD, "add", y, shortcut);
    return append(b, OP_RELU, "relu2", y, -1);
}

static int stem(struct builder *b, const int image[3], int width, const float *mean, const float *std)
{
    static const float cifar_mean[3] = {0.4914f, 0.4822f, 0.4465f}, cifar_std[3] = {0.2470f, 0.2435f, 0.2616f};
    static const float grey_mean[1] = {0.4809f}, grey_std[1] = {0.2392f};
    size_t bytes = (size_t)image[2] * sizeof(float);
    int x = append(b, OP_INPUT, "x", -1, -1);
    int norm = append(b, OP_NORMALIZE, "norm", x, -1);
    if (b->status < 0)
        return 0;
    b->g->nodes[x].h = image[0];
    b->g->nodes[x].w = image[1];
    b->g->nodes[x].c = image[2];
    memcpy(b->g->nodes[norm].mean, mean ? mean : image[2] == 1 ? grey_mean : cifar_mean, bytes);
    memcpy(b->g->nodes[norm].std, std ? std : image[2] == 1 ? grey_std : cifar_std, bytes);
    int y = conv_norm(b, "conv1", "bn1", norm, width, 3, 1);
    return append(b, OP_RELU, "relu", y, -1);
}

static int build(struct graph *g, const int image[3], int width, int classes, const float *mean, const float *std,
                 struct message *m)
{
    struct builder b = {.g = g, .m = m};
    int in = width, y = stem(&b, image, width, mean, std);
    for (int layer = 1; layer <= 4; layer++) {
        int out = width << (layer - 1);
        for (int block = 0; block < 2; block++) {
            snprintf(b.prefix, sizeof b.prefix, "layer%d.%d.", layer, block);
            y = basic_block(&b, y, in, out, layer > 1 && block == 0 ? 2 : 1);
            in = out;
        }
    }
    b.prefix[0] = '\0';
    y = append(&b, OP_AVGPOOL, "avgpool", y, -1);
    y = append(&b, OP_LINEAR, "fc", y, -1);
    TRY(b.status);
    g->nodes[y].out = classes;
    g->nodes[y].has_bias = 1;
    return graph_verify(g, m);
}

int resnet18_build_for(struct graph *g, const int image[3], int width, int classes, const float *mean,
                       const float *std, struct message *m)
{
    *g = (struct graph){0};
    if (image[2] != 1 && image[2] != 3)
        return message_set(m, STATUS_RANGE, "images of %d channels, want 1 or 3", image[2]);
    if (width < 1 || width > 512)
        return message_set(m, STATUS_RANGE, "width %d is not in 1..512", width);
    if (classes < 2 || classes > MOST_CLASSES)
        return message_set(m, STATUS_RANGE, "%d classes, want 2..%d", classes, MOST_CLASSES);
    int status = build(g, image, width, classes, mean, std, m);
    if (status < 0)
        graph_free(g);
    return status;
}

int resnet18_build(struct graph *g, int width, int classes, const float *mean, const float *std, struct message *m)
{
    static const int cifar[3] = {32, 32, 3};
    return resnet18_build_for(g, cifar, width, classes, mean, std, m);
}

/* The next node from i on that has weights; count where there is none. */
static int next_layer(const struct graph *g, int i)
{
    while (i < g->count && g->nodes[i].op != OP_CONV2D && g->nodes[i].op != OP_LINEAR)
        i++;
    return i;
}

static int is_same_layer(const struct node *a, const struct node *b)
{
    return strcmp(a->name, b->name) == 0 && a->op == b->op && a->out == b->out && a->kernel == b->kernel &&
           a->stride == b->stride && a->pad == b->pad && a->groups == b->groups;
}

static int has_layers_of(const struct graph *g, const struct graph *of)
{
    int i = next_layer(g, 0), k = next_layer(of, 0);
    while (i < g->count && k < of->count && is_same_layer(&g->nodes[i], &of->nodes[k])) {
        i = next_layer(g, i + 1);
        k = next_layer(of, k + 1);
    }
    return i == g->count && k == of->count;
}

/* Sums of two branches, fused into a convolution or not. */
static int residual_count(const struct graph *g)
{
    int count = 0;
    for (int i = 0; i < g->count; i++)
        count += g->nodes[i].op == OP_ADD || (g->nodes[i].op == OP_CONV2D && g->nodes[i].input_count == 2);
    return count;
}

int resnet18_width(const struct graph *g, int *width, struct message *m)
{
    struct graph resnet = {0};
    int first = next_layer(g, 0), classes = g->count ? g->nodes[g->count - 1].c : 0;
    *width = 0;
    if (first == g->count || g->nodes[first].out < 1 || g->nodes[first].out > 512 || classes < 2 ||
        classes > MOST_CLASSES)
        return 0;
    int status = resnet18_build(&resnet, g->nodes[first].out, classes, NULL, NULL, m);
    if (status >= 0 && has_layers_of(g, &resnet) && residual_count(g) == residual_count(&resnet))
        *width = g->nodes[first].out;
    graph_free(&resnet);
    return status;
}
