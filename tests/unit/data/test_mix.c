/* Images of several: bytes and shares against the public code of the papers, the draws, and that nothing depends on
 * batches or threads. */
#include "sets.h"
#include "base/memory.h"
#include "data/mix.h"
#include "record/record.h"
#include <math.h>

static struct record *fixture;
static const struct image_shape shape = {24, 40, 3};

static int fixture_load(void **state)
{
    (void)state;
    return record_load(&fixture, "tests/reference/mix.safetensors", &m);
}

static int fixture_free(void **state)
{
    (void)state;
    record_free(fixture);
    return 0;
}

static const struct tensor *tensor_of(const char *name, const char *part)
{
    char key[64];
    snprintf(key, sizeof key, "%s.%s", name, part);
    const struct tensor *t = record_find(fixture, key);
    if (!t)
        fail_msg("no %s", key);
    return t;
}

/* ---- against tests/reference/mix.py ---- */

static void check(const char *name, enum mix_kind kind, void (*cut)(const double *p, struct mixture *x))
{
    const struct tensor *parameters = tensor_of(name, "parameters"), *images = tensor_of(name, "images"),
                        *share = tensor_of(name, "share");
    const struct mix_options o = {.kind = kind, .strength = 1};
    const size_t bytes = image_shape_bytes(shape);
    const uint8_t *input = record_find(fixture, "images")->data;
    uint8_t *out = malloc(bytes);
    for (int64_t p = 0; p < parameters->shape[0]; p++) {
        struct mixture x = {0};
        const uint8_t *sources[MIX_MOST];
        for (int k = 0; k < MIX_MOST; k++)
            sources[k] = input + (size_t)((p + k) % 4) * bytes;
        cut((const double *)parameters->data + p * parameters->shape[1], &x);
        mixture_make(&o, shape, &x, sources, out);
        assert_int_equal(x.count - 1, share->shape[1]);
        for (int k = 1; k < x.count; k++) {
            double want = ((const double *)share->data)[p * share->shape[1] + k - 1];
            if (fabs((double)x.share[k] - want) > 1e-7)
                fail_msg("%s: row %d: share %d is %g, want %g", name, (int)p, k, (double)x.share[k], want);
        }
        if (memcmp(out, (const uint8_t *)images->data + (size_t)p * bytes, bytes) != 0)
            fail_msg("%s: row %d: other bytes", name, (int)p);
    }
    free(out);
}

static void cut_cutmix(const double *p, struct mixture *x)
{
    cutmix_cut(shape, p[0], (int)p[1], (int)p[2], x);
}

static void cut_mixup(const double *p, struct mixture *x)
{
    mixup_cut(p[0], x);
}

static void cut_ricap(const double *p, struct mixture *x)
{
    ricap_cut(shape, p[0], p[1], x);
    for (int k = 0; k < 4; k++) {
        int size[2];
        ricap_piece(shape, x->point, k, size);
        x->from[k][0] = (int)(p[2 + 2 * k] * (shape.width - size[0] + 1));
        x->from[k][1] = (int)(p[3 + 2 * k] * (shape.height - size[1] + 1));
    }
}

static void test_cutmix(void **state)
{
    (void)state;
    check("cutmix", MIX_CUTMIX, cut_cutmix);
}

static void test_mixup(void **state)
{
    (void)state;
    check("mixup", MIX_MIXUP, cut_mixup);
}

static void test_ricap(void **state)
{
    (void)state;
    check("ricap", MIX_RICAP, cut_ricap);
}

/* The share of draws below each decile, within four standard deviations; and numbers for a shape at which gamma
 * variates are all 0. */
