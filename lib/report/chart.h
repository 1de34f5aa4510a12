/* chart.h: a chart is a text for gnuplot: values as variables, data as heredocs, then one script of plots/. Nothing
 * from outside reaches gnuplot but quoted strings and numbers; of text that is shown, nothing but what the font has
 * and the chart has room for. */
#ifndef RESQ_REPORT_CHART_H
#define RESQ_REPORT_CHART_H

#include "base/status.h"
#include "base/text.h"
#include "report/ablation.h"
#include "report/font.h"
#include "report/sweep.h"
#include "report/table.h"
#include <stdint.h>

enum chart_format { CHART_PNG, CHART_SVG };

struct chart {
    struct text text;
    const char *plots; /* the folder of scripts; borrowed */
    struct font *font;
    enum chart_format format;
};

/* From the file name's end: .png or .svg; otherwise STATUS_RANGE. */
int chart_format_of(const char *path, enum chart_format *format, struct message *m) RESQ_USE_RESULT;

/* chart_free also after any failure. */
int chart_open(struct chart *c, const char *plots, enum chart_format format, struct message *m) RESQ_USE_RESULT;
/* A string as it is, for what gnuplot reads and nobody sees. */
int chart_string(struct chart *c, const char *name, const char *value, struct message *m) RESQ_USE_RESULT;
int chart_number(struct chart *c, const char *name, double value, struct message *m) RESQ_USE_RESULT;

/* What gnuplot makes of a text: a tic's label is a format besides, and in a label that belongs to a point of data
 * backslashes have a meaning. */
enum chart_use { CHART_LABEL, CHART_TIC, CHART_POINT };

/* How a shown text will be set; most: what the chart has room for, in em. */
struct chart_setting {
    enum font_style style;
    double most;
    enum chart_use use;
};
/* A text that is shown: as font_clean and font_shorten leave it (an SVG keeps letters that our fonts lack: its
 * viewer may have them). NAME_em becomes its width. */
int chart_text(struct chart *c, const char *name, const char *value, struct chart_setting set,
               struct message *m) RESQ_USE_RESULT;
/* name becomes an array of count texts, 1-based, NAME_em the width of the widest. */
int chart_texts(struct chart *c, const char *name, const char *const *values, int count, struct chart_setting set,
                struct message *m) RESQ_USE_RESULT;
int chart_title(struct chart *c, const char *title, struct message *m) RESQ_USE_RESULT;
/* The dataset's line under the title: dataset, split and part, images, digest as far as t's notes know them, and
 * more. dataset: where the notes name none; may be NULL, as more. */
int chart_subtitle(struct chart *c, const struct table *t, const char *dataset, const char *more,
                   struct message *m) RESQ_USE_RESULT;
/* Loads SCRIPT of the folder, runs all in gnuplot and writes the picture to path, whole or not at all. */
int chart_save(struct chart *c, const char *script, const char *path, enum chart_format format,
               struct message *m) RESQ_USE_RESULT;
void chart_free(struct chart *c);

/* Runs gnuplot on a script; its standard output goes to out. A missing gnuplot is STATUS_UNSUPPORTED, a failure of
 * its own STATUS_FORMAT with its words. */
int gnuplot_run(const struct text *script, struct text *out, struct message *m) RESQ_USE_RESULT;

/* ---- the kinds: each adds what its script needs ---- */

/* Training logs, one run each (loss.gp, accuracy.gp); labels name the runs. Logs of different data are
 * STATUS_MISMATCH. */
int chart_curves(struct chart *c, const struct table *logs, const char *const *labels, int count, int is_accuracy,
                 struct message *m) RESQ_USE_RESULT;
/* evaluate's metrics (confusion.gp). */
int chart_confusion(struct chart *c, const struct table *metrics, struct message *m) RESQ_USE_RESULT;

enum chart_bars { BARS_ACCURACY, BARS_SIZE, BARS_TIME };
/* A summary (compare-accuracy.gp, compare-size.gp, compare-time.gp). */
int chart_compare(struct chart *c, const struct table *summary, enum chart_bars kind,
                  struct message *m) RESQ_USE_RESULT;

/* A sweep: over bits, over bits of one part, over calibration images (sweep-lines.gp), or the observers at `bits`
 * (sweep-observers.gp). STATUS_FORMAT: no row belongs in it. bits: of SWEEP_OBSERVERS alone.
 * title: instead of the kind's own; may be NULL. */
enum chart_sweep_kind { SWEEP_BITS, SWEEP_PARTS, SWEEP_CALIBRATION, SWEEP_OBSERVERS };
int chart_sweep(struct chart *c, const struct sweep *s, enum chart_sweep_kind kind, int bits, const char *title,
                struct message *m) RESQ_USE_RESULT;
/* Each variant's difference from the base (ablation.gp). STATUS_FORMAT: there is none. */
int chart_ablation(struct chart *c, const struct ablation *a, struct message *m) RESQ_USE_RESULT;

/* What analyse measured, layer by layer (sensitivity.gp), and allot's plans beside models of one width (frontier.gp):
 * tables of lib/FORMATS.md. STATUS_FORMAT: it is none. */
int chart_sensitivity(struct chart *c, const struct table *t, struct message *m) RESQ_USE_RESULT;
int chart_frontier(struct chart *c, const struct table *t, struct message *m) RESQ_USE_RESULT;

/* An activation's values (histogram.gp). clip_low < clip_high: the range that codes can represent; equal: none
 * known. */
struct chart_activation {
    const char *node, *note; /* note: more for the subtitle, may be NULL */
    const uint64_t *bins;    /* [2048], bin j counts values with floor(x / 2^exponent) = j - 1024 */
    int exponent;
    double min, max, clip_low, clip_high;
};
int chart_histogram(struct chart *c, const struct chart_activation *a, const struct table *notes,
                    struct message *m) RESQ_USE_RESULT;

#endif
