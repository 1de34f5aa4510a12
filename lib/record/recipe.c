#include "record/recipe.h"
#include <stdlib.h>
#include <string.h>

enum { RECIPE_MAX_WORDS = 1024 };

/* Words "key=value", each its own allocation. */
struct words {
    char *items[RECIPE_MAX_WORDS];
    int count;
};

static void words_free(struct words *w)
{
    for (int i = 0; i < w->count; i++)
        memory_free(w->items[i]);
    w->count = 0;
}

static int words_take(struct words *w, char *word, struct message *m)
{
    if (!word)
        return STATUS_NOMEM;
    if (w->count == RECIPE_MAX_WORDS) {
        memory_free(word);
        return message_set(m, STATUS_RANGE, "recipe: more than %d words", (int)RECIPE_MAX_WORDS);
    }
    w->items[w->count++] = word;
    return STATUS_OK;
}

/* Of "tool key=value": does it only say how the stream is brought this time? */
static int is_delivery(const char *word, int length)
{
    static const char *const keys[] = {"epochs=", "from=", "batch="};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if ((int)strlen(keys[i]) <= length && strncmp(word, keys[i], strlen(keys[i])) == 0)
            return 1;
    }
    return 0;
}

/* One line "TOOL VERSION key=value ..." of a made-by. */
static int add_tool_line(struct words *w, const char *line, int length, struct message *m)
{
    int name = (int)strcspn(line, " \n"), at = name;
    for (int word = 0; at < length; word++) {
        at += (int)strspn(line + at, " ");
        int size = (int)strcspn(line + at, " \n");
        if (size == 0)
            break;
        if (word == 0)
            TRY(words_take(
                w, memory_printf(m, "%.*s.major=%.*s", name, line, (int)strcspn(line + at, ". \n"), line + at), m));
        else if (!is_delivery(line + at, size))
            TRY(words_take(w, memory_printf(m, "%.*s.%.*s", name, line, size, line + at), m));
        at += size;
    }
    return STATUS_OK;
}

static int add_upstream(struct words *w, const struct record *stream, struct message *m)
{
    const char *line = record_get(stream, "made-by");
    while (line && *line) {
        int length = (int)strcspn(line, "\n");
        if (*line != ' ') /* a side input's lineage is covered by its digest */
            TRY(add_tool_line(w, line, length, m));
        line += length;
        line += *line == '\n';
    }
    return STATUS_OK;
}

static int add_data(struct words *w, const struct record *stream, struct message *m)
{
    static const char *const keys[] = {"dataset-digest", "split", "part"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const char *value = record_get(stream, keys[i]);
        TRY(words_take(w, memory_printf(m, "%s=%s", keys[i], value ? value : ""), m));
    }
    return STATUS_OK;
}

static int key_compare(const char *a, const char *b)
{
    size_t na = strcspn(a, "="), nb = strcspn(b, "=");
    int order = strncmp(a, b, na < nb ? na : nb);
    return order ? order : na < nb ? -1 : na > nb;
}

/* By key, then by value: comparing whole words would sort a-b before a. */
static int word_compare(const void *a, const void *b)
{
    const char *x = *(char *const *)a, *y = *(char *const *)b;
    int order = key_compare(x, y);
    return order ? order : strcmp(x, y);
}

static int words_make(struct words *w, const char *tool, const struct lineage *options, const struct record *stream,
                      struct message *m)
{
    int major = (int)strcspn(RESQ_VERSION, ".");
    TRY(words_take(w, memory_printf(m, "%s.major=%.*s", tool, major, RESQ_VERSION), m));
    for (int i = 0; i < options->count; i++)
        TRY(words_take(w, memory_strdup(options->options[i], m), m));
    TRY(add_upstream(w, stream, m));
    TRY(add_data(w, stream, m));
    qsort(w->items, (size_t)w->count, sizeof w->items[0], word_compare);
    return STATUS_OK;
}

int recipe_make(struct text *out, const char *tool, const struct lineage *options, const struct record *stream,
                struct message *m)
{
    struct words w = {.count = 0};
    int status = words_make(&w, tool, options, stream, m);
    for (int i = 0; status >= 0 && i < w.count; i++)
        status = text_add(out, m, "%s%s", i ? " " : "", w.items[i]);
    words_free(&w);
    return status;
}

/* ---- comparing ---- */

static int split(struct words *w, const char *recipe, struct message *m)
{
    while (*recipe) {
        int size = (int)strcspn(recipe, " ");
        if (size > 0)
            TRY(words_take(w, memory_printf(m, "%.*s", size, recipe), m));
        recipe += size;
        recipe += *recipe == ' ';
    }
    qsort(w->items, (size_t)w->count, sizeof w->items[0], word_compare);
    return STATUS_OK;
}

static const char *value_of(const char *word)
{
    return word ? strchr(word, '=') ? strchr(word, '=') + 1 : "" : "absent";
}

static int differences(const struct words *there, const struct words *here, struct text *t, struct message *m)
{
    for (int i = 0, j = 0; i < there->count || j < here->count;) {
        const char *a = i < there->count ? there->items[i] : NULL, *b = j < here->count ? here->items[j] : NULL;
        int order = !a ? 1 : !b ? -1 : key_compare(a, b);
        const char *name = order <= 0 ? a : b;
        if (order != 0 || strcmp(a, b) != 0)
            TRY(text_add(t, m, "%s%.*s is %.40s, want %.40s", t->length ? "; " : "", (int)strcspn(name, "="), name,
                         value_of(order <= 0 ? a : NULL), value_of(order >= 0 ? b : NULL)));
        i += order <= 0;
        j += order >= 0;
    }
    return STATUS_OK;
}

int recipe_compare(const char *checkpoint, const char *wanted, struct message *m)
{
    struct words there = {.count = 0}, here = {.count = 0};
    struct text t = {0};
    int status = split(&there, checkpoint, m);
    if (status >= 0)
        status = split(&here, wanted, m);
    if (status >= 0)
        status = differences(&there, &here, &t, m);
    if (status >= 0 && t.length)
        status = message_set(m, STATUS_MISMATCH, "another run's checkpoint: %s", t.data);
    text_free(&t);
    words_free(&there);
    words_free(&here);
    return status;
}
