#!/usr/bin/env bats
# train-fp32: same bytes however it is run, refusals, signals, resuming.
# shellcheck disable=SC2154 # bats sets stderr

load helpers
load models
load trainings

@test "the model says what it is and where it came from" {
    "$BIN/inspect" check "$T/best"
    run "$BIN/inspect" made-by "$T/best"
    [[ $output == *"cifar-load $VERSION "*"train-fp32 $VERSION batch=32 "*" epochs=3 "*" graph=sha256:"* ]]
    [[ $output == *" validate=sha256:"*" width=2"* ]]
    [[ $output != *"$T"* && $output != *threads* ]]
    run "$BIN/inspect" show "$T/best"
    [[ $output == *"trained-on"*" train/train"* ]]
}

@test "--validate-every counts back from the last epoch, and only those are candidates" {
    small -v --validate "$T/held-out" --validate-every 2 --log log -o best < "$T/train" 2> talk
    [ "$(grep -v '^#' log | cut -f 1,6 | awk '$2 == "-" {print $1}' | xargs)" = 2 ]
    diff <(grep -v '^#' log | cut -f 1-5) <(grep -v '^#' "$T/log" | cut -f 1-5)
    diff <(grep -E '^(1|3)\b' log | cut -f 6) <(grep -E '^(1|3)\b' "$T/log" | cut -f 6)
    grep -q '^train-fp32: epoch 2/3: [^%]*% training, [0-9.]* images/s$' talk
    small --validate "$T/held-out" --validate-every 3 --last last -o last-only < "$T/train"
    diff <(weights last) <(weights last-only)
}

@test "the log has its columns and a row an epoch" {
    grep -q '^# dataset: images$' "$T/log"
    grep -q '^# dataset-digest: sha256:' "$T/log"
    [ "$(grep -v '^#' "$T/log" | head -n 1 | tr '\t' ' ')" = "epoch step learning_rate loss accuracy_train accuracy_held_out \
images_per_s seconds" ]
    [ "$(grep -v '^#' "$T/log" | tail -n +2 | cut -f 1,2 | tr '\t\n' '  ')" = "1 6 2 12 3 18 " ]
}

@test "same bytes for 1, 2 and 3 threads, pipe and file, any batches" {
    for j in 1 2 3; do
        "$BIN/cifar-load" -d "$T/images.bin" --part train --shuffle --epochs 3 |
            small -j $j --validate "$T/held-out" --log log -o best --last last
        cmp best "$T/best"
        cmp last "$T/last"
        [ "$(untimed log)" = "$(untimed "$T/log")" ]
    done
    "$BIN/cifar-load" -d "$T/images.bin" --part train --shuffle --epochs 3 -b 37 -o in
    small -q --validate "$T/held-out" -o best < in
    [ "$(weights best)" = "$(weights "$T/best")" ] # the lineage names the other batch size
    small --validate "$T/held-out" < "$T/train" > best
    cmp best "$T/best"
}

@test "through a slow pipe, a byte at a time" {
    perl -e 'open my $f, "<:raw", $ARGV[0]; $| = 1; while (read $f, my $b, 60001) { syswrite STDOUT, substr($b, 0, 1); syswrite STDOUT, substr($b, 1) }' \
        "$T/train" | small --validate "$T/held-out" -o best
    cmp best "$T/best"
}

@test "options change the result" {
    for option in "-s 2" "--ema 0.9" "--label-smoothing 0.1" "--no-nesterov" "--momentum 0.8" "--weight-decay 0.01" \
        "--no-decay-all" "--bias-rate 2" "--schedule cosine" "--schedule step" "--schedule constant" "--peak 0.5" \
        "--schedule cosine --warm-up 1" "--normalize 0.5,0.5,0.5:0.2,0.2,0.2"; do
        # shellcheck disable=SC2086 # several words
        small $option -o "model-${option// /}" < "$T/short"
    done
    [ "$(for f in model-*; do weights "$f" | sha256sum; done | sort -u | wc -l)" -eq 14 ]
}

