#!/usr/bin/env bats
# emit-c: a network as one C file; what it computes is what evaluate computes.
# shellcheck disable=SC2154 # bats sets status, output, stderr and stderr_lines

load helpers
load models

STRICT="-std=c99 -Wall -Wextra -pedantic -Werror"

setup_file() {
    make_models
    "$BIN/quantize" -m fused.st -r ranges.st -q -o int8.st
    "$BIN/quantize" -m fused.st -r ranges.st -q --weight-bits 3 --activation-bits 4 --match off -o low.st
    "$BIN/quantize" -m fused.st -r ranges.st -q --keep-float 'layer2*' -o mixed.st
    "$BIN/train-fp32" --graph "$TREE/tests/cli/ops.net" --epochs 0 -q -o ops.st
    for how in openvino onnxruntime; do
        "$BIN/fuse" -m ops.st --for $how -o ops-$how.st
        "$BIN/calibrate" -m ops-$how.st -q -o ops-r-$how.st < all.b
        "$BIN/quantize" -m ops-$how.st -r ops-r-$how.st -q -o ops8-$how.st
    done
    "$BIN/quantize" -m ops-openvino.st -r ops-r-openvino.st -q --keep-float 'k*' -o ops-mixed.st
    for name in int8 low mixed fused model ops ops-openvino ops8-openvino ops8-onnxruntime ops-mixed; do
        RESQ_ISA=ref "$BIN/evaluate" -m $name.st -q --predictions $name.predictions -o /dev/null < all.b
        python3 "$TREE/tests/cli/emit_c.py" logits $name.predictions > $name.want
    done
    python3 "$TREE/tests/cli/emit_c.py" images all.b > all.images
    # Images on standard input, logits on standard output.
    cat > filter.c <<'C'
#include "net.h"
#include <stdio.h>
int main(void)
{
    static uint8_t image[NET_HEIGHT * NET_WIDTH * NET_CHANNELS];
    static float arena[NET_ARENA_BYTES / sizeof(float) + 1], logits[NET_CLASSES];
    while (fread(image, sizeof image, 1, stdin) == 1)
        if (net_run(image, logits, arena) < 0 || fwrite(logits, sizeof logits, 1, stdout) != 1)
            return 1;
    return 0;
}
C
}

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    G=$BATS_FILE_TMPDIR
    EMIT=$BIN/emit-c
}

needs() { # COMMAND..: a test without them is skipped
    local command
    for command; do
        command -v "$command" > /dev/null || skip "no $command here: ./setup --develop installs it"
    done
}

# same_logits NAME COMPILER FLAGS..: of IMAGES images, through a program around the network, and by its own test. RUN: what
# runs it.
same_logits() {
    local name=$1 count=${IMAGES:-200}
    "$EMIT" -m "$G/$name.st" -o net.c --header net.h
    # shellcheck disable=SC2086 # a list of words
    "${@:2}" -I. net.c "$G/filter.c" -o filter
    # shellcheck disable=SC2086
    head -c $((3072 * count)) "$G/all.images" | ${RUN-} ./filter > got
    head -c $((40 * count)) "$G/$name.want" | cmp got -
    [[ -z ${RUN-} ]] || return 0
    "${@:2}" -DNET_TEST net.c -o self
    [ "$(./self | tail -n 1)" = "10 of 10 images have the model's logits" ]
}

@test "gcc, -Werror: the logits of evaluate, whatever the network's numbers" {
    for name in int8 low mixed fused model; do
        # shellcheck disable=SC2086
        same_logits $name gcc $STRICT -O2
    done
}

@test "every op, float and int8, sums of both arithmetics: the logits of evaluate" {
    for name in ops ops-openvino ops8-openvino ops8-onnxruntime ops-mixed; do
        # shellcheck disable=SC2086
        same_logits $name gcc $STRICT -O2
    done
    for piece in max_codes mean_codes place_codes flatten_codes add_codes; do
        "$EMIT" -m "$G/ops8-openvino.st" -o net.c
        grep -q "    $piece(" net.c
    done
    "$EMIT" -m "$G/ops8-onnxruntime.st" -o net.c
    grep -q "    add_separate(" net.c
    for name in ops8-openvino ops8-onnxruntime; do # contracted, and undefined behaviour
        # shellcheck disable=SC2086
        same_logits $name gcc $STRICT -Ofast -march=native
        # shellcheck disable=SC2086
        IMAGES=20 same_logits $name gcc $STRICT -O1 -fsanitize=undefined,address -fno-sanitize-recover=all
    done
}

