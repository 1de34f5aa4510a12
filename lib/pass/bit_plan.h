/* bit_plan.h: how many bits each layer's weights, and what each node gives, have: a text of one line a layer, meant
 * to be edited by hand (lib/FORMATS.md has its form). A plan is of one fused graph. */
#ifndef RESQ_PASS_BIT_PLAN_H
#define RESQ_PASS_BIT_PLAN_H

#include "base/text.h"
#include "graph/graph.h"
#include "record/digest.h"

struct bit_row {
    int weights, activations; /* 2..8; 0: nothing is said of them */
};

/* All-zero is empty. */
struct bit_plan {
    struct bit_row *rows; /* [nodes of the graph]; owned */
    int nodes;
};

/* Whether node i of fused has weights that become codes, and a map of its own for what it gives. */
int bit_plan_has_weights(const struct graph *fused, int i);
int bit_plan_has_activations(const struct graph *fused, int i);

/* Rows for fused, of which nothing is said. */
int bit_plan_open(struct bit_plan *p, const struct graph *fused, struct message *m) RESQ_USE_RESULT;
/* From a text of `length` bytes. p: overwritten; the caller's to free, and empty on failure, which names the line: a
 * layer that fused lacks or that stood there before, bits that are none of 2 to 8,
 * bits of what a layer does not have. */
int bit_plan_parse(struct bit_plan *p, const char *text, size_t length, const struct graph *fused,
                   struct message *m) RESQ_USE_RESULT;
/* From a file ("-": standard input), which failures name. hex: the digest of what it says,
 * whatever its comments and spaces. */
int bit_plan_load(struct bit_plan *p, const char *path, const struct graph *fused, char hex[DIGEST_HEX],
                  struct message *m) RESQ_USE_RESULT;
/* The lines of the nodes of which something is said or could be. parse(print(p)) == p. */
int bit_plan_print(const struct bit_plan *p, const struct graph *fused, struct text *t,
                   struct message *m) RESQ_USE_RESULT;
/* 1 where anything has fewer than 8 bits; of NULL 0. */
int bit_plan_is_low(const struct bit_plan *p);
int bit_plan_has_low_weights(const struct bit_plan *p);
void bit_plan_free(struct bit_plan *p);

#endif
