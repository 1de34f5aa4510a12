#!/usr/bin/env bats
# cifar-load: what it reads, which images it writes in which order, and what it refuses.
# shellcheck disable=SC2154 # bats sets stderr and stderr_lines

load helpers

ARCHIVE="$TREE/pipelines/data/cifar10-jpeg-q75.tar.xz"
LOAD="$BIN/cifar-load"

setup() {
    cd "$BATS_TEST_TMPDIR" || return
    unset CIFAR10_DIR RESQ_DATA
}

setup_file() {
    export SHARED="$BATS_FILE_TMPDIR"
    make_bin "$SHARED/one.bin" 200 1
    mkdir "$SHARED/set"
    make_bin "$SHARED/set/data_batch_1.bin" 120 2
    make_bin "$SHARED/set/test_batch.bin" 40 3
}

fails() { # REASON cifar-load's arguments..: status 1, one line, nothing on standard output
    local reason=$1
    shift
    run --separate-stderr timeout 60 "$LOAD" "$@"
    [ "$status" -eq 1 ] || { echo "status $status: $stderr"; return 1; }
    [ -z "$output" ]
    [ "${#stderr_lines[@]}" -eq 1 ]
    [[ $stderr == "cifar-load: "*"$reason"* ]] || { echo "got: $stderr"; return 1; }
}

misuse() { # REASON arguments..
    local reason=$1
    shift
    run --separate-stderr "$LOAD" "$@"
    [ "$status" -eq 2 ]
    [ -z "$output" ]
    [[ ${stderr_lines[0]} == *"$reason"* ]] || { echo "got: $stderr"; return 1; }
}

metadata() { # FILE: the header of its first record
    head -c $((8 + $(od -An -tu8 -N8 "$1"))) "$1" | tail -c +9
}

@test "the embedded archive exports to the pinned bytes, and reads back as the same set" {
    "$LOAD" -d "$ARCHIVE" --export out
    (cd out && sha256sum --quiet -c "$TREE/pipelines/data/SHA256SUMS")
    printf '%s\n' airplane automobile bird cat deer dog frog horse ship truck | cmp - out/batches.meta.txt
    digest=$(sha256sum < "$TREE/pipelines/data/SHA256SUMS" | cut -c1-64)
    grep -qx "digest	sha256:$digest" out/dataset.tsv
    grep -qx "name	CIFAR-10 (JPEG q75)" out/dataset.tsv
    "$LOAD" -d out --split train --part train --stats > stats
    grep -qx "# dataset-digest: sha256:$digest" stats
    grep -qx "# images: 45000" stats
    awk '$1 == "red" { ok = $2 > 0.485 && $2 < 0.495 && $3 > 0.24 && $3 < 0.25 } END { exit !ok }' stats
    rm out/dataset.tsv # the six digests alone say it too
    run --separate-stderr "$LOAD" -d out --split test -n 1 -v -o one.batches
    [[ $stderr == "cifar-load: CIFAR-10 (JPEG q75), sha256:$digest, test/all: 1 of 10000 images" ]]
    rm -r out
}

@test "the same bytes from an export, a tar of it and a pipe" {
    "$LOAD" -d "$SHARED/set" --export out
    tar czf out.tar.gz out
    "$LOAD" -d "$SHARED/set" --shuffle -s 3 -b 7 --epochs 2 -o a.batches
    "$LOAD" -d out --shuffle -s 3 -b 7 --epochs 2 | cat > b.batches
    "$LOAD" -d out.tar.gz --shuffle -s 3 -b 7 --epochs 2 > c.batches
    cmp a.batches b.batches
    cmp a.batches c.batches
}

@test "without -d: CIFAR10_DIR, then RESQ_DATA" {
    CIFAR10_DIR=$SHARED/set "$LOAD" --stats | grep -qx '# dataset: set'
    CIFAR10_DIR=$SHARED/one.bin RESQ_DATA=$SHARED/set "$LOAD" --stats | grep -qx '# dataset: one'
    RESQ_DATA=$SHARED/set "$LOAD" --stats | grep -qx '# dataset: set'
    CIFAR10_DIR=/nowhere fails "/nowhere: cannot open: No such file or directory" --stats
}

