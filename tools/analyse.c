/* analyse: fused model + ranges + batches -> what few bits cost, layer by layer. */
#include "base/threads.h"
#include "tools/common/sensitivity.h"

static const char details[] =
    "For every layer, and every width of its weights and of what it gives, the int8 network is run with only that\n"
    "changed from 8 bits, and compared with the float network over the first -n images. What stands before the\n"
    "change is computed once. Images of the test split are refused: this is for choosing.\n"
    "\n"
    "A table, `layer what bits kl logit_error sqnr sqnr_accumulated accuracy agreement bytes`:\n"
    "  kl                Kullback-Leibler divergence of the class probabilities from the float network's, a mean\n"
    "  logit_error       squared difference of the logits, a mean\n"
    "  sqnr              dB, signal to noise of what the layer gives, all before it at 8 bits\n"
    "  sqnr_accumulated  the same where all weights, or all activations, have so many bits (--ends)\n"
    "  accuracy          of the network with this change, percent; agreement: with the float network\n"
    "  bytes             of the layer's weights in a file\n"
    "\n"
    "Below 8 bits what changes is matched (--match) as quantize does it: the layer itself, or those that read the\n"
    "changed values. allot chooses by this table; plot draws it.\n"
    "\n"
    "Parts of the work, for several machines: each reads the same stream, all of which counts, and with --offset judges\n"
    "the -n images from that one on (--offset 0 too: it measures the noise). --merge puts all parts together: the table\n"
    "is that of -n 0 over the stream, to the last bit.\n"
    "\n"
    "  cifar-load --part held-out | analyse -m fused.safetensors -r ranges.safetensors -o analyse.tsv\n"
    "  cifar-load --part held-out | analyse -m fused -r ranges --offset 0 -n 2500 -o first.part\n"
    "  cifar-load --part held-out | analyse -m fused -r ranges --offset 2500 -n 2500 -o second.part\n"
    "  analyse --merge first.part second.part -o analyse.tsv\n"
    "  plot sensitivity analyse.tsv -o analyse.png\n";

static const char *misuse_of(const struct sensitivity *o, const struct operands *files)
{
    if (o->merge && (o->model || o->ranges || o->is_part))
        return "--merge reads parts only, not -m, -r or --offset";
    if (o->merge)
        return files->count == 0 ? "--merge: missing operand: parts of an analysis" : NULL;
    if (files->count > 0)
        return "operands are for --merge";
    return !o->model || !o->ranges ? "missing option: -m MODEL and -r RANGES are needed" : NULL;
}

/* No width twice. */
static int bits_check(const struct tool *tool, const struct integer_list *bits)
{
    for (int i = 0; i < bits->count; i++)
        for (int k = 0; k < i; k++)
            if (bits->items[i] == bits->items[k])
                return tool_misuse(tool, "--bits: %d twice", (int)bits->items[i]);
    return -1;
}

int main(int argc, char **argv)
{
    struct sensitivity o = {.count = 1024,
                            .threads = threads_online(),
                            .bits = {{8, 4, 3, 2}, 4},
                            .lowering = lowering_defaults,
                            .matching = matching_defaults};
    struct message m = {{0}};
    char observers[OBSERVER_NAMES_SIZE];
    observer_names(observers);
    const struct option_spec options[] = {
        OPTION_MODEL(&o.model),
        OPTION_RANGES(&o.ranges),
        OPTION_OUTPUT(&o.output),
        {"bits", 0, OPTION_INTEGERS, &o.bits, 2, 8, "LIST", "the widths to try", 0, 0},
        OPTION_COUNT(&o.count),
        {"offset", 0, OPTION_INTEGER, &o.offset, 0, 9007199254740992.0, "M",
         "make a part: of the stream's images those from M on, counted from 0", 0, 0},
        {"merge", 0, OPTION_FLAG, &o.merge, 0, 0, 0, "put all parts of a stream together, given as operands", 0, 0},
        OBSERVER_OPTIONS(o.lowering, observers, 0),
        {"weight-observer", 0, OPTION_CHOICE, &o.lowering.low.weight_observer, 0, 0, 0,
         "weight scales by largest weight or least squared error; else max at 8 bits, mse below", "max|mse", 0},
        {"ends", 0, OPTION_CHOICE, &o.lowering.low.ends, 0, 0, 0,
         "of sqnr_accumulated: bits of image, first and last layer; else 8", "8|same", 0},
        PER_TENSOR_OPTION(o.lowering, 0),
        {"match", 0, OPTION_CHOICE, &o.matching.match, 0, 0, 0, "match what changes to the float network; else all",
         "all|bias|off", 0},
        {"match-images", 0, OPTION_INTEGER, &o.matching.most, 1, 1e6, "N", "by the first N images", 0, 0},
        OPTION_THREADS(&o.threads),
        MODEL_OPTIONS(o.given),
        OPTION_QUIET(&o.quiet)};
    const struct tool tool = TOOL("analyse", "-m FUSED -r RANGES [-o TABLE] < BATCHES | --merge PART... [-o TABLE]",
                                  "Measure what few bits cost, layer by layer.", details, options, STRING_LIST_MAX);
    struct operands files;
    int status = tool_start(&tool, argc, argv, &files);
    if (status >= 0)
        return status;
    o.is_part = tool_was_given(&tool, "offset");
    if (misuse_of(&o, &files))
        return tool_misuse(&tool, "%s", misuse_of(&o, &files));
    if (o.merge)
        return tool_end(&tool, sensitivity_merge(&files, o.output, &m), &m);
    if ((status = bits_check(&tool, &o.bits)) >= 0)
        return status;
    matching_choose(&o.matching, 1);
    if ((status = model_arguments_take(&o.given, &tool, o.quiet)) >= 0)
        return status;
    status = tool_end(&tool, sensitivity_run(&tool, &o, &m), &m);
    model_arguments_free(&o.given);
    return status;
}
