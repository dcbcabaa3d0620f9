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

_CONTRAST: Final = """
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
const poor = [];
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
  const node = texts.currentNode.parentElement;
  if (!texts.currentNode.data.trim() || !node.checkVisibility()) continue;
  const [one, other] = [channels(getComputedStyle(node).color).rgb, behind(node)].map(luminance);
  const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  if (ratio < 4.5) poor.push(`${texts.currentNode.data.trim()}: ${ratio.toFixed(2)}`);
}
return poor;
"""


class Browser:
    """One window."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver
        driver.execute_cdp_cmd("Page.enable", {})
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _WATCH})

    def open(self, url: str) -> None:
        """Go there as somebody who was never here."""
        self.driver.switch_to.new_window("tab")
        self.driver.execute_cdp_cmd("Page.enable", {})
        self.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _WATCH})
        self.size(1280, 900)
        self.scheme("light")
        self.driver.get(url)

    def size(self, width: int, height: int, *, phone: bool = False) -> None:
        """Of the window, in pixels of CSS."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone},
        )

    def scheme(self, name: str, *, still: bool = False) -> None:
        """`light` or `dark`; `still`: without motion."""
        features = [
            {"name": "prefers-color-scheme", "value": name},
            {"name": "prefers-reduced-motion", "value": "reduce" if still else "no-preference"},
        ]
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
        """Texts that are hard to read, with their contrast: 4.5 is what WCAG 2.2 wants."""
        return list(self.run(_CONTRAST))

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
