#include "report/png_grid.h"
#include "base/memory.h"
#include "report/font.h"
#include "report/save.h"
#include <math.h>
#include <png.h>
#include <string.h>

/* In output pixels: sizes of the font, from line to line, and from a line's top to its baseline. GAP leaves room
 * for the frame of a wrong picture, and CAPTION_GAP of it between captions. */
enum {
    TEXT_SIZE = 17,
    LINE_HEIGHT = 23,
    BASELINE = 17,
    MARGIN = 20,
    GAP = 48,
    CAPTION_GAP = 14,
    FRAME = 4,
    CROSS = 24
};
enum { TITLE_SIZE = 24, TITLE_HEIGHT = 36, TITLE_BASELINE = 24 };

struct colour {
    uint8_t r, g, b;
};
static const struct colour white = {255, 255, 255}, ink = {24, 24, 24}, grey = {90, 90, 90}, edge = {190, 190, 190};
static const struct colour red = {200, 30, 0};

static void fill(struct picture *p, int x, int y, int width, int height, struct colour c)
{
    for (int row = y < 0 ? 0 : y; row < y + height && row < p->height; row++) {
        for (int column = x < 0 ? 0 : x; column < x + width && column < p->width; column++) {
            uint8_t *pixel = p->pixels + ((size_t)row * (size_t)p->width + (size_t)column) * 3;
            pixel[0] = c.r;
            pixel[1] = c.g;
            pixel[2] = c.b;
        }
    }
}

/* ---- text ---- */

struct brush {
    struct picture *picture;
    struct colour colour;
};

static uint8_t mixed(uint8_t below, uint8_t above, uint8_t share)
{
    return (uint8_t)((below * (255 - share) + above * share + 127) / 255);
}

static void brush_pixel(void *canvas, int x, int y, uint8_t share)
{
    const struct brush *brush = canvas;
    struct picture *p = brush->picture;
    if (x < 0 || y < 0 || x >= p->width || y >= p->height)
        return;
    uint8_t *pixel = p->pixels + ((size_t)y * (size_t)p->width + (size_t)x) * 3;
    pixel[0] = mixed(pixel[0], brush->colour.r, share);
    pixel[1] = mixed(pixel[1], brush->colour.g, share);
    pixel[2] = mixed(pixel[2], brush->colour.b, share);
}

/* How a line of text stands in the picture; y: its baseline; most: pixels that it may take. */
struct setting {
    enum font_style style;
    int size, x, y, most;
    struct colour colour;
};

/* name is shortened until `more` fits behind it. */
static int draw_text(struct picture *p, struct font *font, struct setting set, const char *name, const char *more,
                     struct message *m)
{
    struct text clean = {0}, line = {0};
    struct brush brush = {p, set.colour};
    double room = (double)set.most / set.size - font_width(font, set.style, more);
    int status = font_clean(font, name ? name : "", 0, &clean, m);
    if (status >= 0)
        status = font_shorten(font, set.style, clean.data, room, &line, m);
    if (status >= 0)
        status = text_add(&line, m, "%s", more);
    if (status >= 0)
        status = font_draw(font, set.style, set.size, line.data, set.x, set.y, brush_pixel, &brush, m);
    text_free(&clean);
    text_free(&line);
    return status;
}

/* In pixels, up to GRID_TEXT_WIDTH. */
static int text_width(struct font *font, enum font_style style, int size, const char *s, int *width,
                      struct message *m)
{
    struct text clean = {0};
    int status = font_clean(font, s ? s : "", 0, &clean, m);
    if (status >= 0) {
        double pixels = ceil(size * font_width(font, style, clean.data));
        *width = pixels > GRID_TEXT_WIDTH ? GRID_TEXT_WIDTH : (int)pixels;
    }
    text_free(&clean);
    return status;
}

/* ---- one cell ---- */

static void draw_enlarged(struct picture *p, int x, int y, const struct grid *g, const uint8_t *pixels)
{
    for (int row = 0; row < g->height; row++) {
        for (int column = 0; column < g->width; column++) {
            const uint8_t *from = pixels + (row * g->width + column) * 3;
            struct colour c = {from[0], from[1], from[2]};
            fill(p, x + column * g->scale, y + row * g->scale, g->scale, g->scale, c);
        }
    }
}

