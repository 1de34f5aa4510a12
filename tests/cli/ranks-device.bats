#!/usr/bin/env bats
# Several processes with a GPU each (emulated) that share a training run: the bytes of one GPU that takes the mini-batch in shards,
# whatever their number, by NCCL (its stand-in) or through the host's memory.
# shellcheck disable=SC2154 # bats sets stderr

load helpers
load processes

emulated() {
    find "$BIN/.." "$TREE/build" -maxdepth 2 -path '*/emulated/resq-cuda.so' 2> /dev/null | head -n 1
}

setup_file() {
    cd "$BATS_FILE_TMPDIR" || return 1
    [ -n "$(emulated)" ] && mpi_found || return 0
    RESQ_CUDA=$(emulated)
    export RESQ_CUDA
    T=$BATS_FILE_TMPDIR
    make_bin images.bin 200 1
    "$BIN/cifar-load" -d images.bin --size 8 --part train --shuffle --epochs 2 -b 20 -o train
    "$BIN/cifar-load" -d images.bin --size 8 --part held-out -o held-out
    command_for float --shard 32
    "${RUN[@]}" < train
    "$BIN/fuse" -m float -o fused
    "$BIN/calibrate" -m fused -o ranges < held-out
    for kind in bf16 fp16 average learned; do
        command_for $kind --shard 32
        "${RUN[@]}" < train
    done
}

setup() {
    mkdir "$BATS_TEST_TMPDIR/work" # bats keeps files of its own beside it
    cd "$BATS_TEST_TMPDIR/work" || return 1
    T=$BATS_FILE_TMPDIR
    RESQ_CUDA=$(emulated)
    export RESQ_CUDA
    [ -n "$RESQ_CUDA" ] || skip "no emulated GPU"
    mpi_found || skip "no MPI here (Open MPI or MPICH, ./setup --develop)"
}

# Sets RUN to a small training that leaves NAME, NAME.last and NAME.log. (What is held out is computed in batches of 500, which takes an
# emulated GPU long: in one kind.)
command_for() { # float, bf16, fp16, average or learned, options..
    case $1 in
    float) RUN=("$BIN/train-fp32" --width 2 --learning-rate 0.1 --ema 0.9) ;;
    bf16 | fp16) RUN=("$BIN/train-fp32" --width 2 --learning-rate 0.1 --precision "$1") ;;
    *) RUN=("$BIN/qat-finetune" -m "$T/fused" -r "$T/ranges" --range-mode "$1") ;;
    esac
    [ "$1" != float ] || RUN+=(--validate "$T/held-out")
    RUN+=(-q --device cuda --epochs 2 -b 80 --log "$1.log" -o "$1" --last "$1.last" "${@:2}")
}

# So many processes, a GPU each; by: nccl or host.
devices() { # by, count, command..
    local nccl=off
    [ "$1" = host ] || nccl=$RESQ_CUDA
    RESQ_NCCL=$nccl RESQ_EMULATION_DEVICES=$2 ranks "${@:2}"
}

same_as_alone() { # kind
    cmp "$1" "$T/$1"
    cmp "$1.last" "$T/$1.last"
    [ "$(cut -f 1-6 "$1.log")" = "$(cut -f 1-6 "$T/$1.log")" ]
}

@test "any number of GPUs gives the bytes of one, through the host or by NCCL" {
    local what
    for what in 'host 2 float' 'nccl 2 float' 'nccl 4 float' 'nccl 3 bf16' 'host 3 bf16' 'nccl 2 fp16' 'nccl 2 average' 'host 3 average' \
        'nccl 3 learned'; do
        command_for "${what##* }"
        # shellcheck disable=SC2086 # two words
        devices ${what% *} "${RUN[@]}" < "$T/train"
        same_as_alone "${what##* }"
        rm "${what##* }"*
    done
}

@test "what was measured on a GPU has no part in it" {
    command_for float
    RESQ_EMULATION_CONV=reversed devices nccl 2 "${RUN[@]}" < "$T/train"
    same_as_alone float
}

