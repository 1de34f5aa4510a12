#!/usr/bin/env bats
# fuse: the same network without batch norm.
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

@test "no batch norm, relu or add is left; tensors are 21 layers' weight and bias" {
    "$BIN/inspect" graph "$G/fused.st" > graph.txt
    run ! grep -Eq '= (batchnorm|relu|add) ' graph.txt
    [ "$(grep -c ' = conv2d ' graph.txt)" -eq 20 ]
    [ "$("$BIN/inspect" show "$G/fused.st" | grep -Ec '(weight|bias) +F32')" -eq 42 ]
    "$BIN/inspect" show "$G/fused.st" | grep -q '^stage: fused$'
}

@test "logits are the same as before, nearly" {
    "$BIN/evaluate" -m "$G/model.st" --predictions a -o /dev/null < "$G/all.b"
    "$BIN/evaluate" -m "$G/fused.st" --predictions b -o /dev/null < "$G/all.b"
    run python3 - <<'PY'
import json, struct
def logits(path):
    raw = open(path, "rb").read()
    size = struct.unpack("<Q", raw[:8])[0]
    begin, end = json.loads(raw[8:8 + size])["logits"]["data_offsets"]
    return struct.unpack(f"<{(end - begin) // 4}f", raw[8 + size + begin:8 + size + end])
a, b = logits("a"), logits("b")
worst = max(abs(x - y) for x, y in zip(a, b))
assert len(a) == 2000 and max(a) - min(a) > 0.5 and worst < 1e-4, (len(a), max(a) - min(a), worst)
PY
    echo "$output"
    [ "$status" -eq 0 ]
}

@test "standard input and output, pipe and file, give the same bytes, silently" {
    run --separate-stderr bash -c "'$BIN/fuse' < '$G/model.st' > a && cat '$G/model.st' | '$BIN/fuse' -m - | cat > b"
    [ "$status" -eq 0 ]
    [ -z "$output$stderr" ]
    cmp a "$G/fused.st"
    cmp b "$G/fused.st"
}

@test "-v says what was done" {
    run --separate-stderr "$BIN/fuse" -v -m "$G/model.st" -o out
    [ "$status" -eq 0 ]
    [[ $stderr == *"bn1: folded into conv1"* ]]
    [[ $stderr == *"layer4.1.add: now part of layer4.1.conv2"* ]]
    [ "${#stderr_lines[@]}" -eq 45 ] # 20 batch norms, 17 relus, 8 adds
}

@test "made-by names the model by digest and keeps what was before" {
    run "$BIN/inspect" made-by "$G/fused.st"
    [[ ${lines[0]} == "train-fp32 "* ]]
    [[ ${lines[1]} =~ ^fuse\ [0-9.]+\ model=sha256:[0-9a-f]{64}$ ]]
}

@test "a fused model passes; an int8 model is refused" {
    "$BIN/fuse" -m "$G/fused.st" -o again
    "$BIN/inspect" graph "$G/fused.st" | cmp - <("$BIN/inspect" graph again)
    "$BIN/quantize" -m "$G/fused.st" -r "$G/ranges.st" -o int8
    fails 'fuse: int8: is at stage int8, want float' "$BIN/fuse" -m int8 -o out
}

@test "a state_dict without a graph is ResNet-18; the stock model's stem is said to be that" {
    record_edit "$G/model.st" plain 'meta.clear()'
    "$BIN/fuse" -m plain -o fused
    "$BIN/inspect" graph fused | cmp - <("$BIN/inspect" graph "$G/fused.st")
    record_edit plain stock 'drop("conv1.weight"); h["conv1.weight"] = {"dtype": "F32", "shape": [4, 3, 7, 7],
        "data_offsets": [len(data), len(data) + 4 * 588]}; data += bytes(4 * 588)'
    fails "stock: conv1.weight: got F32[4,3,7,7], want F32[4,3,3,3]: torchvision's stock model" "$BIN/fuse" -m stock -o out
}

