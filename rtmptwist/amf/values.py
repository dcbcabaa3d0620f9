"""
What AMF can say and Python cannot: undefined, typed objects, dates, vectors and so on.

Numbers are `float` (AMF3 integers `int`), strings `str`, objects `dict`, arrays `list`, byte arrays
`bytes`. The classes here differ from the builtin ones they extend wherever the bytes differ, so a
value that was decoded is written back as what it was; for the same reason they equal only their own
kind. Values that share or contain themselves are ordinary: show them with `brief`, never with
`repr`, whose time is exponential in the number of references.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Final, TypeAlias, TypeVar, Union

from rtmptwist.amf.errors import AmfError

_Item = TypeVar("_Item")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Absent(Enum):
    """The two kinds of nothing beside null. False, as in ActionScript."""

    UNDEFINED = "undefined"
    UNSUPPORTED = "unsupported"

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return self.name


UNDEFINED: Final = Absent.UNDEFINED
UNSUPPORTED: Final = Absent.UNSUPPORTED
"AMF0 only: a value that its sender could not write. AMF3 gets undefined instead."


class _OwnKind:
    """Makes an extended builtin equal only to its own class with the same attributes."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(self) == vars(other) and super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None  # type: ignore[assignment]  # all but Xml are mutable

    def __repr__(self) -> str:
        return f"{type(self).__name__}({super().__repr__()})"


class EcmaArray(_OwnKind, dict[str, "Value"]):
    """
    An array with names: what onMetaData is.

    AMF3 arrays with both named and numbered elements are one too, the latter named "0", "1" and so
    on. AMF3 does not tell an array without any name from a list.
    """


class TypedObject(_OwnKind, dict[str, "Value"]):
    """An object of a registered class."""

    def __init__(
        self,
        items: Mapping[str, Value] | Iterable[tuple[str, Value]] = (),
        class_name: str = "",
        sealed: tuple[str, ...] = (),
    ) -> None:
        super().__init__(items)
        self.class_name: str = class_name
        self.sealed: tuple[str, ...] = sealed
        "AMF3: the names that the class declares; the others are dynamic."

    def __repr__(self) -> str:
        return f"TypedObject({dict.__repr__(self)}, {self.class_name!r}, {self.sealed!r})"


class Xml(_OwnKind, str):
    """Text of an E4X XML object, never parsed."""

    __hash__ = str.__hash__  # type: ignore[assignment]


class XmlDocument(Xml):
    """Text of a legacy flash.xml.XMLDocument: the only XML of AMF0."""


class _Vector(_OwnKind, list[_Item]):
    def __init__(self, items: Iterable[_Item] = (), *, fixed: bool = False) -> None:
        super().__init__(items)
        self.fixed: bool = fixed
        "The receiver may not change its length."


class IntVector(_Vector[int]):
    """AMF3 Vector.<int>: 32 bits, signed."""


class UintVector(_Vector[int]):
    """AMF3 Vector.<uint>: 32 bits."""


class DoubleVector(_Vector[float]):
    """AMF3 Vector.<Number>."""


class ObjectVector(_Vector["Value"]):
    """AMF3 Vector of any other class."""

    def __init__(
        self, items: Iterable[Value] = (), class_name: str = "*", *, fixed: bool = False
    ) -> None:
        super().__init__(items, fixed=fixed)
        self.class_name: str = class_name
        '"*" is any.'


class Dictionary(_OwnKind, list[tuple["Value", "Value"]]):
    """AMF3 Dictionary: a list of pairs, because its keys may be objects, which do not hash."""

    def __init__(
        self, items: Iterable[tuple[Value, Value]] = (), *, weak_keys: bool = False
    ) -> None:
        super().__init__(items)
        self.weak_keys: bool = weak_keys


@dataclass(slots=True)
class Externalizable:
    """An AMF3 object whose class writes its own body; needs an `amf3.External` of that name."""

    class_name: str
    content: Value


@dataclass(frozen=True, slots=True)
class Date:
    """A moment. Holds what was sent, which may be far outside what `datetime` can."""

    milliseconds: float
    "Since 1970-01-01 UTC."

    @classmethod
    def from_datetime(cls, moment: datetime) -> Date:
        """`moment` must know its time zone."""
        return cls((moment - _EPOCH) / timedelta(milliseconds=1))

    def to_datetime(self) -> datetime:
        """
        Return the moment in UTC.

        Raises:
            AmfError: NaN, infinite, or not between the years 1 and 9999.
        """
        try:
            return _EPOCH + timedelta(milliseconds=self.milliseconds)
        except (ValueError, OverflowError) as error:
            raise AmfError(f"date {self.milliseconds} ms (expected years 1 to 9999)") from error


@dataclass(frozen=True, slots=True)
class Amf3:
    """
    For the AMF0 encoder: write this one value as AMF3, behind marker 0x11.

    What only AMF3 can say gets there by itself. Decoding gives the bare value.
    """

    value: object


Value: TypeAlias = Union[
    bool, int, float, str, bytes, "list[Value]", "dict[str, Value]", Absent, Date, Externalizable,
    IntVector, UintVector, DoubleVector, ObjectVector, Dictionary, None,
]  # fmt: skip
"What decoding gives. `isinstance` narrows it; remember that Xml is a str and vectors are lists."


def brief(value: Value, size: int = 200) -> str:
    """
    Show a value in one line of at most `size` characters, for logs.

    Bounded in time too, whatever refers to whatever in it.
    """
    shown = ""
    for piece in _pieces(value, size, 32):
        shown += piece
        if len(shown) > size:
            return shown[: size - 1] + "…"
    return shown


def _pieces(value: Value | tuple[Value, Value], size: int, levels: int) -> Iterator[str]:
    """Lazily, so that nothing is looked at that will not be shown."""
    name = "" if type(value) in (dict, list, tuple) else type(value).__name__
    if not levels:
        yield "…"
    elif isinstance(value, dict):
        yield name + "{"
        for number, (key, item) in enumerate(value.items()):
            yield ", " if number else ""
            yield _clipped(key, size) + ": "
            yield from _pieces(item, size, levels - 1)
        yield "}"
    elif isinstance(value, (list, tuple)):
        yield name + "["
        for number, element in enumerate(value):
            yield ", " if number else ""
            yield from _pieces(element, size, levels - 1)
        yield "]"
    elif isinstance(value, Externalizable):
        yield _clipped(value.class_name, size) + "("
        yield from _pieces(value.content, size, levels - 1)
        yield ")"
    else:
        yield _clipped(value, size)


def _clipped(value: Value | tuple[Value, Value], size: int) -> str:
    return repr(value[:size] if isinstance(value, (str, bytes)) else value)
