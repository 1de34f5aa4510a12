/* The graph's text, one line at a time. Every message names its line. */
#include "graph/graph.h"
#include <stdio.h>
#include <string.h>

enum { MAX_WORDS = 32, MAX_WORD = 255 };

/* The words of one line, cut at blanks; the line itself is not copied. */
struct word {
    const char *start;
    int length;
};

struct line {
    struct word words[MAX_WORDS];
    int count, next;
};

static int word_is(struct word w, const char *s)
{
    return (size_t)w.length == strlen(s) && memcmp(w.start, s, (size_t)w.length) == 0;
}

static void word_copy(struct word w, char out[MAX_WORD + 1])
{
    memcpy(out, w.start, (size_t)w.length);
    out[w.length] = '\0';
}

static int is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static int line_split(struct line *l, const char *start, size_t length, struct message *m)
{
    const char *end = memchr(start, '#', length);
    end = end ? end : start + length;
    l->count = l->next = 0;
    while (start < end) {
        if (is_blank(*start)) {
            start++;
            continue;
        }
        const char *stop = start;
        while (stop < end && !is_blank(*stop))
            stop++;
        if (stop - start > MAX_WORD)
            return message_set(m, STATUS_FORMAT, "a word of more than %d bytes", MAX_WORD);
        if (l->count == MAX_WORDS)
            return message_set(m, STATUS_FORMAT, "more than %d words", MAX_WORDS);
        l->words[l->count++] = (struct word){start, (int)(stop - start)};
        start = stop;
    }
    return 0;
}

static int find_op(struct word w)
{
    for (int op = 0; op < OP_COUNT; op++)
        if (word_is(w, graph_op_name((enum graph_op)op)))
            return op;
    return -1;
}

static int find_node(const struct graph *g, const char *name, struct message *m)
{
    int i = graph_find(g, name);
    return i >= 0 && i < g->count - 1 ? i
                                      : message_set(m, STATUS_FORMAT, "no node '%s' stands before this one", name);
}

static int parse_floats(const char *key, char *values, float *out, int *count, int limit, struct message *m)
{
    *count = 0;
    for (char *p = values; p;) {
        char *comma = strchr(p, ',');
        double value;
        if (comma)
            *comma++ = '\0';
        if (*count == limit)
            return message_set(m, STATUS_FORMAT, "%s has more than %d values", key, limit);
        TRY(parse_number(p, -3.4e38, 3.4e38, key, &value, m));
        out[(*count)++] = (float)value;
        p = comma;
    }
    return 0;
}

/* Which of an operation's options were given. */
enum {
    GAVE_OUT = 1,
    GAVE_KERNEL = 2,
    GAVE_STRIDE = 4,
    GAVE_PAD = 8,
    GAVE_GROUPS = 16,
    GAVE_BIAS = 32,
    GAVE_RELU = 64,
    GAVE_ADD = 128,
    GAVE_MEAN = 256,
    GAVE_STD = 512,
    GAVE_EPS = 1024
};

static const struct {
    const char *name;
    int bit;
} keys[] = {{"out", GAVE_OUT},       {"kernel", GAVE_KERNEL}, {"stride", GAVE_STRIDE}, {"pad", GAVE_PAD},
            {"groups", GAVE_GROUPS}, {"bias", GAVE_BIAS},     {"relu", GAVE_RELU},     {"add", GAVE_ADD},
            {"mean", GAVE_MEAN},     {"std", GAVE_STD},       {"eps", GAVE_EPS}};

static const struct {
    int legal, needed;
} op_keys[OP_COUNT] = {
    [OP_NORMALIZE] = {GAVE_MEAN | GAVE_STD, GAVE_MEAN | GAVE_STD},
    [OP_CONV2D] = {GAVE_OUT | GAVE_KERNEL | GAVE_STRIDE | GAVE_PAD | GAVE_GROUPS | GAVE_BIAS | GAVE_RELU | GAVE_ADD,
                   GAVE_OUT | GAVE_KERNEL},
    [OP_BATCHNORM] = {GAVE_EPS, 0},
    [OP_LINEAR] = {GAVE_OUT | GAVE_BIAS, GAVE_OUT},
};

struct given {
    int bits, mean_count, std_count;
};