@test "missing, surplus and mis-shaped tensors are named" {
    record_edit "$G/model.st" bad 'drop("layer2.0.bn1.running_mean")'
    fails 'fuse: bad: layer2.0.bn1.running_mean: missing tensor' "$BIN/fuse" -m bad -o out
    record_edit "$G/model.st" bad 'h["extra.weight"] = h.pop("fc.bias")'
    fails 'fuse: bad: fc.bias: missing tensor' "$BIN/fuse" -m bad -o out
    record_edit "$G/model.st" bad 'h["extra.weight"] = {"dtype": "F32", "shape": [0], "data_offsets": [len(data)] * 2}'
    fails 'fuse: bad: extra.weight: surplus tensor' "$BIN/fuse" -m bad -o out
    record_edit "$G/model.st" bad 'h["fc.weight"]["shape"] = [32, 10]'
    fails 'fuse: bad: fc.weight: got F32[32,10], want F32[10,32]' "$BIN/fuse" -m bad -o out
}

@test "NaN, Inf and a negative variance are said with tensor and index" {
    record_edit "$G/model.st" bad 'put("layer1.0.conv1.weight", 17, "f", float("nan"))'
    fails 'fuse: bad: layer1.0.conv1.weight: NaN at index 17' "$BIN/fuse" -m bad -o out
    record_edit "$G/model.st" bad 'put("fc.bias", 9, "f", float("-inf"))'
    fails 'fuse: bad: fc.bias: Inf at index 9' "$BIN/fuse" -m bad -o out
    record_edit "$G/model.st" bad 'put("bn1.running_var", 2, "f", -0.25)'
    fails 'fuse: bad: bn1.running_var: -0.25 at index 2 is negative' "$BIN/fuse" -m bad -o out
}

@test "var + eps = 0 is an error; a channel of zeros is a warning, which -q silences" {
    record_edit "$G/model.st" bad 'put("bn1.running_var", 2, "f", 0)
meta["graph"] = "\n".join(l.replace("batchnorm conv1 ", "batchnorm conv1 eps=0 ") for l in meta["graph"].split("\n"))'
    fails 'fuse: bad: bn1.running_var: 0 + eps at index 2 is not positive' "$BIN/fuse" -m bad -o out
    record_edit "$G/model.st" zero 'put("bn1.weight", 2, "f", 0)'
    run --separate-stderr "$BIN/fuse" -m zero -o out
    [ "$status" -eq 0 ]
    [ "$stderr" = "fuse: warning: conv1: 1 of 4 channels are zero" ]
    run --separate-stderr "$BIN/fuse" -q -m zero -o out
    [ "$status" -eq 0 ]
    [ -z "$stderr" ]
}

@test "wrong kind, wrong stage, empty and cut input" {
    fails "fuse: $G/ranges.st: is a ranges record, want a model record" "$BIN/fuse" -m "$G/ranges.st" -o out
    record_edit "$G/model.st" bad 'meta["stage"] = "fused"'
    fails "fuse: bad: stage: says 'fused', but the graph is at stage float" "$BIN/fuse" -m bad -o out
    record_edit "$G/model.st" bad 'meta["graph"] += "more = linear fc out=2\n"'
    fails 'fuse: bad: more.weight: missing tensor' "$BIN/fuse" -m bad -o out
    : > empty
    fails 'empty: empty input' "$BIN/fuse" -m empty -o out
    head -c 5000 "$G/model.st" > cut.st
    fails 'cut.st: ' "$BIN/fuse" -m cut.st -o out
    fails 'stdin: ' bash -c "head -c 5000 '$G/model.st' | '$BIN/fuse' -o out"
    fails 'No such file' "$BIN/fuse" -m nothing -o out
}

@test "outputs are checked before the work, and input = output is refused" {
    fails 'nowhere/out' "$BIN/fuse" -m "$G/model.st" -o nowhere/out
    mkdir folder
    fails 'folder' "$BIN/fuse" -m "$G/model.st" -o folder
    cp "$G/model.st" same
    fails 'same' "$BIN/fuse" -m same -o same
    cmp same "$G/model.st"
    fails 'No space left on device' "$BIN/fuse" -m "$G/model.st" -o /dev/full
}

@test "misuse is status 2" {
    for arguments in --unknown "-m" "operand" "--verbose=1"; do
        # shellcheck disable=SC2086 # words are options
        run --separate-stderr "$BIN/fuse" $arguments
        [ "$status" -eq 2 ]
        [ -z "$output" ]
        [[ ${stderr_lines[-1]} == "Try 'fuse --help'"* ]]
    done
}
