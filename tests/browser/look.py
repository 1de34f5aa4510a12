#!/usr/bin/env python3
"""look.py CHROMIUM PAGE OUT: opens a page in a headless Chromium (over the DevTools pipe; standard library alone) at three
widths, light and dark, with and without script, and prints on paper: no console message, no request that leaves the file, no
horizontal scroll, every image decoded, headings in order, names for every picture, sorting and filtering as promised. Leaves
screenshots and a PDF in OUT for a person. One line for each failure; exit status 1 where any."""
import base64
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

WIDTHS = (390, 820, 1920)


class Browser:
    """One Chromium, spoken to over descriptors 3 and 4: JSON messages that end with a zero byte."""

    def __init__(self, program, profile):
        to_read, self.to = os.pipe()
        self.back, from_write = os.pipe()

        def wire():  # dup to high numbers first, so that neither overwrites the other
            high = [os.dup2(to_read, 103), os.dup2(from_write, 104)]
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        arguments = [program, "--headless=new", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu",
                     "--disable-dev-shm-usage", "--disable-background-networking", "--hide-scrollbars",
                     f"--user-data-dir={profile}"]
        if os.geteuid() == 0:
            arguments.append("--no-sandbox")
        self.process = subprocess.Popen(arguments, preexec_fn=wire, close_fds=False, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_read)
        os.close(from_write)
        self.number, self.rest, self.events = 0, b"", []

    def receive(self):
        while b"\0" not in self.rest:
            more = os.read(self.back, 1 << 20)
            if not more:
                raise SystemExit("look.py: the browser went away")
            self.rest += more
        one, self.rest = self.rest.split(b"\0", 1)
        return json.loads(one)

    def call(self, method, session=None, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        raw = json.dumps(message).encode() + b"\0"
        while raw:
            raw = raw[os.write(self.to, raw):]
        while True:
            answer = self.receive()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise SystemExit(f"look.py: {method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def close(self):
        self.call("Browser.close")
        self.process.wait()


class Page:
    def __init__(self, browser, url, width, script, scheme):
        self.browser, self.failures = browser, []
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.target = target
        self.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Emulation.setScriptExecutionDisabled", value=not script)
        browser.events.clear()
        self.call("Page.navigate", url=url)
        end = time.monotonic() + 60
        while not any(e.get("method") == "Page.loadEventFired" for e in browser.events):
            browser.events.append(browser.receive())
            if time.monotonic() > end:
                raise SystemExit("look.py: the page did not load")
        for event in browser.events:
            self.note(event, url)

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def note(self, event, url):
        method, what = event.get("method"), event.get("params", {})
        if method == "Network.requestWillBeSent":
            wanted = what["request"]["url"]
            if wanted != url and not wanted.startswith("data:"):
                self.failures.append(f"asks for {wanted[:100]}")
        elif method == "Runtime.consoleAPICalled":
            self.failures.append(f"console: {json.dumps(what['args'])[:200]}")
        elif method == "Runtime.exceptionThrown":
            self.failures.append(f"exception: {json.dumps(what['exceptionDetails'])[:300]}")
        elif method == "Log.entryAdded":
            self.failures.append(f"log: {what['entry']['text'][:200]}")

    def value(self, expression):
        """Also where the page's own scripts are off: the tools' are not."""
        got = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in got:
            self.failures.append(f"{expression[:60]}: {json.dumps(got['exceptionDetails'])[:300]}")
        return got["result"].get("value")

    def shoot(self, path):
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 16000), "scale": 1}
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))

    def close(self):
        self.browser.call("Target.closeTarget", targetId=self.target)


