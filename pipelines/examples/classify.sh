#!/usr/bin/env -S -u POSIXLY_CORRECT LC_ALL=C bash -p
# A network in a program of one's own: emit-c writes it as one C file, classify.c is the page around it. Prints what each
# picture (PNG, of the network's size) shows.
#
#     pipelines/examples/classify.sh PICTURE.png..
#
# MODEL names another model, CC another compiler.
set -euo pipefail
PATH=${BIN:-$PWD/bin}:$PATH
MODEL=${MODEL:-results/quick/final_ptq_quantized_model.safetensors}
here=$(cd "$(dirname "$0")" && pwd)

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
emit-c -m "$MODEL" -o "$scratch/net.c" --header "$scratch/net.h"
(cd "$scratch" && ${CC:-gcc} -std=c99 -O3 -I. "$here/classify.c" net.c -lpng -o classify)
for picture; do
    "$scratch/classify" "$picture"
done