static void test_beta(void **state)
{
    (void)state;
    enum { DRAWS = 20000 };
    static const double shapes[] = {0.3, 1, 4};
    for (int s = 0; s < 3; s++) {
        char part[16];
        int below[9] = {0};
        snprintf(part, sizeof part, "%g", shapes[s]);
        const double *deciles = tensor_of("beta", part)->data;
        for (int i = 0; i < DRAWS; i++) {
            struct random_stream r = random_open(1, RANDOM_TEST, (uint32_t)s, (uint64_t)i);
            double x = random_beta(&r, shapes[s]);
            for (int k = 0; k < 9; k++)
                below[k] += x < deciles[k];
        }
        for (int k = 0; k < 9; k++) {
            double p = (k + 1) / 10.0, off = below[k] - p * DRAWS;
            if (fabs(off) > 4 * sqrt(DRAWS * p * (1 - p)))
                fail_msg("Beta(%g,%g): %d of %d below the decile %d", shapes[s], shapes[s], below[k], DRAWS, k + 1);
        }
    }
    for (int i = 0; i < 100; i++) {
        struct random_stream r = random_open(1, RANDOM_TEST, 9, (uint64_t)i);
        double x = random_beta(&r, 1e-6);
        assert_true(x >= 0 && x <= 1);
    }
}

/* ---- what is drawn ---- */

static void test_probability_and_partners(void **state)
{
    (void)state;
    const struct mix_options half = {MIX_CUTMIX, 0.5, 1};
    int mixed = 0, farthest = 0, itself = 0;
    double area = 0;
    for (int i = 0; i < 4000; i++) {
        struct mixture x;
        mixture_draw(&half, shape, 0, (uint64_t)i, 1000, &x);
        mixed += x.share[1] > 0;
        area += (double)x.share[1];
        farthest = x.back[1] > farthest ? x.back[1] : farthest;
        itself += x.back[1] == 0;
        mixture_draw(&half, shape, 0, (uint64_t)i, i % 5, &x);
        for (int k = 0; k < MIX_MOST; k++)
            assert_true(x.back[k] >= 0 && x.back[k] <= i % 5);
    }
    assert_true(mixed > 1700 && mixed < 2050);              /* half, but for boxes that are clipped away */
    assert_true(area / mixed > 0.25 && area / mixed < 0.4); /* 1/2, less what is clipped */
    assert_int_equal(farthest, MIX_WINDOW - 1);
    assert_true(itself > 10 && itself < 60);
}

/* ---- a stream ---- */

enum { IMAGES = 300, EPOCHS = 2 };

static void image_fill(uint8_t *image, int epoch, int i)
{
    for (size_t k = 0; k < IMAGE_BYTES; k++)
        image[k] = (uint8_t)(k * 7 + (size_t)i * 31 + (size_t)epoch * 3);
}

/* Both epochs, cut into batches of `cut`, into images [EPOCHS][IMAGES], labels2 and share [EPOCHS][IMAGES][3]. */
static void mix_all(const struct mix_options *o, int cut, int threads, uint8_t *images, int *labels2, float *share)
{
    struct mixer x = {.options = *o};
    struct threads *pool = NULL;
    ASSERT_OK(threads_open(&pool, threads, &m));
    for (int epoch = 0; epoch < EPOCHS; epoch++)
        for (int at = 0; at < IMAGES; at += cut) {
            struct batch b;
            int count = IMAGES - at < cut ? IMAGES - at : cut;
            ASSERT_OK(batch_new(&b, IMAGE_CIFAR, 10, count, &m));
            b.epoch = epoch;
            b.position = at;
            for (int i = 0; i < count; i++) {
                b.indices[i] = (at + i) * 7;
                batch_label_set(&b, i, (at + i) % 10);
                image_fill(b.images + (size_t)i * IMAGE_BYTES, epoch, at + i);
            }
            ASSERT_OK(mixer_batch(&x, pool, &b, &m));
            size_t first = (size_t)(epoch * IMAGES + at);
            memcpy(images + first * IMAGE_BYTES, b.images, (size_t)count * IMAGE_BYTES);
            for (int i = 0; i < count; i++)
                for (int k = 0; k < b.mixed; k++) {
                    labels2[(first + (size_t)i) * 3 + (size_t)k] = batch_label2(&b, i, k);
                    share[(first + (size_t)i) * 3 + (size_t)k] = b.share[i * b.mixed + k];
                }
            batch_free(&b);
        }
    threads_close(pool);
    mixer_close(&x);
}

