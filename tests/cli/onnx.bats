#!/usr/bin/env bats
# onnx-import and onnx-export: files of PyTorch's, TensorFlow's and ONNX Runtime's make come in and give their logits; what goes
# out comes back as it was. tests/reference/onnx_files.py made the files, tests/bad/make_onnx.py the malformed ones.
# shellcheck disable=SC2154 # bats sets stderr and stderr_lines

load helpers
load models

REFERENCE="$BATS_TEST_DIRNAME/../reference"
BAD="$BATS_TEST_DIRNAME/../bad/onnx"

setup_file() {
    [ -x "$BIN/onnx-import" ] || skip "built without protobuf-c"
    make_models
    "$BIN/quantize" -m fused.st -r ranges.st -o int8.st
}

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    G=$BATS_FILE_TMPDIR
}

# logits_close NAME TOLERANCE [REFERENCE]: those of x.st for the reference images are the reference's.
logits_close() {
    "$BIN/evaluate" -m x.st --predictions x.predictions -o /dev/null -q < "$REFERENCE/onnx_files.batches" || return 1
    python3 - "$REFERENCE/${3:-onnx_files}.safetensors" "$1" "$2" <<'PY'
import json, struct, sys
def tensor(path, name):
    raw = open(path, "rb").read()
    size = struct.unpack("<Q", raw[:8])[0]
    begin, end = json.loads(raw[8:8 + size])[name]["data_offsets"]
    return struct.unpack(f"<{(end - begin) // 4}f", raw[8 + size + begin:8 + size + end])
want, got = tensor(sys.argv[1], sys.argv[2]), tensor("x.predictions", "logits")
worst = max(abs(a - b) for a, b in zip(want, got))
print(sys.argv[2], "largest difference", worst)
assert len(want) == len(got) == 60 and max(want) - min(want) > 0.3 and worst <= float(sys.argv[3])
PY
}

@test "float networks of both of PyTorch's exporters and of tf2onnx give ONNX Runtime's logits, fused too" {
    local name
    for name in torchscript_folded torchscript_opset9 torchscript_normalizes dynamo dynamo_plain tf2onnx mobile squeeze vgg dense; do
        "$BIN/onnx-import" -q "$REFERENCE/onnx/$name.onnx" -o x.st
        logits_close $name 1e-5
        "$BIN/fuse" -m x.st -o f.st
        mv f.st x.st
        logits_close $name 1e-5
        rm x.st
    done
}

@test "a file that ONNX Runtime quantized comes in as integer layers and gives its logits" {
    "$BIN/onnx-import" -q "$REFERENCE/onnx/qdq.onnx" -o x.st
    "$BIN/inspect" graph x.st > graph.txt
    [ "$(grep -c 'conv2d.*u8\[' graph.txt)" -eq 6 ]
    logits_close qdq 1e-5
    "$BIN/onnx-import" -q "$REFERENCE/onnx/squeeze_qdq.onnx" -o x.st
    "$BIN/inspect" graph x.st > graph.txt
    [ "$(grep -Ec '(conv2d|maxpool|concat|avgpool) .*u8\[' graph.txt)" -eq 16 ]
    logits_close squeeze_qdq 0
    "$BIN/onnx-import" -q "$REFERENCE/onnx/mobile_qdq.onnx" -o x.st
    "$BIN/inspect" graph x.st > graph.txt
    [ "$(grep -Ec '(conv2d|add) .*u8\[' graph.txt)" -eq 11 ]
    logits_close mobile_qdq 1e-5
}

@test "what goes out comes back: graph, tensors and predictions, in both forms of the input" {
    local form model
    for form in normalized pixels; do
        for model in fused int8; do
            "$BIN/onnx-export" -m "$G/$model.st" --input $form -o $model.onnx
            run --separate-stderr "$BIN/onnx-import" $model.onnx -o back.st
            [ "$status" -eq 0 ] && [ -z "$output" ]
            [ $form = pixels ] || [ -z "$stderr" ]
            [ $model = int8 ] || { "$BIN/fuse" -m back.st -o f.st && mv f.st back.st; }
            diff <("$BIN/inspect" graph "$G/$model.st") <("$BIN/inspect" graph back.st)
            run "$BIN/inspect" compare "$G/$model.st" back.st
            echo "$output"
            [[ $output != *tensor* ]]
        done
    done
    "$BIN/onnx-export" -m "$G/model.st" -o model.onnx # batch norms and all; counters of batches have no place there
    "$BIN/onnx-import" model.onnx -o back.st
    diff <("$BIN/inspect" graph "$G/model.st") <("$BIN/inspect" graph back.st)
    run bash -c "'$BIN/inspect' compare '$G/model.st' back.st | grep ^tensor | grep -v num_batches_tracked"
    [ -z "$output" ]
}

