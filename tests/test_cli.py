"""The command line beside the server."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from rtmptwist import __version__
from rtmptwist.cli import main

ROOT = Path(__file__).parents[1]


def run(*words: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rtmptwist", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_it_runs_as_a_module(tmp_path: Path) -> None:
    done = run("keys", "make", str(tmp_path / "a.keys"), "show")
    assert (done.returncode, done.stderr) == (0, "")
    assert "In OBS: Settings, Stream, Service: Custom" in done.stdout
    done = run("keys", "list", str(tmp_path / "none"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"rtmptwist: {tmp_path}/none: No such file or directory\n"


def test_the_script_is_the_same() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"rtmptwist": "rtmptwist.cli:main"}


def test_it_needs_no_reactor() -> None:
    code = (
        "import sys, rtmptwist.cli; rtmptwist.cli.parser();"
        "sys.exit('twisted.internet.reactor' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60).returncode == 0


@pytest.mark.parametrize("words", [[], ["keys"], ["kyes"], ["keys", "mak"]])
def test_misuse(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    assert "usage: rtmptwist" in capsys.readouterr().err


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for word in ("--version", "--help"):
        with pytest.raises(SystemExit) as caught:
            main([word])
        assert caught.value.code == 0
    out = capsys.readouterr().out
    assert f"rtmptwist {__version__}\n" in out
    assert "make, list and revoke stream keys" in out
