#!/usr/bin/env bats
# calibrate: ranges of activations, counted so that they merge exactly.
# shellcheck disable=SC2154 # bats sets stderr and stderr_lines

load helpers
load models

setup_file() {
    make_models
}

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    G=$BATS_FILE_TMPDIR
}

same_tensors() { # A B: every tensor, bit for bit; metadata may differ
    python3 - "$1" "$2" <<'PY'
import json, struct, sys
def tensors(path):
    raw = open(path, "rb").read()
    size = struct.unpack("<Q", raw[:8])[0]
    h = json.loads(raw[8:8 + size])
    h.pop("__metadata__")
    return {k: raw[8 + size + t["data_offsets"][0]:8 + size + t["data_offsets"][1]] for k, t in h.items()}
sys.exit(tensors(sys.argv[1]) != tensors(sys.argv[2]))
PY
}

@test "every activation but the logits, every value counted" {
    run "$BIN/inspect" show "$G/ranges.st"
    [ "$(grep -c 'histogram .*U64\[2048\]' <<<"$output")" -eq 22 ] # norm, 20 convolutions, avgpool
    grep -q '^images: 200$' <<<"$output"
    grep -q '^split: train$' <<<"$output"
    run ! grep -q '^fc\.' <<<"$output"
    python3 - "$G/ranges.st" <<'PY'
import json, struct, sys
raw = open(sys.argv[1], "rb").read()
size = struct.unpack("<Q", raw[:8])[0]
h = json.loads(raw[8:8 + size])
def values(name, form):
    begin, end = h[name]["data_offsets"]
    return [v[0] for v in struct.iter_unpack("<" + form, raw[8 + size + begin:8 + size + end])]
assert sum(values("norm.histogram", "Q")) == 200 * 32 * 32 * 3
assert sum(values("layer4.1.conv2.histogram", "Q")) == 200 * 4 * 4 * 32
assert sum(values("avgpool.histogram", "Q")) == 200 * 32
assert values("layer4.1.conv2.min", "f") == [0.0] # behind a relu
PY
}

@test "the same bytes for 1, 2 and 3 threads, a pipe and a file, silently" {
    for threads in 1 2 3; do
        run --separate-stderr bash -c "cat '$G/all.b' | '$BIN/calibrate' -j $threads -m '$G/fused.st' > r$threads"
        [ "$status" -eq 0 ]
        [ -z "$stderr" ]
        cmp "r$threads" "$G/ranges.st"
    done
}

@test "any batch size and any order of images count the same" {
    "$BIN/cifar-load" -d "$G/d.bin" --split train -b 7 --shuffle -s 3 | "$BIN/calibrate" -m "$G/fused.st" -o r
    same_tensors r "$G/ranges.st"
}

@test "a merge of two halves has the bytes of one pass, in either order" {
    stream_split "$G/all.b" 3 first second
    "$BIN/calibrate" -m "$G/fused.st" -o a < first
    "$BIN/calibrate" -m "$G/fused.st" -o b < second
    "$BIN/calibrate" --merge a b -o ab
    "$BIN/calibrate" --merge b a -o ba
    cmp ab "$G/ranges.st"
    cmp ba "$G/ranges.st"
    "$BIN/calibrate" --merge "$G/ranges.st" > one
    cmp one "$G/ranges.st"
}

@test "merging parts loaded differently: tensors of one pass, each lineage once, in any association" {
    local part=0 range
    for range in "90 0" "80 90" "30 170"; do
        "$BIN/cifar-load" -d "$G/d.bin" --split train -n "${range% *}" --offset "${range#* }" -b 25 |
            "$BIN/calibrate" -m "$G/fused.st" -o "p$part"
        part=$((part + 1))
    done
    "$BIN/calibrate" --merge p0 p1 p2 -o all
    same_tensors all "$G/ranges.st"
    "$BIN/inspect" show all | grep -q '^images: 200$'
    "$BIN/inspect" made-by all > made-by.txt
    [ "$(grep -c '^cifar-load ' made-by.txt)" -eq 3 ]
    [ "$(grep -c '^calibrate ' made-by.txt)" -eq 3 ]
    [ "$(grep -c '^  fuse ' made-by.txt)" -eq 3 ]
    "$BIN/calibrate" --merge p1 p2 -o p12
    "$BIN/calibrate" --merge p12 p0 -o again
    cmp again all
}

@test "-n stops counting but the stream is read to its end; 0 takes all; a batch is cut" {
    "$BIN/calibrate" -n 60 -m "$G/fused.st" -o r < "$G/all.b"
    "$BIN/inspect" show r | grep -q '^images: 60$'
    "$BIN/cifar-load" -d "$G/d.bin" --split train -n 60 | "$BIN/calibrate" -m "$G/fused.st" -o first
    same_tensors r first
    run bash -o pipefail -c "'$BIN/cifar-load' -d '$G/d.bin' --split train --epochs 20 | '$BIN/calibrate' -n 10 -m '$G/fused.st' -o r"
    [ "$status" -eq 0 ]
    "$BIN/calibrate" -n 0 -m "$G/fused.st" -o r < "$G/all.b"
    same_tensors r "$G/ranges.st"
    head -c -2000 "$G/all.b" > cut.st
    fails 'stdin: truncated' bash -c "'$BIN/calibrate' -n 10 -m '$G/fused.st' -o out < cut.st"
}

