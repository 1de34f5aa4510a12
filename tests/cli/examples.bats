#!/usr/bin/env bats
# The hand-made pipelines of pipelines/examples, at a small size.
# shellcheck disable=SC2154 # bats sets stderr

load helpers

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    mkdir images
    make_bin images/data_batch_1.bin 400 1
    make_bin images/test_batch.bin 100 2
    export DATA=$BATS_FILE_TMPDIR/images
    "$BIN/cifar-load" -d "$DATA" --part train --shuffle --epochs 2 |
        "$BIN/train-fp32" --width 4 --epochs 2 -b 32 -o model
    "$BIN/fuse" -m model -o fused
    "$BIN/cifar-load" -d "$DATA" --part train -n 128 | "$BIN/calibrate" -m fused -o ranges
}

setup() {
    export DATA=$BATS_FILE_TMPDIR/images BIN
    cd "$TREE"
}

@test "observer-sweep: a row for each observer and number of bits" {
    FUSED=$BATS_FILE_TMPDIR/fused RANGES=$BATS_FILE_TMPDIR/ranges IMAGES=20 OBSERVERS="min-max entropy" BITS="8 3" \
        run --separate-stderr pipelines/examples/observer-sweep.sh
    [ "$status" -eq 0 ]
    [ "$(cut -f 1,2 <<< "$output" | tr '\t\n' ': ')" = "observer:bits min-max:8 min-max:3 entropy:8 entropy:3 " ]
    awk -F '\t' 'NR > 1 && !($3 >= 0 && $4 <= $3 && $3 <= $5 && $5 <= 100) { exit 1 }' <<< "$output"
}

@test "look-at-augmentation: a picture, of the size that was asked for" {
    IMAGES=2 EPOCHS=3 pipelines/examples/look-at-augmentation.sh "$BATS_TEST_TMPDIR/few.png" --flip 1
    IMAGES=2 EPOCHS=6 pipelines/examples/look-at-augmentation.sh "$BATS_TEST_TMPDIR/more.png" --flip 1
    width() { od -A n -t u4 --endian=big -j 16 -N 4 "$1"; }
    [ "$(width "$BATS_TEST_TMPDIR/more.png")" -gt "$(width "$BATS_TEST_TMPDIR/few.png")" ]
}

@test "own-stage: Python in the place of fuse; pruning nothing changes nothing, pruning shows" {
    MODEL=$BATS_FILE_TMPDIR/model IMAGES=20 CALIBRATION=64 SHARES="0 0.9" run --separate-stderr pipelines/examples/own-stage.sh
    [ "$status" -eq 0 ]
    [ "$(cut -f 1 <<< "$output" | tr '\n' ' ')" = "share 0 0.9 " ]
    cd "$BATS_TEST_TMPDIR"
    PATH=$BIN:$PATH "$TREE/pipelines/examples/prune.py" --share 0 -m "$BATS_FILE_TMPDIR/model" -o none
    PATH=$BIN:$PATH "$TREE/pipelines/examples/prune.py" --share 0.5 -m "$BATS_FILE_TMPDIR/model" -o half
    "$BIN/inspect" check none half
    run "$BIN/inspect" compare none "$BATS_FILE_TMPDIR/fused"
    [[ $output != *conv1.weight* ]]
    run "$BIN/inspect" compare half "$BATS_FILE_TMPDIR/fused"
    [[ $output == *conv1.weight* ]]
    [ "$("$BIN/inspect" made-by half | tail -n 1)" = "prune.py 1 share=0.5" ]
    [ "$("$BIN/inspect" tensor --values layer1.0.conv1.weight half | tr -s ' \t' '\n' | grep -cxE -- '-?0(\.0*)?')" -ge 72 ]
}

@test "an example whose model is not there fails" {
    for example in observer-sweep.sh own-stage.sh; do
        FUSED=none RANGES=none MODEL=none run pipelines/examples/$example
        [ "$status" -ne 0 ]
    done
}
