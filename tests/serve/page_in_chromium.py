#!/usr/bin/env python3
"""The live page in a real browser: photos in, vectors, tags and the closest pair out, numbers that move, at 360 px, in the
dark and by keyboard. Exits 77 where there is no Chromium.
    page_in_chromium.py ENGINE_SERVE SOURCE_FOLDER [FOLDER_FOR_SCREENSHOTS]
"""
import base64
import pathlib
import subprocess
import sys

import webdriver
from webdriver import ENTER, SHIFT, TAB

LABELS = ["cat", "dog", "tree"]


def start_server(program, source):
    server = subprocess.Popen([program, "--model", source / "tests/golden/clip_text/quick-gelu-77", "--port", "0", "--threads", "2",
                               "--name", "small", "--labels", ",".join(LABELS), "--quiet"], stdout=subprocess.PIPE, text=True)
    address = server.stdout.readline().strip()
    assert address.startswith("http://"), "engine-serve did not start"
    return server, address


class Page:
    def __init__(self, browser, source, screenshots):
        self.browser, self.screenshots = browser, screenshots
        self.photos = source / "apps/demo/photos"

    def text(self, selector):
        return self.browser.run("return document.querySelector(arguments[0]).textContent", selector)

    def number(self, selector):
        return float(self.text(selector).replace(",", ""))

    def picture(self, name):
        if self.screenshots:
            size = self.browser.command("Page.getLayoutMetrics")["cssContentSize"]
            clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
            png = self.browser.command("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"]
            (self.screenshots / (name + ".png")).write_bytes(base64.b64decode(png))

    def choose(self, *names):
        self.browser.type_into("#files", "\n".join(str(self.photos / name) for name in names))

    def drop(self, name):
        """As from a file manager, by the events that it sends."""
        data = base64.b64encode((self.photos / name).read_bytes()).decode()
        self.browser.run("""
            const bytes = Uint8Array.from(atob(arguments[1]), (c) => c.charCodeAt(0));
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([bytes], arguments[0]));
            for (const kind of ["dragover", "drop"])
              document.getElementById("drop").dispatchEvent(new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true }));
            """, name, data)

    def wait_for_photos(self, count):
        self.browser.wait("document.querySelectorAll('#photos > li canvas').length === arguments[0]", count)

    def check_load(self):
        self.browser.wait("document.getElementById('state').textContent === 'ready'")
        assert self.text("#answered") == "0"
        card = self.text("#model")
        assert "small" in card and "48 numbers" in card and "cpu" in card, card
        assert "3 labels" in self.browser.wait("document.getElementById('labels-state').textContent"), "labels are shown"
        assert "/v1/tag" in self.text("#snippets")

    def check_photos(self):
        self.choose("dunes.jpg", "dunes-cropped.jpg", "sailboat.webp")
        self.wait_for_photos(3)
        self.drop("beach.jpg")
        self.wait_for_photos(4)
        first = self.text("#photos > li")  # the newest
        assert first.startswith("beach.jpg: ") and " × " in first and " jpeg" in first, first
        for stage in ("decode", "preprocess", "queue", "compute"):
            assert stage + " " in first, first
        tags = self.browser.run("return [...document.querySelectorAll('#photos > li')].map((line) =>"
                                " [...line.querySelectorAll('.tags li')].map((tag) => tag.textContent))")
        for found in tags:
            assert sorted(tag.split()[0] for tag in found) == LABELS, found
            shares = [float(tag.split()[1]) for tag in found]
            assert shares == sorted(shares, reverse=True) and abs(sum(shares) - 100) < 0.3, found
        pair = self.text("#pair")
        assert pair.startswith("Closest pair: ") and float(pair.split()[-1]) <= 1.0001, pair
        shown = "[...document.images].every((image) => image.complete && image.naturalWidth > 0)"
        self.browser.wait(shown)

    def check_numbers(self):
        self.browser.wait("document.getElementById('answered').textContent === '4'")
        self.browser.wait("document.querySelector('#rate-chart polyline').getAttribute('points').split(' ').length >= 2")
        assert self.text("#waiting") == "0"
        assert self.text("#p50").endswith(" ms") and self.text("#p99").endswith(" ms")
        assert self.text("#batches .bar"), "photos by batch size"
        assert " of " in self.text("#memory .bar") and "MiB" in self.text("#memory") + self.text("#model"), self.text("#memory")
        assert "compute" in self.text("#stage-legend")

    def check_labels(self):
        self.browser.run("document.getElementById('labels').value = ''")
        self.browser.type_into("#labels", "sun, moon" + ENTER)
        self.browser.wait("document.getElementById('labels-state').textContent.startsWith('2 labels')")
        self.drop("tulips.jpg")
        self.wait_for_photos(5)
        assert "moon" in self.text("#photos > li .tags")

    def check_keyboard(self):
        """Everything that can be worked with a mouse is reached by Tab, and shows that it is."""
        self.browser.run("const top = document.querySelector('h1'); top.tabIndex = -1; top.focus()")
        reached = []
        for _ in range(40):
            self.browser.press(TAB)
            if self.browser.run("return document.activeElement === document.body"):
                break  # beyond the last
            where = self.browser.run("""
                const at = document.activeElement, box = at.closest("label") || at;
                return [at.id || at.getAttribute("aria-label") || at.textContent.slice(0, 20),
                        getComputedStyle(box).outlineStyle !== "none" || getComputedStyle(at).outlineStyle !== "none"]""")
            assert where[1], f"no outline on {where[0]}"
            reached.append(where[0])
        for wanted in ("files", "labels", "set-labels", "Copy the curl example", "/metrics"):
            assert wanted in reached, f"{wanted} is not reached by Tab: {reached}"
        self.browser.run("document.querySelector('.snippet button').focus()")
        self.browser.press(ENTER)
        self.browser.wait("/Copied|Selected/.test(document.querySelector('.snippet button').textContent)")
        self.browser.press(SHIFT, TAB)

    def check_narrow(self):
        self.browser.command("Emulation.setDeviceMetricsOverride", width=360, height=740, deviceScaleFactor=2, mobile=True)
        wide = self.browser.run("""
            return [...document.querySelectorAll("body *")].filter((one) => !one.closest("pre") &&
              one.getBoundingClientRect().right > 360.5).map((one) => one.tagName + "#" + one.id + "." + one.className)""")
        assert not wide and self.browser.run("return document.documentElement.scrollWidth") <= 360, wide
        self.picture("narrow")
        self.browser.command("Emulation.clearDeviceMetricsOverride")

    def contrast(self):
        """The least of text on its ground, by WCAG 2.1 (1.4.3)."""
        return self.browser.run("""
            const light = (colour) => {
              const [r, g, b] = colour.match(/[0-9.]+/g).slice(0, 3).map((x) => x / 255)
                .map((x) => x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
              return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const ground = (at) => {
              for (; at; at = at.parentElement) {
                const colour = getComputedStyle(at).backgroundColor;
                if (!/, 0\\)$/.test(colour)) return colour;
              }
              return "rgb(255, 255, 255)";
            };
            const texts = [...document.querySelectorAll("body *")].filter((at) => at.checkVisibility() &&
              [...at.childNodes].some((node) => node.nodeType === 3 && node.data.trim()));
            return Math.min(...texts.map((at) => {
              const [a, b] = [light(getComputedStyle(at).color), light(ground(at))].sort((x, y) => y - x);
              return (a + 0.05) / (b + 0.05);
            }))""")

    def check_colours(self):
        self.browser.command("Emulation.setDeviceMetricsOverride", width=1200, height=900, deviceScaleFactor=1, mobile=False)
        grounds = []
        for scheme in ("light", "dark"):
            self.browser.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            grounds.append(self.browser.run("return getComputedStyle(document.body).backgroundColor"))
            self.picture(scheme)
            contrast = self.contrast()
            assert contrast >= 4.5, f"{scheme}: text with a contrast of {contrast:.2f}"
        assert grounds[0] != grounds[1], grounds
        self.browser.command("Emulation.setEmulatedMedia", features=[])
        self.browser.command("Emulation.clearDeviceMetricsOverride")

    def check_quiet(self):
        errors = self.browser.errors()
        assert not errors, errors

    def check_bad_photo(self):
        self.browser.run("""
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File(["no photo"], "broken.jpg"));
            document.dispatchEvent(new DragEvent("drop", { dataTransfer, cancelable: true }))""")
        self.browser.wait("document.querySelector('#photos .bad')")
        assert self.text("#photos .bad").startswith("broken.jpg: "), self.text("#photos .bad")
        self.browser.wait("document.getElementById('failures').textContent.includes('bad_image')")
        # The browser notes the 400; the page has nothing to add.
        assert [entry["source"] for entry in self.browser.errors()] == ["network"]


def main():
    program, source = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
    screenshots = pathlib.Path(sys.argv[3]) if len(sys.argv) > 3 else None
    if webdriver.missing():
        print("skipped: " + " and ".join(webdriver.missing()) + " not found; apt-get install chromium chromium-driver (250 MB)")
        return 77
    server, address = start_server(program, source)
    browser = None
    try:
        browser = webdriver.Browser()
        browser.open(address)
        page = Page(browser, source, screenshots)
        for check in (page.check_load, page.check_photos, page.check_numbers, page.check_labels, page.check_colours, page.check_narrow,
                      page.check_keyboard, page.check_quiet, page.check_bad_photo):
            check()
            print("passed:", check.__name__.removeprefix("check_"))
        server.terminate()
        assert server.wait(timeout=30) == 0, "engine-serve did not end well beside an open page"
        browser.wait("document.getElementById('state').dataset.state === 'lost'")
        print("passed: the page says that the server is gone")
    finally:
        if browser:
            browser.close()
        server.kill()
    return 0


if __name__ == "__main__":
    sys.exit(main())
