#!/usr/bin/env bats
# bench: the table, its checks and its refusals.

load helpers

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    MODEL=$BATS_TEST_DIRNAME/../reference/train_step_model.safetensors
}

# column NAME FILE: that column of every row.
column() {
    awk -F'\t' -v name="$1" '/^#/ { next } !at { for (i = 1; i <= NF; i++) if ($i == name) at = i; next } { print $at }' "$2"
}

@test "one row a model, thread count and batch, in the documented columns" {
    run -0 --separate-stderr "$BIN/bench" -m "$MODEL" --width 5 -b 1,3 -j 1,2 --seconds 0 -o out.tsv
    [ -z "$output" ] && [ -z "$stderr" ]
    [ "$(grep -v '^#' out.tsv | head -1)" = "$(printf '%s\t' what model isa device precision algorithm threads batch \
        ms_median ms_min ms_p95 ms_p99 samples_per_s gmac_per_s peak_gmac_per_s of_peak bytes ms_alone other)ms_other" ]
    [ "$(column what out.tsv | sort | uniq -c | tr -s ' ')" = " 8 infer" ]
    [ "$(column model out.tsv | uniq | xargs)" = "train_step_model resnet18-width5" ]
    [ "$(column batch out.tsv | xargs)" = "1 3 1 3 1 3 1 3" ]
    [ "$(column threads out.tsv | xargs)" = "1 1 2 2 1 1 2 2" ]
    [ "$(column precision out.tsv | sort -u)" = f32 ]
    [ "$(column device out.tsv | sort -u)" = cpu ]
    for note in tool cpu processors calls images; do
        grep -q "^# $note: ." out.tsv
    done
    # min <= median <= p95 <= p99, and the rate belongs to the median
    awk -F'\t' '!/^#/ && $1 == "infer" { if (!($10 <= $9 && $9 <= $11 && $11 <= $12)) exit 1
                                          r = $9 * $13 / 1000; if (r < 0.98 || r > 1.02) exit 1 }' out.tsv
}

@test "RESQ_ISA chooses, and the row says what ran" {
    run -0 --separate-stderr env RESQ_ISA=ref "$BIN/bench" --width 2 --seconds 0
    echo "$output" > out.tsv
    [ "$(column isa out.tsv)" = ref ]
    [ "$(column of_peak out.tsv)" = - ]
    run -1 --separate-stderr env RESQ_ISA=abacus "$BIN/bench" --width 2 --seconds 0
    # shellcheck disable=SC2154
    [ "${#stderr_lines[@]}" -eq 1 ]
    [ -z "$output" ]
}

@test "--layers adds the steps; their multiply-adds are the network's" {
    "$BIN/bench" --width 4 --seconds 0 --layers > out.tsv
    [ "$(column what out.tsv | grep -c '^layer:')" -ge 22 ]
    column what out.tsv | grep -qx layer:layer4.1.conv2
    column what out.tsv | grep -qx layer:fc
    # what the other algorithm costs: of convolutions alone, and with both times or neither
    awk -F'\t' '!/^#/ && NR > 1 && $1 != "what" { if (($18 == "-") != ($19 == "-") || ($19 == "-") != ($20 == "-")) exit 1
        if ($19 != "-" && $1 !~ /conv/) exit 1 }' out.tsv
    # gmac_per_s * ms = multiply-adds
    awk -F'\t' '/^infer/ { whole = $14 * $9 } /^layer:/ { sum += $14 * $9 }
        END { exit !(sum > 0.9 * whole && sum < 1.1 * whole) }' out.tsv
}

@test "images may come from a batch file" {
    run -1 "$BIN/bench" --width 4 --seconds 0 --images absent
    [[ $output == "bench: absent: "* ]]
    [ "${#lines[@]}" -eq 1 ]
    if [ -x "$BIN/cifar-load" ]; then
        make_bin images.bin 20 1
        "$BIN/cifar-load" -d images.bin --split test -b 20 > images
        "$BIN/bench" --width 4 -b 32 --seconds 0 --images images > out.tsv
        grep -q '^# images: from a batch file$' out.tsv
    fi
}

@test "misuse and failures" {
    run -2 "$BIN/bench"
    [[ ${lines[0]} == "bench: missing option -m MODEL (or --width N)" ]]
    run -2 "$BIN/bench" -m "$MODEL" -b 1,0
    run -2 "$BIN/bench" -m "$MODEL" -j 1,x
    run -2 "$BIN/bench" -m "$MODEL" --seconds=-1
    run -2 "$BIN/bench" -m "$MODEL" operand
    run -1 "$BIN/bench" -m absent.safetensors -o out.tsv
    [[ $output == "bench: absent.safetensors: "* ]]
    [ "${#lines[@]}" -eq 1 ]
    run -1 "$BIN/bench" -m "$MODEL" -o absent/out.tsv
    [[ $output == "bench: absent/out.tsv: "* ]]
    cp "$MODEL" copy.safetensors
    run -1 "$BIN/bench" -m copy.safetensors -o copy.safetensors
    cmp "$MODEL" copy.safetensors
    [ ! -e out.tsv ]
    run -0 "$BIN/bench" --help
    run -0 "$BIN/bench" --version
}