ALWAYS = {
    "no horizontal scroll": "document.documentElement.scrollWidth <= innerWidth",
    "every image decodes": "Promise.all([...document.images].map(i => i.decode())).then(() => true, () => false)",
    "one h1, headings in order": """(() => { let last = 0, ones = 0;
        for (const h of document.querySelectorAll('h1,h2,h3,h4')) { const n = +h.tagName[1];
            if (n > last + 1) return false; ones += n === 1; last = n } return ones === 1 })()""",
    "pictures have names": "[...document.querySelectorAll('img')].every(i => i.alt) && "
                           "[...document.querySelectorAll('svg[role=img]')].every(s => s.getAttribute('aria-label'))",
    "ids stand once": "(() => { const all = [...document.querySelectorAll('[id]')].map(e => e.id); "
                      "return new Set(all).size === all.length })()",
    "text has contrast": """(() => { const lum = c => { const v = c.map(x => { x /= 255;
            return x <= .03928 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4 }); return .2126 * v[0] + .7152 * v[1] + .0722 * v[2] };
        const read = s => { const n = s.match(/[\\d.]+/g).map(Number); return n.length > 3 ? n : [...n.slice(0, 3), 1] };
        const ground = e => { const over = []; let base = [255, 255, 255];
            for (let p = e; p; p = p.parentElement) { const c = read(getComputedStyle(p).backgroundColor);
                if (c[3] > 0) over.push(c); if (c[3] === 1) break }
            for (const c of over.reverse()) base = base.map((b, i) => b + (c[i] - b) * c[3]); return base };
        const bad = new Set(); for (const e of document.querySelectorAll('body *')) {
            if (e.closest('svg') || ![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || !e.offsetParent) continue;
            const a = lum(read(getComputedStyle(e).color)), b = lum(ground(e));
            if ((Math.max(a, b) + .05) / (Math.min(a, b) + .05) < 4.5) bad.add(e.tagName + '.' + e.className) }
        return bad.size === 0 || [...bad].slice(0, 5).join(' ') })()""",
}
SCRIPTED = {
    "sorting works, both ways": """(() => { for (const t of document.querySelectorAll('table.sort')) {
        const b = t.tBodies[0]; if (b.rows.length < 2) continue;
        const value = r => { const c = r.cells[1], n = parseFloat(c.dataset.v ?? c.textContent); return n };
        const k = t.tHead.rows[0].cells[1].querySelector('button'); if (!k) return 'no button';
        const in_order = up => { const v = [...b.rows].map(value).filter(x => !Number.isNaN(x));
            return v.every((x, i) => i === 0 || (up ? v[i - 1] <= x : v[i - 1] >= x)) };
        k.click(); if (!in_order(true) || k.parentElement.getAttribute('aria-sort') !== 'ascending') return t.caption.textContent;
        k.click(); if (!in_order(false)) return t.caption.textContent } return true })()""",
    "filtering works": """(() => { const all = [...document.querySelectorAll('figure.picture')], s = document.querySelector('.filter select');
        const names = new Set(all.map(p => p.dataset.class)); if (names.size < 2) return true; if (!s) return 'no filter';
        for (const o of [...s.options].slice(1)) { s.value = o.value; s.onchange();
            if (!all.every(p => p.hidden === (p.dataset.class !== o.textContent))) return o.textContent }
        s.value = ''; s.onchange(); return all.every(p => !p.hidden) })()""",
}


def look(browser, url, out, width, script, scheme):
    page = Page(browser, url, width, script, scheme)
    view = f"{width}-{scheme}{'' if script else '-no-script'}"
    page.shoot(out / f"{view}.png")
    for name, expression in {**ALWAYS, **(SCRIPTED if script else {})}.items():
        got = page.value(expression)
        if got is not True:
            page.failures.append(f"{name}: {got}")
    if not script and page.value("document.querySelectorAll('button, select').length") != 0:
        page.failures.append("without script a control stands there that does nothing")
    if width == WIDTHS[1] and scheme == "light" and script:
        paper = page.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)
        (out / "paper.pdf").write_bytes(base64.b64decode(paper["data"]))
    page.close()
    return [f"{view}: {failure}" for failure in page.failures]


def main():
    program, file, out = sys.argv[1], pathlib.Path(sys.argv[2]).resolve(), pathlib.Path(sys.argv[3])
    out.mkdir(parents=True, exist_ok=True)
    failures, views = [], 0
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(program, profile)
        for width in WIDTHS:
            for script in (True, False):
                for scheme in ("light", "dark") if script else ("light",):
                    failures += look(browser, file.as_uri(), out, width, script, scheme)
                    views += 1
        browser.close()
    for failure in failures:
        print(f"{file.name}: {failure}")
    print(f"{file.name}: {views} views, {len(failures)} failures; screenshots in {out}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
