/* half_trained.h: a narrow ResNet-18 after some dozens of steps on real images: activations, statistics and
 * gradients as training meets them - channels that hardly live, sums that cancel, gradients of very different sizes
 * -, which random numbers are not. */
#ifndef RESQ_TEST_HALF_TRAINED_H
#define RESQ_TEST_HALF_TRAINED_H

#include "common.h"
#include "data/dataset.h"
#include "exec/train/gradient.h"
#include "graph/model.h"
#include "graph/resnet.h"
#include "train/loss.h"
#include "train/optimizer.h"

enum {
    WIDTH = 8,
    IMAGES = 40, /* a block and a quarter */
    CLASSES = 10,
    BATCH = 32,
    STEPS = 80,
    SEEN = 800 /* different images */
};

static struct model half_trained;
static struct dataset pictures;
static const uint8_t *fresh_images;
static const uint16_t *fresh_labels; /* IMAGES it was not trained on */

static inline void train_some_steps(struct gradient *g, double *first, double *last)
{
    const struct slice *slices;
    struct optimizer o;
    float logits[BATCH * CLASSES], dlogits[BATCH * CLASSES];
    int count = gradient_slices(g, &slices);
    ASSERT_OK(optimizer_open(&o, &(struct optimizer_options){0.9, 5e-4, 1, 1, 1, 0, 0, 0}, slices, count,
                             gradient_parameter_count(g), &m));
    *first = *last = 0;
    for (int step = 0; step < STEPS; step++) {
        struct loss_sums sums = {0};
        size_t at = (size_t)(step * BATCH % SEEN);
        ASSERT_OK(gradient_forward(g, pictures.images + at * IMAGE_BYTES, BATCH, logits, &m));
        ASSERT_OK(loss_cross_entropy(logits, pictures.labels + at, BATCH, CLASSES, 0, dlogits, &sums, &m));
        ASSERT_OK(gradient_backward(g, dlogits, &m));
        optimizer_step(&o, gradient_parameters(g), gradient_gradients(g), 0.05);
        *(step < 10 ? first : last) += step < 10 || step >= STEPS - 10 ? loss_mean(&sums) / 10 : 0;
    }
    optimizer_close(&o);
}

/* Of the embedded archive's test images those that are used: to decode all takes longer than any of the tests. */
static inline void load_pictures(void)
{
    int64_t used[SEEN + IMAGES];
    for (int i = 0; i < SEEN + IMAGES; i++)
        used[i] = i;
    ASSERT_OK(
        dataset_open(&pictures, "pipelines/data/cifar10-jpeg-q75.tar.xz", "test", NULL, NULL, NULL, NULL, &m));
    ASSERT_OK(dataset_read(&pictures, used, SEEN + IMAGES, &m));
    fresh_images = pictures.images + SEEN * IMAGE_BYTES;
    fresh_labels = pictures.labels + SEEN;
}

/* Group setup: half_trained, pictures. */
static inline int half_trained_make(void **state)
{
    struct graph graph = {0};
    struct gradient *g;
    double first, last;
    (void)state;
    load_pictures();
    ASSERT_OK(resnet18_build(&graph, WIDTH, CLASSES, NULL, NULL, &m));
    ASSERT_OK(model_initialise(&half_trained, &graph, 1, &m));
    const struct gradient_options o = {
        .batch = BATCH, .threads = 2, .precision = "bf16"}; /* the fastest there is */
    ASSERT_OK(gradient_open(&g, &half_trained, &o, &m));
    train_some_steps(g, &first, &last);
    if (getenv("SHOW_DIFFERENCES"))
        print_message("loss went from %g to %g\n", first, last);
    if (!(last < first - 0.3 && last > 0.8)) {
        print_error("loss went from %g to %g: that is not half trained\n", first, last);
        return -1;
    }
    ASSERT_OK(gradient_store(g, NULL, NULL, &half_trained, &m));
    gradient_close(g);
    return 0;
}

static inline int half_trained_drop(void **state)
{
    (void)state;
    model_free(&half_trained);
    dataset_free(&pictures);
    return 0;
}

#endif
