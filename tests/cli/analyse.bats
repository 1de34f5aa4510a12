#!/usr/bin/env bats
# analyse: its table, that nothing but its input changes it, what it refuses; its chart.
# shellcheck disable=SC2154 # bats sets stderr

load helpers
load models

setup_file() {
    cd "$BATS_FILE_TMPDIR" || return 1
    make_bin data_batch_1.bin 400 1
    make_bin test_batch.bin 40 2
    "$BIN/cifar-load" -d . --part train --epochs 2 -o train
    "$BIN/cifar-load" -d . --part train -b 100 -o once
    "$BIN/cifar-load" -d . --part held-out -o held-out
    "$BIN/cifar-load" -d . --split test -o test
    "$BIN/train-fp32" --width 2 -b 32 --epochs 2 -o float < train
    "$BIN/fuse" -m float -o fused
    "$BIN/calibrate" -m fused -o ranges < once
    "$BIN/analyse" -q -m fused -r ranges --bits 8,2 -j 1 -o table < held-out
}

setup() {
    mkdir "$BATS_TEST_TMPDIR/work"
    cd "$BATS_TEST_TMPDIR/work" || return 1
    T=$BATS_FILE_TMPDIR
}

analyse() {
    "$BIN/analyse" -q -m "$T/fused" -r "$T/ranges" "$@"
}

@test "a row for each layer's weights and each value, at each width; notes say what of" {
    [ "$(grep -c '^[^#]' "$T/table")" -eq $((1 + 2 * (21 + 22))) ]
    for note in 'part: held-out' 'images: 40' 'match: all, 40 images' 'ends: 8' 'observer: mse' 'weights: per-channel'; do
        grep -qx "# $note" "$T/table"
    done
    # 8 bits are one network; 2 bits cost more, have more noise, and a quarter of the bytes
    grep -v '^#' "$T/table" | awk -F '\t' 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
        $at["bits"] == 8 && !kl { kl = $at["kl"] }
        $at["bits"] == 8 && $at["kl"] != kl { exit 1 }
        $at["bits"] == 8 { sqnr[$1 $2] = $at["sqnr"]; bytes[$1 $2] = $at["bytes"]; next }
        { sum += $at["kl"] - kl; n++ }
        $at["sqnr"] != "-" && $at["sqnr"] > sqnr[$1 $2] - 3 { exit 1 }
        $2 == "weights" && $at["bytes"] != int((bytes[$1 $2] + 3) / 4) { exit 1 }
        END { exit !(n == 43 && sum > 0) }'
}

@test "the accuracy of a row is that of the model that quantize makes by a plan" {
    analyse --bits 2 --match off -o table < "$T/held-out"
    for layer in layer1.0.conv1 layer4.1.conv2; do
        echo "$layer 2 -" > plan
        "$BIN/quantize" -m "$T/fused" -r "$T/ranges" --plan plan --match off -o model
        want=$("$BIN/evaluate" -m model < "$T/held-out" | awk -F '\t' '$1 == "accuracy" { print $4 }')
        awk -F '\t' -v l="$layer" -v w="$want" '$1 == l && $2 == "weights" { d = $8 - w; exit !(d < 1e-3 && d > -1e-3) }' table
    done
}

@test "the same bytes for any threads and any cut of the stream; images beyond -n are left" {
    analyse --bits 8,2 -j 3 -o three < "$T/held-out"
    cmp three "$T/table"
    "$BIN/cifar-load" -d "$T" --part held-out -b 7 | analyse --bits 8,2 > cut
    cmp cut "$T/table"
    "$BIN/cifar-load" -d "$T" --part held-out -n 16 | analyse --bits 4 > sixteen
    analyse --bits 4 -n 16 < "$T/held-out" | cmp - sixteen
}

