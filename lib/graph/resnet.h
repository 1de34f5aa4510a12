/* resnet.h: ResNet-18 for 32x32 images (He et al. 2015, arXiv:1512.03385; the 3x3 stem without max-pool usual for
 * CIFAR), under torchvision's names, of any width: width 64 has 11,173,962 parameters with 10 classes. */
#ifndef RESQ_GRAPH_RESNET_H
#define RESQ_GRAPH_RESNET_H

#include "graph/graph.h"

/* width 1..512 channels in layer1; classes 2..1000. mean, std: of x/255, three each; NULL: CIFAR-10's own (0.4914
 * 0.4822 0.4465 / 0.2470 0.2435 0.2616, from all training pixels). */
int resnet18_build(struct graph *g, int width, int classes, const float *mean, const float *std,
                   struct message *m) RESQ_USE_RESULT;
/* Its width where g, at any stage, has the convolutions and the linear layer of such a network, by name and size;
 * else 0. *width is 0 where memory ran out too. */
int resnet18_width(const struct graph *g, int *width, struct message *m) RESQ_USE_RESULT;

#endif
