/* Dispatch: one table an instruction set, filled from kernels.inc. */
#include "kernel/cpu.h"
#include "kernel/list.h"
#include "kernel/contract/shape.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum isa {
    ISA_none = -1,
#define ISA(isa, parent, condition) ISA_##isa,
#include "kernel/kernels.inc"
    ISA_COUNT
};

static const int parents[] = {
#define ISA(isa, parent, condition) ISA_##parent,
#include "kernel/kernels.inc"
};

static struct kernel_table tables[ISA_COUNT];
static int usable[ISA_COUNT];
static pthread_once_t filled = PTHREAD_ONCE_INIT;

/* Whether set i is `isa` or stands below it. */
static int inherits(int i, int isa)
{
    while (i >= 0 && i != isa)
        i = parents[i];
    return i == isa;
}

static void tables_fill(void)
{
#define ISA(name, above, condition)                                                    \
    tables[ISA_##name].isa = #name;                                                    \
    tables[ISA_##name].parent = ISA_##above == ISA_none ? NULL : tables + ISA_##above; \
    usable[ISA_##name] = (condition) && (ISA_##above == ISA_none || usable[ISA_##above]);
#define KERNEL(operation, isa, name, types)                   \
    for (int i = ISA_##isa; i < ISA_COUNT; i++)               \
        if (inherits(i, ISA_##isa)) {                         \
            tables[i].operation = operation##_##isa##_##name; \
            tables[i].operation.algorithm = #name;            \
        }
#define ELEMENTWISE(operation, isa, types)      \
    for (int i = ISA_##isa; i < ISA_COUNT; i++) \
        if (inherits(i, ISA_##isa))             \
            tables[i].elementwise.operation = elementwise_##operation##_##isa;
#include "kernel/kernels.inc"
}

/* ---- the kernel for a shape ---- */

#define FIND(slot)                                                                       \
    for (; table; table = table->parent)                                                 \
        if (table->slot.algorithm && (!table->slot.supports || table->slot.supports(s))) \
            return &table->slot;                                                         \
    return NULL

#define KERNEL_FOR(slot, kernel)                                                                     \
    const struct kernel *kernel_##slot(const struct kernel_table *table, const struct conv_shape *s) \
    {                                                                                                \
        if (shape_groups(s) > 1) {                                                                   \
            FIND(slot##_grouped);                                                                    \
        }                                                                                            \
        FIND(slot);                                                                                  \
    }

/* For one group alone, and not of every set. */
#define FORM_FOR(slot, kernel)                                                                       \
    const struct kernel *kernel_##slot(const struct kernel_table *table, const struct conv_shape *s) \
    {                                                                                                \
        if (shape_groups(s) > 1)                                                                     \
            return NULL;                                                                             \
        FIND(slot);                                                                                  \
    }

KERNEL_FOR(conv_f32, conv_f32_kernel)
KERNEL_FOR(conv_f32_backward_data, conv_f32_backward_data_kernel)
KERNEL_FOR(conv_f32_backward_weight, conv_f32_backward_weight_kernel)
KERNEL_FOR(conv_u8, conv_u8_kernel)
KERNEL_FOR(conv_bf16, conv_bf16_kernel)
FORM_FOR(conv_f32_winograd, conv_f32_kernel)
FORM_FOR(conv_u8_winograd, conv_u8_kernel)
FORM_FOR(conv_u8_pairs, conv_u8_kernel)

const struct block_kernel *kernel_block(const struct kernel_table *table, const struct block_conv *s)
{
    FIND(block);
}

const char *kernel_isa_at(int i)
{
    pthread_once(&filled, tables_fill);
    for (int isa = 0; i >= 0 && isa < ISA_COUNT; isa++)
        if (usable[isa] && i-- == 0)
            return tables[isa].isa;
    return NULL;
}

int kernel_block_is_native(const struct kernel_table *table)
{
    return table->block.conv != tables[ISA_ref].block.conv;
}

static int isa_unsupported(const char *isa, struct message *m)
{
    char list[256] = "";
    const char *name;
    for (int i = 0; (name = kernel_isa_at(i)); i++) {
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", name);
    }
    for (int i = 0; i < ISA_COUNT; i++)
        if (strcmp(tables[i].isa, isa) == 0)
            return message_set(m, STATUS_UNSUPPORTED, "instruction set %s: not supported by this machine (%s)", isa,
                               list);
    return message_set(m, STATUS_UNSUPPORTED, "instruction set %s: unknown (%s)", isa, list);
}

int kernel_table_get(const struct kernel_table **table, const char *isa, struct message *m)
{
    pthread_once(&filled, tables_fill);
    if (!isa || !*isa)
        isa = getenv("RESQ_ISA");
    int strongest = isa && *isa ? 0 : 1;
    for (int i = ISA_COUNT - 1; i >= 0; i--)
        if (usable[i] && (strongest || strcmp(tables[i].isa, isa) == 0)) {
            *table = &tables[i];
            return STATUS_OK;
        }
    return isa_unsupported(isa, m);
}

const struct kernel_name *kernel_name_at(int i)
{
    static const struct kernel_name names[] = {
#define KERNEL(operation, isa, algorithm, types) {#operation, types, #isa, #algorithm},
#define ELEMENTWISE(operation, isa, types) {#operation, types, #isa, "loop"},
#include "kernel/kernels.inc"
    };
    return i >= 0 && i < (int)(sizeof names / sizeof *names) ? &names[i] : NULL;
}

double kernel_peak(const struct kernel_table *table, const char *type, double seconds)
{
    double (*measure)(double seconds) = NULL;
#define PEAK(what, name)                                                         \
    if (inherits((int)(table - tables), ISA_##name) && strcmp(type, #what) == 0) \
        measure = peak_##what##_##name;
#include "kernel/kernels.inc"
    return measure ? measure(seconds) : 0;
}