@test "--epochs 0 reads nothing and gives the initialised model" {
    "$BIN/train-fp32" --epochs 0 --width 3 -o model --last last --log log < /dev/null
    "$BIN/inspect" check model
    cmp model last
    [ "$(wc -l < log)" -eq 2 ]
    run "$BIN/inspect" show model
    [[ $output == *airplane* ]]
    "$BIN/train-fp32" --epochs 0 --width 3 --classes 4 -o four
    [[ $("$BIN/inspect" graph four) == *"f32[4]"* ]]
    "$BIN/inspect" graph four > in.graph
    "$BIN/train-fp32" --epochs 0 --graph in.graph -o again
    [ "$("$BIN/inspect" graph again)" = "$(cat in.graph)" ]
}

@test "a network from a file is trained" {
    cat > in.graph <<'EOF'
x    = input u8[32,32,3]
norm = normalize x mean=0.5,0.5,0.5 std=0.25,0.25,0.25
conv = conv2d norm out=4 kernel=3 stride=2 pad=1
bn   = batchnorm conv
relu = relu bn
pool = avgpool relu
fc   = linear pool out=10 bias
EOF
    small --graph in.graph -o in.model < "$T/train"
    "$BIN/inspect" check in.model
    refused "in.graph: has 10 classes, want 7 (--classes)" --graph in.graph --classes 7 < "$T/train"
    echo 'y = relu z' >> in.graph
    refused "in.graph: *z*" --graph in.graph < "$T/train"
}

@test "data that may not be trained on or chosen with is refused" {
    refused "stdin: split: is test*" < "$T/test"
    refused "$T/test: split: is test*" --validate "$T/test" < "$T/train"
    "$BIN/cifar-load" -d "$T/images.bin" --part all --epochs 3 -o in.all
    refused "$T/held-out: part: is held-out, which shares images*" --validate "$T/held-out" < in.all
    make_bin in.bin 100 9
    "$BIN/cifar-load" -d in.bin --part held-out -o in.other
    refused "in.other: dataset-digest: *" --validate in.other < "$T/train"
}

@test "broken streams" {
    refused "stdin: empty input" < /dev/null
    "$BIN/cifar-load" -d "$T/images.bin" --part train --epochs 2 -o in.short
    refused "stdin: the stream ends after 2 epochs, want 3 (--epochs)" < in.short
    head -c 500000 "$T/train" > in.cut
    refused "stdin: truncated *" < in.cut
    "$BIN/cifar-load" -d "$T/images.bin" --part train --epochs 3 --from 1 -o in.late
    refused "stdin: the stream begins at epoch 1, want 0" < in.late
    echo x | cat "$T/train" - > in.surplus
    refused "stdin: surplus bytes after the end record*" < in.surplus
}

@test "more epochs than wanted are read past, with a warning" {
    "$BIN/cifar-load" -d "$T/images.bin" --part train --shuffle --epochs 5 -o in.long
    run --separate-stderr small --validate "$T/held-out" -o best < in.long
    [ "$status" -eq 0 ]
    [[ $stderr == "train-fp32: warning: the stream goes on after epoch 3"*"360 images were not used" ]]
    [ "$(weights best)" = "$(weights "$T/best")" ]
}

@test "outputs are checked before anything is read" {
    refused "$PWD/none/out: *" --last "$PWD/none/out" < "$T/train"
    refused "*$PWD*" --log "$PWD" < "$T/train"
    cp "$T/held-out" in
    run --separate-stderr small --validate in -o in < "$T/train"
    [ "$status" -eq 1 ]
    cmp in "$T/held-out"
    cp "$T/best" in
    for option in -o --last --log --checkpoint; do
        run --separate-stderr small --init in -o in.out "$option" in < "$T/train"
        [ "$status" -eq 1 ]
        [ "${#stderr_lines[@]}" -eq 1 ]
        cmp in "$T/best"
        [ ! -e in.out ]
    done
    refused "out: would be two outputs at once" --last out < "$T/train"
}

@test "a disk that is full" {
    run --separate-stderr bash -c "'$BIN/train-fp32' --epochs 0 --width 2 > /dev/full"
    [ "$status" -eq 1 ]
    [ "$stderr" = "train-fp32: stdout: write error: No space left on device" ]
}

