#!/usr/bin/env bats
# `make check-study`, which runs in front of every part of the study: what cannot end well is said before anything is trained,
# in one line; and counts that are larger than the data set are "at most".
# shellcheck disable=SC2154 # bats sets stderr

load helpers
load studies

setup_file() {
    mkdir "$BATS_FILE_TMPDIR/images"
    make_bin "$BATS_FILE_TMPDIR/images/data_batch_1.bin" 400 1
    make_bin "$BATS_FILE_TMPDIR/images/test_batch.bin" 100 2
    printf '%s\n' 'x = input u8[32,32,3]' 'n = normalize x mean=0.5,0.5,0.5 std=0.25,0.25,0.25' \
        'c = conv2d n out=4 kernel=3 stride=4 pad=1' 'b = batchnorm c' 'r = relu b' 'a = avgpool r' 'f = linear a out=10 bias' \
        > "$BATS_FILE_TMPDIR/net.txt"
    study "$BATS_FILE_TMPDIR/none" data > "$BATS_FILE_TMPDIR/log" 2>&1
}

# REASON ARGUMENTS..: said in the first line, before any stage; no folder of results.
refused() {
    run study "$PWD/results" "${@:2}"
    echo "$output"
    [ "$status" -eq 2 ]
    [[ ${lines[0]} == "check-study: $1"* ]]
    run ! grep -vE '^(check-study: |make(\[[0-9]+\])?: \*\*\* )' <<< "$output"
    [ ! -e results ]
}

@test "flags, programs, numbers and networks that do not fit are said before the first stage" {
    refused "train-fp32: --momentum: " TRAIN_FLAGS='--momentum 2' train
    refused "augment: " AUGMENT_FLAGS='--flip 2' results
    refused "qat-finetune: --keep-float: " QUANTIZATION='--weight-bits 4 --keep-float fc' results
    refused "quantize: " QUANTIZE_FLAGS=--no-such results
    refused "evaluate: " EVALUATE_FLAGS='--precision fp12' results
    refused "bench: --batch: 'x'" BENCH_BATCHES=x results
    refused "plot: " PLOT_FLAGS=--no-such charts
    refused "no-such-program: there is no such program" FUSE='no-such-program -x' results
    refused "EPOCHS='two' is not a whole number" EPOCHS=two results
    refused "JOBS='0' is no number of threads" JOBS=0 results
    refused "train-fp32: " NETWORK='--graph absent.txt' results
    sed 's/out=10/out=7/' "$BATS_FILE_TMPDIR/net.txt" > seven.txt
    refused "train-fp32: " NETWORK="--graph $PWD/seven.txt" results
    refused "qat-finetune: " SWEEP_RANGES='fixed wrong' sweep
    refused "train-fp32: --momentum: " ABLATIONS=mine ABLATION_mine='train --momentum 2' ablation
}

@test "a disk that is too small is said in one line" {
    program df 'echo Avail; echo 1000000'
    PATH=$PWD/bin:$PATH refused "$PWD/results/tiny: takes about 7 MB of disk, there are 1" results
}

@test "what is asked for is what is checked: a network that cannot be quantized can be trained" {
    run study "$PWD/results" QUANTIZE_FLAGS=--no-such train
    [ "$status" -eq 0 ]
    [ -s results/tiny/best_float_model.safetensors ]
    [ ! -e results/tiny/.work/test.batches ]
}

