#!/usr/bin/env bats
# The test runner itself: only a test that says it passed has passed.

RUNNER=$BATS_TEST_DIRNAME/../run

program() { # name, body: a test program
    printf '#!/bin/bash\n%s\n' "$2" > "$BATS_TEST_TMPDIR/$1"
    chmod +x "$BATS_TEST_TMPDIR/$1"
}

runs() { # expected status, expected last line, programs..
    run "$RUNNER" "${@:3}"
    echo "$output"
    [ "$status" -eq "$1" ]
    [ "${lines[-1]}" = "$2" ]
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    program good 'echo 1..2; echo "ok 1 - a"; echo "ok 2 - b"'
}

@test "what passes is counted over all programs" {
    program other 'echo 1..1; echo "ok 1 - c"'
    runs 0 "3 passed, 0 failed" ./good ./other
}

@test "skipped tests are neither, in cmocka's and in bats's words" {
    program skips 'echo 1..3; echo "not ok 1 # SKIP a"; echo "ok 2 b # skip no reason"; echo "ok 3 - c"'
    runs 0 "3 passed, 0 failed, 2 skipped" ./good ./skips
}

@test "a failed test fails, whatever the exit status" {
    program bad 'echo 1..2; echo "ok 1 - a"; echo "not ok 2 - b"; exit 0'
    runs 1 "3 passed, 1 failed" ./good ./bad
}

@test "a bad exit status fails, whatever was said" {
    program leaks 'echo 1..1; echo "ok 1 - a"; exit 23'
    runs 1 "1 passed, 1 failed" ./leaks
}

@test "a crash fails the tests that never ran" {
    program crash 'echo 1..4; echo "ok 1 - a"; kill -SEGV $$'
    runs 1 "1 passed, 3 failed" ./crash
}

@test "a program that runs no test fails, and so does an empty suite and a missing program" {
    program silent 'exit 0'
    runs 1 "2 passed, 1 failed" ./good ./silent
    runs 1 "0 passed, 1 failed"
    runs 1 "2 passed, 1 failed" ./good ./missing
}

@test "a hang fails" {
    program hang 'echo 1..1; exec sleep 60'
    TEST_SECONDS=1 runs 1 "0 passed, 1 failed" ./hang
}

@test "scratch files are gone afterwards" {
    program litter 'echo 1..1; touch "$TMPDIR/x" && echo "ok 1 - $TMPDIR"; echo "$TMPDIR" > where'
    runs 0 "1 passed, 0 failed" ./litter
    [ -n "$(< where)" ]
    [ ! -e "$(< where)" ]
}
