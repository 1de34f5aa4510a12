/* images.h: where the images are when the command line does not say. */
#ifndef RESQ_TOOLS_IMAGES_H
#define RESQ_TOOLS_IMAGES_H

#include "base/status.h"
#include <limits.h>

/* out: `given` where it is not NULL; else CIFAR10_DIR from the environment; else the embedded archive: in RESQ_DATA
 * (the file or its folder), in the source tree or in the installation that the running program stands in. */
int images_find(const char *given, char out[PATH_MAX], struct message *m) RESQ_USE_RESULT;

#endif