@test "fewer images than -n asks for are a warning with both numbers, and counted as seen" {
    run --separate-stderr "$BIN/calibrate" -m "$G/fused.st" -n 8192 -o few < "$G/all.b"
    [ "$status" -eq 0 ]
    [ "$stderr" = "calibrate: warning: only 200 images came, of 8192 asked for (-n): the ranges are of these" ]
    "$BIN/inspect" show few | grep -q '^images: 200$'
    for arguments in "" "-n 200" "-n 0" "-q -n 8192"; do # not asked for, or there
        # shellcheck disable=SC2086
        run --separate-stderr "$BIN/calibrate" -m "$G/fused.st" $arguments -o few < "$G/all.b"
        [ "$status" -eq 0 ] && [ -z "$stderr" ]
    done
}

@test "the test split, another data set and other classes are refused" {
    "$BIN/cifar-load" -d "$G/d.bin" --split test > test.b
    fails 'calibrate: stdin: split: images of the test split must not calibrate' \
        bash -c "'$BIN/calibrate' -m '$G/fused.st' -o out < test.b"
    record_edit "$G/fused.st" other 'meta["dataset-digest"] = "sha256:" + "0" * 64'
    fails 'calibrate: stdin: dataset-digest: ' bash -c "'$BIN/calibrate' -m other -o out < '$G/all.b'"
    record_edit "$G/fused.st" other 'meta["classes"] = "[\"cat\",\"dog\"]"'
    fails 'calibrate: stdin: classes: ' bash -c "'$BIN/calibrate' -m other -o out < '$G/all.b'"
}

@test "a float model is told to be fused first; empty, wrong and dead streams" {
    fails "calibrate: $G/model.st: is at stage float, want fused: run fuse first" \
        bash -c "'$BIN/calibrate' -m '$G/model.st' -o out < '$G/all.b'"
    fails 'calibrate: stdin: empty input' bash -c "'$BIN/calibrate' -m '$G/fused.st' -o out < /dev/null"
    fails 'stdin: ' bash -c "'$BIN/calibrate' -m '$G/fused.st' -o out < '$G/model.st'"
    fails 'stdin: truncated stream after ' bash -c "head -c 300000 '$G/all.b' | '$BIN/calibrate' -m '$G/fused.st' -o out"
}

@test "an activation that is not finite is named" {
    record_edit "$G/fused.st" wild 'for i in range(4): put("conv1.bias", i, "f", 3e38)
for i in range(144): put("layer1.0.conv1.weight", i, "f", 3e38)'
    fails 'calibrate: wild: layer1.0.conv1: ' bash -c "'$BIN/calibrate' -m wild -o out < '$G/all.b'"
}

@test "merging refuses other models, repeated mistakes and what is no ranges file" {
    record_edit "$G/ranges.st" other 'meta["model-digest"] = "sha256:" + "0" * 64'
    fails 'calibrate: other: model-digest: differs from that of' "$BIN/calibrate" --merge "$G/ranges.st" other -o out
    fails "calibrate: $G/fused.st: is a model record, want a ranges record" "$BIN/calibrate" --merge "$G/ranges.st" "$G/fused.st" -o out
    record_edit "$G/ranges.st" other 'put("conv1.exponent", 0, "i", 3)'
    fails 'calibrate: other: conv1.exponent: ' "$BIN/calibrate" --merge "$G/ranges.st" other -o out
    cp "$G/ranges.st" same
    fails 'same' "$BIN/calibrate" --merge same -o same
    cmp same "$G/ranges.st"
}

@test "outputs are checked before anything is read" {
    fails 'nowhere/out' bash -c "'$BIN/calibrate' -m '$G/fused.st' -o nowhere/out < '$G/all.b'"
    fails 'No space left on device' bash -c "'$BIN/calibrate' -m '$G/fused.st' -o /dev/full < '$G/all.b'"
    cp "$G/fused.st" same
    fails 'same' bash -c "'$BIN/calibrate' -m same -o same < '$G/all.b'"
    cmp same "$G/fused.st"
}

@test "misuse is status 2" {
    for arguments in "" "--merge" "--merge -m x a" "-m x operand" "-m x -n 12abc" "-m x -n -1" "-m x -j 0" "-m x -n 1e9999"; do
        # shellcheck disable=SC2086 # words are options
        run --separate-stderr "$BIN/calibrate" $arguments < /dev/null
        [ "$status" -eq 2 ]
        [ -z "$output" ]
        [[ ${stderr_lines[-1]} == "Try 'calibrate --help'"* ]]
    done
}
