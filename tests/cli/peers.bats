#!/usr/bin/env bats
# What `make peers` makes of a package that it can go without.
load helpers

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    mkdir -p home/venv/bin
    # pip and what it installed, as the test wants them: files with commands.
    printf '#!/bin/sh\ncd "%s"\ncase $* in *pip*) exec sh ./pip ;; esac\nexec sh ./import\n' "$PWD" > home/venv/bin/python
    chmod +x home/venv/bin/python
    touch home/venv.stamp
}

xnnpack() {
    run make --no-print-directory -C "$TREE" PREBUILT=1 BIN="$BIN" CUDA_HOME= PEERS_HOME="$PWD/home" "$PWD/home/xnnpack.stamp"
    [ "$status" -eq 0 ]
}

@test "make peers: where XNNPACK cannot be installed or does not run, a line says so, and the next time it is tried again" {
    echo 'echo no such wheel; exit 1' > pip
    echo 'echo no such processor; exit 1' > import
    xnnpack
    [ "$output" = "peers: xnnpack is left out: LiteRT cannot be installed: no such wheel" ]
    [ ! -e home/xnnpack.stamp ]
    echo true > pip
    xnnpack
    [ "$output" = "peers: xnnpack is left out: LiteRT does not run: no such processor" ]
    [ ! -e home/xnnpack.stamp ]
    echo true > import
    xnnpack
    [ -z "$output" ]
    [ -e home/xnnpack.stamp ]
}
