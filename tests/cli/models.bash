# What the tests of fuse, calibrate and quantize share: a small model at each stage, and a way to edit records.
# shellcheck disable=SC2154 # bats sets status, output, stderr and stderr_lines

# record_edit IN OUT CODE: Python's CODE changes h (the header), meta (its metadata) and data (a bytearray) of a record; put(name,
# index, format, value) writes one element, drop(name) removes a tensor. The checksum goes.
record_edit() {
    python3 - "$1" "$2" "$3" <<'PY'
import json, struct, sys
raw = open(sys.argv[1], "rb").read()
size = struct.unpack("<Q", raw[:8])[0]
h, data = json.loads(raw[8:8 + size]), bytearray(raw[8 + size:])
meta = h.pop("__metadata__", {})
meta.pop("crc32", None)
def put(name, index, form, value):
    struct.pack_into("<" + form, data, h[name]["data_offsets"][0] + index * struct.calcsize(form), value)
def drop(name):
    begin, end = h.pop(name)["data_offsets"]
    del data[begin:end]
    for t in h.values():
        t["data_offsets"] = [o - (end - begin) if o >= end else o for o in t["data_offsets"]]
exec(sys.argv[3])
text = json.dumps({"__metadata__": meta, **h} if meta else h).encode()
open(sys.argv[2], "wb").write(struct.pack("<Q", len(text)) + text + data)
PY
}

# stream_split IN COUNT FIRST SECOND: a stream's first COUNT batches and the others, each closed by an end record of its own.
stream_split() {
    python3 - "$@" <<'PY'
import json, re, struct, sys
raw, count, at, records = open(sys.argv[1], "rb").read(), int(sys.argv[2]), 0, []
while at < len(raw):
    size = struct.unpack("<Q", raw[at:at + 8])[0]
    header = json.loads(raw[at + 8:at + 8 + size])
    total = max([0] + [t["data_offsets"][1] for k, t in header.items() if k != "__metadata__"])
    records.append((header, raw[at + 8 + size:at + 8 + size + total]))
    at += 8 + size + total
*batches, end = records
def write(path, batches):
    first = int(batches[0][0]["__metadata__"]["position"])
    images = 0
    with open(path, "wb") as f:
        for header, data in batches + [end]:
            meta = header["__metadata__"]
            meta.pop("crc32", None)
            if meta["kind"] == "batch":
                images += header["labels"]["shape"][0]
                meta["position"] = str(int(meta["position"]) - first)
            else:
                meta["images"] = str(images)
            text = json.dumps(header).encode()
            f.write(struct.pack("<Q", len(text)) + text + data)
write(sys.argv[3], batches[:count])
write(sys.argv[4], batches[count:])
PY
}

# Batch norms that do something: a fresh model's are 1 and 0.
train_norms='
import random
random.seed(5)
for name, t in h.items():
    if ".running_" in name or ".bn" in name or name.startswith("bn") or "downsample.1" in name:
        for i in range(t["shape"][0] if t["shape"] else 0):
            spread = name.endswith(("var", "weight"))
            put(name, i, "f", random.uniform(0.5, 1.5) if spread else random.gauss(0, 0.2))
'

# In the folder of this test file: images d.bin, batches all.b (200 images by 25), model.st, fused.st, ranges.st.
make_models() {
    cd "$BATS_FILE_TMPDIR" || return 1
    make_bin d.bin 200 1
    "$BIN/cifar-load" -d d.bin --split train -b 25 -o all.b
    "$BIN/train-fp32" --width 4 --epochs 0 -o fresh.st
    record_edit fresh.st model.st "$train_norms"
    "$BIN/fuse" -m model.st -o fused.st
    "$BIN/calibrate" -m fused.st -o ranges.st < all.b
}

# fails TEXT COMMAND..: exit status 1, nothing on standard output, one line on standard error that holds TEXT, no file "out".
fails() {
    local want=$1
    shift
    run --separate-stderr "$@"
    echo "status $status: $stderr"
    [ "$status" -eq 1 ] && [ -z "$output" ] && [ "${#stderr_lines[@]}" -eq 1 ] && [[ $stderr == *"$want"* ]] &&
        [[ $stderr =~ ^[a-z0-9-]+:\  ]] && [ ! -e out ] && ! compgen -G '*.part*' && ! compgen -G '.out*'
}

# Of a model on the images of $T/test.
loss() { # model
    "$BIN/evaluate" -m "$1" < "$T/test" | awk -F '\t' '$1 == "loss" { print $4 }'
}

holds() { # an arithmetic condition
    awk "BEGIN { exit !($1) }" || { echo "not so: $1"; return 1; }
}
