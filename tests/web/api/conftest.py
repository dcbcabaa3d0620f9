"""A server with a port for operators, for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.logs import Logs
from tests.support.manned import Manned


@pytest.fixture
def manned(tmp_path: Path, logs: Logs) -> Iterator[Manned]:
    """One that stops when the test is over."""
    house = Manned(tmp_path)
    yield house
    house.close()
