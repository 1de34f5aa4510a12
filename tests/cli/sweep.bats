#!/usr/bin/env bats
# `make sweep`, on a few hundred made-up images: its rows, its restarts, its record.
# shellcheck disable=SC2154 # bats sets stderr

load helpers
load studies

setup_file() {
    study_first -j2 sweep
}

@test "a row for each configuration, measured on held-out images; the test split is not read" {
    cd "$FIRST"
    [ ! -e .work/test.batches ]
    grep -qx '# part: held-out' sweep.tsv
    # Observers 2 x 2 granularities x 2 bits, 2 observers with fewer images, weights and activations alone: each by 2 seeds.
    [ "$(cut -f 1 sweep.tsv | grep -v '^#' | sort | uniq -c | tr -s ' \n' ' ')" = " 1 float 24 ptq 2 qat 1 stage " ]
    awk -F '\t' '/^(float|ptq|qat)/ { if (!(NF == 14 && $9 == 40 && $11 <= $10 && $10 <= $12 && $13 > 0 && $14 > 0)) exit 1 }' sweep.tsv
    [ -z "$(find . -name '*.model' -o -name '*.checkpoint')" ]
    for chart in sweep-bits sweep-parts sweep-calibration sweep-observers-8 sweep-observers-4; do
        [ "$(head -c 4 "charts/$chart.png" | tail -c 3)" = PNG ]
        grep -q '</svg>' "charts/$chart.svg"
    done
    grep -q '^## Chosen' "$BATS_FILE_TMPDIR/log"
}

@test "a row is what its options give by hand" {
    "$BIN/quantize" --observer min-max --per-tensor --weight-bits 4 --activation-bits 4 -m "$FIRST/fused_model.safetensors" \
        -r "$FIRST/.work/sweep/ranges_128_2.safetensors" -o model < "$FIRST/.work/match.batches"
    "$BIN/evaluate" -m model < "$FIRST/.work/held-out.batches" > metrics
    [ "$(awk -F '\t' '$2 == "min-max" && $3 == "tensor" && $4 == 4 && $7 == 2 { print $10, $13, $14 }' "$FIRST/sweep.tsv")" = \
        "$(awk -F '\t' '$2 == "-" { v[$1] = $4 } END { print v["accuracy"], v["loss"] }' metrics) $(stat -c %s model)" ]
    run ! cmp -s "$FIRST"/.work/sweep/ranges_128_{1,2}.safetensors
}

@test "one row lost is one row made again, to the same table; another tried leaves the rest" {
    copy_first
    rm results/tiny/.work/sweep/ptq_mse_channel_8_4_128_1.row results/tiny/sweep.tsv
    touch now
    study "$PWD/results" sweep
    cmp "$FIRST/sweep.tsv" results/tiny/sweep.tsv
    [ "$(find results -name '*.row' -newer now | wc -l)" -eq 1 ]
    touch now
    study "$PWD/results" SWEEP_OBSERVERS='min-max mse entropy' "$PWD/results/tiny/sweep.tsv"
    [ "$(find results -name '*.row' -newer now -name 'ptq_entropy_*' | wc -l)" -eq 10 ]
    [ "$(find results -name '*.row' -newer now | wc -l)" -eq 10 ]
}

@test "a configuration that fails leaves no row and no table" {
    copy_first
    program failing 'case $* in *entropy*) exit 3 ;; esac; exec quantize "$@"'
    PATH=$PWD/bin:$PATH run study "$PWD/results" QUANTIZE=failing SWEEP_OBSERVERS=entropy sweep
    [ "$status" -ne 0 ]
    [ -z "$(find results -name 'ptq_entropy*.row')" ]
    cmp "$FIRST/sweep.tsv" results/tiny/sweep.tsv
}

@test "the record has the sweep, and says what was interrupted and noted" {
    copy_first
    study "$PWD/results" results
    # As though the last sitting had been a short one.
    sed -i '$s/\t[0-9.]*$/\t1000.00/' results/tiny/float.log.tsv
    touch -r results/tiny/best_float_model.safetensors results/tiny/float.log.tsv
    mkdir -p record
    study "$PWD/results" RECORDED="$PWD/record" NOTE='two sittings; one note' record
    cmp results/tiny/sweep.tsv record/tiny/sweep.tsv
    [ -s record/tiny/sweep.md ]
    [ -s record/tiny/charts/sweep-bits.png ]
    grep -qF -- '- note: two sittings; one note' record/tiny/MADE.md
    grep -q '^- command: `make results sweep .*PROFILE=tests/cli/tiny.mk' record/tiny/MADE.md
    run ! grep -E '^- command: .*(NOTE|RECORDED)=' record/tiny/MADE.md
    grep -q '^- float.log.tsv: 2 epochs in 1000.0 seconds, .*several sittings' record/tiny/MADE.md
    grep -q '^| sweep: ptq, 24 of them |' record/tiny/MADE.md
    [ -z "$(find record -name '*.safetensors')" ]
}

@test "rows say how many images calibrated: those there are, once, where more were asked for" {
    study "$PWD/results" SWEEP_CALIBRATION_IMAGES='32 4096 8192' CALIBRATION_IMAGES=8192 SWEEP_BITS=8 SWEEP_QAT_BITS=8 SWEEP_RANGES=fixed \
        SWEEP_OBSERVERS=mse SWEEP_SEEDS=1 sweep > log
    [ "$(grep -v '^#' results/tiny/sweep.tsv | cut -f 1-6 | tail -n +2 | tr '\t\n' '_ ')" = "float_-_-_-_-_- ptq_mse_channel_8_8_32 \
ptq_mse_channel_8_8_360 ptq_mse_tensor_8_8_360 qat_mse_channel_8_8_360 " ]
    run ! grep -E '4096|8192' results/tiny/sweep.md
}
