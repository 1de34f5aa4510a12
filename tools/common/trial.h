/* trial.h: models of plans of bits, made as quantize makes them and tried on held-out
 * images beside the float network. */
#ifndef RESQ_TOOLS_TRIAL_H
#define RESQ_TOOLS_TRIAL_H

#include "ptq/match.h"
#include "report/table.h"
#include "tools/common/allotment.h"
#include "train/held_out.h"

enum { TRIALS_MOST = 64, TRIAL_NAME_SIZE = 32 };

struct trial {
    const char *kind; /* "planned", "uniform", "chosen" */
    char name[TRIAL_NAME_SIZE];
    struct bit_plan plan;   /* owned */
    int64_t bytes;          /* of the model's tensors */
    double average;         /* bits a weight */
    double kl_expected, kl; /* as the table adds up, as measured: KL(float || this), mean over images */
    double accuracy, drop, drop_low, drop_high; /* points; drop: below the float network, with its 95 % interval */
    double mcnemar_p;
};

struct trials {
    const struct allotment *a;
    const struct fused *f;
    struct lower_options how;
    struct match_options match; /* the caller's images */
    int threads;
    struct held_out held; /* owned */
    float *wanted;        /* the float network's logits; owned */
    double accuracy;      /* the float network's */
    struct trial tried[TRIALS_MOST];
    int count;
};

/* a, f, how and match are set; path: the held-out batches; stream: the metadata of the images to match by, or NULL.
 * trials_close after a failure too. */
int trials_open(struct trials *t, const char *path, const struct record *stream, struct message *m) RESQ_USE_RESULT;
/* Tries a plan, which is the trials' then, also on failure; one that was tried before is not tried again. Returns its
 * index. name NULL: its bits on average. */
int trials_add(struct trials *t, const char *kind, const char *name, struct bit_plan *plan,
               struct message *m) RESQ_USE_RESULT;
/* kind name bits bytes kl_expected kl accuracy drop drop_low drop_high mcnemar_p, by bytes, uniform ones first. */
int trials_table(const struct trials *t, struct table *table, struct message *m) RESQ_USE_RESULT;
/* The same, with what it was measured on and of, to a file. */
int trials_save(const struct trials *t, const char *path, struct message *m) RESQ_USE_RESULT;
void trials_close(struct trials *t);

#endif
