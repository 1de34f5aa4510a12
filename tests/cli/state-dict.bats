#!/usr/bin/env bats
# Models without a graph, as torch's state_dict gives them: what they do not say is given or warned of, by every program alike.
# shellcheck disable=SC2154 # bats sets stderr and stderr_lines

load helpers
load models

setup_file() {
    make_models
    record_edit model.st plain.st 'meta.clear()'
}

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    G=$BATS_FILE_TMPDIR
}

metric() { awk -F '\t' -v k="$1" '$1 == k { print $4 }' "$2"; }

@test "every program that reads one warns in one line of what it assumes" {
    warned() { # PROGRAM ARGUMENT..
        run --separate-stderr "$BIN/$1" "${@:2}" < "$G/all.b"
        [ "$status" -eq 0 ] || { echo "$1: $stderr"; return 1; }
        [ "${#stderr_lines[@]}" -eq 1 ] || { echo "$1: $stderr"; return 1; }
        [[ $stderr == "$1: warning: $G/plain.st has no graph: taken as ResNet-18 with a 3x3 stem of stride 1, no max-pool, images normalized by mean 0.4914,0.4822,0.4465 and deviation 0.247,0.2435,0.2616 (CIFAR-10's), batch norm's eps 1e-05; "*": --normalize, --eps, --graph" ]] ||
            { echo "$1: $stderr"; return 1; }
    }
    warned fuse -m "$G/plain.st" -o fused
    warned evaluate -m "$G/plain.st" -o table
    warned bench -m "$G/plain.st" --seconds 0 -o table
    warned bench --train -m "$G/plain.st" --seconds 0 -b 2 -o table
    warned train-fp32 --init "$G/plain.st" --epochs 0 -o model
    warned inspect graph "$G/plain.st" -o text
    run --separate-stderr "$BIN/evaluate" -q -m "$G/plain.st" -o table < "$G/all.b"
    [ "$status" -eq 0 ] && [ -z "$stderr" ]
    run --separate-stderr "$BIN/inspect" check "$G/plain.st"
    [ "$status" -eq 0 ] && [ -z "$output$stderr" ]
    run --separate-stderr "$BIN/calibrate" -m "$G/plain.st" -o out < "$G/all.b" # refused: one line, no warning of what is not used
    [ "$status" -eq 1 ]
}

@test "what is given is in the graph, in the numbers and in made-by" {
    "$BIN/inspect" graph "$G/model.st" | sed -e 's/mean=[^ ]*/mean=0.5,0.5,0.5/; s/std=[^ ]*/std=0.25,0.25,0.25/' \
        -e 's/\(batchnorm  *[^ ]*\)/\1 eps=0.001/' > want.txt
    "$BIN/inspect" graph "$G/plain.st" --normalize 0.5:0.25 --eps 1e-3 2> said | sed 's/  */ /g' > got
    sed 's/  */ /g' want.txt | cmp - got
    [[ $(cat said) == *"3x3 stem of stride 1, no max-pool; "*": --graph" ]]
    "$BIN/evaluate" -q -m "$G/plain.st" --normalize 0.5,0.5,0.5:0.25,0.25,0.25 --eps 1e-3 --predictions a -o a.tsv < "$G/all.b"
    "$BIN/evaluate" -m "$G/plain.st" --graph want.txt --predictions b -o b.tsv < "$G/all.b" 2> said
    [ ! -s said ] # nothing is assumed
    "$BIN/evaluate" -q -m "$G/plain.st" -o c.tsv < "$G/all.b"
    [ "$(metric loss a.tsv)" = "$(metric loss b.tsv)" ]
    [ "$(metric loss a.tsv)" != "$(metric loss c.tsv)" ]
    "$BIN/inspect" made-by a | grep -q '^evaluate .* eps=0.001 .*normalize=0.5,0.5,0.5:0.25,0.25,0.25'
    "$BIN/inspect" made-by b | grep -q "^evaluate .*graph-file=sha256:$(sha256sum < want.txt | cut -d ' ' -f 1)"
    "$BIN/fuse" -q -m "$G/plain.st" --normalize 0.5:0.25 --eps 1e-3 -o fused.a
    "$BIN/fuse" -q -m "$G/plain.st" --graph want.txt -o fused.b
    "$BIN/inspect" graph fused.a | cmp - <("$BIN/inspect" graph fused.b)
    "$BIN/inspect" made-by fused.a | grep -q '^fuse .* eps=0.001 .*normalize=0.5'
    "$BIN/train-fp32" -q --init "$G/plain.st" --normalize 0.5:0.25 --eps 1e-3 --epochs 0 -o trained
    "$BIN/inspect" graph trained | sed 's/  */ /g' | cmp - got
    "$BIN/inspect" made-by trained | grep -q '^train-fp32 .* eps=0.001 .*normalize=0.5'
}

