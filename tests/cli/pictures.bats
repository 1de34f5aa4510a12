#!/usr/bin/env bats
# Pictures of other kinds than CIFAR-10's: the whole study on grey 8x8 digits, on colour of 48x64, on 300 classes; and
# what each program says to pictures that do not fit.
# shellcheck disable=SC2154 # bats sets stderr and stderr_lines

load helpers

DIGITS="$TREE/tests/data/digits.tar.xz"

setup() {
    cd "$BATS_TEST_TMPDIR" || return
    unset CIFAR10_DIR RESQ_DATA
    export RESQ_CACHE=off
}

# pngs SIZE CHANNELS CLASSES IMAGES SPLIT..: SPLIT/cNNN/N.png, HEIGHTxWIDTH pixels, IMAGES of each class: stripes whose
# direction and brightness say the class, under noise.
pngs() {
    perl -MCompress::Zlib -e '
        use strict;
        my ($size, $channels, $classes, $images, @splits) = @ARGV;
        my ($h, $w) = split(/x/, $size);
        sub chunk { my ($name, $data) = @_; return pack("N", length $data) . $name . $data . pack("N", crc32($name . $data)); }
        srand(7);
        mkdir $_ for @splits;
        for my $split (@splits) {
            for my $class (0 .. $classes - 1) {
                my $folder = sprintf("%s/c%03d", $split, $class);
                mkdir $folder;
                for my $image (0 .. $images - 1) {
                    my $phase = rand(6.28);
                    my $rows = "";
                    for my $y (0 .. $h - 1) {
                        $rows .= "\0" . pack("C*", map {
                            my $x = int($_ / $channels);
                            my $wave = $class % 2 ? sin($x * 0.9 + $phase) : sin($y * 0.9 + $phase);
                            int(40 + 150 * ($class + 0.5) / $classes + 25 * $wave + 10 * rand());
                        } 0 .. $w * $channels - 1);
                    }
                    open(my $out, ">:raw", "$folder/$image.png") or die "$folder: $!\n";
                    print $out "\x89PNG\r\n\x1a\n", chunk("IHDR", pack("NNC5", $w, $h, 8, $channels == 1 ? 0 : 2, 0, 0, 0)),
                        chunk("IDAT", compress($rows)), chunk("IEND", "");
                    close($out) or die "$folder: $!\n";
                }
            }
        }
    ' "$@"
}

# study DATA EPOCHS WIDTH BATCH: float.st, fused.st, ptq.st, qat.st and their tables.
study() {
    "$BIN/cifar-load" -q -d "$1" --part held-out -o held-out
    "$BIN/cifar-load" -q -d "$1" --part train --shuffle --epochs "$2" | "$BIN/augment" --crop 1 --pad reflect --rotation 5 |
        "$BIN/train-fp32" --width "$3" --epochs "$2" -b "$4" --validate held-out --log log.tsv -q -o float.st
    "$BIN/fuse" -m float.st -o fused.st
    "$BIN/cifar-load" -q -d "$1" --part train -n 256 | "$BIN/calibrate" -m fused.st -q -o ranges.st
    "$BIN/quantize" -m fused.st -r ranges.st -o ptq.st
    "$BIN/cifar-load" -q -d "$1" --part train --shuffle |
        "$BIN/qat-finetune" -m fused.st -r ranges.st --epochs 1 -b "$4" --validate held-out -q -o qat.st
    for model in float ptq qat; do
        "$BIN/cifar-load" -q -d "$1" --split test |
            "$BIN/evaluate" -m $model.st -q --predictions $model.predictions -o $model.tsv
    done
}

accuracy() { # TABLE LEAST: percent
    awk -F'\t' -v least="$2" '$1 == "accuracy" { print; found = $4 >= least } END { exit !found }' "$1"
}

fails() { # REASON COMMAND..: status 1, one line that ends so
    local reason=$1
    shift
    run --separate-stderr "$@"
    [ "$status" -eq 1 ] || { echo "status $status: $stderr"; return 1; }
    [ "${#stderr_lines[@]}" -eq 1 ]
    [[ $stderr == *"$reason"* ]] || { echo "got: $stderr"; return 1; }
}

