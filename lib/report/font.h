/* font.h: the font of charts and captions, DejaVu Sans, with what the machine has for letters that it lacks: the
 * fonts that fontconfig sorts behind it, which are those that gnuplot's own drawing (pango) goes through. So a
 * letter without a glyph here has none in a chart either.
 *
 * Text is measured and drawn letter by letter from left to right: no shaping, no bidirectional order. */
#ifndef RESQ_REPORT_FONT_H
#define RESQ_REPORT_FONT_H

#include "base/status.h"
#include "base/text.h"
#include <stdint.h>

enum font_style { FONT_PLAIN, FONT_BOLD };

struct font;

/* Where DejaVu Sans is not installed, the font that fontconfig names in its stead; where there is none at all,
 * STATUS_UNSUPPORTED. */
int font_open(struct font **font, struct message *m) RESQ_USE_RESULT;
void font_close(struct font *font); /* NULL is fine */

/* 1 where some font has a glyph for this code point. */
int font_has(const struct font *font, uint32_t letter);

/* Adds s to out as it can be shown on one line: '?' for a control character, a line separator or a byte that is not
 * UTF-8; nothing for a letter that has no shape (joiners, variation selectors, marks of direction); a box (or '?')
 * for a letter without a glyph, unless keep_missing is not 0: then it stays, for a viewer whose fonts are not ours.
 */
int font_clean(const struct font *font, const char *s, int keep_missing, struct text *out,
               struct message *m) RESQ_USE_RESULT;

/* Width of s, which went through font_clean, in em (multiples of the font's size). */
double font_width(struct font *font, enum font_style style, const char *s);

/* Adds s, which went through font_clean, to out; where it is wider than `most` em, letters in its middle give way
 * to an ellipsis: names that differ at the end only stay apart. */
int font_shorten(struct font *font, enum font_style style, const char *s, double most, struct text *out,
                 struct message *m) RESQ_USE_RESULT;

/* Called for every pixel that a text covers, with its share in 1..255. */
typedef void font_pixel(void *canvas, int x, int y, uint8_t share);
/* Draws s, which went through font_clean, `size` pixels an em, from x on, with its baseline at y. */
int font_draw(struct font *font, enum font_style style, int size, const char *s, int x, int y, font_pixel *pixel,
              void *canvas, struct message *m) RESQ_USE_RESULT;

#endif