struct mixed_stream {
    uint8_t *images;
    int *labels2;
    float *share;
};

static struct mixed_stream stream_of(const struct mix_options *o, int cut, int threads)
{
    size_t all = (size_t)EPOCHS * IMAGES;
    struct mixed_stream s = {calloc(all, IMAGE_BYTES), calloc(all * 3, sizeof(int)),
                             calloc(all * 3, sizeof(float))};
    mix_all(o, cut, threads, s.images, s.labels2, s.share);
    return s;
}

static void stream_free(struct mixed_stream *s)
{
    free(s->images), free(s->labels2), free(s->share);
}

static void test_any_cut_and_threads(void **state)
{
    (void)state;
    const struct mix_options kinds[] = {{MIX_CUTMIX, 0.7, 3}, {MIX_MIXUP, 0.5, 3}, {MIX_RICAP, 0.3, 3}};
    size_t all = (size_t)EPOCHS * IMAGES;
    for (int i = 0; i < 3; i++) {
        struct mixed_stream want = stream_of(&kinds[i], IMAGES, 1);
        const int cuts[] = {1, 7, 64, 130}, threads[] = {1, 3, 2, 1};
        for (int c = 0; c < 4; c++) {
            struct mixed_stream got = stream_of(&kinds[i], cuts[c], threads[c]);
            assert_memory_equal(got.images, want.images, all * IMAGE_BYTES);
            assert_memory_equal(got.labels2, want.labels2, all * 3 * sizeof(int));
            assert_memory_equal(got.share, want.share, all * 3 * sizeof(float));
            stream_free(&got);
        }
        stream_free(&want);
    }
}

/* Every image is what its draw says of the images as they came in: its own epoch's, and the labels theirs. */
static void test_partners_are_of_the_epoch(void **state)
{
    (void)state;
    const struct mix_options o = {MIX_RICAP, 0.3, 3};
    struct mixed_stream s = stream_of(&o, 64, 2);
    for (int epoch = 0; epoch < EPOCHS; epoch++)
        for (int i = 0; i < IMAGES; i++) {
            struct mixture x;
            static uint8_t of[MIX_MOST][IMAGE_BYTES], want[IMAGE_BYTES];
            const uint8_t *sources[MIX_MOST];
            size_t at = (size_t)(epoch * IMAGES + i);
            mixture_draw(&o, IMAGE_CIFAR, (uint32_t)epoch, (uint64_t)i * 7, i, &x);
            for (int k = 0; k < MIX_MOST; k++) {
                image_fill(of[k], epoch, i - x.back[k]);
                sources[k] = of[k];
                if (k > 0)
                    assert_int_equal(s.labels2[at * 3 + (size_t)k - 1], (i - x.back[k]) % 10);
            }
            mixture_make(&o, IMAGE_CIFAR, &x, sources, want);
            assert_memory_equal(s.images + at * IMAGE_BYTES, want, IMAGE_BYTES);
        }
    stream_free(&s);
}

static void test_mixed_once(void **state)
{
    (void)state;
    struct mixer x = {.options = {MIX_MIXUP, 1, 1}};
    struct batch b;
    ASSERT_OK(batch_new(&b, IMAGE_CIFAR, 300, 3, &m));
    batch_label_set(&b, 2, 299);
    ASSERT_OK(mixer_batch(&x, NULL, &b, &m));
    assert_int_equal(record_find(b.record, "labels2")->dtype, DTYPE_U16);
    ASSERT_FAILS(mixer_batch(&x, NULL, &b, &m), STATUS_MISMATCH, "labels2: the images are mixed already");
    batch_free(&b);
    mixer_close(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cutmix),
        cmocka_unit_test(test_mixup),
        cmocka_unit_test(test_ricap),
        cmocka_unit_test(test_beta),
        cmocka_unit_test(test_probability_and_partners),
        cmocka_unit_test(test_any_cut_and_threads),
        cmocka_unit_test(test_partners_are_of_the_epoch),
        cmocka_unit_test(test_mixed_once),
    };
    return cmocka_run_group_tests(tests, fixture_load, fixture_free);
}
