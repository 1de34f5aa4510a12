/* images.h: where the images are when the command line does not say. */
#ifndef RESQ_TOOLS_IMAGES_H
#define RESQ_TOOLS_IMAGES_H

#include "tools/common/options.h"
#include "data/dataset.h"
#include <limits.h>

/* out: `given` where it is not NULL; else CIFAR10_DIR from the environment; else the embedded archive: in RESQ_DATA
 * (the file or its folder), in the source tree or in the installation that the running program stands in. */
int images_find(const char *given, char out[PATH_MAX], struct message *m) RESQ_USE_RESULT;

struct images_request {
    const char *path, *split, *part;
    struct dataset_wish wish;
    int64_t offset, count; /* as dataset_select */
    int cache; /* 1: with decoded copies, in $XDG_CACHE_HOME/resq/images or ~/.cache/resq/images, unless the
                * environment's RESQ_CACHE is "off" */
    int verbose, quiet;
};

/* Opens the data set and reads what is asked for of it; says what there is to say. *indices is for memory_free. */
int images_read(const struct tool *t, const struct images_request *r, struct dataset *d, int64_t **indices,
                int64_t *count, struct message *m) RESQ_USE_RESULT;

#endif