@test "parts of a stream, put together in any order, have the bytes of one run" {
    analyse --bits 8,2 --offset 20 -j 2 -o c < "$T/held-out"
    analyse --bits 8,2 --offset 0 -n 15 -o a < "$T/held-out"
    analyse --bits 8,2 --offset 15 -n 5 -j 1 > b < "$T/held-out"
    "$BIN/analyse" --merge c a b -o whole
    cmp whole "$T/table"
    "$BIN/inspect" check a b c
    "$BIN/inspect" made-by b | grep -q '^analyse .* bits=8,2 .* match-images=512 '
    # matched by fewer images than there are, and than a part begins behind
    analyse --bits 8,2 --match-images 10 -o table < "$T/held-out"
    run ! cmp -s table whole
    analyse --bits 8,2 --match-images 10 --offset 0 -n 20 -o d < "$T/held-out"
    analyse --bits 8,2 --match-images 10 --offset 20 -o e < "$T/held-out"
    "$BIN/analyse" --merge e d > merged
    cmp merged table
    fails "analyse: e: match: differs from that of a" "$BIN/analyse" --merge a e -o out
    analyse --bits 8 --weight-observer max --offset 15 -o f < "$T/held-out"
    fails "analyse: f: made-by: differs from that of a" "$BIN/analyse" --merge a f -o out
    fails "analyse: c: first: begins at image 20, want 15: a part is missing" "$BIN/analyse" --merge a c -o out
    fails "analyse: a: the last image is 14, but the stream has 40: a part is missing" "$BIN/analyse" --merge a -o out
    fails "analyse: a: first: begins at image 0, want 15: some are there twice" "$BIN/analyse" --merge a a b c -o out
    fails "analyse: $T/ranges: is a ranges record, want an analysis record" "$BIN/analyse" --merge "$T/ranges" -o out
    fails "analyse: --offset: image 40 is not one of the stream's 40" analyse --offset 40 -o out < "$T/held-out"
    fails 'same' "$BIN/analyse" --merge a b c -o a
    for arguments in "--merge" "--merge a -m b" "--merge a --offset 0" "a" "--offset -1"; do
        # shellcheck disable=SC2086 # words are options
        run --separate-stderr "$BIN/analyse" $arguments
        [ "$status" -eq 2 ]
    done
}

@test "it says how long it took and what it held" {
    run --separate-stderr "$BIN/analyse" -m "$T/fused" -r "$T/ranges" --bits 4 -n 8 -o out < "$T/held-out"
    [ "$status" -eq 0 ]
    [[ $stderr == "analyse: 43 networks over 8 images in "*" s, "*" MB of values held at most" ]]
}

@test "its chart, and tables that are none" {
    for format in png svg; do
        "$BIN/plot" sensitivity "$T/table" -o chart.$format
        "$BIN/plot" sensitivity "$T/table" -o again.$format
        cmp chart.$format again.$format
    done
    grep -q 'layer4.1.conv2' chart.svg
    grep -q 'activations, 2 bits' chart.svg
    printf 'layer\twhat\tbits\n' > bad
    fails "plot: bad: missing column 'kl'" "$BIN/plot" sensitivity bad -o out.png
    printf 'layer\twhat\tbits\tkl\nconv1\tweights\t9\t0\n' > bad
    fails "plot: bad: row 1: bits" "$BIN/plot" sensitivity bad -o out.png
}

@test "images of the test split, no images, another network's ranges, a float model; misuse" {
    fails "analyse: stdin: split: images of the test split" analyse -o out < "$T/test"
    fails "analyse: " analyse -o out < /dev/null
    fails "analyse: $T/float: is at stage float, want fused" "$BIN/analyse" -q -m "$T/float" -r "$T/ranges" -o out < "$T/held-out"
    "$BIN/train-fp32" --width 2 -s 9 --epochs 0 -o other
    "$BIN/fuse" -m other -o other-fused
    fails "analyse: $T/ranges: " "$BIN/analyse" -q -m other-fused -r "$T/ranges" -o out < "$T/held-out"
    for arguments in "--bits 9" "--bits 4,4" "--match some" "-n -1"; do
        # shellcheck disable=SC2086 # words are options
        run --separate-stderr analyse $arguments
        [ "$status" -eq 2 ]
    done
    run --separate-stderr "$BIN/analyse" -m "$T/fused"
    [ "$status" -eq 2 ]
}
