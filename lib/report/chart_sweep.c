/* Charts of a sweep: curves of points, each the best of the configurations that belong there. */
#include "report/chart.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_CURVES = 16, MAX_PLACES = 32, LABEL_SIZE = 128, LABEL_EM = 24, PLACE_EM = 14 };

/* A place on the axis is a number (bits, images) or a name (observers), then counted from 1. */
struct curves {
    const struct sweep *s;
    int count, places;
    char labels[MAX_CURVES][LABEL_SIZE];
    double place[MAX_PLACES];
    const char *place_name[MAX_PLACES];
    const struct sweep_row *best[MAX_CURVES][MAX_PLACES];
};

static int curve_of(struct curves *c, const char *label, struct message *m)
{
    for (int i = 0; i < c->count; i++)
        if (strcmp(c->labels[i], label) == 0)
            return i;
    if (c->count == MAX_CURVES)
        return message_set(m, STATUS_FORMAT, "more than %d curves", MAX_CURVES);
    snprintf(c->labels[c->count], LABEL_SIZE, "%s", label);
    return c->count++;
}

/* name NULL: the place is the number. */
static int place_of(struct curves *c, double number, const char *name, struct message *m)
{
    for (int i = 0; i < c->places; i++)
        if (name ? strcmp(c->place_name[i], name) == 0 : c->place[i] == number)
            return i;
    if (c->places == MAX_PLACES)
        return message_set(m, STATUS_FORMAT, "more than %d places on the axis", MAX_PLACES);
    c->place[c->places] = name ? c->places + 1 : number;
    c->place_name[c->places] = name;
    return c->places++;
}

static int add(struct curves *c, const char *label, double number, const char *name, const struct sweep_row *r,
               struct message *m)
{
    int curve = curve_of(c, label, m);
    int place = curve < 0 ? curve : place_of(c, number, name, m);
    if (place < 0)
        return place;
    const struct sweep_row **best = &c->best[curve][place];
    if (!*best || sweep_is_better(r, *best))
        *best = r;
    return 0;
}

/* ---- what each kind shows of a row ---- */

static int add_bits(struct curves *c, const struct sweep_row *r, int bits, struct message *m)
{
    char label[LABEL_SIZE];
    (void)bits;
    if (strcmp(r->stage, "qat") == 0) {
        snprintf(label, sizeof label, "QAT, %.100s ranges", r->ranges);
        return add(c, label, r->weight_bits, NULL, r, m);
    }
    if (!sweep_is_usual(c->s, r) || r->weight_bits != r->activation_bits)
        return 0;
    snprintf(label, sizeof label, "PTQ, per %.100s", r->granularity);
    return add(c, label, r->weight_bits, NULL, r, m);
}

static int add_parts(struct curves *c, const struct sweep_row *r, int bits, struct message *m)
{
    (void)bits;
    if (!sweep_is_usual(c->s, r) || strcmp(r->observer, "mse") != 0 || strcmp(r->granularity, "channel") != 0)
        return 0;
    if (r->weight_bits == r->activation_bits)
        TRY(add(c, "both", r->weight_bits, NULL, r, m));
    if (r->activation_bits == 8)
        TRY(add(c, "weights (activations 8)", r->weight_bits, NULL, r, m));
    return r->weight_bits == 8 ? add(c, "activations (weights 8)", r->activation_bits, NULL, r, m) : 0;
}

static int add_calibration(struct curves *c, const struct sweep_row *r, int bits, struct message *m)
{
    (void)bits;
    return sweep_is_calibration(r) ? add(c, r->observer, (double)r->calibration_images, NULL, r, m) : 0;
}

static int add_observers(struct curves *c, const struct sweep_row *r, int bits, struct message *m)
{
    char label[LABEL_SIZE];
    if (!sweep_is_usual(c->s, r) || r->weight_bits != bits || r->activation_bits != bits)
        return 0;
    snprintf(label, sizeof label, "per %.100s", r->granularity);
    return add(c, label, 0, r->observer, r, m);
}