@test "a fused state_dict goes through every stage with its graph" {
    "$BIN/inspect" graph "$G/fused.st" > fused.txt
    record_edit "$G/fused.st" plain 'meta.clear()'
    "$BIN/calibrate" -m plain --graph fused.txt -o ranges < "$G/all.b"
    "$BIN/quantize" -m plain --graph fused.txt -r ranges -o int8
    "$BIN/qat-finetune" -m plain --graph fused.txt -r ranges --epochs 0 -o qat
    "$BIN/quantize" -m "$G/fused.st" -r "$G/ranges.st" -o want
    for f in int8 qat; do
        "$BIN/evaluate" -m "$f" -o "$f.tsv" < "$G/all.b"
        "$BIN/evaluate" -m want -o want.tsv < "$G/all.b"
        [ "$(metric loss "$f.tsv")" = "$(metric loss want.tsv)" ]
        "$BIN/inspect" made-by "$f" | grep -q 'graph-file=sha256:'
    done
}

@test "options against a model's own graph, and against each other, are refused" {
    fails "fuse: $G/model.st: has a graph of its own: --normalize is for a state_dict, which has none" \
        "$BIN/fuse" -m "$G/model.st" --normalize 0.5:0.5 -o out
    fails "has a graph of its own: --eps is" "$BIN/evaluate" -m "$G/model.st" --eps 1e-3 -o out
    "$BIN/inspect" graph "$G/model.st" > net.txt
    fails "has a graph of its own: --graph is" "$BIN/train-fp32" --init "$G/model.st" --graph net.txt --epochs 0 -o out
    sed 's/^conv1 .*/conv1 = conv2d norm out=4 kernel=5 pad=2/' net.txt > other.txt
    fails "$G/plain.st: conv1.weight: got F32[4,3,3,3], want F32[4,3,5,5]" "$BIN/fuse" -m "$G/plain.st" --graph other.txt -o out
    echo 'x = input u8[32,32,3]' > bad.txt
    fails "fuse: $G/plain.st: bad.txt: " "$BIN/fuse" -m "$G/plain.st" --graph bad.txt -o out
    fails "fuse: none: cannot open: " "$BIN/fuse" -m "$G/plain.st" --graph none -o out
    for wrong in "--normalize 0.5" "--normalize 0.5:0" "--normalize 1,2:1,1" "--eps x" "--eps 2" "--graph net.txt --eps 1e-3"; do
        # shellcheck disable=SC2086
        run -2 "$BIN/fuse" -m "$G/plain.st" $wrong -o out
        [ ! -e out ]
    done
    run -2 "$BIN/train-fp32" --eps 1e-3 --epochs 0 -o out
}

@test "names as wrappers leave them; another network is said to be that" {
    for prefix in _orig_mod. module._orig_mod. model. net. backbone.module.; do
        record_edit "$G/plain.st" "in$prefix" "h = {'$prefix' + k: v for k, v in h.items()}
h['n_averaged'] = {'dtype': 'I64', 'shape': [], 'data_offsets': [len(data), len(data) + 8]}; data += bytes(8)"
        "$BIN/fuse" -q -m "in$prefix" -o fused
        "$BIN/evaluate" -q -m fused -o got.tsv < "$G/all.b"
        "$BIN/evaluate" -q -m "$G/fused.st" -o want.tsv < "$G/all.b"
        [ "$(metric loss got.tsv)" = "$(metric loss want.tsv)" ]
    done
    record_edit "$G/plain.st" r34 'for l, n in ((1, 3), (2, 4), (3, 6), (4, 3)):
    for b in range(2, n): h[f"layer{l}.{b}.conv1.weight"] = {"dtype": "F32", "shape": [0], "data_offsets": [len(data)] * 2}'
    fails "fuse: r34: looks like ResNet-34 in torchvision's names; without a graph, a ResNet-18 state_dict " "$BIN/fuse" -m r34 -o out
}

@test "an unknown operation lists those that are known" {
    "$BIN/inspect" graph "$G/plain.st" 2> /dev/null | sed 's/= avgpool/= softmax/' > net.txt
    fails "unknown operation 'softmax', known are input normalize conv2d batchnorm relu add avgpool linear clip maxpool concat flatten quantize dequantize" \
        "$BIN/train-fp32" --graph net.txt --epochs 0 -o out
}

