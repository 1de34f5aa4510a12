/* device.h: the options that say where a program computes. */
#ifndef RESQ_TOOLS_DEVICE_H
#define RESQ_TOOLS_DEVICE_H

#include "tools/common/options.h"

struct device_arguments {
    const char *device; /* device_default at first */
    int tf32, fast;
};

/* clang-format off */
#define OPTION_DEVICE(a) \
    {"device", 0, OPTION_CHOICE, &(a).device, 0, 0, 0, "where it runs; auto: a GPU where one works", \
     "auto|cpu|cuda", 0}, \
    {"tf32", 0, OPTION_FLAG, &(a).tf32, 0, 0, 0, "GPU: products of fp32 rounded to 11 bits", 0, 0}, \
    {"fast", 0, OPTION_FLAG, &(a).fast, 0, 0, 0, "GPU: algorithms whose sums change from run to run", 0, 0}
/* clang-format on */

/* "auto" as nobody asked for it: says nothing where no GPU backend was built. */
extern const char device_default[];

/* a->device becomes what runs, "cpu" or "cuda". With auto, one line on standard error says which and why, unless
 * quiet. A device that was asked for and does not work is the failure. */
int device_resolve(const struct tool *tool, struct device_arguments *a, int quiet,
                   struct message *m) RESQ_USE_RESULT;

#endif
