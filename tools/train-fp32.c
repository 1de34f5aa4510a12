/* train-fp32: batches -> a float model. */
#include "tools/common/beside.h"
#include "tools/common/model_file.h"
#include "tools/common/trainer.h"
#include "train/float_training.h"
#include <limits.h>

static const char details[] =
    "Reads batches on standard input, --epochs times all images, and trains on mini-batches of -b images,\n"
    "an epoch's last, smaller one included. Writes the model of the epoch with the best accuracy on the\n"
    "--validate images (at a tie, the lower loss); without --validate that of the last epoch. Images of the\n"
    "test split, and held-out images that are trained on as well, are refused. Fewer epochs than --epochs\n"
    "are an error; more are read past, with a warning.\n"
    "\n"
    "The result is the same for any -j, from a pipe or a file, and however often it was stopped and\n"
    "resumed. SIGINT and SIGTERM finish the step and save the --checkpoint. --resume takes the stream from\n"
    "its beginning, or from the checkpoint's epoch (cifar-load --from), and replaces the log by what the\n"
    "checkpoint knows; it refuses a checkpoint of other options or images. --epochs 0 writes the model as\n"
    "it is initialised.\n"
    "\n"
    "--init starts from the network, weights and batch norm state of a float model: what --epochs 0 wrote,\n"
    "as it is or changed, or a trained model. Optimizer, schedule and averages begin anew; the seed has no\n"
    "part in it. A state_dict, which has no graph, is a ResNet-18 for 32x32 images, normalized as\n"
    "--normalize says and of --eps; or --graph says its network.\n"
    "\n"
    "--network takes one by name (lenet5, resnet20, resnet34, resnet50, vgg16-bn, mobilenetv2, squeezenet,\n"
    "densenet-40), with as many classes as the images have, their size and their normalisation.\n"
    "RESQ_NETWORKS names another folder of NAME.net. Of those without batch norm (lenet5, squeezenet) the\n"
    "learning rate is 0.02 where none is given.\n"
    "\n"
    "--teacher MODEL, of any stage, mixes the loss with how far the softened logits are from its own, on the\n"
    "same augmented images (distillation).\n"
    "\n"
    "--grow 16:45,24:33 shrinks the images of the first 45 percent of the epochs to 16x16, those of the next 33 to\n"
    "24x24 (averaged over boxes, whole epochs, rounded down), for a fraction of the work; the rest, at least the last,\n"
    "see them whole, and these alone are validated.\n"
    "\n"
    "--clip-norm X: where the norm of all gradients of a mini-batch together is more than X, they are made\n"
    "smaller until it is X, before weight decay and momentum. On the CPU; a GPU refuses.\n"
    "\n"
    "mpirun -n 4 train-fp32 .. shares each mini-batch among 4 processes, with the same bytes. With --device cuda each\n"
    "has a GPU, which takes --shard images at a time: the same bytes for any number of GPUs of one kind.\n"
    "\n"
    "--half writes weights as F16, half the size: they are rounded before they are validated, so that what\n"
    "was measured is what the file holds. With --init and --epochs 0 it rounds a model once.\n"
    "\n"
    "What a later stage (fuse, qat-finetune, evaluate) cannot do with the network is a warning before it is\n"
    "trained; inspect stages says it of a file.\n"
    "\n"
    "  cifar-load --part held-out > held-out.batches\n"
    "  cifar-load --part train --epochs 10 --shuffle | augment --crop 4 --flip 0.5 |\n"
    "    train-fp32 --epochs 10 --width 16 --validate held-out.batches --checkpoint c --log log.tsv -o model\n";

enum { DEFAULT_WIDTH = 64 };
/* At 0.1 a SqueezeNet's relus die within a hundred steps. */
static const double BARE_RATE = 0.02;

struct options {
    struct trainer_arguments shared;
    struct float_training training;
    struct model_arguments given; /* of --init */
    const char *network;
    char network_file[PATH_MAX];
    const char *size;
};

