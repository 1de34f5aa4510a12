#!/usr/bin/env bats
# pipelines/on: a stage's command as a job of Slurm or over ssh, both played by scripts here: what is submitted, that it runs as it
# would have here, that what it did is known, and that nothing of it outlives make. (`make test-cluster`: a real Slurm.)
# shellcheck disable=SC2154,SC2016 # bats sets stderr; commands for other shells

load helpers
load studies

setup() {
    # Every path has what a shell could stumble over.
    export HERE="$BATS_TEST_TMPDIR/it's a \$(touch hit) \"é\"" RESQ_ON_WAIT=2
    FAKE=$BATS_TEST_TMPDIR/fake # (make expands what PATH has)
    mkdir -p "$HERE" "$FAKE" "$BATS_TEST_TMPDIR/plain"
    cd "$HERE" || return 1
    mkdir bin locks
    ln -s "$TREE/pipelines" pipelines
    PATH=$FAKE:$PATH
    printf '%s\n' 'check 1 1G 0:05:00 0' 'tiny here' 'timed* node - - 0 --qos=high' 'big* 3 8G 1:00 asked -C fast' '* 1 - - 0' > table
    # One job at a time has a number; what is in `hook` is run behind it.
    fake sbatch 'printf "%s\n" "$@" > "$HERE/sbatch.args"
        [[ ! -e $HERE/refuse ]] || { cat "$HERE/refuse" >&2; exit 1; }
        for a; do case $a in --output=*) out=${a#*=} ;; --job-name=*) name=${a#*=} ;; --chdir=*) folder=${a#*=} ;; esac; done
        echo "$name" > "$HERE/name"
        echo 41
        [[ ! -e $HERE/state ]] || exit 0
        cd "$folder"
        (
            env --default-signal -i PATH=/usr/bin:/bin HERE="$HERE" setsid bash -p "$a" >> "${out//%%/%}" 2>&1 < /dev/null &
            echo $! > "$HERE/pid"
            wait $!
            [[ ! -e $HERE/hook ]] || source "$HERE/hook"
            rm -f "$HERE/name"
        ) > /dev/null 2>&1 7>&- &'
    fake squeue 'echo "$*" >> "$HERE/squeue.args"
        if [[ -e $HERE/state ]]; then cat "$HERE/state"; elif [[ -e $HERE/name ]]; then echo "RUNNING (None)"
        else echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1; fi'
    fake scancel 'echo "$*" >> "$HERE/cancelled"; [[ ! -e $HERE/state ]] || echo "CANCELLED (None)" > "$HERE/state"
        kill -TERM -- "-$(cat "$HERE/pid")"; sleep 0.3; rm -f "$HERE/name"'
    fake sinfo 'echo all'
    fake ssh 'while [[ $1 == -o ]]; do shift 2; done; [[ $1 == -- ]] || exit 9
        [[ $2 != away ]] || { echo "ssh: connect to host away: No route to host" >&2; exit 255; }
        echo "$2 begins" >> "$HERE/events"
        env -i PATH=/usr/bin:/bin HERE="$HERE" setsid sh -c "$3"; status=$?
        echo "$2 ends" >> "$HERE/events"; exit $status'
}

fake() { # NAME TEXT
    printf '#!/bin/bash\n%s\n' "$2" > "$FAKE/$1"
    chmod +x "$FAKE/$1"
}

on() { # STAGE COMMAND: to $WHERE
    pipelines/on "${WHERE:-slurm}" table "$1" work locks "$2"
}

wait_until() { # COMMAND..
    for ((i = 0; i < 600; i++)); do
        ! "$@" || return 0
        sleep 0.1
    done
    echo "never: $*"
    return 1
}

gone() { # PID, from a file
    ! kill -0 "$(cat "$1")" 2> /dev/null
}

clean() { # of a stage only its log is left
    [ -z "$(find work -type f ! -name '*.log')" ]
    [ ! -e hit ]
}

