# shellcheck shell=bash
# The one line of a study: which stage, how far, how long. A program that knows how far it is shows it itself (base/progress.h),
# on a terminal and in a file that `make status` reads (pipelines/status); this passes it what it cannot know. A stage leaves
# NAME.began while it runs, with that line in it, and NAME.ms, its milliseconds, when it is over.

# In the order in which each waits for those before it, where it waits.
STAGE_NAMES=(train fuse calibrate quantize finetune evaluate-float evaluate-ptq evaluate-qat bench report)

# stage_later WORK NAME 'STAGE:SECONDS..': sets `later` to the seconds that the stages planned after or beside this one will take,
# or to nothing where none are planned.
stage_later() {
    local pair stage after=0
    later=
    for pair in $3; do
        stage=${pair%%:*}
        later=${later:-0}
        if [[ $2 == report && $stage == rest ]]; then
            continue
        elif [[ $stage == "$2" ]]; then
            after=1
        elif [[ ! -e $1/$stage.ms ]] || { ((after)) && [[ ! $1/$stage.ms -nt $1/$2.began ]]; }; then
            later=$((later + ${pair#*:}))
        fi
    done
}

clock() { # SECONDS: sets `clocked`, as 9:05 or 1:02:03
    if (($1 >= 3600)); then
        printf -v clocked '%d:%02d:%02d' $(($1 / 3600)) $(($1 / 60 % 60)) $(($1 % 60))
    else
        printf -v clocked '%d:%02d' $(($1 / 60)) $(($1 % 60))
    fi
}

stage_begin() { # WORK NAME 'STAGE:SECONDS..' COMMAND
    local number=0 left='' i
    mkdir -p "$1"
    rm -f "$1/$2.ms"
    : > "$1/$2.began"
    stage_later "$1" "$2" "$3"
    for i in "${!STAGE_NAMES[@]}"; do
        [[ ${STAGE_NAMES[i]} != "$2" ]] || number=$((i + 1))
    done
    RESQ_PROGRESS_STAGE=
    ((!number)) || RESQ_PROGRESS_STAGE="[$number/${#STAGE_NAMES[@]} $2] "
    RESQ_PROGRESS_LATER=$later RESQ_PROGRESS=$1/$2.began
    [[ $RESQ_PROGRESS == /* ]] || RESQ_PROGRESS=$PWD/$RESQ_PROGRESS
    export RESQ_PROGRESS RESQ_PROGRESS_STAGE RESQ_PROGRESS_LATER
    if [[ -t 2 ]]; then
        [[ -z $later ]] || { clock "$later" && left="; about $clocked of the study after it"; }
        printf '\r\033[K%s\n' "$4"
        printf '%s%s' "${RESQ_PROGRESS_STAGE:-$2 }" "runs$left" >&2
    else
        printf '%s\n' "$4"
    fi
    stage_start=${EPOCHREALTIME/./}
}

stage_end() { # WORK NAME
    local ms=$(((${EPOCHREALTIME/./} - stage_start) / 1000))
    echo "$ms" > "$1/$2.ms"
    rm -f "$1/$2.began"
    [[ ! -t 2 ]] || printf '\r\033[K' >&2
    [[ -n $RESQ_PROGRESS_STAGE && -n $RESQ_PROGRESS_LATER ]] || return 0
    clock $((ms / 1000))
    printf '%stook %s' "$RESQ_PROGRESS_STAGE" "$clocked"
    clock "$RESQ_PROGRESS_LATER"
    printf ', about %s of the study left\n' "$clocked"
}
