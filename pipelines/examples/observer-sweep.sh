#!/usr/bin/env -S -u POSIXLY_CORRECT LC_ALL=C bash -p
# Which observer, at how many bits? Quantizes one fused model in every combination and prints accuracies as TSV.
#
#     pipelines/examples/observer-sweep.sh > sweep.tsv
#
# Calibration is done once: every observer reads the same ranges. FUSED and RANGES name another run's, BITS and OBSERVERS
# what is tried, IMAGES how many held-out images (0: all) each model is shown. The test split stays unseen: a sweep
# that chose by it would spoil it for the final word.
set -euo pipefail
PATH=${BIN:-$PWD/bin}:$PATH
FUSED=${FUSED:-results/quick/fused_model.safetensors}
RANGES=${RANGES:-results/quick/ranges.safetensors}
OBSERVERS=${OBSERVERS:-min-max percentile mse entropy}
BITS=${BITS:-8 6 5 4}
IMAGES=${IMAGES:-0}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cifar-load ${DATA:+-d "$DATA"} --split train --part held-out -n "$IMAGES" -o "$scratch/images"
cifar-load ${DATA:+-d "$DATA"} --split train --part train --shuffle -n 512 -o "$scratch/match" # read below 8 bits

printf 'observer\tbits\taccuracy\tlow\thigh\n'
for observer in $OBSERVERS; do
    for bits in $BITS; do
        quantize -m "$FUSED" -r "$RANGES" --observer "$observer" --weight-bits "$bits" --activation-bits "$bits" \
            -o "$scratch/model" < "$scratch/match"
        evaluate -m "$scratch/model" < "$scratch/images" |
            awk -F '\t' -v OFS='\t' -v observer="$observer" -v bits="$bits" \
                '$1 == "accuracy" { print observer, bits, $4, $5, $6 }'
    done
done
