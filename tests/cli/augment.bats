#!/usr/bin/env bats
# augment: a filter of batches; its bytes depend on seed, epoch, index and options alone.
# shellcheck disable=SC2154 # bats sets stderr and stderr_lines

load helpers

AUGMENT="$BIN/augment"
ALL="--crop 4 --pad reflect --flip 0.5 --jitter 0.4,0.4,0.4,0.1 --rotation 15 --cutout 8"

setup() {
    cd "$BATS_TEST_TMPDIR" || return
}

setup_file() {
    export SHARED="$BATS_FILE_TMPDIR"
    make_bin "$SHARED/one.bin" 150 1
    "$BIN/cifar-load" -d "$SHARED/one.bin" --shuffle --epochs 2 -b 64 -o "$SHARED/in.batches"
}

fails() { # REASON INPUT augment's arguments..: status 1, one line, nothing left behind
    local reason=$1 input=$2
    shift 2
    # shellcheck disable=SC2016 # the inner shell's
    run --separate-stderr timeout 60 bash -c '"$@" < "$0" > /dev/null' "$input" "$AUGMENT" "$@"
    [ "$status" -eq 1 ] || { echo "status $status: $stderr"; return 1; }
    [ "${#stderr_lines[@]}" -eq 1 ]
    [[ $stderr == "augment: "*"$reason"* ]] || { echo "got: $stderr"; return 1; }
}

misuse() {
    local reason=$1
    shift
    run --separate-stderr "$AUGMENT" "$@" < /dev/null
    [ "$status" -eq 2 ]
    [ -z "$output" ]
    [[ ${stderr_lines[0]} == *"$reason"* ]] || { echo "got: $stderr"; return 1; }
}

header() { # FILE: of its first record
    head -c $((8 + $(od -An -tu8 -N8 "$1"))) "$1" | tail -c +9
}

# The images' bytes of the first record: data of 64-byte aligned tensors, indices (64 x 8) first.
images() {
    tail -c +$((9 + $(od -An -tu8 -N8 "$1") + 512)) "$1" | head -c $((64 * 3072))
}

@test "the same bytes for any number of threads, for a pipe and a file, and however slowly it drips" {
    # shellcheck disable=SC2086
    "$AUGMENT" $ALL -j 1 < "$SHARED/in.batches" > a
    for j in 2 3; do
        # shellcheck disable=SC2086
        "$AUGMENT" $ALL -j $j -o b < "$SHARED/in.batches"
        cmp a b
    done
    # shellcheck disable=SC2086
    dd if="$SHARED/in.batches" bs=997 status=none | "$AUGMENT" $ALL | cat > c
    cmp a c
}

@test "nothing asked is nothing changed but the lineage" {
    "$AUGMENT" < "$SHARED/in.batches" > a
    cmp <(images a) <(images "$SHARED/in.batches")
    header a | grep -qF '\naugment '"$VERSION"' brightness=0 contrast=0 crop=0 cutout=0 flip=0 flip-alternate=0 hue=0 pad=zero rotation=0 saturation=0 seed=1"'
    diff <(header a | grep -o '"dataset.*"epoch":"0"') <(header "$SHARED/in.batches" | grep -o '"dataset.*"epoch":"0"')
}

@test "everything changes images, by seed and by epoch" {
    # shellcheck disable=SC2086
    "$AUGMENT" $ALL -s 1 < "$SHARED/in.batches" > a
    # shellcheck disable=SC2086
    "$AUGMENT" $ALL -s 2 < "$SHARED/in.batches" > b
    run cmp -s <(images a) <(images "$SHARED/in.batches")
    [ "$status" -eq 1 ]
    run cmp -s <(images a) <(images b)
    [ "$status" -eq 1 ]
}

@test "batch size and order do not matter to an image" {
    # shellcheck disable=SC2086
    "$BIN/cifar-load" -d "$SHARED/one.bin" -b 64 | "$AUGMENT" $ALL > a
    # shellcheck disable=SC2086
    "$BIN/cifar-load" -d "$SHARED/one.bin" -b 64 -n 64 | "$AUGMENT" $ALL > b
    cmp <(images a) <(images b)
}

@test "--jitter is the four at once" {
    "$AUGMENT" --jitter 0.1,0.2,0.3,0.05 < "$SHARED/in.batches" > a
    "$AUGMENT" --brightness 0.1 --contrast 0.2 --saturation 0.3 --hue 0.05 < "$SHARED/in.batches" > b
    cmp a b
}

@test "--flip-alternate: what one epoch mirrors, the next does not" {
    "$BIN/cifar-load" -d "$SHARED/one.bin" -b 64 -n 64 -o even
    "$BIN/cifar-load" -d "$SHARED/one.bin" -b 64 -n 64 --epochs 2 --from 1 -o odd
    cmp <(images even) <(images odd)
    "$AUGMENT" --flip 1 --flip-alternate < even > a
    "$AUGMENT" --flip 1 < even > b
    cmp <(images a) <(images b)
    "$AUGMENT" --flip 1 --flip-alternate < odd > a
    cmp <(images a) <(images odd)
    misuse "--flip-alternate goes with --flip" --flip-alternate
}

