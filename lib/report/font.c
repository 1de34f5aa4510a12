#include "report/font.h"
#include "base/memory.h"
#include "base/utf8.h"
#include <fontconfig/fontconfig.h>
#include <ft2build.h>
#include FT_FREETYPE_H
#include <string.h>

enum { STYLES = 2 };
enum { BOX = 0x25A1, ELLIPSIS = 0x2026 };

static const char family[] = "DejaVu Sans";

/* One font of the list: opened when first needed. */
struct face {
    FcPattern *pattern; /* owned by the set */
    FcCharSet *letters; /* owned by the pattern */
    FT_Face face;       /* NULL: not opened, or failed */
    FT_Error error;     /* why it was not */
};

struct style {
    FcFontSet *set;
    struct face *faces; /* [count], best first */
    int count;
};

struct font {
    FcConfig *config;
    FT_Library library;
    struct style styles[STYLES];
};

/* ---- opening ---- */

/* What pango takes: outlines, in a format that it reads. Pictures of letters in colours are for charts alone. */
static int is_usable(FcPattern *pattern)
{
    FcChar8 *format;
    FcBool is_scalable = FcFalse;
    return FcPatternGetString(pattern, FC_FONTFORMAT, 0, &format) == FcResultMatch &&
           (strcmp((const char *)format, "TrueType") == 0 || strcmp((const char *)format, "CFF") == 0) &&
           FcPatternGetBool(pattern, FC_SCALABLE, 0, &is_scalable) == FcResultMatch && is_scalable;
}

static FT_Face face_opened(struct font *font, struct face *face)
{
    FcChar8 *file;
    int index = 0;
    if (face->face || face->error)
        return face->face;
    face->error = FcPatternGetString(face->pattern, FC_FILE, 0, &file) != FcResultMatch ||
                          FcPatternGetInteger(face->pattern, FC_INDEX, 0, &index) != FcResultMatch
                      ? FT_Err_Invalid_Argument
                      : FT_New_Face(font->library, (const char *)file, index, &face->face);
    if (face->error)
        face->face = NULL;
    return face->face;
}

/* A font that is no font gives way to the next. The first one, which nearly all is written in, must not do so only
 * because there are no descriptors or no memory just now: charts would differ, and nobody would know why. */
static int first_face_open(struct font *font, struct style *style, struct message *m)
{
    struct face *first = &style->faces[0];
    FcChar8 *file = NULL;
    if (face_opened(font, first) ||
        (first->error != FT_Err_Cannot_Open_Resource && first->error != FT_Err_Out_Of_Memory))
        return 0;
    FcPatternGetString(first->pattern, FC_FILE, 0, &file);
    return message_set(m, STATUS_IO, "font %s: cannot open it", (const char *)file);
}

static int style_open(struct font *font, enum font_style which, struct message *m)
{
    struct style *style = &font->styles[which];
    FcResult result;
    FcPattern *wanted = FcPatternCreate();
    if (!wanted)
        return message_set(m, STATUS_NOMEM, "fontconfig: out of memory");
    int is_made = FcPatternAddString(wanted, FC_FAMILY, (const FcChar8 *)family) &&
                  FcPatternAddInteger(wanted, FC_WEIGHT, which == FONT_BOLD ? FC_WEIGHT_BOLD : FC_WEIGHT_NORMAL) &&
                  FcConfigSubstitute(font->config, wanted, FcMatchPattern);
    if (is_made) {
        FcDefaultSubstitute(wanted);
        style->set = FcFontSort(font->config, wanted, FcTrue, NULL, &result);
    }
    FcPatternDestroy(wanted);
    if (!is_made)
        return message_set(m, STATUS_NOMEM, "fontconfig: out of memory");
    int count = style->set ? style->set->nfont : 0;
    style->faces = memory_new((size_t)count + 1, sizeof *style->faces, m);
    if (!style->faces)
        return STATUS_NOMEM;
    for (int i = 0; i < count; i++) {
        struct face *face = &style->faces[style->count];
        face->pattern = style->set->fonts[i];
        if (is_usable(face->pattern) &&
            FcPatternGetCharSet(face->pattern, FC_CHARSET, 0, &face->letters) == FcResultMatch)
            style->count++;
    }
    if (style->count == 0)
        return message_set(m, STATUS_UNSUPPORTED, "no font: fontconfig finds none: install fonts-dejavu-core");
    return first_face_open(font, style, m);
}

