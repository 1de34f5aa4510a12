#!/usr/bin/env bats
# Reconstruction: what it wins back, the same bytes however it is run, stopped and gone on with, what is refused.
# shellcheck disable=SC2154 # bats sets stderr

load helpers
load models

setup_file() {
    cd "$BATS_FILE_TMPDIR" || return 1
    mkdir images
    make_bin images/data_batch_1.bin 800 1
    make_bin images/test_batch.bin 400 2
    "$BIN/cifar-load" -d images --part train --shuffle --epochs 4 -o train
    "$BIN/cifar-load" -d images --part train -n 256 -b 64 -o once
    "$BIN/cifar-load" -d images --split test -o test
    "$BIN/train-fp32" --width 4 -b 32 --epochs 4 -o float < train
    "$BIN/fuse" -m float -o fused
    "$BIN/calibrate" -m fused -o ranges < once
    T=$BATS_FILE_TMPDIR
    reconstruct --weight-bits 3 --activation-bits 3 --steps 6 -j 2 -o short < once
}

setup() {
    mkdir "$BATS_TEST_TMPDIR/work"
    cd "$BATS_TEST_TMPDIR/work" || return 1
    T=$BATS_FILE_TMPDIR
    RANDOM=$BATS_TEST_NUMBER
}

reconstruct() { # options..
    "$BIN/reconstruct" -m "$T/fused" -r "$T/ranges" "$@"
}

@test "at 3 bits more than half of what nearest codes lose comes back, weights alone and with activations" {
    float=$(loss "$T/fused")
    for activations in 8 3; do
        bits=(--weight-bits 3 --activation-bits "$activations")
        "$BIN/quantize" -m "$T/fused" -r "$T/ranges" "${bits[@]}" --match off -o plain < /dev/null
        "$BIN/quantize" -m "$T/fused" -r "$T/ranges" "${bits[@]}" --match-images 256 -o matched < "$T/once"
        reconstruct "${bits[@]}" --steps 100 --match off -o alone < "$T/once"
        reconstruct "${bits[@]}" --steps 100 -o both < "$T/once"
        plain=$(loss plain) matched=$(loss matched) alone=$(loss alone) both=$(loss both)
        echo "W3A$activations: float $float, plain $plain, matched $matched, learned alone $alone, with matching $both"
        holds "$plain - $float > 0.03"
        holds "$alone - $float < ($plain - $float) / 2"
        holds "$both - $float < ($plain - $float) / 2"
    done
}

# The scales of all activations.
maps() { # MODEL
    local name
    for name in $("$BIN/inspect" show "$1" | grep -oE '^[a-z0-9.]+[.]scale' | sort -u); do
        "$BIN/inspect" tensor "$name" "$1" --values
    done
}

@test "an ordinary model: the codes of its bits, what was done is said; maps of quantize's where no scale is learned" {
    "$BIN/inspect" check "$T/short"
    "$BIN/inspect" show "$T/short" | grep -qx 'quantization: observer=mse weight-bits=3 activation-bits=3 weights=per-channel ends=8 weight-observer=mse codes=reconstructed match=all match-images=256'
    "$BIN/inspect" made-by "$T/short" | grep -q '^reconstruct .* images=256 .* steps=6 '
    "$BIN/quantize" -m "$T/fused" -r "$T/ranges" --weight-bits 3 --activation-bits 3 --match off -o plain < /dev/null
    reconstruct --weight-bits 3 --activation-bits 3 --steps 6 --scale-rate 0 -o fixed < "$T/once"
    maps fixed > fixed.maps
    maps plain > plain.maps
    maps "$T/short" > learned.maps
    cmp plain.maps fixed.maps
    run ! cmp -s plain.maps learned.maps
    [ "$(stat -c %s "$T/short")" -lt $(($(stat -c %s plain) + 2000)) ]
}

