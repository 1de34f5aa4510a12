# shellcheck shell=bash
# Locks of the makes in one checkout: advisory, on a file, gone with the last process that holds them.

# hold DESCRIPTOR FILE WHY -x|-s: this shell, and all that it starts, hold the file, alone or with others who share it. Where
# somebody else does, one line says why it waits.
hold() {
    mkdir -p "${2%/*}"
    eval "exec $1<> \"\$2\""
    flock -n "$4" "$1" || {
        echo "make: waiting: $3" >&2
        flock "$4" "$1"
    }
}

# What make shares with its like (study.mk) becomes its own until `share_again`: times are taken while no other make works.
# The share is given up first, so that two that both wait for this do not wait for each other.
hold_alone() {
    flock -n -x 7 || {
        echo "make: waiting: times are taken while no other make works here; one does" >&2
        flock -x 7
    }
}

share_again() {
    flock -s 7
}
