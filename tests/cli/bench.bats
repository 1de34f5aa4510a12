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
    [ -z "$output" ] && [[ $stderr == "bench: warning: $MODEL has no graph: "* ]] && [ "${#stderr_lines[@]}" -eq 1 ]
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

@test "--precision: a row each, in turns; integer layers once; no other than a CPU has" {
    make_bin images.bin 40 1
    "$BIN/cifar-load" -d images.bin --part train -b 20 > images
    "$BIN/train-fp32" --epochs 0 --width 4 -o float
    "$BIN/fuse" -m float -o fused
    "$BIN/calibrate" -m fused -o ranges < images
    "$BIN/quantize" -m fused -r ranges -o int8
    "$BIN/bench" --device cpu -m fused -m int8 --precision fp32 --precision bf16 -b 1,3 --seconds 0 --layers > out.tsv
    [ "$(grep -P '^infer\t' out.tsv | cut -f 2,5,8 | xargs)" = \
        "fused f32 1 fused f32 3 fused bf16 1 fused bf16 3 int8 int8 1 int8 int8 3" ]
    [ "$(grep -P '^layer:' out.tsv | cut -f 5 | sort | uniq -c | xargs)" = "46 bf16 46 f32 46 int8" ]
    # the table's joiner takes the time of what was evaluated
    "$BIN/evaluate" --device cpu -m fused --precision bf16 -o float.metrics.tsv < images
    "$BIN/evaluate" --device cpu -m int8 -o ptq.metrics.tsv < images
    cp ptq.metrics.tsv qat.metrics.tsv
    awk -F'\t' -v OFS='\t' '/^#/ || $1 == "what" || $2 == "fused" { print; next } { $2 = "ptq"; print; $2 = "qat"; print }' out.tsv > bench.tsv
    "$BIN/report" --as summary float.metrics.tsv ptq.metrics.tsv qat.metrics.tsv bench.tsv float=4 ptq=1 qat=1 > summary.tsv
    [ "$(column ms_per_sample summary.tsv | head -n 1)" = "$(awk -F'\t' '$2 == "fused" && $5 == "bf16" && $8 == 1 { print $9; exit }' out.tsv)" ]
    grep -v -P '\tbf16\t' bench.tsv > without.tsv
    mv without.tsv bench.tsv
    run -1 "$BIN/report" --as summary float.metrics.tsv ptq.metrics.tsv qat.metrics.tsv bench.tsv float=4 ptq=1 qat=1
    [[ $output == *"report: float: "*"in the same precision"* ]]
    run -1 "$BIN/bench" --device cpu --width 2 --precision fp16 --seconds 0
    [[ $output == *": precision fp16: a CPU computes float layers in fp32 or bf16" ]]
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

@test "--train: a row a model, precision, batch and thread count" {
    run -0 --separate-stderr "$BIN/bench" --train --width 8 --precision fp32 --precision bf16 -b 16,33 -j 1,2 --seconds 0 -o out.tsv
    # shellcheck disable=SC2154
    [ -z "$output" ] && [ -z "$stderr" ]
    [ "$(column what out.tsv | sort | uniq -c | tr -s ' ')" = " 8 train" ]
    [ "$(column threads out.tsv | xargs)" = "1 2 1 2 1 2 1 2" ]
    [ "$(column batch out.tsv | xargs)" = "16 16 33 33 16 16 33 33" ]
    [ "$(column precision out.tsv | head -n 4 | sort -u)" = fp32 ]
    [ "$(column peak_gmac_per_s out.tsv | head -n 4 | grep -cx -e -)" -eq 0 ] # every set but ref has a loop for floats
    for note in tool cpu processors steps times images peak-resident-bytes; do
        grep -q "^# $note: ." out.tsv
    done
    # the rate is in images, the time of a step
    awk -F'\t' '!/^#/ && $1 == "train" { if (!($10 <= $9 && $9 <= $11 && $11 <= $12 && $17 > 1000000)) exit 1
                                          r = $9 * $13 / 1000 / $8; if (r < 0.98 || r > 1.02) exit 1 }' out.tsv
}

