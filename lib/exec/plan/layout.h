/* layout.h: what inference and training plan alike: the shape a kernel is called with, how an image is cut into
 * items, and where buffers lie in one arena. Private to lib/exec. */
#ifndef RESQ_EXEC_PLAN_LAYOUT_H
#define RESQ_EXEC_PLAN_LAYOUT_H

#include "graph/model.h"
#include "kernel/contract/kernel.h"
#include "quant/affine.h"
#include <stddef.h>

/* A block that lives from step `begin` to step `end`, both included. */
struct lifetime {
    size_t bytes;
    int begin, end;
    size_t offset; /* found by lifetimes_place; a multiple of 64 */
};
/* Blocks that live at the same time never overlap. *total: bytes needed. STATUS_RANGE where that overflows. */
int lifetimes_place(struct lifetime *blocks, int count, size_t *total, struct message *m) RESQ_USE_RESULT;

size_t round_up_64(size_t bytes);
size_t max_size(size_t a, size_t b);
size_t node_elements(const struct node *n); /* of one image's value */

/* Convolution or linear (a 1x1 convolution on one pixel). STATUS_UNSUPPORTED names a node with groups. */
int node_conv_shape(const struct graph *g, int node, struct conv_shape *s, struct message *m) RESQ_USE_RESULT;
/* Output rows of one item: at least 32 pixels, at most four items an image. Depends on the shape alone. */
int conv_item_rows(const struct conv_shape *s);

/* The affine map of u8 node i, from the model's `N.scale`, `N.zero_point`, `N.range`. */
int node_affine(const struct model *model, int node, struct affine *a, struct message *m) RESQ_USE_RESULT;
/* y = x * scale + shift for a batch norm with the given statistics, computed in double and rounded once. */
void norm_constants(int channels, const float *gamma, const float *beta, const float *mean, const float *variance,
                    double eps, float *scale, float *shift);
/* multiplier[k] = scale_x * scale_w[k], over scale_y where that is not 0 (logits): each step rounded to float. */
void conv_multipliers(float scale_x, const float *scale_w, float scale_y, int outputs, float *multiplier);
float pool_multiplier(const struct affine *x, const struct affine *y, int pixels);
/* The code of each of 256 pixel values in each channel after normalisation: table [C][256]; values: room for 256*C
 * floats. */
void input_table(const struct elementwise_kernels *k, const struct node *normalize, const struct affine *a,
                 float *values, uint8_t *table);

#endif
