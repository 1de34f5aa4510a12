/* qat-finetune: a fused float model, its ranges and batches -> an int8 model trained as such. */
#include "tools/common/low_bits.h"
#include "tools/common/model_file.h"
#include "tools/common/trainer.h"
#include "quant/observer.h"
#include "train/quantized_training.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char details[] =
    "Starts from the float model of fuse and the ranges of calibrate. The forward pass is the int8\n"
    "arithmetic that evaluate and bench run, with the given lowering options; gradients pass straight\n"
    "through the rounding and are zero where a value is clamped. Activation ranges stay as calibrated\n"
    "(fixed), follow the mini-batches (average) or are trained (learned, LSQ); weight scales stay as they are\n"
    "at first (below 8 bits; else they follow the largest weight) or are trained too. Image, first and last\n"
    "layer keep 8 bits, as quantize has it (--ends).\n"
    "\n"
    "--init starts from an int8 model that quantize (its outputs matched) or qat-finetune made of MODEL with\n"
    "the same bits: from its codes, scales, biases and ranges. --floats writes the float network that stands\n"
    "behind the codes, for a next training with fewer bits. --teacher MODEL, of any stage, mixes the loss with\n"
    "how far the softened logits are from its own, on the same augmented images (distillation).\n"
    "Below 4 bits the learning rate is 0.0002 where none is given. Weight scales have a tenth of it\n"
    "(--scale-rate): without batch norm, one moves all that a channel gives. With --rates layer each layer's\n"
    "weights, biases and scales have the rate times their norm over their gradient's (LARS), 0.0005 where none\n"
    "is given, and scales of activations take --scale-rate too; on a CPU.\n"
    "\n"
    "Before the first and after each epoch the int8 model is lowered and tested on the --validate images;\n"
    "the best is written (without --validate, the last). The log's epoch 0 is the model as quantize makes\n"
    "it: where no epoch is better, it is what is written, with a warning, and --epochs 0 writes just that.\n"
    "Stream, checkpoint, log and several processes (mpirun) are as for train-fp32.\n"
    "\n"
    "  cifar-load --part train --epochs 2 --shuffle | augment --crop 4 --flip 0.5 |\n"
    "    qat-finetune -m fused -r ranges --epochs 2 --validate held-out.batches --log log.tsv -o int8\n"
    "\n"
    "  cifar-load --part train -n 512 | quantize -m fused -r ranges --weight-bits 3 -o w3\n"
    "  cifar-load --part train --epochs 2 --shuffle | augment --crop 4 --flip 0.5 | qat-finetune -m fused \\\n"
    "    -r ranges --weight-bits 3 --init w3 --teacher fused --epochs 2 --floats w3.float -o w3.qat\n"
    "  cifar-load --part train -n 8192 | calibrate -m w3.float -o w3.ranges\n"
    "  cifar-load --part train -n 512 | quantize -m w3.float -r w3.ranges --weight-bits 2 -o w2\n";

struct options {
    struct trainer_arguments shared;
    struct quantized_training training;
    struct model_arguments given;
    const char *range_mode, *weight_scales, *rates;
    struct low_bits_arguments low;
    int64_t weight_bits, activation_bits;
    double percentile;
};

/* At 0.001, networks of 2 bits that had been matched fell to chance within 30 steps. Of each layer by its own norms,
 * 0.002 gained most of a few steps and lost in many. */
#define FEW_BITS_RATE 0.0002
#define LAYER_RATE 0.0005

static void take_rates(const struct tool *tool, struct options *o)
{
    o->shared.layer_rates = strcmp(o->rates, "layer") == 0;
    o->shared.scale_share = o->training.scale_rate;
    if (tool_was_given(tool, "learning-rate"))
        return;
    if (o->shared.layer_rates)
        o->shared.rate = LAYER_RATE;
    else if (o->weight_bits < 4 || o->activation_bits < 4)
        o->shared.rate = FEW_BITS_RATE;
}

/* What is learned, where nothing is said: below 8 bits all scales, at 8 none; and how fast. 0, or the exit status of
 * a misuse. */
static int take_scales(const struct tool *tool, struct options *o)
{
    struct quantized_training *q = &o->training;
    struct message m = {{0}};
    int is_low = o->weight_bits < 8 || o->activation_bits < 8 || o->low.plan;
    if (!o->range_mode)
        o->range_mode = is_low ? "learned" : "fixed";
    if (!o->weight_scales)
        o->weight_scales = is_low ? "learned" : "fixed";
    if (range_mode_parse(o->range_mode, &q->range_mode, &m) < 0)
        return tool_misuse(tool, "%s", m.text);
    q->learn_weight_scales = strcmp(o->weight_scales, "learned") == 0;
    take_rates(tool, o);
    return 0;
}