@test "the study on grey digits of 8x8: 85 %, int8 within 3 points, the same bytes on the reference" {
    study "$DIGITS" 6 16 64
    accuracy float.tsv 85
    accuracy ptq.tsv 82
    accuracy qat.tsv 82
    "$BIN/inspect" graph float.st > graph
    grep -q '^x  *= input  *u8\[8,8,1\]$' graph
    grep -q 'mean=0.4809 std=0.2392' graph
    "$BIN/cifar-load" -q -d "$DIGITS" --split test > test
    RESQ_ISA=ref "$BIN/evaluate" -m ptq.st -q < test > ref.tsv
    diff <(grep -v '^# isa' ptq.tsv) <(grep -v '^# isa' ref.tsv)
    "$BIN/plot" samples ptq.predictions --images test -o samples.png
    "$BIN/plot" augmented --images held-out -o augmented.png
    "$BIN/bench" -m ptq.st --seconds 0 --images held-out > bench.tsv
    grep -q '^infer' bench.tsv
}

@test "the study on colour pictures of 48x64, which keep their shape" {
    pngs 48x64 3 4 40 train
    pngs 48x64 3 4 10 test
    "$BIN/cifar-load" -q -d . -n 1 -o one
    run "$BIN/inspect" show one
    [[ $output == *"image: u8[48,64,3]"* ]]
    study . 6 4 16
    accuracy float.tsv 70
    accuracy qat.tsv 60
    "$BIN/inspect" graph qat.st | grep -q 'input  *u8\[48,64,3\]$'
    "$BIN/plot" samples ptq.predictions --images <("$BIN/cifar-load" -q -d . --split test) -o samples.png
}

@test "300 classes: labels of 16 bits from end to end" {
    pngs 8x8 1 300 12 train
    pngs 8x8 1 300 1 test
    "$BIN/cifar-load" -q -d . -o all
    "$BIN/inspect" show all > shown
    grep -Eq '^labels +U16\[128\]' shown
    "$BIN/inspect" check all
    study . 1 4 128
    "$BIN/inspect" show ptq.predictions > shown
    grep -Eq '^labels +U16\[300\]' shown
    grep -Eq '^logits +F32\[300,300\]' shown
    grep -q '^recall	c299	' ptq.tsv
    "$BIN/evaluate" --pair float.predictions ptq.predictions > pair.tsv
    grep -q '^first_right	c256	' pair.tsv
    "$BIN/plot" samples ptq.predictions --images <("$BIN/cifar-load" -q -d . --split test) -o samples.png
    cut -f1-3 ptq.tsv | grep -q '^confusion	c299'
    run ! grep -q '^confusion	[^	]*	[^	]*	0	' ptq.tsv # of so many classes only what was confused
    "$BIN/plot" confusion ptq.tsv -o confusion.png
    mkdir run && cp ptq.tsv ptq.st run
    "$BIN/report" run -o report.html
    grep -q 'The most frequent confusions' report.html
}

@test "confusion matrices of 100 and of 1,000 classes" {
    for classes in 100 1000; do
        awk -v n=$classes 'BEGIN { OFS = "\t"; print "metric", "class", "predicted", "value", "low", "high"
            for (c = 0; c < n; c++) print "recall", "c" c, "-", 50, "-", "-"
            for (c = 0; c < n; c++) { print "confusion", "c" c, "c" c, 5, "-", "-"; print "confusion", "c" c, "c" (c * 7 + 1) % n, 5, "-", "-" } }' > $classes.tsv
        "$BIN/plot" confusion $classes.tsv -o $classes.png
        run od -An -tu1 -j16 -N8 $classes.png
        read -r -a size <<< "$output"
        [ $((size[2] * 256 + size[3])) -gt 1400 ]
        [ $((size[2] * 256 + size[3])) -lt 3000 ]
    done
}

