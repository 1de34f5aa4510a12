#!/usr/bin/env bats
# The networks that have names: what they hold, and that every stage takes them.
# shellcheck disable=SC2154 # bats sets status, output and stderr

load helpers
load models

setup_file() {
    cd "$BATS_FILE_TMPDIR" || return 1
    make_bin d.bin 64 1
    "$BIN/cifar-load" -d d.bin --split train -b 32 -o all.b
}

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    F=$BATS_FILE_TMPDIR
    HOST=$(find "$BIN/.." "$TREE/build" -maxdepth 2 -name resq-host.so 2> /dev/null | head -n 1)
}

# Parameters of a model file: of all tensors that are learned.
parameters() {
    python3 - "$1" <<'PY'
import json, math, struct, sys
raw = open(sys.argv[1], "rb").read()
header = json.loads(raw[8:8 + struct.unpack("<Q", raw[:8])[0]])
state = ("running_mean", "running_var", "num_batches_tracked")
print(sum(math.prod(t["shape"]) for k, t in header.items() if k != "__metadata__" and not k.endswith(state)))
PY
}

@test "each has as many parameters as its paper or its original says, and says so" {
    while read -r name count; do
        "$BIN/train-fp32" --network "$name" --epochs 0 -o m.st
        [ "$(parameters m.st)" = "$count" ] || { echo "$name: $(parameters m.st)"; return 1; }
        grep -q "$(printf "%'d" "$count" | sed 's/[^0-9]/,/g; s/\([0-9]\)\([0-9]\{3\}\)$/\1,\2/; :a; s/\([0-9]\)\([0-9]\{3\}\),/\1,\2,/; ta') parameters" \
            "$TREE/pipelines/networks/$name.net"
        run --separate-stderr "$BIN/inspect" stages m.st
        [ "$status" -eq 0 ] && [ -z "$output$stderr" ]
        rm m.st
    done <<'LIST'
lenet5 62006
resnet20 272474
resnet34 21282122
resnet50 23520842
vgg16-bn 14728266
mobilenetv2 2236682
squeezenet 727626
densenet-40 1019722
LIST
    [ "$(find "$TREE/pipelines/networks" -name '*.net' | wc -l)" -eq 8 ]
}

@test "a deep network without batch norm begins with small logits, none of them behind its relu, and at a smaller rate" {
    "$BIN/train-fp32" --network squeezenet --epochs 0 -o m.st
    "$BIN/inspect" made-by m.st | grep -q ' learning-rate=0.02 '
    "$BIN/cifar-load" -d "$F/d.bin" --split train -n 8 -o few
    "$BIN/evaluate" -q -m m.st --predictions p.st -o m.tsv < few
    awk -F'\t' '$1 == "loss" { seen = 1; if ($4 > 2.8) exit 1 } END { exit !seen }' m.tsv # ln 10 is 2.3
    python3 - p.st <<'PY'
import json, struct, sys
raw = open(sys.argv[1], "rb").read()
size = struct.unpack("<Q", raw[:8])[0]
begin, end = json.loads(raw[8:8 + size])["logits"]["data_offsets"]
logits = struct.unpack(f"<{(end - begin) // 4}f", raw[8 + size + begin:8 + size + end])
assert len(logits) == 80 and min(logits) > 0, logits
PY
    "$BIN/train-fp32" --network squeezenet --learning-rate 0.1 --epochs 0 -o m.st
    "$BIN/inspect" made-by m.st | grep -q ' learning-rate=0.1 '
    "$BIN/train-fp32" --network resnet20 --epochs 0 -o m.st
    "$BIN/inspect" made-by m.st | grep -q ' learning-rate=0.1 '
    # in a study it comes after the profile's, which else decides
    printf 'include Makefile\nshow:\n\t@echo $(network_train_flags)\n' > show.mk
    for name in squeezenet resnet20; do
        MAKELEVEL=1 STUDY_STEP=stages make -s -C "$TREE" -f "$PWD/show.mk" NETWORK=$name PROFILE=small RESULTS="$PWD/results" show > $name
    done
    grep -q -- '--learning-rate 0.2 .* --learning-rate 0.02$' squeezenet
    run ! grep -q -- '--learning-rate 0.02' resnet20
}

@test "a network takes the classes and the normalisation of its images" {
    "$BIN/train-fp32" --network squeezenet --classes 7 --normalize 0.5:0.25 --epochs 0 -o m.st
    "$BIN/inspect" graph m.st > text
    grep -q '^norm .*mean=0.5,0.5,0.5 std=0.25,0.25,0.25' text
    grep -q '^classifier.1 .*out=7 ' text
    grep -q '^classifier.3 .*f32\[7\]$' text
    "$BIN/train-fp32" --network lenet5 --epochs 1 -b 32 -q -o m.st < "$F/all.b"
    "$BIN/inspect" made-by m.st | grep -q ' network=lenet5 '
    run ! grep -a -q "$TREE" m.st
}

