#!/usr/bin/env bats
# quantize: fused model + ranges -> int8 model.
# shellcheck disable=SC2154 # bats sets stderr and stderr_lines

load helpers
load models

setup_file() {
    make_models
    "$BIN/quantize" -m fused.st -r ranges.st -o int8.st
}

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    G=$BATS_FILE_TMPDIR
}

quantize() { # options..: with the models of this file
    "$BIN/quantize" -m "$G/fused.st" -r "$G/ranges.st" "$@"
}

@test "all 20 convolutions and the last layer are int8, no float node between them" {
    "$BIN/inspect" graph "$G/int8.st" > graph.txt
    [ "$(grep -Ec ' = conv2d .* u8\[' graph.txt)" -eq 20 ]
    grep -Eq '^norm.q += quantize norm ' graph.txt
    [ "$(grep -c 'f32\[' graph.txt)" -eq 2 ] # the normalised input and the logits
    [ "$("$BIN/inspect" show "$G/int8.st" | grep -Ec '\.weight +I8')" -eq 21 ]
    [ "$("$BIN/inspect" show "$G/int8.st" | grep -Ec '\.accumulator_bound +I64')" -eq 21 ]
    "$BIN/inspect" show "$G/int8.st" | grep -q '^quantization: observer=mse weight-bits=8 activation-bits=8 weights=per-channel$'
}

@test "the same inputs give the same bytes, to a file and to a pipe, silently" {
    run --separate-stderr bash -c "'$BIN/quantize' -m '$G/fused.st' -r '$G/ranges.st' | cat > a"
    [ "$status" -eq 0 ]
    [ -z "$stderr" ]
    cmp a "$G/int8.st"
}

@test "the file is less than half the float one, though this small, and predicts like it" {
    [ $((2 * $(stat -c %s "$G/int8.st"))) -lt "$(stat -c %s "$G/fused.st")" ]
    "$BIN/evaluate" -m "$G/fused.st" --predictions a -o /dev/null < "$G/all.b"
    "$BIN/evaluate" -m "$G/int8.st" --predictions b -o /dev/null < "$G/all.b"
    agreement=$("$BIN/evaluate" --pair a b | awk '$1 == "agreement" {print $3}')
    echo "agreement $agreement"
    awk -v a="$agreement" 'BEGIN {exit !(a > 90)}'
}

@test "every observer gives a model of its own" {
    for observer in min-max percentile mse entropy; do
        quantize --observer "$observer" -o "$observer"
        "$BIN/inspect" show "$observer" | grep -q "^quantization: observer=$observer "
        "$BIN/evaluate" -m "$observer" -o /dev/null < "$G/all.b"
    done
    [ "$(md5sum min-max percentile mse entropy | cut -d' ' -f1 | sort -u | wc -l)" -eq 4 ]
    quantize --observer percentile --percentile 90 -o p90
    run ! cmp -s p90 percentile
}

@test "bits, one scale a layer, and layers left in float" {
    quantize --weight-bits 5 --activation-bits 3 --per-tensor --ends same --weight-observer max --match off -o w5
    [ "$("$BIN/inspect" tensor layer3.0.conv1.weight w5 --values | tr '\t' '\n' | tr -d - | sort -n | tail -1)" -eq 15 ]
    [ "$("$BIN/inspect" tensor conv1.range w5 --values | xargs)" = "0 7" ]
    quantize --keep-float 'fc' -o kept
    "$BIN/inspect" graph kept > graph.txt
    grep -Eq '^avgpool.f += dequantize avgpool ' graph.txt
    grep -Eq '^fc += linear avgpool.f ' graph.txt
    "$BIN/inspect" show kept | grep -Eq '^fc\.weight +F32'
    "$BIN/evaluate" -m kept -o /dev/null < "$G/all.b"
    quantize --keep-float 'layer2.*' -o kept
    "$BIN/evaluate" -m kept -o /dev/null < "$G/all.b"
    fails "fused.st: no node matches 'layer9*'" "$BIN/quantize" -m "$G/fused.st" -r "$G/ranges.st" --keep-float 'layer9*' -o out
    fails "fused.st: no layer is left to quantize" "$BIN/quantize" -m "$G/fused.st" -r "$G/ranges.st" --keep-float '*' -o out
}