@test "misuse" {
    for options in "--resume" "--checkpoint-every 5" "--momentum 0" "--normalize 1,2,3" "--peak 2" "--epochs -1" \
        "--learning-rate nan" "--precision fp8" "--schedule step --milestones 60,50" "--graph x --width 3" "-b 0" "--init x --width 3" "--init x --graph y --normalize 0,0,0:1,1,1" "--init x --normalize 0,0:1,1" "--graph y --eps 1" "--eps 1" "--grow 16" "--grow 16:0" "--grow 16:100" "--grow 16:50,24:50" "--grow 7:1" "--grow 16:1," "--grow 16:1,24" \
        "--grow 16:1 --teacher x" "--grow 9:1,9:1,9:1,9:1,9:1,9:1,9:1,9:1,9:1"; do
        # shellcheck disable=SC2086 # several words
        run --separate-stderr "$BIN/train-fp32" $options < /dev/null
        [ "$status" -eq 2 ] || { echo "$options: $status $stderr"; return 1; }
        [ "${#stderr_lines[@]}" -eq 2 ]
    done
    "$BIN/train-fp32" --epochs 0 --width 2 --momentum 0 --no-nesterov > /dev/null
}

# Of a run whose second epoch changes no weight, the first is what stands alone on a stream of small pictures: sums of batch norm
# apart, which the second has gone on with.
@test "--grow: the first epochs see the pictures as cifar-load --size makes them" {
    "$BIN/cifar-load" -d "$T/images.bin" --part train --shuffle --epochs 1 --size 16x12 --fit stretch --filter box -o in.small
    small --normalize 0.5:0.5 --epochs 1 --schedule constant -o alone < in.small
    small --normalize 0.5:0.5 --epochs 2 --schedule step --milestones 50 --factor 0 --grow 16x12:50 -o grown < "$T/train" 2> said
    [[ $(< said) == *"the stream goes on"* ]]
    run -1 "$BIN/inspect" compare alone grown
    ! grep -v -e '^what' -e '^metadata' -e running_ -e num_batches <<< "$output" || return 1
    grep -q "running_mean" <<< "$output"
    [ "$("$BIN/inspect" tensor bn1.num_batches_tracked --values grown | tail -n 1 | awk '{ print $NF }')" -eq 12 ] # of both epochs
    "$BIN/inspect" graph grown | grep -q 'u8\[32,32,3\]'
}

@test "--grow: same bytes for 1, 2 and 3 threads; small epochs are no candidates; on a device too" {
    for threads in 1 2 3; do
        small --grow 8:34,16:33 --ema 0.9 -j $threads --validate "$T/held-out" --log log -o grown$threads < "$T/train"
    done
    cmp grown1 grown2
    cmp grown1 grown3
    [ "$(grep '^[0-9]' log | cut -f 6 | head -n 2 | tr '\n' ' ')" = "- - " ]
    [[ $(grep '^3' log | cut -f 6) =~ ^[0-9.]+$ ]]
    "$BIN/inspect" made-by grown1 | grep -q 'grow=8:34,16:33'
    RESQ_CUDA=$(find "$BIN/.." "$TREE/build" -maxdepth 2 -name resq-host.so 2> /dev/null | head -n 1) || return 1
    export RESQ_CUDA
    small --grow 8:34,16:33 --ema 0.9 --device cuda --log device.log -o device < "$T/train"
    paste <(grep '^[0-9]' log | cut -f 4) <(grep '^[0-9]' device.log | cut -f 4) |
        awk '{ if (($1 - $2) ^ 2 > 1e-4) exit 1 }'
}

@test "--grow: what cannot be done is refused before it trains" {
    refused "32x32 is not smaller than the pictures, 32x32" --grow 16:10,32:10 < "$T/train"
    refused "40x20 is not smaller than the pictures, 32x32" --grow 40x20:10 < "$T/train"
    refused "on pictures of 8x8: 180 images an epoch by 179 (--batch): *on its 1x1 map" --grow 8:1 -b 179 < "$T/train"
    run --separate-stderr "$BIN/train-fp32" --network lenet5 --epochs 3 --grow 16:1 -o out < "$T/train"
    [ "$status" -eq 1 ]
    [ "$stderr" = "train-fp32: on pictures of 16x16: fc1.weight: got F32[120,400], want F32[120,16]" ]
    [ ! -e out ]
}

