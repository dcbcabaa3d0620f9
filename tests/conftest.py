"""What all tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.support.logs import Logs, logs_of_test

settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")


@pytest.fixture
def logs() -> Iterator[Logs]:
    """What is logged; a failure that the test does not `forgive` is one of the test."""
    with logs_of_test() as these:
        yield these
