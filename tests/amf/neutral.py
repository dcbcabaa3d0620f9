"""The vectors' neutral form of values, and a comparison that sees kinds, sharing and cycles."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rtmptwist.amf.values import (
    UNDEFINED,
    UNSUPPORTED,
    Amf3,
    Date,
    Dictionary,
    DoubleVector,
    EcmaArray,
    Externalizable,
    IntVector,
    ObjectVector,
    TypedObject,
    UintVector,
    Xml,
    XmlDocument,
)

VECTORS: Final = Path(__file__).parents[1] / "vectors" / "vectors-amf"


def load(name: str) -> list[dict[str, Any]]:
    """Read one file of vectors."""
    vectors: list[dict[str, Any]] = json.loads((VECTORS / name).read_text())
    return vectors


def wire(vector: dict[str, Any]) -> bytes:
    """Give the bytes of a well-formed vector."""
    if vector["hex"] is not None:
        return bytes.fromhex(str(vector["hex"]))
    build: dict[str, Any] = vector["build"]
    return bytes.fromhex(build["prefix"]) + bytes.fromhex(build["repeat"]) * int(build["times"])


@dataclass
class Builder:
    """Makes values of their neutral form; `wrap` marks AMF3 inside AMF0, as for encoding."""

    wrap: bool = False
    table: list[Any] = field(default_factory=list)

    def build(self, form: dict[str, Any]) -> Any:
        kind = form["t"]
        if kind == "amf3":
            value = Builder().build(form["v"])
            return Amf3(value) if self.wrap else value
        if kind == "reference":
            return self.table[form["v"]]
        return getattr(self, "_" + kind.replace("-", "_"))(form)

    def _kept(self, value: Any) -> Any:
        self.table.append(value)
        return value

    def _number(self, form: dict[str, Any]) -> float:
        return float(form["v"])

    _double = _number

    def _integer(self, form: dict[str, Any]) -> int:
        return int(form["v"])

    def _boolean(self, form: dict[str, Any]) -> bool:
        return bool(form["v"])

    def _null(self, form: dict[str, Any]) -> None:
        return None

    def _undefined(self, form: dict[str, Any]) -> Any:
        return UNDEFINED

    def _unsupported(self, form: dict[str, Any]) -> Any:
        return UNSUPPORTED

    def _string(self, form: dict[str, Any]) -> str:
        if "repeat" in form:
            text, times = form["repeat"]
            return str(text * times)
        return str(form["v"])

    def _object(self, form: dict[str, Any]) -> Any:
        if form.get("externalizable"):
            external = self._kept(Externalizable(form["class"], None))
            external.content = self.build(form["v"])
            return external
        value: dict[str, Any] = {}
        if "sealed" in form and form["class"]:
            value = TypedObject((), form["class"], tuple(name for name, _ in form["sealed"]))
        self._kept(value)
        parts = form["v"] if "v" in form else [*form["sealed"], *form["dynamic"]]
        for name, item in parts:
            value[name] = self.build(item)
        return value

    def _typed_object(self, form: dict[str, Any]) -> Any:
        value = self._kept(TypedObject((), form["class"]))
        for name, item in form["v"]:
            value[name] = self.build(item)
        return value

    def _ecma_array(self, form: dict[str, Any]) -> Any:
        value = self._kept(EcmaArray())
        for name, item in form["v"]:
            value[name] = self.build(item)
        return value

    def _strict_array(self, form: dict[str, Any]) -> Any:
        value = self._kept([])
        for item in form["v"]:
            value.append(self.build(item))
        return value

    def _array(self, form: dict[str, Any]) -> Any:
        if not form["assoc"]:
            return self._strict_array({"v": form["dense"]})
        dense = [[str(index), item] for index, item in enumerate(form["dense"])]
        return self._ecma_array({"v": form["assoc"] + dense})

    def _date(self, form: dict[str, Any]) -> Any:
        return self._kept(Date(float(form["v"])))

    def _xml(self, form: dict[str, Any]) -> Any:
        return self._kept(Xml(form["v"]))

    def _xml_doc(self, form: dict[str, Any]) -> Any:
        return self._kept(XmlDocument(form["v"]))

    def _byte_array(self, form: dict[str, Any]) -> Any:
        return self._kept(bytes.fromhex(form["v"]))

    def _vector_int(self, form: dict[str, Any]) -> Any:
        return self._kept(IntVector(form["v"], fixed=form["fixed"]))

    def _vector_uint(self, form: dict[str, Any]) -> Any:
        return self._kept(UintVector(form["v"], fixed=form["fixed"]))

    def _vector_double(self, form: dict[str, Any]) -> Any:
        return self._kept(DoubleVector(map(float, form["v"]), fixed=form["fixed"]))

    def _vector_object(self, form: dict[str, Any]) -> Any:
        value = self._kept(ObjectVector((), form["class"], fixed=form["fixed"]))
        for item in form["v"]:
            value.append(self.build(item))
        return value

    def _dictionary(self, form: dict[str, Any]) -> Any:
        value = self._kept(Dictionary(weak_keys=form["weak"]))
        for key, item in form["v"]:
            value.append((self.build(key), self.build(item)))
        return value


class Amf0Builder(Builder):
    """In AMF0 neither dates nor XML take a place in the table, and XML is the legacy kind."""

    def _date(self, form: dict[str, Any]) -> Any:
        return Date(float(form["v"]))

    def _xml(self, form: dict[str, Any]) -> Any:
        return XmlDocument(form["v"])


def same(one: object, other: object) -> bool:
    """Compare kinds, values (-0 and NaN too), order, and which containers are shared by whom."""
    return _Comparison().same(one, other)


class _Comparison:
    def __init__(self) -> None:
        self.pairs: dict[int, object] = {}

    def same(self, one: Any, other: Any) -> bool:
        if type(one) is not type(other):
            return False
        if isinstance(one, float):
            return one.hex() == float(other).hex()
        if isinstance(one, Date):
            return self.same(one.milliseconds, other.milliseconds)
        if not isinstance(one, dict | list | tuple | Externalizable):
            return bool(one == other)
        if id(one) in self.pairs:
            return self.pairs[id(one)] is other
        if not isinstance(one, tuple):
            self.pairs[id(one)] = other
        if isinstance(one, Externalizable):
            same_class = one.class_name == str(other.class_name)
            return same_class and self.same(one.content, other.content)
        if getattr(one, "__dict__", None) != getattr(other, "__dict__", None):
            return False
        if isinstance(one, dict):
            return list(one) == list(other) and self.all(list(one.values()), list(other.values()))
        return self.all(list(one), list(other))

    def all(self, ones: Sequence[object], others: Sequence[object]) -> bool:
        return len(ones) == len(others) and all(map(self.same, ones, others))
