# What the tests of report share: a run whose every name is hostile.

# hostile_run FROM TO: a copy of a run in which classes, data set, notes, models and files have names that would be markup, script,
# or worse where anything forgot to escape; and its batches beside it as TO.batches.
hostile_run() {
    python3 - "$1" "$2" <<'PY'
import json, os, re, struct, sys
NAMES = ["<script>alert(1)</script>", "\"><img src=x onerror=alert(2)>", "' onmouseover='alert(3)", "&lt;b&gt; & &amp;amp;",
         "]]></svg><script>alert(4)</script>", "\x01\x07\x1b[31mred\x7f", "javascript:alert(5)", "\u202egnp.exe\u2028\u0085",
         "--><!--", "</title></style></table></section>"]
WITHIN = [re.sub("[\x00-\x1f\x7f-\x9f]", "c", n) for n in NAMES] # records with control characters are refused when they are read
DATASET = "<b>\"data\"&'set'|`x`](javascript:alert(6)) ---"
FILE = "<img src=x onerror=alert(7)>\"'&\x02"
source, to = sys.argv[1:3]
os.makedirs(to)

def records(raw):
    at = 0
    while at < len(raw):
        size = struct.unpack("<Q", raw[at:at + 8])[0]
        header = json.loads(raw[at + 8:at + 8 + size])
        total = max([0] + [t["data_offsets"][1] for k, t in header.items() if k != "__metadata__"])
        yield header, raw[at + 8 + size:at + 8 + size + total]
        at += 8 + size + total

def hostile(path, out):
    with open(path, "rb") as f, open(out, "wb") as g:
        for header, data in records(f.read()):
            meta = header["__metadata__"]
            meta.pop("crc32", None)
            if "classes" in meta:
                meta["classes"] = json.dumps(WITHIN)
            if "dataset" in meta:
                meta["dataset"] = DATASET
            for key in ("made-by", "quantization"):
                if key in meta:
                    meta[key] += " " + NAMES[0] + NAMES[2]
            text = json.dumps(header).encode()
            g.write(struct.pack("<Q", len(text)) + text + data)

classes = "airplane automobile bird cat deer dog frog horse ship truck".split()
for name in sorted(os.listdir(source)):
    path = os.path.join(source, name)
    out = os.path.join(to, re.sub(r"^(ptq|final_ptq_quantized_model|ptq-qat|qat\.log)\b", lambda m: FILE + m.group(1), name))
    if name.endswith(".safetensors"):
        hostile(path, out)
    elif name.endswith(".tsv"):
        lines = open(path).read().split("\n")
        cells = [[NAMES[classes.index(c)].replace("\u0085", "?") if c in classes else c for c in line.split("\t")] for line in lines]
        text = "\n".join("\t".join(line) for line in cells).replace("final_ptq", "<i>ptq\"'")
        open(out, "w", newline="").write("# note: " + NAMES[4] + NAMES[1] + "\n" + text)
os.makedirs(to + "/.work")
open(to + "/.work/<u>\"'.ms", "w").write("17\n")
open(to + "/.work/<u>\"'.stamp", "w").write("echo <script>alert(8)</script> \"'&\n")
hostile(source + "/.work/test.batches", to + ".batches")
PY
}