@test "pictures of several sizes are refused with two of them; --size makes them one" {
    pngs 20x30 3 2 2 train
    pngs 40x30 3 2 1 test
    fails "test/c000/0.png: picture is 40x30 pixels, but train/c000/0.png is 20x30: --size HxW makes them one" \
        "$BIN/cifar-load" -d .  || fails "train/c000/0.png: picture is 20x30 pixels, but test/c000/0.png is 40x30" "$BIN/cifar-load" -d .
    for fit in crop pad stretch; do
        "$BIN/cifar-load" -d . --size 24x16 --fit $fit --filter bicubic -o $fit
        "$BIN/inspect" show $fit | grep -q '^images *U8\[4,24,16,3\]'
        "$BIN/inspect" made-by $fit | grep -q "fit=$fit.*size=24x16"
    done
    run ! cmp -s crop stretch
    run ! cmp -s pad stretch
    "$BIN/cifar-load" -d . --size 24 --grey -o grey
    "$BIN/inspect" show grey | grep -q '^images *U8\[4,24,24,1\]'
    "$BIN/cifar-load" -d . --size 24 --grey --stats | grep -q '^grey'
    # What an export says of its files is held against the files, not against what is made of them.
    "$BIN/cifar-load" -q -d . --size 24x16 --filter bicubic --export exported
    "$BIN/cifar-load" -d exported --size 16 -o smaller
    "$BIN/inspect" show smaller | grep -q '^images *U8\[4,16,16,3\]'
    chmod u+w exported/test_batch.bin
    printf x | dd of=exported/test_batch.bin bs=1 seek=9 conv=notrunc status=none
    fails "dataset.tsv says" "$BIN/cifar-load" -d exported --size 16
    run "$BIN/cifar-load" -d . --fit pad
    [ "$status" -eq 2 ]
    run "$BIN/cifar-load" -d . --size 7x9
    [ "$status" -eq 2 ]
    run "$BIN/cifar-load" -d . --grey --colour
    [ "$status" -eq 2 ]
}

@test "one colour picture among grey ones makes all colour; --grey, --colour say it" {
    pngs 16x16 1 2 3 train
    "$BIN/cifar-load" -d . -o grey
    "$BIN/inspect" show grey | grep -q '^images *U8\[6,16,16,1\]'
    "$BIN/cifar-load" -d . --colour -o spread
    "$BIN/inspect" show spread | grep -q '^images *U8\[6,16,16,3\]'
    mkdir more && (cd more && pngs 16x16 3 1 1 train)
    cp more/train/c000/0.png train/c001/9.png
    "$BIN/cifar-load" -d . -o mixed
    "$BIN/inspect" show mixed | grep -q '^images *U8\[7,16,16,3\]'
    "$BIN/cifar-load" -d . -n 6 --grey -o again
    "$BIN/inspect" show again | grep -q '^images *U8\[6,16,16,1\]'
    tar cf set.tar train # the colour picture comes last: what was grey is spread
    "$BIN/cifar-load" -d set.tar -o of-tar
    diff <("$BIN/inspect" show mixed | grep digest) <("$BIN/inspect" show of-tar | grep digest)
}

@test "images that a model or a run cannot take are refused in one line with both shapes" {
    pngs 16x16 1 2 12 train test
    "$BIN/cifar-load" -d . --size 24 -o large
    "$BIN/cifar-load" -d . -o small
    "$BIN/train-fp32" --epochs 1 --width 1 -b 12 -q -o float.st < small
    "$BIN/fuse" -m float.st -o fused.st
    fails "images: are u8[24,24,1], the model wants u8[16,16,1]" "$BIN/evaluate" -q -m float.st < large
    fails "dataset-digest" "$BIN/calibrate" -q -m fused.st < large
    "$BIN/train-fp32" --epochs 0 --width 1 --classes 2 -q -o cifar.st
    "$BIN/inspect" graph cifar.st > cifar.txt
    fails "images: are u8[16,16,1], the model wants u8[32,32,3]" "$BIN/train-fp32" --epochs 1 --graph cifar.txt -q -o x < small
    [ ! -e x ]
    fails "u8[24,24,1]" "$BIN/bench" -m float.st --images large
    fails "--normalize: of 3 channels, the images have 1" \
        "$BIN/train-fp32" --epochs 1 --normalize 0.5,0.5,0.5:0.2,0.2,0.2 -q -o x < small
    "$BIN/train-fp32" --epochs 1 --width 1 --normalize 0.5:0.2 -b 12 -q -o ours.st < small
    "$BIN/inspect" graph ours.st | grep -q 'mean=0.5 std=0.2 '
}

