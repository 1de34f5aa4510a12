# What the suites of make's studies share: a few hundred made-up images, a first run of all on them, and copies of it.
# shellcheck disable=SC2154 # bats sets stderr

unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES

# study RESULTS ARGUMENTS..: make, with ready-made tools and everything it writes under the test's own folder.
study() {
    make --no-print-directory -C "$TREE" PREBUILT=1 BIN="${TOOLS:-$BIN}" PROFILE=tests/cli/tiny.mk RESULTS="$1" \
        DATASETS="$BATS_FILE_TMPDIR/data" DATA="$BATS_FILE_TMPDIR/images" "${@:2}"
}

# study_first ARGUMENTS..: the first run, for setup_file.
study_first() {
    mkdir "$BATS_FILE_TMPDIR/images"
    make_bin "$BATS_FILE_TMPDIR/images/data_batch_1.bin" 400 1
    make_bin "$BATS_FILE_TMPDIR/images/test_batch.bin" 100 2
    study "$BATS_FILE_TMPDIR/first" "$@" > "$BATS_FILE_TMPDIR/log" 2>&1 || {
        cat "$BATS_FILE_TMPDIR/log" >&2
        return 1
    }
}

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    FIRST=$BATS_FILE_TMPDIR/first/tiny
    mkdir bin
}

# A run of the test's own that is finished already.
copy_first() {
    mkdir results
    cp -a "$FIRST" results/tiny
}

program() { # name, body: a script in place of a tool
    printf '#!/bin/bash\n%s\n' "$2" > "bin/$1"
    chmod +x "bin/$1"
}
