#include "page/svg.h"
#include <math.h>
#include <stdio.h>

enum { LEFT = 56, RIGHT = 12, TOP = 10, BOTTOM = 44, MAX_TICKS = 12 };

/* ---- axes ---- */

void svg_include(struct svg_axis *a, double value)
{
    if (!isfinite(value) || (a->scale == SVG_LOG && value <= 0))
        return;
    a->low = fmin(a->low, value);
    a->high = fmax(a->high, value);
}

static double least_missing(double percentage)
{
    return fmax(100 - percentage, 0.01);
}

int svg_settle(struct svg_axis *a)
{
    if (!(a->low <= a->high))
        return 0;
    if (a->scale == SVG_ERROR && least_missing(a->low) < 1.6 * least_missing(a->high))
        a->scale = SVG_LINEAR;
    double room = a->high > a->low ? 0.06 * (a->high - a->low) : fmax(fabs(a->high) * 0.1, 0.5);
    if (a->scale == SVG_LOG) {
        a->low /= 1.25;
        a->high *= 1.25;
    } else if (a->scale == SVG_ERROR) {
        a->low = 100 - fmin(least_missing(a->low) * 1.1, 100);
        a->high = 100 - least_missing(a->high) / 1.1;
    } else {
        a->low -= room;
        a->high += room;
    }
    return 1;
}

static double place(const struct svg_axis *a, double value)
{
    double v = value, low = a->low, high = a->high;
    if (a->scale == SVG_LOG) {
        v = log(value), low = log(low), high = log(high);
    } else if (a->scale == SVG_ERROR) {
        v = -log(least_missing(value)), low = -log(least_missing(low)), high = -log(least_missing(high));
    }
    return fmin(fmax((v - low) / (high - low), -0.02), 1.02);
}

double svg_x(const struct svg *s, double value)
{
    return LEFT + place(&s->x, value) * (SVG_WIDTH - LEFT - RIGHT);
}

double svg_y(const struct svg *s, double value)
{
    return SVG_HEIGHT - BOTTOM - place(&s->y, value) * (SVG_HEIGHT - TOP - BOTTOM);
}

/* Multiples of 1, 2 or 5 and their tenfolds. */
static int ticks_even(const struct svg_axis *a, double ticks[MAX_TICKS])
{
    double rough = (a->high - a->low) / 5, decade = pow(10, floor(log10(rough)));
    double step = rough <= 2 * decade ? 2 * decade : rough <= 5 * decade ? 5 * decade : 10 * decade;
    int count = 0;
    for (double k = ceil(a->low / step); k * step <= a->high && count < MAX_TICKS; k++)
        ticks[count++] = k * step;
    return count;
}

/* Of a log axis 1, 2, 5 and their tenfolds; of what is missing to 100, too. */
static int ticks_of(const struct svg_axis *a, double ticks[MAX_TICKS])
{
    if (a->scale == SVG_LINEAR || (a->scale == SVG_LOG && a->high / a->low < 4))
        return ticks_even(a, ticks);
    static const double steps[] = {1, 2, 5};
    int count = 0;
    double low = a->scale == SVG_ERROR ? least_missing(a->high) : a->low;
    double high = a->scale == SVG_ERROR ? least_missing(a->low) : a->high;
    int is_wide = high / low > 1e4;
    for (int decade = (int)floor(log10(low)); decade <= (int)ceil(log10(high)); decade++)
        for (int i = 0; i < (is_wide ? 1 : 3) && count < MAX_TICKS; i++) {
            double value = steps[i] * pow(10, decade);
            if (value >= low && value <= high * 1.0001)
                ticks[count++] = a->scale == SVG_ERROR ? 100 - value : value;
        }
    return count;
}

/* Digits behind the point so that neighbouring ticks differ. */
static void put_tick(struct html *h, double value)
{
    html_put(h, "%.4g", fabs(value) < 1e-12 ? 0 : value);
}

