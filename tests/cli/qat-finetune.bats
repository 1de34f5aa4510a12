#!/usr/bin/env bats
# qat-finetune: starts from what quantize makes, wins back what few bits lose, delivers int8.
# shellcheck disable=SC2154 # bats sets stderr

load helpers
load models

setup_file() {
    cd "$BATS_FILE_TMPDIR" || return 1
    mkdir images
    make_bin images/data_batch_1.bin 800 1
    make_bin images/test_batch.bin 400 2
    "$BIN/cifar-load" -d images --part train --shuffle --epochs 4 -o train
    "$BIN/cifar-load" -d images --part train --shuffle --epochs 1 -o once
    "$BIN/cifar-load" -d images --part train --shuffle -n 200 -o short
    "$BIN/cifar-load" -d images --part held-out -o held-out
    "$BIN/cifar-load" -d images --split test -o test
    "$BIN/train-fp32" --width 4 -b 32 --epochs 4 --validate held-out -o float < train
    "$BIN/fuse" -m float -o fused
    "$BIN/calibrate" -m fused -o ranges < once
}

setup() {
    mkdir "$BATS_TEST_TMPDIR/work" # bats keeps files of its own beside it
    cd "$BATS_TEST_TMPDIR/work" || return 1
    T=$BATS_FILE_TMPDIR
}

tune() { # options..
    "$BIN/qat-finetune" -m "$T/fused" -r "$T/ranges" -b 32 "$@"
}

refused() { # pattern, options..: status 1, one line, nothing written
    run --separate-stderr tune "${@:2}" -o out
    [ "$status" -eq 1 ]
    [ "${#stderr_lines[@]}" -eq 1 ]
    # shellcheck disable=SC2053 # a pattern
    [[ $stderr == "qat-finetune: "$1 ]] || { echo "$stderr"; return 1; }
    [ ! -e out ]
}

accuracy() { # model
    "$BIN/evaluate" -m "$1" < "$T/test" | awk -F '\t' '$1 == "accuracy" { print $4 }'
}

# Names, types, shapes and statistics of every tensor.
tensors() {
    "$BIN/inspect" show "$1" | grep -E ' (I8|I32|I64|F32|U8)\['
}

@test "--epochs 0 gives the tensors of quantize" {
    for options in "" "--per-tensor --weight-bits 4" "--weight-bits 2 --weight-observer max --ends same" "--activation-bits 5 --observer entropy" "--keep-float layer1.*" \
        "--observer percentile --percentile 99"; do
        # shellcheck disable=SC2086 # several words
        tune --epochs 0 $options -o tuned < /dev/null
        # shellcheck disable=SC2086
        "$BIN/quantize" -m "$T/fused" -r "$T/ranges" $options --match off -o quantized
        # Everything after the header is the tensors' data, laid out alike.
        for file in tuned quantized; do
            perl -e 'open my $f, "<:raw", $ARGV[0]; read $f, my $n, 8; seek $f, 8 + unpack("Q<", $n), 0; local $/; print <$f>' \
                $file > $file.data
            "$BIN/inspect" graph $file > $file.graph
        done
        [ -s tuned.data ]
        cmp tuned.data quantized.data
        cmp tuned.graph quantized.graph
    done
}

@test "3 bits per tensor lose 5 points or more, and training wins back at least half" {
    few="--per-tensor --weight-bits 3 --activation-bits 4 --ends same --weight-observer max" # whichever float kernels trained, this loses enough
    # shellcheck disable=SC2086 # several words
    "$BIN/quantize" -m "$T/fused" -r "$T/ranges" $few --match off -o quantized
    float=$(accuracy "$T/float")
    quantized=$(accuracy quantized)
    holds "$float - $quantized >= 5"
    for mode in fixed average learned; do
        # shellcheck disable=SC2086
        tune $few --epochs 1 --learning-rate 0.001 --range-mode $mode --validate "$T/held-out" --log log -o tuned < "$T/once"
        tuned=$(accuracy tuned)
        holds "$tuned - $quantized >= ($float - $quantized) / 2"
        "$BIN/inspect" check tuned
        cp tuned tuned-$mode
    done
    run ! cmp -s tuned-fixed tuned-average
    run ! cmp -s tuned-fixed tuned-learned
}

