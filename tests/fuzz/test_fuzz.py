"""The fuzz target runs for a moment with every test run; run it longer by hand (tests/fuzz)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

VECTORS = Path(__file__).parent.parent / "vectors" / "vectors-sessions"

SECONDS = 5


def test_session_survives_any_bytes(tmp_path: Path) -> None:
    """Starts from what real clients sent, behind the handshake."""
    pytest.importorskip("atheris", reason="atheris has no build for this Python")
    for path in VECTORS.glob("*.c2s.bin"):
        data = path.read_bytes()
        (tmp_path / path.stem).write_bytes(b"\x01" + data[3073:6000])
        (tmp_path / f"{path.stem}-shake").write_bytes(b"\x08" + data[:4000])
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.fuzz.session",
            f"-max_total_time={SECONDS}",
            "-max_len=6000",
            "-seed=1",
            f"-artifact_prefix={tmp_path}/",
            str(tmp_path),
        ],
        cwd=Path(__file__).parent.parent.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "Done" in done.stderr