/* A red frame around the picture and a white cross on red in its corner. */
static void draw_mark(struct picture *p, int x, int y, int width, int height)
{
    fill(p, x - FRAME, y - FRAME, width + 2 * FRAME, FRAME, red);
    fill(p, x - FRAME, y + height, width + 2 * FRAME, FRAME, red);
    fill(p, x - FRAME, y, FRAME, height, red);
    fill(p, x + width, y, FRAME, height, red);
    int left = x + width - CROSS, inner = 5;
    fill(p, left - 2, y, CROSS + 2, CROSS + 2, white);
    fill(p, left, y, CROSS, CROSS, red);
    for (int i = 0; i < CROSS - 2 * inner; i++) {
        fill(p, left + inner + i - 1, y + inner + i, 3, 1, white);
        fill(p, left + CROSS - inner - i - 2, y + inner + i, 3, 1, white);
    }
}

static int draw_cell(struct picture *p, struct font *font, int x, int y, const struct grid *g,
                     const struct grid_cell *cell, struct message *m)
{
    if (!cell->pixels)
        return 0;
    int width = g->width * g->scale, height = g->height * g->scale;
    fill(p, x - 1, y - 1, width + 2, height + 2, edge); /* white pictures end somewhere too */
    draw_enlarged(p, x, y, g, cell->pixels);
    if (cell->is_marked)
        draw_mark(p, x, y, width, height);
    for (int i = 0; i < GRID_LINES; i++) {
        struct setting set = {.style = FONT_PLAIN,
                              .size = TEXT_SIZE,
                              .x = x,
                              .y = y + height + FRAME + 4 + i * LINE_HEIGHT + BASELINE,
                              .most = width + GAP - CAPTION_GAP,
                              .colour = cell->is_marked && i + 1 == GRID_LINES ? red : ink};
        TRY(draw_text(p, font, set, cell->lines[i].name, cell->lines[i].more, m));
    }
    return 0;
}

/* ---- the whole ---- */

static int is_shown(const char *s)
{
    return s && *s;
}

/* Caption lines in use by any cell. */
static int lines_used(const struct grid *g)
{
    int used = 0;
    for (int i = 0; i < g->count; i++)
        for (int line = used; line < GRID_LINES; line++)
            if (is_shown(g->cells[i].lines[line].name) || g->cells[i].lines[line].more[0])
                used = line + 1;
    return used;
}

static int largest(int a, int b)
{
    return a > b ? a : b;
}

/* Where things stand, in output pixels. */
struct layout {
    int64_t width, height;
    int columns, rows, width_of_one, pitch_y, subtitle_y, top, legend_y;
};

static struct layout layout_make(const struct grid *g)
{
    struct layout l = {.columns = g->columns < g->count ? g->columns : g->count,
                       .width_of_one = g->width * g->scale};
    l.rows = (g->count - 1) / l.columns + 1;
    l.pitch_y = g->height * g->scale + 2 * FRAME + 8 + lines_used(g) * LINE_HEIGHT + GAP / 2;
    l.subtitle_y = MARGIN + (is_shown(g->title) ? TITLE_HEIGHT : 0);
    l.top = l.subtitle_y + (is_shown(g->subtitle) ? LINE_HEIGHT + 12 : 0);
    l.height = l.top + (int64_t)l.rows * l.pitch_y + (is_shown(g->legend) ? LINE_HEIGHT + 8 : 0) + MARGIN / 2;
    l.legend_y = l.top + l.rows * l.pitch_y;
    /* Captions may run into the gap on the right of their picture, the last column's too. */
    l.width = MARGIN + (int64_t)l.columns * (l.width_of_one + GAP);
    return l;
}

