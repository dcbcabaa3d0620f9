"""One real server for the tests of a module, and programs that never outlive a test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.support.browser import Browser, chromium
from tests.support.programs import IN_A_HURRY, Programs, Site, programs, serve

_numbers = itertools.count()


@pytest.fixture
def started() -> Iterator[Programs]:
    """Starts programs; whatever still runs when the test ends is killed."""
    with programs() as these:
        yield these


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """The real server, with an application `live` that ends streams at once."""
    with programs() as these:
        yield serve(these, IN_A_HURRY)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for the tests of a module; each opens a page of its own."""
    with chromium(tmp_path_factory.mktemp("chromium")) as started:
        yield started


@pytest.fixture
def path() -> str:
    """A stream that no other test knows, short enough to stand in the log as it is."""
    return f"live/n{next(_numbers)}"