net() { # FILE LINE..: a network of these lines after x and n
    { printf '%s\n' 'x = input u8[32,32,3]' 'n = normalize x mean=0,0,0 std=1,1,1' && printf '%s\n' "${@:2}"; } > "$1"
}

@test "what a later stage cannot do is said where the network comes in" {
    net top.txt 'c = conv2d n out=4 kernel=3 stride=4 bias' 'a = avgpool c' 'f = linear a out=10 bias' 'r = relu f'
    net norm.txt 'c = conv2d n out=4 kernel=3 stride=4' 'a = avgpool c' 'b = batchnorm a' 'f = linear b out=10 bias'
    said() { # NET LINE..
        run --separate-stderr "$BIN/train-fp32" --graph "$1.txt" --epochs 0 -o "$1.st"
        [ "$status" -eq 0 ]
        [ "$stderr" = "train-fp32: warning: a later stage cannot take this network: $2" ] || { echo "$stderr"; return 1; }
        run --separate-stderr "$BIN/inspect" stages "$1.st"
        [ "$status" -eq 1 ] && [ "$output" = "$2" ] && [ -z "$stderr" ]
        run --separate-stderr "$BIN/train-fp32" -q --graph "$1.txt" --epochs 0 -o "$1.st"
        [ "$status" -eq 0 ] && [ -z "$stderr" ]
    }
    said top "qat-finetune: f: a relu or clip behind the logits cannot be trained in integers"
    said norm "fuse: node 'b': batch norm of a vector cannot be folded, 'a' is no linear layer used here alone"
    run --separate-stderr "$BIN/inspect" stages "$G/model.st"
    [ "$status" -eq 0 ] && [ -z "$output$stderr" ]
    run --separate-stderr "$BIN/train-fp32" --width 4 --epochs 0 -o out
    [ "$status" -eq 0 ] && [ -z "$stderr" ]
    rm out
    # and the program itself says the same, in one line, before it trains
    "$BIN/fuse" -m top.st -o fused.st
    "$BIN/calibrate" -m fused.st -o ranges.st < "$G/all.b"
    fails "qat-finetune: $("$BIN/inspect" stages top.st | sed 's/^qat-finetune: //')" \
        bash -c "'$BIN/qat-finetune' -m fused.st -r ranges.st --epochs 1 -o out < '$G/all.b'"
    "$BIN/quantize" -m fused.st -r ranges.st -o int8.st # all but training takes it
    "$BIN/evaluate" -m int8.st -o table < "$G/all.b"
    "$BIN/bench" -m int8.st --seconds 0 -o table
}

@test "hidden layers, heads of convolutions, batch norms alone, groups and the rest go through every stage" {
    net mlp.txt 'c = conv2d n out=4 kernel=3 stride=4 bias' 'r = relu c' 'l = flatten r' 'h = linear l out=6 bias' 'hr = relu h' 'f = linear hr out=10 bias'
    net head.txt 'c = conv2d n out=4 kernel=3 stride=4 bias' 'r = relu c' 'd = conv2d r out=10 kernel=1 bias' 'a = avgpool d'
    net pre.txt 'c = conv2d n out=4 kernel=3 stride=4' 'b = batchnorm c' 'd = conv2d c out=4 kernel=3 pad=1' 'e = add b d' 'a = avgpool e' 'f = linear a out=10 bias'
    net dw.txt 'c = conv2d n out=4 kernel=3 stride=4' 'd = conv2d c out=4 kernel=3 groups=4' 'b = batchnorm d' 'v = clip b low=0 high=6' \
        'm = maxpool v kernel=2' 'w = avgpool v kernel=2' 'k = concat m w m' 'a = avgpool k' 'f = linear a out=10 bias'
    for n in mlp head pre dw; do
        run --separate-stderr "$BIN/train-fp32" --graph $n.txt --epochs 1 -b 50 -q -o $n.st < "$G/all.b"
        [ "$status" -eq 0 ] && [ -z "$stderr" ]
        "$BIN/inspect" stages $n.st
        "$BIN/fuse" -m $n.st -o fused.st
        "$BIN/calibrate" -m fused.st -o ranges.st < "$G/all.b"
        "$BIN/quantize" -m fused.st -r ranges.st -o int8.st
        "$BIN/qat-finetune" -m fused.st -r ranges.st --epochs 1 -b 50 -q -o qat.st < "$G/all.b"
        for m in $n.st fused.st int8.st qat.st; do
            "$BIN/inspect" check $m
            "$BIN/evaluate" -m $m -b 1 --predictions one -o table.$m < "$G/all.b"
            RESQ_ISA=ref "$BIN/evaluate" -m $m --predictions many -o table < "$G/all.b"
            [ "${m%.st}" = "$n" ] || [ "$m" = fused.st ] || cmp one many
        done
        "$BIN/bench" -m int8.st -m $n.st --seconds 0 -o table
        "$BIN/bench" --train -m $n.st --seconds 0 -o table
    done
}

