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

# What `whiten` left: filters, checked against responses to patches that are taken here, all of another grid than its own.
responses() { # model, as it began, batches
    python3 - "$@" <<'PY'
import array, json, math, struct, sys
def records(path):
    raw, at = open(path, "rb").read(), 0
    while at < len(raw):
        size = struct.unpack("<Q", raw[at:at + 8])[0]
        h = json.loads(raw[at + 8:at + 8 + size])
        h.pop("__metadata__")
        at += 8 + size
        yield h, raw[at:]
        at += max([0] + [t["data_offsets"][1] for t in h.values()])
def stem(path):
    h, data = next(records(path))
    begin, end = h["conv1.weight"]["data_offsets"]
    v = array.array("f", data[begin:end])
    return [v[i:i + 27] for i in range(0, len(v), 27)]
def dot(a, b):
    return sum(x * y for x, y in zip(a, b))
mean, std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
patches = []
for h, data in records(sys.argv[3]):
    begin, end = h.get("images", {"data_offsets": [0, 0]})["data_offsets"]
    for image in (data[i:i + 3072] for i in range(begin, end, 3072)):
        for y in range(1, 30, 5):
            for x in range(1, 30, 5):
                patches.append([(image[((y + i) * 32 + x + j) * 3 + c] / 255 - mean[c]) / std[c]
                                for c in range(3) for i in range(3) for j in range(3)])
n = len(patches)
centre = [sum(p[i] for p in patches) / n for i in range(27)]
patches = [[x - m for x, m in zip(p, centre)] for p in patches]
now, before = stem(sys.argv[1]), stem(sys.argv[2])
want = sum(dot(p, p) for p in patches) / n * 2 / (9 * len(now))
white = now[:54:2]
outputs = [[dot(f, p) for p in patches] for f in white]
for i, f in enumerate(white):
    length = math.sqrt(dot(f, f))
    assert 0.8 < dot(outputs[i], outputs[i]) / n / want < 1.2, (i, dot(outputs[i], outputs[i]) / n, want)
    for j in range(i):
        assert abs(dot(f, white[j])) < 1e-5 * length * math.sqrt(dot(white[j], white[j])), (i, j)
        assert abs(dot(outputs[i], outputs[j])) / n / want < 0.2, (i, j)
    if i: # the variance is one, so that a smaller eigenvalue has a longer filter
        assert length > math.sqrt(dot(white[i - 1], white[i - 1])), i
for i, f in enumerate(now[1:54:2]):
    assert list(f) == [-x for x in white[i]], i
assert now[54:] == before[54:] and not any(f in before for f in now[:54])
PY
}

@test "whiten: responses of one variance, without correlation; what is beyond both signs stays" {
    cd "$BATS_TEST_TMPDIR"
    "$BIN/cifar-load" -d "$DATA" --part train -n 200 -o batches
    for width in 64 7; do
        "$BIN/train-fp32" --epochs 0 --width $width --normalize 0.5,0.4,0.3:0.2,0.3,0.4 -o start
        "$TREE/pipelines/examples/whiten.py" --patches 40 -m start -o white < batches
        "$BIN/inspect" check white
        responses white start batches
        run -1 "$BIN/inspect" compare start white
        [ "$(grep -v -e '^what' -e '^metadata' <<< "$output" | cut -f 2)" = conv1.weight ]
    done
    "$TREE/pipelines/examples/whiten.py" --patches 40 -m start -o again < batches
    cmp white again
}

@test "whiten: the three lines of a start of one's own, and what it knows about its images" {
    cd "$BATS_TEST_TMPDIR"
    export PATH=$BIN:$TREE/pipelines/examples:$PATH
    train-fp32 --epochs 0 --width 4 -o start.st
    cifar-load -d "$DATA" --part train -n 100 | whiten.py -m start.st -o white.st
    cifar-load -d "$DATA" --part train --shuffle --epochs 2 | train-fp32 --init white.st --epochs 2 -b 32 -o float.st
    cifar-load -d "$DATA" --split test | evaluate -m float.st > metrics
    run -0 inspect made-by float.st
    [ "$(awk '{ print match($0, /[^ ]/) - 1 ":" $1 }' <<< "$output" | xargs)" = \
        "0:cifar-load 0:train-fp32 2:train-fp32 2:whiten.py 4:cifar-load" ]
    inspect show float.st | grep -q '^trained-on: .* train/train$'
    cifar-load -d "$DATA" --part held-out -o held-out
    whiten.py -m start.st -o seen.st < held-out
    cifar-load -d "$DATA" --part train -o train
    run -1 --separate-stderr train-fp32 --init seen.st --epochs 1 --validate held-out -o none < train
    [[ $stderr == "train-fp32: held-out: part: is held-out, which shares images with the model's part held-out" ]]
}

@test "whiten: what is no start, and no images to train on" {
    cd "$BATS_TEST_TMPDIR"
    "$BIN/train-fp32" --epochs 0 --width 4 -o start
    "$BIN/cifar-load" -d "$DATA" --part train -n 100 -o batches
    refused() { # text, model, batches
        run -1 --separate-stderr "$TREE/pipelines/examples/whiten.py" -m "$2" -o out < "$3"
        [ "${#stderr_lines[@]}" -eq 1 ]
        # shellcheck disable=SC2053 # a pattern
        [[ $stderr == "whiten.py: "$1 ]] || { echo "$stderr"; return 1; }
        [ -z "$(find . -name 'out*')" ]
    }
    "$BIN/fuse" -m start -o fused
    for model in "$BATS_FILE_TMPDIR/model" "$BATS_FILE_TMPDIR/ranges" fused; do
        refused "$model: is no untrained float model *" "$model" batches
    done
    refused "none: No such file or directory" none batches
    head -c 5000 start > cut
    refused "cut: truncated*" cut batches
    head -c 100000 batches > cut
    refused "stdin: truncated*" start cut
    head -c -100 batches > cut
    refused "stdin: *" start cut
    refused "stdin: empty input" start /dev/null
    refused "stdin: is a model record, want a batch record" start start
    "$BIN/cifar-load" -d "$DATA" --split test -o test
    refused "stdin: split: is test, want train" start test
}

@test "an example whose model is not there fails" {
    for example in observer-sweep.sh own-stage.sh; do
        FUSED=none RANGES=none MODEL=none run pipelines/examples/$example
        [ "$status" -ne 0 ]
    done
}