@test "a job is what the table says of its stage; it runs here or there alike" {
    export RESQ_ISA=avx2 OPENBLAS_CORETYPE=Haswell SECRET=hidden
    echo in > input
    command='echo "$THREADS $RESQ_ISA $OPENBLAS_CORETYPE ${SECRET-} $PWD" > out; cat < input; echo "a  b '"'c'"' \$x é" | tee second >&2'
    for WHERE in slurm ssh:one; do
        run --separate-stderr on big/stage "$command; : --device cuda"
        [ "$status" -eq 0 ]
        [ -z "$output" ]
        [ "$stderr" = $'in\na  b \'c\' $x é' ]
        threads=$(nproc)
        [ "$(cat out)" = "$((threads < 3 ? threads : 3)) avx2 Haswell  $PWD" ]
        clean
    done
    [ "$(cat sbatch.args)" = "--parsable
--job-name=resq-big/stage
--chdir=$PWD
--output=work/big/stage.log
--open-mode=append
--nodes=1
--ntasks=1
--cpus-per-task=3
--mem=8G
--time=1:00
--gres=gpu:1
-C
fast
work/big/stage.job" ]
    WHERE=slurm on timed true
    grep -qx -- --exclusive sbatch.args
    grep -qx -- --qos=high sbatch.args
    # A training's processes, wherever Slurm finds room for each.
    WHERE=slurm on big/train ': pipelines/ranks 3 train-fp32'
    grep -qx -- --ntasks=3 sbatch.args
    grep -qx -- --cpus-per-task=3 sbatch.args
    run ! grep -E -- '--nodes|--ntasks=1' sbatch.args
    WHERE=slurm on big/stage ': pipelines/ranks 3 train-fp32 --device cuda'
    grep -qx -- --gpus-per-task=1 sbatch.args
    run ! grep -e --gres sbatch.args
    WHERE=slurm on timed true
    run ! grep -E -- '--(mem|time|cpus-per-task|gres)' sbatch.args
    rm sbatch.args events
    for WHERE in slurm ssh:one; do
        on tiny 'echo "$THREADS" > out'
        [ "$(cat out)" = "$(nproc)" ]
    done
    [ ! -e sbatch.args ] && [ ! -e events ]
}

@test "a failed job is a failed command: its status, its last lines, and its log with those before it" {
    for WHERE in slurm ssh:one; do
        run --separate-stderr on s 'echo old; exit 9'
        run --separate-stderr on s 'seq 50 >&2; echo "s: bad" >&2; exit 7'
        [ "$status" -eq 7 ]
        [ -z "$output" ]
        [[ ${stderr_lines[0]} == "on: s: "*": exit status 7; the last of work/s.log:" ]]
        [ "${#stderr_lines[@]}" -eq 21 ]
        [ "${stderr_lines[20]}" = "    s: bad" ]
        run ! grep -q old <<< "$stderr"
        clean
    done
    [ "$(grep -c '^--- ' work/s.log)" -eq 4 ]
    [ "$(grep -cx old work/s.log)" -eq 2 ]
    # A pipe whose first part fails, and a variable that is not set.
    run -3 on s '(exit 3) | cat'
    run -1 on s 'echo $NO_SUCH_VARIABLE'
}

@test "a job that is killed, refused or can never begin is a line" {
    echo 'TIMEOUT (TimeLimit)' > state
    run --separate-stderr on s true
    [ "$status" -eq 1 ]
    [ "$stderr" = "on: s: job 41: TIMEOUT (TimeLimit); the last of work/s.log:" ]
    [ ! -e cancelled ]
    echo 'PENDING (PartitionTimeLimit)' > state
    run --separate-stderr on s true
    [ "$status" -eq 1 ]
    [ "$stderr" = "on: s: job 41: PENDING (PartitionTimeLimit); the last of work/s.log:" ]
    [ "$(cat cancelled)" = "-n resq-s 41" ]
    rm state
    echo 'sbatch: error: Batch job submission failed: Invalid account' > refuse
    run --separate-stderr on s true
    [ "$status" -eq 1 ]
    [ "$stderr" = "on: s: sbatch: error: Batch job submission failed: Invalid account" ]
    rm refuse
    # Killed there, with all that it had begun.
    echo 'kill -KILL -- "-$(ps -o pgid= $$ | tr -d " ")"' > bin/suicide
    run --separate-stderr on s "echo said; bash $(printf %q "$PWD")/bin/suicide"
    [ "$status" -eq 1 ]
    [ "$stderr" = $'on: s: job 41: gone; the last of work/s.log:\n    said' ]
    WHERE=ssh:away run --separate-stderr on s true
    [ "$status" -eq 1 ]
    [ "$stderr" = $'on: s: away: ssh\'s exit status 255; the last of work/s.log:\n    ssh: connect to host away: No route to host' ]
    clean
}

@test "what a job made is waited for, and what it reads; not for ever" {
    echo in > input
    # It appears here later than there.
    echo 'mv out hidden; sleep 1.5; mv hidden out' > hook
    on s 'cat < input > out'
    [ "$(cat out)" = in ]
    echo 'mv out hidden' > hook
    run --separate-stderr on s 'cat < input > out'
    [ "$status" -eq 1 ]
    [[ $stderr == "on: s: job 41 on "*": out, made there, is not seen here after 2 seconds: is this folder one and the same on both?;"* ]]
    rm hook
    # There an input is not what it is here.
    fake nproc 'echo other >> input; exec /usr/bin/nproc'
    sed -i "s|PATH=/usr/bin:/bin|PATH=$FAKE:/usr/bin:/bin|" "$FAKE/sbatch"
    run --separate-stderr on s 'cat < input > out'
    [ "$status" -eq 1 ]
    [[ $stderr == *"on: input is not as it is where make runs"* ]]
    clean
}

@test "what was queued ends with make: interrupted, terminated, hung up or killed" {
    for WHERE in slurm ssh:one; do
        for signal in INT TERM HUP; do
            rm -f cancelled there
            set -m
            on s 'echo $$ > there; sleep 100' 2> said &
            set +m
            wait_until test -s there
            kill -$signal -- -$!
            status=0
            wait $! || status=$?
            [ "$status" -gt 128 ]
            wait_until gone there
            [ "$WHERE" != slurm ] || [ "$(head -n 1 cancelled)" = "-n resq-s 41" ]
            wait_until test ! -e work/s.id
        done
        # Only what called it is killed, as make kills recipes; it sees that.
        rm -f there
        bash -c 'pipelines/on "$0" table s work locks "echo \$\$ > there; sleep 100"; true' "$WHERE" &
        wait_until test -s there
        kill -KILL $!
        wait_until gone there
    done
    # Killed itself: over ssh the other side notices; of Slurm's job the next make clears.
    for WHERE in slurm ssh:one; do
        rm -f there cancelled
        pipelines/on "$WHERE" table s work locks 'echo $$ > there; sleep 100' &
        wait_until test -s there
        kill -KILL $!
        [ "$WHERE" = ssh:one ] || pipelines/on --clear work
        wait_until gone there
        [ ! -e work/s.id ]
    done
    # A number that is another job's by now stays untouched.
    echo 41 > work/s.id
    rm -f cancelled
    pipelines/on --clear work
    [ ! -e work/s.id ]
    [ "$(sort -u cancelled)" = "-n resq-s 41" ]
    grep -q -- '-j 41 -n resq-s ' squeue.args
}

@test "over ssh one job at a time on each host, more where it is named again; timing has a host alone" {
    at_most() { # the most that ran at once
        awk '/begins/ { n++; if (n > most) most = n } /ends/ { n-- } END { print most + 0 }' events
    }
    three() {
        : > events
        for i in 1 2 3; do
            WHERE=$1 on "$2$i" 'sleep 0.7' & # a name is one job's: its files are called so
        done
        wait
        [ "$(grep -c ends events)" -eq 3 ]
    }
    three ssh:one s
    [ "$(at_most)" -eq 1 ]
    three ssh:one,one s
    [ "$(at_most)" -eq 2 ]
    three ssh:one,two s
    [ "$(at_most)" -eq 2 ]
    [ "$(grep -c '^one begins' events)" -ge 1 ]
    [ "$(grep -c '^two begins' events)" -ge 1 ]
    three ssh:one,one timed
    [ "$(at_most)" -eq 1 ]
}

@test "what cannot be is said in one line, before any work" {
    refused() { # LINE ARGUMENTS..
        run --separate-stderr study "$PWD/results" DATASETS="$PWD/data" DATA=images "${@:2}" train
        [ "$status" -eq 2 ]
        [ -z "$output" ]
        [ "${stderr_lines[0]}" = "check-study: $1" ] || { echo "$stderr"; return 1; }
        [[ ${stderr_lines[1]} == "make: *** "* ]]
        [ "${#stderr_lines[@]}" -eq 2 ]
        [ ! -e results ]
        [ -z "$(find data -name '.on-*' -o -name 'check-*' 2> /dev/null)" ]
    }
    cd "$BATS_TEST_TMPDIR/plain" # make's paths have no blanks
    for count in 0 x 1025 '' '2 3' '2;touch hit'; do
        run --separate-stderr study "$PWD/results" DATASETS="$PWD/data" DATA=images RANKS="$count" train
        [ "$status" -eq 2 ]
        [[ $stderr == *": *** RANKS='$count' is no number of processes, 1 to 1024.  Stop." ]]
    done
    mkdir without
    ln -s "$BIN"/* without
    rm -f without/*.so
    line="there is no resq-openmpi.so and no resq-mpich.so beside the programs in $PWD/without"
    TOOLS=$PWD/without refused "RANKS=2: $line: they were built without an MPI (./setup --develop installs one; then make)" RANKS=2
    for where in pbs Slurm '' 'local slurm' 'ssh:' 'ssh:a,,b' 'ssh:-o' 'ssh:a b' "ssh:a'b" 'ssh:a;touch hit' ssh; do
        reason="is not local, slurm or ssh:HOST[,HOST..]"
        [[ $where != ssh:* ]] || reason="is not ssh:HOST[,HOST..], names as ssh has them"
        refused "ON=$where: $reason" ON="$where"
    done
    [ ! -e hit ]
    line="is not PATTERN CORES MEMORY TIME GPU [OPTION..], nor PATTERN here"
    for row in 'train' 'train x 1G - 0' 'train 0 1G - 0' 'train 1 1Q - 0' 'train 1 1G soon 0' 'train 1 1G - maybe' 'train 1' 'train here 1'; do
        printf '# mine\n\n* 1 - - 0\n%s\n' "$row" > table
        refused "ON=slurm: $PWD/table: line 4 $line: $row" ON=slurm RESOURCES="$PWD/table"
    done
    refused "ON=slurm: there is no table of resources '$PWD/absent'" ON=slurm RESOURCES="$PWD/absent"
    echo 'train 1 - - 0' > table
    refused "ON=slurm: $PWD/table: no line is for the stage check" ON=slurm RESOURCES="$PWD/table"
    echo 'ssh: connect to host away: No route to host' > reason
    refused "ON=ssh:one,away: away does not see $TREE or its folders as they are here (away: ssh's exit status 255; $(cat reason))" ON=ssh:one,away
    # A node whose file systems are its own.
    for f in sbatch ssh; do
        sed -i '2i for a; do case $a in *.job*) a=${a//\\x27/}; sed -i "s|^cd .*|cd /nowhere \\|\\| exit|" "$a"; last=$a ;; esac; done' "$FAKE/$f"
    done
    run --separate-stderr study "$PWD/results" DATASETS="$PWD/data" DATA=images ON=slurm train
    [[ ${stderr_lines[0]} == "check-study: ON=slurm: a node does not see $TREE or its folders as they are here (job 41: "*"; "*"/nowhere"*")" ]]
    echo 'sbatch: error: invalid partition specified: fast' > "$HERE/refuse"
    refused "ON=slurm: $(cat "$HERE/refuse")" ON=slurm
    fake sinfo 'echo "slurm_load_partitions: Unable to contact slurm controller (connect failure)" >&2; exit 1'
    refused "ON=slurm: slurm_load_partitions: Unable to contact slurm controller (connect failure)" ON=slurm
    rm "$FAKE/sinfo"
    type -P sinfo > /dev/null || refused "ON=slurm: there is no sinfo here: this is no machine of a Slurm cluster" ON=slurm
}

mpi_found() {
    command -v mpirun > /dev/null && compgen -G "$BIN/resq-*.so" | grep -qE 'resq-(openmpi|mpich)[.]so$'
}

@test "several processes a training: the same bytes here and in a job" {
    mpi_found || skip "no MPI here (Open MPI or MPICH, ./setup --develop)"
    cd "$BATS_TEST_TMPDIR/plain"
    mkdir images
    make_bin images/data_batch_1.bin 200 1
    make_bin images/test_batch.bin 20 2
    tiny=(DATASETS="$PWD/data" DATA="$PWD/images" WIDTH=2 EPOCHS=1 train)
    study "$PWD/one" "${tiny[@]}" > log 2>&1 || { cat log; return 1; }
    for where in local slurm; do
        study "$PWD/$where" RANKS=2 ON=$where "${tiny[@]}" > log 2>&1 || { cat log; return 1; }
        cmp {one,$where}/tiny/best_float_model.safetensors
        grep -q 'pipelines/ranks 2 train-fp32 ' log
    done
    grep -qx -- --ntasks=2 "$HERE/sbatch.args"
}

@test "a study's stages as jobs: the same bytes as here, on their threads" {
    cd "$BATS_TEST_TMPDIR/plain"
    mkdir images
    make_bin images/data_batch_1.bin 200 1
    make_bin images/test_batch.bin 40 2
    for where in local slurm ssh:one,two; do
        to=${where%:*}
        study "$PWD/$to" DATASETS="$PWD/data" DATA="$PWD/images" ON="$where" models > log 2>&1 || { cat log; return 1; }
        (cd "$to/tiny" && sha256sum ./*.safetensors) > "$to.sums"
        cmp local.sums "$to.sums"
    done
    grep -q -- 'train-fp32 .* -j $THREADS ' slurm/tiny/.work/on/train.log
    [ ! -e local/tiny/.work/on ]
    [ ! -e slurm/tiny/.work/on/fuse.log ]
    grep -q 'calibrate' ssh/tiny/.work/on/calibrate.log
    # Begun there, it is gone on with here.
    run study "$PWD/slurm" DATASETS="$PWD/data" DATA="$PWD/images" models
    run ! grep -q train-fp32 <<< "$output"
}