# The version, which stands in the file, apart.
same_but_version() {
    cmp <(perl -pe 's/\b\d+\.\d+\.\d+\b/VERSION/g' "$1") <(perl -pe 's/\b\d+\.\d+\.\d+\b/VERSION/g' "$2")
}

@test "the file whose answers by ONNX Runtime and OpenVINO are known is still the one that goes out, and ours are theirs" {
    "$BIN/onnx-import" -q "$REFERENCE/onnx/qdq.onnx" -o x.st
    "$BIN/onnx-export" -m x.st --input pixels -o out.onnx
    same_but_version out.onnx "$REFERENCE/onnx_export.onnx"
    "$BIN/onnx-export" -m x.st --input pixels --for onnxruntime -o out.onnx
    same_but_version out.onnx "$REFERENCE/onnx_export.onnx"
    logits_close onnxruntime 0 onnx_export
    logits_close openvino 0.01 onnx_export # it rounds in another order, here and there by a code
}

@test "codes of fewer bits are cut in the file and come back as such" {
    for bits in 5 4; do
        "$BIN/quantize" -m "$G/fused.st" -r "$G/ranges.st" --weight-bits $bits --activation-bits 5 --match off -o low.st
        "$BIN/onnx-export" -m low.st -o low.onnx
        "$BIN/onnx-import" -q low.onnx -o back.st
        run "$BIN/inspect" compare low.st back.st
        [[ $bits = 4 || $output != *tensor* ]] # codes of 4 bits are packed here, a byte each there
        for name in low back; do
            "$BIN/evaluate" -q -m $name.st --predictions $name -o /dev/null < "$G/all.b"
        done
        run "$BIN/inspect" compare low back
        [[ $output != *tensor* ]]
    done
}

@test "the same bytes twice, through pipes and from files; what is given to standard output is the file" {
    "$BIN/onnx-export" -m "$G/int8.st" -o a.onnx
    "$BIN/onnx-export" -m "$G/int8.st" > b.onnx
    cmp a.onnx b.onnx
    "$BIN/onnx-import" -q a.onnx -o a.st
    "$BIN/onnx-import" -q < a.onnx | cat > b.st
    cmp a.st b.st
}

@test "a form that would be another network is refused by the node's name" {
    fails "layer1.0.conv2: its residual is added before it is rounded; ONNX Runtime's integer operators round first, which is another network: fuse --for onnxruntime makes it" "$BIN/onnx-export" -m "$G/int8.st" --for onnxruntime -o out
    fails "norm.q: zero point" "$BIN/onnx-export" -m "$G/int8.st" --for tensorrt -o out
    run --separate-stderr "$BIN/onnx-export" -o out
    [ "$status" -eq 2 ]
}

@test "--for onnxruntime: sums stay sums, nothing is in float, and what goes out comes back" {
    "$BIN/fuse" -m "$G/model.st" --for onnxruntime -o fused.st
    "$BIN/inspect" made-by fused.st | grep -q '^fuse .* for=onnxruntime '
    "$BIN/calibrate" -m fused.st -o ranges.st -q < "$G/all.b"
    "$BIN/quantize" -m fused.st -r ranges.st --for onnxruntime -o int8.st
    "$BIN/inspect" made-by int8.st | grep -q '^quantize .* for=onnxruntime '
    "$BIN/inspect" graph int8.st > graph.txt
    [ "$(grep -c '= add .* separate  *u8' graph.txt)" -eq 8 ]
    run ! grep -E 'dequantize|= relu' graph.txt
    "$BIN/onnx-export" -m int8.st --for onnxruntime -o out.onnx
    run ! grep -a -q Relu out.onnx
    "$BIN/onnx-import" -q out.onnx -o back.st
    for name in int8 back; do
        "$BIN/evaluate" -q -m $name.st --predictions $name -o /dev/null < "$G/all.b"
    done
    run "$BIN/inspect" compare int8 back
    [[ $output != *tensor* ]]
    fails "layer1.0.conv2: its sum is not separate" "$BIN/quantize" -m "$G/fused.st" -r "$G/ranges.st" --for onnxruntime -o out
    fails "layer1.0.conv2: adds 'conv1' already: begin with the float model" "$BIN/fuse" -m "$G/fused.st" --for onnxruntime -o out
    "$BIN/qat-finetune" -m fused.st -r ranges.st --epochs 0 -q -o qat.st < "$G/all.b"
    run "$BIN/inspect" compare int8.st qat.st
    [[ $output != *tensor* ]]
}

