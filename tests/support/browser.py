"""A real Chromium without a screen, and what an operator does in it."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.support.programs import PATIENCE, program

T = TypeVar("T")

OPTIONS: Final = (
    "--headless=new",
    "--no-sandbox",  # containers have no user namespaces
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--mute-audio",
)

_WATCH: Final = """
window.violations = [];
addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(`${event.violatedDirective} ${event.blockedURI}`);
});
"""
"Runs before any script of a page."

_COLOURS: Final = """
const channels = (text) => {
  const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
  return { rgb: [r, g, b], a };
};
const luminance = (rgb) => {
  const linear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  const [r, g, b] = rgb.map((c) => linear(c / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (node) => {
  for (; node; node = node.parentElement) {
    const { rgb, a } = channels(getComputedStyle(node).backgroundColor);
    if (a > 0.99) return rgb;
  }
  return [255, 255, 255];
};
const contrast = (one, other) => {
  const [a, b] = [one, other].map(luminance);
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
};
"""
"What colours are, and how well they can be told apart."

_CONTRAST: Final = f"""{_COLOURS}
const poor = [];
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {{
  const node = texts.currentNode.parentElement;
  if (!texts.currentNode.data.trim() || !node.checkVisibility()) continue;
  const ratio = contrast(channels(getComputedStyle(node).color).rgb, behind(node));
  if (ratio < 4.5) poor.push(`${{texts.currentNode.data.trim()}}: ${{ratio.toFixed(2)}}`);
}}
for (const node of document.querySelectorAll("button, select, input:not([type=radio])")) {{
  if (!node.checkVisibility() || node.disabled) continue;
  const style = getComputedStyle(node);
  const ratio = contrast(channels(style.borderTopColor).rgb, behind(node.parentElement));
  if (ratio < 3) poor.push(`the edge of ${{node.id || node.textContent}}: ${{ratio.toFixed(2)}}`);
}}
return poor;
"""

_CROWDED: Final = """
const found = [];
const clip = (rect, node) => {
  let { left, top, right, bottom } = rect;
  for (; node && node !== document.body; node = node.parentElement) {
    if (getComputedStyle(node).overflowY === "visible") continue;
    const outer = node.getBoundingClientRect();
    [left, top] = [Math.max(left, outer.left), Math.max(top, outer.top)];
    [right, bottom] = [Math.min(right, outer.right), Math.min(bottom, outer.bottom)];
  }
  return { left, top, right, bottom };
};
const add = (words, rects, node) => {
  for (const rect of rects) {
    const { left, top, right, bottom } = clip(rect, node);
    if (right - left > 2 && bottom - top > 2) found.push({ words, left, top, right, bottom });
  }
};
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
  const { currentNode: text } = texts;
  const node = text.parentElement;
  if (!text.data.trim() || !node.checkVisibility() || node.closest(".skip, option")) continue;
  const range = document.createRange();
  range.selectNodeContents(text);
  add(text.data.trim(), range.getClientRects(), node);
}
for (const node of document.querySelectorAll("svg, select, canvas")) {
  if (node.checkVisibility()) add(node.tagName, [node.getBoundingClientRect()], node);
}
const crowded = found
  .filter(({ left, right }) => left < -1 || right > innerWidth + 1)
  .map(({ words }) => `${words} sticks out`);
found.forEach((one, at) => {
  for (const other of found.slice(at + 1)) {
    const wide = Math.min(one.right, other.right) - Math.max(one.left, other.left);
    const high = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
    if (wide > 2 && high > 4) crowded.push(`${one.words} and ${other.words} overlap`);
  }
});
const { scrollWidth, clientWidth } = document.documentElement;
if (scrollWidth > clientWidth) crowded.push(`${scrollWidth} pixels wide, of ${clientWidth}`);
return [...new Set(crowded)];
"""

_SPACING: Final = """
const sheet = new CSSStyleSheet();
sheet.replaceSync(`* {
  line-height: 1.5 !important; letter-spacing: 0.12em !important; word-spacing: 0.16em !important;
}
p { margin-bottom: 2em !important; }`);
document.adoptedStyleSheets = [sheet];
"""

_FOCUS: Final = """
const node = document.activeElement;
const { top, bottom, left, right } = node.getBoundingClientRect();
const seen = top < innerHeight && bottom > 0 && left < innerWidth && right > 0;
const { outlineStyle, outlineWidth } = getComputedStyle(node);
const ring = outlineStyle !== "none" && parseFloat(outlineWidth) >= 2;
return node === document.body ? null : [node.textContent.trim() || node.id, seen && ring];
"""


class Browser:
    """One window."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver
        driver.execute_cdp_cmd("Page.enable", {})
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _WATCH})

    def open(self, url: str, *, still: bool = False) -> None:
        """Go there as somebody who was never here; `still`: and wants less motion."""
        self.driver.switch_to.new_window("tab")
        self.driver.execute_cdp_cmd("Page.enable", {})
        self.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _WATCH})
        self.size(1280, 900)
        self.scheme("light", still=still)
        self.driver.get(url)

    def size(self, width: int, height: int, *, phone: bool = False) -> None:
        """Of the window, in pixels of CSS."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone},
        )

    def zoom(self, percent: int) -> None:
        """As much larger, in a window of 1280 pixels by 1024."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {
                "width": 1280 * 100 // percent,
                "height": 1024 * 100 // percent,
                "deviceScaleFactor": percent / 100,
                "mobile": False,
            },
        )

    def text_size(self, pixels: int) -> None:
        """Of ordinary text, as somebody has set it in the browser. Usual: 16."""
        sizes = {"standard": pixels, "fixed": pixels}
        self.driver.execute_cdp_cmd("Page.setFontSizes", {"fontSizes": sizes})

    def space_out(self) -> None:
        """More space between lines, words and letters: as much as WCAG 2.2 (1.4.12) wants."""
        self.run(_SPACING)

    def scheme(self, name: str, *, still: bool = False, more: str = "") -> None:
        """`light` or `dark`; `still`: without motion; `more`: another feature that is wanted."""
        features = [
            {"name": "prefers-color-scheme", "value": name},
            {"name": "prefers-reduced-motion", "value": "reduce" if still else "no-preference"},
        ]
        if more:
            feature, value = more.split(": ")
            features.append({"name": feature, "value": value})
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def keep(self, file: Path) -> None:
        """A picture of the whole page."""
        arguments = {"captureBeyondViewport": True}
        shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", arguments)
        file.write_bytes(base64.b64decode(shot["data"]))

    def run(self, script: str, *arguments: object) -> Any:
        """What a function with this body returns in the page."""
        return self.driver.execute_script(script, *arguments)

    # ------------------------------------------------------------------ looking

    def all(self, selector: str) -> list[WebElement]:
        """All elements that a selector of CSS finds."""
        return list(self.driver.find_elements(By.CSS_SELECTOR, selector))

    def one(self, selector: str) -> WebElement:
        """The first of them."""
        element: WebElement = self.driver.find_element(By.CSS_SELECTOR, selector)
        return element

    def text(self, selector: str) -> str:
        """What stands there, to be seen or not."""
        return str(self.one(selector).get_property("textContent")).replace("\xa0", " ").strip()

    def texts(self, selector: str) -> list[str]:
        """The same of all that are found, at one moment."""
        script = "return [...document.querySelectorAll(arguments[0])].map((n) => n.textContent)"
        return [str(text).replace("\xa0", " ").strip() for text in self.run(script, selector)]

    def seen(self, selector: str) -> bool:
        """Whether it is to be seen."""
        return any(element.is_displayed() for element in self.all(selector))

    def until(self, look: Callable[[], T], what: object = "") -> T:
        """What is true at last."""
        deadline = time.monotonic() + PATIENCE
        while True:
            with suppress(NoSuchElementException, StaleElementReferenceException):
                if found := look():
                    return found
            if time.monotonic() > deadline:
                raise AssertionError(f"{what} not in {PATIENCE} s:\n{self.text('body')}")
            time.sleep(0.05)

    def until_seen(self, selector: str, words: str = "") -> None:
        """Wait until it is to be seen, and has these words."""
        self.until(
            lambda: self.seen(selector) and words in self.text(selector), f"{selector}: {words!r}"
        )

    def complaints(self) -> list[str]:
        """What the page did wrong, as far as the browser noticed, since the last look."""
        said = [
            entry["message"]
            for entry in self.driver.get_log("browser")
            if entry["level"] in ("SEVERE", "WARNING") and entry["source"] != "network"
        ]
        return said + list(self.run("return window.violations"))

    def poor_contrast(self) -> list[str]:
        """Texts, and edges of what can be used, that are hard to see: WCAG 2.2 wants 4.5 and 3."""
        return list(self.run(_CONTRAST))

    def crowded(self) -> list[str]:
        """What covers something else, or sticks out of the window."""
        return list(self.run(_CROWDED))

    def spoken(self) -> list[tuple[str, str]]:
        """What a screen reader finds: roles and names."""
        nodes = self.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        return [
            (str(node["role"]["value"]), str(node.get("name", {}).get("value", "")))
            for node in nodes
            if not node["ignored"]
        ]

    def call(self, module: str, script: str, *arguments: object) -> Any:
        """What a function with this body returns; `it` is a module of the page, with `args`."""
        return self.driver.execute_async_script(
            "const [module, args, done] = arguments;"
            f"import(module).then((it) => done((() => {{ {script} }})()));",
            module,
            arguments,
        )

    # ------------------------------------------------------------------ acting

    def click(self, selector: str) -> None:
        """Press a button with the mouse."""
        self.until(lambda: self.seen(selector), selector)
        self.one(selector).click()

    def press(self, *keys: str) -> None:
        """Keys, to whatever has the focus."""
        ActionChains(self.driver).send_keys(*keys).perform()

    def back(self) -> None:
        """Shift and Tab: to what comes before that."""
        keys = ActionChains(self.driver).key_down(Keys.SHIFT).send_keys(Keys.TAB)
        keys.key_up(Keys.SHIFT).perform()

    def focused(self) -> str:
        """What a screen reader says of what has the focus."""
        return str(self.driver.switch_to.active_element.get_property("textContent")).strip()

    def tour(self) -> list[tuple[str, bool]]:
        """All that the Tab key leads to, once around: its text, and whether that is seen."""
        stops: list[tuple[str, bool]] = []
        for _ in range(200):
            self.press(Keys.TAB)
            stop = self.run(_FOCUS)
            if stop is None:
                return stops
            stops.append((str(stop[0]), bool(stop[1])))
        raise AssertionError(f"nobody gets out of here by the keyboard: {stops[-5:]}")

    def tab_to(self, words: str) -> None:
        """Go on with the Tab key until something of that text has the focus."""
        for _ in range(200):
            if self.focused() == words:
                return
            self.press(Keys.TAB)
        raise AssertionError(f"nobody gets to {words!r} by the keyboard")


@contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    """A browser that leaves nothing outside of `folder`; the test is skipped without one."""
    options = webdriver.ChromeOptions()
    options.binary_location = program("chromium")
    for option in (*OPTIONS, f"--user-data-dir={folder}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(program("chromedriver")))
    try:
        driver.set_script_timeout(PATIENCE)
        yield Browser(driver)
    finally:
        driver.quit()


def pictures(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Where pictures are kept: `--artefacts`, or with the rest of what the test leaves."""
    wanted = request.config.getoption("artefacts")
    folder = Path(wanted) if wanted else tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    return folder
