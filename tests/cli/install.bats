#!/usr/bin/env bats
# make install: programs that work where they are put, man pages, and nothing left by uninstall.

load helpers
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES

put() { # TARGET: into a staging folder, with the tools as they are
    local olds=()
    for tool in "$BIN"/*; do olds+=(-o "$tool"); done
    make -s --no-print-directory -C "$TREE" "$1" B="$BATS_FILE_TMPDIR/b" BIN="$BIN" PREFIX=/usr DESTDIR="$BATS_FILE_TMPDIR/stage" \
        "${olds[@]}"
}

setup_file() {
    put install
}

setup() {
    STAGE=$BATS_FILE_TMPDIR/stage/usr
    cd "$BATS_TEST_TMPDIR"
}

@test "every program is there as resq-NAME, with a man page that has its name and purpose" {
    [ "$(cd "$STAGE/bin" && echo *)" = "$(find "$BIN" -type f ! -name '*.so' -printf 'resq-%f\n' | sort | xargs)" ]
    [[ ! -e $BIN/resq-cuda.so ]] || cmp "$BIN/resq-cuda.so" "$STAGE/lib/resq/resq-cuda.so"
    for tool in "$STAGE"/bin/*; do
        name=${tool##*/}
        page=$STAGE/share/man/man1/$name.1
        sed 's/\\-/-/g' "$page" > page
        grep -q "^$name - [A-Za-z]" page
        grep -q "^.B $name" page
        grep -q '^Exit status: 0' page
        grep -q '^\.SH OPTIONS' page
    done
}

@test "installed programs find the images and the chart styles, wherever they are called" {
    unset CIFAR10_DIR RESQ_DATA RESQ_PLOTS
    "$STAGE/bin/resq-cifar-load" --split test -n 4 | "$STAGE/bin/resq-plot" images -o four.png
    [ -s four.png ]
    printf 'epoch\tstep\tlearning_rate\tloss\taccuracy_train\taccuracy_held_out\timages_per_s\tseconds\n1\t9\t0.1\t2\t30\t31\t9\t9\n2\t18\t0\t1\t40\t41\t9\t9\n' > log.tsv
    "$STAGE/bin/resq-plot" loss log.tsv -o loss.svg
    grep -q '</svg>' loss.svg
}

@test "uninstall takes everything away" {
    put uninstall
    [ -z "$(find "$STAGE" -type f)" ]
}
