# Programs as several processes, by mpirun.
# shellcheck disable=SC2154,SC2034 # BIN is of helpers.bash

mpi_found() {
    command -v mpirun > /dev/null && { [ -e "$BIN/resq-openmpi.so" ] || [ -e "$BIN/resq-mpich.so" ]; }
}

# mpirun says itself, in many lines, that a process ended badly: those are not ours.
ranks() { # count, command..
    local more=()
    if mpirun --version | grep -q 'Open MPI'; then
        more=(--oversubscribe --quiet)
        [ "$(id -u)" -ne 0 ] || more+=(--allow-run-as-root)
    fi
    OMPI_MCA_btl_vader_single_copy_mechanism=none timeout 300 mpirun "${more[@]}" -n "$@"
}