static const struct kind {
    int (*add)(struct curves *c, const struct sweep_row *r, int bits, struct message *m);
    const char *title, *x_title, *before, *after; /* before, after: around the number of seeds */
} kinds[] = {
    [SWEEP_BITS] = {add_bits, "Accuracy over bits of weights and activations", "bits",
                    "PTQ: the best observer, mean of", "QAT: one seed; bars: 95 % interval"},
    [SWEEP_PARTS] = {add_parts, "PTQ: bits of weights, of activations, of both", "bits",
                     "observer mse, per channel, mean of", "bars: 95 % interval"},
    [SWEEP_CALIBRATION] = {add_calibration, "PTQ at 8 bits: how many calibration images?", "calibration images",
                           "per channel; mean of", "bars: least to most of them"},
    [SWEEP_OBSERVERS] = {add_observers, "PTQ at %d bits: observers", "", "mean of", "bars: 95 % interval"},
};

/* ---- for gnuplot ---- */

/* The points of each curve, from the least place to the greatest. */
static int points_add(struct chart *c, const struct curves *all, int is_spread, struct message *m)
{
    double lowest = 100, highest = 0;
    TRY(text_add(&c->text, m, "$curves << END_OF_DATA\n"));
    for (int i = 0; i < all->count; i++) {
        double last = -INFINITY;
        for (int next = 0; next >= 0;) {
            next = -1;
            for (int p = 0; p < all->places; p++)
                if (all->best[i][p] && all->place[p] > last && (next < 0 || all->place[p] < all->place[next]))
                    next = p;
            if (next < 0)
                break;
            const struct sweep_row *r = all->best[i][next];
            double low = is_spread ? r->least : r->low, high = is_spread ? r->most : r->high;
            lowest = fmin(lowest, low);
            highest = fmax(highest, high);
            last = all->place[next];
            TRY(text_add(&c->text, m, "%.10g\t%.4f\t%.4f\t%.4f\n", last, r->accuracy, low, high));
        }
        TRY(text_add(&c->text, m, "\n\n"));
    }
    TRY(text_add(&c->text, m, "END_OF_DATA\n"));
    TRY(chart_number(c, "lowest", lowest, m));
    return chart_number(c, "highest", highest, m);
}

static int places_add(struct chart *c, const struct curves *all, struct message *m)
{
    char numbers[MAX_PLACES][32];
    const char *names[MAX_PLACES];
    for (int i = 0; i < all->places; i++) {
        snprintf(numbers[i], sizeof numbers[i], "%.10g", all->place[i]);
        names[i] = all->place_name[i] ? all->place_name[i] : numbers[i];
    }
    TRY(chart_number(c, "place_count", all->places, m));
    return chart_texts(c, "places", names, all->places, (struct chart_setting){FONT_BOLD, PLACE_EM, CHART_TIC}, m);
}

static int labels_add(struct chart *c, const struct curves *all, struct message *m)
{
    const char *labels[MAX_CURVES];
    for (int i = 0; i < all->count; i++)
        labels[i] = all->labels[i];
    TRY(chart_number(c, "curves", all->count, m));
    return chart_texts(c, "labels", labels, all->count, (struct chart_setting){FONT_PLAIN, LABEL_EM, CHART_LABEL},
                       m);
}

static int heading_add(struct chart *c, const struct sweep *s, const struct kind *k, int bits, const char *own,
                       struct message *m)
{
    char title[LABEL_SIZE], more[512];
    snprintf(title, sizeof title, k->title, bits); /* a format of ours: %d where bits have a place in it */
    TRY(chart_title(c, own ? own : title, m));
    snprintf(more, sizeof more, "%s %d seeds; %s", k->before, s->seeds, k->after);
    TRY(chart_subtitle(c, s->table, NULL, more, m));
    TRY(chart_string(c, "x_title", k->x_title, m));
    TRY(chart_number(c, "is_log", k->add == add_calibration, m));
    return chart_number(c, "float_accuracy", s->rows[s->float_row].accuracy, m);
}

int chart_sweep(struct chart *c, const struct sweep *s, enum chart_sweep_kind kind, int bits, const char *title,
                struct message *m)
{
    struct curves all = {.s = s};
    for (int k = 0; k < s->count; k++)
        TRY(kinds[kind].add(&all, &s->rows[k], bits, m));
    if (all.count == 0)
        return message_set(m, STATUS_FORMAT, "no row belongs in this chart");
    TRY(heading_add(c, s, &kinds[kind], bits, title, m));
    TRY(labels_add(c, &all, m));
    TRY(places_add(c, &all, m));
    return points_add(c, &all, kind == SWEEP_CALIBRATION, m);
}
