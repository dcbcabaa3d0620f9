"""The status page, as tests open and read it."""

from __future__ import annotations

from tests.support.browser import Browser
from tests.support.programs import Site


def open_page(browser: Browser, site: Site, *, still: bool = False) -> None:
    """The status page, with its first figures if nobody is asked for a login."""
    browser.open(site.url("status", "http", "admin"), still=still)


def streams_shown(browser: Browser) -> dict[str, list[str]]:
    """The table of streams: the cells of each row, by the name."""
    rows = browser.run(
        """
        return [...document.querySelectorAll("#streams tbody tr")].map((row) => [
          row.querySelector(".path").textContent,
          [...row.querySelectorAll("td")].map((cell) => cell.textContent),
        ]);
        """
    )
    return {name: [cell.replace("\xa0", " ") for cell in cells] for name, cells in rows}


def variants_shown(browser: Browser) -> dict[str, int]:
    """Connections by variant."""
    heads = browser.texts(".variants dt")
    return {
        head.lower(): int(text)
        for head, text in zip(heads, browser.texts(".variants dd"), strict=True)
        if text.isdigit() and text != "0"
    }
