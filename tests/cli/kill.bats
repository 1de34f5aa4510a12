#!/usr/bin/env bats
# Training stopped anywhere, by SIGKILL, SIGINT or SIGTERM, and gone on with: the same bytes as never stopped.
# shellcheck disable=SC2154 # bats sets stderr

load helpers

setup_file() {
    cd "$BATS_FILE_TMPDIR" || return 1
    make_bin images.bin 160 1
    "$BIN/cifar-load" -d images.bin --part train --shuffle --epochs 2 -b 20 -o train
    "$BIN/cifar-load" -d images.bin --part held-out -o held-out
    "$BIN/cifar-load" -d images.bin --part train -n 64 -o calibration
    T=$BATS_FILE_TMPDIR
    command_for float
    "${RUN[@]}" < train
    "$BIN/fuse" -m float -o fused
    "$BIN/calibrate" -m fused -o ranges < calibration
    command_for qat
    "${RUN[@]}" < train
    command_for half
    "${RUN[@]}" < train
}

setup() {
    mkdir "$BATS_TEST_TMPDIR/work" # bats keeps files of its own beside it
    cd "$BATS_TEST_TMPDIR/work" || return 1
    T=$BATS_FILE_TMPDIR
    RANDOM=$BATS_TEST_NUMBER
}

# Sets RUN to a small training that leaves NAME, NAME.last and NAME.log.
command_for() { # float, half (bf16, growing) or qat, options..
    case $1 in
    float) RUN=("$BIN/train-fp32" --width 2 --learning-rate 0.1 --ema 0.9) ;;
    half) RUN=("$BIN/train-fp32" --width 8 --precision bf16 --learning-rate 0.1 --ema 0.9 --grow 16:50) ;;
    qat) RUN=("$BIN/qat-finetune" -m "$T/fused" -r "$T/ranges" --range-mode average) ;;
    esac
    RUN+=(--epochs 2 -b 16 --validate "$T/held-out" --log "$1.log" -o "$1" --last "$1.last" "${@:2}")
}

same_as_undisturbed() { # float or qat
    cmp "$1" "$T/$1"
    cmp "$1.last" "$T/$1.last"
    [ "$(cut -f 1-6 "$1.log")" = "$(cut -f 1-6 "$T/$1.log")" ]
    [ "$(ls -A | tr '\n' ' ')" = "checkpoint $1 $1.last $1.log " ]
}

now() { # milliseconds
    local t=$EPOCHREALTIME
    echo $((${t/./} / 1000))
}

# Runs that are killed twice at random moments, each time gone on with, until KILLS of them were.
killed() { # float or qat
    local kills=0 tries=0 child start whole part moment
    command_for "$1" --checkpoint checkpoint --checkpoint-every 1 --resume
    start=$(now)
    "${RUN[@]}" < "$T/train"
    whole=$(($(now) - start))
    while [ $kills -lt 10 ]; do
        [ $((++tries)) -le 100 ]
        rm -f checkpoint "$1"*
        for part in 1 2; do
            start=$(now)
            "${RUN[@]}" < "$T/train" &
            child=$!
            moment=$((whole * (RANDOM % 1000) / 1000))
            sleep "$(printf '%d.%03d' $((moment / 1000)) $((moment % 1000)))"
            kill -KILL $child 2> /dev/null || true
            if ! wait $child 2> /dev/null; then
                kills=$((kills + 1))
            elif [ $part -eq 1 ]; then # faster than the first run, which others disturbed
                whole=$(($(now) - start))
                break
            fi
        done
        "${RUN[@]}" < "$T/train"
        same_as_undisturbed "$1"
    done
}

@test "float training: ten SIGKILLs at random moments" {
    killed float
}

@test "training in bf16, its first epoch on small pictures: ten SIGKILLs at random moments" {
    killed half
}

@test "quantized training: ten SIGKILLs at random moments" {
    killed qat
}

