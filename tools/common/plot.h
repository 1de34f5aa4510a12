/* plot.h: what plot's kinds share: the command line as one job, and a function a kind. */
#ifndef RESQ_TOOLS_PLOT_H
#define RESQ_TOOLS_PLOT_H

#include "report/chart.h"
#include "tools/common/options.h"

struct plot_job {
    const char *output, *title; /* title: NULL: the kind's own */
    const char *model;          /* histogram: an int8 model, for the clip points; may be NULL */
    const char *images;         /* grids: batches from here; NULL: standard input */
    const char *originals;      /* augmented: the same images as they were; may be NULL */
    int64_t count, columns, scale;
    struct string_list labels; /* names of the inputs, in order */
    char *const *inputs;       /* operands after the kind */
    int input_count;
    enum chart_format format;
    char plots[4096]; /* the folder of gnuplot scripts; charts only */
};

enum { PLOT_LABEL_SIZE = 1024 };

typedef int plot_function(struct plot_job *job, struct message *m);

plot_function plot_loss, plot_accuracy, plot_confusion, plot_histogram;
plot_function plot_compare_accuracy, plot_compare_size, plot_compare_time;
plot_function plot_sweep_bits, plot_sweep_parts, plot_sweep_calibration, plot_sweep_observers, plot_ablation;
plot_function plot_sensitivity, plot_frontier;
plot_function plot_images, plot_augmented, plot_samples;

/* The name of input i: --label's, or its file's without folder and endings ("results/ptq.metrics.tsv": "ptq"). */
void plot_label(const struct plot_job *job, int i, char *out, size_t size);
/* Finds the folder of scripts: $RESQ_PLOTS, `plots` beside or above the folder of this program, or share/resq/plots
 * of its prefix. */
int plots_find(char *out, size_t size, struct message *m) RESQ_USE_RESULT;

#endif
