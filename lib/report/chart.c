#include "report/chart.h"
#include "report/save.h"
#include <string.h>
#include <unistd.h>

/* What a title and the line under it may take, in em of their own sizes; both make the picture wider where it is
 * narrower. A data set's name leaves room for the rest of the line. */
enum { TITLE_EM = 54, SUBTITLE_EM = 100, DATASET_EM = 32 };

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

/* As an expression: gnuplot expands nothing inside single quotes, and a single quote stands in double ones. */
static int quoted(struct text *t, const char *s, enum chart_use use, struct message *m)
{
    TRY(text_add(t, m, "'"));
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '\'')
            TRY(text_add(t, m, "'.\"'\".'"));
        else if (c == '%' && use == CHART_TIC)
            TRY(text_add(t, m, "%%%%"));
        else if (c == '\\' && use == CHART_POINT)
            TRY(text_add(t, m, "\\\\"));
        else
            TRY(text_add(t, m, "%c", c < 32 || c == 127 ? '?' : c));
    }
    return text_add(t, m, "'");
}

int chart_open(struct chart *c, const char *plots, enum chart_format format, struct message *m)
{
    *c = (struct chart){.plots = plots, .format = format};
    TRY(font_open(&c->font, m));
    TRY(chart_string(c, "plots", plots, m));
    return chart_string(c, "format", format == CHART_SVG ? "svg" : "png", m);
}

int chart_string(struct chart *c, const char *name, const char *value, struct message *m)
{
    TRY(text_add(&c->text, m, "%s = ", name));
    TRY(quoted(&c->text, value, CHART_LABEL, m));
    return text_add(&c->text, m, "\n");
}

int chart_number(struct chart *c, const char *name, double value, struct message *m)
{
    char number[32];
    format_number(number, value);
    return text_add(&c->text, m, "%s = %s\n", name, number);
}

/* ---- text that is shown ---- */

/* Adds the value as gnuplot's expression; *widest becomes its width in em where that is more. */
static int shown_add(struct chart *c, const char *value, struct chart_setting set, double *widest,
                     struct message *m)
{
    struct text clean = {0}, fit = {0};
    int status = font_clean(c->font, value, c->format == CHART_SVG, &clean, m);
    if (status >= 0)
        status = font_shorten(c->font, set.style, clean.data, set.most, &fit, m);
    if (status >= 0)
        status = quoted(&c->text, fit.data, set.use, m);
    if (status >= 0) {
        double width = font_width(c->font, set.style, fit.data);
        *widest = width > *widest ? width : *widest;
    }
    text_free(&clean);
    text_free(&fit);
    return status;
}

/* gnuplot divides whole numbers as such: this one has a point. */
static int width_add(struct chart *c, const char *name, double width, struct message *m)
{
    return text_add(&c->text, m, "%s_em = %.3f\n", name, width);
}

int chart_text(struct chart *c, const char *name, const char *value, struct chart_setting set, struct message *m)
{
    double width = 0;
    TRY(text_add(&c->text, m, "%s = ", name));
    TRY(shown_add(c, value, set, &width, m));
    TRY(text_add(&c->text, m, "\n"));
    return width_add(c, name, width, m);
}

int chart_texts(struct chart *c, const char *name, const char *const *values, int count, struct chart_setting set,
                struct message *m)
{
    double widest = 0;
    TRY(text_add(&c->text, m, "array %s[%d]\n", name, count));
    for (int i = 0; i < count; i++) {
        TRY(text_add(&c->text, m, "%s[%d] = ", name, i + 1));
        TRY(shown_add(c, values[i], set, &widest, m));
        TRY(text_add(&c->text, m, "\n"));
    }
    return width_add(c, name, widest, m);
}

int chart_title(struct chart *c, const char *title, struct message *m)
{
    return chart_text(c, "title", title, (struct chart_setting){FONT_BOLD, TITLE_EM, CHART_LABEL}, m);
}

static int subtitle_add(struct text *t, const char *item, int length, struct message *m)
{
    return item && *item ? text_add(t, m, "%s%.*s", t->length ? ", " : "", length, item) : 0;
}

