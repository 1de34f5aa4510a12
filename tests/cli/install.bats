#!/usr/bin/env bats
# make install: programs that work where they are put, man pages, and nothing left by uninstall.

load helpers
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES

put() { # TARGET [VARIABLE=VALUE..]: into a staging folder, with the tools as they are
    make -s --no-print-directory -C "$TREE" "$1" PREBUILT=1 B="$BATS_FILE_TMPDIR/b" BIN="$BIN" PREFIX=/usr DESTDIR="$BATS_FILE_TMPDIR/stage" \
        "${@:2}"
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
        run ! grep -E '^\.B (calibrate|fuse|plot)|[|] (augment|plot|calibrate|quantize) ' page
        grep -q '^Exit status: 0' page
        grep -q '^\.SH OPTIONS' page
    done
}

@test "installed programs find the images and the chart styles, wherever they are called" {
    unset CIFAR10_DIR RESQ_DATA RESQ_PLOTS RESQ_NETWORKS
    "$STAGE/bin/resq-cifar-load" --split test -n 4 | "$STAGE/bin/resq-plot" images -o four.png
    [ -s four.png ]
    printf 'epoch\tstep\tlearning_rate\tloss\taccuracy_train\taccuracy_held_out\timages_per_s\tseconds\n1\t9\t0.1\t2\t30\t31\t9\t9\n2\t18\t0\t1\t40\t41\t9\t9\n' > log.tsv
    "$STAGE/bin/resq-train-fp32" --network lenet5 --epochs 0 -o lenet5
    "$STAGE/bin/resq-plot" loss log.tsv -o loss.svg
    grep -q '</svg>' loss.svg
}

@test "uninstall takes everything away" {
    put uninstall
    [ -z "$(find "$STAGE" -type f)" ]
}

@test "folders of any name: uninstall takes what install put there and nothing else" {
    for place in "my apps" "it's & \"b\";(c),#d:%*" 'a$$b'; do
        name=${place//\$\$/\$}
        mkdir -p "$name stage/my" "$name stage/$name/share/resq/plots"
        echo keep > "$name stage/my/file"
        echo keep > "$name stage/$name/share/resq/plots/own.gp"
        put install DESTDIR="$PWD/$place stage" PREFIX="/$place"
        [ -x "$name stage/$name/bin/resq-fuse" ]
        "$name stage/$name/bin/resq-fuse" --version
        [ -s "$name stage/$name/share/man/man1/resq-plot.1" ]
        put uninstall DESTDIR="$PWD/$place stage" PREFIX="/$place"
        [ "$(find "$name stage" -type f -printf '%P\n' | sort | tr '\n' ' ')" = "$(printf '%s\n' my/file "$name/share/resq/plots/own.gp" |
            sort | tr '\n' ' ')" ]
    done
    # A packager's folders are shared with others.
    mkdir -p stage/opt/lib stage/opt/share
    touch stage/opt/lib/theirs stage/opt/share/theirs
    put install DESTDIR="$PWD/stage" PREFIX=/opt libdir=/opt/lib datadir=/opt/share
    put uninstall DESTDIR="$PWD/stage" PREFIX=/opt libdir=/opt/lib datadir=/opt/share
    [ "$(find stage -type f | sort | xargs)" = "stage/opt/lib/theirs stage/opt/share/theirs" ]
    HOME=$PWD put install DESTDIR= PREFIX='~/home'
    [ -x home/bin/resq-fuse ]
    run put install DESTDIR="$PWD" PREFIX='/a$b'
    [ "$status" -eq 2 ]
    [[ $output == *"PREFIX='/a\$b' is not a name: it has '\$'"* ]]
}