static void axes_draw(struct svg *s)
{
    struct html *h = s->h;
    double ticks[MAX_TICKS], bottom = SVG_HEIGHT - BOTTOM, right = SVG_WIDTH - RIGHT;
    int count = ticks_of(&s->x, ticks);
    for (int i = 0; i < count; i++) {
        double x = svg_x(s, ticks[i]);
        html_put(h, "<path class=\"grid\" d=\"M%.1f %dV%.1f\"/><text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">",
                 x, TOP, bottom, x, bottom + 16);
        put_tick(h, ticks[i]);
        html_raw(h, "</text>");
    }
    count = ticks_of(&s->y, ticks);
    for (int i = 0; i < count; i++) {
        double y = svg_y(s, ticks[i]);
        html_put(h, "<path class=\"grid\" d=\"M%d %.1fH%.1f\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">",
                 LEFT, y, right, LEFT - 6, y + 4);
        put_tick(h, ticks[i]);
        html_raw(h, "</text>");
    }
    html_put(h, "<path class=\"axis\" d=\"M%d %dV%.1fH%.1f\"/>", LEFT, TOP, bottom, right);
    html_put(h, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>", (LEFT + right) / 2, SVG_HEIGHT - 8,
             s->x.title);
    html_put(h, "<text transform=\"translate(13 %.1f) rotate(-90)\" text-anchor=\"middle\">%s</text>",
             (TOP + bottom) / 2, s->y.title);
}

void svg_open(struct svg *s, struct html *h, const char *label)
{
    s->h = h;
    html_put(h, "<svg class=\"chart\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">", SVG_WIDTH, SVG_HEIGHT,
             label);
    axes_draw(s);
}

void svg_close(struct svg *s)
{
    html_raw(s->h, "</svg>\n");
}

/* ---- what stands in them ---- */

/* A shape a series, about 10 wide. */
static void put_shape(struct html *h, double x, double y, int series)
{
    switch (series % SVG_SERIES) {
    case 0:
        html_put(h, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4.5\"/>", x, y);
        return;
    case 1:
        html_put(h, "<path d=\"M%.1f %.1fh8v8h-8z\"/>", x - 4, y - 4);
        return;
    case 2:
        html_put(h, "<path d=\"M%.1f %.1fl5.5 9.5h-11z\"/>", x, y - 6);
        return;
    case 3:
        html_put(h, "<path d=\"M%.1f %.1fl5.5 5.5l-5.5 5.5l-5.5-5.5z\"/>", x, y - 5.5);
        return;
    case 4:
        html_put(h, "<path d=\"M%.1f %.1fl5.5-9.5h-11z\"/>", x, y + 6);
        return;
    default:
        html_put(h, "<path d=\"M%.1f %.1fh3v3h3v3h-3v3h-3v-3h-3v-3h3z\"/>", x - 1.5, y - 4.5);
        return;
    }
}

void svg_marker_open(struct svg *s, double x, double y, double low, double high, int series, int is_hollow)
{
    double at = svg_x(s, x);
    html_put(s->h, "<g class=\"s%d%s\">", series % SVG_SERIES, is_hollow ? " hollow" : "");
    if (low < high)
        html_put(s->h, "<path class=\"bar\" d=\"M%.1f %.1fV%.1f\"/>", at, svg_y(s, low), svg_y(s, high));
    put_shape(s->h, at, svg_y(s, y), series);
}

void svg_marker_close(struct svg *s)
{
    html_raw(s->h, "</g>");
}

void svg_line(struct svg *s, const double *x, const double *y, int count, int series, int is_dashed)
{
    int is_pen_down = 0;
    html_put(s->h, "<path class=\"line s%d%s\" d=\"", series % SVG_SERIES, is_dashed ? " dashed" : "");
    for (int i = 0; i < count; i++) {
        int is_there = isfinite(x[i]) && isfinite(y[i]);
        if (is_there)
            html_put(s->h, "%c%.1f %.1f", is_pen_down ? 'L' : 'M', svg_x(s, x[i]), svg_y(s, y[i]));
        is_pen_down |= is_there;
    }
    html_raw(s->h, "\"/>");
}

void svg_sign(struct html *h, int series, int is_hollow)
{
    html_put(h, "<svg class=\"sign\" viewBox=\"0 0 14 14\" aria-hidden=\"true\"><g class=\"s%d%s\">",
             series % SVG_SERIES, is_hollow ? " hollow" : "");
    put_shape(h, 7, 7, series);
    html_raw(h, "</g></svg>");
}