static int set_integer(const char *key, const char *value, int *out, struct message *m)
{
    int64_t number;
    TRY(parse_integer(value, 0, GRAPH_MAX_CHANNELS, key, &number, m));
    *out = (int)number;
    return 0;
}

static int set_value(const struct graph *g, struct node *n, int bit, const char *key, char *value,
                     struct given *given, struct message *m)
{
    int one;
    switch (bit) {
    case GAVE_OUT:
        return set_integer(key, value, &n->out, m);
    case GAVE_KERNEL:
        return set_integer(key, value, &n->kernel, m);
    case GAVE_STRIDE:
        return set_integer(key, value, &n->stride, m);
    case GAVE_PAD:
        return set_integer(key, value, &n->pad, m);
    case GAVE_GROUPS:
        return set_integer(key, value, &n->groups, m);
    case GAVE_MEAN:
        return parse_floats(key, value, n->mean, &given->mean_count, 4, m);
    case GAVE_STD:
        return parse_floats(key, value, n->std, &given->std_count, 4, m);
    case GAVE_EPS:
        return parse_floats(key, value, &n->eps, &one, 1, m);
    default: /* add= */
        TRY(n->inputs[1] = find_node(g, value, m));
        n->input_count = 2;
        return 0;
    }
}

static int parse_option(const struct graph *g, struct node *n, struct word w, struct given *given,
                        struct message *m)
{
    char option[MAX_WORD + 1];
    word_copy(w, option);
    char *value = strchr(option, '=');
    if (value)
        *value++ = '\0';
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (strcmp(option, keys[i].name) != 0)
            continue;
        int bit = keys[i].bit, is_flag = bit == GAVE_BIAS || bit == GAVE_RELU;
        if (!(op_keys[n->op].legal & bit))
            break;
        if (given->bits & bit)
            return message_set(m, STATUS_FORMAT, "'%s' is given twice", option);
        if (is_flag != (value == NULL))
            return message_set(m, STATUS_FORMAT, is_flag ? "'%s' takes no value" : "'%s' needs a value", option);
        given->bits |= bit;
        n->has_bias |= bit == GAVE_BIAS;
        n->has_relu |= bit == GAVE_RELU;
        return is_flag ? 0 : set_value(g, n, bit, option, value, given, m);
    }
    return message_set(m, STATUS_FORMAT, "%s has no option '%s'", graph_op_name(n->op), option);
}

/* "u8[32,32,3]" into n's type and shape. */
static int parse_type(struct word w, struct node *n, struct message *m)
{
    char text[MAX_WORD + 1], *dims = text, *p;
    word_copy(w, text);
    int sizes[3] = {1, 1, 1}, rank = 0, length = w.length;
    n->type = strncmp(text, "u8[", 3) == 0 ? NODE_U8 : NODE_F32;
    dims += n->type == NODE_U8 ? 3 : 4;
    if ((n->type == NODE_F32 && strncmp(text, "f32[", 4) != 0) || text[length - 1] != ']')
        return message_set(m, STATUS_FORMAT, "'%s' is not a type", text);
    text[length - 1] = '\0';
    for (p = dims; p; rank++) {
        char *comma = strchr(p, ',');
        if (comma)
            *comma++ = '\0';
        if (rank == 3)
            return message_set(m, STATUS_FORMAT, "a type has one or three dimensions");
        TRY(set_integer("dimension", p, &sizes[rank], m));
        p = comma;
    }
    if (rank == 2)
        return message_set(m, STATUS_FORMAT, "a type has one or three dimensions");
    n->is_vector = rank == 1;
    n->h = rank == 3 ? sizes[0] : 1;
    n->w = rank == 3 ? sizes[1] : 1;
    n->c = rank == 3 ? sizes[2] : sizes[0];
    return 0;
}

