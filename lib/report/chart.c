#include "report/chart.h"
#include "report/save.h"
#include <string.h>
#include <unistd.h>

int chart_format_of(const char *path, enum chart_format *format, struct message *m)
{
    const char *dot = strrchr(path, '.');
    if (dot && strcmp(dot, ".png") == 0)
        *format = CHART_PNG;
    else if (dot && strcmp(dot, ".svg") == 0)
        *format = CHART_SVG;
    else
        return message_set(m, STATUS_RANGE, "%s: the name must end in .png or .svg", path);
    return 0;
}

/* As an expression: gnuplot expands nothing inside single quotes, and a single quote stands in double ones. A tic's
 * label is a format besides: %% is a %. */
static int quoted(struct text *t, const char *s, int is_tic, struct message *m)
{
    TRY(text_add(t, m, "'"));
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '\'')
            TRY(text_add(t, m, "'.\"'\".'"));
        else if (c == '%' && is_tic)
            TRY(text_add(t, m, "%%%%"));
        else
            TRY(text_add(t, m, "%c", c < 32 || c == 127 ? '?' : c));
    }
    return text_add(t, m, "'");
}

int chart_open(struct chart *c, const char *plots, enum chart_format format, struct message *m)
{
    *c = (struct chart){.plots = plots};
    TRY(chart_string(c, "plots", plots, m));
    return chart_string(c, "format", format == CHART_SVG ? "svg" : "png", m);
}

int chart_string(struct chart *c, const char *name, const char *value, struct message *m)
{
    TRY(text_add(&c->text, m, "%s = ", name));
    TRY(quoted(&c->text, value, 0, m));
    return text_add(&c->text, m, "\n");
}

int chart_number(struct chart *c, const char *name, double value, struct message *m)
{
    char number[32];
    format_number(number, value);
    return text_add(&c->text, m, "%s = %s\n", name, number);
}

static int strings_add(struct chart *c, const char *name, const char *const *values, int count, int is_tics,
                       struct message *m)
{
    TRY(text_add(&c->text, m, "array %s[%d]\n", name, count));
    for (int i = 0; i < count; i++) {
        TRY(text_add(&c->text, m, "%s[%d] = ", name, i + 1));
        TRY(quoted(&c->text, values[i], is_tics, m));
        TRY(text_add(&c->text, m, "\n"));
    }
    return 0;
}

int chart_strings(struct chart *c, const char *name, const char *const *values, int count, struct message *m)
{
    return strings_add(c, name, values, count, 0, m);
}

int chart_tics(struct chart *c, const char *name, const char *const *values, int count, struct message *m)
{
    return strings_add(c, name, values, count, 1, m);
}

static int subtitle_add(struct text *t, const char *item, int length, struct message *m)
{
    return item && *item ? text_add(t, m, "%s%.*s", t->length ? ", " : "", length, item) : 0;
}

/* "sha256:" and the first twelve digits are enough to recognise a data set by. */
static int subtitle_make(struct text *t, const struct table *notes, const char *more, struct message *m)
{
    enum { WHOLE = 1024, SHORT_DIGEST = 7 + 12 };
    const char *split = table_get_note(notes, "split"), *part = table_get_note(notes, "part");
    TRY(subtitle_add(t, table_get_note(notes, "dataset"), WHOLE, m));
    TRY(subtitle_add(t, split, WHOLE, m));
    if (part && strcmp(part, "all") != 0)
        TRY(text_add(t, m, "/%s", part));
    const char *images = table_get_note(notes, "images");
    if (images && *images)
        TRY(text_add(t, m, "%s%s images", t->length ? ", " : "", images));
    TRY(subtitle_add(t, more, WHOLE, m));
    return subtitle_add(t, table_get_note(notes, "dataset-digest"), SHORT_DIGEST, m);
}

int chart_subtitle(struct chart *c, const struct table *t, const char *more, struct message *m)
{
    struct text line = {0};
    int status = subtitle_make(&line, t, more, m);
    if (status >= 0)
        status = chart_string(c, "subtitle", line.data ? line.data : "", m);
    text_free(&line);
    return status;
}

/* gnuplot does not always say when it could not write all: a whole picture has its end. */
static int is_whole(const struct text *picture, enum chart_format format)
{
    const char *end = format == CHART_PNG ? "IEND" : "</svg>";
    size_t length = strlen(end), tail = picture->length < 16 ? picture->length : 16;
    return picture->length > 64 && memmem(picture->data + picture->length - tail, tail, end, length) != NULL;
}

int chart_save(struct chart *c, const char *script, const char *path, enum chart_format format, struct message *m)
{
    struct text file = {0}, picture = {0};
    int status = text_add(&file, m, "%s/%s", c->plots, script);
    if (status >= 0 && access(file.data, R_OK) != 0)
        status = message_errno(m, "%s: cannot open", file.data);
    if (status >= 0)
        status = text_add(&c->text, m, "load plots.'/%s'\n", script);
    if (status >= 0)
        status = gnuplot_run(&c->text, &picture, m);
    if (status >= 0 && !is_whole(&picture, format))
        status = message_set(m, STATUS_TRUNCATED, "gnuplot: left an unfinished picture");
    if (status >= 0)
        status = bytes_save(picture.data, picture.length, path, m);
    text_free(&file);
    text_free(&picture);
    return status;
}

void chart_free(struct chart *c)
{
    text_free(&c->text);
}
