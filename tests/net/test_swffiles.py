"""SWF files on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtmptwist.net.swffiles import SwfFileError, read_swfs
from rtmptwist.wire.limits import Limits
from rtmptwist.wire.swf import Swf
from tests.support.swf import COMPRESSED, PLAIN, SWF


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With two files, and something else."""
    (tmp_path / "a.swf").write_bytes(COMPRESSED)
    (tmp_path / "b.swf").write_bytes(PLAIN + b"more")
    (tmp_path / "b.html").write_text("<html>")
    return tmp_path


def test_a_file(folder: Path) -> None:
    assert read_swfs(folder / "a.swf") == [SWF]


def test_all_files_of_a_folder(folder: Path) -> None:
    assert read_swfs(folder) == [SWF, Swf.of(PLAIN + b"more")]


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("c.swf", "/c.swf: No such file or directory"),
        ("b.html", "/b.html: no SWF file: it begins with '<ht' (expected 'FWS' or 'CWS')"),
        ("empty", "/empty: a folder without any file *.swf"),
        ("large.swf", "/large.swf: larger than 1000 bytes"),
        ("bomb.swf", "/bomb.swf: SWF file: cut short, or larger than 1000 bytes when inflated"),
    ],
)
def test_what_cannot_be_used(folder: Path, place: str, words: str) -> None:
    (folder / "empty").mkdir()
    (folder / "large.swf").write_bytes(PLAIN.ljust(1001))
    (folder / "bomb.swf").write_bytes(COMPRESSED[:-1])
    with pytest.raises(SwfFileError) as caught:
        read_swfs(folder / place, Limits(swf_size=1000))
    assert str(caught.value) == f"{folder}{words}"
