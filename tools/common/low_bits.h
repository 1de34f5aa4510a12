/* low_bits.h: options of what makes models of fewer than 8 bits: how weight scales are chosen, and what stays at 8.
 * They are not recorded as they are: lower_ends_name and lower_observer_name say what stands in `made-by`. */
#ifndef RESQ_TOOLS_LOW_BITS_H
#define RESQ_TOOLS_LOW_BITS_H

#include "pass/pass.h"
#include "tools/common/options.h"

/* All-zero is the default. */
struct low_bits_arguments {
    const char *weight_observer; /* "max", "mse"; NULL: mse below 8 bits, max at 8 */
    const char *ends;            /* "8", "same"; NULL: 8 */
    const char *plan;            /* a file of bits, see pass/bit_plan.h; NULL: none */
};

/* clang-format off */
#define LOW_BITS_CHOICES(a) \
    {"weight-observer", 0, OPTION_CHOICE, &(a).weight_observer, 0, 0, 0, \
     "weight scales by largest weight or least squared error; else max at 8 bits, mse below", "max|mse", 0}, \
    {"ends", 0, OPTION_CHOICE, &(a).ends, 0, 0, 0, \
     "bits of image, first and last layer; without: 8 whatever the rest has", "8|same", 0}
#define LOW_BITS_OPTIONS(a) \
    LOW_BITS_CHOICES(a), \
    {"plan", 0, OPTION_STRING, &(a).plan, 0, 0, "FILE", \
     "bits of each layer, as allot writes them; of others, as these options say", 0, 0}
/* clang-format on */

/* The observers' names, "min-max|mse|..", as an option's choices. */
enum { OBSERVER_NAMES_SIZE = 256 };
void observer_names(char out[OBSERVER_NAMES_SIZE]);

/* Sets o's fields. */
void low_bits_take(const struct low_bits_arguments *a, struct lower_options *o);

#endif