@test "--train --layers: passes and parts; their multiply-adds are the step's" {
    "$BIN/bench" --train --width 8 -b 16 --seconds 0 --layers > out.tsv
    for what in train-part:forward train-part:loss train-part:backward train-part:update train-part:products \
        train-part:elementwise train-layer:conv1:forward train-layer:conv1:weight train-layer:layer4.1.conv2:data \
        train-layer:layer1.0.bn1:data train-layer:fc:weight; do
        column what out.tsv | grep -qx "$what" || { echo "no $what"; return 1; }
    done
    [ "$(column what out.tsv | grep -cx train-layer:conv1:data)" -eq 0 ] # pixels want no gradient
    awk -F'\t' '$1 == "train" { whole = $14 * $9 } $1 == "train-part:products" { products = $14 * $9 }
        /^train-layer:/ { sum += $14 * $9 }
        END { exit !(sum > 0.99 * whole && sum < 1.01 * whole && products > 0.99 * whole && products < 1.01 * whole) }' out.tsv
}

@test "--train on other sets, on images from a file, and quantized" {
    RESQ_ISA=blas "$BIN/bench" --train --width 2 -b 4 --precision bf16 --seconds 0 > out.tsv
    [ "$(column isa out.tsv) $(column precision out.tsv) $(column algorithm out.tsv)" = "blas fp32 image" ]
    make_bin images.bin 40 1
    "$BIN/cifar-load" -d images.bin --part train -b 20 > images
    "$BIN/train-fp32" --epochs 0 --width 8 -o float
    "$BIN/fuse" -m float -o fused
    "$BIN/calibrate" -m fused -o ranges < images
    "$BIN/bench" --train -m fused -r ranges --width 8 -b 8 -j 1,2 --images images --seconds 0 > out.tsv
    [ "$(column model out.tsv | uniq | xargs)" = "fused resnet18-width8" ]
    [ "$(column precision out.tsv | uniq | xargs)" = "int8+fp32 fp32" ]
    grep -q '^# images: from a batch file$' out.tsv
    # one ratio a number of threads, and of the rows' own times
    [ "$(grep -c '^# quantized: .* times the images/s of resnet18-width8 fp32: fused int8+fp32, batch 8, ' out.tsv)" = 2 ]
    awk -F'\t' '/^# quantized: .* threads 2$/ { split($0, said, " "); next }
        $7 == 2 { ms[$2] = $9 }
        END { off = said[3] - ms["resnet18-width8"] / ms["fused"]; exit !(off > -0.002 && off < 0.002) }' out.tsv
    "$BIN/bench" --train -m fused -r ranges --width 4 -b 4 --precision bf16 --seconds 0 > out.tsv
    run ! grep -q '^# quantized' out.tsv # another network
}

@test "--train: misuse and failures" {
    run -2 "$BIN/bench" --train
    run -1 "$BIN/bench" --train --width 2 --precision fp16
    [ "$output" = "bench: resnet18-width2: precision fp16 needs a GPU: a CPU trains in fp32 or bf16" ]
    run -1 "$BIN/bench" --train -m "$MODEL" -r absent
    [ "${#lines[@]}" -eq 2 ] # the first a warning: this model has no graph
    [[ ${lines[1]} == "bench: absent: "* ]]
}

@test "rows of two runs' models have two names" {
    mkdir -p a/x b/x
    cp "$MODEL" a/x/model.safetensors
    cp "$MODEL" b/x/model.safetensors
    cp "$MODEL" b/other.safetensors
    run -0 "$BIN/bench" -m a/x/model.safetensors -m b/x/model.safetensors -m b/other.safetensors --seconds 0 -o out.tsv
    [ "$(column model out.tsv | xargs)" = "a/x/model b/x/model other" ]
    (cd a && "$BIN/bench" -m x/model.safetensors -m ../b/x/model.safetensors -m x/model.safetensors --seconds 0 -o ../out.tsv)
    [ "$(column model out.tsv | xargs)" = "x/model b/x/model x/model" ]
    "$BIN/bench" --train -m a/x/model.safetensors -m b/x/model.safetensors -b 2 --seconds 0 -o out.tsv
    [ "$(column model out.tsv | uniq | xargs)" = "a/x/model b/x/model" ]
}

@test "--tta flip: each image with its mirror image, a kind of row of its own" {
    "$BIN/bench" --width 4 --tta flip -b 1,3 --seconds 0 -o out.tsv
    [ "$(column what out.tsv | sort -u)" = infer:flip ]
    [ "$(column batch out.tsv | xargs)" = "1 3" ]
    awk -F'\t' '!/^#/ && $1 == "infer:flip" { r = $9 * $13 / 1000; if (r < 0.98 || r > 1.02) exit 1 }' out.tsv
    run -2 "$BIN/bench" --width 4 --tta flip --layers
    run -2 "$BIN/bench" --width 4 --tta flip --train
}
