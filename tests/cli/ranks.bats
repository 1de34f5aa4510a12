#!/usr/bin/env bats
# Several processes (mpirun) that share a training, an evaluation, a calibration, a reconstruction: the bytes of one process, whatever their
# number; one line where one of them fails; killed and gone on with by another number.
# shellcheck disable=SC2154 # bats sets stderr

load helpers
load processes

setup_file() {
    cd "$BATS_FILE_TMPDIR" || return 1
    mpi_found || return 0
    make_bin images.bin 200 1
    "$BIN/cifar-load" -d images.bin --part train --shuffle --epochs 2 -b 20 -o train
    "$BIN/cifar-load" -d images.bin --part held-out -o held-out
    T=$BATS_FILE_TMPDIR
    command_for float
    "${RUN[@]}" < train
    "$BIN/fuse" -m float -o fused
    "$BIN/calibrate" -m fused -o ranges < held-out
    "$BIN/calibrate" -q -m fused -n 5000 -o ranges.train < train
    for kind in bf16 qat; do
        command_for $kind
        "${RUN[@]}" < train
    done
}

setup() {
    mkdir "$BATS_TEST_TMPDIR/work" # bats keeps files of its own beside it
    cd "$BATS_TEST_TMPDIR/work" || return 1
    T=$BATS_FILE_TMPDIR
    mpi_found || skip "no MPI here (Open MPI or MPICH, ./setup --develop)"
}

# As make calls trainings: by the mpirun that fits the library.
by() { # MPI, count, command..
    RESQ_RANKS=$1 OMPI_MCA_btl_vader_single_copy_mechanism=none timeout 300 "$TREE/pipelines/ranks" "${@:2}"
}

# Those that a library and an mpirun are there for.
mpis() {
    local mpi
    for mpi in openmpi mpich; do
        ! RESQ_RANKS=$mpi "$TREE/pipelines/ranks" --check 2 "$BIN" local 2> /dev/null || echo $mpi
    done
}

# Sets RUN to a small training that leaves NAME, NAME.last and NAME.log.
command_for() { # float, bf16 or qat, options..
    case $1 in
    float) RUN=("$BIN/train-fp32" --width 4 --learning-rate 0.1 --ema 0.9) ;;
    bf16) RUN=("$BIN/train-fp32" --width 4 --learning-rate 0.1 --precision bf16) ;;
    qat) RUN=("$BIN/qat-finetune" -m "$T/fused" -r "$T/ranges" --range-mode learned --precision bf16) ;;
    esac
    RUN+=(-q -j1 --epochs 2 -b 80 --validate "$T/held-out" --log "$1.log" -o "$1" --last "$1.last" "${@:2}")
}

same_as_alone() { # float, bf16 or qat
    cmp "$1" "$T/$1"
    cmp "$1.last" "$T/$1.last"
    [ "$(cut -f 1-6 "$1.log")" = "$(cut -f 1-6 "$T/$1.log")" ]
}

