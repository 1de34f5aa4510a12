/* inspect: any record as text, checked or compared. */
#include "tools/common/verbs.h"

static const char details[] =
    "Verbs (FILE: a record or a stream of batches; default standard input):\n"
    "  show [FILE]          metadata, tensors, totals; of an int8 model also, layer by layer, the proven bound of\n"
    "                       the accumulator and how far below 2^31 it stays; of a stream its first batch\n"
    "  graph [FILE]         the network as text\n"
    "  network [FILE]       what to call it in a title: ResNet-18 and its width, or what it is made of\n"
    "  tensor NAME [FILE]   type, shape and statistics; with --values every value\n"
    "  bounds [FILE]        of an int8 model, for each 3x3 convolution of stride 1: the proved bound of its sums\n"
    "                       and how far below 2^25 it stays, where exact Winograd may compute it; outputs beyond\n"
    "                       are computed directly\n"
    "  stages [FILE]        of a float model, a line for each later stage that cannot take it (fuse, qat-finetune,\n"
    "                       evaluate) and why, with exit status 1; silent, with 0, where every one can\n"
    "  made-by [FILE]       one line per program that the record went through\n"
    "  check [FILE]...      silent where every file is whole; a stream must have its end record, a model fit its\n"
    "                       graph\n"
    "  compare FILE FILE    what differs, as TSV: metadata, and per tensor largest and mean difference and the\n"
    "                       signal-to-noise ratio in dB, the first file being the signal; int8 weights are\n"
    "                       compared by the values that they stand for; silent, with exit status 0, where\n"
    "                       nothing differs\n\n"
    "Example: diff <(inspect graph a.safetensors) <(inspect graph b.safetensors)";

int main(int argc, char **argv)
{
    struct inspection i = {0};
    const struct option_spec options[] = {
        OPTION_OUTPUT(&i.output),
        {"values", 0, OPTION_FLAG, &i.values, 0, 0, 0, "tensor: print every value", 0, 0},
        MODEL_OPTIONS(i.given),
    };
    const struct tool tool =
        TOOL("inspect", "VERB [OPERAND]...", "Print, check or compare records.", details, options, 1 << 20);
    struct message m = {0};
    int status = tool_start(&tool, argc, argv, &i.operands);
    if (status >= 0)
        return status;
    i.tool = &tool;
    if ((status = model_arguments_take(&i.given, &tool, 0)) >= 0)
        return status;
    if (i.operands.count == 0)
        return tool_misuse(&tool, "no verb: " VERB_NAMES);
    const char *name = *i.operands.items++;
    i.operands.count--;
    const struct verb *verb = verb_find(name);
    if (!verb)
        return tool_misuse(&tool, "unknown verb '%s': " VERB_NAMES, name);
    if (i.operands.count < verb->least || i.operands.count > verb->most)
        return tool_misuse(&tool, "%s: takes %d to %d operands", name, verb->least, verb->most);
    return tool_end(&tool, verb_run(verb, &i, &m), &m) || i.differs;
}
