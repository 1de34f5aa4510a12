# shellcheck shell=bash
# A Slurm of this machine's own, of two nodes that are both it: munged, slurmctld and two slurmd, in a folder, as whoever runs this,
# on ports that nobody else has. Nothing of an installed one is read or changed.

# Ports that were free a moment ago, as many as asked for.
free_ports() { # COUNT
    python3 -c 'import socket, sys
held = [socket.socket() for _ in range(int(sys.argv[1]))]
for s in held: s.bind(("127.0.0.1", 0))
print(*[s.getsockname()[1] for s in held])' "$1"
}

slurm_config() { # FOLDER: slurm.conf in it
    local ports host user
    read -r -a ports <<< "$(free_ports 3)"
    host=$(uname -n) user=$(id -un)
    cat > "$1/slurm.conf" <<END
ClusterName=resq
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=${ports[0]}
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
AuthInfo=socket=$1/munge.socket
StateSaveLocation=$1/state
SlurmdSpoolDir=$1/%n
SlurmctldPidFile=$1/slurmctld.pid
SlurmdPidFile=$1/%n.pid
SlurmctldLogFile=$1/slurmctld.log
SlurmdLogFile=$1/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=2
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=2
MaxArraySize=1
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=${ports[1]} CPUs=8 RealMemory=64000
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=${ports[2]} CPUs=8 RealMemory=64000
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
END
}

PIDS=() # of the daemons
slurm_start() { # FOLDER: exports SLURM_CONF
    local node i
    export PATH=$PATH:/usr/sbin SLURM_CONF=$1/slurm.conf
    slurm_config "$1"
    mkdir -p "$1/state" "$1/n1" "$1/n2"
    (umask 077 && head -c 64 /dev/urandom > "$1/munge.key")
    munged --foreground --force --socket="$1/munge.socket" --key-file="$1/munge.key" --pid-file="$1/munged.pid" \
        --log-file="$1/munged.log" --seed-file="$1/munge.seed" > "$1/munged.out" 2>&1 &
    PIDS+=($!)
    for ((i = 0; i < 100; i++)); do
        [[ ! -S $1/munge.socket ]] || break
        sleep 0.1
    done
    slurmctld -D > "$1/slurmctld.out" 2>&1 &
    PIDS+=($!)
    for node in n1 n2; do
        slurmd -D -N "$node" > "$1/$node.out" 2>&1 &
        PIDS+=($!)
    done
    for ((i = 0; i < 300; i++)); do
        [[ $(sinfo -h -N -o %T 2> /dev/null | sort -u) != idle ]] || return 0
        sleep 0.2
    done
    echo "slurm does not start:"
    tail -n 5 "$1"/*.log "$1"/*.out
    return 1
}

# Jobs, then daemons, then what of both does not end by itself: none is left.
slurm_stop() { # FOLDER
    local pid file i
    if ((${#PIDS[@]})); then
        for ((i = 0; i < 50; i++)); do
            scancel -u "$(id -un)" 2> /dev/null || true
            [[ -n $(squeue -h 2> /dev/null) ]] || break
            sleep 0.3
        done
    fi
    for pid in "${PIDS[@]}"; do
        kill "$pid" 2> /dev/null || true
    done
    for pid in "${PIDS[@]}"; do
        timeout 10 tail --pid="$pid" -f /dev/null || kill -KILL "$pid" 2> /dev/null || true
    done
    for file in /proc/[0-9]*/environ; do
        pid=${file//[!0-9]/}
        ! grep -qszx "SLURM_CONF=$1/slurm.conf" "$file" || ((pid == $$)) || kill -KILL "$pid" 2> /dev/null || true
    done
    PIDS=()
}