@test "clang, -Werror: the logits of evaluate" {
    needs clang
    for name in int8 mixed model; do
        # shellcheck disable=SC2086
        same_logits $name clang $STRICT -O2
    done
}

@test "tcc, -Werror: the logits of evaluate" {
    needs tcc
    for name in int8 mixed model; do
        # shellcheck disable=SC2086
        IMAGES=24 same_logits $name tcc $STRICT
    done
}

# Where a compiler may fuse products with sums, it does by default: on these, and on x86 with FMA.
elsewhere() { # TRIPLET QEMU
    needs "$1-gcc" "$2"
    for name in low mixed model; do
        # shellcheck disable=SC2086
        RUN="$2 -L /usr/$1" IMAGES=8 same_logits $name "$1-gcc" $STRICT -std=gnu99 -O3
    done
}

@test "aarch64: the logits of evaluate" { elsewhere aarch64-linux-gnu qemu-aarch64; }

@test "arm: the logits of evaluate" { elsewhere arm-linux-gnueabihf qemu-arm; }

@test "riscv64: the logits of evaluate" { elsewhere riscv64-linux-gnu qemu-riscv64; }

@test "fused multiply-adds and free options change nothing" {
    grep -qw fma /proc/cpuinfo || skip "this processor has no fused multiply-add"
    for name in mixed model; do
        same_logits $name gcc -O3 -mfma -ffp-contract=fast
    done
    same_logits int8 gcc -Ofast -march=native
    same_logits low gcc -Ofast -march=native
}

@test "undefined-behaviour and address sanitizers are silent" {
    for name in int8 mixed model; do
        IMAGES=24 same_logits $name gcc -O1 -fsanitize=undefined,address -fno-sanitize-recover=all
    done
}

@test "no library but memcpy and memcmp, nothing that is written, under 24 KiB of code" {
    for name in int8 low mixed; do
        "$EMIT" -m "$G/$name.st" -o net.c
        # shellcheck disable=SC2086
        gcc $STRICT -Os -c net.c
        [ -z "$(nm -u net.o | grep -vwE 'memcpy|memcmp|memset|_GLOBAL_OFFSET_TABLE_')" ]
        size -A net.o | awk '$1 == ".text" && $2 > 24 * 1024 || $1 == ".data" && $2 > 0 || $1 == ".bss" && $2 > 0 { exit 1 }'
        [ "$(nm net.o | awk '$2 ~ /[A-Z]/ && $2 != "U" { print $3 }' | xargs)" = "net_classes net_run" ]
    done
    run ! grep -wE 'malloc|static (u?int|float|double)[^(]*;' net.c
}

@test "full width: code and memory, the weights beside" {
    "$BIN/train-fp32" --width 64 --epochs 0 -o float
    "$BIN/fuse" -m float -o fused
    "$BIN/calibrate" -m fused -q -n 8 -o ranges < "$G/all.b"
    "$BIN/quantize" -m fused -r ranges -q -o int8
    mkdir out
    "$EMIT" -m int8 -o out/net.c
    [ "$(find out -type f -printf '%f\n' | sort | xargs)" = "net.bin net.c" ]
    cd out
    # shellcheck disable=SC2086
    gcc $STRICT -Os -DNET_TEST net.c -o self
    [ "$(./self | tail -n 1)" = "10 of 10 images have the model's logits" ]
    [ "$(awk '$2 == "NET_ARENA_BYTES" { print $3 }' net.c)" -le $((200 * 1024)) ]
    size -A self | awk '$1 == ".text" && $2 > 24 * 1024 { exit 1 }'
    "$BIN/quantize" -m ../fused -r ../ranges -q --weight-bits 4 --ends same --match off -o ../int4 2> /dev/null
    "$EMIT" -m ../int4 -o packed.c
    [ "$(stat -c %s packed.bin)" -lt $(($(stat -c %s net.bin) / 2 + 1024)) ]
    [ "$(awk '$2 == "NET_ARENA_BYTES" { print $3 }' packed.c)" -le $((200 * 1024)) ]
    fails "emit-c: int8: 11164352 bytes of weights: name a file for them: --weights FILE" bash -c "cd ..; '$EMIT' -m int8"
}

