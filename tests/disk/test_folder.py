"""Names that stay in their folder."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtmptwist.disk.folder import LONGEST, Folder, Names, safe


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "root")


def make(folder: Folder, *names: str, data: bytes = b"") -> None:
    number = folder.create(names)
    os.write(number, data)
    os.close(number)


# ------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("show", "show"),
        ("Späti 2", "Späti 2"),
        ("日本", "日本"),
        ("a.b", "a.b"),
        ("e\u0301", "\u00e9"),
        ("", "_"),
        (".", "_"),
        ("..", "__"),
        (".hidden", "_hidden"),
        ("-rf", "_rf"),
        ("~root", "_root"),
        ("a.", "a_"),
        ("a ", "a_"),
        ("a/b", "a_b"),
        ("a\\b", "a_b"),
        ("C:x", "C_x"),
        ("a\0b", "a_b"),
        ("a\nb", "a_b"),
        ("\u202egpj.exe", "_gpj.exe"),
        ("\ud800", "_"),
        ("con", "con_"),
        ("NUL.flv", "NUL_.flv"),
        ("console", "console"),
        ("com1", "com1_"),
    ],
)
def test_names_are_made_harmless(text: str, name: str) -> None:
    assert safe(text) == name


def test_long_names_are_cut_and_stay_different() -> None:
    one, two = safe("ü" * 300 + "1", room=20), safe("ü" * 300 + "2", room=20)
    assert one != two
    assert {len(one.encode()), len(two.encode())} <= {LONGEST - 20, LONGEST - 21}
    assert safe("x" * LONGEST) == "x" * LONGEST


@given(text=st.text(alphabet=st.characters()) | st.text(alphabet="./\\\0-~ ab"))
def test_any_text_makes_a_name(text: str) -> None:
    name = safe(text, room=10)
    assert 0 < len(name.encode()) <= LONGEST - 10
    assert not {"/", "\0", "\n"} & set(name)
    assert name[0] not in ".-~ "
    assert safe(name, room=10) == name


# -------------------------------------------------------------------------------------- files


def test_folders_are_made_as_they_are_needed(folder: Folder) -> None:
    make(folder, "a", "b", "file", data=b"x")
    make(folder, "a", "b", "other")
    assert (folder.root / "a" / "b" / "file").read_bytes() == b"x"
    assert folder.path(("a", "b", "file")) == folder.root / "a" / "b" / "file"


def test_nothing_is_made_over_something(folder: Folder, tmp_path: Path) -> None:
    make(folder, "file")
    with pytest.raises(FileExistsError):
        folder.create(("file",))
    (folder.root / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(FileExistsError):
        folder.create(("link",))
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("names", [("..", "x"), (".",), ("",), ("a/../../x",), ("a\0",)])
def test_no_name_leads_out(folder: Folder, names: Names) -> None:
    """They are made harmless before; if somebody forgets, they are refused."""
    for what in folder.create, folder.open, folder.exists, folder.remove:
        with pytest.raises(ValueError, match="no name of a file"):
            what(names)


def test_no_link_leads_out(folder: Folder, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("x")
    folder.root.mkdir()
    (folder.root / "link").symlink_to(outside)
    (folder.root / "file").symlink_to(outside / "secret")
    for what in folder.create, folder.open, folder.exists, folder.remove:
        with pytest.raises(NotADirectoryError):
            what(("link", "secret"))
    with pytest.raises(OSError, match="symbolic links"):
        folder.open(("file",))
    assert folder.exists(("file",))
    assert list(outside.iterdir()) == [outside / "secret"]


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    folder = Folder(tmp_path / "link")
    make(folder, "a", "file")
    assert (tmp_path / "real" / "a" / "file").exists()
    assert [entry.names for entry in folder.files()] == [("a", "file")]


def test_only_files_are_opened(folder: Folder) -> None:
    make(folder, "file", data=b"x")
    number = folder.open(("file",))
    assert os.read(number, 9) == b"x"
    os.close(number)
    os.mkfifo(folder.root / "pipe")
    (folder.root / "dir").mkdir()
    for name in "pipe", "dir":
        with pytest.raises(OSError, match="Not a file"):
            folder.open((name,))
    with pytest.raises(FileNotFoundError):
        folder.open(("nothing",))
    if os.access("/dev/null", os.R_OK):
        with pytest.raises(OSError, match="Not a file"):
            Folder(Path("/dev")).open(("null",))


def test_exists_and_remove(folder: Folder) -> None:
    assert not folder.exists(("a", "file"))
    make(folder, "a", "file")
    assert folder.exists(("a", "file"))
    folder.remove(("a", "file"))
    assert not folder.exists(("a", "file"))
    with pytest.raises(FileNotFoundError):
        folder.remove(("a", "file"))


def test_rename_never_replaces(folder: Folder) -> None:
    make(folder, "a", "one", data=b"1")
    make(folder, "a", "two", data=b"2")
    with pytest.raises(FileExistsError):
        folder.rename(("a", "one"), "two")
    folder.rename(("a", "one"), "three")
    assert {path.name: path.read_bytes() for path in (folder.root / "a").iterdir()} == {
        "two": b"2",
        "three": b"1",
    }


def test_rename_goes_on_where_it_was_broken_off(folder: Folder) -> None:
    make(folder, "one", data=b"1")
    os.link(folder.root / "one", folder.root / "two")
    folder.rename(("one",), "two")
    assert [path.name for path in folder.root.iterdir()] == ["two"]


def test_tidy_removes_folders_that_have_been_empty_for_a_while(folder: Folder) -> None:
    make(folder, "a", "b", "c", "file")
    make(folder, "a", "kept")
    folder.tidy(("a", "b", "c", "file"), 1e10)
    assert (folder.root / "a" / "b" / "c").exists()
    folder.remove(("a", "b", "c", "file"))
    folder.tidy(("a", "b", "c", "file"), 1000)
    assert (folder.root / "a" / "b" / "c").exists()
    folder.tidy(("a", "b", "c", "file"), 1e10)
    assert [path.name for path in (folder.root / "a").iterdir()] == ["kept"]
    folder.tidy(("kept",), 1e10)
    assert folder.root.exists()


def test_rename_where_there_are_no_links(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_link(*_: Any, **__: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_link)
    test_rename_never_replaces(folder)


def test_rename_tells_what_is_wrong(folder: Folder) -> None:
    folder.root.mkdir()
    with pytest.raises(FileNotFoundError):
        folder.rename(("one",), "two")


def test_what_is_in_it(folder: Folder, tmp_path: Path) -> None:
    make(folder, "a", "b", "one", data=b"123")
    make(folder, "two")
    (folder.root / "link").symlink_to(tmp_path)
    (folder.root / "file").symlink_to(folder.root / "two")
    os.utime(folder.root / "two", (1000, 2000))
    found = {entry.names: entry for entry in folder.files()}
    assert found.keys() == {("a", "b", "one"), ("two",)}
    assert found["a", "b", "one"].size == 3
    assert found["two",].changed == 2000


def test_what_vanishes_while_it_is_looked_at(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(folder, "one")
    real = os.stat

    def gone(path: Any, **options: Any) -> os.stat_result:
        if path == "one":
            raise FileNotFoundError(path)
        return real(path, **options)

    monkeypatch.setattr(os, "stat", gone)
    assert list(folder.files()) == []