@test "broken streams: one line, exit 1, no file" {
    fails "stdin: empty input" /dev/null -o out
    head -c 100000 "$SHARED/in.batches" > cut.batches
    fails "stdin: truncated stream after 0 records" cut.batches -o out
    first=$((8 + $(od -An -tu8 -N8 "$SHARED/in.batches") + 64 * (3072 + 8 + 1)))
    head -c $first "$SHARED/in.batches" > cut.batches
    fails "stdin: truncated stream after 1 record" cut.batches -o out
    cat "$SHARED/in.batches" "$SHARED/in.batches" > twice
    fails "after the end record" twice -o out
    (cat "$SHARED/in.batches"; echo) > surplus
    fails "stdin: " surplus -o out
    tail -c +$((first + 1)) "$SHARED/in.batches" > late
    fails "stdin: position" late -o out
    "$BIN/cifar-load" -d "$SHARED/one.bin" -s 9 > other
    (head -c $first "$SHARED/in.batches"; cat other) > crossed
    fails "stdin: " crossed -o out
    [ "$(find . -name 'out*')" = "" ]
}

@test "every 61st cut of a stream is noticed" {
    "$BIN/cifar-load" -d "$SHARED/one.bin" -n 1 -o small
    size=$(stat -c %s small)
    for ((cut = 0; cut < size; cut += 61)); do
        run "$AUGMENT" --flip 1 < <(head -c "$cut" small) > /dev/null
        [ "$status" -eq 1 ]
    done
}

@test "an upstream that dies is noticed" {
    run bash -c "set -o pipefail; ('$BIN/cifar-load' -d '$SHARED/one.bin' -n 50 | head -c 50000) | '$AUGMENT' -o out"
    [ "$status" -eq 1 ]
    [[ $output == *"augment: stdin: truncated stream after 0 records"* ]]
    [ ! -e out ]
}

@test "misuse" {
    misuse "--flip" --flip 1.5
    misuse "--flip" --flip nan
    misuse "--crop" --crop 257
    misuse "--pad: 'edge' is not one of zero|reflect" --pad edge
    misuse "--jitter: want four numbers" --jitter 1,2,3
    misuse "--jitter: want four numbers" --jitter 1,2,3,0.1,5
    misuse "--jitter: '0.7'" --jitter 1,2,3,0.7
    misuse "--jitter goes with none" --jitter 1,1,1,0 --hue 0.1
    misuse "--rotation" --rotation 181
    misuse "--threads" -j 0
}

# ---- mixed images ----

@test "mixed images have the same bytes for any number of threads and pipes" {
    for mix in "--cutmix 0.5" "--mixup 0.4" "--ricap 0.3"; do
        # shellcheck disable=SC2086
        "$AUGMENT" --crop 4 $mix -j 1 < "$SHARED/in.batches" > a
        # shellcheck disable=SC2086
        "$AUGMENT" --crop 4 $mix -j 3 < "$SHARED/in.batches" > b
        cmp a b
        run cmp -s <(images a) <("$AUGMENT" --crop 4 < "$SHARED/in.batches" | { cat > c; images c; })
        [ "$status" -eq 1 ]
        header a | grep -qF '"labels2":{"dtype":"U8","shape":[64,'
        header a | grep -qF '"share":{"dtype":"F32","shape":[64,'
    done
}

@test "one kind of mixing at a time, and once" {
    misuse "of --cutmix, --mixup and --ricap only one goes" --cutmix 0.5 --mixup 1
    "$AUGMENT" --cutmix 1 < "$SHARED/in.batches" > mixed
    fails "labels2: the images are mixed already" mixed --ricap 0.3
    "$AUGMENT" --flip 1 < mixed > flipped # what needs no label goes on
    header flipped | grep -qF '"labels2"'
}

@test "who needs an image's one label refuses mixed images" {
    "$BIN/train-fp32" --width 2 --epochs 0 -o m.st
    "$AUGMENT" --mixup 1 < "$SHARED/in.batches" > mixed
    for program in "evaluate -m m.st" "train-fp32 --width 2 --epochs 2 --validate mixed -o n.st"; do
        # shellcheck disable=SC2086
        run --separate-stderr bash -c '"$@" < mixed > /dev/null' _ "$BIN"/$program
        [ "$status" -eq 1 ]
        [ "${#stderr_lines[@]}" -eq 1 ]
        [[ $stderr == *"mixed: labels2: mixed images (augment --cutmix, --mixup, --ricap) have no one label"* ||
            $stderr == *"stdin: labels2: mixed images"* ]] || { echo "got: $stderr"; return 1; }
    done
    [ ! -e n.st ]
}

@test "training on mixed images: the same bytes for any number of threads, and stopped and resumed" {
    "$AUGMENT" --cutmix 0.8 < "$SHARED/in.batches" > mixed
    "$BIN/train-fp32" --width 2 --epochs 2 -b 32 -j 1 -q -o a.st < mixed
    "$BIN/train-fp32" --width 2 --epochs 2 -b 32 -j 2 -q -o b.st < mixed
    cmp a.st b.st
    head -c 600000 mixed > cut
    run "$BIN/train-fp32" --width 2 --epochs 2 -b 32 -q --checkpoint c --checkpoint-every 1 -o d.st < cut
    [ "$status" -eq 1 ]
    "$BIN/train-fp32" --width 2 --epochs 2 -b 32 -q --checkpoint c --resume -o d.st < mixed
    cmp a.st d.st
    "$AUGMENT" < "$SHARED/in.batches" | "$BIN/train-fp32" --width 2 --epochs 2 -b 32 -q -o plain.st
    run cmp -s a.st plain.st
    [ "$status" -eq 1 ]
    "$BIN/inspect" made-by a.st | grep -q 'cutmix=0.8'
}