@test "the same bytes for any threads; another seed gives others" {
    for j in 1 3; do
        reconstruct --weight-bits 3 --activation-bits 3 --steps 6 -j $j -o j$j < "$T/once"
        cmp j$j "$T/short"
    done
    reconstruct --weight-bits 3 --activation-bits 3 --steps 6 -s 2 -o other < "$T/once"
    run ! cmp -s other "$T/short"
}

@test "killed at any moment, resumed: the same bytes" {
    command=("$BIN/reconstruct" -m "$T/fused" -r "$T/ranges" --weight-bits 3 --activation-bits 3 --steps 6 -o out
        --checkpoint checkpoint --checkpoint-every 1 --resume)
    kills=0
    for ((try = 0; try < 60 && kills < 6; try++)); do
        "${command[@]}" < "$T/once" &
        child=$!
        sleep "0.$((RANDOM % 900 + 100))"
        kill -KILL $child 2> /dev/null || true
        wait $child 2> /dev/null || { kills=$((kills + 1)); continue; }
        cmp out "$T/short"
        rm -f out checkpoint
    done
    [ $kills -eq 6 ]
    "${command[@]}" < "$T/once"
    cmp out "$T/short"
    [ "$(ls -A | tr '\n' ' ')" = "checkpoint out " ]
    "${command[@]}" < "$T/once" # from the last block's checkpoint
    cmp out "$T/short"
}

@test "SIGTERM: the checkpoint is saved, death is by the signal, resuming gives the same" {
    command=("$BIN/reconstruct" -m "$T/fused" -r "$T/ranges" --weight-bits 3 --activation-bits 3 --steps 6 -o out
        --checkpoint checkpoint)
    "${command[@]}" --steps 100000 < "$T/once" &
    child=$!
    for ((i = 0; i < 6000; i++)); do
        [ ! -e checkpoint ] || break
        sleep 0.02
    done
    kill -TERM $child
    code=0
    wait $child || code=$?
    [ $code -eq 143 ]
    [ -e checkpoint ] && [ ! -e out ]
    "$BIN/inspect" check checkpoint
    fails "another run's checkpoint: steps is 100000, want 6" "${command[@]}" --resume < "$T/once"
    rm checkpoint
    "${command[@]}" --resume < "$T/once"
    cmp out "$T/short"
}

@test "what is refused" {
    bits=(-m "$T/fused" -r "$T/ranges" --weight-bits 3)
    fails "is at stage float, want fused" "$BIN/reconstruct" "${bits[@]}" -m "$T/float" -o out < "$T/once"
    fails "must not shape a model" "$BIN/reconstruct" "${bits[@]}" -o out < "$T/test"
    fails "nothing: cannot open" "$BIN/reconstruct" "${bits[@]}" --plan nothing -o out < "$T/once"
    printf 'layer1.0.conv1 3 8\nlayer1.0.conv1 4 8\n' > twice
    fails "twice: line 2" "$BIN/reconstruct" -m "$T/fused" -r "$T/ranges" --plan twice -o out < "$T/once"
    printf 'layer1.0.conv1 8 4\n' > plan
    fails "no layer's weights have fewer than 8 bits" "$BIN/reconstruct" -m "$T/fused" -r "$T/ranges" --plan plan -o out \
        < "$T/once"
    for misuse in "--weight-bits 8" "--weight-bits 3 --resume" "--weight-bits 3 --checkpoint-every 2"; do
        # shellcheck disable=SC2086 # several words
        run -2 "$BIN/reconstruct" -m "$T/fused" -r "$T/ranges" $misuse -o out < "$T/once"
    done
    [ ! -e out ]
}

@test "a plan says which layers have few bits" {
    printf 'layer1.0.conv1 3 8\n' > plan
    reconstruct --plan plan --steps 6 -v -o mixed < "$T/once" 2> talk
    [ "$(grep -c 'of noise below' talk)" -eq 1 ]
    "$BIN/inspect" made-by mixed | grep -q 'plan=sha256:'
}