@test "the same bytes twice, to a file and to a pipe, wherever the files lie" {
    "$EMIT" -m "$G/int8.st" -o net.c
    "$EMIT" -m "$G/int8.st" | cmp - net.c
    mkdir -p some/where
    "$EMIT" -m "$G/int8.st" --weights some/where/w.bin --header some/where/n.h -o some/where/a.c
    "$EMIT" -m "$G/int8.st" --weights w.bin --header n.h -o b.c
    cmp some/where/a.c b.c
    cmp some/where/w.bin w.bin
    cmp some/where/n.h n.h
}

@test "weights beside: found, named, linked in, of another network" {
    "$EMIT" -m "$G/int8.st" --weights w.bin --header net.h -o net.c
    try() { # FLAGS..
        # shellcheck disable=SC2086
        gcc $STRICT -I. "$@" net.c "$G/filter.c" -o filter && ./filter < "$G/all.images" > got && cmp got "$G/int8.want"
    }
    try
    mkdir else
    mv w.bin else/it
    run ! try
    try -DNET_WEIGHTS='"else/it"'
    cp else/it net_weights
    ld -r -b binary -z noexecstack net_weights -o linked.o
    objcopy --redefine-sym _binary_net_weights_start=net_weights linked.o
    try -DNET_WEIGHTS_LINKED linked.o
    "$BIN/quantize" -m "$G/fused.st" -r "$G/ranges.st" -q --per-tensor -o other.st
    "$EMIT" -m other.st --weights w.bin -o other.c
    [ "$(stat -c %s w.bin)" -eq "$(stat -c %s else/it)" ]
    run try
    [ "$status" -ne 0 ]
    # shellcheck disable=SC2086
    gcc $STRICT -DNET_TEST net.c -o self
    run ./self
    [ "$status" -eq 1 ]
    [ "${lines[0]}" = "0: refused: not the model's logits" ]
    [ "${lines[-1]}" = "0 of 10 images have the model's logits" ]
    head -c 1000 else/it > w.bin
    run ! try
}

@test "two networks in one program" {
    "$EMIT" -m "$G/int8.st" --name first --header first.h -o first.c
    "$EMIT" -m "$G/mixed.st" --name Second_2 --header second.h -o second.c
    cat > both.c <<'C'
#include "first.h"
#include "second.h"
#include <stdio.h>
static uint8_t image[3072];
static float logits[10], arena[(FIRST_ARENA_BYTES + SECOND_2_ARENA_BYTES) / sizeof(float)];
int main(void)
{
    printf("%s %s\n", first_classes[first_run(image, logits, arena)], Second_2_classes[Second_2_run(image, logits, arena)]);
    return 0;
}
C
    # shellcheck disable=SC2086
    gcc $STRICT both.c first.c second.c -o both
    ./both | grep -qE '^[a-z]+ [a-z]+$'
    printf '#include "first.h"\nint main() { return first_classes[0] == 0; }\n' > cxx.cc
    ! command -v g++ > /dev/null || g++ -Wall -Wextra -c cxx.cc
}

@test "a self-test of given images; of fewer than ten; of other data" {
    "$BIN/cifar-load" -d "$G/d.bin" --split train -n 3 -o three
    "$EMIT" -m "$G/int8.st" --images three -o net.c
    gcc -DNET_TEST net.c -o self
    [ "$(./self | tail -n 1)" = "3 of 3 images have the model's logits" ]
    "$EMIT" -m "$G/int8.st" --images - -o again.c < three
    cmp again.c net.c
    fails "emit-c: $G/int8.st: is a model record, want a batch record" "$EMIT" -m "$G/int8.st" --images "$G/int8.st" -o out
    # A wrong bit is noticed.
    sed -i '/^static const uint32_t expected/{n;s/0x\(.\)/0x1/;s/{0x1/{0x2/}' net.c
    gcc -DNET_TEST net.c -o self
    run ./self
    [ "$status" -eq 1 ]
    [[ ${lines[0]} == "0: "*": not the model's logits" ]]
}

