#!/usr/bin/env bats
# The command line that all tools share: help, version, misuse. Every tool in $BIN is held to it.

load helpers

TOOLS="cifar-load augment train-fp32 fuse calibrate quantize reconstruct qat-finetune evaluate bench plot inspect report emit-c plan analyse allot"

@test "--help goes to standard output, names the tool, ends with the exit statuses, fits 120 columns" {
    for tool in $TOOLS; do
        run --separate-stderr "$BIN/$tool" --help
        [ "$status" -eq 0 ]
        [ -z "$stderr" ]
        [[ ${lines[0]} == "Usage: $tool "* ]]
        [[ ${lines[-1]} == "Exit status: 0"* ]]
        [ "$(awk 'length > 120' <<<"$output" | wc -l)" -eq 0 ]
    done
}

@test "--version prints name and version on standard output" {
    for tool in $TOOLS; do
        run --separate-stderr "$BIN/$tool" --version
        [ "$status" -eq 0 ]
        [ -z "$stderr" ]
        [[ ${lines[0]} =~ ^$tool\ \(resq\)\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
    done
}

@test "help to a full disk fails" {
    for tool in $TOOLS; do
        run bash -c "'$BIN/$tool' --help > /dev/full"
        [ "$status" -eq 1 ]
        [[ ${lines[-1]} == "$tool: stdout: write error: No space left on device" ]]
    done
}

misuse() { # tool arguments..: exit 2, nothing on stdout, a reason and the hint
    run --separate-stderr "$BIN/$1" "${@:2}" < /dev/null
    [ "$status" -eq 2 ] || { echo "status $status: $*: $stderr"; return 1; }
    [ -z "$output" ]
    [ "${#stderr_lines[@]}" -eq 2 ]
    [[ ${stderr_lines[0]} == "$1: "* ]]
    [ "${stderr_lines[1]}" = "Try '$1 --help' for more information." ]
}

@test "unknown options, missing arguments and surplus operands are misuse" {
    for tool in $TOOLS; do
        misuse "$tool" --no-such-option
        [[ ${stderr_lines[0]} == *"--no-such-option"* ]]
        misuse "$tool" -Z
        misuse "$tool" -o
        misuse "$tool" a b c d e f g h i j k l m n o p q r s t u v w x y z a b c d e f g h i j
    done
}

@test "numbers are parsed whole and in range" {
    for value in -1 12abc 1e9999 '' ' 3' 0x10 99999999999999999999; do
        misuse cifar-load -b "$value"
        misuse train-fp32 --epochs "$value"
        misuse augment -j "$value"
    done
    misuse cifar-load -b 0
    misuse augment --flip 1.5
    misuse augment --flip nan
    misuse augment --pad sideways
    [[ ${stderr_lines[0]} == *"zero|reflect"* ]]
}

@test "a letter means one thing in every tool" {
    for tool in $TOOLS; do "$BIN/$tool" --help; done |
        sed -nE 's/^  -(.), --([a-z-]+).*/\1 \2/p' | sort -u > "$BATS_TEST_TMPDIR/letters"
    [ -s "$BATS_TEST_TMPDIR/letters" ]
    [ -z "$(cut -d' ' -f1 "$BATS_TEST_TMPDIR/letters" | uniq -d)" ]
}

# closed FD TOOL STDIN ARGUMENTS..: in an empty folder, with that descriptor closed; sets status and errors.
closed() {
    local fd=$1 tool=$2 input=$3
    rm -rf work
    mkdir work
    status=0
    case $fd in
    0) (cd work && exec "$BIN/$tool" "${@:4}" <&- > ../output 2> ../errors) || status=$? ;;
    1) (cd work && exec "$BIN/$tool" "${@:4}" < "$input" >&- 2> ../errors) || status=$? ;;
    2) (cd work && exec "$BIN/$tool" "${@:4}" < "$input" > ../output 2>&-) || status=$? ;;
    *) (cd work && exec "$BIN/$tool" "${@:4}" < "$input" > ../output 2> ../errors) || status=$? ;;
    esac
}

@test "a closed standard stream is no file's: outputs are the same, and who needs it fails" {
    cd "$BATS_TEST_TMPDIR"
    "$TREE/tests/faults/inputs" IN
    export RESQ_PLOTS=$TREE/plots
    local name input tool line words fd seen=''
    while read -r name input tool line; do
        [[ $name == '#'* ]] && continue
        seen+=" $tool "
        read -ra words <<< "${line//IN\//$PWD/IN/}"
        input=${input/#IN\//$PWD/IN/} input=${input/#-//dev/null}
        closed none "$tool" "$input" "${words[@]}"
        local usual=$status
        rm -rf want && mv work want && mv output want-output && : > output
        for fd in 0 1 2; do
            closed $fd "$tool" "$input" "${words[@]}"
            if [[ $fd == 0 && $input != /dev/null ]] || [[ $fd == 1 && -s want-output ]]; then
                echo "$name without $fd: status $status: $(< errors)"
                [ "$status" -eq 1 ] && [ "$(wc -l < errors)" -eq 1 ] && [[ $(< errors) == "$tool: std"*": Bad file descriptor" ]]
                [[ ! -e work/out && ! -e work/out.png ]]
            else
                [ "$status" -eq "$usual" ] || { echo "$name without $fd: status $status: $(< errors)"; return 1; }
                rm -f {work,want}/{checkpoint,log,times} # hold times
                diff -r work want
                cmp output <([[ $fd == 1 ]] || cat want-output)
            fi
        done
    done < "$TREE/tests/faults/runs"
    for tool in $TOOLS; do [[ $seen == *" $tool "* ]]; done
}

@test "a program says the name that it was called by: in help, examples, version and messages; records say its own" {
    mkdir "$BATS_TEST_TMPDIR/installed"
    cd "$BATS_TEST_TMPDIR/installed"
    for tool in $TOOLS; do
        ln -s "$BIN/$tool" "resq-$tool"
        run --separate-stderr "./resq-$tool" --help
        [[ ${lines[0]} == "Usage: resq-$tool "* ]]
        # No command line, its own or another's, without the prefix.
        run ! grep -E "(  |\| |<\()(${TOOLS// /|}) " <<< "$output"
        run --separate-stderr "./resq-$tool" --version
        [[ ${lines[0]} == "resq-$tool (resq) "* ]]
        run --separate-stderr "./resq-$tool" --no-such-option
        [[ ${stderr_lines[0]} == "resq-$tool: "* ]]
        [ "${stderr_lines[1]}" = "Try 'resq-$tool --help' for more information." ]
        run --separate-stderr bash -c 'exec -a "" "$1" --no-such-option' - "$BIN/$tool"
        [[ ${stderr_lines[0]} == "$tool: "* ]]
    done
    ./resq-train-fp32 --width 2 --epochs 0 -o float < /dev/null
    ./resq-fuse -m float -o fused
    [ "$(./resq-inspect made-by fused | cut -d ' ' -f 1 | xargs)" = "train-fp32 fuse" ]
    run --separate-stderr ./resq-evaluate -m absent < /dev/null
    [[ $stderr == "resq-evaluate: absent: "* ]]
}
