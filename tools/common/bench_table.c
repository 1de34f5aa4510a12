#include "tools/common/bench_table.h"
#include "base/threads.h"
#include "exec/device/choose.h"
#include "record/lineage.h"
#include <stdio.h>
#include <string.h>

int bench_note_device(struct table *t, const char *device, struct message *m)
{
    struct message why = {{0}};
    const char *name;
    if (strcmp(device, "cpu") == 0)
        return 0;
    TRY(device_choose(device, &name, &why, m));
    return table_note(t, "gpu", why.text, m);
}

static int add_row(struct table *t, const struct measure_case *c, const char *what, const char *algorithm,
                   struct timing s, double macs, size_t bytes, const struct exec_comparison *o, struct message *m)
{
    const int images = c->views > 1 ? c->batch / c->views : c->batch;
    double scale = 1e3 / images, rate = macs * c->batch / s.median / 1e9;
    char peak[64] = "-\t-", other[64] = "-\t-\t-";
    if (c->peak > 0)
        snprintf(peak, sizeof peak, "%.2f\t%.4f", c->peak / 1e9, rate * 1e9 / c->peak);
    if (o && o->other_seconds > 0)
        snprintf(other, sizeof other, "%.6f\t%s\t%.6f", o->chosen_seconds * 1e3, o->other, o->other_seconds * 1e3);
    return table_rowf(t, m, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%.6f\t%.6f\t%.6f\t%.6f\t%.1f\t%.3f\t%s\t%zu\t%s", what,
                      c->name, exec_isa(c->exec), exec_device(c->exec), exec_precision(c->exec), algorithm,
                      exec_threads(c->exec), images, s.median * scale, s.min * scale, s.p95 * scale, s.p99 * scale,
                      images / s.median, rate, peak, bytes, other);
}

static int add_layers(struct table *t, const struct measure_case *c, struct message *m)
{
    for (int i = 0; i < exec_layer_count(c->exec); i++) {
        struct exec_layer layer = exec_layer_at(c->exec, i);
        char what[128];
        snprintf(what, sizeof what, "layer:%s", layer.name);
        TRY(add_row(t, c, what, layer.algorithm, c->layers[i], layer.macs, layer.bytes, &c->others[i], m));
    }
    return 0;
}

int bench_table(struct table *t, const struct measure_case *cases, int count, const char *images, struct message *m)
{
    char cpu[256], text[64];
    machine_name(cpu, sizeof cpu);
    TRY(table_columns(t,
                      "what model isa device precision algorithm threads batch ms_median ms_min ms_p95 ms_p99 "
                      "samples_per_s gmac_per_s peak_gmac_per_s of_peak bytes ms_alone other ms_other",
                      m));
    TRY(table_note(t, "tool", "bench " RESQ_VERSION, m));
    TRY(table_note(t, "cpu", cpu, m));
    TRY(bench_note_device(t, exec_device(cases[0].exec), m));
    snprintf(text, sizeof text, "%d", threads_online());
    TRY(table_note(t, "processors", text, m));
    int calls = cases[0].samples;
    for (int i = 1; i < count; i++)
        calls = cases[i].samples < calls ? cases[i].samples : calls;
    snprintf(text, sizeof text, "%d of each case, at least", calls);
    TRY(table_note(t, "calls", text, m));
    TRY(table_note(t, "images", images, m));
    for (int i = 0; i < count; i++)
        TRY(add_row(t, &cases[i], cases[i].views > 1 ? "infer:flip" : "infer", exec_main_algorithm(cases[i].exec),
                    cases[i].call, exec_macs(cases[i].exec), exec_held_bytes(cases[i].exec), NULL, m));
    for (int i = 0; i < count && cases[0].layers; i++)
        TRY(add_layers(t, &cases[i], m));
    return 0;
}