@test "what passed is not checked again until something changes; the test split's images are not looked at" {
    program my-fuse 'echo called >> "$CALLED"; exec fuse "$@"'
    program evaluate 'echo evaluate >> "$CALLED"; exec "$REAL" "$@"'
    export CALLED=$PWD/called REAL=$BIN/evaluate
    cp "$BIN"/* bin/ 2> /dev/null || true
    program evaluate 'echo evaluate >> "$CALLED"; exec "$REAL" "$@"'
    export PATH=$PWD/bin:$PATH
    TOOLS=$PWD/bin study "$PWD/results" FUSE=my-fuse check-study
    # Ours ran; a program of one's own is looked for, and runs once, in the study.
    grep -qx evaluate called
    run ! grep -x called called
    run ! grep -E 'split.*test' results/tiny/.work/checked
    rm called
    TOOLS=$PWD/bin study "$PWD/results" FUSE=my-fuse check-study
    [ ! -e called ]
    TOOLS=$PWD/bin study "$PWD/results" FUSE=my-fuse FINETUNE_FLAGS='--batch 16' check-study
    [ -e called ]
}

@test "a network of one's own, bf16, other batches and no fine-tuning all end in a page" {
    study "$PWD/results" NETWORK="--graph=$BATS_FILE_TMPDIR/net.txt" EVALUATE_FLAGS='--precision bf16' BENCH_BATCHES=16,32 QAT_EPOCHS=0 \
        results > log
    cd results/tiny
    [ "$(head -n 1 README.md)" = "# tiny: a network of 1 convolution and 1 linear layer on images, float and int8" ]
    grep -q 'of a batch of 16, on 1 thread (' README.md
    [ "$(awk -F '\t' '$1 == "float" { print $13 }' summary.tsv)" = 16 ]
    grep -qx '# precision: bf16' float.metrics.tsv
    [ "$(awk -F '\t' '$2 == "fused_model" { print $5 }' bench.tsv | sort -u)" = bf16 ]
    grep -q '!\[loss\]' README.md
    [ -s charts/loss.png ]
    cd ../..
    # Neither training: no curves, and none of before.
    study "$PWD/results" NETWORK="--graph=$BATS_FILE_TMPDIR/net.txt" EPOCHS=0 QAT_EPOCHS=0 results > log
    [ ! -e results/tiny/charts/loss.png ]
    run ! grep -q '!\[loss\]' results/tiny/README.md
    # A changed network is another one.
    sed 's/out=4/out=5/' "$BATS_FILE_TMPDIR/net.txt" > changed.txt
    cp changed.txt net.txt
    touch now
    study "$PWD/results" NETWORK="--graph=$PWD/net.txt" EPOCHS=0 QAT_EPOCHS=0 train > log
    "$BIN/inspect" graph results/tiny/best_float_model.safetensors | grep -q 'out=5'
    sed -i 's/out=5/out=6/' net.txt
    study "$PWD/results" NETWORK="--graph=$PWD/net.txt" EPOCHS=0 QAT_EPOCHS=0 train > log
    "$BIN/inspect" graph results/tiny/best_float_model.safetensors | grep -q 'out=6'
}

@test "fewer images than are asked for are all there are" {
    mkdir few
    make_bin few/data_batch_1.bin 100 1
    make_bin few/test_batch.bin 20 2
    study "$PWD/results" DATA="$PWD/few" DATASETS="$PWD/data" TRAIN_IMAGES=4000 HELD_OUT_IMAGES=500 TEST_IMAGES=1000 QAT_IMAGES=12800 \
        CALIBRATION_IMAGES=1024 results > log
    [ "$(awk -F '\t' '$1 == "qat" { print $3 }' results/tiny/summary.tsv)" = 20 ]
    [ "$("$BIN/inspect" show results/tiny/ranges.safetensors | sed -n 's/^images: //p')" = 90 ]
    # The same as all of them, asked for so.
    study "$PWD/whole" DATA="$PWD/few" DATASETS="$PWD/data" CALIBRATION_IMAGES=90 models > log
    cmp <("$BIN/inspect" tensor conv1.weight --values results/tiny/best_qat_model.safetensors) \
        <("$BIN/inspect" tensor conv1.weight --values whole/tiny/best_qat_model.safetensors)
}

@test "images without a test split are refused before the first stage" {
    mkdir -p pictures
    make_bin pictures/data_batch_1.bin 60 1
    run study "$PWD/results" DATA="$PWD/pictures" DATASETS="$PWD/data" results
    [ "$status" -eq 2 ]
    [[ $output == *"cifar-load: "* ]]
    [ ! -e results ]
}