static int run(const struct tool *tool, struct options *o)
{
    struct quantized_training *q = &o->training;
    if (!q->model || !q->ranges)
        return tool_misuse(tool, "want -m MODEL and -r RANGES");
    if (!observer_find(q->lower.observer))
        return tool_misuse(tool, "--observer: '%s' is not known", q->lower.observer);
    int misused = take_scales(tool, o);
    if (misused)
        return misused;
    q->lower.observer_parameter = strcmp(q->lower.observer, "percentile") == 0 ? o->percentile : NAN;
    q->lower.weight_bits = (int)o->weight_bits;
    q->lower.activation_bits = (int)o->activation_bits;
    low_bits_take(&o->low, &q->lower);
    q->plan = o->low.plan;
    int status = model_arguments_take(&o->given, tool, o->shared.quiet);
    if (status >= 0)
        return status;
    q->given = &o->given.given;
    o->given.path = q->model;
    const struct training_kind kind = quantized_training_kind(q);
    const char *const inputs[TRAINING_MAX_INPUTS] = {q->model, q->ranges, o->given.graph, q->init, q->plan};
    status = trainer_main(tool, &o->shared, &kind, q, inputs);
    quantized_training_close(q);
    model_arguments_free(&o->given);
    return status;
}

static struct trainer_arguments defaults(void)
{
    struct trainer_arguments a = trainer_defaults();
    a.rate = 0.001; /* no batch norm is left to take larger steps */
    a.schedule = "cosine";
    a.weight_decay = 1e-4;
    return a;
}

int main(int argc, char **argv)
{
    struct options o = {.shared = defaults(),
                        .training.lower.observer = "mse",
                        .training.scale_rate = 0.1,
                        .rates = "alike",
                        .weight_bits = 8,
                        .activation_bits = 8,
                        .percentile = 99.99};
    char observers[OBSERVER_NAMES_SIZE];
    observer_names(observers);
    const struct option_spec options[] = {
        OPTION_MODEL(&o.training.model),
        OPTION_RANGES(&o.training.ranges),
        {"init", 0, OPTION_STRING, &o.training.init, 0, 0, "INT8", "start from this model's codes, made of MODEL",
         0, 0},
        {"range-mode", 0, OPTION_CHOICE, &o.range_mode, 0, 0, 0,
         "activation ranges in training; else fixed at 8 bits, learned below", "fixed|average|learned", 1},
        {"weight-scales", 0, OPTION_CHOICE, &o.weight_scales, 0, 0, 0,
         "of weights in training; else fixed at 8 bits, learned below", "fixed|learned", 0},
        {"scale-rate", 0, OPTION_NUMBER, &o.training.scale_rate, 1e-6, 1e3, "X",
         "rate of learned weight scales, times", 0, 0},
        {"rates", 0, OPTION_CHOICE, &o.rates, 0, 0, 0, "learning rate of all layers, or of each by its norms",
         "alike|layer", 0},
        {"ewgs", 0, OPTION_NUMBER, &o.training.ewgs, 0, 1, "DELTA", "scale gradients by the distance to the code",
         0, RECORDED_IF_GIVEN},
        {"freeze", 0, OPTION_NUMBER, &o.shared.freeze, 0, 0.1, "SHARE",
         "freeze weights of at most 3 bits that oscillate oftener; 0: never", 0, RECORDED_IF_GIVEN},
        {"floats", 0, OPTION_STRING, &o.shared.floats, 0, 0, "FILE", "write the float network behind the codes too",
         0, 0},
        {"observer", 0, OPTION_CHOICE, &o.training.lower.observer, 0, 0, 0, "how ranges are chosen at first",
         observers, 1},
        {"percentile", 0, OPTION_NUMBER, &o.percentile, 50.001, 100, "P", "of the observer of that name", 0, 1},
        {"weight-bits", 0, OPTION_INTEGER, &o.weight_bits, 2, 8, "BITS", "of weights", 0, 1},
        {"activation-bits", 0, OPTION_INTEGER, &o.activation_bits, 2, 8, "BITS", "of activations", 0, 1},
        LOW_BITS_OPTIONS(o.low),
        {"per-tensor", 0, OPTION_FLAG, &o.training.lower.per_tensor, 0, 0, 0, "one weight scale a layer", 0, 1},
        {"keep-float", 0, OPTION_STRING, &o.training.lower.keep_float, 0, 0, "PATTERN",
         "layers left in float; only with --epochs 0", 0, 1},
        MODEL_OPTIONS(o.given),
        TRAINER_OPTIONS(o.shared),
    };
    const struct tool tool = TOOL("qat-finetune", "-m FUSED -r RANGES --epochs N [OPTION]... [-o MODEL] < BATCHES",
                                  "train a network through its own int8 arithmetic", details, options, 0);
    int status = tool_start(&tool, argc, argv, NULL);
    return status >= 0 ? status : run(&tool, &o);
}
