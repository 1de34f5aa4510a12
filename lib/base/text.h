/* text.h: a growable string, and strict numbers. Numbers are always read and written in the C locale. */
#ifndef RESQ_BASE_TEXT_H
#define RESQ_BASE_TEXT_H

#include "base/status.h"
#include <stddef.h>
#include <stdint.h>

/* All-zero is the empty text; data is NUL-terminated once anything was added, and owned by the text. */
struct text {
    char *data;
    size_t length, capacity;
};

int text_add(struct text *t, struct message *m, const char *format, ...) RESQ_PRINTF(3, 4) RESQ_USE_RESULT;
int text_add_bytes(struct text *t, const void *bytes, size_t count, struct message *m) RESQ_USE_RESULT;
void text_clear(struct text *t); /* length 0, memory kept */
void text_free(struct text *t);

/* Whole-string parse of a decimal integer in [low, high]. 0, or STATUS_RANGE with `what: 'S' is not ...`. */
int parse_integer(const char *s, int64_t low, int64_t high, const char *what, int64_t *value,
                  struct message *m) RESQ_USE_RESULT;
/* Whole-string parse of a finite number in [low, high]; hex floats, "inf", "nan" and surplus bytes are refused. */
int parse_number(const char *s, double low, double high, const char *what, double *value,
                 struct message *m) RESQ_USE_RESULT;
/* The double that v, printed with so many decimals (0..20), reads as. */
double round_decimals(double v, int decimals);
/* Shortest decimal that reads back as the same double (or float): at most 31 bytes with the NUL. */
void format_number(char out[32], double value);
void format_number_f32(char out[32], float value);

#endif