@test "what this build cannot do is said" {
    refused "precision fp16 needs a GPU: a CPU trains in fp32 or bf16" --precision fp16 --device cpu < "$T/train"
    RESQ_CUDA=/nonexistent refused "device cuda: cannot load it: *" --device cuda < "$T/train"
}

@test "a loss that is not finite stops the run, and the checkpoint stays as it was" {
    run --separate-stderr small --learning-rate 1e6 --weight-decay 1 --schedule constant -o out < "$T/train"
    [ "$status" -eq 1 ]
    [[ $stderr =~ ^"train-fp32: epoch 1, step "[0-9]+", learning rate 1e+06: ".*(nan|inf)$ ]]
    [ ! -e out ]
    small --checkpoint in.checkpoint -o in.out < "$T/train"
    cp in.checkpoint in.before
    refused "*learning rate 1e+06*" --learning-rate 1e6 --weight-decay 1 --schedule constant --checkpoint in.checkpoint < "$T/train"
    cmp in.checkpoint in.before
}

@test "--clip-norm: other weights where it clips, the same where it does not; any threads, stopped and gone on with; said in model and log" {
    small --clip-norm 0.5 -j 1 --log clipped.log -o clipped < "$T/train"
    "$BIN/inspect" made-by clipped | grep -q '^train-fp32 .* clip-norm=0.5'
    grep -qx '# clip-norm: 0.5' clipped.log
    small -o plain < "$T/train"
    run ! same_tensors clipped plain
    small --clip-norm 1e6 -o loose < "$T/train"
    same_tensors loose plain
    # Off is as though it had never been: the same file.
    small --clip-norm 0 --log plain.log -o off < "$T/train"
    cmp off plain
    run ! grep clip "plain.log"
    small --clip-norm 0.5 -j 3 -o again < "$T/train"
    cmp clipped again
    # Killed within an epoch: the checkpoint goes on to the same bytes, and only with the same norm.
    run small --clip-norm 0.5 --checkpoint c --checkpoint-every 2 -o gone < <(head -c 400000 "$T/train")
    [ "$status" -ne 0 ]
    [ -s c ]
    run --separate-stderr small --clip-norm 0.25 --checkpoint c --resume -o gone < "$T/train"
    [ "$status" -eq 1 ]
    [[ $stderr == *"another run's checkpoint: clip-norm is 0.5, want 0.25"* ]]
    run --separate-stderr small --checkpoint c --resume -o gone < "$T/train"
    [[ $stderr == *"another run's checkpoint: clip-norm is 0.5, want absent"* ]]
    small --clip-norm 0.5 --checkpoint c --resume -o gone < "$T/train"
    cmp clipped gone
}

@test "a checkpoint of another run is refused, with what differs" {
    small --checkpoint in.checkpoint -o in.out < "$T/train"
    refused "in.checkpoint: another run's checkpoint: *learning-rate is 0.2, want 0.3; *seed is 1, want 2" \
        --learning-rate 0.3 -s 2 --resume --checkpoint in.checkpoint < "$T/train"
    make_bin in.bin 200 5
    "$BIN/cifar-load" -d in.bin --part train --shuffle -s 4 --epochs 3 -o in.other
    refused "in.checkpoint: another run's checkpoint: cifar-load.data is *cifar-load.seed is 1, want 4; dataset-digest is *" \
        --resume --checkpoint in.checkpoint < in.other
    refused "$T/best: is a model record, want a checkpoint record" --resume --checkpoint "$T/best" < "$T/train"
}

