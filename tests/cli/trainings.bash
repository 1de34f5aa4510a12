# What the tests of train-fp32 share: a data set, and a run of a moment on it.
# shellcheck disable=SC2034,SC2154 # T is the tests'; bats sets stderr

setup_file() {
    cd "$BATS_FILE_TMPDIR" || return 1
    make_bin images.bin 200 1
    "$BIN/cifar-load" -d images.bin --part train --shuffle --epochs 3 -o train
    "$BIN/cifar-load" -d images.bin --part train -n 64 --epochs 3 -o short
    "$BIN/cifar-load" -d images.bin --part held-out -o held-out
    "$BIN/cifar-load" -d images.bin --split test -n 50 -o test
    small < train --validate held-out --log log -o best --last last
}

setup() {
    mkdir "$BATS_TEST_TMPDIR/work" # bats keeps files of its own beside it
    cd "$BATS_TEST_TMPDIR/work" || return 1
    T=$BATS_FILE_TMPDIR
}

small() { # options..: a small run
    local network=(--width 2)
    [[ " $* " == *" --graph "* || " $* " == *" --init "* ]] && network=()
    "$BIN/train-fp32" --epochs 3 "${network[@]}" -b 32 --learning-rate 0.2 "$@"
}

untimed() {
    cut -f 1-6 "$1"
}

# What every other parameter had a part in, without the metadata.
weights() {
    "$BIN/inspect" tensor fc.weight --values "$1"
}

# The same tensors: metadata alone may differ.
same_tensors() { # a, b
    run -1 "$BIN/inspect" compare "$1" "$2"
    ! grep -v -e '^what' -e '^metadata' <<< "$output"
}

# status 1, one line, nothing written
refused() { # pattern, options..
    run --separate-stderr small "${@:2}" -o out
    [ "$status" -eq 1 ]
    [ "${#stderr_lines[@]}" -eq 1 ]
    # shellcheck disable=SC2053 # a pattern
    [[ $stderr == "train-fp32: "$1 ]] || { echo "$stderr"; return 1; }
    [ -z "$(find . -mindepth 1 ! -name 'in*')" ]
}
