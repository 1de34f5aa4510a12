/* The graph's text, one line at a time. Every message names its line. */
#include "graph/op.h"
#include <stdio.h>
#include <string.h>

enum { MAX_WORDS = NODE_MAX_INPUTS + 16, MAX_WORD = 255 };

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

/* What a line gave of its op's attributes, by their place in its list. */
struct given {
    unsigned bits;
    int counts[32]; /* how many numbers each held */
};

static int parse_option(const struct graph *g, struct node *n, struct word w, struct given *given,
                        struct message *m)
{
    char option[MAX_WORD + 1];
    word_copy(w, option);
    char *value = strchr(option, '=');
    if (value)
        *value++ = '\0';
    const struct attribute *list = op_of(n)->attributes, *a = attribute_find(list, option);
    if (!a)
        return message_set(m, STATUS_FORMAT, "%s has no option '%s'", op_of(n)->name, option);
    int at = (int)(a - list), is_flag = a->kind == ATTRIBUTE_FLAG;
    if (given->bits >> at & 1)
        return message_set(m, STATUS_FORMAT, "'%s' is given twice", option);
    if (is_flag != (value == NULL))
        return message_set(m, STATUS_FORMAT, is_flag ? "'%s' takes no value" : "'%s' needs a value", option);
    given->bits |= 1u << at;
    TRY(given->counts[at] = attribute_parse(a, g, n, value, m));
    return 0;
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
        int64_t size;
        TRY(parse_integer(p, 0, GRAPH_MAX_CHANNELS, "dimension", &size, m));
        sizes[rank] = (int)size;
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

/* Whether an input's name may stand here: no type, no option with a value. */
static int is_name(const struct line *l)
{
    struct word w = l->words[l->next];
    return !memchr(w.start, '[', (size_t)w.length) && !memchr(w.start, '=', (size_t)w.length);
}

static int parse_inputs(const struct graph *g, struct line *l, struct node *n, struct message *m)
{
    int want = op_of(n)->input_count;
    while (n->input_count < want || (op_of(n)->more_inputs && l->next < l->count && is_name(l))) {
        char name[MAX_WORD + 1];
        if (l->next == l->count)
            return message_set(m, STATUS_FORMAT, "%s wants %d input%s", op_of(n)->name, want, &"s"[want == 1]);
        if (n->input_count == NODE_MAX_INPUTS)
            return message_set(m, STATUS_FORMAT, "%s takes at most %d inputs", op_of(n)->name, NODE_MAX_INPUTS);
        word_copy(l->words[l->next++], name);
        TRY(n->inputs[n->input_count] = input_find(g, name, m));
        n->input_count++;
    }
    return 0;
}

/* Input names, options and the type, in this order; *typed says whether a type was given. */
static int parse_rest(const struct graph *g, struct line *l, struct node *n, struct given *given, int *typed,
                      struct message *m)
{
    TRY(parse_inputs(g, l, n, m));
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

/* A list has a value for each channel of the input. */
static int check_lists(const struct graph *g, const struct node *n, const struct given *given, struct message *m)
{
    const struct attribute *list = op_of(n)->attributes;
    char names[MAX_WORD] = "";
    int wrong = 0, used = 0, channels = n->input_count > 0 ? node_input(g, n, 0)->c : 0;
    for (int k = 0; list && list[k].name; k++) {
        if (list[k].kind != ATTRIBUTE_CHANNELS || used >= MAX_WORD)
            continue;
        used += snprintf(names + used, sizeof names - (size_t)used, "%s%s=", used ? " and " : "", list[k].name);
        wrong |= given->counts[k] != channels;
    }
    return wrong ? message_set(m, STATUS_FORMAT, "%s want %d values", names, channels) : 0;
}

static int check_given(const struct graph *g, const struct node *n, const struct given *given, struct message *m)
{
    const struct attribute *list = op_of(n)->attributes;
    for (int k = 0; list && list[k].name; k++)
        if (list[k].is_needed && !(given->bits >> k & 1))
            return message_set(m, STATUS_FORMAT, "%s needs %s=", op_of(n)->name, list[k].name);
    return check_lists(g, n, given, m);
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
