/* bench_train.h: bench --train: whole training steps, as the table that lib/FORMATS.md describes. */
#ifndef RESQ_TOOLS_BENCH_TRAIN_H
#define RESQ_TOOLS_BENCH_TRAIN_H

#include "tools/common/bench_subjects.h"

/* For --help. */
/* clang-format off */
#define BENCH_TRAIN_HELP \
    "\n" \
    "--train times training steps instead: forward, loss, backward, optimizer and averaged weights, always on\n" \
    "the same images. Models are float ones; with -r RANGES they are fused ones, trained as qat-finetune does,\n" \
    "and --width stays float; where that is the same network, a note `quantized` says what the quantized step\n" \
    "makes of the images/s of its fp32 step. Steps of one start must give the same loss for every -j, or the run\n" \
    "fails. Times are of a whole step. Rows:\n" \
    "  what=train         gmac_per_s: products of forward and both gradients; bytes: activations, gradients,\n" \
    "                     weights\n" \
    "  train-part:PART    with --layers: forward, loss, backward, update; and of forward and backward `products`\n" \
    "                     (convolutions and linear layers, packing their weights included) and `elementwise`\n" \
    "                     (the rest)\n" \
    "  train-layer:NAME:PASS   with --layers, one layer: forward, data, weight\n" \
    "                     and alone: else a convolution's images also go through the batch norms around it\n" \
    "\n" \
    "  bench --train --width 64 --precision fp32 --precision bf16 -b 128 -j 1,2 --layers\n" \
    "  bench --train -m fused.safetensors -r ranges.safetensors --width 64 -b 128 -j 2\n"
/* clang-format on */

/* Every model (a float one; with ranges a fused one, trained quantized) with every precision, batch size and number
 * of threads, a step of each in turn. */
int bench_train_run(struct bench_arguments *o, struct message *m) RESQ_USE_RESULT;

#endif