@test "train-fp32 --init takes its own output of a network without batch norm" {
    printf '%s\n' 'x = input u8[32,32,3]' 'n = normalize x mean=0,0,0 std=1,1,1' 'c = conv2d n out=4 kernel=3 stride=2 bias relu' \
        'a = avgpool c' 'fc = linear a out=10 bias' > net.txt
    "$BIN/train-fp32" --graph net.txt --epochs 1 -b 50 -o first < "$G/all.b"
    "$BIN/train-fp32" --init first --epochs 1 -b 50 -o second < "$G/all.b"
    "$BIN/inspect" check second
    fails "is at stage fused, want float" "$BIN/train-fp32" --init "$G/fused.st" --epochs 0 -o out
}

# renamed OUT PYTHON: plain.st with its tensors' names k as PYTHON's expression gives them.
renamed() {
    record_edit "$G/plain.st" "$1" "import re
h = {$2: v for k, v in h.items()}"
}

hugging_face="re.sub(r'^layer(\d)\.(\d)\.(conv|bn)(\d)', lambda m: f'resnet.encoder.stages.{int(m[1]) - 1}.layers.{m[2]}.layer.{int(m[4]) - 1}.' +
    ('convolution' if m[3] == 'conv' else 'normalization'), re.sub(r'^layer(\d)\.(\d)\.downsample\.(\d)', lambda m:
    f'resnet.encoder.stages.{int(m[1]) - 1}.layers.{m[2]}.shortcut.' + ('normalization' if int(m[3]) else 'convolution'),
    k.replace('fc.', 'classifier.1.'))) if k.startswith(('layer', 'fc')) else 'resnet.embedder.embedder.' +
    k.replace('conv1', 'convolution').replace('bn1', 'normalization')"
weiaicunzai="re.sub(r'^layer(\d)\.(\d)\.(conv|bn)(\d)', lambda m: f'conv{int(m[1]) + 1}_x.{m[2]}.residual_function.' +
    str(3 * int(m[4]) - 3 + (m[3] == 'bn')), re.sub(r'^layer(\d)\.(\d)\.downsample', lambda m: f'conv{int(m[1]) + 1}_x.{m[2]}.shortcut',
    k)) if k.startswith(('layer', 'fc')) else k.replace('conv1', 'conv1.0').replace('bn1', 'conv1.1')"
kuangliu="k.replace('downsample', 'shortcut').replace('fc.', 'linear.')"

@test "other projects' names are torchvision's, and the warning says whose they were; a checkpoint's wrapper goes" {
    local whose
    "$BIN/fuse" -q -m "$G/plain.st" -o want
    for whose in "$hugging_face|Hugging Face transformers'" "$weiaicunzai|weiaicunzai's pytorch-cifar100" "$kuangliu|kuangliu's pytorch-cifar"; do
        renamed in "'state_dict.module.' + (${whose%|*})"
        run --separate-stderr "$BIN/fuse" -m in -o got
        [ "$status" -eq 0 ] && [ "${#stderr_lines[@]}" -eq 1 ] || { echo "$stderr"; return 1; }
        [[ $stderr == *"in has no graph: taken as ResNet-18 in ${whose##*|} names with a 3x3 stem"* ]]
        run "$BIN/inspect" compare want got
        [[ $output != *tensor* ]]
    done
}

@test "tensors beside the network are left out in one warning; inside of it they make another network" {
    local extra='t = {"dtype": "F32", "shape": [0], "data_offsets": [len(data)] * 2}
h.update({"aux.weight": t, "epoch": t, "optimizer.state.0.exp_avg": t, "teacher.fc.weight": t})'
    record_edit "$G/plain.st" in "$extra"
    run --separate-stderr "$BIN/fuse" -m in -o got
    [ "$status" -eq 0 ] && [ "${#stderr_lines[@]}" -eq 2 ]
    [[ $stderr == *"warning: in has 4 tensors beside the network, left out: "*"aux.weight, "*", .."* ]]
    run "$BIN/inspect" compare "$G/fused.st" got
    [[ $output != *tensor* ]]
    record_edit "$G/plain.st" in 'h["layer1.0.se.fc1.weight"] = {"dtype": "F32", "shape": [0], "data_offsets": [len(data)] * 2}'
    fails "layer1.0.se.fc1.weight: surplus tensor" "$BIN/fuse" -q -m in -o out
}
