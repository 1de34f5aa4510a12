#!/usr/bin/env bats
# `make lowbit`, on a few hundred made-up images: its rows, its page, its models, its restarts.
# shellcheck disable=SC2154 # bats sets stderr

load helpers
load studies

setup_file() {
    study_first -j2 LOWBIT='channel_4_8 channel_2_8 tensor_4_4' LOWBIT_MIXED=4.5 lowbit
}

@test "a row for each configuration and method, a page, and the models that the default makes" {
    cd "$FIRST"
    [ ! -e .work/test.batches ]
    grep -qx '# part: held-out' lowbit.tsv
    [ "$(grep -v '^#' lowbit.tsv | tail -n +2 | wc -l)" -eq 17 ]
    [ "$(cut -f 4 lowbit.tsv | grep -v '^#' | sort | uniq -c | tr -s ' \n' ' ')" = " 4 all 3 bias 1 fixed 1 float 1 learned 3 max 1 method 3 mse 1 taught " ]
    [ "$(grep -c '^| [Wm]' lowbit.md)" -eq 4 ]
    grep -q '^| W4A4 per tensor | -\?[0-9.]* | -\?[0-9.]* | -\?[0-9.]* | -\?[0-9.]* | - | - | - | [0-9.]* | [0-9]* |$' lowbit.md
    grep -q '^| W2A8 | -\?[0-9.]* | -\?[0-9.]* | -\?[0-9.]* | -\?[0-9.]* | -\?[0-9.]* | -\?[0-9.]* | -\?[0-9.]* | [0-9.]* | [0-9]* |$' lowbit.md
    # Beside what another program made of the same network: points below the same float network.
    printf '# brevitas: 9.9\n# dataset: another\n# calibrated on: 7 images\n%s\n%s\n' 'granularity	weight_bits	activation_bits	method	accuracy' \
        'tensor	4	4	gptq	1.00' > peers.tsv
    whole=$(awk -F '\t' '$4 == "float" { print $5 }' lowbit.tsv)
    "$TREE/pipelines/lowbit-page" lowbit.tsv peers.tsv > page.md
    grep -qx "| W4A4 per tensor | -\?[0-9.]* | - | - | - | $(awk -v whole="$whole" 'BEGIN { printf "%.2f", whole - 1 }') |" page.md
    head -n "$(wc -l < lowbit.md)" page.md | diff - lowbit.md
    rm peers.tsv page.md
    grep -q '^| W2A8 ' "$BATS_FILE_TMPDIR/log"
    [ "$(find lowbit -type f | sort | tr '\n' ' ')" = "lowbit/channel_2_8.safetensors lowbit/channel_2_8_qat.safetensors lowbit/channel_4_8.safetensors lowbit/mixed_4.5.bits.txt lowbit/mixed_4.5.frontier.png lowbit/mixed_4.5.safetensors lowbit/sensitivity.png lowbit/tensor_4_4.safetensors " ]
    "$BIN/inspect" show lowbit/channel_2_8.safetensors | grep -q '^quantization: .* weight-bits=2 .* ends=8 weight-observer=mse match=all'
    "$BIN/inspect" show lowbit/channel_2_8_qat.safetensors | grep -q '^quantization: .* weight-bits=2 .* ends=8 weight-observer=mse weight-scales=learned'
    "$BIN/inspect" made-by lowbit/channel_2_8_qat.safetensors | grep -q ' init=sha256:.* teacher=sha256:.* teacher-share='
}

@test "the mixed model keeps its average, and its row is the plan's" {
    cd "$FIRST"
    grep -q '^| mixed, at most 4.5 bits a weight on average, A8 | - | - | - | -\?[0-9.]* | - | - | - | [0-9.]* | [0-9]* |$' lowbit.md
    "$BIN/inspect" show lowbit/mixed_4.5.safetensors | sed -n 's/^quantization: .* plan=\([0-9.]*\) .*/\1/p' | awk '{ n++; exit !($1 <= 4.5 && $1 > 2) } END { exit n != 1 }'
    head -n 1 lowbit/mixed_4.5.bits.txt | grep -q '^# at most 4.5 bits a weight: '
    accuracy=$("$BIN/evaluate" -m lowbit/mixed_4.5.safetensors < .work/held-out.batches | awk -F '\t' '$1 == "accuracy" { print $4 }')
    [ "$(awk -F '\t' '$1 == "mixed" { print $5 }' lowbit.tsv)" = "$accuracy" ]
}

@test "a row is what its options give by hand; one row lost is one row made again" {
    copy_first
    "$BIN/quantize" --weight-bits 2 --match bias -m "$FIRST/fused_model.safetensors" -r "$FIRST/ranges.safetensors" -o model \
        < "$FIRST/.work/match.batches"
    "$BIN/evaluate" -m model < "$FIRST/.work/held-out.batches" > metrics
    [ "$(awk -F '\t' '$2 == 2 && $4 == "bias" { print $5, $8, $9 }' "$FIRST/lowbit.tsv")" = \
        "$(awk -F '\t' '$2 == "-" { v[$1] = $4 } END { print v["accuracy"], v["loss"] }' metrics) $(stat -c %s model)" ]
    rm results/tiny/.work/lowbit/channel_2_8_bias.row results/tiny/lowbit.tsv
    touch now
    study "$PWD/results" LOWBIT='channel_4_8 channel_2_8 tensor_4_4' LOWBIT_MIXED=4.5 lowbit
    cmp "$FIRST/lowbit.tsv" results/tiny/lowbit.tsv
    [ "$(find results -name '*.row' -newer now | wc -l)" -eq 1 ]
}

@test "beside Brevitas: the table first, then the same configurations there; none is refused" {
    cd "$TREE"
    make -n lowbit-peers PROFILE=smoke RUN=no-such LOWBIT='channel_8_8 channel_2_4' CUDA_HOME= > "$BATS_TEST_TMPDIR/would"
    grep -A 1 'tests/peers/lowbit.py --model results/no-such/fused_model.safetensors' "$BATS_TEST_TMPDIR/would" | grep -q 'lowbit-peers.tsv channel_2_4$'
    [ ! -e results/no-such ]
}
