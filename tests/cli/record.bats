#!/usr/bin/env bats
# `make record-all`: a record of one commit, over several sittings, in a checkout of the test's own.
# shellcheck disable=SC2154 # bats sets status and output

load helpers
load studies

setup_file() {
    mkdir "$BATS_FILE_TMPDIR/images"
    make_bin "$BATS_FILE_TMPDIR/images/data_batch_1.bin" 400 1
    make_bin "$BATS_FILE_TMPDIR/images/test_batch.bin" 100 2
    cd "$BATS_FILE_TMPDIR" || return 1
    mkdir -p tree/pipelines tree/lib/base tree/tests/cli
    cp -r "$TREE"/{Makefile,plots,tools} tree/
    cp "$TREE/lib/base/version.h" tree/lib/base/
    cp "$TREE/tests/cli/tiny.mk" tree/tests/cli/
    rm -r tree/plots/recorded
    find "$TREE/pipelines" -mindepth 1 -maxdepth 1 ! -name data -exec cp -r {} tree/pipelines/ \;
    printf 'before\n<!-- recorded tiny -->\nold\n<!-- end -->\nafter\n' > tree/README.md
    printf 'build/\nbin/\nresults/\n' > tree/.gitignore
    cd tree || return 1
    git init -q .
    commit first
}

commit() { # message: all of it
    git add -A
    git -c user.name=test -c user.email=test@example.org -c commit.gpgsign=false commit -q --allow-empty -m "$1"
}

record_all() { # ARGUMENTS..
    make --no-print-directory -C "$BATS_FILE_TMPDIR/tree" PREBUILT=1 BIN="$BIN" RECORD_PROFILE=tests/cli/tiny.mk \
        DATASETS="$BATS_FILE_TMPDIR/data" DATA="$BATS_FILE_TMPDIR/images" record-all "$@"
}

@test "a checkout that is not its commit's, and what cannot be, is refused in one line, and nothing runs" {
    cd "$BATS_FILE_TMPDIR/tree"
    echo '# more' >> plots/style.gp
    echo 'int more;' > lib/more.c
    run -2 record_all RECORD_PARTS=tiny
    [ "${lines[0]}" = "record-all: not the commit's: plots/style.gp, lib/more.c: a record is of a commit, so commit them or put them back" ]
    git checkout -q plots/style.gp
    rm lib/more.c
    sed -i s/before/otherwise/ README.md
    run -2 record_all RECORD_PARTS=tiny
    [[ ${lines[0]} == "record-all: not the commit's: README.md: "* ]]
    git checkout -q README.md
    run -2 record_all RUN=mine
    [[ $output == *"record-all names its runs itself: RECORD_PROFILE=, RECORD_PARTS="* ]]
    mv .git .not-git
    run -2 record_all RECORD_PARTS=tiny
    mv .not-git .git
    [ "${lines[0]}" = "record-all: this is no git checkout: nobody could say what was recorded" ]
    # What is recorded does not count.
    sed -i s/old/new/ README.md
    mkdir plots/recorded
    touch plots/recorded/x
    [ "$(pipelines/commit)" = "$(git rev-parse HEAD)" ]
    rm -r plots/recorded
    git checkout -q README.md
    head=$(git rev-parse HEAD)
    mkdir -p "results/record/${head:0:12}"
    echo 'another, 7 of its processors' > "results/record/${head:0:12}/machine"
    run -2 record_all RECORD_PARTS=tiny
    [[ ${lines[0]} == "record-all: results/record/"*" was begun on another, 7 of its processors, and this is "*": a record is of one machine" ]]
    rm -r results
}

@test "stopped between two parts it goes on; what another commit left is not taken; MADE.md names the commit" {
    local first second
    cd "$BATS_FILE_TMPDIR/tree"
    first=$(git rev-parse HEAD)
    cd "$BATS_TEST_TMPDIR"
    program stopping "[[ \$* != *--tta* || -e '$PWD/go-on' ]] || { echo 'stopping: stopped' >&2; exit 1; }; exec evaluate \"\$@\""
    export PATH=$PWD/bin:$PATH
    run -0 record_all -n RECORD_PARTS='tta auto' EVALUATE=stopping
    [[ $output == *"record-all: commit $first, "* ]]
    [[ $output == *"  tiny       to make: nobody knows how long (make results PROFILE=tests/cli/tiny.mk "* ]]
    [[ $output == *"  auto       to make: about 10:00, as planned (make results PROFILE=auto "* ]]
    cd "$BATS_FILE_TMPDIR/tree"
    [ ! -e results ]
    run -2 record_all RECORD_PARTS='tta' EVALUATE=stopping
    [[ $output == *"record-all: failed: tta; nothing is recorded. The same command goes on"* ]]
    [ ! -e plots/recorded ]
    run=results/record/${first:0:12}/tiny
    [ -s "$run/summary.tsv" ]
    touch "$BATS_TEST_TMPDIR/go-on" "$BATS_TEST_TMPDIR/now"
    run -0 record_all RECORD_PARTS='tta' EVALUATE=stopping
    [[ $output == *"  tiny       stands, took "* ]]
    [[ $output == *"  tta        begun, after "*": nobody knows how long (make tta PROFILE=tests/cli/tiny.mk "* ]]
    [ "$run/summary.tsv" -ot "$BATS_TEST_TMPDIR/now" ]
    [ "$run/best_float_model.safetensors" -ot "$BATS_TEST_TMPDIR/now" ]
    grep -qx -- "- commit: $first" plots/recorded/tiny/MADE.md
    grep -qE '^- command: `make results tta .*PROFILE=tests/cli/tiny.mk' plots/recorded/tiny/MADE.md
    run ! grep -E '^- command: .*(RECORD|RESULTS=|RUN=)' plots/recorded/tiny/MADE.md
    grep -q '^- data: images, sha256:' plots/recorded/tiny/MADE.md
    grep -qE '^\| tta-bench \| [0-9.]+ \|$' plots/recorded/tiny/MADE.md
    cmp "$run/tta.tsv" plots/recorded/tiny/tta.tsv
    grep -q '^| float | ' README.md
    grep -q '(plots/recorded/tiny/tta.tsv)' README.md
    # The record itself makes it no other commit's; a commit does, and begins anew beside it.
    [ "$(pipelines/commit)" = "$first" ]
    commit 'the record'
    second=$(git rev-parse HEAD)
    run -0 record_all RECORD_PARTS=tiny
    [[ $output == *"  tiny       to make: about "*", as at ${first:0:12} (make results "* ]]
    [[ $output == *"record-all: results/record/${first:0:12} is of another commit: it is left alone"* ]]
    [ -s "$run/summary.tsv" ]
    [ "results/record/${second:0:12}/tiny/summary.tsv" -nt "$BATS_TEST_TMPDIR/now" ]
    cmp "$run/best_float_model.safetensors" "results/record/${second:0:12}/tiny/best_float_model.safetensors"
    grep -qx -- "- commit: $second" plots/recorded/tiny/MADE.md
    [ ! -e plots/recorded/tiny/tta.tsv ]
}
