#include "report/chart.h"
#include <math.h>
#include <stdio.h>

enum { BINS = 2048, BIN_OF_ZERO = 1024, MOST_BARS = 256 };

/* Neighbouring bins drawn as one, so that bars stay wide enough to see: a power of two. */
static int bins_a_bar(int first, int last)
{
    int merged = 1;
    while ((last - first + merged) / merged > MOST_BARS)
        merged *= 2;
    return merged;
}

/* Bars `left width share`, share in percent of all values, from whole groups of `merged` bins. Returns the smallest
 * share. */
static int bars_print(struct chart *c, const struct chart_activation *a, int first, int last, int merged,
                      double total, struct message *m)
{
    double width = ldexp(1, a->exponent);
    char left[32], wide[32], share[32];
    TRY(text_add(&c->text, m, "$bars << END_OF_DATA\n"));
    for (int bin = first / merged * merged; bin <= last; bin += merged) {
        double count = 0;
        for (int i = bin; i < bin + merged; i++)
            count += (double)a->bins[i];
        if (count == 0)
            continue;
        format_number(left, (bin - BIN_OF_ZERO) * width);
        format_number(wide, merged * width);
        format_number(share, 100 * count / total);
        TRY(text_add(&c->text, m, "%s\t%s\t%s\n", left, wide, share));
    }
    return text_add(&c->text, m, "END_OF_DATA\n");
}

/* Share of values in bins that lie wholly outside the range, in percent: what clipping changes, to a bin's width.
 */
static double clipped_share(const struct chart_activation *a, double total)
{
    double width = ldexp(1, a->exponent), clipped = 0;
    for (int bin = 0; bin < BINS; bin++) {
        double left = (bin - BIN_OF_ZERO) * width;
        if (left + width <= a->clip_low || left >= a->clip_high)
            clipped += (double)a->bins[bin];
    }
    return 100 * clipped / total;
}

int chart_histogram(struct chart *c, const struct chart_activation *a, const struct table *notes, struct message *m)
{
    int first = BINS, last = -1, has_clip = a->clip_low < a->clip_high;
    double total = 0;
    for (int bin = 0; bin < BINS; bin++) {
        if (!a->bins[bin])
            continue;
        first = bin < first ? bin : first;
        last = bin;
        total += (double)a->bins[bin];
    }
    if (total == 0)
        return message_set(m, STATUS_FORMAT, "%s: empty input: no values were counted", a->node);
    TRY(bars_print(c, a, first, last, bins_a_bar(first, last), total, m));
    TRY(chart_number(c, "value_min", a->min, m));
    TRY(chart_number(c, "value_max", a->max, m));
    TRY(chart_number(c, "least_share", fmin(100 / total, 10), m));
    TRY(chart_number(c, "has_clip", has_clip, m));
    TRY(chart_number(c, "clip_low", has_clip ? a->clip_low : a->min, m));
    TRY(chart_number(c, "clip_high", has_clip ? a->clip_high : a->max, m));
    TRY(chart_number(c, "clipped", has_clip ? clipped_share(a, total) : 0, m));
    return chart_subtitle(c, notes, NULL, a->note, m);
}
