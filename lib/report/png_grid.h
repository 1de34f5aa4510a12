/* png_grid.h: small pictures in a grid, enlarged so that a person can see them, with captions; written as PNG. */
#ifndef RESQ_REPORT_PNG_GRID_H
#define RESQ_REPORT_PNG_GRID_H

#include "base/status.h"
#include <stddef.h>
#include <stdint.h>

enum {
    GRID_LINES = 2,
    GRID_MORE_SIZE = 32,
    GRID_MAX_SCALE = 32,
    GRID_MAX_COUNT = 10000,
    GRID_TEXT_WIDTH = 1400,
    GRID_MAX_PIXELS = 1 << 26
};

/* A line under a picture: any name, shortened where it is too long for its place, then more, always whole. */
struct grid_caption {
    const char *name; /* borrowed; NULL: none */
    char more[GRID_MORE_SIZE];
};

struct grid_cell {
    const uint8_t *pixels; /* RGB [height,width,3], borrowed; NULL leaves the place empty */
    struct grid_caption lines[GRID_LINES];
    int is_marked; /* wrong: a frame and a cross, which reads in grey too */
};

struct grid {
    /* Above the grid, and below it, what the captions mean; "" or NULL: none. The picture is as wide as they need,
     * up to GRID_TEXT_WIDTH; what is longer is shortened. */
    const char *title, *subtitle, *legend;
    int height, width, scale, columns; /* scale: whole-number enlargement, nearest neighbour */
    int count;
    const struct grid_cell *cells; /* [count], row by row */
};

struct picture {
    int width, height;
    uint8_t *pixels; /* RGB [height,width,3], owned */
};

/* Without any font, STATUS_UNSUPPORTED. */
int grid_render(const struct grid *g, struct picture *out, struct message *m) RESQ_USE_RESULT;
/* The PNG file of a picture, the same bytes for the same pixels: *bytes is memory_free's. */
int picture_encode(const struct picture *p, void **bytes, size_t *count, struct message *m) RESQ_USE_RESULT;
void picture_free(struct picture *p);
/* Renders, encodes and writes to path, whole or not at all. */
int grid_save(const struct grid *g, const char *path, struct message *m) RESQ_USE_RESULT;

#endif