@test "pictures of an ImageFolder, as a folder and as archives" {
    xz -dc "$ARCHIVE" | head -c 200000 | tar xf - --exclude=train/frog 2> /dev/null || true
    # the last one may be cut
    rm "$(find train -type f | sort -t/ -k3 | tail -n 1)"
    mkdir -p pets/test/cat
    mv train pets/
    cp pets/train/cat/00000.jpg pets/test/cat/
    tar cJf pets.tar.xz pets
    "$LOAD" -d pets -o folder.batches -v 2> talk.txt
    grep -q '^cifar-load: pets, sha256:[0-9a-f]*, train/all: ' talk.txt
    "$LOAD" -d pets.tar.xz -o archive.batches
    cmp folder.batches archive.batches
    metadata folder.batches | grep -qF '[\"airplane\",\"automobile\",\"bird\",\"cat\",\"deer\",\"dog\",\"horse\",\"ship\",\"truck\"]'
    # names are indices: the folder's order is the archive's
    "$LOAD" -d pets -n 1 --stats > a
    "$LOAD" -d pets/test --stats 2>&1 | grep -q 'none of its 1 picture (such as cat/00000.jpg) is in train/CLASS/'
    "$LOAD" -d pets --split test --stats > b
    diff <(grep -v '^#' a) <(grep -v '^#' b)
}

@test "train and held-out are the whole, without overlap" {
    for part in train held-out all; do
        "$LOAD" -d "$SHARED/one.bin" --part $part -b 1 -o $part.batches
        metadata $part.batches | grep -q "\"part\":\"$part\""
    done
    metadata train.batches | grep -q '"total":"180"'
    metadata held-out.batches | grep -q '"total":"20"'
    metadata all.batches | grep -q '"total":"200"'
}

@test "-n and --offset choose before shuffling; an epoch is another order of the same images" {
    "$LOAD" -d "$SHARED/one.bin" -n 50 --offset 20 --stats > plain
    tail -c $((50 * 3073)) <(head -c $((70 * 3073)) "$SHARED/one.bin") > some.bin
    diff <(grep -v '^#' plain) <("$LOAD" -d some.bin --stats | grep -v '^#')
    "$LOAD" -d "$SHARED/one.bin" -n 50 --shuffle --epochs 2 -b 50 -o two.batches
    "$LOAD" -d "$SHARED/one.bin" -n 50 --shuffle --epochs 2 --from 1 -b 50 -o late.batches
    # the second record of the one is the first of the other, made-by included
    size=$(($(stat -c %s two.batches) - $(stat -c %s late.batches)))
    cmp -n "$size" <(tail -c +$((size + 1)) two.batches) late.batches
    run cmp -n "$size" two.batches late.batches
    [ "$status" -eq 1 ]
}

@test "the seed matters with --shuffle only, and the made-by line says all of it" {
    "$LOAD" -d "$SHARED/one.bin" --shuffle -s 1 -o a
    "$LOAD" -d "$SHARED/one.bin" --shuffle -s 2 -o b
    run cmp -s a b
    [ "$status" -eq 1 ]
    digest=$(sha256sum < "$SHARED/one.bin" | cut -c1-64)
    metadata a | grep -qE "\"made-by\":\"cifar-load [0-9.]+ batch=128 count=0 data=sha256:$digest epochs=1 offset=0 part=all seed=1 shuffle=1 split=train\""
}

@test "broken files: one line that names file, record and offset, and no output" {
    head -c 30000 "$SHARED/one.bin" > cut.bin
    fails "cut.bin: 30000 bytes is not a multiple of 3073: record 9 at offset 27657 is cut" -d cut.bin -o out
    cp "$SHARED/one.bin" label.bin
    printf '\012' | dd of=label.bin bs=1 seek=$((7 * 3073)) conv=notrunc status=none
    fails "label.bin: record 7 at offset 21511: label 10, want 0..9" -d label.bin -o out
    : > empty.bin
    fails "empty.bin: empty input" -d empty.bin -o out
    fails "nowhere: cannot open: No such file" -d nowhere -o out
    head -c 100000 "$ARCHIVE" > cifar10-jpeg-q75.tar.xz
    fails ", want $(sha256sum < "$ARCHIVE" | cut -c1-64))" -d cifar10-jpeg-q75.tar.xz -o out
    [ "$(find . -name 'out*')" = "" ]
}

@test "hostile archives are refused by name" {
    mkdir evil
    ln -s /etc/passwd evil/data_batch_1.bin
    tar cf link.tar evil
    fails "link.tar: evil/data_batch_1.bin: symbolic link" -d link.tar
    tar cPf up.tar ../"$(basename "$PWD")"/link.tar
    fails "path with '..'" -d up.tar
    tar cPf absolute.tar "$PWD/link.tar"
    fails "absolute path" -d absolute.tar
    truncate -s 10G big.bin
    mv big.bin data_batch_1.bin
    tar cf - data_batch_1.bin 2> /dev/null | head -c 100000 > bomb.tar || true
    fails "bomb.tar: data_batch_1.bin: 10737418240 bytes exceeds limit 30730000" -d bomb.tar
}

