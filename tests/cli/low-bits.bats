#!/usr/bin/env bats
# Fewer than 8 bits: what holds up, what a file holds, what is refused.
# shellcheck disable=SC2154 # bats sets stderr

load helpers
load models

setup_file() {
    cd "$BATS_FILE_TMPDIR" || return 1
    mkdir images
    make_bin images/data_batch_1.bin 800 1
    make_bin images/test_batch.bin 400 2
    "$BIN/cifar-load" -d images --part train --shuffle --epochs 4 -o train
    "$BIN/cifar-load" -d images --part train -b 100 -o once
    "$BIN/cifar-load" -d images --split test -o test
    "$BIN/train-fp32" --width 4 -b 32 --epochs 4 -o float < train
    "$BIN/fuse" -m float -o fused
    "$BIN/calibrate" -m fused -o ranges < once
    for bits in 4 3 2; do
        "$BIN/quantize" -m fused -r ranges --weight-bits $bits -o w$bits < once
        "$BIN/quantize" -m fused -r ranges --weight-bits $bits --match off -o plain$bits < /dev/null
    done
}

setup() {
    mkdir "$BATS_TEST_TMPDIR/work"
    cd "$BATS_TEST_TMPDIR/work" || return 1
    T=$BATS_FILE_TMPDIR
}

quantize() { # options..
    "$BIN/quantize" -m "$T/fused" -r "$T/ranges" "$@"
}

@test "matched outputs win back most of what 3 and 2 bits lose, from codes of the same scales" {
    float=$(loss "$T/fused")
    for bits in 3 2; do
        plain=$(loss "$T/plain$bits")
        quantize --weight-bits $bits --match bias -o bias < "$T/once"
        matched=$(loss "$T/w$bits")
        echo "$bits bits: float $float, plain $plain, bias $(loss bias), matched $matched"
        holds "$plain - $float > 0.03"
        holds "$matched - $float < ($plain - $float) / 2"
        holds "$matched < $(loss bias) && $(loss bias) < $plain"
        cmp <("$BIN/inspect" tensor layer3.1.conv1.weight "$T/w$bits" --values) \
            <("$BIN/inspect" tensor layer3.1.conv1.weight "$T/plain$bits" --values)
    done
    holds "$(loss "$T/plain2") - $float > 1 && $(loss "$T/w2") - $float < ($(loss "$T/plain2") - $float) / 8"
}

@test "the file says what was done; at 8 bits nothing is said, read or changed" {
    "$BIN/inspect" show "$T/w3" | grep -qx 'quantization: observer=mse weight-bits=3 activation-bits=8 weights=per-channel ends=8 weight-observer=mse match=all match-images=512'
    "$BIN/inspect" made-by "$T/w3" | grep '^quantize ' > made
    for word in ends=8 match=all match-images=512 weight-observer=mse weight-bits=3; do
        grep -qw -- "$word" made
    done
    [ "$("$BIN/inspect" made-by "$T/w3" | grep -c '^  cifar-load ')" -eq 2 ] # the ranges' images, and those to match by
    quantize -o eight < /dev/null
    quantize --ends same --weight-observer max --match off -o same < /dev/null
    cmp eight same
    run ! grep -E 'ends|match|weight-observer' <("$BIN/inspect" made-by eight; "$BIN/inspect" show eight)
    quantize --weight-observer mse -o searched < /dev/null
    "$BIN/inspect" made-by searched | grep -qw weight-observer=mse
    run ! cmp -s eight searched
}

@test "the image, the first and the last layer keep 8 bits, unless they are to have what the rest has" {
    quantize --weight-bits 2 --activation-bits 3 --match off -o eight
    quantize --weight-bits 2 --activation-bits 3 --ends same --match off -o same
    for layer in conv1 fc; do
        "$BIN/inspect" show eight | grep -Eq "^$layer\.weight +I8"
        "$BIN/inspect" show same | grep -Eq "^$layer\.weight +U8"
    done
    for value in norm.q avgpool; do
        [ "$("$BIN/inspect" tensor $value.range eight --values | xargs)" = "0 255" ]
        [ "$("$BIN/inspect" tensor $value.range same --values | xargs)" = "0 7" ]
    done
    for model in eight same; do
        [ "$("$BIN/inspect" tensor conv1.range $model --values | xargs)" = "0 7" ]
        "$BIN/inspect" show $model | grep -Eq '^layer1\.0\.conv1\.weight +U8'
    done
}

