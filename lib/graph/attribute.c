/* A kind of attribute: how it reads, prints, is checked and left out. A new kind is a case in each switch. */
#include "graph/attribute.h"
#include <string.h>

enum { MOST_CHANNELS = sizeof((struct node *)0)->mean / sizeof(float) };

static int integer_get(const struct node *n, size_t offset)
{
    int value;
    memcpy(&value, (const char *)n + offset, sizeof value);
    return value;
}

static void integer_set(struct node *n, size_t offset, int value)
{
    memcpy((char *)n + offset, &value, sizeof value);
}

static float number_get(const struct node *n, size_t offset, int i)
{
    float value;
    memcpy(&value, (const char *)n + offset + (size_t)i * sizeof value, sizeof value);
    return value;
}

static void number_set(struct node *n, size_t offset, int i, float value)
{
    memcpy((char *)n + offset + (size_t)i * sizeof value, &value, sizeof value);
}

int integer_check(const char *what, int value, int low, int high, struct message *m)
{
    if (value >= low && value <= high)
        return 0;
    return message_set(m, STATUS_RANGE, "%s=%d is not in %d..%d", what, value, low, high);
}

int input_find(const struct graph *g, const char *name, struct message *m)
{
    int i = graph_find(g, name);
    if (i >= 0 && i < g->count - 1)
        return i;
    return message_set(m, STATUS_FORMAT, "no node '%s' stands before this one", name);
}

const struct attribute *attribute_find(const struct attribute *list, const char *name)
{
    for (const struct attribute *a = list; a && a->name; a++)
        if (strcmp(a->name, name) == 0)
            return a;
    return NULL;
}

void attributes_reset(const struct attribute *list, struct node *n)
{
    for (const struct attribute *a = list; a && a->name; a++) {
        if (a->kind == ATTRIBUTE_INTEGER)
            integer_set(n, a->offset, (int)a->initial);
        if (a->kind == ATTRIBUTE_NUMBER)
            number_set(n, a->offset, 0, a->initial);
    }
}

static struct clip range_get(const struct node *n, size_t offset)
{
    struct clip value;
    memcpy(&value, (const char *)n + offset, sizeof value);
    return value;
}

static void range_set(struct node *n, size_t offset, struct clip value)
{
    memcpy((char *)n + offset, &value, sizeof value);
}

static int check_range(const struct attribute *a, const struct clip *c, struct message *m)
{
    if (!c->on || (c->low >= (float)a->low && c->high <= (float)a->high && c->low < c->high))
        return 0;
    return message_set(m, STATUS_RANGE, "%s is not two rising numbers in %d..%d", a->name, a->low, a->high);
}

static int check_one(const struct attribute *a, const struct node *n, struct message *m)
{
    if (a->kind == ATTRIBUTE_INTEGER) {
        int below = a->below ? integer_get(n, a->below) - 1 : a->high;
        return integer_check(a->name, integer_get(n, a->offset), a->low, below < a->high ? below : a->high, m);
    }
    if (a->kind == ATTRIBUTE_RANGE) {
        struct clip range = range_get(n, a->offset);
        return check_range(a, &range, m);
    }
    if (a->kind != ATTRIBUTE_NUMBER)
        return 0;
    float value = number_get(n, a->offset, 0);
    if (value >= (float)a->low && value <= (float)a->high)
        return 0;
    return message_set(m, STATUS_RANGE, "%s is not in %d..%d", a->name, a->low, a->high);
}

int attributes_check(const struct attribute *list, const struct node *n, struct message *m)
{
    for (const struct attribute *a = list; a && a->name; a++)
        TRY(check_one(a, n, m));
    return 0;
}

/* The numbers of "a,b,c" into `to`, at most `limit`; returns how many. */
static int parse_numbers(const struct attribute *a, int limit, float *to, char *values, struct message *m)
{
    int count = 0;
    for (char *p = values; p;) {
        char *comma = strchr(p, ',');
        double value;
        if (comma)
            *comma++ = '\0';
        if (count == limit)
            return message_set(m, STATUS_FORMAT, "%s has more than %d values", a->name, limit);
        TRY(parse_number(p, -3.4e38, 3.4e38, a->name, &value, m));
        to[count++] = (float)value;
        p = comma;
    }
    return count;
}

