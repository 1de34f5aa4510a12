#!/usr/bin/env bats
# Names that people give to runs, folders, images and the checkout: they work, or are refused at once by their character;
# nothing of a name reaches a shell.
# shellcheck disable=SC2154 # bats sets stderr

load helpers
load studies

make_there() { # FOLDER ARGUMENTS..
    make --no-print-directory -C "$1" CUDA_HOME= PREBUILT=1 BIN="$BIN" PROFILE=tests/cli/tiny.mk "${@:2}"
}

# A checkout of the test's own, with nothing built.
checkout() { # FOLDER
    mkdir "$1"
    cp -r "$TREE"/{Makefile,pipelines,plots,tools,lib,tests} "$1"
    echo mine > "$1/README.md"
}

refused() { # REASON ARGUMENTS..: one line, status 2, nothing made
    run make_there "$PWD/tree" RESULTS=out DATASETS=sets DATA="$PWD/images" "${@:2}" train
    echo "$output"
    [ "$status" -eq 2 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ $output == *"$1"*"Stop." ]]
    [ ! -e tree/out ]
    [ ! -e tree/sets ]
    [ "$(cat tree/README.md)" = mine ]
}

@test "a run is named by letters, digits and . _ + -: all else is refused by its character" {
    checkout tree
    mkdir images
    for c in '!' '"' '#' % '&' "'" '(' ')' '*' ',' ':' ';' '<' '=' '>' '?' '[' ']' '^' '`' '{' '|' '}' '~' '\' /; do
        refused "RUN='a${c}b' is not the name of a folder: it has '$c'" RUN="a${c}b"
    done
    refused "RUN='a\$b' is not a name: it has '\$', which to make is \$\$" RUN='a$b'
    refused "it has '\$'" RUN='a$$b'
    refused "it has a blank" RUN='a b'
    refused "it is empty" RUN=
    refused "STUDY_STEP is for calls of make by make" STUDY_STEP= # it would call itself without end
    refused "it begins with '-'" RUN=-b
    refused "is not the name of a folder" RUN=..
    refused "is not the name of a folder" RUN=.
    refused "has '&'" RUN='a&>hit'
    refused "has ';'" RUN='a;>hit'
    [ ! -e tree/hit ]
    for v in RESULTS DATASETS; do
        refused "$v='a b' is not a path that make can hold: it has a blank" "$v=a b"
        refused "$v='a:b' is not a path that make can hold: it has ':'" "$v=a:b"
    done
    refused "PROFILE='ti*' is not the name of a profile or its file: it has '*'" PROFILE='ti*'
    run make_there "$PWD/tree" RUN=a.b_c+d-é9 help
    [ "$status" -eq 0 ]
}

@test "images may lie at a path of any name" {
    checkout tree
    mkdir images
    make_bin images/data_batch_1.bin 40 1
    make_bin images/test_batch.bin 10 2
    local name
    for name in "it's" 'a & touch hit; b' 'p(1), "q" #3' '50% *?[x]' '`touch hit`' '~x' '-d' '$(touch hit)' 'é 日本'; do
        cp -r images "tree/$name"
        # A dollar is written twice for make.
        run make_there "$PWD/tree" DATASETS=sets DATA="${name//\$/\$\$}" data
        echo "$name: $output"
        [ "$status" -eq 0 ]
        rm -r "tree/${name:?}"
    done
    [ "$(find tree/sets -name dataset.tsv | wc -l)" -eq 9 ]
    [ ! -e tree/hit ]
    HOME=$PWD run make_there "$PWD/tree" DATASETS=sets DATA='~/images' data
    [ "$status" -eq 0 ]
    run make_there "$PWD/tree" DATASETS=sets DATA='a$b' data
    [ "$status" -eq 2 ]
    [[ $output == *"DATA='a\$b' is not a name: it has '\$'"* ]]
    run make_there "$PWD/tree" DATASETS=sets DATA=absent data
    [ "$status" -eq 2 ]
    [[ $output == *"./absent: there are no such images"* ]]
}

@test "a checkout at a path of any name builds, and makes man pages and images" {
    local name="it's a & b; (c) \$d #e %f \"g\""
    checkout "$name"
    make -s -C "$PWD/$name" CUDA_HOME= B=b b/libbase.a b/tests/unit/base/test_text.o > /dev/null
    [ -s "$name/b/libbase.a" ]
    mkdir images
    make_bin images/data_batch_1.bin 400 1
    make_bin images/test_batch.bin 100 2
    cp -r "$BIN" "$name/bin"
    run make --no-print-directory -C "$PWD/$name" CUDA_HOME= PREBUILT=1 PROFILE=tests/cli/tiny.mk DATA=../images \
        results/tiny/charts/loss.png
    echo "$output"
    [ "$status" -eq 0 ]
    [ -s "$name/results/tiny/charts/loss.png" ]
    make -s -C "$PWD/$name" CUDA_HOME= PREBUILT=1 "build${SANITIZE:+/sanitize}/man/resq-fuse.1"
    grep -q '^.B resq-fuse' "$name/build${SANITIZE:+/sanitize}/man/resq-fuse.1"
    checkout a:b
    run make_there "$PWD/a:b" help
    [ "$status" -eq 2 ]
    [[ $output == *"has ':', which PATH cannot hold"* ]]
}

@test "a run named by a pattern does not work in another's folder, nor is the recorded comparison overwritten" {
    checkout tree
    mkdir -p tree/results/exp1 tree/plots/recorded/peers
    echo log > tree/results/exp1/float.log.tsv
    echo table > tree/plots/recorded/peers/peers.tsv
    run make_there "$PWD/tree" DATA="$PWD/images" RUN='exp*' train
    [ "$status" -eq 2 ]
    [ "$(cat tree/results/exp1/float.log.tsv)" = log ]
    mkdir run
    run "$TREE/pipelines/record" run tree/plots/recorded/peers command
    [ "$status" -eq 1 ]
    [[ $output == "record: RUN='peers': "* ]]
    [ "$(cat tree/plots/recorded/peers/peers.tsv)" = table ]
}
