/* table.h: TSV in and out: `# key: value` lines, one header line, rows. */
#ifndef RESQ_REPORT_TABLE_H
#define RESQ_REPORT_TABLE_H

#include "base/status.h"
#include "base/text.h"

/* A table in memory; every cell is a string. All-zero is empty; table_free also after any failure. */
struct table {
    int columns, rows, notes;
    char **header; /* [columns] */
    char **cells;  /* [rows * columns] */
    char **note_keys, **note_values;
    int row_capacity, note_capacity;
};

int table_columns(struct table *t, const char *names, struct message *m) RESQ_USE_RESULT; /* space-separated */
int table_note(struct table *t, const char *key, const char *value, struct message *m) RESQ_USE_RESULT;
/* One row from `columns` tab-separated fields. */
int table_rowf(struct table *t, struct message *m, const char *format, ...) RESQ_PRINTF(3, 4) RESQ_USE_RESULT;
int table_print(const struct table *t, struct text *out, struct message *m) RESQ_USE_RESULT;
/* Reads a whole TSV ("-": standard input), of at most 2^21 cells; a ragged row, a carriage return, a zero byte or a
 * byte order mark is STATUS_FORMAT with its line number or offset. Cells may hold any other bytes. t is empty after
 * a failure. */
int table_load(struct table *t, const char *path, struct message *m) RESQ_USE_RESULT;
int table_save(const struct table *t, const char *path,
               struct message *m) RESQ_USE_RESULT;         /* atomic; "-": stdout */
int table_column(const struct table *t, const char *name); /* index or -1 */
const char *table_cell(const struct table *t, int row, int column);
/* The number in a cell, in [low, high]: STATUS_FORMAT or STATUS_RANGE with the row (1-based) and the column's name. */
int table_number(const struct table *t, int row, const char *column, double low, double high, double *value,
                 struct message *m) RESQ_USE_RESULT;
const char *table_get_note(const struct table *t, const char *key); /* NULL where absent */
/* The same where it must be there: STATUS_FORMAT. */
int table_note_of(const struct table *t, const char *key, const char **value, struct message *m) RESQ_USE_RESULT;
void table_free(struct table *t);

#endif