@test "outputs: checked before the work, whole or not at all, never the input" {
    fails "no/out" -d "$SHARED/one.bin" -o no/out
    mkdir folder
    fails "folder" -d "$SHARED/one.bin" -o folder
    cp "$SHARED/one.bin" same.bin
    fails "same.bin" -d same.bin -o same.bin
    cmp same.bin "$SHARED/one.bin"
    run bash -c "'$LOAD' -d '$SHARED/one.bin' > /dev/full"
    [ "$status" -eq 1 ]
    [[ $output == "cifar-load: "*"No space left on device" ]]
    (ulimit -f 100 && ! "$LOAD" -d "$SHARED/one.bin" -o big 2> err)
    grep -q 'File too large' err
    [ "$(find . -name 'big*')" = "" ]
    run script -qec "'$LOAD' -d '$SHARED/one.bin'" /dev/null
    [[ $output == *terminal* ]]
}

@test "exports: a new folder, whole or not at all" {
    "$LOAD" -d "$SHARED/one.bin" --export out
    fails "out: exists and is not an empty folder" -d "$SHARED/one.bin" --export out
    fails "no/out: cannot create" -d "$SHARED/one.bin" --export no/out
    printf 'label' > cut.bin
    fails "cut.bin" -d cut.bin --export left
    (ulimit -f 100 && ! "$LOAD" -d "$SHARED/one.bin" --export big 2> err)
    grep -q 'File too large' err
    [ "$(find . -name 'left*' -o -name 'big*')" = "" ]
    cmp out/data_batch_1.bin "$SHARED/one.bin"
    printf 'x' | dd of=out/data_batch_1.bin bs=1 seek=9 conv=notrunc status=none
    fails "dataset.tsv says sha256:$(sha256sum < "$SHARED/one.bin" | cut -c1-64)" -d out
}

@test "a closed pipe ends it quietly" {
    run bash -c "set -o pipefail; '$LOAD' -d '$SHARED/one.bin' --epochs 1000 | head -c 1 > /dev/null"
    [ "$status" -eq 141 ]
    [ -z "$output" ]
    run bash -c "trap '' PIPE; set -o pipefail; '$LOAD' -d '$SHARED/one.bin' --epochs 1000 | head -c 1 > /dev/null"
    [ "$status" -eq 1 ]
    [ -z "$output" ]
}

@test "an interrupt leaves nothing" {
    "$LOAD" -d "$ARCHIVE" --export out &
    pid=$!
    for _ in $(seq 100); do
        [ -n "$(find . -name '*.part.*')" ] && break
        sleep 0.02
    done
    kill -TERM "$pid"
    code=0
    wait "$pid" || code=$?
    [ "$code" -eq 143 ]
    [ "$(find . -name 'out*')" = "" ]
}

@test "misuse" {
    misuse "--split: 'valid' is not one of train|test" --split valid
    misuse "--part: the test split has only 'all'" --split test --part train
    misuse "--from: 2 is not below --epochs 2" --epochs 2 --from 2
    misuse "--epochs" --epochs -1
    misuse "--epochs" --epochs 1e9999
    misuse "--count" -n 12abc
    misuse "--batch" -b 0
    misuse "--data: empty argument" -d ''
    misuse "--export goes with neither" --export x --stats
    misuse "unexpected operand 'x'" x
    fails "set: nothing is left behind the first 40 images: test/all has 40" -d "$SHARED/set" --split test --offset 40
}

@test "-n means at most: all there are come, with a warning" {
    "$LOAD" -d "$SHARED/one.bin" -n 200 -o exact 2> talk
    [ ! -s talk ]
    run --separate-stderr "$LOAD" -d "$SHARED/one.bin" -n 201 -o more
    [ "$status" -eq 0 ]
    [ "$stderr" = "cifar-load: warning: one: -n 201 asks for more images than there are: taking all 200 of train/all" ]
    metadata more | grep -q '"total":"200"'
    "$LOAD" -d "$SHARED/one.bin" -n 50 --offset 180 --stats 2> talk | grep -qx '# images: 20'
    grep -q 'taking all 20 of train/all from --offset on$' talk
    "$LOAD" -d "$SHARED/one.bin" -n 500 -q --part held-out -o few 2> talk
    [ ! -s talk ]
    head -c $((90 * 3073)) "$SHARED/one.bin" > nine.bin # nine of each class
    fails "nine: no class has 10 train images, so none is held out" -d nine.bin --part held-out -n 5
}

pictures() { # FOLDER: 12 of two classes
    xz -dc "$ARCHIVE" | head -c 60000 | tar xf - --wildcards 'train/cat/*' 'train/dog/*' 2> /dev/null || true
    mkdir -p "$1/train" "$1/test"
    for class in cat dog; do
        mkdir "$1/train/$class" "$1/test/$class"
        find "train/$class" -name '*.jpg' -size +0 | sort | head -n 2 > list
        xargs cp -t "$1/train/$class" < list
        cp "$(head -n 1 list)" "$1/test/$class/"
    done
    rm -r train list
}