@test "every op goes out and comes back, float and int8, and is the network that it was" {
    local how form
    "$BIN/train-fp32" --graph "$TREE/tests/cli/ops.net" --epochs 0 -q -o float.st
    for how in openvino onnxruntime; do
        "$BIN/fuse" -m float.st --for $how -o fused.st
        "$BIN/calibrate" -m fused.st -o ranges.st -q < "$G/all.b"
        "$BIN/quantize" -m fused.st -r ranges.st -o int8.st
        for form in float fused int8; do
            [[ $form = int8 && $how = onnxruntime ]] && options="--for onnxruntime" || options=
            # shellcheck disable=SC2086
            "$BIN/onnx-export" -m $form.st $options -o out.onnx
            "$BIN/onnx-import" -q out.onnx -o back.st
            [ $form != int8 ] || [ "$("$BIN/inspect" graph back.st | grep -c ' f32')" -eq 2 ] # the pixels, the logits
            for name in $form back; do
                "$BIN/evaluate" -q -m $name.st --predictions $name -o /dev/null < "$G/all.b"
            done
            run "$BIN/inspect" compare $form back
            echo "$how $form: $output"
            [[ $output != *tensor* ]]
        done
    done
}

@test "names that would stand for two values are refused" {
    record_edit "$G/fused.st" twice "meta['graph'] = meta['graph'].replace('linear avgpool', 'linear logits').replace('avgpool ', 'logits ', 1)"
    fails "two values of the file would be called 'logits'" "$BIN/onnx-export" -m twice -o out
}

@test "what was assumed of the input is said in one line, and what is given changes the network" {
    run --separate-stderr "$BIN/onnx-import" "$REFERENCE/onnx/torchscript_folded.onnx" -o a.st
    [ "$status" -eq 0 ] && [ "${#stderr_lines[@]}" -eq 1 ]
    [[ $stderr == *"torchscript_folded.onnx does not say how its images are normalized: taken as mean 0.4914"*"--normalize" ]]
    run --separate-stderr "$BIN/onnx-import" "$REFERENCE/onnx/torchscript_normalizes.onnx" -o b.st
    [[ $stderr == *"its own normalisation in front is taken to read pixels divided by 255" ]]
    run "$BIN/inspect" graph b.st
    [[ $output == *"normalize x mean=0.4914,0.4822,0.4465 std=0.247,0.2435,0.2616"* ]]
    run --separate-stderr "$BIN/onnx-import" --normalize 0.5:0.25 "$REFERENCE/onnx/torchscript_folded.onnx" -o c.st
    [ "$status" -eq 0 ] && [ -z "$stderr" ]
    run "$BIN/inspect" graph c.st
    [[ $output == *"normalize x mean=0.5,0.5,0.5 std=0.25,0.25,0.25"* ]]
    run "$BIN/inspect" made-by c.st
    [[ $output == "onnx-import "*" normalize=0.5,0.5,0.5:0.25,0.25,0.25 "* ]]
}