@test "-v prints a line for every layer: scale, zero point, noise, bound and margin" {
    run --separate-stderr bash -c "LC_ALL=de_DE.UTF-8 '$BIN/quantize' -v -m '$G/fused.st' -r '$G/ranges.st' > out"
    [ "$status" -eq 0 ]
    [ "${#stderr_lines[@]}" -eq 24 ]
    [[ ${stderr_lines[0]} =~ ^layer\ +scale\ +zero_point\ +sqnr\ +weights\ +bound\ +margin$ ]]
    [[ ${stderr_lines[1]} =~ ^norm.q\ +0\.[0-9]+\ +[0-9]+\ +[0-9.]+ ]]
    [[ ${stderr_lines[2]} =~ ^conv1\ +[0-9.]+\ +0\ +[0-9.]+\ +[0-9.]+\ +[0-9]+\ +[0-9.]+$ ]]
    cmp out "$G/int8.st"
}

@test "made-by holds the options, the digests and the ranges' lineage indented" {
    "$BIN/inspect" made-by "$G/int8.st" > made-by.txt
    [[ $(sed -n 3p made-by.txt) =~ ^quantize\ .*\ activation-bits=8\ keep-float=\ model=sha256:.*\ observer=mse\ per-tensor=0\ .*ranges=sha256:.*weight-bits=8$ ]]
    [[ $(sed -n 4p made-by.txt) == "  cifar-load "* ]]
    [[ $(sed -n 5p made-by.txt) == "  calibrate "* ]]
}

@test "ranges of another model or network are refused" {
    record_edit "$G/fused.st" other 'put("conv1.bias", 0, "f", 0.125)'
    fails "quantize: $G/ranges.st: model-digest: " "$BIN/quantize" -m other -r "$G/ranges.st" -o out
    "$BIN/train-fp32" --width 2 --epochs 0 | "$BIN/fuse" -o narrow
    fails "quantize: $G/ranges.st: graph-digest: " "$BIN/quantize" -m narrow -r "$G/ranges.st" -o out
    record_edit "$G/ranges.st" plain 'meta.pop("model-digest"); meta.pop("graph-digest")
for part in "histogram", "exponent", "min", "max": drop("conv1." + part)'
    fails "the ranges do not have 'conv1'" "$BIN/quantize" -m "$G/fused.st" -r plain -o out
}

@test "wrong stage, wrong kind, broken ranges" {
    fails "quantize: $G/model.st: is at stage float, want fused: run fuse first" \
        "$BIN/quantize" -m "$G/model.st" -r "$G/ranges.st" -o out
    fails "quantize: $G/int8.st: is at stage int8, want fused" "$BIN/quantize" -m "$G/int8.st" -r "$G/ranges.st" -o out
    fails "quantize: $G/fused.st: is a model record, want a ranges record" "$BIN/quantize" -m "$G/fused.st" -r "$G/fused.st" -o out
    record_edit "$G/ranges.st" bad 'put("conv1.max", 0, "f", float("nan"))'
    fails 'quantize: bad: conv1: min ' "$BIN/quantize" -m "$G/fused.st" -r bad -o out
    record_edit "$G/ranges.st" bad 'put("conv1.histogram", 5, "Q", 1)'
    fails 'quantize: bad: conv1.histogram: ' "$BIN/quantize" -m "$G/fused.st" -r bad -o out
}

@test "NaN in weights, and scales, codes and zero points that are none, are named" {
    record_edit "$G/fused.st" bad 'put("fc.weight", 3, "f", float("nan"))'
    fails 'quantize: bad: fc.weight: NaN at index 3' "$BIN/quantize" -m bad -r "$G/ranges.st" -o out
    for value in 0 -1 'float("nan")' 1e-40; do
        record_edit "$G/int8.st" bad "put('conv1.scale', 0, 'f', $value)"
        fails 'evaluate: bad: conv1.scale: ' bash -c "'$BIN/evaluate' -m bad < '$G/all.b'"
    done
    record_edit "$G/int8.st" bad 'put("layer1.0.conv1.weight_scale", 3, "f", 0)'
    fails 'evaluate: bad: layer1.0.conv1.weight_scale: ' bash -c "'$BIN/evaluate' -m bad < '$G/all.b'"
    record_edit "$G/int8.st" bad 'put("norm.q.range", 1, "B", 0)'
    fails 'evaluate: bad: norm.q.range: 0..0 is empty' bash -c "'$BIN/evaluate' -m bad < '$G/all.b'"
    record_edit "$G/int8.st" bad 'put("norm.q.range", 1, "B", 5)'
    fails 'evaluate: bad: norm.q.zero_point: ' bash -c "'$BIN/evaluate' -m bad < '$G/all.b'"
}

