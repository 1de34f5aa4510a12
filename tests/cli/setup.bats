#!/usr/bin/env bats
# ./setup, with programs of our own in place of apt-get, sudo and curl's server: nothing is installed or fetched here.

bats_require_minimum_version 1.5.0

SETUP=$BATS_TEST_DIRNAME/../../setup

setup() {
    cd "$BATS_TEST_TMPDIR"
    export XDG_CACHE_HOME=$PWD/cache CALLS=$PWD/calls
    mkdir bin
    PATH=$PWD/bin:$PATH
    fake dpkg-query 'echo installed'
    fake apt-get 'echo "apt-get $*" >> "$CALLS"'
    fake sudo 'echo "sudo $*" >> "$CALLS"; exec "$@"'
    printf 'the archive' > archive
    SHA=$(sha256sum archive)
    SHA=${SHA%% *}
}

fake() { # name, body
    printf '#!/bin/bash\n%s\n' "$2" > "bin/$1"
    chmod +x "bin/$1"
}

fetch() { # arguments of setup's fetch
    run --separate-stderr bash -c 'source "$1" && fetch "${@:2}"' - "$SETUP" "$@"
}

@test "nothing is done where all packages are installed" {
    run --separate-stderr "$SETUP"
    [ "$status" -eq 0 ]
    [ ! -e "$CALLS" ]
    [[ $output =~ ^setup:\ all\ [0-9]+\ packages\ are\ installed$ ]]
}

@test "only what is missing is installed, with sudo where not root" {
    fake dpkg-query '[[ ${*: -1} == make ]] && exit 1; [[ ${*: -1} == bats ]] && echo config-files || echo installed'
    fake id 'echo 1000'
    run --separate-stderr "$SETUP"
    [ "$status" -eq 0 ]
    grep -qx 'sudo apt-get update' "$CALLS"
    grep -qx 'apt-get install -y --no-install-recommends make bats' "$CALLS"
    rm "$CALLS"
    fake id 'echo 0'
    run --separate-stderr "$SETUP"
    [ "$status" -eq 0 ]
    grep -q '^apt-get install' "$CALLS"
    run ! grep -q '^sudo' "$CALLS"
}

@test "a failing apt-get fails" {
    fake dpkg-query 'exit 1'
    fake apt-get 'exit 100'
    run --separate-stderr "$SETUP"
    [ "$status" -ne 0 ]
}

@test "another system gets the list in one line" {
    rm bin/dpkg-query bin/apt-get
    for program in bash cat id; do ln -s "$(command -v $program)" bin/; done
    run --separate-stderr env PATH="$PWD/bin" bash "$SETUP"
    [ "$status" -eq 1 ]
    [ -z "$output" ]
    [ "${#stderr_lines[@]}" -eq 1 ]
    [[ $stderr == "setup: this is no Debian system; install the equivalents of: "*gcc*libjansson-dev* ]]
}

@test "not root without sudo is told the command, in one line" {
    rm bin/sudo
    fake dpkg-query '[[ ${*: -1} == make ]] && exit 1; echo installed'
    fake id 'echo 1000'
    for program in bash cat; do ln -s "$(command -v $program)" bin/; done
    run --separate-stderr env PATH="$PWD/bin" bash "$SETUP"
    [ "$status" -eq 1 ]
    [ "$stderr" = "setup: not root and no sudo; as root: apt-get install make" ]
}

@test "misuse is one line and status 2; --help is neither" {
    run --separate-stderr "$SETUP" --offical
    [ "$status" -eq 2 ]
    [ "$stderr" = "setup: unknown option '--offical'; try './setup --help'" ]
    run --separate-stderr "$SETUP" --help
    [ "$status" -eq 0 ]
    [[ ${lines[0]} == "Usage: ./setup"* ]]
    [ ! -e "$CALLS" ]
}

@test "a fetched archive gets its name once, and is not fetched again" {
    fetch "file://$PWD/archive" "$SHA" 11 "$PWD/cache/a.tar.gz"
    [ "$status" -eq 0 ]
    cmp archive cache/a.tar.gz
    [ ! -e cache/a.tar.gz.part ]
    rm archive
    fetch "file://$PWD/archive" "$SHA" 11 "$PWD/cache/a.tar.gz"
    [ "$status" -eq 0 ]
    [[ $output == *"is there" ]]
}

@test "a cut archive stays a part, both digests are said, and the next call goes on from it" {
    head -c 5 archive > piece
    fetch "file://$PWD/piece" "$SHA" 11 "$PWD/cache/a.tar.gz"
    [ "$status" -eq 1 ]
    [ "${#stderr_lines[@]}" -eq 1 ]
    [[ $stderr == *"5 bytes, sha256 $(sha256sum < piece | cut -d' ' -f1); want 11 bytes, sha256 $SHA" ]]
    [ ! -e cache/a.tar.gz ]
    cmp piece cache/a.tar.gz.part
    fetch "file://$PWD/archive" "$SHA" 11 "$PWD/cache/a.tar.gz"
    [ "$status" -eq 0 ]
    cmp archive cache/a.tar.gz
}

@test "a wrong archive is refused and does not poison the next call" {
    printf 'the Archive' > wrong
    fetch "file://$PWD/wrong" "$SHA" 11 "$PWD/cache/a.tar.gz"
    [ "$status" -eq 1 ]
    [ ! -e cache/a.tar.gz ]
    fetch "file://$PWD/archive" "$SHA" 11 "$PWD/cache/a.tar.gz"
    [ "$status" -eq 0 ]
    cmp archive cache/a.tar.gz
}

@test "--official fetches from RESQ_OFFICIAL_URL, into the cache, by the pinned digest" {
    RESQ_OFFICIAL_URL=file://$PWD/archive run --separate-stderr "$SETUP" --official
    [ "$status" -eq 1 ]
    [[ $stderr == *"sha256 $SHA; want 170052171 bytes, sha256 c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd" ]]
    [ -e cache/resq/cifar-10-binary.tar.gz.part ]
    [ ! -e cache/resq/cifar-10-binary.tar.gz ]
}

@test "an absent archive fails in one line" {
    fetch "file://$PWD/none" "$SHA" 11 "$PWD/cache/a.tar.gz"
    [ "$status" -eq 1 ]
    [ "${#stderr_lines[@]}" -eq 1 ]
    [[ $stderr == "setup: file://$PWD/none: curl: "* ]]
}

@test "two downloads at once: one file, both succeed" {
    bash -c 'source "$1" && fetch "${@:2}"' - "$SETUP" "file://$PWD/archive" "$SHA" 11 "$PWD/cache/a.tar.gz" &
    fetch "file://$PWD/archive" "$SHA" 11 "$PWD/cache/a.tar.gz"
    wait $!
    [ "$status" -eq 0 ]
    cmp archive cache/a.tar.gz
    [ ! -e cache/a.tar.gz.part ]
}
