#include "exec/infer/measure.h"
#include "base/memory.h"
#include "base/progress.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEASURE_TURN 0.05 /* seconds that a case runs before the next one does */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double percentile(const double *sorted, int count, double share)
{
    int rank = (int)ceil(share * count);
    return sorted[rank < 1 ? 0 : rank - 1];
}

struct timing timing_of(double *samples, int count)
{
    qsort(samples, (size_t)count, sizeof *samples, ascending);
    double median = count % 2 ? samples[count / 2] : (samples[count / 2 - 1] + samples[count / 2]) / 2;
    return (struct timing){median, samples[0], percentile(samples, count, 0.95), percentile(samples, count, 0.99)};
}

/* What a case needs while it is measured. */
struct bench {
    float *want, *got; /* logits */
    size_t bytes;
    double *samples;       /* [MEASURE_MOST] */
    double *layer_samples; /* [layers][MEASURE_LAYER_CALLS] */
};

static void bench_close(struct bench *b)
{
    memory_free(b->want);
    memory_free(b->got);
    memory_free(b->samples);
    memory_free(b->layer_samples);
}

static int bench_open(struct bench *b, struct measure_case *c, int layers, struct message *m)
{
    size_t count = (size_t)c->batch * (size_t)exec_classes(c->exec), steps = (size_t)exec_layer_count(c->exec);
    b->bytes = count * sizeof(float);
    b->want = memory_new(count, sizeof(float), m);
    b->got = memory_new(count, sizeof(float), m);
    b->samples = memory_new(MEASURE_MOST, sizeof(double), m);
    if (!b->want || !b->got || !b->samples)
        return STATUS_NOMEM;
    if (layers) {
        b->layer_samples = memory_new(steps * MEASURE_LAYER_CALLS, sizeof(double), m);
        c->layers = memory_new(steps, sizeof *c->layers, m);
        c->others = memory_new(steps, sizeof *c->others, m);
        if (!b->layer_samples || !c->layers || !c->others)
            return STATUS_NOMEM;
    }
    for (int i = 0; i < 2; i++)
        TRY(exec_run(c->exec, c->images, c->batch, b->want, m));
    return 0;
}

/* One checked call; the time it took in *seconds. */
static int bench_call(struct bench *b, struct measure_case *c, double *seconds, struct message *m)
{
    memset(b->got, 0xff, b->bytes); /* no logits of ours: NaN */
    double start = clock_seconds();
    TRY(exec_run(c->exec, c->images, c->batch, b->got, m));
    *seconds = clock_seconds() - start;
    if (exec_device_seconds(c->exec) > 0)
        *seconds = exec_device_seconds(c->exec);
    if (memcmp(b->got, b->want, b->bytes) != 0)
        return message_set(m, STATUS_MISMATCH, "%s: logits differ from those of the untimed call", c->name);
    return 0;
}

/* Calls of one case for that long. The first finds the caches as the case before left them: it counts only where it
 * fills the turn, all but alone. */
static int take_turn(struct bench *b, struct measure_case *c, double turn, struct message *m)
{
    double seconds, end = clock_seconds() + turn;
    TRY(bench_call(b, c, &seconds, m));
    if (seconds > turn / 2 && c->samples < MEASURE_MOST)
        b->samples[c->samples++] = seconds;
    while (c->samples < MEASURE_MOST && clock_seconds() < end) {
        TRY(bench_call(b, c, &seconds, m));
        b->samples[c->samples++] = seconds;
    }
    return 0;
}

static int least_samples(const struct measure_case *cases, int count)
{
    int least = MEASURE_MOST;
    for (int i = 0; i < count; i++)
        least = cases[i].samples < least ? cases[i].samples : least;
    return least;
}

