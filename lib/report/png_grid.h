/* png_grid.h: small pictures in a grid, enlarged so that a person can see them, with captions; written as PNG. */
#ifndef RESQ_REPORT_PNG_GRID_H
#define RESQ_REPORT_PNG_GRID_H

#include "base/status.h"
#include <stddef.h>
#include <stdint.h>

enum {
    GRID_LINES = 2,
    GRID_LINE_SIZE = 64,
    GRID_MAX_SCALE = 32,
    GRID_MAX_COUNT = 10000,
    GRID_MAX_PIXELS = 1 << 26
};

struct grid_cell {
    const uint8_t *pixels;                  /* RGB [side,side,3], borrowed; NULL leaves the place empty */
    char lines[GRID_LINES][GRID_LINE_SIZE]; /* captions under the picture; cut with ".." where too long */
    int is_marked;                          /* wrong: a frame and a cross, which reads in grey too */
};

struct grid {
    const char *title, *subtitle; /* above the grid; "" or NULL: none. The picture is as wide as they need */
    const char *legend;           /* below the grid, what the captions mean */
    int side, scale, columns;     /* scale: whole-number enlargement, nearest neighbour */
    int count;
    const struct grid_cell *cells; /* [count], row by row */
};

struct picture {
    int width, height;
    uint8_t *pixels; /* RGB [height,width,3], owned */
};

int grid_render(const struct grid *g, struct picture *out, struct message *m) RESQ_USE_RESULT;
/* The PNG file of a picture, the same bytes for the same pixels: *bytes is memory_free's. */
int picture_encode(const struct picture *p, void **bytes, size_t *count, struct message *m) RESQ_USE_RESULT;
void picture_free(struct picture *p);
/* Renders, encodes and writes to path, whole or not at all. */
int grid_save(const struct grid *g, const char *path, struct message *m) RESQ_USE_RESULT;
/* How many characters a caption line can hold. */
int grid_line_length(int side, int scale);

#endif
