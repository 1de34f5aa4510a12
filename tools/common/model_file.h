/* model_file.h: model files as every program takes them: with the options of a state_dict, which has no graph. And
 * what inspect asks of a file whose frame is whole (record_check); each of these may take file->first, leaving
 * NULL. */
#ifndef RESQ_TOOLS_MODEL_FILE_H
#define RESQ_TOOLS_MODEL_FILE_H

#include "graph/model.h"
#include "record/describe.h"
#include "tools/common/options.h"

/* What the options say of a model without a graph. */
struct model_arguments {
    const char *normalize, *eps, *graph;
    /* filled by model_arguments_take: */
    struct model_given given;
    struct text text; /* of the graph's file */
    const struct tool *tool;
    const char *path; /* the model that is read now */
};

/* clang-format off */
#define MODEL_OPTIONS(a) \
    {"normalize", 0, OPTION_STRING, &(a).normalize, 0, 0, "M,M,M:S,S,S", \
     "of a model without graph: mean and deviation of each channel / 255, or M:S of all", 0, 0}, \
    {"eps", 0, OPTION_STRING, &(a).eps, 0, 0, "EPS", "of a model without graph: its batch norms'", 0, 0}, \
    {"graph", 0, OPTION_STRING, &(a).graph, 0, 0, "FILE", "of a model without graph: its network as text", 0, 0}
/* clang-format on */

/* Checks the options and reads the graph's file: -1 to go on, otherwise the exit status, a line being printed. A
 * model without graph is then warned of in one line that names what was assumed (not where quiet). */
int model_arguments_take(struct model_arguments *a, const struct tool *tool, int quiet) RESQ_USE_RESULT;
/* From now on quiet, where it is set: for ranks that say nothing (crew.h). */
void model_arguments_hush(struct model_arguments *a, int quiet);
/* model_load_given. */
int model_open(struct model *model, const char *path, struct model_arguments *a, struct message *m) RESQ_USE_RESULT;
void model_arguments_free(struct model_arguments *a);

/* The network as text, of a state_dict too, with what was given of it. */
int file_graph(struct file_summary *file, const struct model_given *given, struct text *t,
               struct message *m) RESQ_USE_RESULT;
/* Of a float model, a line for each later stage that cannot take it: train/stages.h. */
int file_stages(struct file_summary *file, const struct model_given *given, struct text *t,
                struct message *m) RESQ_USE_RESULT;
/* What to call the network in a title: "ResNet-18, width 64", or what it is made of. */
int file_network(struct file_summary *file, const struct model_given *given, struct text *t,
                 struct message *m) RESQ_USE_RESULT;
/* Of an int8 model: exec/plan/bounds.h. */
int file_bounds(struct file_summary *file, struct text *t, struct message *m) RESQ_USE_RESULT;
/* Fails unless a model fits its graph, and ranges are in their form. Nothing is said of what is assumed. */
int file_fits(struct file_summary *file, const struct model_given *given, struct message *m) RESQ_USE_RESULT;

#endif
