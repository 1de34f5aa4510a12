/* plot: charts by gnuplot and grids of pictures by libpng and freetype. */
#include "record/file.h"
#include "tools/common/plot.h"
#include <string.h>

static const struct kind {
    const char *name;
    int least, most; /* inputs */
    int is_grid;
    plot_function *run;
} kinds[] = {
    {"loss", 1, STRING_LIST_MAX, 0, plot_loss},
    {"accuracy", 1, STRING_LIST_MAX, 0, plot_accuracy},
    {"confusion", 1, 1, 0, plot_confusion},
    {"compare-accuracy", 1, 1, 0, plot_compare_accuracy},
    {"compare-size", 1, 1, 0, plot_compare_size},
    {"compare-time", 1, 1, 0, plot_compare_time},
    {"sweep-bits", 1, 1, 0, plot_sweep_bits},
    {"sweep-parts", 1, 1, 0, plot_sweep_parts},
    {"sweep-calibration", 1, 1, 0, plot_sweep_calibration},
    {"sweep-observers", 2, 2, 0, plot_sweep_observers},
    {"ablation", 1, 1, 0, plot_ablation},
    {"sensitivity", 1, 1, 0, plot_sensitivity},
    {"frontier", 1, 1, 0, plot_frontier},
    {"histogram", 2, 2, 0, plot_histogram},
    {"images", 0, 0, 1, plot_images},
    {"augmented", 0, 0, 1, plot_augmented},
    {"samples", 1, 1, 1, plot_samples},
};

static const char details[] =
    "Kinds and their inputs:\n"
    "  loss LOG..                  training loss and learning rate over epochs, one curve a log\n"
    "  accuracy LOG..              accuracy over epochs, on trained and held-out images\n"
    "  confusion METRICS           confusion matrix, from evaluate's table\n"
    "  compare-accuracy SUMMARY    bars with intervals, one a row\n"
    "  compare-size SUMMARY        bars of file sizes\n"
    "  compare-time SUMMARY        bars of milliseconds an image\n"
    "  sweep-bits SWEEP            accuracy over bits: PTQ by its best observer, QAT by kind of range\n"
    "  sweep-parts SWEEP           PTQ over bits of weights alone, of activations alone, of both\n"
    "  sweep-calibration SWEEP     PTQ at 8 bits over calibration images, a curve an observer\n"
    "  sweep-observers SWEEP BITS  PTQ at so many bits: observers, per channel and per tensor\n"
    "  ablation ABLATION           what each change of the recipe is worth\n"
    "  sensitivity ANALYSE         what few bits of each layer cost, from analyse's table\n"
    "  frontier FRONTIER           what plans of bits cost, from allot --frontier\n"
    "  histogram RANGES NODE       values of an activation, from calibrate; with -m, where int8 codes end\n"
    "  images < BATCHES            pictures as loaded\n"
    "  augmented < BATCHES         one row an image, one column an epoch of the stream; --originals adds them\n"
    "  samples PREDICTIONS < BATCHES   true class, predicted class and its probability; wrong ones marked\n"
    "The output's name says the format: .png or .svg; images, augmented and samples are .png only.\n"
    "Texts are set in DejaVu Sans and, letters that it lacks, in what other fonts fontconfig finds; a letter that none\n"
    "has is a box, but in an .svg, whose viewer may have it. Long names are shortened in their middle.\n"
    "gnuplot's scripts are found beside the program (plots, ../share/resq/plots) or in $RESQ_PLOTS.\n"
    "\n"
    "Examples:\n"
    "  plot loss float.log.tsv qat.log.tsv --label float --label QAT -o loss.png\n"
    "  cifar-load -n 8 --epochs 7 | augment --crop 4 --flip 0.5 | plot augmented -o augmented.png\n"
    "  cifar-load --split test -n 40 | plot samples qat.predictions.safetensors -o samples.png\n";

static const struct kind *kind_find(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}

/* Misuse is exit status 2; -1 to go on. */
static int job_check(const struct tool *tool, struct plot_job *job, const struct kind *kind)
{
    struct message m = {0};
    if (job->input_count < kind->least)
        return tool_misuse(tool, "%s: missing operand", kind->name);
    if (job->input_count > kind->most)
        return tool_misuse(tool, "%s: unexpected operand '%s'", kind->name, job->inputs[kind->most]);
    if (!job->output)
        return tool_misuse(tool, "missing option -o FILE");
    if (chart_format_of(job->output, &job->format, &m) < 0)
        return tool_misuse(tool, "%s", m.text);
    if (kind->is_grid && job->format != CHART_PNG)
        return tool_misuse(tool, "%s: %s is a .png only", job->output, kind->name);
    return -1;
}

/* Everything that can be known before the work begins. */
static int job_run(struct plot_job *job, const struct kind *kind, struct message *m)
{
    TRY(output_check(job->output, m));
    for (int i = 0; i < job->input_count; i++)
        TRY(output_differs(job->inputs[i], job->output, m));
    const char *const others[] = {job->model, job->images, job->originals};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (others[i])
            TRY(output_differs(others[i], job->output, m));
    if (!kind->is_grid)
        TRY(plots_find(job->plots, sizeof job->plots, m));
    return kind->run(job, m);
}

int main(int argc, char **argv)
{
    struct plot_job job = {.columns = 8};
    const struct option_spec options[] = {
        OPTION_OUTPUT(&job.output),
        OPTION_MODEL(&job.model),
        {"count", 'n', OPTION_INTEGER, &job.count, 0, 10000, "N", "images a grid shows; 0: 40, of augmented 8 rows",
         0, 0},
        {"columns", 0, OPTION_INTEGER, &job.columns, 1, 64, "N", "columns of a grid", 0, 0},
        {"scale", 0, OPTION_INTEGER, &job.scale, 1, 16, "N",
         "enlargement of the pictures in a grid; else to about 160 pixels", 0, 0},
        {"images", 0, OPTION_STRING, &job.images, 0, 0, "FILE", "read batches here instead of standard input", 0,
         0},
        {"originals", 0, OPTION_STRING, &job.originals, 0, 0, "FILE", "batches of the images before augmentation",
         0, 0},
        {"label", 0, OPTION_STRINGS, &job.labels, 0, 0, "TEXT", "name of an input, in order; may be repeated", 0,
         0},
        {"title", 0, OPTION_STRING, &job.title, 0, 0, "TEXT", "the chart's title", 0, 0},
    };
    const struct tool tool = TOOL("plot", "KIND [INPUT].. -o FILE.{png,svg} [< BATCHES]",
                                  "Draw a chart or a grid of pictures.", details, options, STRING_LIST_MAX + 1);
    struct operands operands;
    struct message m = {0};
    int status = tool_start(&tool, argc, argv, &operands);
    if (status >= 0)
        return status;
    if (operands.count == 0)
        return tool_misuse(&tool, "missing operand: the kind of chart");
    const struct kind *kind = kind_find(operands.items[0]);
    if (!kind)
        return tool_misuse(&tool, "unknown kind '%s'", operands.items[0]);
    job.inputs = operands.items + 1;
    job.input_count = operands.count - 1;
    status = job_check(&tool, &job, kind);
    if (status >= 0)
        return status;
    return tool_end(&tool, job_run(&job, kind, &m), &m);
}
