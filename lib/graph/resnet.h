/* resnet.h: ResNet-18 for small images (He et al. 2015, arXiv:1512.03385; the 3x3 stem without max-pool usual for
 * CIFAR), under torchvision's names, of any width: width 64 has 11,173,962 parameters with 10 classes. */
#ifndef RESQ_GRAPH_RESNET_H
#define RESQ_GRAPH_RESNET_H

#include "graph/graph.h"

/* For images [height,w,channels], channels 1 or 3. width 1..512 channels in layer1; classes 2..65535. mean, std: of
 * x/255, one a channel; NULL: CIFAR-10's own (0.4914 0.4822 0.4465 / 0.2470 0.2435 0.2616, from all training pixels; as
 * grey 0.4809 / 0.2392). */
int resnet18_build_for(struct graph *g, const int image[3], int width, int classes, const float *mean,
                       const float *std, struct message *m) RESQ_USE_RESULT;
/* The same for CIFAR-10's images [32,32,3]. */
int resnet18_build(struct graph *g, int width, int classes, const float *mean, const float *std,
                   struct message *m) RESQ_USE_RESULT;
/* Its width where g, at any stage, has the convolutions and the linear layer of such a network, by name and size;
 * else 0. *width is 0 where memory ran out too. */
int resnet18_width(const struct graph *g, int *width, struct message *m) RESQ_USE_RESULT;

#endif
