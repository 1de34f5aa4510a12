/* allotment.h: which bits each layer may have and what they cost and lose, from the tables of analyse
 * and bench; plans chosen of them. */
#ifndef RESQ_TOOLS_ALLOTMENT_H
#define RESQ_TOOLS_ALLOTMENT_H

#include "pass/pass.h"
#include "ptq/allot.h"
#include "report/table.h"
#include "tools/common/fused.h"

enum { WIDTHS = 9 /* 0..8, of which 2..8 are in use */ };
enum allot_loss { LOSS_KL, LOSS_LOGITS, LOSSES };

/* What is known of a node of the fused graph. */
struct node_costs {
    int64_t weights;               /* 0: none that become codes */
    double loss[LOSSES][WIDTHS];   /* of its weights at that width, less at 8; NaN: not measured */
    double values[LOSSES][WIDTHS]; /* of what it gives */
    double ms[WIDTHS];             /* NaN: not timed */
};

struct allotment {
    const struct model *fused;
    struct node_costs *nodes; /* owned */
    int64_t bytes_beside;     /* of all tensors that are no weights: allotment_weigh */
    double ms_beside;         /* of all that is no layer */
    int activation_bits;      /* of all values but the ends' */
    int keep_ends;            /* at 8 bits */
    /* what can be chosen: */
    struct allot_item *items; /* owned */
    int *item_node;           /* the node of each; owned */
    uint8_t *item_bits;       /* [items, ALLOT_CHOICES]: of each choice; owned */
    int item_count;
};

/* allotment_close after a failure too. path: analyse's table, of this very model. */
int allotment_open(struct allotment *a, const struct fused *f, const char *path, struct message *m) RESQ_USE_RESULT;
/* Sets bytes_beside, by lowering the fused model once: how, at 8 bits. */
int allotment_weigh(struct allotment *a, const struct fused *f, const struct lower_options *how,
                    struct message *m) RESQ_USE_RESULT;
/* timings: "BITS=FILE", a table of bench --layers of a model whose layers have so many bits. */
int allotment_time(struct allotment *a, const char *timings, struct message *m) RESQ_USE_RESULT;
/* Of widths for which there is no timing that of the next packed alike: 3 as 4, 5 to 7 as 8. STATUS_MISMATCH where a
 * layer has none. by_time: what choices cost is nanoseconds, else bytes.
 * After activation_bits and keep_ends are set. */
int allotment_items(struct allotment *a, enum allot_loss loss, int by_time, struct message *m) RESQ_USE_RESULT;
/* The plan of choice `at` of a front of a's items. bit_plan_free. */
int allotment_plan(const struct allotment *a, const struct allot_front *f, int at, struct bit_plan *plan,
                   struct message *m) RESQ_USE_RESULT;
/* All layers and values at these, but for the ends. */
int allotment_uniform(const struct allotment *a, int weight_bits, int activation_bits, struct bit_plan *plan,
                      struct message *m) RESQ_USE_RESULT;
/* Of a plan: bytes of the weights as packed, and bits of one on average; what losses and times add up to. */
int64_t plan_bytes(const struct allotment *a, const struct bit_plan *p);
double plan_average(const struct allotment *a, const struct bit_plan *p);
double plan_loss(const struct allotment *a, const struct bit_plan *p, enum allot_loss loss);
double plan_ms(const struct allotment *a, const struct bit_plan *p); /* NaN where something was not timed */
/* Of a model: what its tensors take. */
int64_t tensors_bytes(const struct model *model);
void allotment_close(struct allotment *a);

#endif
