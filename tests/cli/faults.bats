#!/usr/bin/env bats
# A failing call here and there in a run of each kind; `make check-faults` fails them all. The library that makes them fail is
# held to what it says.

load helpers

setup_file() {
    [ -n "$SANITIZE" ] || "$TREE/tests/faults/inputs" "$BATS_FILE_TMPDIR/in"
}

setup() {
    [ -z "$SANITIZE" ] || skip "a sanitizer has allocators of its own"
    cd "$BATS_TEST_TMPDIR"
    LIBRARY=$(find "$BIN/.." "$TREE/build" -maxdepth 2 -name resq-faults.so 2> /dev/null | head -n 1)
}

@test "a failed call ends in one line and no file, or is done without" {
    python3 "$TREE/tests/faults/campaign.py" --bin "$BIN" --library "$LIBRARY" --inputs "$BATS_FILE_TMPDIR/in" --points 2 -j 2 \
        load-zip train fuse quantize evaluate-int8 plot-confusion inspect-compare > said || { cat said; return 1; }
    [[ $(tail -n 1 said) =~ ^faults:\ [0-9]{2,}\ calls,\ 0\ promises\ broken$ ]]
}

# A copying program that asks nothing of what it calls, in fuse's place.
@test "what breaks a promise is found" {
    mkdir bin
    ln -s "$BIN"/* bin
    cat > careless.c <<'END'
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    (void)argc;
    char *p = malloc(1 << 20);
    memset(p, 0, 1 << 20);
    int in = open(argv[2], O_RDONLY), out = open(argv[4], O_WRONLY | O_CREAT | O_TRUNC, 0666);
    long n = read(in, p, 1 << 20);
    if (n > 0 && write(out, p, (size_t)n) != n)
        return 1;
    return fsync(out) ? 3 : close(out);
}
END
    local compiler
    read -ra compiler <<< "${CC:-cc}"
    "${compiler[@]}" -o careless careless.c
    mv careless bin/fuse
    run python3 "$TREE/tests/faults/campaign.py" --bin bin --library "$LIBRARY" --inputs "$BATS_FILE_TMPDIR/in" --points 1 -j 1 fuse
    echo "$output"
    [ "$status" -eq 1 ]
    grep -q 'fuse: memory 1 of 1: dies by signal 11' <<< "$output"
    grep -q 'fuse: write 1 of 1: says b' <<< "$output"
    grep -q 'fuse: read 1 of 1: ends well with other bytes' <<< "$output"
    grep -q 'fuse: fsync 1 of 1: exit status 3' <<< "$output"
    grep -q 'fuse: close 1 of 1: exit status 255' <<< "$output"
    [[ ${lines[-1]} == "faults: "*" promises broken" ]]
}

@test "of several programs that write one file one wins, and it is whole at every moment" {
    local in=$BATS_FILE_TMPDIR/in pids=() seen=0
    "$BIN/fuse" -m "$in/model" -o a
    "$BIN/quantize" -m "$in/fused" -r "$in/ranges" -o b
    cp a one
    for _ in 1 2 3; do
        (for _ in 1 2 3 4 5 6; do "$BIN/fuse" -m "$in/model" -o one && "$BIN/quantize" -m "$in/fused" -r "$in/ranges" -o one; done) 3>&- &
        pids+=($!)
    done
    while kill -0 "${pids[@]}" 2> /dev/null; do
        cp one now
        cmp -s now a || cmp -s now b
        seen=$((seen + 1))
    done
    wait "${pids[@]}"
    [ "$seen" -gt 0 ]
    [ "$(echo *)" = "a b now one" ]
}
