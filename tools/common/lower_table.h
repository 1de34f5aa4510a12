/* lower_table.h: what a lowering says of itself, for people. */
#ifndef RESQ_TOOLS_LOWER_TABLE_H
#define RESQ_TOOLS_LOWER_TABLE_H

#include "pass/pass.h"

/* One row a u8 activation and integer layer, on standard error. */
void lower_table_print(const struct lower_report *report);

/* In how many channels quantize --saturation-free raised the scale, and what it cost the weights; there too. */
void spared_print(const struct lower_report *report);

#endif