@test "data beside the file are read from its own folder; without a folder they are refused" {
    "$BIN/onnx-import" -q "$REFERENCE/onnx/dynamo.onnx" -o x.st
    fails "initializer 'conv1.weight': external data: 'dynamo.onnx.data' stands in a file beside" \
        "$BIN/onnx-import" -o out < "$REFERENCE/onnx/dynamo.onnx"
    cp "$REFERENCE/onnx/dynamo.onnx" here.onnx
    ln -s "$REFERENCE/onnx/dynamo.onnx.data" dynamo.onnx.data
    fails "dynamo.onnx.data" "$BIN/onnx-import" here.onnx -o out # a link may lead anywhere
    rm dynamo.onnx.data
    mkfifo dynamo.onnx.data
    fails "is no regular file" timeout 10 "$BIN/onnx-import" here.onnx -o out
}

@test "every malformed file is refused with one line, in little memory" {
    local count=0 file
    cd "$BAD"
    for file in *.onnx; do
        run --separate-stderr bash -c "${SANITIZE:+true ||} ulimit -v 300000; timeout 60 '$BIN/onnx-import' '$file' -o '$BATS_TEST_TMPDIR/out'"
        [ "$status" -eq 1 ] && [ -z "$output" ] && [ "${#stderr_lines[@]}" -eq 1 ] && [[ $stderr == "onnx-import: $file: "?* ]] &&
            [[ ! $stderr =~ [[:cntrl:]] ]] && [ ! -e "$BATS_TEST_TMPDIR/out" ] || { echo "$file: status $status: $stderr"; return 1; }
        count=$((count + 1))
    done
    [ "$count" -ge 70 ]
}

reason() { # file, reason
    run --separate-stderr "$BIN/onnx-import" "$BAD/$1.onnx" -o out
    [[ $stderr == *": $2"* ]] || { echo "$1: $stderr"; return 1; }
}

@test "the reason names node, tensor and what is known" {
    reason operator-unknown "node 'act' (HardSwish): operator HardSwish is not known here, but Add, "
    reason conv-asymmetric-pads "node 'a' (Conv): pads 0 and 1 differ between sides: asymmetric pads are not known here"
    reason cycle "node 'a' (Conv): input 'b' is not made before it is read: a cycle"
    reason external-up-a-folder "initializer 'conv.weight': external data: '../secret.bin' is not the name of a file beside"
    reason codes-bias-on-another-scale "node 'sum' (Conv): bias scale 0.5 at index 0 is not that of input times weights"
    reason codes-sums-in-float "node 'last' (GlobalAveragePool): input 'sum' is an integer layer's result that was not quantized"
    reason weights-of-other-channels "conv.weight: got F32[4,2,3,3], want F32[4,3,3,3]"
}

@test "every cut of a file is refused with one line" {
    local size at
    size=$(stat -c %s "$REFERENCE/onnx/tf2onnx.onnx")
    for ((at = 0; at < size; at += 61)); do
        head -c "$at" "$REFERENCE/onnx/tf2onnx.onnx" > cut
        fails "cut: " "$BIN/onnx-import" cut -o out
    done
}

@test "a file of many small parts is refused before it takes memory" {
    python3 -c "import sys; sys.stdout.buffer.write(b'\x08\x07' + b'\x72\x00' * 4000000)" > many
    run --separate-stderr bash -c "${SANITIZE:+true ||} ulimit -v 400000; '$BIN/onnx-import' many -o out"
    [ "$status" -eq 1 ] && [ "${#stderr_lines[@]}" -eq 1 ]
    [[ $stderr == "onnx-import: many: its parts would take more than twice its 8000002 bytes"* ]]
}

@test "files of other kinds are called by their name" {
    fails "is an ONNX model: onnx-import reads it" "$BIN/fuse" -m "$REFERENCE/onnx/qdq.onnx" -o out
    fails "is a record, no ONNX file" "$BIN/onnx-import" "$G/fused.st" -o out
    printf 'PK\003\004aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaadata.pkl' > net.pt
    fails "net.pt: is a " "$BIN/onnx-import" net.pt -o out
}

@test "--for tensorrt: a model made for it goes out in signed codes and comes back as it was" {
    "$BIN/quantize" -m "$G/fused.st" -r "$G/ranges.st" --for tensorrt -o symmetric.st
    "$BIN/onnx-export" -m symmetric.st --for tensorrt -o symmetric.onnx
    "$BIN/onnx-import" symmetric.onnx -o back.st
    run "$BIN/inspect" compare symmetric.st back.st
    [[ $output != *tensor* ]]
}