@test "other files are left out and counted in one line, in folder and archives alike" {
    pictures pets
    "$LOAD" -d pets -o want 2> talk
    [ ! -s talk ]
    touch pets/labels.txt pets/train/cat/notes.txt pets/train/cat/Thumbs.db pets/train/.DS_Store
    mkdir -p pets/__MACOSX/train/cat pets/train/cat/@eaDir pets/val/cat
    cp pets/train/cat/*.jpg pets/train/cat/@eaDir/
    cp pets/train/cat/*.jpg pets/val/cat/
    touch pets/train/desktop.ini pets/__MACOSX/train/cat/._1.jpg
    tar cf pets.tar pets
    python3 -c "import shutil; shutil.make_archive('pets', 'zip', '.', 'pets')"
    for form in pets pets.tar pets.zip pets.tar; do # the last time from the decoded copy
        run --separate-stderr "$LOAD" -d $form -o got
        [ "$status" -eq 0 ]
        [ "${#stderr_lines[@]}" -eq 1 ]
        [[ $stderr == "cifar-load: warning: $form: left out 2 pictures in val/, 2 other files (such as "*labels.txt"), 6 hidden or system files (such as "*")" ]] || { echo "$stderr"; return 1; }
        cmp want got
        run --separate-stderr "$LOAD" -d $form -q -o got
        [ -z "$stderr" ]
    done
    printf 'GIF89a' > pets/train/cat/broken.png
    fails "train/cat/broken.png: neither a JPEG nor a PNG picture" -d pets
}

@test "a set without a test split: val is taken for it, or the folders are named" {
    pictures pets
    "$LOAD" -d pets --split test -o want
    mv pets/test pets/val
    run --separate-stderr "$LOAD" -d pets --split test -o got
    [ "$status" -eq 0 ]
    [ "$stderr" = "cifar-load: warning: pets: val/ is taken for the test split" ]
    cmp want got
    mv pets/val pets/testing
    fails "pets: has no test images; it has the folders: testing, train" -d pets --split test -q
    mv pets/train/cat pets/train/$'gr\xf6sse'
    fails 'pets/train/gr\xf6sse: the class name is not UTF-8' -d pets
}

@test "a decoded copy of an archive is made, used, and never needed" {
    export XDG_CACHE_HOME=$PWD/cache
    tar czf set.tar.gz -C "$SHARED" set
    "$LOAD" -d "$SHARED/set" --shuffle --epochs 2 -n 70 -o want
    for i in 1 2 3 4; do "$LOAD" -d set.tar.gz --shuffle --epochs 2 -n 70 -o "got.$i" & done
    wait
    for i in 1 2 3 4; do cmp want got.$i; done
    [ "$(find cache -type f | wc -l)" -eq 1 ] # under its name, and no temporary left
    "$LOAD" -d set.tar.gz -n 5 -v -o five 2> talk
    grep -q "^cifar-load: decoded copy: $PWD/cache/resq/images/$(sha256sum < set.tar.gz | cut -c1-64)-" talk
    "$LOAD" -d set.tar.gz --split test --stats | diff - <("$LOAD" -d "$SHARED/set" --split test --stats)
    # a damaged one, none at all, a folder that cannot be, a full disk, and asked to do without
    copy=$(find cache -type f)
    printf 'xxxx' | dd of="$copy" bs=1 seek=$(($(stat -c %s "$copy") - 3073 * 160 + 5)) conv=notrunc status=none
    "$LOAD" -d set.tar.gz --shuffle --epochs 2 -n 70 | cmp want -
    rm -r cache
    "$LOAD" -d set.tar.gz --shuffle --epochs 2 -n 70 --no-cache | cmp want -
    RESQ_CACHE=off "$LOAD" -d set.tar.gz --shuffle --epochs 2 -n 70 | cmp want -
    XDG_CACHE_HOME=relative HOME='' "$LOAD" -d set.tar.gz --shuffle --epochs 2 -n 70 | cmp want -
    [ ! -e cache ] && [ ! -e relative ]
    XDG_CACHE_HOME=$PWD/set.tar.gz/x "$LOAD" -d set.tar.gz --shuffle --epochs 2 -n 70 2> talk | cmp want -
    [ ! -s talk ]
    (ulimit -f 300 && "$LOAD" -d set.tar.gz -n 5 -v -o small) 2> talk
    grep -q '^cifar-load: no decoded copy: .*File too large$' talk
    cmp small five
    [ -z "$(find cache -type f)" ]
}
