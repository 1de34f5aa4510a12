/* self_test.h: images, and what the definition of a network's arithmetic gives for them: what an emitted network
 * carries to check itself. */
#ifndef RESQ_TOOLS_SELF_TEST_H
#define RESQ_TOOLS_SELF_TEST_H

#include "graph/model.h"

enum { SELF_TEST_IMAGES = 10 };

/* All-zero is empty. */
struct self_test {
    uint8_t *images; /* u8 [count,H,W,C]; owned */
    float *logits;   /* f32 [count,K] of RESQ_ISA=ref; owned */
    int count;
};

/* The first SELF_TEST_IMAGES of a batch file (fewer where it has fewer), of any data set with the model's classes; path
 * NULL: drawn ones, as `bench` draws them. What was made is freed by self_test_free, after a failure too. */
int self_test_make(struct self_test *t, const struct model *model, const char *path,
                   struct message *m) RESQ_USE_RESULT;
void self_test_free(struct self_test *t);

#endif
