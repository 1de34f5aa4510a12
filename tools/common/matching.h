/* matching.h: output matching as a program does it: its options, the images, what is recorded. */
#ifndef RESQ_TOOLS_MATCHING_H
#define RESQ_TOOLS_MATCHING_H

#include "ptq/match.h"
#include "tools/common/options.h"
#include "tools/common/taken_images.h"

struct matching {
    const char *match; /* "all", "bias", "off"; NULL: all below 8 bits, off at 8 */
    int gptq;
    int64_t most, threads;
    enum match_mode mode;
    /* while it runs: */
    struct taken_images taken;
    struct model fused; /* as it was before it was lowered */
};
#define matching_defaults         \
    {                             \
        .most = 512, .threads = 1 \
    }

/* clang-format off */
#define MATCHING_OPTIONS(a) \
    {"match", 0, OPTION_CHOICE, &(a).match, 0, 0, 0, \
     "match outputs' mean and deviation to the float network's; else off at 8 bits, all below", \
     "all|bias|off", 0}, \
    {"gptq", 0, OPTION_FLAG, &(a).gptq, 0, 0, 0, "choose codes below 5 bits together, by the images (GPTQ)", 0, 0}, \
    {"match-images", 0, OPTION_INTEGER, &(a).most, 1, 1e6, "N", "by so many images of standard input", 0, 0}
/* clang-format on */

/* "all", "bias", "off"; of a name that is none of them, off. */
const char *match_mode_name(enum match_mode mode);
enum match_mode match_mode_find(const char *name);
/* The mode, from the option. */
void matching_choose(struct matching *a, int is_low);
/* Reads the images and keeps a copy of the fused model; nothing where it is off. */
int matching_open(struct matching *a, const struct model *fused, struct message *m) RESQ_USE_RESULT;
/* Matches the lowered model and adds what was done to its `quantization`. Warns of fewer images than asked for. */
int matching_run(struct matching *a, const struct tool *tool, struct model *int8, int quiet,
                 struct message *m) RESQ_USE_RESULT;
/* match=, match-images=, gptq=, where they are in use. */
void matching_lineage(const struct matching *a, struct lineage *l);
void matching_close(struct matching *a);

#endif