@test "what is no network's name is refused with those that are; RESQ_NETWORKS names another folder" {
    run --separate-stderr "$BIN/train-fp32" --network lenet --epochs 0 -o out
    [ "$status" -eq 2 ]
    [[ ${stderr_lines[0]} == "train-fp32: --network: no network 'lenet': there are densenet-40, lenet5, mobilenetv2, resnet20, "* ]]
    for more in '--width 8' '--graph x' '--init x'; do
        # shellcheck disable=SC2086 # two words
        run --separate-stderr "$BIN/train-fp32" --network lenet5 $more --epochs 0 -o out
        [ "$status" -eq 2 ]
        [ "${stderr_lines[0]}" = "train-fp32: --network: brings its own network: no --init, --graph or --width" ]
    done
    run --separate-stderr "$BIN/train-fp32" --network ../lenet5 --epochs 0 -o out
    [ "$status" -eq 2 ]
    mkdir own
    cp "$TREE/pipelines/networks/lenet5.net" own/
    cp own/lenet5.net own/mine.net
    RESQ_NETWORKS=own "$BIN/train-fp32" --network mine --epochs 0 -o out
    RESQ_NETWORKS=none run --separate-stderr "$BIN/train-fp32" --network mine --epochs 0 -o none
    [ "$status" -eq 2 ]
    [[ ${stderr_lines[0]} == "train-fp32: --network: none/lenet5.net: cannot open (RESQ_NETWORKS): "* ]]
}

@test "lenet5 and mobilenetv2 go through every stage, and codes give the same on any instruction set" {
    for n in lenet5 mobilenetv2; do
        "$BIN/train-fp32" --network $n --epochs 1 -b 32 -q -o $n.st < "$F/all.b"
        "$BIN/fuse" -m $n.st -o fused.st
        "$BIN/calibrate" -m fused.st -o ranges.st < "$F/all.b"
        "$BIN/quantize" -m fused.st -r ranges.st -o int8.st
        "$BIN/qat-finetune" -m fused.st -r ranges.st --epochs 1 -b 32 -q -o qat.st < "$F/all.b"
        for m in int8 qat; do
            "$BIN/inspect" check $m.st
            "$BIN/evaluate" -m $m.st -o table --predictions one < "$F/all.b"
            RESQ_ISA=blas "$BIN/evaluate" -m $m.st -o table --predictions two < "$F/all.b"
            cmp one two
        done
    done
}

@test "a device says what it cannot compute" {
    [ -n "$HOST" ] || skip "no resq-host.so"
    "$BIN/train-fp32" --network mobilenetv2 --epochs 0 -o m.st
    run --separate-stderr env RESQ_CUDA="$HOST" "$BIN/evaluate" --device cuda -m m.st < "$F/all.b"
    [ "$status" -eq 1 ] && [ -z "$output" ]
    [ "$stderr" = "evaluate: features.0.0: this conv2d cannot be run on a device: take the CPU (--device cpu)" ] ||
        [ "$stderr" = "evaluate: features.1.conv.0.0: this conv2d cannot be run on a device: take the CPU (--device cpu)" ]
    run --separate-stderr env RESQ_CUDA="$HOST" "$BIN/train-fp32" --device cuda --network lenet5 --epochs 1 -b 32 -o out < "$F/all.b"
    [ "$status" -eq 1 ] && [ ! -e out ]
    [[ $stderr == *"train-fp32: pool1: this maxpool cannot be trained on a device: take the CPU (--device cpu)" ]]
}

# make_networks ARGUMENTS..: two networks that come through and between them one that does not, by its training.
make_networks() {
    PATH=$PATH:$PWD env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u MAKEOVERRIDES make --no-print-directory -C "$TREE" PREBUILT=1 BIN="$BIN" \
        PROFILE=tests/cli/tiny.mk RUN=a-b RESULTS="$PWD/results" DATASETS="$PWD/data" DATA="$PWD/images" TRAIN=diverging \
        NETWORKS='resnet20 squeezenet lenet5' "$@"
}

