/* code_learning.h: reconstruct's work, from its options to its file: what is read,
 * the learning of codes, what is recorded. */
#ifndef RESQ_TOOLS_CODE_LEARNING_H
#define RESQ_TOOLS_CODE_LEARNING_H

#include "base/progress.h"
#include "ptq/reconstruct.h"
#include "tools/common/fused.h"
#include "tools/common/lowering.h"
#include "tools/common/taken_images.h"

struct code_learning {
    const struct tool *tool;
    /* as the options leave them: */
    const char *model, *ranges, *output, *match;
    int64_t images, match_images, batch, seed, threads;
    int verbose, quiet;
    struct lowering lowering;
    struct model_arguments given;
    const struct ranks *ranks;
    struct reconstruct_options
        how; /* steps, rate, drop, penalty, single and the checkpoint's; the rest follows from the above */
    /* while it runs: */
    struct fused fused;
    struct model int8;
    struct taken_images taken;
    struct progress progress;
};

/* Writes the int8 model. The images come on standard input. STATUS_INTERRUPTED where a signal asked to stop: the
 * checkpoint, which there is then, is saved. STATUS_RANGE where a plan leaves nothing to learn. code_learning_close
 * afterwards, on failure too. */
int code_learning_run(struct code_learning *r, struct message *m) RESQ_USE_RESULT;
void code_learning_close(struct code_learning *r);

#endif
