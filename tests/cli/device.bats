#!/usr/bin/env bats
# --device: where there is no GPU, and through a device in ordinary memory (resq-host.so), which RESQ_CUDA names.
# shellcheck disable=SC2154 # bats sets stderr

load helpers

setup_file() {
    cd "$BATS_FILE_TMPDIR" || return 1
    make_bin images.bin 120 1
    "$BIN/cifar-load" -d images.bin --part train --epochs 2 -o train
    "$BIN/cifar-load" -d images.bin --part train --epochs 1 -o once
    "$BIN/cifar-load" -d images.bin --part held-out -o held-out
    "$BIN/cifar-load" -d images.bin --split test -n 50 -o test
    small --device cpu -o float < train
    "$BIN/fuse" -m float -o fused
    "$BIN/calibrate" --device cpu -m fused -o ranges < once
    "$BIN/quantize" -m fused -r ranges -o int8
}

setup() {
    mkdir "$BATS_TEST_TMPDIR/work" # bats keeps files of its own beside it
    cd "$BATS_TEST_TMPDIR/work" || return 1
    T=$BATS_FILE_TMPDIR
    HOST=$(find "$BIN/.." "$TREE/build" -maxdepth 2 -name resq-host.so 2> /dev/null | head -n 1)
}

small() { # options..
    "$BIN/train-fp32" --epochs 2 --width 2 -b 32 --learning-rate 0.1 "$@"
}

# status 1, one line, nothing written
refused() { # pattern, program, options..
    run --separate-stderr "${@:2}"
    [ "$status" -eq 1 ]
    [ "${#stderr_lines[@]}" -eq 1 ]
    # shellcheck disable=SC2053 # a pattern
    [[ $stderr == $1 ]] || { echo "$stderr"; return 1; }
    [ -z "$(find . -mindepth 1)" ]
}

@test "no GPU: asked for, it is one line; auto goes on without, and says so" {
    export RESQ_CUDA=/nonexistent/resq-cuda.so
    local why="device cuda: cannot load it: /nonexistent/resq-cuda.so: cannot open shared object file: *"
    refused "train-fp32: $why" small --device cuda -o out < "$T/train"
    refused "qat-finetune: $why" "$BIN/qat-finetune" -m "$T/fused" -r "$T/ranges" --epochs 1 --device cuda -o out < "$T/once"
    refused "calibrate: $why" "$BIN/calibrate" -m "$T/fused" --device cuda -o out < "$T/once"
    refused "evaluate: $why" "$BIN/evaluate" -m "$T/int8" --device cuda -o out < "$T/test"
    refused "bench: $why" "$BIN/bench" -m "$T/int8" --device cuda -o out
    run -0 --separate-stderr "$BIN/evaluate" -m "$T/int8" --device auto -o auto < "$T/test"
    [[ $stderr == "evaluate: device cpu: cuda: cannot load it: /nonexistent/resq-cuda.so: "* ]]
    [ "${#stderr_lines[@]}" -eq 1 ]
    run -0 --separate-stderr "$BIN/evaluate" -q -m "$T/int8" --device auto -o quiet < "$T/test"
    [ -z "$stderr" ]
    unset RESQ_CUDA
    run -0 --separate-stderr "$BIN/evaluate" -m "$T/int8" --device cpu -o cpu < "$T/test"
    [ -z "$stderr" ]
    cmp auto cpu
}

@test "a driver's own reason; too little memory" {
    export RESQ_CUDA=$HOST
    RESQ_HOST=no_open=1 refused "train-fp32: device cuda: no device: the driver says so" small --device cuda -o out < "$T/train"
    RESQ_HOST=memory=100000 refused "train-fp32: out of memory: *" small --device cuda -o out < "$T/train"
    RESQ_HOST=fail_call=300 refused "train-fp32: *: the device failed, as it was told to" small --device cuda -o out < "$T/train"
    RESQ_HOST=memory=100000 run -1 "$BIN/evaluate" -m "$T/int8" --device cuda -o out < "$T/test"
    [ ! -e out ]
}