@test "what is delivered is all int8, with the lineage of all that went in" {
    tune --epochs 1 --validate "$T/held-out" --log log -o tuned < "$T/short"
    [ "$("$BIN/inspect" graph tuned | grep -cE 'conv2d .* u8\[')" -eq 20 ]
    [ "$("$BIN/inspect" graph tuned | grep -cE '= linear ')" -eq 1 ]
    [ "$("$BIN/inspect" graph tuned | grep -c ' f32\[')" -eq 2 ] # normalize, and the logits
    run "$BIN/inspect" made-by tuned
    [[ $output == "cifar-load "*"qat-finetune $VERSION "*" model=sha256:"*" range-mode=fixed ranges=sha256:"* ]]
    [[ $output == *"  train-fp32 $VERSION "*"  fuse $VERSION"*"  calibrate $VERSION"* ]]
    [[ $output != *"$T"* ]]
}

@test "the log begins with the model of quantize, and says what evaluate says" {
    tune -q --epochs 1 --validate "$T/held-out" --log log -o tuned --last last < "$T/short"
    grep -v '^#' log > rows
    [ "$(cut -f 1,2,3 rows | tr '\t\n' '  ')" = "epoch step learning_rate 0 0 - 1 7 $(sed -n 3p rows | cut -f 3) " ]
    "$BIN/quantize" -m "$T/fused" -r "$T/ranges" -o quantized
    for pair in quantized:2 last:3; do
        want=$("$BIN/evaluate" -m "${pair%:*}" < "$T/held-out" | awk -F '\t' '$1 == "accuracy" { print $4 }')
        got=$(sed -n "${pair#*:}p" rows | cut -f 6)
        holds "$want - $got < 0.001 && $got - $want < 0.001"
    done
}

@test "training that only takes away writes the model of epoch 0, with a warning, however often it is stopped" {
    "$BIN/quantize" -m "$T/fused" -r "$T/ranges" -o quantized
    for mode in fixed average learned; do
        high=(--epochs 1 --learning-rate 0.1 --schedule constant --no-nesterov --momentum 0 --range-mode "$mode" --validate "$T/held-out")
        run --separate-stderr tune "${high[@]}" --log log -o tuned --last last < "$T/once"
        echo "$stderr"
        [ "$status" -eq 0 ] && [ "${#stderr_lines[@]}" -eq 1 ]
        start=$(awk '$1 == "0" { print $6 }' log)
        holds "$(awk '$1 == "1" { print $6 }' log) < $start - 20"
        [[ $stderr == "qat-finetune: warning: no epoch is better on the held-out images than the start, ${start%?} %: the start is written, untrained"* ]]
        # Everything after the header is the tensors' data, laid out alike.
        for file in tuned quantized last; do
            perl -e 'open my $f, "<:raw", $ARGV[0]; read $f, my $n, 8; seek $f, 8 + unpack("Q<", $n), 0; local $/; print <$f>' \
                $file > $file.data
        done
        cmp tuned.data quantized.data
        run ! cmp -s last.data tuned.data
        rm -f checkpoint again
        # The stream breaks off after a checkpoint or two.
        head -c 1200000 "$T/once" > cut
        run ! tune -q "${high[@]}" --checkpoint checkpoint --checkpoint-every 5 -o again < cut
        [ -e checkpoint ] && [ ! -e again ]
        run --separate-stderr tune "${high[@]}" --checkpoint checkpoint --resume -o again --last again.last < "$T/once"
        [ "$status" -eq 0 ] && [[ $stderr == *"than the start, ${start%?} %"* ]]
        cmp again tuned
        cmp again.last last
    done
}