# In the background: default signals and a process group of its own, which a shell without job control does not give.
group() {
    exec perl -e 'setpgrp; $SIG{INT} = "DEFAULT"; exec @ARGV or die' "$@"
}

# Gives the stream's first bytes and then nothing.
stalling() {
    exec perl -e '$| = 1; open my $f, "<:raw", $ARGV[0]; read $f, my $b, $ARGV[1]; print $b; sleep 300' "$T/train" "$1"
}

wait_for() {
    for ((i = 0; i < 6000; i++)); do
        [ -e "$1" ] && return
        sleep 0.02
    done
    return 1
}

@test "SIGINT and SIGTERM: the checkpoint is saved, death is by the signal, resuming gives the same" {
    for signal in INT:130 TERM:143; do
        for name in float qat; do
            rm -rf ./*
            command_for $name --checkpoint checkpoint
            mkfifo pipe
            stalling 200000 > pipe 3>&- &
            stall=$!
            group "${RUN[@]}" < pipe 2> errors 3>&- &
            child=$!
            wait_for $name.log
            [ $name = float ] || sleep 0.2 # one at its very beginning, one some steps later
            kill -"${signal%:*}" $child
            status=0
            wait $child || status=$?
            kill $stall
            wait $stall 2> /dev/null || true
            [ $status -eq "${signal#*:}" ]
            [ ! -s errors ]
            [ ! -e $name ]
            "$BIN/inspect" check checkpoint
            rm pipe errors
            "${RUN[@]}" --resume < "$T/train"
            same_as_undisturbed $name
        done
    done
}

@test "an interrupt that hits the whole pipe saves the checkpoint and says nothing" {
    command_for float --checkpoint checkpoint
    cat > script <<EOF
perl -e '\$| = 1; open my \$f, "<:raw", \$ARGV[0]; read \$f, my \$b, 200000; print \$b; sleep 300' '$T/train' | $(printf '%q ' "${RUN[@]}")
EOF
    group bash script 2> errors 3>&- &
    child=$!
    wait_for float.log
    kill -INT -- -$child
    status=0
    wait $child || status=$?
    [ $status -eq 130 ]
    [ ! -s errors ]
    [ -e checkpoint ] && [ ! -e float ]
    rm script errors
    "${RUN[@]}" --resume < "$T/train"
    same_as_undisturbed float
}

@test "without a checkpoint, a signal kills at once and leaves nothing" {
    command_for float
    mkfifo pipe
    stalling 200000 > pipe 3>&- &
    stall=$!
    group "${RUN[@]}" < pipe 3>&- &
    child=$!
    wait_for float.log
    kill -TERM $child
    status=0
    wait $child || status=$?
    [ $status -eq 143 ]
    kill $stall
    wait $stall 2> /dev/null || true
    [ "$(ls -A | tr '\n' ' ')" = "float.log pipe " ]
}

@test "a stream that dies alone is an error, and the last checkpoint is gone on from" {
    command_for float --checkpoint checkpoint --checkpoint-every 3
    run --separate-stderr bash -c 'head -c 700000 "$1" | "${@:2}"' - "$T/train" "${RUN[@]}"
    [ "$status" -eq 1 ]
    [[ $stderr == "train-fp32: stdin: truncated "* ]]
    "${RUN[@]}" --resume < "$T/train"
    same_as_undisturbed float
}

@test "going on with a stream that begins at the checkpoint's epoch" {
    command_for float --checkpoint checkpoint
    head -c 700000 "$T/train" > in
    run "${RUN[@]}" < in
    [ "$status" -eq 1 ]
    "$BIN/inspect" show checkpoint > shown
    grep -q 'epoch.*1' shown
    "$BIN/cifar-load" -d "$T/images.bin" --part train --shuffle --epochs 2 -b 30 --from 1 | "${RUN[@]}" --resume
    rm in shown
    same_as_undisturbed float
    "${RUN[@]}" --resume -j 3 < "$T/train" # finished: nothing is trained, the same comes out
    same_as_undisturbed float
}
