"""The status page for those who enlarge it, use no mouse, or want less motion."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from tests.interop.test_operation import ADMIN, Desk, forever
from tests.support.browser import Browser, pictures
from tests.support.programs import AT_ONCE, Programs, Site, ffmpeg9, player, serve
from tests.support.statuspage import open_page, streams_shown
from tests.support.variants import LISTENERS, url

pytestmark = pytest.mark.interop

VIEWS: dict[str, tuple[Callable[[Browser], None], int]] = {
    "zoom-200": (lambda browser: browser.zoom(200), 14),
    "zoom-400": (lambda browser: browser.zoom(400), 14),
    "text-200": (lambda browser: browser.text_size(32), 28),
    "spacing": (Browser.space_out, 14),
}
"How somebody sees it, and the size of its text in pixels of CSS."


def busy(started: Programs) -> Site:
    """A server with something in each part of the page."""
    site = serve(started, AT_ONCE + "warn_gop = 1s\n", LISTENERS + ADMIN)
    for name in ("one", "two"):
        started.start(*forever("rtmp", site.url(f"live/{name}")))
    site.wait_for("publishes live/", times=2)
    started.start(*player(ffmpeg9(), url(site, "rtmps", "live/one")))
    site.wait_for("plays live/one")
    return site


def until_busy(browser: Browser) -> None:
    """The page shows all of that."""
    browser.until(lambda: len(streams_shown(browser)) == 2)
    browser.until(lambda: len(browser.all("#connections tbody tr")) == 3)
    browser.until_seen("#warnings li.on", "key frame")


def test_all_of_it_is_to_be_seen_however_large_it_is(
    started: Programs, browser: Browser, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    open_page(browser, busy(started))
    until_busy(browser)
    assert browser.crowded() == []
    folder = pictures(request, tmp_path)
    for name, (look, size) in VIEWS.items():
        look(browser)
        assert browser.run("return getComputedStyle(document.body).fontSize") == f"{size}px"
        assert (name, browser.crowded()) == (name, [])
        browser.click("#connections tbody .grave")
        browser.until_seen("#confirm", "Kick #")
        assert browser.run("return document.querySelector('#confirm').scrollWidth <= innerWidth")
        browser.press(Keys.ESCAPE)
        browser.keep(folder / f"status-{name}.png")
        browser.size(1280, 900)
        browser.text_size(16)
    assert browser.complaints() == []


def test_everything_is_reached_by_the_keyboard(started: Programs, browser: Browser) -> None:
    site = busy(started)
    open_page(browser, site)
    until_busy(browser)
    browser.press(Keys.TAB, Keys.ENTER)
    assert browser.focused() == "Streams"  # past all that stands before them
    browser.driver.refresh()
    until_busy(browser)
    stops = browser.tour()
    assert [words for words, seen in stops if not seen] == []
    words = [words for words, _ in stops]
    assert words[:4] == ["Skip to streams", "Pause", "Reload configuration", "Drain"]
    others = browser.run(
        """
        const visible = (node) => node.checkVisibility() && !node.disabled;
        const all = document.querySelectorAll("a[href], button, select, [tabindex='0']");
        return [...all].filter(visible).map((node) => node.textContent.trim() || node.id);
        """
    )
    assert words == others
    browser.tab_to("Drain")
    browser.press(Keys.ENTER)
    browser.until_seen("#confirm", "Drain and stop")
    stops_there = set()
    for _ in range(5):
        browser.press(Keys.TAB)
        stops_there.add(browser.focused())
    assert {"Cancel", "Drain"} <= stops_there
    assert "Pause" not in stops_there
    browser.press(Keys.ESCAPE)
    browser.until(lambda: browser.focused() == "Drain")
    assert browser.complaints() == []


@pytest.mark.parametrize("more", ["prefers-contrast: more", "forced-colors: active"])
def test_colours_of_one_s_own(started: Programs, browser: Browser, more: str) -> None:
    open_page(browser, busy(started))
    until_busy(browser)
    pressed = "return getComputedStyle(document.querySelector('#pause'), '::before').content"
    browser.click("#pause")
    assert "✓" in browser.run(pressed)  # not by its colour alone
    for scheme in ("light", "dark"):
        browser.scheme(scheme, still=True, more=more)
        assert (scheme, browser.poor_contrast()) == (scheme, [])
    assert browser.complaints() == []


def drawings(browser: Browser) -> int:
    """How often a line was drawn while the clock of the page went on for three seconds."""
    browser.run(
        """
        window.drawn = window.ticks = 0;
        const watch = (node, what, note) => new MutationObserver(note).observe(node, what);
        const line = document.querySelector("#streams tbody .spark .line");
        watch(line, { attributes: true }, () => (window.drawn += 1));
        watch(document.querySelector("#build"), { childList: true }, () => (window.ticks += 1));
        """
    )
    browser.until(lambda: browser.run("return window.ticks") >= 3, "three seconds")
    return int(browser.run("return window.drawn"))


def test_little_moves_for_those_who_want_it_so(started: Programs, browser: Browser) -> None:
    site = busy(started)
    duration = "return getComputedStyle(document.querySelector('#drain')).transitionDuration"
    open_page(browser, site)
    until_busy(browser)
    assert drawings(browser) >= 3
    assert browser.run(duration) != "0s"
    open_page(browser, site, still=True)
    until_busy(browser)
    assert drawings(browser) <= 1
    assert browser.run(duration) == "0s"
    browser.tab_to("Drain")
    assert browser.run("return document.getAnimations().length") == 0
    assert browser.complaints() == []


def test_figures_that_change_all_the_time_can_be_stopped(
    started: Programs, browser: Browser
) -> None:
    """What goes wrong is told all the same."""
    site = busy(started)
    open_page(browser, site)
    until_busy(browser)
    assert browser.run("return document.querySelector('#done').checkVisibility()")
    browser.tab_to("Pause")
    browser.press(Keys.SPACE)
    assert browser.one("#pause").get_attribute("aria-pressed") == "true"
    browser.until(lambda: browser.text("#build").startswith("Paused at"))
    started.start(*forever("rtmp", site.url("live/three")))
    Desk(site).once("streams", lambda page: page["total"] == 3)
    browser.until(lambda: "live/three" in browser.text("#warnings"), "a warning")
    assert len(streams_shown(browser)) == 2
    assert len(browser.all("#connections tbody tr")) == 3
    assert browser.focused() == "Pause"
    browser.run("document.querySelector('#state').textContent = 'Connection lost'")
    browser.until(lambda: browser.text("#state") == "Ready")
    browser.press(Keys.SPACE)
    browser.until(lambda: len(streams_shown(browser)) == 3)
    browser.until(lambda: len(browser.all("#connections tbody tr")) == 4)
    assert browser.complaints() == []
