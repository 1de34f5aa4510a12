/* calibration.h: batches on standard input, seen through a fused model. */
#ifndef RESQ_TOOLS_CALIBRATION_H
#define RESQ_TOOLS_CALIBRATION_H

#include "base/progress.h"
#include "data/spread.h"
#include "exec/infer/exec.h"
#include "graph/model.h"
#include "quant/histogram.h"
#include "tools/common/device.h"
#include "tools/common/options.h"

/* All-zero but for what the tool sets: tool, model_path, limit, threads, model, ranks, progress. */
struct calibration {
    const struct tool *tool;
    const char *model_path;
    const struct model_given *given; /* of the model: for the lineage */
    int64_t limit;                   /* images; 0: all */
    int threads;
    struct device_arguments where; /* resolved */
    struct model model;
    struct exec *exec;
    struct ranges ranges;
    int *slots;                /* node -> index in ranges, or -1 */
    const struct ranks *ranks; /* that share the images; NULL: this process alone */
    struct spread spread;
    struct progress progress;
    int64_t taken, images; /* from the stream, on the first rank; seen, by all of them */
};

/* Observes the first `limit` images of the train split into ranges. Reads to the end also when enough was seen: a
 * stream is known to be whole only there. Where ranks share the images the first has the ranges of all. */
int calibration_run(struct calibration *c, struct message *m) RESQ_USE_RESULT;
/* Writes ranges and all metadata into the empty record r. */
int calibration_describe(const struct calibration *c, struct record *r, struct message *m) RESQ_USE_RESULT;
void calibration_free(struct calibration *c);

#endif
