"""Open files, and who closes them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rtmptwist.media.errors import MediaError
from rtmptwist.media.flvcontainer import FlvContainer
from rtmptwist.vod.source import ClosingContainer, FileSource
from tests.media.test_flvcontainer import AVC, HEAD, gops


def opened(path: Path, content: bytes) -> FileSource:
    path.write_bytes(content)
    return FileSource(os.open(path, os.O_RDONLY))


def test_a_file_that_was_changed_is_another_one(tmp_path: Path) -> None:
    source = opened(tmp_path / "one", b"some")
    before = source.identity
    assert (source.size, source.read(1, 9)) == (4, b"ome")
    assert source.identity == before
    (tmp_path / "one").write_bytes(b"more of it")
    assert source.identity != before
    source.close()


def test_a_container_closes_its_file(tmp_path: Path) -> None:
    source = opened(tmp_path / "show.flv", HEAD + AVC + gops(2))
    container = ClosingContainer(FlvContainer, source)
    assert container.duration == 1950
    assert container.metadata["duration"] == 1.95
    assert container.read(container.seek(0).place).tags
    container.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        source.read(0, 1)


def test_what_cannot_be_opened_is_closed(tmp_path: Path) -> None:
    source = opened(tmp_path / "bad.flv", b"nothing of the kind")
    with pytest.raises(MediaError):
        ClosingContainer(FlvContainer, source)
    with pytest.raises(OSError, match="Bad file descriptor"):
        source.read(0, 1)
