#!/usr/bin/env bats
# What `make lint` says of includes and of lines: pipelines/lint on a small tree of its own.
# shellcheck disable=SC2154 # bats sets status and output

load helpers

LAYERS="top middle base"
RULES=("top: middle/room" "middle: " "middle/room: middle" "base: ")

setup() {
    cd "$BATS_TEST_TMPDIR"
    mkdir -p lib/top lib/middle/room lib/base tools pipelines/examples tests/cuda tests/peers
    touch README.md Makefile pipelines/a.mk # what the other rules look at
    for script in setup pipelines/a pipelines/examples/a tests/run tests/verify tests/cuda/a tests/peers/a; do
        head -n 1 "$TREE/pipelines/lint" > "$script"
    done
    echo '#include "middle/room/a.h"' > lib/top/a.c
    echo '#include "base/a.h"' > lib/middle/a.h
    printf '#include <stdio.h>\n#include "middle/room/a.h"\n  #  include "middle/a.h"\n' > lib/middle/room/a.c
    echo '#include "base/a.h"' > lib/base/a.c
}

lint() {
    run "$TREE/pipelines/lint" "$LAYERS" "${RULES[@]}"
}

refused() { # the whole line
    lint
    echo "status $status: $output"
    [ "$status" -eq 1 ] && [ "$output" = "$1" ]
}

@test "a tree as its lines say is clean" {
    lint
    [ "$status" -eq 0 ] && [ -z "$output" ]
}

@test "an include that the folder's line does not name is a breach" {
    echo '#include "middle/a.h"' >> lib/top/a.c
    refused 'lint: includes: top/a.c:2:#include "middle/a.h"; may include: base top middle/room'
}

@test "a room is not seen by its layer's other folders unless their line says so" {
    echo '#include "middle/room/a.h"' > lib/middle/b.inc
    refused 'lint: includes: middle/b.inc:1:#include "middle/room/a.h"; may include: base middle '
}

@test "a header without a folder is a breach" {
    echo '#include "a.h"' > lib/middle/room/b.cu
    refused 'lint: includes: middle/room/b.cu:1:#include "a.h"; may include: base middle/room middle'
}

@test "a line names no layer above, nor one beside it in no list" {
    RULES[1]="middle: top"
    refused "lint: includes: SEES_middle: top is in no layer below"
    RULES[1]="middle: nowhere"
    refused "lint: includes: SEES_middle: nowhere is in no layer below"
}

@test "every folder of sources has a line, every line a folder" {
    local rule="a folder of sources without its line SEES_.. in pipelines/build.mk, or a line without such a folder"
    RULES+=("middle/gone: ")
    refused "lint: $rule: middle/gone"
    mkdir lib/middle/new
    echo > lib/middle/new/a.c
    unset 'RULES[4]'
    refused "lint: $rule: middle/new"
}

@test "files of a layer that call each other in a circle are a breach, through others too" {
    printf 'int one(void)\n{\n    return two();\n}\n' > lib/middle/one.c
    printf 'int two(void)\n{\n    return three();\n}\n' > lib/middle/room/two.c
    printf 'int three(void)\n{\n    return 0; /* one() "one()" */\n}\n' > lib/middle/three.c
    lint
    [ "$status" -eq 0 ] && [ -z "$output" ]
    printf 'static int two(void)\n{\n    return 0;\n}\n\nint three(void)\n{\n    return one() + two();\n}\n' > lib/middle/three.c
    refused "lint: a circle of files: lib/middle/one.c lib/middle/room/two.c lib/middle/three.c"
}

@test "a line of C has at most 120 columns, comments included; texts are as long as what they show" {
    local wide
    wide=$(printf 'x%.0s' {1..120})
    { echo "${wide/xx///}"; echo "    \"$wide\\n\""; } > lib/base/a.h
    echo "// ${wide:3:100}äöüäöüäöüäöüäöüäö" > tools/a.c # 120 columns of 137 bytes
    echo "$wide$wide" > tools/a.md
    mkdir -p tests/unit tests/reference
    echo "// $wide" > tests/reference/a.h
    RULES+=("tools: ")
    lint
    echo "$output"
    [ "$status" -eq 0 ] && [ -z "$output" ]
    echo "/* ${wide:0:115} */" > tests/unit/a.c
    refused "lint: a line of C has at most 120 columns: tests/unit/a.c:1: 121 columns"
    rm tests/unit/a.c
    for name in lib/base/a.inc tools/a.h tests/unit/a.cu tests/unit/a.cc; do
        printf '\n%s\n' "// $wide" > $name
        refused "lint: a line of C has at most 120 columns: $name:2: 123 columns"
        rm $name
    done
}
