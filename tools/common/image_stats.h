/* image_stats.h: the TSV of cifar-load --stats. */
#ifndef RESQ_TOOLS_IMAGE_STATS_H
#define RESQ_TOOLS_IMAGE_STATS_H

#include "data/dataset.h"

/* Mean and standard deviation of x/255 for each channel over the given images; path NULL: standard output. */
int image_stats_print(const struct dataset *d, const char *part, const int64_t *indices, int64_t count,
                      const char *path, struct message *m) RESQ_USE_RESULT;

#endif
