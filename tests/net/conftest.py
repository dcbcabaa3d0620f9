"""Whole sessions over every pipe."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.support.guests import Serving
from tests.support.guests import serving as serving_rtmp
from tests.support.tls import issue, put
from tests.support.variants import VARIANTS


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A server's; nobody checks it."""
    return put(tmp_path_factory.mktemp("certificate"), "localhost", issue("localhost"))


@pytest.fixture(params=VARIANTS)
def serving(
    request: pytest.FixtureRequest, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> Serving:
    """
    A server of one variant, whose guests speak nothing else; each of the six in turn.

    It looks after everything more often than once a second, so that no test takes that long.
    """
    monkeypatch.setattr("rtmptwist.service.SWEEP_INTERVAL", 0.1)
    variant: str = request.param
    return partial(
        serving_rtmp, scheme=variant, certificate=certificate if variant.endswith("s") else None
    )
