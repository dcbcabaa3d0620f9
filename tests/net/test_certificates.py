"""Certificates by host name, and what happens when their files change."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from rtmptwist.net.certificate import SELF_MADE_FOR, CertificateError
from rtmptwist.net.certificates import (
    DAY,
    MISMATCH,
    Certificates,
    Folder,
    OneFile,
    Pair,
    SelfMade,
    Source,
)
from tests.support.logs import Logs
from tests.support.pki import NOW, Signed, authority

pytestmark = pytest.mark.usefixtures("logs")

ROOT = authority()


class Time:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def load(source: Source, time: Time | None = None) -> Certificates:
    return Certificates(source, time or Time())


def numbers(certificates: Certificates) -> list[int]:
    """The serial numbers of those in use."""
    return [each.leaf.serial_number for each in certificates.all]


def serial(signed: Signed) -> int:
    return signed.certificate.serial_number


def folder(path: Path, **files: str) -> dict[str, Signed]:
    """Write a certificate into each file: file name without its end, host names."""
    path.mkdir(exist_ok=True)
    made = {file: ROOT.sign(*names.split()) for file, names in files.items()}
    for file, signed in made.items():
        write(signed, path / f"{file}.pem")
    return made


def write(signed: Signed, path: Path) -> None:
    """Put it there as certbot does, with the whole chain, at once."""
    signed.write(path.with_suffix(".new"), signed.key_pem(), signed.pem, ROOT.pem)
    path.with_suffix(".new").replace(path)


class Two:
    """A certificate and its key, each with a file of its own."""

    def __init__(self, folder: Path) -> None:
        self.chain, self.key = folder / "fullchain.pem", folder / "privkey.pem"

    def put(self, signed: Signed, *, chain: bool = True, key: bool = True) -> None:
        """Replace one or both."""
        if key:
            signed.write(self.key, signed.key_pem())
        if chain:
            signed.write(self.chain, signed.pem, ROOT.pem)


def name_of(certificates: Certificates, name: str | None) -> str:
    return certificates.for_name(name).path.stem


# ---- by host name


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("a.example", "a"),
        ("A.Example", "a"),
        ("a.example.", "a"),
        ("www.a.example", "a"),
        ("b.example", "wild"),
        ("sub.b.example", "wild"),
        ("deep.sub.b.example", "default"),
        ("special.b.example", "special"),
        ("c.example", "default"),
        ("example", "default"),
        ("", "default"),
        (None, "default"),
    ],
)
def test_a_client_gets_the_certificate_for_the_name_it_asks_for(
    tmp_path: Path, name: str | None, file: str
) -> None:
    folder(
        tmp_path,
        a="a.example www.a.example",
        default="server.example",
        special="special.b.example",
        wild="b.example *.b.example",
    )
    assert name_of(load(Folder(tmp_path)), name) == file


def test_without_a_default_the_first_file_is_it(tmp_path: Path) -> None:
    folder(tmp_path, c="c.example", b="b.example")
    (tmp_path / "a.txt").write_text("no certificate")
    certificates = load(Folder(tmp_path))
    assert name_of(certificates, None) == "b"
    assert [each.path.stem for each in certificates.all] == ["b", "c"]


def test_of_two_for_one_name_the_one_that_lasts_longer_counts(tmp_path: Path) -> None:
    write(ROOT.sign("a.example", days=60), tmp_path / "new.pem")
    write(ROOT.sign("a.example", days=30), tmp_path / "old.pem")
    assert name_of(load(Folder(tmp_path)), "a.example") == "new"


def test_a_folder_as_certbot_has_it_and_keys_apart(tmp_path: Path) -> None:
    signed = {name: ROOT.sign(f"{name}.example") for name in "abc"}
    for name in "ac":
        (tmp_path / name).mkdir()
        Two(tmp_path / name).put(signed[name])
    signed["b"].write(tmp_path / "b.pem", signed["b"].pem, ROOT.pem)
    signed["b"].write(tmp_path / "b.key", signed["b"].key_pem())
    (tmp_path / "README").write_text("This directory contains your keys and certificates.")
    (tmp_path / "empty").mkdir()
    (tmp_path / ".hidden.pem").write_text("half of a certificate")
    certificates = load(Folder(tmp_path))
    assert numbers(certificates) == [serial(signed[name]) for name in "abc"]
    assert [pair[1].name for pair in Folder(tmp_path).pairs()] == [
        "privkey.pem",
        "b.key",
        "privkey.pem",
    ]


def test_a_file_goes_before_a_folder_of_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    Two(tmp_path / "a").put(ROOT.sign("a.example"))
    (made,) = folder(tmp_path, a="a.example").values()
    assert numbers(load(Folder(tmp_path))) == [serial(made)]


def test_one_file_serves_every_name(tmp_path: Path) -> None:
    (made,) = folder(tmp_path, site="a.example").values()
    certificates = load(OneFile(tmp_path / "site.pem"))
    assert certificates.for_name("other.example").leaf == made.certificate


# ---- at the start


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    folder(tmp_path, good="good.example")
    (tmp_path / "bad.pem").write_text("nonsense")
    write(ROOT.sign("late.example", begin=-9, days=-1), tmp_path / "late.pem")
    with pytest.raises(CertificateError) as caught:
        load(Folder(tmp_path))
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"{tmp_path / 'bad.pem'}: no certificate")
    assert second.startswith(f"{tmp_path / 'late.pem'}: expired")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (Folder(Path("/nowhere")), "/nowhere: No such file or directory"),
        (OneFile(Path("/nowhere")), "/nowhere: No such file or directory"),
    ],
)
def test_what_is_not_there_is_named(source: Source, words: str) -> None:
    with pytest.raises(CertificateError, match=words):
        load(source)


def test_an_empty_folder_is_no_source(tmp_path: Path) -> None:
    with pytest.raises(CertificateError, match=r"no file NAME\.pem or NAME/fullchain\.pem"):
        load(Folder(tmp_path))


def test_names_ends_and_warnings_are_logged(tmp_path: Path, logs: Logs) -> None:
    signed = ROOT.sign("a.example", "b.example")
    signed.write(tmp_path / "a.pem", signed.key_pem(), signed.pem)
    bare = ROOT.sign()
    bare.write(tmp_path / "b.pem", bare.key_pem(), bare.pem, ROOT.pem)
    load(Folder(tmp_path))
    assert logs.lines() == [
        f"certificate {tmp_path / 'a.pem'} for a.example, b.example, until 2030-08-30",
        f"certificate {tmp_path / 'b.pem'} for no host name, until 2030-08-30",
    ]
    first, second = logs.lines("warn")
    assert "without its issuer" in first
    assert "subjectAltName" in second


# ---- renewal


def test_a_new_file_is_taken_over_when_it_is_seen_again(tmp_path: Path, logs: Logs) -> None:
    path = tmp_path / "site.pem"
    old, new = ROOT.sign("a.example"), ROOT.sign("a.example")
    write(old, path)
    certificates = load(OneFile(path))
    assert not certificates.refresh()
    write(new, path)
    assert not certificates.refresh()
    assert numbers(certificates) == [serial(old)]
    assert certificates.refresh()
    assert numbers(certificates) == [serial(new)]
    assert not certificates.refresh()
    assert len(logs.lines()) == 2


@pytest.mark.parametrize("looks", [1, 2, 5])
def test_key_and_certificate_may_be_replaced_one_after_the_other(
    tmp_path: Path, logs: Logs, looks: int
) -> None:
    """However often one looks meanwhile."""
    time, files = Time(), Two(tmp_path)
    old, new = ROOT.sign("a.example"), ROOT.sign("a.example")
    files.put(old)
    certificates = load(OneFile(files.chain, files.key), time)
    files.put(new, chain=False)
    for _ in range(looks):
        time.now += 1
        assert not certificates.refresh()
    files.put(new)
    assert not certificates.refresh()
    assert certificates.refresh()
    time.now += 2 * MISMATCH
    assert not certificates.refresh()
    assert numbers(certificates) == [serial(new)]
    assert logs.lines("error") == []


def test_a_pair_that_stays_at_odds_is_complained_of_once(tmp_path: Path, logs: Logs) -> None:
    time, files = Time(), Two(tmp_path)
    old, new = ROOT.sign("a.example"), ROOT.sign("a.example")
    files.put(old)
    certificates = load(OneFile(files.chain, files.key), time)
    files.put(new, chain=False)
    for second in range(30):
        assert bool(logs.lines("error")) is (second > MISMATCH + 1)
        time.now += 1
        assert not certificates.refresh()
    (line,) = logs.lines("error")
    assert line.startswith(f"{files.key}: the key belongs to none of the certificates in ")
    assert line.endswith("; the old one stays in use")
    assert numbers(certificates) == [serial(old)]


def test_a_complaint_says_who_names_the_file(tmp_path: Path, logs: Logs) -> None:
    """And when all in a folder are gone, who names that."""
    path = tmp_path / "certificates" / "site.pem"
    folder(path.parent, site="a.example")
    certificates = Certificates(Folder(path.parent), Time(), lambda path: f" (as {path.name})")
    path.write_text("nonsense")
    certificates.refresh()
    certificates.refresh()
    path.unlink()
    certificates.refresh()
    first, second = logs.lines("error")
    assert first.endswith("; the old one stays in use (as site.pem)")
    assert second.endswith("; what was read stays in use (as site.pem)")


def test_links_may_be_turned_to_other_files(tmp_path: Path) -> None:
    """As certbot does."""
    old, new = ROOT.sign("a.example"), ROOT.sign("a.example")
    links = {}
    for kind in ("fullchain", "privkey"):
        links[kind] = tmp_path / f"{kind}.pem"
        for number, signed in enumerate((old, new), 1):
            parts = [signed.pem, ROOT.pem] if kind == "fullchain" else [signed.key_pem()]
            signed.write(tmp_path / f"{kind}{number}.pem", *parts)
        links[kind].symlink_to(f"{kind}1.pem")
    certificates = load(OneFile(links["fullchain"], links["privkey"]))
    for kind, link in links.items():
        link.unlink()
        link.symlink_to(f"{kind}2.pem")
    certificates.refresh()
    assert certificates.refresh()
    assert numbers(certificates) == [serial(new)]


def test_a_broken_file_changes_nothing_and_is_logged_once(tmp_path: Path, logs: Logs) -> None:
    path = tmp_path / "site.pem"
    old, new = ROOT.sign("a.example"), ROOT.sign("a.example")
    write(old, path)
    certificates = load(OneFile(path))
    path.write_bytes(new.pem + new.key_pem()[:-50])
    for _ in range(5):
        assert not certificates.refresh()
    (line,) = logs.lines("error")
    assert "cut off" in line
    assert line.endswith("; the old one stays in use")
    assert numbers(certificates) == [serial(old)]
    write(new, path)
    certificates.refresh()
    assert certificates.refresh()
    assert numbers(certificates) == [serial(new)]


def test_a_file_that_vanished_may_come_back(tmp_path: Path, logs: Logs) -> None:
    path = tmp_path / "site.pem"
    old = ROOT.sign("a.example")
    write(old, path)
    certificates = load(OneFile(path))
    away = path.rename(tmp_path / "away")
    for _ in range(3):
        assert not certificates.refresh()
    (line,) = logs.lines("error")
    assert "No such file" in line
    away.rename(path)
    certificates.refresh()
    assert certificates.refresh()
    assert numbers(certificates) == [serial(old)]


def test_files_come_to_a_folder_and_go(tmp_path: Path, logs: Logs) -> None:
    made = folder(tmp_path, a="a.example", b="b.example")
    certificates = load(Folder(tmp_path))
    made |= folder(tmp_path, c="c.example")
    (tmp_path / "bad.pem").write_text("nonsense")
    assert not certificates.refresh()
    assert certificates.refresh()
    assert numbers(certificates) == [serial(made[name]) for name in "abc"]
    assert name_of(certificates, "c.example") == "c"
    (line,) = logs.lines("error")
    assert line.endswith("; it is not used")

    away = (tmp_path / "b.pem").rename(tmp_path / "b.off")
    assert not certificates.refresh()
    assert name_of(certificates, "b.example") == "b"
    assert certificates.refresh()
    assert name_of(certificates, "b.example") == "a"
    away.rename(tmp_path / "b.pem")
    certificates.refresh()
    assert certificates.refresh()
    assert name_of(certificates, "b.example") == "b"


def test_who_vanishes_for_a_moment_stays_in_its_place(tmp_path: Path) -> None:
    """A file may be removed before its successor is written."""
    made = folder(tmp_path, default="a.example", b="b.example")
    certificates = load(Folder(tmp_path))
    (tmp_path / "default.pem").unlink()
    assert not certificates.refresh()
    made["default"] = ROOT.sign("a.example")
    write(made["default"], tmp_path / "default.pem")
    assert not certificates.refresh()
    assert certificates.refresh()
    assert numbers(certificates) == [serial(made["default"]), serial(made["b"])]


def test_a_key_comes_to_a_folder(tmp_path: Path, logs: Logs) -> None:
    """What was one file becomes two, and the other way round."""
    (old,) = folder(tmp_path, a="a.example").values()
    certificates = load(Folder(tmp_path))
    new = ROOT.sign("a.example")
    new.write(tmp_path / "a.pem", new.pem, ROOT.pem)
    new.write(tmp_path / "a.key", new.key_pem())
    assert not certificates.refresh()
    assert numbers(certificates) == [serial(old)]
    assert certificates.refresh()
    assert numbers(certificates) == [serial(new)]
    write(old, tmp_path / "a.pem")
    (tmp_path / "a.key").unlink()
    assert not certificates.refresh()
    assert numbers(certificates) == [serial(new)]
    assert certificates.refresh()
    assert numbers(certificates) == [serial(old)]
    assert logs.lines("error") == []


def test_a_key_that_comes_late_is_waited_for(tmp_path: Path, logs: Logs) -> None:
    time = Time()
    folder(tmp_path, a="a.example")
    (tmp_path / "b").mkdir()
    certificates = load(Folder(tmp_path), time)
    new = {name: ROOT.sign(f"{name}.example") for name in "abc"}
    files = Two(tmp_path / "b")
    files.put(new["b"], key=False)
    new["c"].write(tmp_path / "c.pem", new["c"].pem, ROOT.pem)
    for _ in range(3):
        time.now += 1
        certificates.refresh()
    files.put(new["b"], chain=False)
    new["c"].write(tmp_path / "c.key", new["c"].key_pem())
    for _ in range(2):
        certificates.refresh()
    assert numbers(certificates)[1:] == [serial(new["b"]), serial(new["c"])]
    assert logs.lines("error") == []


def test_a_mismatch_that_is_gone_is_not_complained_of(tmp_path: Path, logs: Logs) -> None:
    folder(tmp_path, a="a.example")
    time = Time()
    certificates = load(Folder(tmp_path), time)
    ROOT.sign("b.example").write(tmp_path / "b.pem", ROOT.pem, ROOT.sign("b.example").key_pem())
    for _ in range(2):
        certificates.refresh()
    (tmp_path / "b.pem").unlink()
    time.now += 2 * MISMATCH
    certificates.refresh()
    assert logs.lines("error") == []


def test_a_folder_that_may_no_longer_be_read_leaves_what_was_read(
    tmp_path: Path, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server began as root."""
    (tmp_path / "a").mkdir()
    files = Two(tmp_path / "a")
    signed = ROOT.sign("a.example")
    files.put(signed)
    certificates = load(Folder(tmp_path))

    def denied(path: object, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", denied)
    monkeypatch.setattr(os, "open", denied)
    for _ in range(3):
        assert not certificates.refresh()
    (line,) = logs.lines("error")
    assert "may not read it; the old one stays in use" in line
    assert numbers(certificates) == [serial(signed)]


def test_a_folder_that_became_empty_leaves_what_was_read(tmp_path: Path, logs: Logs) -> None:
    (made,) = folder(tmp_path, a="a.example").values()
    certificates = load(Folder(tmp_path))
    (tmp_path / "a.pem").unlink()
    for _ in range(3):
        assert not certificates.refresh()
    (line,) = logs.lines("error")
    assert line.endswith("fullchain.pem in this folder; what was read stays in use")
    (tmp_path / "bad.pem").write_text("nonsense")
    for _ in range(3):
        assert not certificates.refresh()
    assert numbers(certificates) == [serial(made)]
    assert len(logs.lines("error")) == 2


# ---- the end


def test_what_expires_soon_is_said_once_a_day(tmp_path: Path, logs: Logs) -> None:
    time = Time()
    write(ROOT.sign("a.example", days=30), tmp_path / "a.pem")
    certificates = load(OneFile(tmp_path / "a.pem"), time)
    for hours in range(0, 24 * 9 + 1, 6):
        time.now = NOW + hours * 3600
        certificates.refresh()
    path = tmp_path / "a.pem"
    assert logs.lines("warn") == [f"certificate {path} expires in 21 days"]
    time.now = NOW + 29.5 * DAY
    certificates.refresh()
    certificates.refresh()
    assert logs.lines("warn")[1:] == [f"certificate {path} expires in 0 days"]
    time.now = NOW + 31 * DAY
    certificates.refresh()
    certificates.refresh()
    assert logs.lines("error") == [f"certificate {path} has expired"]


# ---- our own


def self_made(path: Path, time: Time, *names: str) -> SelfMade:
    return SelfMade(path / "state", names, time)


def test_a_certificate_is_made_once(tmp_path: Path, logs: Logs) -> None:
    time = Time()
    first = load(self_made(tmp_path, time, "host.example", "localhost"), time)
    path = tmp_path / "state" / "certificate.pem"
    assert [each.path for each in first.all] == [path]
    assert first.all[0].names == ("localhost", "host.example")
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]
    second = load(self_made(tmp_path, time), time)
    assert numbers(first) == numbers(second)
    (line,) = logs.about("self-signed")
    assert f"localhost, host.example, 127.0.0.1, ::1, in {path}" in line
    assert not second.refresh()


