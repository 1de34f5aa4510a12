#!/usr/bin/env bats
# plot: grids of pictures, some with what a model says of them.
# shellcheck disable=SC2154 # bats sets stderr

load helpers
load plots

@test "grids: as many pictures as asked, enlarged, the same each time" {
    "$BIN/plot" images -o a.png < batches
    "$BIN/plot" images --images batches -o b.png < /dev/null
    cmp a.png b.png
    [ "$(size a.png)" = "1684x1216" ] # 8 columns, 5 rows
    "$BIN/plot" images -n 5 --columns 5 --scale 3 -o c.png < batches
    [ "$(size c.png | cut -dx -f1)" -lt 1000 ]
    "$BIN/plot" augmented -o d.png < epochs
    "$BIN/plot" augmented --originals originals -o e.png < epochs
    [ "$(size e.png | cut -dx -f1)" -gt "$(size d.png | cut -dx -f1)" ]
    [ "$(size e.png | cut -dx -f2)" -eq "$(size d.png | cut -dx -f2)" ]
}

@test "samples: a wrong one is marked" {
    "$BIN/plot" samples predictions -o a.png < batches
    PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$TREE/tests/cli python3 - <<'PY' # red frame pixels: only where image 2 stands, the third of the first row
import look
rows = list(look.rows_of("a.png"))
red = [(x, y) for y, row in enumerate(rows) for x, p in enumerate(row) if p == bytes((200, 30, 0))]
xs, ys = [x for x, _ in red], [y for _, y in red]
assert len(red) > 2000, len(red)
assert 20 + 2 * 196 - 4 <= min(xs) and max(xs) < 20 + 3 * 196 and max(ys) < 340, (min(xs), max(xs), max(ys))
PY
    "$BIN/plot" samples predictions --label PTQ -n 3 -o b.png < batches
    run ! cmp -s a.png b.png
}

@test "samples and originals must be of the same images" {
    make_bin other.bin 40 2
    "$BIN/cifar-load" -d other.bin --split test -o other
    run --separate-stderr "$BIN/plot" samples predictions -o none.png < other
    [ "$status" -eq 1 ]
    [[ $stderr == "plot: dataset-digest: "* ]]
    run --separate-stderr "$BIN/plot" augmented --originals other -o none.png < epochs
    [ "$status" -eq 1 ]
    [[ $stderr == "plot: other: dataset-digest: "* ]]
    run --separate-stderr "$BIN/plot" samples batches -o none.png < batches
    [ "$status" -eq 1 ]
    [[ $stderr == "plot: batches: "* ]]
    [ ! -e none.png ]
}