# The last mini-batch of an epoch, 20 images of 180, and the second block of each, 8 of 32, are not full.
@test "bf16: same bytes for 1, 2 and 3 threads, pipe and file" {
    small --width 8 --precision bf16 -b 40 -j 1 --validate "$T/held-out" --log log -o best --last last < "$T/train"
    for j in 2 3; do
        "$BIN/cifar-load" -d "$T/images.bin" --part train --shuffle --epochs 3 |
            small --width 8 --precision bf16 -b 40 -j $j --validate "$T/held-out" --log again.log -o again --last again.last
        cmp again best
        cmp again.last last
        [ "$(untimed again.log)" = "$(untimed log)" ]
    done
    grep -q '^# precision: \(bf16\|fp32\)$' log
}

@test "bf16 where there are no kernels for it trains in fp32, and says so" {
    export RESQ_ISA=blas
    run -0 --separate-stderr small --precision bf16 -v --log log -o best < "$T/train"
    [ "$(grep -c 'precision bf16: ' <<< "$stderr")" -eq 1 ]
    [[ $stderr == *"train-fp32: precision bf16: no kernels of that kind for this network on this machine: trains in fp32"* ]]
    grep -q '^# precision: fp32$' log
    run -0 --separate-stderr small --precision bf16 -o again < "$T/train"
    [ -z "$stderr" ]
    small --precision fp32 -o same < "$T/train"
    [ "$(weights again)" = "$(weights same)" ]
    run -0 --separate-stderr small --precision fp32 -v -o other < "$T/train"
    [[ $stderr != *"no kernels"* ]]
}

@test "-v says what runs where; otherwise nothing is said" {
    run --separate-stderr small -v -o out < "$T/train"
    [[ ${stderr_lines[0]} == "train-fp32: training on a mini-batch of "*" images takes "*" MB" ]]
    [[ ${stderr_lines[1]} == "train-fp32: device cpu, isa "*", threads "*", precision fp32 "*" parameters" ]]
    run --separate-stderr small -o out < "$T/train"
    [ -z "$stderr$output" ]
}

@test "--half: what is validated is what the file holds, and every program reads it" {
    small --half --validate "$T/held-out" --log log -o half < "$T/train"
    [ "$(stat -c %s half)" -lt $(($(stat -c %s "$T/best") * 7 / 10)) ]
    "$BIN/inspect" check half
    run -0 "$BIN/inspect" show half
    [[ $output == *conv1.weight*F16* && $output == *bn1.running_var*F32* ]]
    # Rounded once: rounding it again, or a model that was trained without, gives the same tensors.
    small --half --init half --epochs 0 -o again < /dev/null
    same_tensors half again
    small --half --init "$T/best" --epochs 0 -o later < /dev/null
    small --init half --epochs 0 -o wide < /dev/null
    run -1 "$BIN/inspect" compare half wide # F32 of the same values
    [ "$(awk -F '\t' '$1 == "tensor" { print $5, $6 }' <<< "$output" | sort -u)" = "0 0" ]
    run -0 "$BIN/inspect" show wide
    [[ $output != *F16* ]]
    "$BIN/inspect" made-by half | grep -q '^train-fp32 .* half=1 '
    run ! grep -q half= <("$BIN/inspect" made-by "$T/best")
    # The log's accuracy is the file's.
    "$BIN/evaluate" -m half -o metrics < "$T/held-out"
    best=$(grep -v '^#' log | awk -F '\t' 'NR > 1 && $6 != "-" && $6 > best { best = $6 } END { print best }')
    awk -F '\t' -v best="$best" '$1 == "accuracy" && $2 == "-" && ($4 - best) ^ 2 < 1e-5 { found = 1 } END { exit !found }' metrics
    "$BIN/evaluate" -m wide -o wide.metrics < "$T/held-out"
    diff <(grep -v '^#' metrics) <(grep -v '^#' wide.metrics)
    "$BIN/fuse" -m half -o fused
    "$BIN/fuse" -m wide -o wide.fused
    same_tensors fused wide.fused
    # Stopped and gone on with; not from the checkpoint of a training without.
    small --half --validate "$T/held-out" --checkpoint c --checkpoint-every 3 -o whole < "$T/train"
    cmp half whole
    run -1 --separate-stderr small --validate "$T/held-out" --checkpoint c --resume -o other < "$T/train"
    [[ $stderr == *"another run's checkpoint: half is 1, want absent"* ]]
}

