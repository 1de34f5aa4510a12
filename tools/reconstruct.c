/* reconstruct: fused model + ranges + batches -> int8 model whose codes are learned, block by block. */
#include "base/threads.h"
#include "tools/common/code_learning.h"
#include "tools/common/crew.h"
#include "tools/common/stopping.h"

static const char details[] =
    "Makes what quantize makes with the same options, then learns, for every weight of fewer than 8 bits, whether it\n"
    "is rounded up or down (AdaRound): a block of layers at a time (BRECQ; of a ResNet a residual block), in the order\n"
    "of the network, so that what the block gives on the quantized layers before it comes near to what the float\n"
    "network's block gives. Scales of activations of fewer than 8 bits are learned with it (LSQ). In each step some of\n"
    "the activations, drawn anew, are left unrounded (QDrop). No labels are used. Weights' scales and biases of each\n"
    "layer are set by matching its outputs (quantize --match) before and after.\n"
    "Where a block gained nothing, it stays as it was matched. The result is a model like quantize's.\n"
    "\n"
    "It reads batches of the train split and holds what lies between two blocks for --images of them: -v says how\n"
    "much that takes. --steps 200 is a short form.\n"
    "\n"
    "SIGINT and SIGTERM finish the step and save the --checkpoint; --resume takes the stream from its beginning and\n"
    "gives the same bytes as a run that was not stopped; it refuses a checkpoint of other options, files or images.\n"
    "\n"
    "mpirun -n N reconstruct .. shares the learning among N processes and gives the bytes of one: each step's images are\n"
    "cut into shards of 32, so that at -b 32 only one has work, at -b 128 four; what lies between two blocks, and all else,\n"
    "each computes and holds for itself.\n"
    "\n"
    "  cifar-load --part train -n 1024 | reconstruct -m fused -r ranges --weight-bits 3 --activation-bits 3 -o w3\n"
    "  cifar-load --part train -n 1024 | reconstruct -m fused -r ranges --plan bits.txt --steps 200 -o mixed\n";

static const char *misuse_of(const struct code_learning *r)
{
    if (!r->model || !r->ranges)
        return "missing option: -m MODEL and -r RANGES are needed";
    if (r->lowering.weight_bits == 8 && !r->lowering.low.plan)
        return "--weight-bits: 8 leave nothing to learn: want fewer, or a --plan";
    if (r->how.resume && !r->how.checkpoint)
        return "--resume: needs --checkpoint FILE";
    if (r->how.checkpoint_every > 0 && !r->how.checkpoint)
        return "--checkpoint-every: needs --checkpoint FILE";
    return NULL;
}

int main(int argc, char **argv)
{
    struct code_learning r = {
        .match = "all",
        .images = 1024,
        .match_images = 512,
        .batch = 32,
        .seed = 1,
        .threads = threads_online(),
        .lowering = lowering_defaults,
        .how = {.steps = 1000, .rate = 0.03, .scale_rate = 0.003, .drop = 0.5, .penalty = 0.01}};
    struct reconstruct_options *how = &r.how;
    struct message m = {{0}};
    char observers[OBSERVER_NAMES_SIZE];
    observer_names(observers);
    const struct option_spec options[] = {
        OPTION_MODEL(&r.model),
        OPTION_RANGES(&r.ranges),
        OPTION_OUTPUT(&r.output),
        LOWERING_OPTIONS(r.lowering, observers),
        {"steps", 0, OPTION_INTEGER, &how->steps, 1, 1e6, "N", "of learning, for each block", 0, 1},
        {"images", 0, OPTION_INTEGER, &r.images, 1, 1e6, "N", "learn from so many images of standard input", 0, 0},
        OPTION_BATCH(&r.batch, 1),
        {"learning-rate", 0, OPTION_NUMBER, &how->rate, 0, 10, "RATE", "at first; it falls to 0", 0, 1},
        {"scale-rate", 0, OPTION_NUMBER, &how->scale_rate, 0, 1, "RATE",
         "of scales of activations below 8 bits, likewise; 0: not", 0, 1},
        {"drop", 0, OPTION_NUMBER, &how->drop, 0, 1, "SHARE", "of the activations that a step leaves unrounded", 0,
         1},
        {"penalty", 0, OPTION_NUMBER, &how->penalty, 0, 1e3, "LAMBDA", "on weights that are between two codes", 0,
         1},
        {"single", 0, OPTION_FLAG, &how->single, 0, 0, 0, "layer by layer, not by blocks", 0, 1},
        {"match", 0, OPTION_CHOICE, &r.match, 0, 0, 0,
         "match each layer's mean and deviation to the float network's", "all|bias|off", 1},
        {"match-images", 0, OPTION_INTEGER, &r.match_images, 1, 1e6, "N", "by the first N of the images", 0, 0},
        {"checkpoint", 0, OPTION_STRING, &how->checkpoint, 0, 0, "FILE",
         "save before each block and on SIGINT, SIGTERM", 0, 0},
        {"checkpoint-every", 0, OPTION_INTEGER, &how->checkpoint_every, 0, 1e12, "STEPS", "and so often; 0: not", 0,
         0},
        {"resume", 0, OPTION_FLAG, &how->resume, 0, 0, 0, "go on from the checkpoint, if there is one", 0, 0},
        OPTION_SEED(&r.seed),
        OPTION_THREADS(&r.threads),
        MODEL_OPTIONS(r.given),
        OPTION_VERBOSE(&r.verbose),
        OPTION_QUIET(&r.quiet)};
    const struct tool tool =
        TOOL("reconstruct", "-m MODEL -r RANGES --weight-bits N [-o OUT] < BATCHES",
             "Turn a fused float model into a low-bit model whose codes are learned.", details, options, 0);
    int status = tool_start(&tool, argc, argv, NULL);
    if (status >= 0)
        return status;
    r.tool = &tool;
    if (misuse_of(&r))
        return tool_misuse(&tool, "%s", misuse_of(&r));
    if ((status = model_arguments_take(&r.given, &tool, r.quiet)) >= 0)
        return status;
    status = crew_open(&r.ranks, &r.verbose, &r.quiet, &m);
    model_arguments_hush(&r.given, r.quiet);
    if (status >= 0)
        status = code_learning_run(&r, &m);
    code_learning_close(&r);
    model_arguments_free(&r.given);
    if (status == STATUS_INTERRUPTED && stop_signal)
        stopping_die();
    return tool_end_of_ranks(&tool, r.ranks, status, &m);
}
