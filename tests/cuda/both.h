/* both.h: every operation twice, on the device under test (RESQ_CUDA names its library) and on the host's, which is
 * plain C over kernel/ref; then the results are compared. */
#ifndef RESQ_TESTS_CUDA_BOTH_H
#define RESQ_TESTS_CUDA_BOTH_H

#include "base/memory.h"
#include "base/random.h"
#include "kernel/contract/device.h"
#include "kernel/device/host/host.h"
#include "kernel/contract/number.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum side_name { OURS, HOST, SIDES };

static struct side {
    const struct device_backend *b;
    struct device *d;
} sides[SIDES];

static struct message reason;

static inline void ok(int status)
{
    if (status < 0)
        fail_msg("%s", reason.text);
}

/* CALL for both sides: B and D are the backend and the device, AT(x) is a `both`'s memory there. */
#define ON_BOTH(CALL)                                \
    for (int s = 0; s < SIDES; s++) {                \
        const struct device_backend *B = sides[s].b; \
        struct device *D = sides[s].d;               \
        struct message *M = &reason;                 \
        (void)B, (void)D, (void)M;                   \
        ok(CALL);                                    \
    }
#define AT(x) ((x).at[s])

/* A tensor on both sides. */
struct both {
    void *at[SIDES];
    enum device_type type;
    size_t count;
};

static inline size_t bytes_of(enum device_type type)
{
    return type == DEVICE_F32 || type == DEVICE_S32 ? 4 : type == DEVICE_F16 || type == DEVICE_BF16 ? 2 : 1;
}

static inline struct both both_raw(enum device_type type, size_t count, const void *values)
{
    struct both x = {{NULL, NULL}, type, count};
    size_t bytes = count * bytes_of(type);
    ON_BOTH(B->allocate(D, bytes ? bytes : 1, &AT(x), M));
    ON_BOTH(values ? B->copy_in(D, QUEUE_COMPUTE, AT(x), values, bytes, M) : 0);
    ON_BOTH(B->synchronize(D, M));
    return x;
}

/* For results: every bit set, so that what nobody writes shows. */
static inline struct both both_new(enum device_type type, size_t count)
{
    void *poison = malloc(count * bytes_of(type) + 1);
    memset(poison, 0xff, count * bytes_of(type));
    struct both x = both_raw(type, count, poison);
    free(poison);
    return x;
}

static inline void both_free(struct both *x)
{
    for (int s = 0; s < SIDES; s++)
        sides[s].b->release(sides[s].d, x->at[s]);
}

static inline void narrow_to(enum device_type type, float v, void *to, size_t i)
{
    if (type == DEVICE_F16)
        ((struct half16 *)to)[i] = half_round(v);
    else if (type == DEVICE_BF16)
        ((struct brain16 *)to)[i] = brain_round(v);
    else
        ((float *)to)[i] = v;
}

static inline float widened(enum device_type type, const void *from, size_t i)
{
    return type == DEVICE_F16    ? half_widen(((const struct half16 *)from)[i])
           : type == DEVICE_BF16 ? brain_widen(((const struct brain16 *)from)[i])
                                 : ((const float *)from)[i];
}

/* Floats given in f32, rounded to the type. */
static inline struct both both_floats(enum device_type type, size_t count, const float *values)
{
    void *narrowed = malloc(count * 4 + 1);
    for (size_t i = 0; i < count; i++)
        narrow_to(type, values[i], narrowed, i);
    struct both x = both_raw(type, count, narrowed);
    free(narrowed);
    return x;
}

static inline uint64_t mixed(uint64_t seed, uint64_t i)
{
    uint64_t h = (seed * 0x9e3779b97f4a7c15u) ^ (i + 1) * 0xbf58476d1ce4e5b9u;
    h ^= h >> 31, h *= 0x94d049bb133111ebu;
    return h ^ h >> 29;
}