@test "make networks: a study of each, one page, table and chart of all; one that fails is named, and the others stand" {
    mkdir images
    make_bin images/data_batch_1.bin 200 1
    make_bin images/test_batch.bin 60 2
    cat > diverging <<'END'
#!/bin/bash
case $* in *' squeezenet '*'--log'*) echo 'diverging: loss is nan' >&2; exit 1 ;; esac
exec train-fp32 "$@"
END
    chmod +x diverging
    run make_networks networks
    [ "$status" -ne 0 ]
    [[ $output == *"networks: squeezenet: failed, for the reason above; the table is without"* ]] || { echo "$output"; return 1; }
    cd results/a-b-networks
    [ "$(head -n 1 networks.tsv)" = "# failed: squeezenet" ]
    [ "$(grep -v '^#' networks.tsv | cut -f 1,2 | tail -n +2 | tr '\t\n' ' ;')" = \
        "resnet20 float;resnet20 ptq;resnet20 qat;lenet5 float;lenet5 ptq;lenet5 qat;" ]
    # Each row is its study's, with what it was trained on.
    for n in resnet20 lenet5; do
        [ "$(awk -F '\t' -v n=$n '$1 == n { print $2, $5, $8 }' networks.tsv)" = \
            "$(awk -F '\t' '/^(float|ptq|qat)\t/ { print $1, $4, $8 }' "../a-b-$n/summary.tsv")" ]
        [ "$(awk -F '\t' -v n=$n '$1 == n { print $11, $12, $13 }' networks.tsv | sed -n 2p)" = \
            "$(awk -F '\t' '$1 == "mcnemar_p" { print $3 }' "../a-b-$n/float-ptq.pair.tsv") 2 180" ]
        grep -q "^| $n | 2, 180 | " README.md
    done
    grep -qx 'Failed, and are not in the table: squeezenet.' README.md
    [ "$(head -c 4 networks.png | tail -c 3)" = PNG ]
    grep -q '>resnet20<' networks.svg
    grep -q 'without squeezenet, which failed' networks.svg
    run ! grep -q '>squeezenet<' networks.svg
    [ -s ../a-b-lenet5/README.md ]
    cd ../..
    # Untrained networks guess, and the page says so.
    awk -F '\t' -v OFS='\t' '/^ptq/ { $4 = 10; $5 = 5 } /^(float|qat)/ { $4 = 90; $5 = 80 } { print }' results/a-b-lenet5/summary.tsv > worse
    mkdir -p few/a-b-lenet5
    cp results/a-b-lenet5/*.tsv few/a-b-lenet5/
    cp worse few/a-b-lenet5/summary.tsv
    "$TREE/pipelines/networks-table" run=a-b few/a-b-lenet5/summary.tsv > table
    "$TREE/pipelines/networks-page" table > page
    grep -qx 'No better than guessing: lenet5 ptq.' page
    grep -qE '^\| lenet5 \| 2, 180 \| 90\.00 .*\| -80\.00' page
    # What is recorded: page, table, charts, and how they were made.
    make_networks RECORDED="$PWD/recorded" NOTE='on a busy machine' record-networks
    cmp results/a-b-networks/networks.tsv recorded/networks/networks.tsv
    cmp results/a-b-networks/README.md recorded/networks/README.md
    grep -q '^- command: `make networks .*PROFILE=tests/cli/tiny.mk' recorded/networks/MADE.md
    grep -q "^- commit: $("$TREE/pipelines/commit")\$" recorded/networks/MADE.md
    grep -q '^- data: images, sha256:[0-9a-f]*$' recorded/networks/MADE.md
    grep -qx -- '- note: on a busy machine' recorded/networks/MADE.md
    grep -qE '^\| resnet20 \| [0-9.]+ \| [0-9.]+ \| 20' recorded/networks/MADE.md
}

@test "state dicts of torchvision's names are models of the networks by --graph" {
    for name in mobilenetv2 resnet34 resnet50 squeezenet vgg16-bn; do
        python3 - "$name" "$TREE/tests/reference/torchvision_networks.txt" <<'PY'
import array, json, math, re, struct, sys
header, data = {}, bytearray()
for line in open(sys.argv[2]):
    network, key, kind = line.split()
    if network != sys.argv[1]:
        continue
    dtype, dims = re.fullmatch(r"(\w+)\[(.*)\]", kind).groups()
    shape = [int(d) for d in dims.split(",") if d]
    values = [1] if dtype == "I64" else [0.5 if key.endswith("running_var") else 0.01] * math.prod(shape)
    begin = len(data)
    data += array.array("q" if dtype == "I64" else "f", values).tobytes()
    header[key] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, len(data)]}
assert header
text = json.dumps(header).encode()
open("theirs.safetensors", "wb").write(struct.pack("<Q", len(text)) + text + data)
PY
        "$BIN/fuse" -m theirs.safetensors --graph "$TREE/pipelines/networks/$name.net" -q -o fused.st || { echo "$name"; return 1; }
        "$BIN/inspect" graph fused.st > graph
        grep -q 'f32\[10\]$' graph
        rm theirs.safetensors fused.st
    done
}
