#!/usr/bin/env bats
# pipelines/stamp: what a stage would do now, by the bytes of all that it names; remembered digests never stand for other bytes.

load helpers

setup_file() {
    for folder in "$BATS_FILE_TMPDIR"/{1,2,3}; do
        mkdir -p "$folder"/{work,bin}
        printf '#!/bin/sh\nexit 1\n' > "$folder/bin/tool"
        chmod +x "$folder/bin/tool"
        echo flags > "$folder/net.txt"
    done
    sleep 3 # what changed just now is not remembered
}

setup() {
    cd "$BATS_FILE_TMPDIR/$BATS_TEST_NUMBER" || return 1
}

stamp() {
    PATH=$PWD/bin:$PATH "$TREE/pipelines/stamp" work/a.stamp "tool --graph=net.txt -n 3" "other text"
}

digest() { sha256sum < "$1" | cut -d ' ' -f 1; }

said() {
    printf '%s\n' 'tool --graph=net.txt -n 3' "  tool sha256:$(digest bin/tool)" "  net.txt sha256:$(digest net.txt)" 'other text'
}

@test "a stamp has the digests of a program and a file, remembered or not, and changes with their bytes alone" {
    stamp
    cmp work/a.stamp <(said)
    [ "$(grep -cE '^[0-9a-f]{64} [0-9]+ ' work/digests)" -eq 2 ]
    # Taken from there.
    sed -i "s/^$(digest bin/tool)/$(printf 'f%.0s' {1..64})/" work/digests
    stamp
    grep -q '  tool sha256:f*$' work/a.stamp
    # Other bytes of the same size at the same time of change; another file in its place.
    cp -p bin/tool before
    printf '#!/bin/sh\nexit 2\n' > bin/tool
    touch -r before bin/tool
    stamp
    cmp work/a.stamp <(said)
    cp -p before instead
    mv instead bin/tool
    stamp
    cmp work/a.stamp <(said)
    touch bin/tool -d '1 hour ago'
    touch work/a.stamp -d '1 hour ago'
    touch now -d '1 minute ago'
    stamp
    cmp work/a.stamp <(said)
    [ work/a.stamp -ot now ]
}

@test "lines that were cut short, or are none, count for nothing" {
    stamp
    whole=$(< work/digests)
    for digests in "${whole:0:40}" "${whole:0:70}" "${whole:0:40}$whole" $'\n\n' "x $whole"; do
        printf %s "$digests" > work/digests
        rm work/a.stamp
        stamp
        cmp work/a.stamp <(said)
        stamp
        cmp work/a.stamp <(said)
    done
}

@test "what was made just now is not remembered, for it may change within the same tick" {
    echo 'exit 1' > bin/tool
    stamp
    [ "$(grep -c . work/digests)" -eq 1 ]
}
