#!/usr/bin/env -S -u POSIXLY_CORRECT LC_ALL=C bash -p
# From a network in PyTorch to int8, to an ONNX file and to one C file, and who agrees with whom on IMAGES test images.
#
#     PYTHON=build/peers/venv/bin/python pipelines/examples/from-pytorch.sh    (make peers installs it; it needs torch, onnx, onnxruntime)
#     TORCH_WEIGHTS=mine.pth PYTHON=.. pipelines/examples/from-pytorch.sh      (a state_dict; without: random weights)
#
# --for onnxruntime: sums are rounded as that runtime rounds them, so that its answers are ours to the last bit.
# --saturation-free: on processors without VNNI too.
set -euo pipefail
PATH=${BIN:-$PWD/bin}:$PATH
PYTHON=${PYTHON:-python3}
IMAGES=${IMAGES:-1000}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python() {
    "$PYTHON" -B pipelines/examples/from_pytorch.py "$@"
}
cifar-load ${DATA:+-d "$DATA"} --part train -n 512 -o "$scratch/calibration"
cifar-load ${DATA:+-d "$DATA"} --split test -n "$IMAGES" -o "$scratch/images"

python make "$scratch"
onnx-import "$scratch/net.onnx" --normalize 0.4914,0.4822,0.4465:0.2470,0.2435,0.2616 -o "$scratch/net"
fuse -m "$scratch/net" --for onnxruntime -o "$scratch/fused"
calibrate -m "$scratch/fused" -o "$scratch/ranges" < "$scratch/calibration"
quantize -m "$scratch/fused" -r "$scratch/ranges" --for onnxruntime --saturation-free -o "$scratch/int8"

onnx-export -m "$scratch/int8" --for onnxruntime --input pixels -o "$scratch/int8.onnx"
evaluate -q -m "$scratch/fused" --predictions "$scratch/float.predictions" -o /dev/null < "$scratch/images"
evaluate -q -m "$scratch/int8" --predictions "$scratch/int8.predictions" -o /dev/null < "$scratch/images"

if command -v emit-c > /dev/null; then # the same network as C, run on the pictures' bytes
    emit-c -m "$scratch/int8" -o "$scratch/net.c" --header "$scratch/net.h"
    cat > "$scratch/main.c" << 'C'
#include "net.h"
#include <stdio.h>
static unsigned char image[NET_HEIGHT * NET_WIDTH * NET_CHANNELS], arena[NET_ARENA_BYTES];
int main(void)
{
    float logits[NET_CLASSES];
    while (fread(image, sizeof image, 1, stdin) == 1) {
        net_run(image, logits, arena);
        if (fwrite(logits, sizeof logits, 1, stdout) != 1)
            return 1;
    }
    return 0;
}
C
    (cd "$scratch" && ${CC:-cc} -std=c99 -O3 -o net-program main.c net.c)
    python images "$scratch/images" "$scratch/raw"
    "$scratch/net-program" < "$scratch/raw" > "$scratch/net.logits"
fi
python agree "$scratch" "$scratch/images"
