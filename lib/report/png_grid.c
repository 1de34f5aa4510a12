#include "report/png_grid.h"
#include "base/memory.h"
#include "report/font.h"
#include "report/save.h"
#include <png.h>
#include <string.h>

/* In output pixels. TEXT_SCALE enlarges the font; GAP leaves room for the frame of a wrong picture, and two
 * characters between captions. */
enum { TEXT_SCALE = 2, LINE_HEIGHT = TEXT_SCALE * FONT_HEIGHT + 4, MARGIN = 20, GAP = 48, FRAME = 4, CROSS = 24 };
enum { TITLE_SCALE = 3, TITLE_HEIGHT = TITLE_SCALE * FONT_HEIGHT + 8 };

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

/* Characters, not bytes: a UTF-8 sequence shows as one '?'. */
static int text_length(const char *s)
{
    int length = 0;
    for (; s && *s; s++)
        length += (*s & 0xC0) != 0x80;
    return length;
}

static int text_width(const char *s, int scale)
{
    int length = text_length(s);
    return length ? (length * FONT_ADVANCE - 1) * scale : 0;
}

static void draw_character(struct picture *p, int x, int y, int scale, unsigned char character, struct colour c)
{
    for (int row = 0; row < FONT_HEIGHT; row++)
        for (int column = 0; column < FONT_WIDTH; column++)
            if (font_pixel(character, row, column))
                fill(p, x + column * scale, y + row * scale, scale, scale, c);
}

/* At most `limit` characters; a longer text ends in "..". */
static void draw_text(struct picture *p, int x, int y, int scale, const char *s, int limit, struct colour c)
{
    int is_long = text_length(s) > limit, place = 0;
    for (; s && *s && place < limit; s++) {
        if ((*s & 0xC0) == 0x80)
            continue;
        int is_dot = is_long && place >= limit - 2;
        draw_character(p, x + place * FONT_ADVANCE * scale, y, scale, is_dot ? '.' : (unsigned char)*s, c);
        place++;
    }
}

/* ---- one cell ---- */

static void draw_enlarged(struct picture *p, int x, int y, const struct grid *g, const uint8_t *pixels)
{
    for (int row = 0; row < g->side; row++) {
        for (int column = 0; column < g->side; column++) {
            const uint8_t *from = pixels + (row * g->side + column) * 3;
            struct colour c = {from[0], from[1], from[2]};
            fill(p, x + column * g->scale, y + row * g->scale, g->scale, g->scale, c);
        }
    }
}

/* A red frame around the picture and a white cross on red in its corner. */
static void draw_mark(struct picture *p, int x, int y, int size)
{
    fill(p, x - FRAME, y - FRAME, size + 2 * FRAME, FRAME, red);
    fill(p, x - FRAME, y + size, size + 2 * FRAME, FRAME, red);
    fill(p, x - FRAME, y, FRAME, size, red);
    fill(p, x + size, y, FRAME, size, red);
    int left = x + size - CROSS, inner = 5;
    fill(p, left - 2, y, CROSS + 2, CROSS + 2, white);
    fill(p, left, y, CROSS, CROSS, red);
    for (int i = 0; i < CROSS - 2 * inner; i++) {
        fill(p, left + inner + i - 1, y + inner + i, 3, 1, white);
        fill(p, left + CROSS - inner - i - 2, y + inner + i, 3, 1, white);
    }
}

static void draw_cell(struct picture *p, int x, int y, const struct grid *g, const struct grid_cell *cell)
{
    if (!cell->pixels)
        return;
    int size = g->side * g->scale;
    fill(p, x - 1, y - 1, size + 2, size + 2, edge); /* white pictures end somewhere too */
    draw_enlarged(p, x, y, g, cell->pixels);
    if (cell->is_marked)
        draw_mark(p, x, y, size);
    for (int i = 0; i < GRID_LINES; i++)
        draw_text(p, x, y + size + FRAME + 4 + i * LINE_HEIGHT, TEXT_SCALE, cell->lines[i],
                  grid_line_length(g->side, g->scale), cell->is_marked && i + 1 == GRID_LINES ? red : ink);
}

/* ---- the whole ---- */

int grid_line_length(int side, int scale)
{
    return (side * scale + GAP - 2 * FONT_ADVANCE * TEXT_SCALE) / (FONT_ADVANCE * TEXT_SCALE);
}

/* Caption lines in use by any cell. */
static int lines_used(const struct grid *g)
{
    int used = 0;
    for (int i = 0; i < g->count; i++)
        for (int line = used; line < GRID_LINES; line++)
            if (g->cells[i].lines[line][0])
                used = line + 1;
    return used;
}

static int is_shown(const char *s)
{
    return s && *s;
}

static int largest(int a, int b)
{
    return a > b ? a : b;
}

/* Where things stand, in output pixels. */
struct layout {
    int64_t width, height;
    int columns, rows, size, pitch_y, subtitle_y, top, legend_y;
};

static struct layout layout_make(const struct grid *g)
{
    struct layout l = {.columns = g->columns < g->count ? g->columns : g->count, .size = g->side * g->scale};
    l.rows = (g->count - 1) / l.columns + 1;
    l.pitch_y = l.size + 2 * FRAME + 8 + lines_used(g) * LINE_HEIGHT + GAP / 2;
    l.subtitle_y = MARGIN + (is_shown(g->title) ? TITLE_HEIGHT : 0);
    l.top = l.subtitle_y + (is_shown(g->subtitle) ? LINE_HEIGHT + 12 : 0);
    l.height = l.top + (int64_t)l.rows * l.pitch_y + (is_shown(g->legend) ? LINE_HEIGHT + 8 : 0) + MARGIN / 2;
    l.legend_y = l.top + l.rows * l.pitch_y;
    /* Captions may run into the gap on the right of their picture, the last column's too. */
    int64_t text = largest(text_width(g->title, TITLE_SCALE),
                           largest(text_width(g->subtitle, TEXT_SCALE), text_width(g->legend, TEXT_SCALE)));
    l.width = MARGIN + (int64_t)l.columns * (l.size + GAP);
    l.width = l.width < text + 2 * MARGIN ? text + 2 * MARGIN : l.width;
    return l;
}

int grid_render(const struct grid *g, struct picture *out, struct message *m)
{
    memset(out, 0, sizeof *out);
    if (g->count < 1 || g->count > GRID_MAX_COUNT || g->columns < 1 || g->side < 1 || g->side > 1024 ||
        g->scale < 1 || g->scale > GRID_MAX_SCALE)
        return message_set(m, STATUS_RANGE, "a grid of %d pictures in %d columns cannot be drawn", g->count,
                           g->columns);
    struct layout l = layout_make(g);
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

    draw_text(out, MARGIN, MARGIN, TITLE_SCALE, g->title, GRID_MAX_PIXELS, ink);
    draw_text(out, MARGIN, l.subtitle_y, TEXT_SCALE, g->subtitle, GRID_MAX_PIXELS, grey);
    for (int i = 0; i < g->count; i++)
        draw_cell(out, MARGIN + i % l.columns * (l.size + GAP), l.top + FRAME + i / l.columns * l.pitch_y, g,
                  &g->cells[i]);
    draw_text(out, MARGIN, l.legend_y, TEXT_SCALE, g->legend, GRID_MAX_PIXELS, grey);
    return 0;
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