static int time_calls(struct bench *b, struct measure_case *cases, int count, double seconds, struct message *m)
{
    double end = clock_seconds() + seconds * count, turn = fmin(seconds, MEASURE_TURN);
    for (int i = 0; i < count; i++)
        cases[i].samples = 0;
    int least = 0;
    while (least < MEASURE_LEAST || (least < MEASURE_MOST && clock_seconds() < end)) {
        for (int i = 0; i < count; i++)
            TRY(take_turn(&b[i], &cases[i], turn, m));
        least = least_samples(cases, count);
    }
    for (int i = 0; i < count; i++)
        cases[i].call = timing_of(b[i].samples, cases[i].samples);
    return 0;
}

static int time_layers(struct bench *b, struct measure_case *c, double seconds, struct message *m)
{
    double unused, end = clock_seconds() + seconds;
    int layers = exec_layer_count(c->exec), calls = 0;
    for (; calls < MEASURE_LAYER_CALLS && (calls < MEASURE_LEAST || clock_seconds() < end); calls++) {
        exec_profile(c->exec, 1);
        TRY(bench_call(b, c, &unused, m));
        for (int i = 0; i < layers; i++)
            b->layer_samples[i * MEASURE_LAYER_CALLS + calls] = exec_layer_at(c->exec, i).seconds;
    }
    exec_profile(c->exec, 0);
    for (int i = 0; i < layers; i++)
        c->layers[i] = timing_of(b->layer_samples + i * MEASURE_LAYER_CALLS, calls);
    c->layer_samples = calls;
    for (int i = 0; i < layers; i++)
        TRY(exec_compare_layer(c->exec, i, c->batch, &c->others[i], m));
    return 0;
}

static void take_peaks(struct measure_case *cases, int count)
{
    for (int i = 0; i < count; i++) {
        int known = 0;
        while (known < i && cases[known].exec != cases[i].exec)
            known++;
        cases[i].peak = known < i ? cases[known].peak : fmax(cases[i].peak, exec_peak(cases[i].exec));
    }
}

int measure_run(struct measure_case *cases, int count, const struct measure_options *options, struct message *m)
{
    struct bench *benches = memory_new((size_t)count, sizeof *benches, m);
    int status = benches ? 0 : STATUS_NOMEM;
    for (int i = 0; i < count && status >= 0; i++)
        status = bench_open(&benches[i], &cases[i], options->layers, m);
    if (status >= 0) {
        take_peaks(cases, count);
        status = time_calls(benches, cases, count, options->seconds, m);
        take_peaks(cases, count);
    }
    for (int i = 0; i < count && options->layers && status >= 0; i++)
        status = time_layers(&benches[i], &cases[i], options->seconds, m);
    for (int i = 0; i < count && benches; i++)
        bench_close(&benches[i]);
    memory_free(benches);
    return status;
}

void measure_free(struct measure_case *cases, int count)
{
    for (int i = 0; i < count; i++) {
        memory_free(cases[i].layers);
        memory_free(cases[i].others);
        cases[i].layers = NULL;
        cases[i].others = NULL;
    }
}

size_t exec_held_bytes(const struct exec *e)
{
    size_t bytes = exec_arena_bytes(e);
    for (int i = 0; i < exec_layer_count(e); i++)
        bytes += exec_layer_at(e, i).bytes;
    return bytes;
}

const char *exec_main_algorithm(const struct exec *e)
{
    struct exec_layer largest = exec_layer_at(e, 0);
    for (int i = 1; i < exec_layer_count(e); i++)
        if (exec_layer_at(e, i).macs > largest.macs)
            largest = exec_layer_at(e, i);
    return largest.algorithm;
}

void machine_name(char *out, size_t size)
{
    char line[512];
    FILE *f = fopen("/proc/cpuinfo", "r");
    snprintf(out, size, "unknown");
    while (f && fgets(line, sizeof line, f)) {
        const char *value = strchr(line, ':');
        if (value && strncmp(line, "model name", strlen("model name")) == 0) {
            value += strspn(value, ": \t");
            snprintf(out, size, "%.*s", (int)strcspn(value, "\n"), value);
            break;
        }
    }
    if (f)
        fclose(f);
}
