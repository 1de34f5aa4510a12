#include "pass/bit_plan.h"
#include "base/memory.h"
#include "graph/op.h"
#include "record/file.h"
#include <string.h>

enum { PLAN_MAX_BYTES = 1 << 20 };
enum { LEAST_BITS = 2, MOST_BITS = 8, NAME_WIDTH = 28 };

int bit_plan_has_weights(const struct graph *fused, int i)
{
    return op_of(&fused->nodes[i])->integer == INTEGER_LAYER;
}

int bit_plan_has_activations(const struct graph *fused, int i)
{
    const struct op *op = op_of(&fused->nodes[i]);
    return node_is_observed(fused, i) &&
           (op->reads_pixels || op->integer == INTEGER_LAYER || op->integer == INTEGER_OWN_MAP);
}

int bit_plan_open(struct bit_plan *p, const struct graph *fused, struct message *m)
{
    *p = (struct bit_plan){.nodes = fused->count};
    p->rows = memory_new((size_t)fused->count, sizeof *p->rows, m);
    return p->rows ? 0 : STATUS_NOMEM;
}

void bit_plan_free(struct bit_plan *p)
{
    memory_free(p->rows);
    *p = (struct bit_plan){0};
}

int bit_plan_has_low_weights(const struct bit_plan *p)
{
    for (int i = 0; p && i < p->nodes; i++)
        if (p->rows[i].weights && p->rows[i].weights < MOST_BITS)
            return 1;
    return 0;
}

int bit_plan_is_low(const struct bit_plan *p)
{
    for (int i = 0; p && i < p->nodes; i++)
        if (p->rows[i].activations && p->rows[i].activations < MOST_BITS)
            return 1;
    return bit_plan_has_low_weights(p);
}

/* ---- text ---- */

struct word {
    const char *at;
    int length;
};

static int is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Cuts a line, up to its comment, into at most `most` words and counts them all. */
static int cut(const char *line, const char *end, struct word *words, int most)
{
    const char *stop = memchr(line, '#', (size_t)(end - line));
    int count = 0;
    if (stop)
        end = stop;
    while (line < end) {
        const char *begin = line;
        while (line < end && !is_space(*line))
            line++;
        if (line > begin && count++ < most)
            words[count - 1] = (struct word){begin, (int)(line - begin)};
        line += line < end;
    }
    return count;
}

static int bits_read(struct word w, int *bits, const char *what, struct message *m)
{
    *bits = 0;
    if (w.length == 1 && *w.at == '-')
        return 0;
    if (w.length != 1 || *w.at < '0' + LEAST_BITS || *w.at > '0' + MOST_BITS)
        return message_set(m, STATUS_RANGE, "%s: '%.*s' bits, want %d to %d, or -", what, w.length, w.at,
                           LEAST_BITS, MOST_BITS);
    *bits = *w.at - '0';
    return 0;
}

static int find(const struct graph *g, struct word name)
{
    for (int i = 0; i < g->count; i++)
        if (strlen(g->nodes[i].name) == (size_t)name.length &&
            memcmp(g->nodes[i].name, name.at, (size_t)name.length) == 0)
            return i;
    return -1;
}

/* lines: [nodes], where each was named before, 0: nowhere. */
static int read_line(struct bit_plan *p, const struct graph *g, const char *line, const char *end, int *lines,
                     int number, struct message *m)
{
    enum { FIELDS = 3 };
    struct word words[FIELDS];
    int count = cut(line, end, words, FIELDS);
    struct bit_row row;
    if (count == 0)
        return 0;
    if (count != FIELDS)
        return message_set(m, STATUS_FORMAT, "%d fields, want LAYER WEIGHT-BITS ACTIVATION-BITS", count);
    int i = find(g, words[0]);
    if (i < 0)
        return message_set(m, STATUS_MISMATCH, "the network has no layer '%.*s'", words[0].length, words[0].at);
    if (lines[i])
        return message_set(m, STATUS_FORMAT, "'%s' again, which line %d has", g->nodes[i].name, lines[i]);
    lines[i] = number;
    TRY(bits_read(words[1], &row.weights, "weights", m));
    TRY(bits_read(words[2], &row.activations, "activations", m));
    if (row.weights && !bit_plan_has_weights(g, i))
        return message_set(m, STATUS_MISMATCH, "'%s' has no weights: want -", g->nodes[i].name);
    if (row.activations && !bit_plan_has_activations(g, i))
        return message_set(m, STATUS_MISMATCH, "'%s' gives no codes of its own: want -", g->nodes[i].name);
    p->rows[i] = row;
    return 0;
}

static int read_lines(struct bit_plan *p, const char *text, size_t length, const struct graph *g, int *lines,
                      struct message *m)
{
    const char *end = text + length;
    for (int number = 1; text < end; number++) {
        const char *next = memchr(text, '\n', (size_t)(end - text));
        int status = read_line(p, g, text, next ? next : end, lines, number, m);
        if (status < 0)
            return message_prefix(m, status, "line %d", number);
        text = next ? next + 1 : end;
    }
    return 0;
}

int bit_plan_parse(struct bit_plan *p, const char *text, size_t length, const struct graph *fused,
                   struct message *m)
{
    int *lines = memory_new((size_t)fused->count, sizeof *lines, m);
    int status = lines ? bit_plan_open(p, fused, m) : STATUS_NOMEM;
    if (!lines)
        *p = (struct bit_plan){0};
    if (status >= 0)
        status = read_lines(p, text, length, fused, lines, m);
    if (status < 0)
        bit_plan_free(p);
    memory_free(lines);
    return status;
}

static char digit(int bits)
{
    return bits ? (char)('0' + bits) : '-';
}

int bit_plan_print(const struct bit_plan *p, const struct graph *fused, struct text *t, struct message *m)
{
    TRY(text_add(t, m, "# %-*s weights activations\n", NAME_WIDTH - 2, "layer"));
    for (int i = 0; i < p->nodes; i++)
        if (bit_plan_has_weights(fused, i) || bit_plan_has_activations(fused, i))
            TRY(text_add(t, m, "%-*s %c       %c\n", NAME_WIDTH, fused->nodes[i].name, digit(p->rows[i].weights),
                         digit(p->rows[i].activations)));
    return 0;
}

static int digest(const struct bit_plan *p, const struct graph *fused, char hex[DIGEST_HEX], struct message *m)
{
    struct text text = {0};
    int status = bit_plan_print(p, fused, &text, m);
    if (status >= 0)
        digest_bytes(text.data, text.length, hex);
    text_free(&text);
    return status;
}

int bit_plan_load(struct bit_plan *p, const char *path, const struct graph *fused, char hex[DIGEST_HEX],
                  struct message *m)
{
    struct text text = {0};
    *p = (struct bit_plan){0};
    TRY(file_read(path, PLAN_MAX_BYTES, &text, m));
    int status = bit_plan_parse(p, text.data, text.length, fused, m);
    text_free(&text);
    if (status < 0)
        return message_prefix(m, status, "%s", path);
    status = digest(p, fused, hex, m);
    if (status < 0)
        bit_plan_free(p);
    return status;
}