/* Floats in [-size, size). */
static inline struct both both_random(enum device_type type, size_t count, uint64_t seed, float size)
{
    float *values = malloc(count * 4 + 1);
    for (size_t i = 0; i < count; i++)
        values[i] = ((float)(mixed(seed, i) >> 40) * 0x1p-23f - 1) * size;
    struct both x = both_floats(type, count, values);
    free(values);
    return x;
}

/* Whole numbers from `low` to `high`. */
static inline struct both both_integers(enum device_type type, size_t count, uint64_t seed, int low, int high)
{
    unsigned char *values = malloc(count * bytes_of(type) + 1);
    for (size_t i = 0; i < count; i++) {
        int v = low + (int)(mixed(seed, i) % (uint64_t)(high - low + 1));
        if (type == DEVICE_S32)
            memcpy(values + 4 * i, &v, sizeof v);
        else
            values[i] = (unsigned char)v;
    }
    struct both x = both_raw(type, count, values);
    free(values);
    return x;
}

static inline void *both_get(const struct both *x, int side)
{
    size_t bytes = x->count * bytes_of(x->type);
    void *to = malloc(bytes + 1);
    ok(sides[side].b->copy_out(sides[side].d, QUEUE_COMPUTE, to, x->at[side], bytes, &reason));
    ok(sides[side].b->synchronize(sides[side].d, &reason));
    return to;
}

/* The same bits; one NaN is as good as another. */
static inline void both_equal(const struct both *x, const char *what)
{
    unsigned char *ours = both_get(x, OURS), *host = both_get(x, HOST);
    size_t size = bytes_of(x->type);
    int floats = x->type == DEVICE_F32 || x->type == DEVICE_F16 || x->type == DEVICE_BF16;
    for (size_t i = 0; i < x->count; i++)
        if (memcmp(ours + i * size, host + i * size, size) != 0 &&
            !(floats && isnan(widened(x->type, ours, i)) && isnan(widened(x->type, host, i)))) {
            if (floats)
                fail_msg("%s: value %zu of %zu: %a, want %a", what, i, x->count, (double)widened(x->type, ours, i),
                         (double)widened(x->type, host, i));
            fail_msg("%s: value %zu of %zu: first byte %d, want %d", what, i, x->count, ours[i * size],
                     host[i * size]);
        }
    free(ours), free(host);
}

/* Apart by at most `share` of the largest magnitude, and a step of the type. */
static inline void both_close(const struct both *x, double share, const char *what)
{
    void *ours = both_get(x, OURS), *host = both_get(x, HOST);
    double largest = 0, step = x->type == DEVICE_F16 ? 0x1p-10 : x->type == DEVICE_BF16 ? 0x1p-7 : 0x1p-22;
    for (size_t i = 0; i < x->count; i++)
        largest = fmax(largest, fabs((double)widened(x->type, host, i)));
    for (size_t i = 0; i < x->count; i++) {
        double a = (double)widened(x->type, ours, i), b = (double)widened(x->type, host, i);
        if (!(fabs(a - b) <= share * largest + step * fabs(b)))
            fail_msg("%s: value %zu of %zu: %.9g, want %.9g (of at most %.9g)", what, i, x->count, a, b, largest);
    }
    free(ours), free(host);
}

static inline int sides_open_with(struct device_options options)
{
    sides[HOST].b = host_backend();
    if (device_backend_open("cuda", &sides[OURS].b, &reason) < 0 ||
        sides[OURS].b->open(&options, &sides[OURS].d, &reason) < 0 ||
        sides[HOST].b->open(&options, &sides[HOST].d, &reason) < 0) {
        fprintf(stderr, "%s\n", reason.text);
        return -1;
    }
    return 0;
}

/* cmocka's group set-up and end. */
static inline int sides_open(void **state)
{
    (void)state;
    return sides_open_with((struct device_options){0});
}

static inline int sides_close(void **state)
{
    (void)state;
    for (int s = 0; s < SIDES; s++)
        sides[s].b->close(sides[s].d);
    return 0;
}

static const enum device_type float_types[] = {DEVICE_F32, DEVICE_F16, DEVICE_BF16};
static const char *const float_names[] = {"f32", "f16", "bf16"};

#endif
