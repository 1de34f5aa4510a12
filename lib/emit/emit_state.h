/* emit_state.h: what the parts of the emitter share. Private to lib/emit. */
#ifndef RESQ_EMIT_EMIT_STATE_H
#define RESQ_EMIT_EMIT_STATE_H

#include "emit/emit.h"
#include "exec/infer/step_constants.h"
#include "exec/plan/lifetimes.h"
#include "exec/plan/steps.h"

/* ---- pieces ---- */

enum piece {
#define PIECE(name, needs) PIECE_##name,
#include "emit/pieces.inc"
#undef PIECE
    PIECE_COUNT
};

/* ---- the emitter ---- */

enum { IDENTIFIER_SIZE = NODE_NAME_SIZE + 24 };

/* A failure stays in status and ends all writing: it is checked at the end. */
struct emit {
    const struct model *model;
    const struct emit_options *options;
    struct emitted *out;
    char upper[EMIT_NAME_MAX + 1]; /* the name, for macros */
    struct steps steps;
    struct step_constants *constants; /* one a step */
    struct lifetime *values;          /* one a node */
    struct lifetime *room;            /* behind them: for unpacked weights */
    size_t arena_bytes;
    uint64_t needed;           /* a bit a piece */
    int has_float_values;      /* in the arena */
    struct text tables, calls; /* the layers' constants; what NAME_run does */
    int status;
    struct message *m;
};

/* printf into one of e's texts. */
void put(struct emit *e, struct text *t, const char *format, ...) RESQ_PRINTF(3, 4);
void emit_fail(struct emit *e, int status);  /* where it is a failure */
void need(struct emit *e, enum piece piece); /* and all that it needs */
void put_piece(struct emit *e, struct text *t, enum piece piece);
void put_pieces(struct emit *e, struct text *t); /* those needed, in order */

/* ---- words.c: how things are written ---- */

/* A string literal: no byte of it can end it or mean anything. */
void put_string(struct emit *e, struct text *t, const char *s);
/* Lines of a comment, each behind " * " and `indent`: no byte can end it. */
void put_comment(struct emit *e, struct text *t, const char *indent, const char *lines);
/* "layer1_0_conv1_weights_7": a node's name, what of it ("", "_weights"), its place in the graph. */
void identifier(char out[IDENTIFIER_SIZE], const char *name, const char *what, int place);
void name_upper(const char *name, char out[EMIT_NAME_MAX + 1]); /* for macros */
/* `{7, -12}, ..` in lines of about a hundred letters. */
void put_bytes(struct emit *e, struct text *t, const uint8_t *v, size_t count);
void put_signed_bytes(struct emit *e, struct text *t, const int8_t *v, size_t count);
void put_floats(struct emit *e, struct text *t, const float *v, size_t count);
enum { FLOAT_WORD = 40 };
void float_word(char out[FLOAT_WORD], float x); /* the shortest decimal that reads back as this float */
/* As a struct real; |x| < 2^64, finite. */
void put_real(struct emit *e, struct text *t, float x);

/* ---- layers.c ---- */

/* STATUS_UNSUPPORTED names a node whose op, or an option of it, the code does not know. */
int emit_check_node(const struct node *n, struct message *m) RESQ_USE_RESULT;
/* What the constants of step i are called: its node's name and what they are ("", "_bias"). */
void constant_name(const struct emit *e, int i, const char *what, char out[IDENTIFIER_SIZE]);
/* Constants and call of step i. */
void put_step(struct emit *e, int i);
/* How NAME_run calls a node's value: an identifier, or its parameter. */
void value_name(const struct emit *e, int node, char out[IDENTIFIER_SIZE]);

/* ---- test.c ---- */

void put_test(struct emit *e, struct text *t);

/* ---- weights.c: the one place that writes weights ---- */

/* Room for the longest. */
enum { POINTER_SIZE = IDENTIFIER_SIZE + 64 };

/* Writes step i's weights, in the order that its code wants, into the tables or to those beside. pointer: the
 * expression for them. Codes are packed as closely as they fit, to 2, 4 or 8
 * bits; returns which (of floats: 32). */
int put_weights(struct emit *e, int i, char pointer[POINTER_SIZE]);
/* Bytes in which an output's weights of step i are unpacked; 0: they are not packed. */
size_t weights_room(struct emit *e, int i);
/* How the source takes in the weights beside it. */
void put_weights_beside(struct emit *e, struct text *t);
/* Makes NAME_run refuse others, once they are written. */
void put_weights_check(struct emit *e, struct text *t);

#endif