int font_open(struct font **font, struct message *m)
{
    *font = memory_new(1, sizeof **font, m);
    if (!*font)
        return STATUS_NOMEM;
    int status = 0;
    (*font)->config = FcInitLoadConfigAndFonts();
    if (!(*font)->config)
        status = message_set(m, STATUS_UNSUPPORTED, "fontconfig: cannot read its configuration");
    else if (FT_Init_FreeType(&(*font)->library) != 0)
        status = message_set(m, STATUS_UNSUPPORTED, "freetype: cannot start");
    for (int i = 0; i < STYLES && status >= 0; i++)
        status = style_open(*font, (enum font_style)i, m);
    if (status < 0) {
        font_close(*font);
        *font = NULL;
    }
    return status;
}

void font_close(struct font *font)
{
    if (!font)
        return;
    for (int i = 0; i < STYLES; i++) {
        for (int k = 0; k < font->styles[i].count; k++)
            if (font->styles[i].faces[k].face)
                FT_Done_Face(font->styles[i].faces[k].face);
        memory_free(font->styles[i].faces);
        if (font->styles[i].set)
            FcFontSetDestroy(font->styles[i].set);
    }
    if (font->library)
        FT_Done_FreeType(font->library);
    if (font->config)
        FcConfigDestroy(font->config);
    memory_free(font);
}

/* ---- letters ---- */

/* The code point that s begins with; `s` moves behind it. A byte that is no UTF-8 is -1. */
static int64_t letter_next(const char **s)
{
    const unsigned char *u = (const unsigned char *)*s;
    size_t n = utf8_sequence(*s, strlen(*s) < 4 ? strlen(*s) : 4);
    *s += n ? n : 1;
    if (n == 0)
        return -1;
    if (n == 1)
        return u[0];
    int64_t letter = u[0] & (0xFF >> (n + 1));
    for (size_t i = 1; i < n; i++)
        letter = letter << 6 | (u[i] & 0x3F);
    return letter;
}

static int letter_add(struct text *out, uint32_t letter, struct message *m)
{
    char bytes[4];
    size_t n = letter < 0x80 ? 1 : letter < 0x800 ? 2 : letter < 0x10000 ? 3 : 4;
    static const unsigned char heads[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = n; i-- > 1; letter >>= 6)
        bytes[i] = (char)(0x80 | (letter & 0x3F));
    bytes[0] = (char)(heads[n] | letter);
    return text_add_bytes(out, bytes, n, m);
}

/* Ends or breaks a line, or stands for nothing: Unicode's Cc, line and paragraph separators, noncharacters. */
static int is_control(int64_t letter)
{
    return letter < 0x20 || (letter >= 0x7F && letter < 0xA0) || letter == 0x2028 || letter == 0x2029 ||
           (letter & 0xFFFE) == 0xFFFE || (letter >= 0xFDD0 && letter <= 0xFDEF);
}

/* Has no shape of its own (Unicode's Default_Ignorable_Code_Point, those in use). */
static int is_shapeless(int64_t letter)
{
    static const uint32_t spans[][2] = {{0xAD, 0xAD},     {0x34F, 0x34F},    {0x61C, 0x61C},   {0x180B, 0x180F},
                                        {0x200B, 0x200F}, {0x202A, 0x202E},  {0x2060, 0x206F}, {0xFE00, 0xFE0F},
                                        {0xFEFF, 0xFEFF}, {0xE0000, 0xE0FFF}};
    for (size_t i = 0; i < sizeof spans / sizeof spans[0]; i++)
        if (letter >= spans[i][0] && letter <= spans[i][1])
            return 1;
    return 0;
}

int font_has(const struct font *font, uint32_t letter)
{
    const struct style *style = &font->styles[FONT_PLAIN];
    for (int i = 0; i < style->count; i++)
        if (FcCharSetHasChar(style->faces[i].letters, letter))
            return 1;
    return 0;
}

int font_clean(const struct font *font, const char *s, int keep_missing, struct text *out, struct message *m)
{
    while (*s) {
        int64_t letter = letter_next(&s);
        if (is_control(letter))
            letter = '?';
        else if (is_shapeless(letter))
            continue;
        else if (!keep_missing && !font_has(font, (uint32_t)letter))
            letter = font_has(font, BOX) ? BOX : '?';
        TRY(letter_add(out, (uint32_t)letter, m));
    }
    return text_add(out, m, "%s", ""); /* a text even of nothing */
}

/* ---- measuring ---- */