@test "networks without images: train-fp32 --epochs 0 --size" {
    "$BIN/train-fp32" --epochs 0 --width 1 --size 64x48x1 --classes 1000 -q -o m
    "$BIN/inspect" graph m | grep -q 'input  *u8\[64,48,1\]$'
    run "$BIN/train-fp32" --epochs 1 --size 64
    [ "$status" -eq 2 ]
    run "$BIN/train-fp32" --epochs 0 --size 64x48x2
    [ "$status" -eq 2 ]
}

@test "what does not fit the machine is refused before it is allocated, with the batch that fits" {
    [ -z "$SANITIZE" ] || skip "a sanitizer reserves address space"
    pngs 64x64 3 2 8 train test
    "$BIN/cifar-load" -q -d . --shuffle -o all
    run --separate-stderr bash -c "ulimit -v 3000000; '$BIN/train-fp32' -j 1 --epochs 1 --width 16 -b 8192 --checkpoint c --log log -o m < all"
    [ "$status" -eq 1 ]
    [ "${#stderr_lines[@]}" -eq 1 ]
    [[ $stderr =~ ^"train-fp32: training on a mini-batch of 8192 images takes "[0-9.]+" MB, and "[0-9.]+" MB are free: -b "([0-9]+)" fits, with " ]]
    fitting=${BASH_REMATCH[1]}
    [ "$fitting" -gt 100 ]
    [ "$fitting" -lt 8192 ]
    [ ! -e m ]
    [ ! -e c ]
    [ ! -e log ]
    run --separate-stderr bash -c "ulimit -v 3000000; '$BIN/train-fp32' -v -j 1 --epochs 1 --width 16 -b $((fitting * 8 / 10)) -o m < all"
    [ "$status" -eq 0 ]
    [[ $stderr == *"train-fp32: training on a mini-batch of $((fitting * 8 / 10)) images takes "* ]]
    run --separate-stderr bash -c "ulimit -v 1000000; '$BIN/evaluate' -j 1 -b 65536 -m m -o metrics < all"
    [ "$status" -eq 1 ]
    [[ $stderr =~ ^"evaluate: a batch of 65536 images takes ".*": -b "[0-9]+" fits" ]]
    [ ! -e metrics ]
    run --separate-stderr "$BIN/evaluate" -v -q -m m -o metrics < all
    [ "$status" -eq 0 ]
    [[ $stderr =~ ^"evaluate: a batch of 64 images takes "[0-9.]+" MB"$ ]]
}

@test "folders of classes without splits: a clear message, or --hold-out" {
    mkdir pets && (cd pets && pngs 16x16 1 2 12 .)
    fails "none of its 24 pictures (such as c000/0.png) is in train/CLASS/ or test/CLASS/; --hold-out 10 takes CLASS/NAME" \
        "$BIN/cifar-load" -d pets
    "$BIN/cifar-load" -d pets --hold-out 5 -o train
    "$BIN/inspect" show train > shown
    grep -q '^images *U8\[20,16,16,1\]' shown
    grep -q '^classes: \["c000","c001"\]' shown
    "$BIN/cifar-load" -d pets --hold-out 5 --split test -o test
    "$BIN/inspect" show test | grep -q '^images *U8\[4,16,16,1\]'
    mkdir -p both/train both/test # the same as somebody would do it by hand: the 5th and 10th of each class, in natural order
    for class in c000 c001; do
        mkdir both/train/$class both/test/$class
        cp pets/$class/{0,1,2,3,5,6,7,8,10,11}.png both/train/$class
        cp pets/$class/{4,9}.png both/test/$class
    done
    "$BIN/cifar-load" -d both -o train.by-hand
    "$BIN/cifar-load" -d both --split test -o test.by-hand
    for split in train test; do
        diff <("$BIN/inspect" show $split | grep digest) <("$BIN/inspect" show $split.by-hand | grep digest)
    done
    tar cf pets.tar -C pets c000 c001
    diff <("$BIN/cifar-load" -d pets.tar --hold-out 5 --stats | tail -1) <("$BIN/cifar-load" -d both --stats | tail -1)
    fails "--hold-out: its test split is there already, in test/" "$BIN/cifar-load" -d both --hold-out 5
    rm -r both/test
    "$BIN/cifar-load" -d both --hold-out 5 --split test -o again
    "$BIN/inspect" show again | grep -q '^images *U8\[4,16,16,1\]'
}
