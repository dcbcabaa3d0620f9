"""Bearer tokens in a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtmptwist.auth.credentials import Token
from rtmptwist.auth.errors import Wrong
from rtmptwist.auth.files import BadFile, SecretFile
from rtmptwist.auth.tokenfile import TokenFile, hash_of, new_token, parse_tokens, read_tokens
from tests.support.memory import failure_of, result_of


def test_who_has_a_token_is_who_it_names(tmp_path: Path) -> None:
    old, new, other = new_token(), new_token(), new_token()
    path = tmp_path / "tokens"
    path.write_text(
        f"# people\nalice  sha256:{hash_of(old)}\nalice\tsha256:{hash_of(new)}\n"
        f"bob sha256:{hash_of(other)}\n"
    )
    path.chmod(0o600)
    checker = TokenFile(SecretFile(path, read_tokens))
    people = [result_of(checker.requestAvatarId(Token(token))) for token in (old, new, other)]
    assert [each.name for each in people] == ["alice", "alice", "bob"]
    assert all(checker.keeps(each.basis) for each in people)
    for token in (old, new):
        assert token not in repr(people)
    for wrong in (new_token(), "", hash_of(old), old.upper(), f"{old}\0", "\ud800"):
        assert isinstance(failure_of(checker.requestAvatarId(Token(wrong))), Wrong)


DIGEST = hash_of("geheim")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("geheim", "expected NAME sha256:HASH as `rtmptwist token` writes it"),
        ("alice geheim", "expected NAME sha256:HASH as `rtmptwist token` writes it"),
        (f"alice sha256:{DIGEST[1:]}", "expected NAME sha256:HASH as `rtmptwist token` writes it"),
        (
            f"alice sha256:{DIGEST.upper()}",
            "expected NAME sha256:HASH as `rtmptwist token` writes it",
        ),
        (f"a:b sha256:{DIGEST}", "a user's name may contain no blanks and none of : & ? / @ #"),
        (f"bob sha256:{hash_of('one')}", "this token is there already, as that of alice"),
    ],
)
def test_wrong_lines(tmp_path: Path, line: str, problem: str) -> None:
    with pytest.raises(BadFile) as caught:
        parse_tokens(tmp_path / "tokens", f"alice sha256:{hash_of('one')}\n{line}\n")
    assert str(caught.value) == f"{tmp_path}/tokens:2: {problem}"
