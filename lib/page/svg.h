/* svg.h: small charts inside of a page: axes, points with intervals, lines. Colours are the page's (classes s0..s5),
 * so that they follow light and dark; shapes tell series apart without them. */
#ifndef RESQ_PAGE_SVG_H
#define RESQ_PAGE_SVG_H

#include "report/html.h"

enum svg_scale {
    SVG_LINEAR,
    SVG_LOG,  /* values > 0 */
    SVG_ERROR /* percentages, spaced by the logarithm of what is missing to 100 */
};

struct svg_axis {
    double low, high;
    enum svg_scale scale;
    const char *title;
};

struct svg {
    struct html *h;
    struct svg_axis x, y;
};

enum { SVG_WIDTH = 480, SVG_HEIGHT = 300, SVG_SERIES = 6 };

/* Takes value into a range that begins as {INFINITY, -INFINITY}; NAN is passed over. */
void svg_include(struct svg_axis *a, double value);
/* After the last include: some room around the values, and whether there are any. SVG_ERROR becomes SVG_LINEAR where
 * the values lie close together. */
int svg_settle(struct svg_axis *a);
/* The frame with its axes; label: what is shown, for those who cannot see it. */
void svg_open(struct svg *s, struct html *h, const char *label);
void svg_close(struct svg *s);
double svg_x(const struct svg *s, double value);
double svg_y(const struct svg *s, double value);
/* A marker; low < high: with a line from one to the other. The caller writes a <title> between open and close. */
void svg_marker_open(struct svg *s, double x, double y, double low, double high, int series, int is_hollow);
void svg_marker_close(struct svg *s);
/* A line through count points; NAN is passed over. */
void svg_line(struct svg *s, const double *x, const double *y, int count, int series, int is_dashed);
/* The legend's sign of a series, inline. */
void svg_sign(struct html *h, int series, int is_hollow);

#endif
