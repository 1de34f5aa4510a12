#!/usr/bin/env bats
# inspect: records as text.
# shellcheck disable=SC2154 # bats sets stderr and stderr_lines

load helpers

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    FOREIGN=$BATS_TEST_DIRNAME/../reference/foreign.safetensors
    head -c -1 "$BATS_TEST_DIRNAME/../bad/stream-with-bytes-after-end.safetensors" > stream
}

# An int8 model by hand: `inspect` reads what any language wrote.
int8_model() {
    python3 - "$1" <<'PY'
import json, struct, sys
graph = """x = input u8[4,4,3]
n = normalize x mean=0,0,0 std=1,1,1 f32[4,4,3]
q = quantize n u8[4,4,3]
p = avgpool q u8[3]
fc = linear p out=2 bias f32[2]
"""
tensors, data = {}, b""
def add(name, dtype, shape, raw):
    global data
    tensors[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
    data += raw
add("fc.accumulator_bound", "I64", [], struct.pack("<q", 1 << 20))
add("fc.weight_scale", "F32", [2], struct.pack("<2f", 0.5, 0.25))
add("fc.bias", "I32", [2], struct.pack("<2i", 1, -1))
for node in "q", "p":
    add(node + ".scale", "F32", [], struct.pack("<f", 0.125))
add("fc.weight", "I8", [2, 3], struct.pack("6b", 1, 2, 3, -4, -5, -127))
for node in "q", "p":
    add(node + ".zero_point", "U8", [], b"\x80")
    add(node + ".range", "U8", [2], b"\0\xff")
header = {"__metadata__": {"kind": "model", "stage": "int8", "graph": graph,
                           "made-by": "first 0.1.0 a=1\nsecond 0.1.0 b=2"}, **tensors}
text = json.dumps(header).encode()
open(sys.argv[1], "wb").write(struct.pack("<Q", len(text)) + text + data)
PY
}

@test "show: metadata, tensors, totals" {
    run --separate-stderr "$BIN/inspect" show "$FOREIGN"
    [ "$status" -eq 0 ]
    [ -z "$stderr" ]
    [ "${lines[0]}" = 'author: naïve "quotes"' ]
    [ "${lines[1]}" = "format: pt" ]
    [[ $output == *"conv.weight  F32[2,3,1,1]"* ]]
    [ "${lines[-1]}" = "6 tensors, 18 elements, 46 bytes" ]
}

@test "show: an int8 model's accumulator bounds" {
    int8_model m
    run --separate-stderr "$BIN/inspect" show m
    [ "$status" -eq 0 ]
    [ "${lines[-1]}" = "fc: accumulator bound 1048576, margin 2048 (11.00 bits)" ]
    [[ $output == *"made-by: 2 lines"* ]]
}

@test "show: a stream's first batch and its size, from standard input" {
    run --separate-stderr "$BIN/inspect" show < stream
    [ "$status" -eq 0 ]
    [[ $output == *"images   U8[3,32,32,3]"* ]]
    [ "${lines[-1]}" = "the first of 1 batches, 3 images" ]
}

@test "graph and made-by print what the record carries" {
    int8_model m
    run --separate-stderr "$BIN/inspect" graph m
    [ "$status" -eq 0 ]
    [ "${lines[4]}" = "fc = linear p out=2 bias f32[2]" ]
    run --separate-stderr "$BIN/inspect" made-by m
    [ "$status" -eq 0 ]
    [ "$output" = $'first 0.1.0 a=1\nsecond 0.1.0 b=2' ]
    run --separate-stderr "$BIN/inspect" made-by "$FOREIGN"
    [ "$status" -eq 1 ]
    [ "$stderr" = "inspect: $FOREIGN: has no made-by" ]
    run --separate-stderr "$BIN/inspect" graph stream
    [ "$status" -eq 1 ]
    [ "$stderr" = "inspect: stream: has no graph" ]
}

@test "tensor: statistics and values" {
    run --separate-stderr "$BIN/inspect" tensor codes "$FOREIGN"
    [ "$status" -eq 0 ]
    [[ $output == "codes U8[5]: min 0 max 255 mean 102.2 deviation "*" zeros 1" ]]
    run --separate-stderr "$BIN/inspect" tensor codes --values - < "$FOREIGN"
    [ "$output" = $'0\t1\t127\t128\t255' ]
    run --separate-stderr "$BIN/inspect" tensor nothing "$FOREIGN"
    [ "$status" -eq 1 ]
    [ "$stderr" = "inspect: $FOREIGN: nothing: missing tensor" ]
}

@test "check: silent where whole, one line for each that is not" {
    int8_model m
    printf x > bad
    run "$BIN/inspect" check m stream "$FOREIGN"
    [ "$status" -eq 0 ]
    [ -z "$output" ]
    run --separate-stderr "$BIN/inspect" check bad m absent stream
    [ "$status" -eq 1 ]
    [ "${stderr_lines[0]}" = "inspect: bad: truncated stream after 0 records, at offset 1" ]
    [ "${stderr_lines[1]}" = "inspect: absent: cannot open: No such file or directory" ]
    [ "${#stderr_lines[@]}" -eq 2 ]
    "$BIN/inspect" check < m
}

@test "check: a slow pipe of single bytes is read like a file" {
    int8_model m
    python3 -c 'import os, sys
for b in open(sys.argv[1], "rb").read():
    os.write(1, bytes([b]))' m | "$BIN/inspect" check
}

@test "compare: like cmp, with what differs as a table" {
    int8_model m
    run "$BIN/inspect" compare m m
    [ "$status" -eq 0 ]
    [ -z "$output" ]
    python3 -c 'import sys
b = bytearray(open("m", "rb").read())
b[-len(b"\x80\0\xff\x80\0\xff") - 1] = 100   # the last int8 weight: -127 becomes 100
open("n", "wb").write(b)'
    run --separate-stderr "$BIN/inspect" compare m n
    [ "$status" -eq 1 ]
    [ -z "$stderr" ]
    [ "${lines[0]}" = $'what\tname\ta\tb\tmax_difference\tmean_difference\tsqnr_db' ]
    [[ ${lines[1]} == $'tensor\tfc.weight\tI8[2,3]\tI8[2,3]\t56.75\t9.45833\t'* ]] # 227 codes at 0.25
    [ "${#lines[@]}" -eq 2 ]
    run --separate-stderr "$BIN/inspect" compare m absent
    [ "$status" -eq 1 ]
    [ "$stderr" = "inspect: absent: cannot open: No such file or directory" ]
    run --separate-stderr "$BIN/inspect" compare m
    [ "$status" -eq 2 ]
}

@test "-o writes a file whole or not at all" {
    run "$BIN/inspect" show -o out "$FOREIGN"
    [ "$status" -eq 0 ]
    [ -z "$output" ]
    grep -q "6 tensors" out
    run "$BIN/inspect" show -o none absent
    [ "$status" -eq 1 ]
    [ ! -e none ]
    run "$BIN/inspect" show -o no/where "$FOREIGN"
    [ "$status" -eq 1 ]
    [ "$output" = "inspect: no/where: cannot write: no: No such file or directory" ]
    cp "$FOREIGN" same
    run "$BIN/inspect" show -o same same
    [ "$status" -eq 1 ]
    [ "$output" = "inspect: same: output is the same file as input same" ]
    cmp same "$FOREIGN"
    run bash -c "'$BIN/inspect' show '$FOREIGN' > /dev/full"
    [ "$status" -eq 1 ]
    [ "$output" = "inspect: stdout: write error: No space left on device" ]
    [ -z "$(find . -name '.*.part')" ]
}

@test "misuse: no verb, unknown verb, missing operand" {
    for words in "" "nonsense" "tensor" "show a b"; do
        # shellcheck disable=SC2086
        run --separate-stderr "$BIN/inspect" $words < /dev/null
        [ "$status" -eq 2 ]
        [ -z "$output" ]
        [[ ${stderr_lines[0]} == "inspect: "* ]]
    done
}

@test "failing allocations end in one line" {
    [ -z "$SANITIZE" ] || skip "a sanitizer reserves address space"
    python3 - <<'PY'
import json, struct
text = json.dumps({"a": {"dtype": "U8", "shape": [300000000], "data_offsets": [0, 300000000]}}).encode()
with open("large", "wb") as f:
    f.write(struct.pack("<Q", len(text)) + text)
    f.truncate(8 + len(text) + 300000000)
PY
    run bash -c "ulimit -v 200000; exec '$BIN/inspect' check large"
    [ "$status" -eq 1 ]
    [ "$output" = "inspect: large: memory exhausted: 300000000 bytes" ]
}

@test "a network's name: ResNet-18 at every stage and of a state_dict, else what it is made of" {
    "$BIN/train-fp32" --width 3 --epochs 0 -o float < /dev/null
    "$BIN/fuse" -m float -o fused
    for file in float fused; do
        [ "$("$BIN/inspect" network "$file")" = "ResNet-18, width 3" ]
    done
    # One kernel, one residual or one name that is another's: no ResNet-18.
    "$BIN/inspect" graph float > text
    for change in '0,/layer3.0.conv2 .*kernel=3/ s/\(layer3.0.conv2 .*\)kernel=3 pad=1/\1kernel=1/' \
        's/layer4.1.add .*= add \([^ ]*\) .*/layer4.1.add = relu \1/' 's/layer2.1.conv1/layer2.1.convA/g'; do
        sed "$change" text > changed
        run ! cmp -s text changed
        "$BIN/train-fp32" --graph changed --epochs 0 -o other < /dev/null
        [ "$("$BIN/inspect" network other)" = "a network of 20 convolutions and 1 linear layer" ]
    done
}
