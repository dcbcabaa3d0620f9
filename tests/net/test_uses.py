"""The uses of one connection, together: the end of one may be that of another."""

from __future__ import annotations

from typing import Any, cast

from rtmptwist.net.use import Use
from rtmptwist.net.uses import Uses


class Fake:
    """A use that takes another one with it."""

    def __init__(self, uses: Uses, number: int, other: int | None = None) -> None:
        self.account = f"account {number}"
        self.heard: list[Any] = []
        self._uses = uses
        self._other = other
        uses[number] = cast("Use", self)

    def close(self, reason: str, *, wanted: bool) -> None:
        self.heard.append((reason, wanted))
        if self._other is not None:
            self._uses.pop(self._other)

    def resume(self) -> None:
        self.heard.append("resume")


def test_who_has_ended_meanwhile_is_not_ended_again() -> None:
    uses = Uses()
    first, second, third = Fake(uses, 1, other=2), Fake(uses, 2), Fake(uses, 5)
    uses.resume()
    uses.close("enough", wanted=True)
    assert first.heard == third.heard == ["resume", ("enough", True)]
    assert second.heard == ["resume"]
    assert not uses


def test_in_whose_names_they_are() -> None:
    uses = Uses()
    Fake(uses, 1)
    Fake(uses, 2)
    assert uses.accounts == {"account 1", "account 2"}