/* Widens the layout to what stands above and below the pictures. */
static int layout_widen(struct layout *l, struct font *font, const struct grid *g, struct message *m)
{
    int title, subtitle, legend;
    TRY(text_width(font, FONT_BOLD, TITLE_SIZE, g->title, &title, m));
    TRY(text_width(font, FONT_PLAIN, TEXT_SIZE, g->subtitle, &subtitle, m));
    TRY(text_width(font, FONT_PLAIN, TEXT_SIZE, g->legend, &legend, m));
    int64_t text = largest(title, largest(subtitle, legend)) + 2 * MARGIN;
    l->width = l->width < text ? text : l->width;
    return 0;
}

static int draw_all(struct picture *p, struct font *font, const struct grid *g, const struct layout *l,
                    struct message *m)
{
    int most = p->width - 2 * MARGIN;
    struct setting title = {FONT_BOLD, TITLE_SIZE, MARGIN, MARGIN + TITLE_BASELINE, most, ink};
    struct setting subtitle = {FONT_PLAIN, TEXT_SIZE, MARGIN, l->subtitle_y + BASELINE, most, grey};
    struct setting legend = {FONT_PLAIN, TEXT_SIZE, MARGIN, l->legend_y + BASELINE, most, grey};
    TRY(draw_text(p, font, title, g->title, "", m));
    TRY(draw_text(p, font, subtitle, g->subtitle, "", m));
    for (int i = 0; i < g->count; i++)
        TRY(draw_cell(p, font, MARGIN + i % l->columns * (l->width_of_one + GAP),
                      l->top + FRAME + i / l->columns * l->pitch_y, g, &g->cells[i], m));
    return draw_text(p, font, legend, g->legend, "", m);
}

static int render(const struct grid *g, struct font *font, struct picture *out, struct message *m)
{
    struct layout l = layout_make(g);
    TRY(layout_widen(&l, font, g, m));
    if (l.width * l.height > GRID_MAX_PIXELS)
        return message_set(m, STATUS_RANGE, "a grid of %lld x %lld pixels is larger than the limit of %d pixels",
                           (long long)l.width, (long long)l.height, GRID_MAX_PIXELS);
    size_t bytes = (size_t)(l.width * l.height) * 3;
    out->pixels = memory_new_raw(bytes, 1, m);
    if (!out->pixels)
        return STATUS_NOMEM;
    memset(out->pixels, 255, bytes);
    out->width = (int)l.width;
    out->height = (int)l.height;
    int status = draw_all(out, font, g, &l, m);
    if (status < 0)
        picture_free(out);
    return status;
}

int grid_render(const struct grid *g, struct picture *out, struct message *m)
{
    memset(out, 0, sizeof *out);
    if (g->count < 1 || g->count > GRID_MAX_COUNT || g->columns < 1 || g->height < 1 || g->height > 1024 ||
        g->width < 1 || g->width > 1024 || g->scale < 1 || g->scale > GRID_MAX_SCALE)
        return message_set(m, STATUS_RANGE, "a grid of %d pictures in %d columns cannot be drawn", g->count,
                           g->columns);
    struct font *font;
    TRY(font_open(&font, m));
    int status = render(g, font, out, m);
    font_close(font);
    return status;
}

int picture_encode(const struct picture *p, void **bytes, size_t *count, struct message *m)
{
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = (png_uint_32)p->width,
                       .height = (png_uint_32)p->height,
                       .format = PNG_FORMAT_RGB};
    png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
    *bytes = memory_new_raw(size, 1, m);
    if (!*bytes)
        return STATUS_NOMEM;
    if (!png_image_write_to_memory(&image, *bytes, &size, 0, p->pixels, 0, NULL)) {
        message_set(m, STATUS_UNSUPPORTED, "libpng: %s", image.message);
        memory_free(*bytes);
        *bytes = NULL;
        return STATUS_UNSUPPORTED;
    }
    *count = size;
    return 0;
}

void picture_free(struct picture *p)
{
    memory_free(p->pixels);
    memset(p, 0, sizeof *p);
}

int grid_save(const struct grid *g, const char *path, struct message *m)
{
    struct picture picture;
    void *bytes = NULL;
    size_t count = 0;
    TRY(grid_render(g, &picture, m));
    int status = picture_encode(&picture, &bytes, &count, m);
    picture_free(&picture);
    if (status >= 0)
        status = bytes_save(bytes, count, path, m);
    memory_free(bytes);
    return status;
}
