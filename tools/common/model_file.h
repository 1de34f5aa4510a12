/* model_file.h: what inspect asks of a file whose frame is whole (record_check). Each may take file->first, leaving
 * NULL. */
#ifndef RESQ_TOOLS_MODEL_FILE_H
#define RESQ_TOOLS_MODEL_FILE_H

#include "record/describe.h"

/* The network as text, of a state_dict too. */
int file_graph(struct file_summary *file, struct text *t, struct message *m) RESQ_USE_RESULT;
/* What to call the network in a title: "ResNet-18, width 64", or what it is made of. */
int file_network(struct file_summary *file, struct text *t, struct message *m) RESQ_USE_RESULT;
/* Of an int8 model: exec/plan/bounds.h. */
int file_bounds(struct file_summary *file, struct text *t, struct message *m) RESQ_USE_RESULT;
/* Fails unless a model fits its graph, and ranges are in their form. */
int file_fits(struct file_summary *file, struct message *m) RESQ_USE_RESULT;

#endif
