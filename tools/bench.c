/* bench: how long models take: all cases in one run, taking turns, with the machine's own peak beside them. */
#include "data/image.h"
#include "tools/common/bench_infer.h"
#include "tools/common/bench_train.h"
#include <string.h>

static const char details[] =
    "Every model runs with every batch size and number of threads. The cases take turns of 50 ms, for\n"
    "--seconds a case; a turn's first call, which finds the caches as another case left them, does not\n"
    "count if there are more. Times are per image: a call's time over its batch. Logits are checked in\n"
    "every timed call against those of an untimed one; a difference is a failure.\n"
    "\n"
    "Rows:\n"
    "  what=infer        a whole network; algorithm: that of its largest layer; bytes: activations and packed\n"
    "                    weights\n"
    "  what=infer:flip   with --tta flip: a call has each image and its mirror image; times are an image's\n"
    "  what=layer:NAME   with --layers, one step of it; bytes: packed weights. Where there is another algorithm\n"
    "                    for it, ms_alone and ms_other are the times of the chosen and the other one on one\n"
    "                    thread, in turns\n"
    "  gmac_per_s is reached at the median; peak_gmac_per_s is what this machine's multiply-adds reach on\n"
    "  registers alone, measured in this run (- where the instruction set has no such loop)\n"
    "\n"
    "Without --images, images are random but always the same. --precision is of float layers: bf16 is fast\n"
    "on a CPU with tiles (amx), training with avx2 too; models with integer layers have their own and are\n"
    "timed once. RESQ_ISA chooses the instruction set, RESQ_CONV=direct|pairs|winograd the algorithm\n"
    "of convolutions; otherwise a rule of costs does, and of integers only what is proved exact is Winograd\n"
    "or summed by pairs in 16 bits.\n"
    "\n"
    "Examples:\n"
    "  bench -m fused.safetensors -m ptq.safetensors -b 1,32 -j 1,2 -o bench.tsv\n"
    "  bench --width 64 -b 1 --layers\n" BENCH_TRAIN_HELP;

int main(int argc, char **argv)
{
    struct bench_arguments o = {
        .batches = {{1}, 1}, .threads = {{1}, 1}, .seconds = 1, .where = {.device = device_default}};
    const char *size = NULL, *tta = NULL;
    int train = 0;
    const struct option_spec options[] = {
        OPTION_MODELS(&o.models),
        {"width", 0, OPTION_INTEGER, &o.width, 0, 512, "N", "also a ResNet-18 of this width, untrained; 0: none", 0,
         0},
        {"size", 0, OPTION_STRING, &size, 0, 0, "HxW[xC]", "the images of --width's network", 0, 0},
        OPTION_BATCHES(&o.batches),
        OPTION_THREADS_LIST(&o.threads),
        OPTION_OUTPUT(&o.output),
        {"seconds", 0, OPTION_NUMBER, &o.seconds, 0, 3600, "S", "time for each case, at least", 0, 0},
        {"layers", 0, OPTION_FLAG, &o.layers, 0, 0, 0, "a row for every layer too", 0, 0},
        {"tta", 0, OPTION_CHOICE, &tta, 0, 0, 0, "time each image with its mirror image, as evaluate --tta", "flip",
         0},
        {"images", 0, OPTION_STRING, &o.images, 0, 0, "FILE", "images from this batch file", 0, 0},
        {"train", 0, OPTION_FLAG, &train, 0, 0, 0, "time training steps", 0, 0},
        {"precision", 0, OPTION_STRINGS, &o.precisions, 0, 0, "NAME",
         "of floats: fp32, bf16, fp16 (GPU); may be repeated", 0, 0},
        OPTION_RANGES(&o.ranges),
        OPTION_DEVICE(o.where),
        MODEL_OPTIONS(o.given),
    };
    const struct tool tool =
        TOOL("bench", "-m MODEL [-m MODEL]... [-b LIST] [-j LIST] [-o TSV]", "Time models.", details, options, 0);
    struct message m = {0};
    int status = tool_start(&tool, argc, argv, NULL);
    if (status >= 0)
        return status;
    if (o.models.count == 0 && o.width == 0)
        return tool_misuse(&tool, "missing option -m MODEL (or --width N)");
    struct image_shape image = IMAGE_CIFAR;
    if (size && o.width == 0)
        return tool_misuse(&tool, "--size: is of --width's network; models have their own");
    if (size && image_input_parse(size, &image, &m) < 0)
        return tool_misuse(&tool, "--size: %s", m.text);
    memcpy(o.image, (const int[3]){image.height, image.width, image.channels}, sizeof o.image);
    o.flips = tta != NULL;
    if (tta && (train || o.layers))
        return tool_misuse(&tool, "--tta: times whole networks, not --layers or --train");
    if (!train && o.ranges)
        return tool_misuse(&tool, "--ranges: needs --train");
    if (device_resolve(&tool, &o.where, 0, &m) < 0)
        return tool_end(&tool, STATUS_UNSUPPORTED, &m);
    if (o.precisions.count == 0)
        o.precisions = (struct string_list){{"fp32"}, 1};
    if ((status = model_arguments_take(&o.given, &tool, 0)) >= 0)
        return status;
    status = tool_end(&tool, train ? bench_train_run(&o, &m) : bench_infer_run(&o, &m), &m);
    model_arguments_free(&o.given);
    return status;
}
