/* observers.h: what the observers' files offer observer.c's table; see struct observer. The layer's own. */
#ifndef RESQ_QUANT_OBSERVERS_H
#define RESQ_QUANT_OBSERVERS_H

#include "quant/observer.h"

int minmax_range(const struct histogram *h, int bits, double parameter, double *low, double *high,
                 struct message *m);
int percentile_range(const struct histogram *h, int bits, double parameter, double *low, double *high,
                     struct message *m);
int mse_range(const struct histogram *h, int bits, double parameter, double *low, double *high, struct message *m);
int entropy_range(const struct histogram *h, int bits, double parameter, double *low, double *high,
                  struct message *m);

#endif
