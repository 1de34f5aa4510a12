# Programs as several processes, by mpirun.
# shellcheck disable=SC2154,SC2034 # BIN is of helpers.bash

mpi_found() {
    command -v mpirun > /dev/null && { [ -e "$BIN/resq-openmpi.so" ] || [ -e "$BIN/resq-mpich.so" ]; }
}

# mpirun says itself, in many lines, that a process ended badly: those are not ours. Open MPI 4.1's dies itself now and then, of
# signal 11, where it forwards standard input (orte_iof_hnp_read_local_handler): then once more, from the file's beginning.
ranks() { # count, command..
    local more=() status=0
    if mpirun --version | grep -q 'Open MPI'; then
        more=(--oversubscribe --quiet)
        [ "$(id -u)" -ne 0 ] || more+=(--allow-run-as-root)
    fi
    local -x OMPI_MCA_btl_vader_single_copy_mechanism=none
    timeout 300 mpirun "${more[@]}" -n "$@" || status=$?
    if ((status == 139)) && [ -f /dev/stdin ]; then
        status=0
        timeout 300 mpirun "${more[@]}" -n "$@" < /dev/stdin || status=$?
    fi
    return "$status"
}
