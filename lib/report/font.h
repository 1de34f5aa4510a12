/* font.h: a fixed-width bitmap font of printable ASCII, for captions in pictures. */
#ifndef RESQ_REPORT_FONT_H
#define RESQ_REPORT_FONT_H

enum { FONT_WIDTH = 5, FONT_HEIGHT = 9, FONT_ADVANCE = 6 }; /* the last two rows hold descenders */

/* 1 where the pixel is ink. Characters outside 32..126 show as '?'; coordinates must be inside the glyph. */
int font_pixel(unsigned char character, int row, int column);

#endif
