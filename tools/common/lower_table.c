#include "tools/common/lower_table.h"
#include "base/text.h"
#include <math.h>
#include <stdio.h>

static void print_decibels(double value)
{
    if (isnan(value))
        fprintf(stderr, " %8s", "-");
    else
        fprintf(stderr, " %8.2f", value);
}

static void print_row(const struct lower_row *row)
{
    char scale[32] = "-";
    if (row->scale > 0)
        format_number_f32(scale, row->scale);
    fprintf(stderr, "%-24s %14s ", row->name, scale);
    if (row->scale > 0)
        fprintf(stderr, "%10d", row->zero_point);
    else
        fprintf(stderr, "%10s", "-");
    print_decibels(row->activation_sqnr);
    print_decibels(row->weight_sqnr);
    if (row->bound > 0)
        fprintf(stderr, " %11lld %8.1f\n", (long long)row->bound, 0x1p31 / (double)row->bound);
    else
        fprintf(stderr, " %11s %8s\n", "-", "-");
}

void lower_table_print(const struct lower_report *report)
{
    fprintf(stderr, "%-24s %14s %10s %8s %8s %11s %8s\n", "layer", "scale", "zero_point", "sqnr", "weights",
            "bound", "margin");
    for (int i = 0; i < report->count; i++)
        print_row(&report->rows[i]);
}

static double decibels(double signal, double noise)
{
    return noise > 0 ? 10 * log10(signal / noise) : (double)INFINITY;
}

void spared_print(const struct lower_report *r)
{
    fprintf(stderr, "saturation-free: scale raised in %d of %d channels; weights' sqnr %.2f dB, %.2f before\n",
            r->spared, r->channels, decibels(r->signal, r->noise_after), decibels(r->signal, r->noise_before));
}
