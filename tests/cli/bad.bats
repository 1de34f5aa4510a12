#!/usr/bin/env bats
# Malformed records: tests/bad holds one a rule, named after it (made by tests/bad/make.py).
# shellcheck disable=SC2154 # bats sets stderr and stderr_lines

load helpers

BAD="$BATS_TEST_DIRNAME/../bad"

# One line, exit 1, nothing on standard output, within 50 ms of a processor, no control character.
refused() { # file
    local took limit=50000 # of a processor: others may use it too
    [ -z "$SANITIZE" ] || limit=1000000
    TIMEFORMAT='%U %S'
    took=$({ time timeout 60 "$BIN/inspect" check "$1" > /dev/null 2>&1; } 2>&1 | awk '{ print int(($1 + $2) * 1e6) }')
    run --separate-stderr timeout 60 "$BIN/inspect" check "$1"
    [ "$status" -eq 1 ] || { echo "$1: status $status: $stderr"; return 1; }
    [ -z "$output" ] || { echo "$1: printed: $output"; return 1; }
    [ "${#stderr_lines[@]}" -eq 1 ] || { echo "$1: lines: $stderr"; return 1; }
    [[ $stderr == "inspect: $1: "?* ]] || { echo "$1: line: $stderr"; return 1; }
    [[ ! $stderr =~ [[:cntrl:]] ]] || { echo "$1: control characters"; return 1; }
    [ "$took" -lt $limit ] || { echo "$1: took $took us"; return 1; }
}

@test "every malformed record is refused with one line" {
    local count=0 file
    for file in "$BAD"/*.safetensors; do
        refused "$file"
        count=$((count + 1))
    done
    [ "$count" -ge 60 ]
}

reason() { # file, reason
    run --separate-stderr "$BIN/inspect" check "$BAD/$1.safetensors"
    [[ $stderr == *": $2" ]] || { echo "$1: $stderr"; return 1; }
}

@test "the reason names tensors, fields, offsets and limits" {
    reason empty-input "empty input"
    reason length-2-to-the-64-less-1 "header length 18446744073709551615 at offset 0 exceeds limit 16777216"
    reason data-cut "truncated stream after 0 records, at offset 71"
    reason data-surplus "surplus bytes after the record, from offset 72 on"
    reason offsets-overlap "a and b overlap at offset 3 of the data"
    reason offsets-hole "a and b: hole of 2 bytes between them, at offset 4 of the data"
    reason offsets-too-few-bytes "a: data_offsets [0,3] hold 3 bytes, U8[4] needs 4"
    reason shape-overflows-64-bits "a: shape overflows"
    reason key-twice "header is not valid JSON: duplicate object key near '\"a\"' (byte 56 of the header)"
    reason format-of-the-future "metadata format: 'resq 2' is not supported, want 'resq 1'"
    reason rank-9 "a: rank 9 exceeds limit 8"
    reason name-with-escape-codes "$(printf '%s' '?[2J?]0;title??: unknown type '"'U4'"', supported are BOOL U8 I8 U16 I16 F16 BF16 U32 I32 F32 U64 I64 F64')"
    reason stream-without-end "truncated stream after 2 records: no end record"
    reason stream-cut-in-a-batch "truncated stream after 1 record, at offset 10167"
    reason stream-with-wrong-count "record 3: field images: end record says 4, the stream held 3"
    reason stream-with-bytes-after-end "surplus bytes after the record, from offset 9883 on"
    reason model-without-its-weights "fc.weight: missing tensor"
}

@test "a reason survives a name of any length" {
    run --separate-stderr "$BIN/inspect" check "$BAD/name-of-64-KiB-with-bad-type.safetensors"
    [[ $stderr == *"nnn: unknown type 'U4', supported are "* ]]
    [ "${#stderr}" -lt 1100 ]
}

@test "no lying size costs memory" {
    [ -z "$SANITIZE" ] || skip "a sanitizer reserves address space"
    local file
    for file in "$BAD"/{length,data-promised,shape}*.safetensors; do
        run bash -c "ulimit -v 300000; exec '$BIN/inspect' check '$file'"
        [ "$status" -eq 1 ]
        [[ $output != *"memory exhausted"* ]] || { echo "$file: $output"; return 1; }
        run bash -c "ulimit -v 300000; cat '$file' | '$BIN/inspect' check"
        [ "$status" -eq 1 ]
        [[ $output != *"memory exhausted"* ]] || { echo "$file: $output"; return 1; }
    done
}

@test "every cut of a whole stream is refused, from a file and through a pipe" {
    local whole=$BATS_TEST_TMPDIR/whole cut=$BATS_TEST_TMPDIR/cut size at
    head -c -1 "$BAD/stream-with-bytes-after-end.safetensors" > "$whole"
    "$BIN/inspect" check "$whole"
    size=$(stat -c %s "$whole")
    for ((at = 0; at < size; at += at < 200 ? 13 : 317)); do
        head -c "$at" "$whole" > "$cut"
        refused "$cut"
        run bash -c "head -c $at '$whole' | '$BIN/inspect' check"
        [ "$status" -eq 1 ]
        [[ $output == "inspect: stdin: "* ]]
    done
}

# A file of another kind is named by every program that reads a record, from a file and from a pipe, and how to convert it is said.
@test "a file of another kind is named" {
    cd "$BATS_TEST_TMPDIR"
    python3 - <<'PY'
import gzip, tarfile, zipfile
with zipfile.ZipFile("a.pth", "w") as z:
    z.writestr("a/data.pkl", "x"), z.writestr("a/version", "3")
with zipfile.ZipFile("a.npz", "w") as z:
    z.writestr("conv1.weight.npy", "x")
open("lfs.st", "w").write("version https://git-lfs.github.com/spec/v1\noid sha256:" + 64 * "a" + "\nsize 44700000\n")
open("page.st", "w").write("<!DOCTYPE html>\n<html><body>not found</body></html>\n")
open("some.tsv", "w").write("epoch\tstep\n")
gzip.GzipFile("a.gz", "wb", mtime=0).write(b"x" * 5000)
with tarfile.open("a.tar", "w") as t:
    t.add("some.tsv")
PY
    named() { # FILE TEXT
        local file=$1 want=$2
        shift 2
        for program in "evaluate -m $file" "fuse -m $file" "bench -m $file" "emit-c -m $file" "inspect check $file" "calibrate -m $file" \
            "quantize -m $file -r $file" "train-fp32 --init $file --epochs 0" "qat-finetune --epochs 0 -m $file -r $file"; do
            # shellcheck disable=SC2086
            run --separate-stderr "$BIN"/$program < /dev/null
            [ "$status" -eq 1 ] && [ "${#stderr_lines[@]}" -eq 1 ] && [ -z "$output" ]
            [[ $stderr == "${program%% *}: $file: $want"* ]] || { echo "$program: $stderr"; return 1; }
        done
        run --separate-stderr bash -c "cat $file | '$BIN/train-fp32' -o out"
        [[ $stderr == "train-fp32: stdin: $want"* ]] || { echo "$stderr"; return 1; }
    }
    named a.pth "is a PyTorch file (.pth, .pt): save its state_dict as safetensors, in Python: import torch;"
    named a.npz "is a numpy archive (.npz): save it as safetensors, in Python: import numpy;"
    named lfs.st "is a git-lfs pointer, not the file itself: run git lfs pull"
    named page.st "is a web page, not a record"
    named some.tsv "is a text file, not a record"
    named a.gz "is compressed by gzip, not a record: unpack it first"
    named a.tar "is a tar archive, not a record: unpack it first"
}