# Few bits begin low and gain at once; then the rate grows until nothing is left.
@test "an end far below the start is warned of, though a better epoch is written" {
    run --separate-stderr tune --per-tensor --weight-bits 3 --activation-bits 4 --ends same --weight-observer max --epochs 4 --learning-rate 0.05 \
        --schedule one-cycle --peak 1 --momentum 0 --no-nesterov --validate "$T/held-out" --log log -o tuned < "$T/train"
    cat log
    echo "$stderr"
    [ "$status" -eq 0 ]
    read -r start end best at < <(awk '/^[0-9]/ { if ($1 == 0) start = $6; end = $6; if ($6 > best) { best = $6; at = $1 } }
        END { print start, end, best, at }' log)
    if [ "$at" = 0 ]; then
        [[ $stderr == *"no epoch is better"* ]]
    elif holds "$end < $start - 20"; then
        [[ $stderr == "qat-finetune: warning: held-out accuracy ended at ${end%?} %, far below the start's ${start%?} %: epoch $at is written, with ${best%?} %"* ]]
    fi
}

@test "same bytes for 1, 2 and 3 threads, pipe and file" {
    for mode in average learned; do
        for j in 1 2 3; do
            "$BIN/cifar-load" -d "$T/images" --part train --shuffle -n 200 | tune -j $j --epochs 1 --range-mode $mode -o tuned-$j
        done
        tune --epochs 1 --range-mode $mode -o tuned < "$T/short"
        cmp tuned-1 tuned-2
        cmp tuned-1 tuned-3
        cmp tuned-1 tuned
    done
}

data_of() { # model: its tensors' data, behind the header
    perl -e 'open my $f, "<:raw", $ARGV[0]; read $f, my $n, 8; seek $f, 8 + unpack("Q<", $n), 0; local $/; print <$f>' "$1"
}

matched() { # bits, file
    "$BIN/quantize" -q -m "$T/fused" -r "$T/ranges" --weight-bits "$1" --activation-bits 4 -o "$2" < "$T/once"
}

few=(--activation-bits 4 --epochs 1 --learning-rate 0.001 --scale-rate 1)

@test "few bits: --init starts from codes, all scales are learned by default, and that gains" {
    matched 2 w2
    tune --weight-bits 2 --activation-bits 4 --epochs 0 --init w2 -o same < /dev/null
    cmp <(data_of same) <(data_of w2)
    tune --weight-bits 2 "${few[@]}" --init w2 -o learned < "$T/once"
    tune --weight-bits 2 "${few[@]}" --init w2 --range-mode learned --weight-scales learned -o again < "$T/once"
    cmp <(data_of learned) <(data_of again)
    tune --weight-bits 2 "${few[@]}" --weight-scales fixed --range-mode fixed -o fixed < "$T/once"
    echo "matched $(loss w2), learned $(loss learned), fixed $(loss fixed)"
    holds "$(loss learned) < $(loss w2)"
    for tensor in layer2.0.conv1.weight_scale layer2.0.conv1.scale; do
        run ! cmp -s <("$BIN/inspect" tensor $tensor w2 --values) <("$BIN/inspect" tensor $tensor learned --values)
    done
    "$BIN/inspect" check learned
    "$BIN/inspect" show learned | grep -q '^quantization: .* ends=8 weight-observer=mse weight-scales=learned$'
    "$BIN/inspect" show fixed | grep -q '^quantization: .* ends=8 weight-observer=mse$'
    "$BIN/inspect" made-by learned | grep -q ' init=sha256:.* range-mode=learned .* weight-scales=learned'
    [ "$(stat -c %s learned)" -lt $(($(stat -c %s w2) + 4000)) ] # packed as quantize packs them
}

@test "--rates layer: gains, the same bytes for any threads and however often stopped, said in the model" {
    layer=(--weight-bits 2 --activation-bits 4 --epochs 1 --init w2 --rates layer)
    matched 2 w2
    for j in 1 3; do
        tune "${layer[@]}" -j $j -o layer-$j < "$T/once"
    done
    cmp layer-1 layer-3
    tune "${layer[@]}" --learning-rate 0.0005 -o said < "$T/once"
    cmp said layer-1
    "$BIN/inspect" made-by said | grep -q '^qat-finetune .* learning-rate=0.0005 .* rates=layer .*scale-share=0.1'
    tune "${layer[@]}" --rates alike -o alike < "$T/once"
    run ! cmp -s <(data_of alike) <(data_of said)
    run "$BIN/inspect" made-by alike
    [[ $output == *" learning-rate=0.0002 "* && $output != *rates=* ]]
    echo "matched $(loss w2), alike $(loss alike), layer $(loss said)"
    holds "$(loss said) < $(loss w2)"
    head -c 1200000 "$T/once" > cut # breaks off after a checkpoint or two
    run ! tune -q "${layer[@]}" --checkpoint checkpoint --checkpoint-every 5 -o again < cut
    run --separate-stderr tune "${layer[@]}" --rates alike --learning-rate 0.0005 --checkpoint checkpoint --resume -o again < "$T/once"
    [ "$status" -eq 1 ] && [[ $stderr == *"another run's checkpoint: rates"* ]]
    fixed=("${layer[@]}" --weight-scales fixed --checkpoint fixed.checkpoint)
    run ! tune -q "${fixed[@]}" --checkpoint-every 5 -o again < cut # the rate of scales is that of activations alone
    run --separate-stderr tune "${fixed[@]}" --scale-rate 0.2 --resume -o again < "$T/once"
    [ "$status" -eq 1 ] && [[ $stderr == *"another run's checkpoint: scale-share is 0.1, want 0.2"* ]]
    tune "${layer[@]}" --checkpoint checkpoint --resume -o again < "$T/once"
    cmp again layer-1
}

@test "at 8 bits nothing of that is said or done" {
    tune --epochs 1 -o plain < "$T/short"
    tune --epochs 1 --weight-scales fixed --range-mode fixed -o fixed < "$T/short"
    cmp plain fixed
    run "$BIN/inspect" made-by plain
    [[ $output != *weight-scales* && $output != *rates=* && $output != *teacher* && $output != *freeze* && $output != *ewgs* ]]
}

@test "from more bits to fewer: the floats behind the codes are a network like others" {
    matched 4 w4
    tune --weight-bits 4 "${few[@]}" --init w4 --floats w4.float -o w4.qat < "$T/once"
    "$BIN/inspect" show w4.float | grep -qx 'stage: fused'
    holds "$(loss w4.float) - $(loss w4.qat) < 0.1 && $(loss w4.qat) - $(loss w4.float) < 0.1"
    run ! cmp -s w4.float "$T/fused"
    "$BIN/calibrate" -m w4.float -o w4.ranges < "$T/once"
    "$BIN/quantize" -q -m w4.float -r w4.ranges --weight-bits 3 --activation-bits 4 -o w3 < "$T/once"
    "$BIN/qat-finetune" -b 32 -m w4.float -r w4.ranges --weight-bits 3 --activation-bits 4 --epochs 1 --init w3 -o w3.qat < "$T/once"
    holds "$(loss w3.qat) < $(loss w3)" # at the rates that are the default
}

@test "a teacher, scaled gradients and frozen weights each change what is trained; the same bytes for any threads and however often stopped" {
    matched 3 w3
    all=(--teacher "$T/fused" --teacher-share 0.7 --temperature 2 --ewgs 0.05 --freeze 0.01)
    tune --weight-bits 3 "${few[@]}" --init w3 -o plain < "$T/once"
    tune --weight-bits 3 "${few[@]}" --init w3 --teacher "$T/fused" -o taught < "$T/once"
    tune --weight-bits 3 "${few[@]}" --init w3 --ewgs 0.05 -o scaled < "$T/once"
    tune --weight-bits 3 "${few[@]}" --init w3 --scale-rate 0.01 -o slower < "$T/once"
    for other in taught scaled slower; do
        run ! cmp -s <(data_of plain) <(data_of $other)
    done
    for j in 1 2; do
        tune --weight-bits 3 "${few[@]}" --init w3 "${all[@]}" -j $j --floats floats-$j -o all-$j < "$T/once"
    done
    cmp all-1 all-2
    cmp floats-1 floats-2
    head -c 1200000 "$T/once" > cut # breaks off after a checkpoint or two
    run ! tune -q --weight-bits 3 "${few[@]}" --init w3 "${all[@]}" --checkpoint checkpoint --checkpoint-every 5 -o again < cut
    "$BIN/inspect" show checkpoint | grep -q '^oscillation.frequency  *F32'
    run --separate-stderr tune --weight-bits 3 "${few[@]}" --init w3 "${all[@]}" --temperature 3 --checkpoint checkpoint --resume \
        -o again < "$T/once"
    [ "$status" -eq 1 ] && [[ $stderr == *"another run's checkpoint: temperature is 2, want 3" ]]
    tune --weight-bits 3 "${few[@]}" --init w3 "${all[@]}" --checkpoint checkpoint --resume --floats again.floats -o again < "$T/once"
    cmp again all-1
    cmp again.floats floats-1
    run "$BIN/inspect" made-by again
    [[ $output == *" ewgs=0.05 "*" freeze=0.01 "*" teacher=sha256:"*" teacher-share=0.7 temperature=2 "* ]]
    [[ $output == *"  quantize $VERSION "* ]]
}

@test "what does not fit is refused" {
    refused "$T/float: is at stage float, want fused: run fuse first" -m "$T/float" --epochs 0
    "$BIN/train-fp32" --epochs 0 --width 4 -s 9 -o in.float
    "$BIN/fuse" -m in.float -o in.fused
    refused "$T/ranges: *" -m in.fused --epochs 0
    refused "$T/fused: is a model record, want a ranges record" -r "$T/fused" --epochs 0
    refused "none: cannot open: *" -m none --epochs 0
    refused "stdin: split: is test*" --epochs 1 < "$T/test"
    refused "$T/test: split: is test*" --epochs 1 --validate "$T/test" < "$T/once"
    make_bin in.bin 100 9
    "$BIN/cifar-load" -d in.bin --part train -o in.other
    refused "$T/fused: dataset-digest: *" --epochs 1 < in.other
    refused "--keep-float: *" --epochs 1 --keep-float fc < "$T/once"
    matched 3 w3
    refused "w3: norm: codes 0..255, want those of 4 bits*" --epochs 1 --weight-bits 3 --activation-bits 4 --ends same --init w3 < "$T/once"
    refused "w3: layer1.0.conv1: weights of 3 bits, want 2 (--weight-bits, --ends)" --epochs 0 --weight-bits 2 --activation-bits 4 --init w3
    refused "$T/fused: is at stage fused, want int8: run quantize first" --epochs 0 --init "$T/fused"
    refused "none: cannot open: *" --epochs 1 --teacher none < "$T/once"
    refused "$T/ranges: is a ranges record, want a model record" --epochs 1 --teacher "$T/ranges" < "$T/once"
    "$BIN/train-fp32" --epochs 0 --width 4 --classes 7 -o in.seven
    refused "in.seven: classes: the teacher has 7, the network that learns 10" --epochs 1 --teacher in.seven < "$T/once"
    refused "*its weights' scales are found anew in each step*" --epochs 1 --weight-bits 3 --weight-observer max \
        --weight-scales fixed --freeze 0.01 < "$T/once"
    refused "*fp16*" --epochs 1 --precision fp16 --device cpu < "$T/once"
}

@test "a model trained on all may not be chosen by the held-out part" {
    "$BIN/cifar-load" -d "$T/images" --part all -o in.all
    "$BIN/train-fp32" --width 4 --epochs 1 -o in.float < in.all
    "$BIN/fuse" -m in.float -o in.fused
    "$BIN/calibrate" -m in.fused -o in.ranges < "$T/once"
    refused "$T/held-out: part: is held-out, which shares images with the teacher's part all" --teacher in.fused \
        --epochs 1 --validate "$T/held-out" < "$T/once"
    refused "$T/held-out: part: is held-out, which shares images with the model's part all" -m in.fused -r in.ranges \
        --epochs 1 --validate "$T/held-out" < "$T/once"
    record_edit "$T/float" in.float 'meta["trained-on"] = meta["trained-on"].replace("train/train", "test/all")'
    "$BIN/fuse" -m in.float -o in.fused
    "$BIN/calibrate" -m in.fused -o in.ranges < "$T/once"
    refused "in.fused: trained-on: is test/all, of the test split*" -m in.fused -r in.ranges --epochs 1 < "$T/once"
}

@test "misuse" {
    for options in "" "-m x" "-r x" "-m x -r y --range-mode moving" "-m x -r y --observer best" "-m x -r y --weight-bits 9" \
        "-m x -r y --activation-bits 1" "-m x -r y --resume" "-m x -r y --temperature 2" "-m x -r y --teacher-share 1" "-m x -r y --ewgs 2"; do
        # shellcheck disable=SC2086 # several words
        run --separate-stderr "$BIN/qat-finetune" $options < /dev/null
        [ "$status" -eq 2 ] || { echo "$options: $status $stderr"; return 1; }
        [ "${#stderr_lines[@]}" -eq 2 ]
    done
}

@test "the inputs are never written over" {
    cp "$T/fused" fused
    run --separate-stderr "$BIN/qat-finetune" -m fused -r "$T/ranges" --epochs 0 -o fused
    [ "$status" -eq 1 ]
    cmp fused "$T/fused"
}