@test "class names and lineage that would be code are text" {
    # shellcheck disable=SC2016
    record_edit "$G/int8.st" hostile '
import json
names = ["a\"; int x; //", "*/ #error", "??/", "\\", "%s%n", "\u00e9\u202e1", "/*", "?????", "\"\\\"", "0" * 300]
meta["classes"] = json.dumps(names)
meta["made-by"] = "x */ int y; /*\n//\\\nfuse ??/\n*/\u202e\t#error\n"
'
    "$EMIT" -m hostile -o net.c --header net.h
    cat > names.c <<'C'
#include "net.h"
#include <stdio.h>
int main(void)
{
    int i;
    for (i = 0; i < NET_CLASSES; i++)
        puts(net_classes[i]);
    return 0;
}
C
    python3 - <<'PY'
names = ["a\"; int x; //", "*/ #error", "??/", "\\", "%s%n", "\u00e9\u202e1", "/*", "?????", "\"\\\"", "0" * 300]
open("want", "w", encoding="utf-8").write("".join(n + "\n" for n in names))
PY
    for compiler in gcc clang tcc; do
        command -v $compiler > /dev/null || continue
        # shellcheck disable=SC2086
        $compiler $STRICT names.c net.c -o names
        ./names | cmp - want
        # shellcheck disable=SC2086
        $compiler $STRICT -DNET_TEST net.c -o self
        ./self > /dev/null
    done
    record_edit "$G/int8.st" few 'import json; meta["classes"] = json.dumps(["a", "b"])'
    fails 'emit-c: few: classes: 2 names for 10 outputs' "$EMIT" -m few -o out
    record_edit "$G/int8.st" none 'del meta["classes"]'
    "$EMIT" -m none -o net.c
    grep -q '^    "9",$' net.c
}

@test "what no code is for is refused by its node's name" {
    cat > graph.txt <<'T'
x = input u8[32,32,3]
n = normalize x mean=0.5,0.5,0.5 std=0.2,0.2,0.2
wide = conv2d n out=6 kernel=3 pad=1 groups=3 bias relu
p = avgpool wide
fc = linear p out=10 bias
T
    "$BIN/train-fp32" --graph graph.txt --epochs 0 -o grouped 2> /dev/null || skip "no model with groups can be made"
    run --separate-stderr "$EMIT" -m grouped -o net.c
    [ "$status" -eq 0 ] || [[ $stderr == "emit-c: "*"wide: "* ]]
}

@test "a full disk, a limit on files: one line, and nothing under the name" {
    mkdir empty
    cd empty
    fails 'emit-c: stdout: write error: No space left on device' bash -c "'$EMIT' -m '$G/int8.st' > /dev/full"
    fails 'No space left on device' "$EMIT" -m "$G/int8.st" -o /dev/full
    fails 'emit-c: out: write error: File too large' bash -c "ulimit -f 1; '$EMIT' -m '$G/int8.st' -o out"
    fails 'emit-c: w: write error: File too large' bash -c "ulimit -f 1; '$EMIT' -m '$G/int8.st' --weights w -o out"
    [ -z "$(ls -A)" ]
    fails 'nowhere/h' "$EMIT" -m "$G/int8.st" --header nowhere/h -o out
    fails 'nowhere/w' "$EMIT" -m "$G/int8.st" --weights nowhere/w -o out
    [ -z "$(ls -A)" ]
}

@test "outputs are not each other's, nor the model" {
    cp "$G/int8.st" same
    fails 'same' "$EMIT" -m same -o same
    fails 'same' "$EMIT" -m same --header same -o out
    fails 'emit-c: out.h: is to be two of the files' "$EMIT" -m same --header out.h --weights out.h -o out
    fails 'emit-c: out: is to be two of the files' "$EMIT" -m same --weights out -o out
    cmp same "$G/int8.st"
    fails 'emit-c: none: ' "$EMIT" -m none -o out
    fails "is a ranges record, want a model record" "$EMIT" -m "$G/ranges.st" -o out
}

@test "misuse is status 2" {
    for arguments in "" "-m x --name 1a" "-m x --name a-b" "-m x --name ''" "-m x --name _a" "-m x operand"; do
        run --separate-stderr bash -c "'$EMIT' $arguments"
        [ "$status" -eq 2 ] || { echo "$arguments: $status"; return 1; }
        [ "${#stderr_lines[@]}" -eq 2 ]
    done
}

@test "the example: pictures through the one file, as evaluate sees them" {
    export MODEL=$G/int8.st BIN
    mkdir pictures
    python3 "$TREE/tests/cli/emit_c.py" pictures "$G/all.b" pictures 10
    (cd "$TREE" && pipelines/examples/classify.sh "$OLDPWD"/pictures/*.png) > said
    python3 "$TREE/tests/cli/emit_c.py" classes "$G/int8.predictions" 10 > want
    cut -d ' ' -f 2- said | cmp - want
    [ "$(sort -u want | wc -l)" -eq 10 ]
    run -1 --separate-stderr bash -c "cd '$TREE' && pipelines/examples/classify.sh '$G/d.bin'"
    [[ $stderr == "classify: "* ]]
}
