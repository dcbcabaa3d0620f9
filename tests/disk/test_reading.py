from __future__ import annotations

import os
from pathlib import Path

import pytest

from rtmptwist.disk.reading import Changes, NotRegular, TooLarge, read_small


def test_a_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_small(path, 5) == b"12345"
    with pytest.raises(TooLarge):
        read_small(path, 4)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotRegular):
        read_small(tmp_path / "pipe", 5)
    with pytest.raises(NotRegular):
        read_small(Path(os.devnull), 5)
    with pytest.raises(FileNotFoundError):
        read_small(tmp_path / "nothing", 5)


def test_changes_that_go_on_are_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "file"
    changes = Changes()
    path.write_text("")
    changes.note(path)
    for size in range(1, 4):
        path.write_text("x" * size)
        assert not changes.look(path)
    assert changes.look(path)
    assert not changes.look(path)


def test_a_change_that_is_taken_back_is_none(tmp_path: Path) -> None:
    path = tmp_path / "file"
    changes = Changes()
    changes.note(path)
    path.write_text("")
    assert not changes.look(path)
    path.unlink()
    assert not changes.look(path)
    path.write_text("")
    assert not changes.look(path)
    assert changes.look(path)
