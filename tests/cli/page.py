#!/usr/bin/env python3
"""page.py PAGE [TEXT..]: whether a report is what it promises: one file that asks for nothing, with no markup but its own. Each
TEXT must stand in it as text. One line for each failure; exit status 1 where any."""
import html.parser
import re
import sys

TAGS = set("""html head meta link title style body header h1 h2 h3 p nav ul li a main section div table caption thead tbody tr th td
small span svg path circle rect text tspan g figure figcaption img br b code dl dt dd script""".split())
EMPTY = {"meta", "link", "img", "br"}
failures = []


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.words, self.scripts, self.attributes = [], [], 0, []

    def handle_starttag(self, tag, attributes):
        if tag not in TAGS:
            failures.append(f"a tag <{tag}>")
        self.scripts += tag == "script"
        for name, value in attributes:
            self.attributes.append(value or "")
            if name.startswith("on"):
                failures.append(f"<{tag} {name}>")
            if name in ("href", "src", "action", "srcset", "xlink:href", "style", "formaction"):
                if not re.match(r"#[a-z0-9-]+$|data:(,|image/png;base64,|text/tab-separated-values;base64,)|--v:[0-9.]+$", value or ""):
                    failures.append(f"<{tag} {name}={value!r:.80}>")
        if tag == "a" and dict(attributes).get("href", "").startswith("data:") and "download" not in dict(attributes):
            failures.append("a data: link that is no download")
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in EMPTY:
            self.open.pop()

    def handle_endtag(self, tag):
        if not self.open or self.open[-1] != tag:
            failures.append(f"</{tag}> closes {self.open[-3:]}")
        else:
            self.open.pop()

    def handle_data(self, data):
        self.words.append(data)

    def handle_comment(self, data):
        failures.append(f"a comment {data[:40]!r}")

    def unknown_decl(self, data):
        failures.append(f"a declaration {data[:40]!r}")


raw = open(sys.argv[1], "rb").read()
text = raw.decode()  # or it is no UTF-8
page = Page()
page.feed(text)
page.close()
if page.open:
    failures.append(f"left open: {page.open}")
if page.scripts != 1:
    failures.append(f"{page.scripts} scripts")
if len(raw) > 2_000_000:
    failures.append(f"{len(raw)} bytes")
for bad in re.findall("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff]", text):
    failures.append(f"a character {bad!r}")
shown = "".join(page.words) + "\n".join(page.attributes)
for want in sys.argv[2:]:
    if want not in shown:
        failures.append(f"is not there: {want}")
print("\n".join(failures[:20]))
sys.exit(1 if failures else 0)
