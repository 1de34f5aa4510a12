#!/usr/bin/env bats
# train-fp32 --init: a training that starts from given weights.
# shellcheck disable=SC2154 # bats sets stderr

load helpers
load models
load trainings

@test "--init with what --epochs 0 wrote is that seed's training" {
    small --epochs 0 -s 5 -o start
    small -s 5 --validate "$T/held-out" --last direct.last -o direct < "$T/train"
    for j in 1 3; do
        small --init start -s 5 -j $j --validate "$T/held-out" --last given.last -o given < "$T/train"
        same_tensors direct given
        same_tensors direct.last given.last
    done
    small --init start -s 6 --validate "$T/held-out" -o other < "$T/train" # no seed draws anything any more
    same_tensors direct other
    small --init start --epochs 0 -o copy < /dev/null
    same_tensors start copy
    run -0 "$BIN/inspect" made-by given
    [[ $output == "cifar-load "*$'\n'"train-fp32 $VERSION "*" graph=sha256:"*" init=sha256:"*$'\n'"  train-fp32 $VERSION "*" epochs=0 "*" seed=5 "* ]]
    [[ ${lines[1]} != *width=* ]]
    "$BIN/inspect" check given
}

@test "--init with a trained model trains it on, batch norm and all" {
    small --init "$T/last" --learning-rate 0 --schedule constant --epochs 0 -o same < /dev/null
    same_tensors "$T/last" same
    small --init "$T/last" -o on < "$T/train"
    tracked() { "$BIN/inspect" tensor bn1.num_batches_tracked --values "$1" | tail -n 1; }
    [ "$(tracked "$T/last")" -eq 18 ]
    [ "$(tracked on)" -eq 36 ]
    [ "$(weights on)" != "$(weights "$T/last")" ]
    small -s 9 --epochs 0 -o fresh
    small --init fresh -o from-fresh < "$T/train"
    [ "$(weights on)" != "$(weights from-fresh)" ]
    record_edit "$T/last" plain.st 'meta.clear()' # a state_dict from elsewhere
    small --init plain.st --checkpoint checkpoint -o from-plain < "$T/train"
    same_tensors on from-plain
    "$BIN/inspect" graph from-plain | diff - <("$BIN/inspect" graph on)
    "$BIN/inspect" graph checkpoint | diff - <("$BIN/inspect" graph on)
    "$BIN/inspect" show on | grep -q '^trained-on: .* train/train$'
}

@test "--init: what cannot be started from is refused" {
    refused "none: cannot open: *" --init none < "$T/train"
    head -c 20000 "$T/best" > in.cut
    refused "in.cut: *truncated*" --init in.cut < "$T/train"
    "$BIN/fuse" -m "$T/best" -o in.fused
    refused "in.fused: is at stage fused, want float" --init in.fused < "$T/train"
    "$BIN/calibrate" -m in.fused -o in.ranges < "$T/short"
    "$BIN/quantize" -m in.fused -r in.ranges -o in.int8
    refused "in.int8: is at stage int8, want float" --init in.int8 < "$T/train"
    refused "in.int8: is at stage int8, want float" --init in.int8 --epochs 0 < /dev/null
    refused "in.ranges: is a ranges record, want a model record" --init in.ranges < "$T/train"
    "$BIN/train-fp32" --width 2 --epochs 0 --classes 4 -o in.four
    refused "classes: the images have 10, the model 4" --init in.four < "$T/train"
    refused "in.four: has 4 classes, want 10 (--classes)" --init in.four --classes 10 --epochs 0 < /dev/null
    record_edit "$T/best" in.nan 'put("conv1.weight", 7, "f", float("nan"))'
    refused "in.nan: conv1.weight: NaN at index 7" --init in.nan < "$T/train"
    record_edit "$T/best" in.lacking 'drop("bn1.running_mean")'
    refused "in.lacking: *bn1.running_mean*" --init in.lacking < "$T/train"
    record_edit "$T/best" in.names 'meta["classes"] = meta["classes"].replace("cat", "owl")'
    refused "in.names: classes: number 3 is 'cat' of the images, 'owl' of the model" --init in.names < "$T/train"
    small --epochs 0 -o in.start
    record_edit in.start in.placeholders 'meta["classes"] = meta["classes"].replace("cat", "owl")'
    small --init in.placeholders -o in.out < "$T/train" # never trained: nothing of it is owls
    "$BIN/inspect" show in.out | grep -q '^classes: .*"cat"'
}

@test "--init: images that the model was trained on are known" {
    "$BIN/cifar-load" -d "$T/images.bin" --part all --epochs 3 -o in.all
    small -o in.model < in.all
    refused "$T/held-out: part: is held-out, which shares images with the model's part all" --init in.model \
        --validate "$T/held-out" < "$T/train"
    small --init in.model -o in.out < "$T/train"
    "$BIN/inspect" show in.out | grep -q '^trained-on: .* train/all$'
    "$BIN/cifar-load" -d "$T/images.bin" --part held-out --epochs 3 -o in.held-out
    small --init "$T/best" -o in.out < in.held-out
    "$BIN/inspect" show in.out | grep -q '^trained-on: .* train/all$'
    record_edit "$T/best" in.tested 'meta["trained-on"] = meta["trained-on"].replace("train/train", "test/all")'
    refused "in.tested: trained-on: is test/all, of the test split*" --init in.tested < "$T/train"
    make_bin in.bin 200 9
    "$BIN/cifar-load" -d in.bin --part train --epochs 3 -o in.other
    refused "$T/best: dataset-digest: *" --init "$T/best" < in.other
}

@test "--init: stopped and gone on with, and only from the same model" {
    small --epochs 0 -o in.start
    small --init in.start --validate "$T/held-out" -o in.whole < "$T/train"
    head -c 1000000 "$T/train" > in.cut
    refused "stdin: truncated *" --init in.start --validate "$T/held-out" --checkpoint in.checkpoint --checkpoint-every 1 < in.cut
    refused "in.checkpoint: another run's checkpoint: init is sha256:*, want sha256:*" --init "$T/best" \
        --validate "$T/held-out" --checkpoint in.checkpoint --resume < "$T/train"
    refused "in.checkpoint: another run's checkpoint: *init is sha256:*, want absent*" \
        --validate "$T/held-out" --checkpoint in.checkpoint --resume < "$T/train"
    small --init in.start --validate "$T/held-out" --checkpoint in.checkpoint --resume -o in.gone-on < "$T/train"
    cmp in.whole in.gone-on
}
