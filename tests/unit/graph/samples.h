/* samples.h: what the graph, quant and pass tests share: cmocka, graphs that are awkward, small models. */
#ifndef TESTS_UNIT_GRAPH_SAMPLES_H
#define TESTS_UNIT_GRAPH_SAMPLES_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/random.h"
#include "graph/model.h"
#include "graph/resnet.h"

/* Fails the test with the library's reason. */
#define ASSERT_OK(call, message) assert_ok_at((call), &(message), #call, __FILE__, __LINE__)
#define ASSERT_FAILS(call, code, part, message) \
    assert_fails_at((call), code, part, &(message), #call, __FILE__, __LINE__)

static inline void assert_ok_at(int status, const struct message *m, const char *call, const char *file, int line)
{
    if (status >= 0)
        return;
    print_error("%s: %d: %s\n", call, status, m->text);
    _fail(file, line);
}

static inline void assert_fails_at(int status, int code, const char *part, const struct message *m,
                                   const char *call, const char *file, int line)
{
    if (status == code && strstr(m->text, part))
        return;
    print_error("%s: got %d '%s', want %d '%s'\n", call, status, status < 0 ? m->text : "", code, part);
    _fail(file, line);
}

/* Convolutions of every kind, with what stands between them in unusual places. */
static const char *const awkward_graphs[] = {
    /* no relu at all, no bias, a pool at once */
    "x = input u8[8,8,1]\nn = normalize x mean=0 std=1\np = avgpool n\nfc = linear p out=2\n",
    /* names with dots and capitals, comments, types left out, groups, strides, a kernel as large as its input */
    "# a comment\n\nX.0_y = input u8[5,7,4] # another\nN = normalize X.0_y mean=0.1,0,-3,1e-5 std=1,2,3,0.25\n"
    "a.b.c = conv2d N out=6 kernel=3 stride=2 pad=1 groups=2 bias\n\td = conv2d a.b.c out=1 kernel=3 \r\n"
    "e = batchnorm d eps=0.001\np = avgpool e\nfc = linear p out=1 bias",
    /* add of a value to itself, relu of it, a convolution used twice, a linear layer that is not the last */
    "x = input u8[6,6,3]\nn = normalize x mean=0,0,0 std=1,1,1\nc = conv2d n out=4 kernel=3 pad=1\n"
    "d = add c c\nr = relu d\ne = conv2d r out=4 kernel=1\nf = add e c\ng = relu f\np = avgpool g\n"
    "h = linear p out=5 bias\ni = relu h\nfc = linear i out=3\n",
    /* fused: residuals, and one whose residual comes later than its input */
    "x = input u8[6,6,3]\nn = normalize x mean=0,0,0 std=1,1,1\nc = conv2d n out=4 kernel=3 pad=1 bias relu\n"
    "s = conv2d n out=4 kernel=1 bias\nd = conv2d c out=4 kernel=3 pad=1 add=s relu bias\np = avgpool d\n"
    "fc = linear p out=3 bias\n",
    /* int8 with a float island */
    "x = input u8[6,6,3]\nn = normalize x mean=0,0,0 std=1,1,1\nn.q = quantize n\n"
    "c = conv2d n.q out=4 kernel=3 pad=1 bias\nr = relu c\nr.f = dequantize r\n"
    "d = conv2d r.f out=4 kernel=3 pad=1 bias add=r.f relu\nd.q = quantize d\np = avgpool d.q\nfc = linear p out=3 "
    "bias\n",
};
enum { AWKWARD_COUNT = sizeof awkward_graphs / sizeof awkward_graphs[0] };

/* A float ResNet-18 of this width with 10 classes and weights from seed; batch norms made to differ from 1 and 0.
 */
static inline struct model sample_resnet(int width, uint64_t seed)
{
    struct message m;
    struct graph g;
    struct model model;
    ASSERT_OK(resnet18_build(&g, width, 10, NULL, NULL, &m), m);
    ASSERT_OK(model_initialise(&model, &g, seed, &m), m);
    struct random_stream r = random_open(seed, RANDOM_TEST, 0, 0);
    for (int i = 0; i < model.graph.count; i++) {
        if (model.graph.nodes[i].op != OP_BATCHNORM)
            continue;
        float *mean = model_tensor(&model, i, "running_mean")->data,
              *variance = model_tensor(&model, i, "running_var")->data;
        float *gamma = model_tensor(&model, i, "weight")->data, *beta = model_tensor(&model, i, "bias")->data;
        for (int c = 0; c < model.graph.nodes[i].c; c++) {
            mean[c] = (float)(0.1 * random_normal(&r));
            beta[c] = (float)(0.1 * random_normal(&r));
            variance[c] = (float)(0.5 + random_uniform(&r));
            gamma[c] = (float)(0.5 + random_uniform(&r));
        }
    }
    return model;
}

/* A model for any float text, weights from seed; biases that begin as 0 made to differ from it. */
static inline struct model sample_model(const char *text, uint64_t seed)
{
    struct message m;
    struct graph g;
    struct model model;
    ASSERT_OK(graph_parse(&g, text, &m), m);
    ASSERT_OK(model_initialise(&model, &g, seed, &m), m);
    for (int i = 0; i < model.graph.count; i++) {
        struct tensor *t = model.graph.nodes[i].op == OP_CONV2D ? model_tensor(&model, i, "bias") : NULL;
        struct random_stream r = random_open(seed, RANDOM_TEST, 0, (uint64_t)i);
        for (size_t c = 0; t && c < t->count; c++)
            ((float *)t->data)[c] = (float)(0.2 * (2 * random_uniform(&r) - 1));
    }
    return model;
}

#endif