@test "any number of processes, of either MPI, gives the bytes of one" {
    for mpi in $(mpis); do
        # More than there are shards too.
        for what in 'float 1' 'float 2' 'float 4' 'float 8' 'bf16 3' 'qat 2' 'qat 4'; do
            [ $mpi = openmpi ] || [[ $(mpis) == mpich ]] || [[ $what == *" 2" ]] || continue
            command_for ${what% *}
            by $mpi ${what#* } "${RUN[@]}" < "$T/train"
            same_as_alone ${what% *}
            rm ${what% *}*
        done
    done
    command_for float
    ranks 3 "${RUN[@]}" < "$T/train"
    same_as_alone float
}

@test "what they say is said once" {
    run --separate-stderr ranks 2 "$BIN/train-fp32" -v -j1 --width 4 --epochs 2 -b 80 --validate "$T/held-out" -o float < "$T/train"
    [ "$status" -eq 0 ]
    [ "$(grep -c 'epoch 1/2: loss' <<< "$stderr")" -eq 1 ]
    [ "$(grep -c 'best: epoch' <<< "$stderr")" -eq 1 ]
}

@test "one is killed: all end, a line names it, and another number goes on from the checkpoint" {
    local child pid kind mpi
    mpi=$(mpis | head -n 1)
    mkfifo rest # which nobody writes to
    for kind in float qat; do
        command_for $kind --checkpoint checkpoint --checkpoint-every 1 --resume
        by "$mpi" 3 "${RUN[@]}" < <(head -c 900000 "$T/train"; cat rest 3>&-) > out 2> said &
        child=$!
        for ((i = 0; i < 1200; i++)); do
            [ ! -e checkpoint ] || break
            sleep 0.1
        done
        [ -e checkpoint ]
        pid=$(pgrep -n -f "^${RUN[0]} .*--checkpoint checkpoint") # one of the three
        kill -9 "$pid"
        status=0
        wait "$child" || status=$?
        [ "$status" -ne 0 ]
        : <> rest # (its reader ends)
        if [ "$mpi" = openmpi ]; then
            grep -qxE "ranks: ${RUN[0]##*/}: rank [0-2] on node [^ ]+ exited on signal 9" said
            [ "$(wc -l < said)" -eq 1 ]
        fi
        [ ! -e $kind ]
        "$BIN/inspect" check checkpoint
        by "$mpi" 2 "${RUN[@]}" < "$T/train"
        same_as_alone $kind
        rm checkpoint
    done
}

@test "what fails everywhere is said once" {
    run --separate-stderr ranks 3 "$BIN/train-fp32" -q --epochs 2 -b 80 --init nowhere -o out < "$T/train"
    [ "$status" -ne 0 ]
    [ "$(grep -c '^train-fp32: ' <<< "$stderr")" -eq 1 ]
    [[ $stderr == *"train-fp32: nowhere: "* ]]
    [ ! -e out ]
}

@test "what fails on one process names it and ends all" {
    command_for float
    local other=("${RUN[@]/#$T\/held-out/elsewhere}")
    run --separate-stderr ranks 1 "${RUN[@]}" : -n 1 "${other[@]}" < "$T/train"
    [ "$status" -ne 0 ]
    [ "$(grep -c '^train-fp32: ' <<< "$stderr")" -eq 1 ]
    [[ $stderr == *"train-fp32: rank 1: elsewhere: "* ]]
    [ ! -e float ]
}

@test "processes that would compute something else are told" {
    command_for float
    run --separate-stderr ranks 1 "${RUN[@]}" : -n 1 env RESQ_ISA=ref "${RUN[@]}" < "$T/train"
    [ "$status" -ne 0 ]
    [ "$(grep -c '^train-fp32: ' <<< "$stderr")" -eq 1 ]
    [[ $stderr == *"rank 1 has ref "* ]]
}

@test "evaluate: any number of processes gives the metrics and predictions of one" {
    "$BIN/evaluate" -m "$T/qat" -j1 --predictions one -o one.tsv < "$T/train"
    for mpi in $(mpis); do
        for count in 1 2 3 4 8; do
            [ $mpi = openmpi ] || [[ $(mpis) == mpich ]] || [ $count -eq 2 ] || continue
            by $mpi $count "$BIN/evaluate" -m "$T/qat" -j1 --predictions all -o all.tsv < "$T/train"
            cmp one all
            cmp one.tsv all.tsv
        done
    done
    # Fewer images than processes; floats; mirror images too.
    "$BIN/cifar-load" -d "$T/images.bin" -n 2 -o two
    "$BIN/evaluate" -m "$T/float" --tta flip --predictions one < two > one.tsv
    ranks 3 "$BIN/evaluate" -m "$T/float" -q --tta flip --predictions all < two > all.tsv
    cmp one all
    cmp one.tsv all.tsv
}

@test "calibrate: any number of processes gives the ranges of one, of the first -n images too" {
    "$BIN/calibrate" -m "$T/fused" -o one < "$T/train"
    "$BIN/calibrate" -m "$T/fused" -n 77 -o few < "$T/train"
    for mpi in $(mpis); do
        for count in 1 2 3 4; do
            [ $mpi = openmpi ] || [[ $(mpis) == mpich ]] || [ $count -eq 2 ] || continue
            by $mpi $count "$BIN/calibrate" -m "$T/fused" -o all < "$T/train"
            cmp one all
        done
    done
    ranks 2 "$BIN/calibrate" -q -m "$T/fused" -n 77 -o all < "$T/train"
    cmp few all
}

@test "evaluate and calibrate: what they say is said once; what fails is one line; files are put together by one of them" {
    run --separate-stderr ranks 3 "$BIN/calibrate" -m "$T/fused" -n 5000 -o ranges < "$T/train"
    [ "$status" -eq 0 ]
    [ "$(grep -c 'calibrate: warning: only ' <<< "$stderr")" -eq 1 ]
    cmp ranges "$T/ranges.train"
    head -c 300000 "$T/train" > cut
    for what in "evaluate -m $T/float" "calibrate -m $T/fused"; do
        # shellcheck disable=SC2086 # words
        run --separate-stderr ranks 3 "$BIN"/$what -o out < cut
        [ "$status" -ne 0 ]
        [ "$(grep -c "^${what%% *}: " <<< "$stderr")" -eq 1 ]
        [[ $stderr == *"${what%% *}: stdin: truncated stream"* ]]
        # shellcheck disable=SC2086 # words
        run --separate-stderr ranks 1 "$BIN"/$what -o out : -n 1 env RESQ_ISA=ref "$BIN"/$what -o out < "$T/train"
        [ "$status" -ne 0 ]
        [ "$(grep -c "^${what%% *}: " <<< "$stderr")" -eq 1 ]
        [[ $stderr == *"${what%% *}: rank 1 has ref f32, model "* ]]
        [ ! -e out ]
    done
    run --separate-stderr ranks 1 "$BIN/evaluate" -m "$T/float" -o out : -n 1 "$BIN/evaluate" -m nowhere -o out < "$T/train"
    [ "$status" -ne 0 ]
    [ "$(grep -c '^evaluate: ' <<< "$stderr")" -eq 1 ]
    [[ $stderr == *"evaluate: rank 1: nowhere: "* ]]
    [ ! -e out ]
    ranks 2 "$BIN/calibrate" --merge "$T/ranges" -o out
    cmp out "$T/ranges"
    "$BIN/evaluate" -m "$T/float" --predictions part -o one.tsv < "$T/held-out"
    ranks 2 "$BIN/evaluate" --pair part part > pair.tsv
    [ "$(grep -c '^images' pair.tsv)" -eq 1 ]
}

# Sets RUN to a small reconstruction that leaves `out`: steps of 80 images, which are 3 shards.
reconstruct_command() { # options..
    RUN=("$BIN/reconstruct" -q -j1 -m "$T/fused" -r "$T/ranges" --weight-bits 3 --activation-bits 4 --images 100 -b 80 --steps 4 -o out "$@")
}

@test "reconstruct: any number of processes gives the model of one" {
    reconstruct_command
    "${RUN[@]}" < "$T/train"
    mv out one
    for mpi in $(mpis); do
        for count in 1 2 3 4; do
            [ $mpi = openmpi ] || [[ $(mpis) == mpich ]] || [ $count -eq 2 ] || continue
            by $mpi $count "${RUN[@]}" < "$T/train"
            cmp one out
            rm out
        done
    done
    # A step of one shard: the second process has none.
    reconstruct_command -b 32 --steps 1
    "${RUN[@]}" < "$T/train"
    mv out one
    ranks 2 "${RUN[@]}" < "$T/train"
    cmp one out
}

@test "reconstruct: one is killed, another number goes on from the checkpoint; what it says is said once; a rank that differs" {
    local child pid try mpi
    mpi=$(mpis | head -n 1)
    reconstruct_command
    "${RUN[@]}" < "$T/train"
    mv out one
    reconstruct_command --checkpoint checkpoint --checkpoint-every 1 --resume
    for ((try = 0; try < 5; try++)); do
        by "$mpi" 3 "${RUN[@]}" < "$T/train" > /dev/null 2> said &
        child=$!
        until "$BIN/inspect" show checkpoint 2> shown | grep -q '^block: [1-9]' || ! kill -0 $child; do sleep 0.05; done
        pid=$(pgrep -n -f "^${RUN[0]} .*--checkpoint checkpoint") && kill -9 "$pid"
        status=0
        wait "$child" || status=$?
        [ "$status" -eq 0 ] || break
        rm -f out checkpoint
    done
    [ "$status" -ne 0 ]
    [ ! -e out ]
    [ "$mpi" != openmpi ] || grep -qxE "ranks: reconstruct: rank [0-2] on node [^ ]+ exited on signal 9" said
    "$BIN/inspect" check checkpoint
    by "$mpi" 2 "${RUN[@]}" < "$T/train"
    cmp one out
    rm out
    reconstruct_command -v --steps 1
    run --separate-stderr ranks 2 "${RUN[@]/#-q/-v}" < "$T/train"
    [ "$status" -eq 0 ]
    [ "$(grep -c 'blocks, 100 images' <<< "$stderr")" -eq 1 ]
    rm out
    reconstruct_command
    run --separate-stderr ranks 1 "${RUN[@]}" : -n 1 "${RUN[@]/%4/3}" < "$T/train"
    [ "$status" -ne 0 ]
    [ "$(grep -c '^reconstruct: ' <<< "$stderr")" -eq 1 ]
    [[ $stderr == *"rank 1 has "* ]]
    [ ! -e out ]
}

@test "without the library the program says what is missing" {
    command_for float
    run --separate-stderr env RESQ_RANKS=nowhere "${RUN[@]}" < "$T/train"
    [ "$status" -eq 1 ]
    [ "${#stderr_lines[@]}" -eq 1 ]
    [[ $stderr == *"no resq-nowhere.so beside the program"* ]]
    RESQ_RANKS=off "${RUN[@]}" < "$T/train"
    same_as_alone float
}
