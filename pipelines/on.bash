# shellcheck shell=bash
# A file system that machines share shows what one of them wrote to the others some seconds later. What was seen on one is waited for
# on the other: by size and second of change.
WAIT=${RESQ_ON_WAIT:-120} # seconds; an attribute is believed for 60 at most (NFS)

# Those words of a command that are files, a line each.
files_of() { # COMMAND
    local word words
    read -r -d '' -a words <<< "$1" || true
    for word in "${words[@]}"; do
        word=${word%;}
        [[ $word != -*=* ]] || word=${word#*=} # --graph=FILE
        [[ ! -f $word ]] || echo "$word"
    done
}

seen() { # reads names, writes SIZE TIME NAME
    local name
    while IFS= read -r name; do
        stat -L -c '%s %Y %n' -- "$name" || true
    done
}

# Until every line of a file by `seen` is true here; says which is not.
wait_seen() { # FILE
    local line now end=$((SECONDS + WAIT))
    while IFS= read -r line; do
        while now=$(stat -L -c '%s %Y %n' -- "${line#* * }" 2> /dev/null) || true && [[ $now != "$line" ]]; do
            ((SECONDS < end)) || { printf '%s\n' "${line#* * }" && return 1; }
            sleep 0.5
        done
    done < "$1"
}