@test "constant and all-zero activations, and channels of zeros: defined, with a warning each" {
    record_edit "$G/fused.st" dull 'for i in range(108): put("conv1.weight", i, "f", 0)
for i in range(4): put("conv1.bias", i, "f", 3)
for i in range(144): put("layer1.0.conv1.weight", i, "f", 0)
for i in range(4): put("layer1.0.conv1.bias", i, "f", -1)'
    "$BIN/calibrate" -m dull -o ranges < "$G/all.b"
    run --separate-stderr "$BIN/quantize" -m dull -r ranges -o int8
    [ "$status" -eq 0 ]
    [[ $stderr == *"quantize: warning: conv1: activation is always 3"* ]]
    [[ $stderr == *"quantize: warning: layer1.0.conv1: activation is always 0"* ]]
    [[ $stderr == *"quantize: warning: conv1: 4 of 4 channels are zero"* ]]
    run "$BIN/inspect" tensor conv1.scale int8 --values
    [[ $output == *0.0117647* ]] # 3/255
    run "$BIN/inspect" tensor layer1.0.conv1.scale int8 --values
    [[ $output == *1.1920929e-07* ]]
    "$BIN/evaluate" -m int8 -o /dev/null < "$G/all.b"
    run --separate-stderr "$BIN/quantize" -q -m dull -r ranges -o int8
    [ -z "$stderr" ]
}

@test "outputs are checked first, inputs are not overwritten" {
    fails 'nowhere/out' quantize -o nowhere/out
    fails 'No space left on device' quantize -o /dev/full
    cp "$G/ranges.st" same
    fails 'same' "$BIN/quantize" -m "$G/fused.st" -r same -o same
    cmp same "$G/ranges.st"
    run bash -c "ulimit -f 8; '$BIN/quantize' -m '$G/fused.st' -r '$G/ranges.st' -o out"
    [ "$status" -eq 1 ]
    [[ $output == *"File too large"* ]]
    [ ! -e out ]
}

@test "misuse is status 2" {
    for arguments in "" "-m x" "-r x" "-m x -r y --weight-bits 9" "-m x -r y --weight-bits 1" "-m x -r y --activation-bits 12abc" \
        "-m x -r y --observer median" "-m x -r y --percentile 101" "-m x -r y --percentile nan" "-m x -r y z"; do
        # shellcheck disable=SC2086 # words are options
        run --separate-stderr "$BIN/quantize" $arguments
        [ "$status" -eq 2 ]
        [ -z "$output" ]
        [[ ${stderr_lines[-1]} == "Try 'quantize --help'"* ]]
    done
}

@test "--saturation-free: no two codes of a channel sum past 128; -v says what it cost; made-by has it" {
    run --separate-stderr "$BIN/quantize" -v -m "$G/fused.st" -r "$G/ranges.st" --saturation-free -o free
    [ "$status" -eq 0 ]
    [[ ${stderr_lines[-1]} =~ ^saturation-free:\ scale\ raised\ in\ [1-9][0-9]*\ of\ 310\ channels\;\ weights\'\ sqnr\ [0-9.]+\ dB,\ [0-9.]+\ before$ ]]
    python3 - free "$G/int8.st" <<'PY'
import json, struct, sys
def worst(path):
    raw = open(path, "rb").read()
    size = struct.unpack("<Q", raw[:8])[0]
    header, most = json.loads(raw[8:8 + size]), 0
    for name, t in header.items():
        if t.get("dtype") == "I8":
            begin, end = t["data_offsets"]
            codes = struct.unpack(f"{end - begin}b", raw[8 + size + begin:8 + size + end])
            each = len(codes) // t["shape"][0]
            for c in range(0, len(codes), each):
                row = sorted(codes[c:c + each])
                most = max(most, sum(x for x in row[-2:] if x > 0), -sum(x for x in row[:2] if x < 0))
    return most
assert worst(sys.argv[1]) <= 128 < worst(sys.argv[2])
PY
    run "$BIN/inspect" made-by free
    [[ $output == *" saturation-free=1 "* ]]
    run "$BIN/inspect" made-by "$G/int8.st"
    [[ $output != *saturation* ]] && [[ $output != *" for="* ]]
}

@test "--for tensorrt: every zero point is 128, and the model runs" {
    "$BIN/quantize" -m "$G/fused.st" -r "$G/ranges.st" --for tensorrt -o symmetric
    run "$BIN/inspect" tensor layer2.0.conv1.zero_point symmetric
    [[ $output == *128* ]]
    "$BIN/evaluate" -m symmetric -o /dev/null < "$G/all.b"
    fails "symmetric activations have 8 bits, not 6" "$BIN/quantize" -m "$G/fused.st" -r "$G/ranges.st" --for tensorrt --activation-bits 6 --match off -o out
}
