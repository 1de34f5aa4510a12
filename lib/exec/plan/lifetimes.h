/* lifetimes.h: when the buffers of a plan are in use, and where they lie in one arena: the one rule for inference
 * and training, on every engine. Private to lib/exec and lib/emit.
 *
 * Step i runs at time i; where there is a backward pass, that of step i runs at time 2 * steps - 1 - i. */
#ifndef RESQ_EXEC_PLAN_LIFETIMES_H
#define RESQ_EXEC_PLAN_LIFETIMES_H

#include "exec/plan/steps.h"
#include <stddef.h>

/* A block that lives from time `begin` to `end`, both included. */
struct lifetime {
    size_t bytes; /* 0: nothing is stored */
    int begin, end;
    size_t offset; /* found by lifetimes_place; a multiple of 64 */
};

/* Sets begin and end of each node's value, [nodes]; bytes and offset are left alone. A value lives from its step to
 * the last that reads it, the last node's (and with `keep` every one) to time s->count; node 0, which no step makes,
 * from time 0. Nodes that no step makes: begin -1, end -1. */
void lives_of_inference(const struct steps *s, int nodes, int keep, struct lifetime *values);

/* The same for training, values and gradients, [nodes] each. A value is read by its users' backward and by its
 * maker's own (the clamp's mask), which comes last of all. A gradient is begun by the first of its users' backward
 * (the last node's: before any of them) and ends with its maker's. Node 0 lives at time 0 alone. */
void lives_of_training(const struct steps *s, int nodes, struct lifetime *values, struct lifetime *gradients);
/* All through backward. */
struct lifetime life_of_backward(const struct steps *s, size_t bytes);

/* Gives each block its offset: blocks that live at the same time never overlap. *total: bytes needed. Blocks are
 * rounded up to 64 bytes. STATUS_RANGE where the total overflows. */
int lifetimes_place(struct lifetime *blocks, int count, size_t *total, struct message *m) RESQ_USE_RESULT;

size_t max_size(size_t a, size_t b);

#endif
