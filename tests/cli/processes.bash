# Programs as several processes, by mpirun.
# shellcheck disable=SC2154,SC2034 # BIN is of helpers.bash

mpi_found() {
    command -v mpirun > /dev/null && { [ -e "$BIN/resq-openmpi.so" ] || [ -e "$BIN/resq-mpich.so" ]; }
}

# mpirun says itself, in many lines, that a process ended badly: those are not ours. Open MPI 4.1's dies itself now and then, of
# signal 11, where it passes standard input on (orte_iof_hnp_read_local_handler): there the first process opens it, as by pipelines/ranks.
ranks() { # count, command..
    local -x OMPI_MCA_btl_vader_single_copy_mechanism=none
    if ! mpirun --version | grep -q 'Open MPI'; then
        timeout 300 mpirun -n "$@"
        return
    fi
    local count=$1 more=(--oversubscribe --quiet --stdin none)
    shift
    [ "$(id -u)" -ne 0 ] || more+=(--allow-run-as-root)
    timeout 300 mpirun "${more[@]}" -n "$count" \
        sh -c 'if [ "$OMPI_COMM_WORLD_RANK" = 0 ]; then exec < "$0"; else exec < /dev/null; fi; exec "$@"' "/proc/$BASHPID/fd/0" "$@"
}