/* Input names, options and the type, in this order; *typed says whether a type was given. */
static int parse_rest(const struct graph *g, struct line *l, struct node *n, struct given *given, int *typed,
                      struct message *m)
{
    int want = n->op == OP_INPUT ? 0 : n->op == OP_ADD ? 2 : 1;
    for (int k = 0; k < want; k++) {
        char name[MAX_WORD + 1];
        if (l->next == l->count)
            return message_set(m, STATUS_FORMAT, "%s wants %d input%s", graph_op_name(n->op), want,
                               &"s"[want == 1]);
        word_copy(l->words[l->next++], name);
        TRY(n->inputs[k] = find_node(g, name, m));
        n->input_count = k + 1;
    }
    for (; l->next < l->count; l->next++) {
        struct word w = l->words[l->next];
        if (memchr(w.start, '[', (size_t)w.length)) {
            if (l->next != l->count - 1)
                return message_set(m, STATUS_FORMAT, "the type is the last word of a line");
            *typed = 1;
            return parse_type(w, n, m);
        }
        TRY(parse_option(g, n, w, given, m));
    }
    return 0;
}

static int check_given(const struct graph *g, const struct node *n, const struct given *given, struct message *m)
{
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (op_keys[n->op].needed & keys[i].bit & ~given->bits)
            return message_set(m, STATUS_FORMAT, "%s needs %s=", graph_op_name(n->op), keys[i].name);
    if (n->op == OP_NORMALIZE) {
        int channels = g->nodes[n->inputs[0]].c;
        if (given->mean_count != channels || given->std_count != channels)
            return message_set(m, STATUS_FORMAT, "mean= and std= want %d values", channels);
    }
    return 0;
}

static int refuse_op(const char *name, struct message *m)
{
    char known[256] = "";
    for (int op = 0, used = 0; op < OP_COUNT && used < (int)sizeof known; op++)
        used += snprintf(known + used, sizeof known - (size_t)used, " %s", graph_op_name((enum graph_op)op));
    return message_set(m, STATUS_FORMAT, "unknown operation '%s', known are%s", name, known);
}

/* One line that is not empty: appends its node to g. `declared` receives the type that the text gives. */
static int parse_line(struct graph *g, struct line *l, struct node *declared, int *typed, struct message *m)
{
    char name[MAX_WORD + 1];
    if (l->count < 3 || !word_is(l->words[1], "="))
        return message_set(m, STATUS_FORMAT, "want NAME = OP ...");
    int op = find_op(l->words[2]);
    word_copy(l->words[0], name);
    if (op < 0) {
        word_copy(l->words[2], name);
        return refuse_op(name, m);
    }
    int i = graph_append(g, (enum graph_op)op, name, -1, -1, m);
    TRY(i);
    struct given given = {0};
    struct node *n = &g->nodes[i];
    l->next = 3;
    *typed = 0;
    TRY(parse_rest(g, l, n, &given, typed, m));
    TRY(check_given(g, n, &given, m));
    if (op == OP_INPUT && !*typed)
        return message_set(m, STATUS_FORMAT, "the input needs its type, e.g. u8[32,32,3]");
    *declared = *n;
    return 0;
}

/* A type in the text is a claim about what the operation gives. */
static int check_declared(const struct graph *g, const struct node *declared, struct message *m)
{
    const struct node *n = &g->nodes[g->count - 1];
    char got[64], want[64];
    if (n->type == declared->type && n->h == declared->h && n->w == declared->w && n->c == declared->c &&
        n->is_vector == declared->is_vector)
        return 0;
    node_describe(declared, got);
    node_describe(n, want);
    return message_set(m, STATUS_MISMATCH, "node '%s' says %s but gives %s", n->name, got, want);
}

static int parse_lines(struct graph *g, const char *text, struct message *m)
{
    int number = 0;
    for (const char *p = text; *p;) {
        size_t length = strcspn(p, "\n");
        struct line l;
        struct node declared;
        int typed = 0, status = line_split(&l, p, length, m);
        number++;
        if (status == 0 && l.count > 0)
            status = parse_line(g, &l, &declared, &typed, m);
        if (status == 0 && l.count > 0)
            status = graph_verify_last(g, m);
        if (status == 0 && l.count > 0 && typed)
            status = check_declared(g, &declared, m);
        if (status < 0)
            return message_prefix(m, status, "line %d", number);
        p += length + (p[length] == '\n');
    }
    return 0;
}

int graph_parse(struct graph *g, const char *text, struct message *m)
{
    *g = (struct graph){0};
    int status = parse_lines(g, text, m);
    if (status == 0)
        status = graph_verify(g, m);
    if (status < 0)
        graph_free(g);
    return status;
}
