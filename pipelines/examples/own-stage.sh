#!/usr/bin/env -S -u POSIXLY_CORRECT LC_ALL=C bash -p
# A stage swapped for one's own: prune.py, in Python, takes the place of fuse, and all that follows is as it was. Prints
# what the int8 network makes of held-out images at several shares of weights set to zero, as TSV.
#
#     pipelines/examples/own-stage.sh > pruning.tsv
#
# The whole study with it: make results RUN=pruned FUSE='pipelines/examples/prune.py --share 0.3'
set -euo pipefail
PATH=${BIN:-$PWD/bin}:$PATH
MODEL=${MODEL:-results/quick/best_float_model.safetensors}
IMAGES=${IMAGES:-0}
CALIBRATION=${CALIBRATION:-2048}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
load() {
    cifar-load ${DATA:+-d "$DATA"} --split train "$@"
}
load --part held-out -n "$IMAGES" -o "$scratch/images"
load --part train -n "$CALIBRATION" -o "$scratch/calibration"

printf 'share\taccuracy\tlow\thigh\n'
for share in ${SHARES:-0 0.3 0.6 0.9}; do
    pipelines/examples/prune.py --share "$share" -m "$MODEL" -o "$scratch/fused"
    calibrate -m "$scratch/fused" -o "$scratch/ranges" < "$scratch/calibration"
    quantize -m "$scratch/fused" -r "$scratch/ranges" -o "$scratch/int8"
    evaluate -m "$scratch/int8" < "$scratch/images" |
        awk -F '\t' -v OFS='\t' -v share="$share" '$1 == "accuracy" { print share, $4, $5, $6 }'
done