@test "codes lie packed, and are those that a program of a few lines takes out" {
    for bits in 2 3 4; do
        quantize --weight-bits $bits --weight-observer max --match off -o max
        python3 - max "$T/fused" $bits <<'PY'
import json, math, struct, sys
def load(path):
    raw = open(path, "rb").read()
    size = struct.unpack("<Q", raw[:8])[0]
    return json.loads(raw[8:8 + size]), raw[8 + size:]
h, data = load(sys.argv[1])
f, floats = load(sys.argv[2])
bits = int(sys.argv[3])
field, top = 2 if bits == 2 else 4, 2 ** (bits - 1) - 1
f32 = lambda x: struct.unpack("<f", struct.pack("<f", x))[0]
for name, t in f.items():
    if not name.startswith("layer") or not name.endswith(".weight"):
        continue
    begin, end = t["data_offsets"]
    w = struct.unpack("<%df" % ((end - begin) // 4), floats[begin:end])
    per = len(w) // t["shape"][0]
    begin, end = h[name]["data_offsets"]
    assert h[name]["dtype"] == "U8" and h[name]["shape"] == [math.ceil(len(w) * field / 8)], name
    assert data[h[name + "_bits"]["data_offsets"][0]] == bits
    packed = data[begin:end]
    scales = [f32(max(map(abs, w[c * per:c * per + per])) / top) for c in range(t["shape"][0])]
    for i, x in enumerate(w):
        code = packed[i * field // 8] >> i * field % 8 & (1 << field) - 1
        code -= (code >> (field - 1)) << field
        assert code == max(-top, min(top, round(f32(x / scales[i // per])))), (name, i)
PY
        "$BIN/inspect" check max
    done
    [ "$(stat -c %s "$T/w2")" -lt "$(stat -c %s "$T/w4")" ]
}

@test "packed models predict the same on every instruction set" {
    for isa in ref avx2; do
        for bits in 2 3; do
            RESQ_ISA=$isa "$BIN/evaluate" -m "$T/w$bits" --predictions p-$isa-$bits -o /dev/null < "$T/test"
        done
    done
    cmp p-ref-2 p-avx2-2
    cmp p-ref-3 p-avx2-3
    RESQ_ISA=avx2 RESQ_CONV=pairs "$BIN/evaluate" -m "$T/w3" --predictions p-pairs-3 -o /dev/null < "$T/test"
    cmp p-ref-3 p-pairs-3
    RESQ_ISA=avx2 "$BIN/bench" -m "$T/w3" -b 1 -j 1 --seconds 0 --layers -o bench.tsv
    grep -P '^layer:layer4.0.conv1\t' bench.tsv | cut -f 6 | grep -qx pairs
    "$BIN/bench" -m "$T/w2" -b 1 -j 1 --seconds 0 --layers -o bench.tsv
    grep -q '^layer:layer4.1.conv2' bench.tsv
}

@test "a packed model goes out as C and as ONNX, with its own logits" {
    "$BIN/evaluate" -m "$T/w2" --predictions packed -o /dev/null < "$T/test"
    "$BIN/emit-c" -m "$T/w2" -o net.c
    gcc -std=c99 -O1 -DNET_TEST net.c -o self
    ./self | grep -q "10 of 10 images have the model's logits"
    [ -x "$BIN/onnx-import" ] || skip "built without protobuf-c"
    "$BIN/onnx-export" -m "$T/w2" -o w2.onnx
    "$BIN/onnx-import" w2.onnx -o back
    "$BIN/evaluate" -m back --predictions unpacked -o /dev/null < "$T/test"
    run ! grep logits <("$BIN/inspect" compare packed unpacked)
}

@test "GPTQ changes codes below 5 bits alone, costs no accuracy, and is said" {
    quantize --weight-bits 3 --gptq -j 2 -o gptq < "$T/once"
    "$BIN/inspect" show gptq | grep -q '^quantization: .* codes=gptq match=all match-images=512$'
    "$BIN/inspect" made-by gptq | grep '^quantize ' | grep -qw gptq=1
    run ! cmp -s <("$BIN/inspect" tensor layer3.1.conv1.weight gptq --values) <("$BIN/inspect" tensor layer3.1.conv1.weight "$T/w3" --values)
    cmp <("$BIN/inspect" tensor fc.weight gptq --values) <("$BIN/inspect" tensor fc.weight "$T/w3" --values)
    holds "$(loss gptq) < $(loss "$T/fused") + 0.1"
    quantize --weight-bits 3 --gptq -j 1 -o one < "$T/once"
    cmp one gptq
    run --separate-stderr quantize --gptq --match off -o out < /dev/null
    [[ $stderr == *"(--gptq wants batches of images there)" ]]
}

@test "an equalized network computes the same, and says so" {
    "$BIN/fuse" --equalize -v -m "$T/float" -o equal 2> said
    grep -q '^layer1.0.conv1: channels equalized with layer1.0.conv2, factors up to ' said
    "$BIN/inspect" made-by equal | grep '^fuse ' | grep -qw equalize=1
    holds "$(loss equal) - $(loss "$T/fused") < 0.0001 && $(loss "$T/fused") - $(loss equal) < 0.0001"
    run ! grep -q equalize <("$BIN/inspect" made-by "$T/fused")
    run ! cmp -s equal "$T/fused"
}

@test "the same bytes for any threads and any cut of the stream; images beyond those asked for are left" {
    quantize --weight-bits 2 -j 2 -o threads < "$T/once"
    cmp threads "$T/w2"
    "$BIN/cifar-load" -d "$T/images" --part train -b 7 | quantize --weight-bits 2 -o cut
    for model in cut "$T/w2"; do
        perl -e 'open my $f, "<:raw", $ARGV[0]; read $f, my $n, 8; seek $f, 8 + unpack("Q<", $n), 0; local $/; print <$f>' $model > "$(basename $model).data"
    done
    cmp cut.data w2.data
    quantize --weight-bits 2 --match-images 100 -o few < "$T/once"
    run ! cmp -s few "$T/w2"
    run --separate-stderr quantize --weight-bits 2 --match-images 5000 -o all < "$T/once"
    [[ $stderr == "quantize: warning: only 720 images came, of 5000 asked for (--match-images)"* ]]
}

@test "no images, images of the test split, of other data; packed codes that are none" {
    run --separate-stderr quantize --weight-bits 4 -o out < /dev/null
    [ "$status" -eq 1 ]
    [[ $stderr == *"--match all wants batches of images there; --match off does without)" ]]
    run --separate-stderr quantize --weight-bits 4 -o out < "$T/test"
    [ "$status" -eq 1 ]
    [[ $stderr == *"stdin: split: images of the test split"* ]]
    make_bin other.bin 50 7
    run --separate-stderr quantize --weight-bits 4 -o out < <("$BIN/cifar-load" -d other.bin --split train)
    [ "$status" -eq 1 ]
    [[ $stderr == *"stdin: dataset-digest"* ]]
    head -c 100000 "$T/once" > broken
    run --separate-stderr quantize --weight-bits 4 -o out < broken
    [ "$status" -eq 1 ]
    [ ! -e out ]
    record_edit "$T/w3" bad 'put("layer1.0.conv1.weight", 5, "B", 0x77)'
    fails 'evaluate: bad: layer1.0.conv1.weight: code 7 at index 10, want -3..3' bash -c "'$BIN/evaluate' -m bad < '$T/test'"
    record_edit "$T/w3" bad 'put("layer1.0.conv1.weight_bits", 0, "B", 5)'
    fails 'evaluate: bad: layer1.0.conv1.weight_bits: 5, want 2..4' bash -c "'$BIN/evaluate' -m bad < '$T/test'"
    record_edit "$T/w3" bad 'put("layer1.0.conv1.weight_bits", 0, "B", 2)'
    fails 'evaluate: bad: layer1.0.conv1.weight: got U8[72], want U8[36] for 144 codes of 2 bits' bash -c "'$BIN/evaluate' -m bad < '$T/test'"
    record_edit "$T/w3" bad 'drop("layer1.0.conv1.weight_bits")'
    fails 'evaluate: bad: layer1.0.conv1.weight: got U8[72], want I8[4,4,3,3]' bash -c "'$BIN/evaluate' -m bad < '$T/test'"
}

@test "a plan gives each layer its bits, through everything that takes a model; it is what options would say" {
    printf '%s\n' '# half of it' 'layer1.0.conv1 2 4' 'layer2.0.conv1 3 -' 'layer4.1.conv2 4 8 # last' 'norm - 8' > plan
    quantize --plan plan -o mixed < "$T/once"
    "$BIN/inspect" show mixed | grep -q '^quantization: .* weight-observer=mse plan=[4-7]\.[0-9]* match=all match-images=512$'
    "$BIN/inspect" made-by mixed | grep '^quantize ' | grep -Eq ' plan=sha256:[0-9a-f]{64} '
    for want in "layer1.0.conv1 U8\[36\]" "layer2.0.conv1 U8\[144\]" "layer1.0.conv2 I8"; do
        "$BIN/inspect" show mixed | grep -Eq "^${want% *}\.weight +${want#* }"
    done
    [ "$("$BIN/inspect" tensor layer1.0.conv1.range mixed --values | xargs)" = "0 15" ]
    [ "$("$BIN/inspect" tensor layer2.0.conv1.range mixed --values | xargs)" = "0 255" ]
    "$BIN/inspect" check mixed
    for isa in ref avx2; do
        RESQ_ISA=$isa "$BIN/evaluate" -m mixed --predictions $isa -o /dev/null < "$T/test"
    done
    cmp ref avx2
    "$BIN/emit-c" -m mixed -o net.c
    gcc -std=c99 -O1 -DNET_TEST net.c -o self
    ./self | grep -q "10 of 10 images have the model's logits"
    "$BIN/bench" -m mixed -b 1 -j 1 --seconds 0 --layers -o bench.tsv
    # the same, written otherwise
    printf 'norm - 8\n\nlayer4.1.conv2\t4 8\nlayer2.0.conv1 3 -\nlayer1.0.conv1 2 4\n' > other
    quantize --plan other -o again < "$T/once"
    cmp mixed again
    # a plan of what the options say, on top of others
    "$BIN/inspect" graph "$T/fused" | awk '$3 == "conv2d" { print $1, $1 == "conv1" ? 8 : 3, "-" } $3 == "linear" { print $1, 8, "-" }' > three
    quantize --weight-bits 8 --plan three -o planned < "$T/once"
    "$BIN/inspect" compare planned "$T/w3" > differs || :
    run ! grep -v '^what\|quantization\|made-by' differs
    "$BIN/qat-finetune" -m "$T/fused" -r "$T/ranges" --plan plan --epochs 0 -o trained < /dev/null
    quantize --plan plan --match off -o plain
    "$BIN/inspect" compare trained plain > differs || :
    run ! grep -v '^what\|made-by' differs
    "$BIN/inspect" made-by trained | grep '^qat-finetune ' | grep -q ' plan=sha256:'
    "$BIN/qat-finetune" -m "$T/fused" -r "$T/ranges" --plan plan -b 32 --epochs 4 -o trained < "$T/train"
    [ "$("$BIN/inspect" tensor layer1.0.conv1.range trained --values | xargs)" = "0 15" ]
    "$BIN/inspect" show trained | grep -Eq '^layer1\.0\.conv1\.weight +U8\[36\]'
    "$BIN/inspect" show trained | grep -Eq '^layer2\.0\.conv1\.weight +U8\[144\]'
}

@test "a plan that is none is one line that names its own" {
    while IFS='|' read -r line says; do
        printf '# plan\n%s\n' "$line" > bad
        fails "quantize: bad: line 2: $says" quantize --plan bad -o out < "$T/once"
        fails "qat-finetune: bad: line 2: $says" "$BIN/qat-finetune" -m "$T/fused" -r "$T/ranges" --plan bad --epochs 0 -o out < /dev/null
    done <<'BAD'
conv9 8 8|the network has no layer 'conv9'
conv1 9 8|weights: '9' bits, want 2 to 8, or -
conv1 8 1|activations: '1' bits, want 2 to 8, or -
avgpool 8 8|'avgpool' has no weights: want -
BAD
    printf 'conv1 8 8\nfc 4 -\nconv1 4 4\n' > bad
    fails "quantize: bad: line 3: 'conv1' again, which line 1 has" quantize --plan bad -o out < "$T/once"
    fails "none: cannot open: No such file" quantize --plan none -o out < "$T/once"
    cp bad same
    fails "same" quantize --plan same -o same < "$T/once"
    cmp bad same
}

@test "misuse is status 2" {
    for arguments in "--match some" "--ends 7" "--weight-observer median" "--match-images 0" "--match-images -1"; do
        # shellcheck disable=SC2086 # words are options
        run --separate-stderr quantize $arguments
        [ "$status" -eq 2 ]
        [ -z "$output" ]
    done
}
