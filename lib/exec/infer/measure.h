/* measure.h: how long models take, several of them in one run: the cases take turns, so that a machine that slows
 * down or speeds up does so for all of them. A turn is 50 ms of calls, of which the first does not count unless it
 * is half of that itself: what is measured is a program that runs one model, not the caches between two of them.
 * Every call is checked: its logits must be those of a call before the clock ran. */
#ifndef RESQ_EXEC_INFER_MEASURE_H
#define RESQ_EXEC_INFER_MEASURE_H

#include "exec/infer/exec.h"

/* Seconds. p95, p99: the smallest value that at least that share of the samples does not exceed. */
struct timing {
    double median, min, p95, p99;
};

/* Sorts the samples; count >= 1. */
struct timing timing_of(double *samples, int count);

struct measure_case {
    struct exec *exec;     /* the caller's; several cases may share one */
    const uint8_t *images; /* `batch` of them; the caller's */
    int batch;
    int views;        /* of `batch`, so many belong together as views of one image, for tables; 0: 1 */
    const char *name; /* for messages */
    /* results: */
    struct timing call; /* of one call with `batch` images; on a GPU by its own clock */
    double peak;        /* multiply-accumulates a second, see exec_peak; the larger of one before and one after */
    int samples;
    struct timing *layers;          /* of exec_layer_at(exec, i), where asked for; measure_free */
    struct exec_comparison *others; /* by the other algorithm; as many */
    int layer_samples;
};

struct measure_options {
    double seconds; /* for each case, at least; and at least MEASURE_LEAST calls of each */
    int layers;     /* then time every layer too, in calls of their own */
};

enum { MEASURE_LEAST = 5, MEASURE_MOST = 20000 /* calls of a case */, MEASURE_LAYER_CALLS = 50 };

/* Fills the results. Warms up with two calls of each case. Allocates nothing while the clock runs. Logits that
 * differ are STATUS_MISMATCH with the case's name. */
int measure_run(struct measure_case *cases, int count, const struct measure_options *options,
                struct message *m) RESQ_USE_RESULT;
void measure_free(struct measure_case *cases, int count);

/* Bytes a case holds: activations and packed weights. */
size_t exec_held_bytes(const struct exec *e);
/* The algorithm of the layer with most multiply-accumulates. */
const char *exec_main_algorithm(const struct exec *e);
/* The processor's name as the system tells it, or "unknown". */
void machine_name(char *out, size_t size);

#endif
