#!/usr/bin/env bats
# int8: whole models give the same bits on every instruction set, by every algorithm, batch and number of threads.
# shellcheck disable=SC2154 # bats sets status, output, stderr and stderr_lines

load helpers

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
}

# isas: the sets of this machine, as the message of an unknown one lists them; weakest first.
isas() {
    RESQ_ISA=none "$BIN/bench" --width 2 --seconds 0 2>&1 >/dev/null | sed 's/.*(//; s/).*//; s/,//g'
}

# int8_model WIDTH FILE: untrained, calibrated and quantized.
int8_model() {
    load_images --split train -n 64 > train.batches
    "$BIN/train-fp32" --width "$1" --epochs 0 -q -o float.st < train.batches
    "$BIN/fuse" -m float.st -o fused.st
    "$BIN/calibrate" -m fused.st -q -o ranges.st < train.batches
    "$BIN/quantize" -m fused.st -r ranges.st -o "$2" 2> quantize.log
}

load_images() {
    "$BIN/cifar-load" -d "$TREE/pipelines/data/cifar10-jpeg-q75.tar.xz" "$@"
}

# predict ISA CONV THREADS BATCH MODEL IMAGES OUT
predict() {
    RESQ_ISA=$1 RESQ_CONV=$2 "$BIN/evaluate" -m "$5" -j "$3" -b "$4" -q --predictions "$7" < "$6" > /dev/null
}

# all_equal MODEL IMAGES "THREADS:BATCH..": every set and algorithm against ref. (blas, one algorithm, slow: the unit
# tests' part.)
all_equal() {
    predict ref '' 2 64 "$1" "$2" ref.predictions
    local isa conv how
    for isa in $(isas); do
        case $isa in ref | blas) continue ;; esac
        for conv in direct winograd; do
            for how in $3; do
                predict "$isa" "$conv" "${how%:*}" "${how#*:}" "$1" "$2" got.predictions
                cmp got.predictions ref.predictions || { echo "$isa RESQ_CONV=$conv $how"; return 1; }
            done
        done
    done
}

@test "full width, a few dozen images: the bits of ref" {
    int8_model 64 model.st
    load_images --split test -n 24 > images.batches
    all_equal model.st images.batches "1:1 2:5 1:64 2:64"
}

@test "width 8, all 10,000 test images: the bits of ref" {
    int8_model 8 model.st
    load_images --split test > images.batches
    all_equal model.st images.batches "2:64"
}

@test "RESQ_CONV: a wrong value is refused" {
    run -1 --separate-stderr env RESQ_CONV=fast "$BIN/bench" --width 2 --seconds 0
    [[ $stderr == *"RESQ_CONV=fast: unknown (direct, pairs, winograd)" ]]
    [ "${#stderr_lines[@]}" -eq 1 ]
}

@test "inspect bounds: a line for each 3x3 convolution of stride 1; other models have none" {
    int8_model 8 model.st
    run -0 "$BIN/inspect" bounds model.st
    [ "${#lines[@]}" -eq 14 ]
    [[ ${lines[0]} == "conv1: winograd bound "*", margin "*" bits), 0 of 8 outputs beyond 2^25" ]]
    run -1 "$BIN/inspect" bounds fused.st
    [[ $output == *"no integer 3x3 convolution"* ]]
}