@test "shards are said: in the log, in talk; and the way that bytes go" {
    [[ $(grep '^# shard' "$T/float.log") == '# shard: 32' ]]
    command_for float -v
    run -0 --separate-stderr devices nccl 2 "${RUN[@]/#-q/-v}" < "$T/train"
    [[ $stderr == *"shards of 32 images, on 2 devices, by NCCL 2."* ]]
    # Two processes on one GPU, which NCCL refuses; no library; nobody wants it.
    local none='cannot open shared object file: No such file or directory'
    for nccl in "$RESQ_CUDA 1 ncclCommInitRank: invalid usage" "nowhere.so 2 no NCCL: nowhere.so: $none" "off 2 RESQ_NCCL is off"; do
        read -r RESQ_NCCL RESQ_EMULATION_DEVICES why <<< "$nccl"
        export RESQ_NCCL RESQ_EMULATION_DEVICES
        run -0 --separate-stderr ranks 2 "${RUN[@]/#-q/-v}" < "$T/train"
        [ "$(grep -c "shards of 32 images, on 2 devices, through the host's memory: rank 0: $why" <<< "$stderr")" -eq 1 ]
        same_as_alone float
    done
}

@test "one is killed: all end, and another number goes on from the checkpoint" {
    local child pid kind i
    mkfifo rest # which nobody writes to
    for kind in float learned; do
        command_for $kind --checkpoint device-checkpoint --checkpoint-every 1 --resume
        devices nccl 3 "${RUN[@]}" < <(head -c 60000 "$T/train"; cat rest 3>&-) > out 2> said &
        child=$!
        for ((i = 0; i < 1200; i++)); do
            [ ! -e device-checkpoint ] || break
            sleep 0.1
        done
        [ -e device-checkpoint ]
        pid=$(pgrep -n -f "^${RUN[0]} .*--checkpoint device-checkpoint") # one of the three: no other file names it so
        kill -9 "$pid"
        wait "$child" && return 1
        : <> rest # (its reader ends)
        [ ! -e $kind ]
        "$BIN/inspect" check device-checkpoint
        devices host 2 "${RUN[@]}" < "$T/train"
        same_as_alone $kind
        rm device-checkpoint
    done
}

@test "what fails on one GPU names its rank and ends all" {
    command_for float
    # As the second process alone sees it.
    local second=(env RESQ_EMULATION_FAIL=cudaMemcpyAsync:40 "${RUN[@]}")
    RESQ_NCCL=$RESQ_CUDA RESQ_EMULATION_DEVICES=2 run --separate-stderr ranks 1 "${RUN[@]}" : -n 1 "${second[@]}" < "$T/train"
    [ "$status" -ne 0 ]
    [ "$(grep -c '^train-fp32: ' <<< "$stderr")" -eq 1 ]
    [[ $stderr == *"train-fp32: rank 1: "*"cudaMemcpyAsync: invalid argument"* ]]
    [ ! -e float ]
}

@test "processes that would compute otherwise are told; shards are a GPU's" {
    command_for float
    RESQ_EMULATION_DEVICES=2 run --separate-stderr ranks 1 "${RUN[@]}" : -n 1 "${RUN[@]}" --device cpu < "$T/train"
    [ "$status" -ne 0 ]
    [[ $stderr == *"rank 1 computes on device cpu in shards of 32 images, but rank 0 on device cuda in shards of 32 images: "* ]]
    run -1 --separate-stderr "${RUN[@]}" --shard 32 --device cpu < "$T/train"
    [[ $stderr == "train-fp32: shards of 32 images (--shard) are a GPU's: on a CPU they have 32" ]]
    run -1 --separate-stderr "${RUN[@]}" --shard 16 < "$T/train"
    [[ $stderr == "train-fp32: shard: 16 images, want 32..65536" ]]
}

@test "a checkpoint of other shards is gone on from, and the log says so" {
    command_for float --checkpoint checkpoint
    RESQ_EMULATION_FAIL=cudaMemcpyAsync:0 "${RUN[@]}" --shard 64 < "$T/train" && rm float
    command_for float --checkpoint checkpoint --resume --shard 32
    "${RUN[@]}" < "$T/train"
    grep -q '^# resumed: after step 6 on cuda (shards of 32) in fp32; before that on cuda (shards of 64) in fp32$' float.log
}