static int dataset_add(const struct chart *c, const char *dataset, struct text *t, struct message *m)
{
    struct text clean = {0};
    int status = font_clean(c->font, dataset ? dataset : "", c->format == CHART_SVG, &clean, m);
    if (status >= 0)
        status = font_shorten(c->font, FONT_PLAIN, clean.data, DATASET_EM, t, m);
    text_free(&clean);
    return status;
}

/* "sha256:" and the first twelve digits are enough to recognise a data set by. */
static int subtitle_make(const struct chart *c, struct text *t, const struct table *notes, const char *dataset,
                         const char *more, struct message *m)
{
    enum { WHOLE = 1024, SHORT_DIGEST = 7 + 12 };
    const char *split = table_get_note(notes, "split"), *part = table_get_note(notes, "part");
    const char *noted = table_get_note(notes, "dataset");
    TRY(dataset_add(c, noted ? noted : dataset, t, m));
    TRY(subtitle_add(t, split, WHOLE, m));
    if (part && strcmp(part, "all") != 0)
        TRY(text_add(t, m, "/%s", part));
    const char *images = table_get_note(notes, "images");
    if (images && *images)
        TRY(text_add(t, m, "%s%s image%s", t->length ? ", " : "", images, strcmp(images, "1") == 0 ? "" : "s"));
    TRY(subtitle_add(t, more, WHOLE, m));
    return subtitle_add(t, table_get_note(notes, "dataset-digest"), SHORT_DIGEST, m);
}

int chart_subtitle(struct chart *c, const struct table *t, const char *dataset, const char *more, struct message *m)
{
    struct text line = {0};
    int status = subtitle_make(c, &line, t, dataset, more, m);
    if (status >= 0)
        status = chart_text(c, "subtitle", line.data ? line.data : "",
                            (struct chart_setting){FONT_PLAIN, SUBTITLE_EM, CHART_LABEL}, m);
    text_free(&line);
    return status;
}

static int replace_all(struct text *t, const char *from, const char *to, struct message *m)
{
    struct text out = {0};
    int status = 0;
    for (const char *at = t->data, *next; status >= 0; at = next + strlen(from)) {
        next = strstr(at, from);
        status = text_add_bytes(&out, at, next ? (size_t)(next - at) : strlen(at), m);
        if (!next)
            break;
        if (status >= 0)
            status = text_add(&out, m, "%s", to);
    }
    text_free(t);
    *t = out;
    return status;
}

/* The chart's title as it stands in the picture: the text in the title's size. */
static int svg_title(const struct text *picture, struct text *out, struct message *m)
{
    static const char before[] = "<text>";
    const char *place = strstr(picture->data, "font-size=\"20.80\"");
    const char *begin = place ? strstr(place, before) : NULL, *end = begin ? strstr(begin, "</text>") : NULL;
    if (!end)
        return text_add(out, m, "<title>Chart</title>");
    begin += strlen(before);
    TRY(text_add(out, m, "<title>"));
    TRY(text_add_bytes(out, begin, (size_t)(end - begin), m));
    return text_add(out, m, "</title>");
}

/* gnuplot names a bold font in a way that no viewer knows, calls every picture Gnuplot, which a browser shows, and
 * leaves in a text what XML forbids. */
static int svg_mend(struct text *picture, struct message *m)
{
    struct text title = {0};
    int status = replace_all(picture, "]]>", "]]&gt;", m);
    if (status >= 0)
        status = replace_all(picture, "font-family=\"sans-serif:Bold\"",
                             "font-family=\"sans-serif\" font-weight=\"bold\"", m);
    if (status >= 0)
        status = svg_title(picture, &title, m);
    if (status >= 0)
        status = replace_all(picture, "<title>Gnuplot</title>", title.data, m);
    text_free(&title);
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
    if (status >= 0 && format == CHART_SVG)
        status = svg_mend(&picture, m);
    if (status >= 0)
        status = bytes_save(picture.data, picture.length, path, m);
    text_free(&file);
    text_free(&picture);
    return status;
}

void chart_free(struct chart *c)
{
    text_free(&c->text);
    font_close(c->font);
    c->font = NULL;
}
