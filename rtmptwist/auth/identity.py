"""Who has logged in, and what that rests on: a line of a file, or what site.ini says."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody, known for as long as what the login rests on is there."""

    name: str
    "Empty: a guest."

    basis: object = field(default=None, repr=False)
    "For whoever checked the login: what it was right by. No password, and no token."


NOBODY: Final = Identity("")


class Keeper(ABC):
    """A checker that knows later on whether what it has accepted would still be right."""

    @abstractmethod
    def keeps(self, basis: object) -> bool:
        """
        Whether a login with this basis would be right now; the basis may be another checker's.

        Asked for every connection after each change, so it must not take long.
        """