/* The first font that has the letter, and the letter's place in it; NULL where none has. */
static FT_Face face_find(struct font *font, enum font_style which, uint32_t letter, FT_UInt *glyph)
{
    struct style *style = &font->styles[which];
    for (int i = 0; i < style->count; i++) {
        FT_Face face =
            FcCharSetHasChar(style->faces[i].letters, letter) ? face_opened(font, &style->faces[i]) : NULL;
        *glyph = face ? FT_Get_Char_Index(face, letter) : 0;
        if (*glyph)
            return face;
    }
    return NULL;
}

static double letter_width(struct font *font, enum font_style style, uint32_t letter)
{
    FT_UInt glyph;
    FT_Face face = face_find(font, style, letter, &glyph);
    if (!face || FT_Load_Glyph(face, glyph, FT_LOAD_NO_SCALE) != 0 || face->units_per_EM == 0)
        return letter < 0x2E80 ? 0.6 : 1; /* a viewer's own glyph: a letter's usual width, or an ideograph's */
    return (double)face->glyph->advance.x / face->units_per_EM;
}

double font_width(struct font *font, enum font_style style, const char *s)
{
    double width = 0;
    while (*s)
        width += letter_width(font, style, (uint32_t)letter_next(&s));
    return width;
}

/* The most bytes from the front of s, in whole letters, that `most` em hold. */
static size_t front_length(struct font *font, enum font_style style, const char *s, double most)
{
    const char *at = s, *end = s;
    for (double width = 0; *at; end = at) {
        width += letter_width(font, style, (uint32_t)letter_next(&at));
        if (width > most)
            break;
    }
    return (size_t)(end - s);
}

/* Where the shortest tail of s begins that leaves out what does not fit `most` em. */
static const char *tail_start(struct font *font, enum font_style style, const char *s, double most)
{
    const char *at = s + strlen(s);
    for (double width = 0; at > s;) {
        const char *before = at - 1, *next;
        while (before > s && (*before & 0xC0) == 0x80)
            before--;
        next = before;
        width += letter_width(font, style, (uint32_t)letter_next(&next));
        if (width > most)
            break;
        at = before;
    }
    return at;
}

int font_shorten(struct font *font, enum font_style style, const char *s, double most, struct text *out,
                 struct message *m)
{
    if (front_length(font, style, s, most) == strlen(s))
        return text_add(out, m, "%s", s);
    int has_ellipsis = font_has(font, ELLIPSIS);
    double room = most - (has_ellipsis ? letter_width(font, style, ELLIPSIS) : 2 * letter_width(font, style, '.'));
    room = room > 0 ? room : 0;
    size_t front = front_length(font, style, s, room * 2 / 3);
    TRY(text_add_bytes(out, s, front, m));
    TRY(has_ellipsis ? letter_add(out, ELLIPSIS, m) : text_add(out, m, ".."));
    return text_add(out, m, "%s", tail_start(font, style, s + front, room / 3));
}

/* ---- drawing ---- */

static void glyph_draw(const FT_GlyphSlot slot, int x, int y, font_pixel *pixel, void *canvas)
{
    const FT_Bitmap *b = &slot->bitmap;
    for (int row = 0; row < (int)b->rows; row++) {
        for (int column = 0; column < (int)b->width; column++) {
            uint8_t share = b->buffer[row * b->pitch + column];
            if (share)
                pixel(canvas, x + slot->bitmap_left + column, y - slot->bitmap_top + row, share);
        }
    }
}

int font_draw(struct font *font, enum font_style style, int size, const char *s, int x, int y, font_pixel *pixel,
              void *canvas, struct message *m)
{
    double place = x;
    while (*s) {
        FT_UInt glyph;
        uint32_t letter = (uint32_t)letter_next(&s);
        FT_Face face = face_find(font, style, letter, &glyph);
        if (face && (FT_Set_Pixel_Sizes(face, 0, (FT_UInt)size) != 0 ||
                     FT_Load_Glyph(face, glyph, FT_LOAD_NO_HINTING | FT_LOAD_NO_BITMAP | FT_LOAD_RENDER) != 0 ||
                     face->glyph->bitmap.pixel_mode != FT_PIXEL_MODE_GRAY))
            return message_set(m, STATUS_FORMAT, "freetype: cannot draw the letter U+%04X", (unsigned)letter);
        if (face)
            glyph_draw(face->glyph, (int)(place + 0.5), y, pixel, canvas);
        place += size * letter_width(font, style, letter);
    }
    return 0;
}
