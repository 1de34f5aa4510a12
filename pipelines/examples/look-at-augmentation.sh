#!/usr/bin/env -S -u POSIXLY_CORRECT LC_ALL=C bash -p
# What does an augmentation do to the images? One row an image, one column an epoch, as a picture:
#
#     pipelines/examples/look-at-augmentation.sh jitter.png --jitter 0.4,0.4,0.4,0.1
#     pipelines/examples/look-at-augmentation.sh all.png --crop 4 --pad reflect --flip 0.5 --rotation 15 --cutout 8
#
# The first column is the image as it was. IMAGES and EPOCHS set the size.
set -euo pipefail
PATH=${BIN:-$PWD/bin}:$PATH
out=${1:?the picture to write, a .png}
shift

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
load() {
    cifar-load ${DATA:+-d "$DATA"} --split train --part train -n "${IMAGES:-8}" "$@"
}
load -o "$scratch/originals"
load --epochs "${EPOCHS:-9}" | augment "$@" | plot augmented --originals "$scratch/originals" -o "$out"