@test "the progress line names the program as it is called" {
    ln -s "$BIN/train-fp32" resq-train-fp32
    # A terminal, that is a pty; slow enough for a line.
    python3 - > shown <<PY
import os, pty
pty.spawn(["bash", "-c", "{ head -c 300000 '$T/train'; sleep 0.4; tail -c +300001 '$T/train'; } | ./resq-train-fp32 --epochs 3 --width 2 -b 32 -o out"])
PY
    grep -qa 'resq-train-fp32 [0-9]*/[0-9]* ' shown
    run ! grep -aE $'(^|\r|K)train-fp32 ' shown
    # It ends where the terminal does.
    python3 - > narrow <<PY
import os, pty
pty.spawn(["bash", "-c", "stty cols 30; { head -c 300000 '$T/train'; sleep 0.4; tail -c +300001 '$T/train'; } | ./resq-train-fp32 --epochs 3 --width 2 -b 32 -o out"])
PY
    tr '\r' '\n' < narrow | sed 's/\x1b\[K//' | grep -qa '^resq-train-fp32 [0-9]*/[0-9]* '
    [ "$(tr '\r' '\n' < narrow | sed 's/\x1b\[K//' | awk 'length > 29' | wc -l)" -eq 0 ]
}

@test "mean and deviation that a stage puts into the batches count, whatever the data set is called" {
    "$BIN/cifar-load" -d "$T/images.bin" -n 64 -o plain
    for name in pictures CIFAR-100 CIFAR-10 "CIFAR-10 (JPEG q75)"; do
        record_edit plain in "meta['dataset'] = '$name'; meta['mean'] = '[0.5, 0.25, 0.5]'; meta['std'] = '[0.25,0.125,0.25]'"
        small --epochs 1 -o model < in
        "$BIN/inspect" graph model | grep -q 'normalize .* mean=0.5,0.25,0.5 std=0.25,0.125,0.25 ' || { echo "$name"; return 1; }
        record_edit plain in "meta['dataset'] = '$name'"
        small --epochs 1 -o model < in
        "$BIN/inspect" graph model | grep -q 'normalize .* mean=0.4914,0.4822,0.4465 ' || { echo "$name"; return 1; }
    done
    rm model plain
    record_edit in in.half "meta['mean'] = '[0.5,0.5,0.5]'"
    refused "*mean: given without std" < in.half
    for bad in '[0.5,0.5]' '{"a":1}' '[0.5,0.5,0]' '[1,1,-1]' '[1,1,1e400]'; do
        record_edit in in.bad "meta['mean'] = '[0,0,0]'; meta['std'] = '$bad'"
        refused "*std: '?*?' is not a list of three numbers above 0" < in.bad
    done
    "$BIN/cifar-load" -d "$T/images.bin" -b 32 -n 64 -o in.two
    record_edit in.two in.changes "meta['mean'] = '[0,0,0]'; meta['std'] = '[1,1,1]'"
    refused "*mean: changes within the stream from ?0,0,0? to (none)" < in.changes
}

@test "a mini-batch that gives a batch norm one value a channel is refused before it trains, also an epoch's last" {
    printf '%s\n' 'x = input u8[32,32,3]' 'n = normalize x mean=0.5,0.5,0.5 std=0.25,0.25,0.25' 'c1 = conv2d n out=4 kernel=8 stride=8' \
        'b1 = batchnorm c1' 'c2 = conv2d b1 out=4 kernel=4' 'b2 = batchnorm c2' 'p = avgpool b2' 'fc = linear p out=10 bias' > in.txt
    refused "64 images an epoch by 1 (--batch): b2: batch norm wants more than 1 value a channel: *" --graph in.txt -b 1 < "$T/short"
    refused "64 images an epoch by 21 (--batch): b2: batch norm wants more than 1 value a channel: *" --graph in.txt -b 21 < "$T/short"
    refused "64 images an epoch by 63 (--batch): b2: batch norm *" --graph in.txt -b 63 --log out.log --checkpoint out.c < "$T/short"
    small --graph in.txt -b 31 -o in.out < "$T/short"
    small -b 1 --epochs 3 -o in.out < "$T/short" # ResNet's maps are 4x4 at the end
}