static int parse_fields(const struct attribute *a, int limit, struct node *n, char *values, struct message *m)
{
    float numbers[MOST_CHANNELS];
    int count = parse_numbers(a, limit, numbers, values, m);
    for (int i = 0; i < count; i++)
        number_set(n, a->offset, i, numbers[i]);
    return count;
}

static int parse_range(const struct attribute *a, struct node *n, char *values, struct message *m)
{
    float ends[2];
    int count = parse_numbers(a, 2, ends, values, m);
    TRY(count);
    if (count != 2)
        return message_set(m, STATUS_FORMAT, "%s wants two numbers", a->name);
    range_set(n, a->offset, (struct clip){1, ends[0], ends[1]});
    return 0;
}

int attribute_parse(const struct attribute *a, const struct graph *g, struct node *n, char *value,
                    struct message *m)
{
    int64_t number;
    switch (a->kind) {
    case ATTRIBUTE_INTEGER:
        TRY(parse_integer(value, 0, GRAPH_MAX_CHANNELS, a->name, &number, m));
        integer_set(n, a->offset, (int)number);
        return 1;
    case ATTRIBUTE_FLAG:
        integer_set(n, a->offset, 1);
        return 0;
    case ATTRIBUTE_NUMBER:
        return parse_fields(a, 1, n, value, m);
    case ATTRIBUTE_RANGE:
        return parse_range(a, n, value, m);
    case ATTRIBUTE_CHANNELS:
        return parse_fields(a, MOST_CHANNELS, n, value, m);
    case ATTRIBUTE_INPUT:
        TRY(n->inputs[a->input] = input_find(g, value, m));
        n->input_count = a->input + 1;
        return 0;
    }
    return 0;
}

int attribute_is_given(const struct attribute *a, const struct node *n)
{
    switch (a->kind) {
    case ATTRIBUTE_INTEGER:
        return a->is_needed || integer_get(n, a->offset) != (int)a->initial;
    case ATTRIBUTE_FLAG:
        return integer_get(n, a->offset) != 0;
    case ATTRIBUTE_NUMBER:
        return a->is_needed || number_get(n, a->offset, 0) != a->initial;
    case ATTRIBUTE_RANGE:
        return range_get(n, a->offset).on;
    case ATTRIBUTE_CHANNELS:
        return 1;
    case ATTRIBUTE_INPUT:
        return n->input_count > a->input;
    }
    return 0;
}

static int print_numbers(const float *numbers, int count, struct text *t, struct message *m)
{
    for (int i = 0; i < count; i++) {
        char number[32];
        format_number_f32(number, numbers[i]);
        TRY(text_add(t, m, "%c%s", i ? ',' : '=', number));
    }
    return 0;
}

static int print_fields(const struct attribute *a, const struct node *n, int count, struct text *t,
                        struct message *m)
{
    float numbers[MOST_CHANNELS];
    for (int i = 0; i < count; i++)
        numbers[i] = number_get(n, a->offset, i);
    return print_numbers(numbers, count, t, m);
}

static int print_range(const struct clip *c, struct text *t, struct message *m)
{
    const float ends[2] = {c->low, c->high};
    return print_numbers(ends, 2, t, m);
}

int attribute_print(const struct attribute *a, const struct graph *g, const struct node *n, struct text *t,
                    struct message *m)
{
    if (!attribute_is_given(a, n))
        return 0;
    struct clip range;
    TRY(text_add(t, m, " %s", a->name));
    switch (a->kind) {
    case ATTRIBUTE_INTEGER:
        return text_add(t, m, "=%d", integer_get(n, a->offset));
    case ATTRIBUTE_FLAG:
        return 0;
    case ATTRIBUTE_NUMBER:
        return print_fields(a, n, 1, t, m);
    case ATTRIBUTE_RANGE:
        range = range_get(n, a->offset);
        return print_range(&range, t, m);
    case ATTRIBUTE_CHANNELS:
        return print_fields(a, n, g->nodes[n->inputs[0]].c, t, m);
    case ATTRIBUTE_INPUT:
        return text_add(t, m, "=%s", g->nodes[n->inputs[a->input]].name);
    }
    return 0;
}

void attribute_absorb(const struct attribute *a, struct node *n, const struct node *from)
{
    if (a->kind == ATTRIBUTE_RANGE)
        range_set(n, a->offset, (struct clip){1, from->clip.low, from->clip.high});
    else
        integer_set(n, a->offset, 1);
}
