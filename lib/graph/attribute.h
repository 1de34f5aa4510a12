/* attribute.h: the options of an op: for each its field of struct node, its text, its range, its value where left out.
 */
#ifndef RESQ_GRAPH_ATTRIBUTE_H
#define RESQ_GRAPH_ATTRIBUTE_H

#include "graph/graph.h"

enum attribute_kind {
    ATTRIBUTE_INTEGER,  /* int: `out=16`; in the text 0..GRAPH_MAX_CHANNELS */
    ATTRIBUTE_FLAG,     /* int, 0 or 1: `relu` */
    ATTRIBUTE_NUMBER,   /* float: `eps=0.001` */
    ATTRIBUTE_RANGE,    /* struct clip: `clip=0,6` */
    ATTRIBUTE_CHANNELS, /* float[4], one a channel of the first input: `mean=0.5,0.5,0.5` */
    ATTRIBUTE_INPUT     /* one more input, of the type and shape of the result: `add=NODE` */
};

struct attribute {
    const char *name; /* as the text has it; NULL closes a list */
    enum attribute_kind kind;
    size_t offset; /* of its field in struct node, ATTRIBUTE_FIELD(..); ATTRIBUTE_INPUT has none */
    int input;     /* ATTRIBUTE_INPUT: which of the node's inputs it is, behind those that stand after the op */
    int is_needed; /* the text must give it, and it is always printed */
    float initial; /* INTEGER and NUMBER: the value where left out; it is then not printed */
    int low, high; /* INTEGER, NUMBER and RANGE: the legal values, both ends included */
    size_t below;  /* INTEGER: ATTRIBUTE_FIELD(..) of an int of the node that it must stay below; 0: none */
    enum graph_op absorbs; /* the op that it makes the last step of its node; OP_INPUT: none */
};

enum { CLIP_MOST = 1000000 /* of either end's size */ };

#define ATTRIBUTE_FIELD(name) offsetof(struct node, name)

/* STATUS_RANGE, `WHAT=VALUE is not in LOW..HIGH`. */
int integer_check(const char *what, int value, int low, int high, struct message *m) RESQ_USE_RESULT;
/* The index of the node `name` among those before g's last, which is being read; else STATUS_FORMAT. */
int input_find(const struct graph *g, const char *name, struct message *m) RESQ_USE_RESULT;

/* Of a list (NULL: empty): the attribute called `name`, or NULL. */
const struct attribute *attribute_find(const struct attribute *list, const char *name);
/* Gives the fields of a zeroed node the values they have where the text says nothing. */
void attributes_reset(const struct attribute *list, struct node *n);
/* Every field within its range; else STATUS_RANGE. */
int attributes_check(const struct attribute *list, const struct node *n, struct message *m) RESQ_USE_RESULT;

/* Reads `value` (changed meanwhile; NULL for a flag) into g's last node n. Returns how many numbers it held, or a
 * failure: STATUS_RANGE or STATUS_FORMAT. */
int attribute_parse(const struct attribute *a, const struct graph *g, struct node *n, char *value,
                    struct message *m) RESQ_USE_RESULT;
/* 1 where the text has to say it: needed, or not as where left out. */
int attribute_is_given(const struct attribute *a, const struct node *n);
/* Adds " name=value", or " name" of a flag, where it is given. */
int attribute_print(const struct attribute *a, const struct graph *g, const struct node *n, struct text *t,
                    struct message *m) RESQ_USE_RESULT;
/* Makes what node `from` computes an attribute of n, which `absorbs` it: sets a flag, or takes over the range. */
void attribute_absorb(const struct attribute *a, struct node *n, const struct node *from);

#endif
