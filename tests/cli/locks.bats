#!/usr/bin/env bats
# Two makes in one checkout: one exports the images that both want, one at a time works in a run's folder, and times are taken
# while no other works. What waits says for what.
# shellcheck disable=SC2154 # bats sets stderr

load helpers
load studies

setup_file() {
    mkdir "$BATS_FILE_TMPDIR/images"
    make_bin "$BATS_FILE_TMPDIR/images/data_batch_1.bin" 200 1
    make_bin "$BATS_FILE_TMPDIR/images/test_batch.bin" 40 2
}

# Tools of the test's own folder, so that some can be replaced.
own_tools() {
    cp "$BIN"/* bin/
    export TOOLS=$PWD/bin REAL=$BIN HERE=$PWD
}

# Until there is such a line, for a minute or two.
wait_for() { # PATTERN FILE
    for ((i = 0; i < 2000; i++)); do
        ! grep -qs "$1" "$2" || return 0
        sleep 0.1
    done
    echo "no '$1' in $2: $(cat "$2")"
    return 1
}

# The real training waits for a file `go`; the check's, which runs in a scratch folder, does not.
slow_training() {
    program train-fp32 'case $* in *results/*) echo training >> "$HERE/events"
        while [ ! -e "$HERE/go" ]; do sleep 0.1; done ;; esac; exec "$REAL/train-fp32" "$@"'
}

@test "two makes that want the same images: one exports them, both end well" {
    own_tools
    program cifar-load 'case $* in *--export*) echo export >> "$HERE/events"; sleep 1 ;; esac; exec "$REAL/cifar-load" "$@"'
    study "$PWD/results" RUN=one DATASETS="$PWD/data" train > one.log 2>&1 &
    study "$PWD/results" RUN=two SEED=2 DATASETS="$PWD/data" train > two.log 2>&1
    wait $!
    [ "$(cat events)" = export ]
    for run in one two; do
        [ "$("$BIN/inspect" show "results/$run/best_float_model.safetensors" | sed -n 's/^dataset: //p')" = images ]
    done
    [ "$(find data -name dataset.tsv | wc -l)" -eq 1 ]
}

@test "an interrupted make that waited leaves the images that another one exported" {
    own_tools
    program cifar-load 'case $* in *--export*) echo export >> "$HERE/events"
        while [ ! -e "$HERE/go" ]; do sleep 0.1; done ;; esac; exec "$REAL/cifar-load" "$@"'
    study "$PWD/results" RUN=one DATASETS="$PWD/data" data > one.log 2>&1 &
    first=$!
    wait_for export events
    (
        set -m
        study "$PWD/results" RUN=two DATASETS="$PWD/data" data > two.log 2>&1 &
        wait_for 'waiting: another make exports the images' two.log
        touch go
        for ((i = 0; i < 600; i++)); do
            ! compgen -G 'data/*/dataset.tsv' > /dev/null || break
            sleep 0.1
        done
        kill -INT -$! 2> /dev/null
        wait $! || true
    ) || true
    wait $first
    [ "$(find data -name dataset.tsv | wc -l)" -eq 1 ]
}

@test "a run's folder belongs to one make at a time; the other waits and says so" {
    own_tools
    slow_training
    study "$PWD/results" SEED=1 train > one.log 2>&1 &
    first=$!
    wait_for training events
    study "$PWD/results" SEED=2 train > two.log 2>&1 &
    second=$!
    wait_for "^make: waiting: another make works in $PWD/results/tiny$" two.log
    [ "$(cat events)" = training ]
    touch go
    wait $first
    wait $second
    [ "$(wc -l < events)" -eq 2 ]
    "$BIN/inspect" made-by results/tiny/best_float_model.safetensors | grep '^train-fp32 ' | grep -qw seed=2
}

@test "times are taken while no other make works, and one that comes then waits" {
    own_tools
    slow_training
    program bench 'case $* in *results/*) echo "bench after $(wc -l < "$HERE/ended" 2> /dev/null)" >> "$HERE/events"
        while [ ! -e "$HERE/timed" ]; do sleep 0.1; done ;; esac; exec "$REAL/bench" "$@"'
    (
        study "$PWD/results" RUN=one train > one.log 2>&1
        echo one >> ended
    ) &
    first=$!
    wait_for training events
    # Another run, up to its times: those of its float network as it is initialised, since trainings wait here.
    rm bin/train-fp32
    cp "$BIN/train-fp32" bin/
    study "$PWD/results" RUN=two EPOCHS=0 "$PWD/results/two/bench.tsv" > two.log 2>&1 &
    second=$!
    wait_for '^make: waiting: times are taken while no other make works here; one does$' two.log
    run ! grep -q bench events
    touch go
    wait $first
    wait_for 'bench after 1' events
    study "$PWD/results" RUN=three EPOCHS=0 train > three.log 2>&1 &
    third=$!
    wait_for '^make: waiting: another make takes times$' three.log
    [ ! -e results/three ]
    touch timed
    wait $second
    wait $third
    [ -s results/two/bench.tsv ]
}
