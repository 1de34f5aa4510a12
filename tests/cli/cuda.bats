#!/usr/bin/env bats
# resq-cuda.so, where the build made one: what it says where something is missing, and the programs on an emulated GPU.
# shellcheck disable=SC2154 # bats sets stderr

load helpers

setup_file() {
    cd "$BATS_FILE_TMPDIR" || return 1
    make_bin images.bin 60 1
    "$BIN/cifar-load" -d images.bin --part train --epochs 1 -o train
    "$BIN/cifar-load" -d images.bin --split test -n 20 -o test
}

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    T=$BATS_FILE_TMPDIR
    [ -e "$BIN/resq-cuda.so" ] || skip "built without CUDA"
    EMULATED=$(find "$BIN/.." "$TREE/build" -maxdepth 2 -path '*/emulated/resq-cuda.so' 2> /dev/null | head -n 1)
}

small() { # options..
    "$BIN/train-fp32" --epochs 1 --width 2 -b 16 --learning-rate 0.1 "$@"
}

@test "it needs cuDNN and cublasLt, shows one symbol, and finds its neighbours" {
    run -0 readelf -d "$BIN/resq-cuda.so"
    [[ $output == *"[libcudnn.so.9]"* && $output == *"[libcublasLt.so."* && $output == *'[$ORIGIN'* ]]
    [[ $output != *libcuda.so* ]]
    # (A linker may add marks of its own.)
    run -0 bash -c "nm -D --defined-only '$BIN/resq-cuda.so' | grep -vE ' (__bss_start|_edata|_end)$'"
    [ "${#lines[@]}" -eq 1 ]
    [[ $output == *" T resq_device_backend" ]]
}

@test "a library that is missing is one line" {
    # The same file, asking for a cuDNN that nobody has.
    sed 's/libcudnn\.so\.9/libcudnX.so.9/' "$BIN/resq-cuda.so" > other.so
    RESQ_CUDA=$PWD/other.so run -1 --separate-stderr small --device cuda -o out < "$T/train"
    [ "${#stderr_lines[@]}" -eq 1 ]
    [[ $stderr == "train-fp32: device cuda: cannot load it: libcudnX.so.9: cannot open shared object file: No such file"* ]]
    RESQ_CUDA=$PWD/other.so run -0 --separate-stderr small --device auto -o out < "$T/train"
    [[ ${stderr_lines[0]} == "train-fp32: device cpu: cuda: cannot load it: libcudnX.so.9: "* ]]
}

@test "no GPU, or no driver: one line, with NVIDIA's own reason where there is one" {
    ! nvidia-smi > /dev/null 2>&1 || skip "there is a GPU"
    for path in "" "$BIN/resq-cuda.so"; do
        RESQ_CUDA=$path run -1 --separate-stderr small --device cuda -o out < "$T/train"
        [ "${#stderr_lines[@]}" -eq 1 ]
        [[ $stderr == "train-fp32: device cuda: "@("no NVIDIA driver: libcuda.so.1: "|"cudaGetDeviceCount: ")* ]]
        [ ! -e out ]
    done
    RESQ_CUDA=$BIN/resq-cuda.so run -0 --separate-stderr small --device auto -o out < "$T/train"
    [[ ${stderr_lines[0]} == "train-fp32: device cpu: cuda: cudaGetDeviceCount: "* ]]
}

@test "an emulated GPU trains in every precision, near the CPU" {
    [ -n "$EMULATED" ] || skip "no emulated GPU"
    small --device cpu -o cpu --log cpu.log < "$T/train"
    export RESQ_CUDA=$EMULATED
    for precision in fp32 bf16 fp16; do
        run -0 --separate-stderr small --device cuda --precision "$precision" -v -o "$precision" --log "$precision.log" \
            < "$T/train"
        [[ $stderr == *"device cuda, emulated GPU, precision $precision,"* ]]
        run -0 awk -F '\t' '$1 == "epoch" { for (i = 1; i <= NF; i++) if ($i == "loss") c = i }
            !/^#/ { v[FILENAME] = $c } END { d = v[ARGV[1]] - v[ARGV[2]]; print d; exit !(d < 0.1 && d > -0.1) }' \
            cpu.log "$precision.log"
    done
}
