/* rows.h: how elementwise steps go through their values: row by row, since values may have a border. Private to
 * lib/exec/infer/cpu. */
#ifndef RESQ_EXEC_INFER_CPU_ROWS_H
#define RESQ_EXEC_INFER_CPU_ROWS_H

#include "exec/infer/cpu/cpu_exec.h"
#include <string.h>

/* One row of one image, w pixels of c channels side by side. */
struct row {
    int image, y;
};

static inline void *row_of(const struct exec *e, int node, const struct span *at, struct row r)
{
    const struct value *v = &cpu_of(e)->values[node];
    return (char *)exec_value(e, node, at, r.image) + (size_t)r.y * v->at.row * v->element;
}

static inline size_t row_elements(const struct node *n)
{
    return (size_t)n->w * (size_t)n->c;
}

/* Rows of all images of the span that are this worker's part: [begin, end) of count * h. */
static inline void rows_part(const struct exec *e, const struct step *s, const struct span *at, int *begin,
                             int *end)
{
    int rows = at->count * exec_node(e, s->output)->h;
    *begin = (int)((int64_t)rows * at->part / at->parts);
    *end = (int)((int64_t)rows * (at->part + 1) / at->parts);
}

static inline struct row row_at(const struct exec *e, const struct step *s, const struct span *at, int i)
{
    int h = exec_node(e, s->output)->h;
    return (struct row){at->image + i / h, i % h};
}

/* In a cpu_work: e, s and at are its own. */
#define FOR_EACH_ROW(r)                           \
    int begin, end;                               \
    rows_part(e, s, at, &begin, &end);            \
    for (int index = begin; index < end; index++) \
        for (struct row r = row_at(e, s, at, index), *once = &r; once; once = NULL)

/* The images of the call are read where they lie. */
static inline const uint8_t *pixels_row(const struct exec *e, const struct span *at, struct row r)
{
    const struct node *n = exec_node(e, 0);
    return at->images + ((size_t)r.image * (size_t)n->h + (size_t)r.y) * (size_t)n->w * (size_t)n->c;
}

/* ---- bfloat16: rows are widened, computed as floats and rounded ---- */

static inline float *scratch_floats(const struct span *at, size_t first)
{
    return (float *)at->scratch + first;
}

static inline void row_widen(const struct exec *e, int node, const struct span *at, struct row r, float *to)
{
    e->kernels->elementwise.widen_bf16(row_of(e, node, at, r), row_elements(exec_node(e, node)), to);
}

/* Logits stay floats. */
static inline void row_round(const struct exec *e, const struct step *s, const struct span *at, struct row r,
                             const float *from)
{
    size_t count = row_elements(exec_node(e, s->output));
    void *to = row_of(e, s->output, at, r);
    if (cpu_of(e)->values[s->output].element == sizeof(bf16))
        e->kernels->elementwise.round_bf16(from, count, to);
    else
        memcpy(to, from, count * sizeof *from);
}

#endif