def test_it_is_made_again_before_it_expires_and_when_it_was_deleted(tmp_path: Path) -> None:
    time = Time()
    certificates = load(self_made(tmp_path, time), time)
    before = numbers(certificates)
    time.now += SELF_MADE_FOR - DAY / 2
    certificates.refresh()
    assert certificates.refresh()
    renewed = numbers(certificates)
    assert renewed != before
    certificates.all[0].path.unlink()
    certificates.refresh()
    assert certificates.refresh()
    assert numbers(certificates) not in (before, renewed)


def test_an_expired_one_of_an_earlier_run_is_replaced(tmp_path: Path) -> None:
    time = Time()
    before = numbers(load(self_made(tmp_path, time), time))
    time.now += SELF_MADE_FOR + DAY
    assert numbers(load(self_made(tmp_path, time), time)) != before


def test_a_damaged_one_is_left_to_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "state" / "certificate.pem"
    path.parent.mkdir()
    path.write_text("nonsense")
    with pytest.raises(CertificateError, match="Delete it, and a new one is made"):
        load(self_made(tmp_path, Time()))


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file, not a folder")
    with pytest.raises(CertificateError, match="cannot keep a self-made certificate there"):
        load(self_made(tmp_path, Time()))


def test_nothing_is_left_of_a_certificate_that_could_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CertificateError, match="No space left"):
        load(self_made(tmp_path, Time()))
    assert list((tmp_path / "state").iterdir()) == []


def test_a_source_of_ones_own(tmp_path: Path) -> None:
    """Whatever lists pairs of files is one."""

    class Listed:
        def pairs(self) -> Sequence[Pair]:
            return [(tmp_path / "b.pem", tmp_path / "b.pem"), (tmp_path / "a.pem",) * 2]

    folder(tmp_path, a="a.example", b="b.example")
    assert name_of(load(Listed()), None) == "b"