@test "no program links a GPU's libraries" {
    for tool in "$BIN"/*; do
        [[ $tool == *.so* ]] && continue
        run -0 ldd "$tool"
        [[ $output != *libcu[dbf]* && $output != *libnv* ]]
    done
}

@test "a device trains and infers as the CPU does: integers the same, the rest near" {
    export RESQ_CUDA=$HOST
    run -0 --separate-stderr small --device auto -v --log log -o model < "$T/train"
    [[ ${stderr_lines[0]} == "train-fp32: device cuda: host memory, plain C" ]]
    [[ ${stderr_lines[1]} == "train-fp32: device cuda, host memory, precision fp32, "*" parameters, "*" MB" ]]
    [[ ${stderr_lines[2]} == "train-fp32: conv1: forward direct, data -, weight direct" ]]
    for device in cpu cuda; do
        "$BIN/evaluate" -q -m "$T/int8" --device "$device" --predictions "int8.$device" < "$T/test" > /dev/null
        "$BIN/evaluate" -q -m "$T/float" --device "$device" --predictions "float.$device" < "$T/test" > /dev/null
        "$BIN/calibrate" -q -m "$T/fused" --device "$device" -o "ranges.$device" < "$T/once"
    done
    cmp int8.cpu int8.cuda
    run -0 "$BIN/evaluate" --pair float.cpu float.cuda
    [[ $output == *$'agreement\t-\t100'* ]]
    "$BIN/quantize" -m "$T/fused" -r ranges.cuda -o int8
    "$BIN/qat-finetune" -q -m "$T/fused" -r ranges.cuda -b 32 --epochs 1 --range-mode learned --device cuda -o qat < "$T/once"
    "$BIN/inspect" check qat
}

@test "begun on one device, ended on the other: the log says so" {
    export RESQ_CUDA=$HOST
    run -1 small --device cuda --precision fp16 --checkpoint point --log log -o model < "$T/once"
    [ -e point ]
    run -0 --separate-stderr small --device cpu --checkpoint point --resume --log log -o model < "$T/train"
    [[ $stderr == *"resumes on cpu in fp32; up to step "*" it ran on cuda in fp16"* ]]
    grep -q '^# resumed: after step [0-9]* on cpu in fp32; before that on cuda in fp16$' log
    [ "$(grep -vc '^#' log)" -eq 3 ]
}

@test "overflows of fp16 are skipped and counted" {
    export RESQ_CUDA=$HOST RESQ_HOST=overflows=2
    small -q --device cuda --precision fp16 --log log -o model < "$T/train"
    grep -q '^# skipped: epoch 1: 2 steps, loss scale 16384$' log
}

@test "bench on a device: its name, precisions, and training steps" {
    export RESQ_CUDA=$HOST
    "$BIN/bench" -m "$T/float" -m "$T/int8" --device cuda --precision fp32 --precision fp16 -b 2 --seconds 0 --layers -o infer.tsv
    grep -q '^# gpu: host memory, plain C$' infer.tsv
    [ "$(grep -P '^infer\t' infer.tsv | cut -f 2-5 | xargs -d '\n' printf '%s;')" = \
        $'float\thost memory\tcuda\tf32;float\thost memory\tcuda\tf16;int8\thost memory\tcuda\tint8;' ]
    "$BIN/bench" --train --width 2 --device cuda --precision fp16 -b 4 --seconds 0 --layers -o train.tsv
    [ "$(grep -P '^train\t' train.tsv | cut -f 3-6)" = $'host memory\tcuda\tfp16\tdevice' ]
    grep -q '^# gpu: host memory, plain C$' train.tsv
    grep -q -P '^train-layer:conv1:weight\t' train.tsv
    run -1 "$BIN/bench" -m "$T/float" --device cpu --precision fp16
    "$BIN/evaluate" -m "$T/float" --device cuda --precision fp16 < "$T/once" | grep -qx '# precision: f16'
}