/* --network: the file of that name. 0, or the exit status of a misuse. */
static int take_network(const struct tool *tool, struct options *o)
{
    struct message m;
    if (!o->network)
        return 0;
    if (o->training.init || o->given.graph || o->training.width != DEFAULT_WIDTH)
        return tool_misuse(tool, "--network: brings its own network: no --init, --graph or --width");
    if (network_find(o->network, o->network_file, sizeof o->network_file, &m) < 0)
        return tool_misuse(tool, "--network: %s", m.text);
    o->training.network = o->network_file;
    o->training.network_name = o->network;
    if (!tool_was_given(tool, "learning-rate") && float_training_is_bare(&o->training))
        o->shared.rate = BARE_RATE;
    return 0;
}

static int run(const struct tool *tool, struct options *o)
{
    struct float_training *t = &o->training;
    if (t->init && t->width != DEFAULT_WIDTH)
        return tool_misuse(tool, "--init: brings its own network and width");
    if (o->given.graph && (o->given.normalize || t->width != DEFAULT_WIDTH))
        return tool_misuse(tool, "--graph: brings its own width and normalisation");
    int misused = take_network(tool, o);
    if (misused)
        return misused;
    if (!t->init && o->given.eps)
        return tool_misuse(tool, "--eps: is of a model without graph, which --init names");
    struct message m = {{0}};
    if (o->size && (o->shared.epochs > 0 || t->init || o->given.graph))
        return tool_misuse(tool, "--size: is of a ResNet-18 with --epochs 0; trained networks take their images'");
    if (o->size && image_input_parse(o->size, &t->image, &m) < 0)
        return tool_misuse(tool, "--size: %s", m.text);
    int status = model_arguments_take(&o->given, tool, o->shared.quiet);
    if (status >= 0)
        return status;
    o->given.path = t->init;
    t->given = &o->given.given;
    t->graph = t->init ? NULL : o->given.graph;
    t->normalize = t->init ? NULL : o->given.normalize;
    t->seed = (uint64_t)o->shared.seed;
    const struct training_kind kind = float_training_kind(t);
    const char *const inputs[TRAINING_MAX_INPUTS] = {o->given.graph ? o->given.graph : t->network, t->init};
    status = trainer_main(tool, &o->shared, &kind, t, inputs);
    float_training_close(t);
    model_arguments_free(&o->given);
    return status;
}

int main(int argc, char **argv)
{
    struct options o = {.shared = trainer_defaults(), .training.width = DEFAULT_WIDTH};
    const struct option_spec options[] = {
        {"width", 0, OPTION_INTEGER, &o.training.width, 1, 512, "N", "ResNet-18's channels in its first stage", 0,
         0},
        {"graph", 0, OPTION_STRING, &o.given.graph, 0, 0, "FILE", "train this network instead", 0, 0},
        {"network", 0, OPTION_STRING, &o.network, 0, 0, "NAME", "train the network of this name instead", 0, 0},
        {"init", 0, OPTION_STRING, &o.training.init, 0, 0, "MODEL",
         "start from this float model, network and weights", 0, 0},
        {"classes", 0, OPTION_INTEGER, &o.training.classes, 0, 65535, "K",
         "how many; 0: as the images have, or 10 with --epochs 0", 0, 0},
        {"size", 0, OPTION_STRING, &o.size, 0, 0, "HxW[xC]",
         "with --epochs 0: the network's images, C channels 3 or 1; else as they come", 0, 0},
        {"normalize", 0, OPTION_STRING, &o.given.normalize, 0, 0, "M,M,M:S,S,S",
         "mean and deviation / 255 of each channel, or M:S of all; else the batches' or CIFAR-10's", 0, 0},
        {"eps", 0, OPTION_STRING, &o.given.eps, 0, 0, "EPS", "--init without graph: its batch norms'", 0, 0},
        {"grow", 0, OPTION_STRING, &o.shared.growth, 0, 0, "SIZE:PERCENT,..",
         "the first epochs see smaller pictures, e.g. 16:45,24:33", 0, RECORDED_IF_GIVEN},
        {"half", 0, OPTION_FLAG, &o.training.half, 0, 0, 0, "round weights to F16 and store them so", 0, 0},
        TRAINER_OPTIONS(o.shared),
    };
    const struct tool tool = TOOL("train-fp32", "--epochs N [OPTION]... [-o MODEL] < BATCHES",
                                  "train a network on batches of labelled images", details, options, 0);
    int status = tool_start(&tool, argc, argv, NULL);
    return status >= 0 ? status : run(&tool, &o);
}
