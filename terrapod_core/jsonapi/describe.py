"""The words a room describes its things with: `attr`, `to_one`, `to_many`.

Every callable here takes the object alone, or the object and the `Rendering`: it is looked at once, when the description is
made. A second parameter with a default does not count, so the idiom `lambda row, key=key: row[key]` stays one of the object.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final, TypeAlias

import msgspec

from terrapod_core.jsonapi.rendering import Rendering

ABSENT: Final = msgspec.UNSET
"""Returned by a callable: the member is left out of the document (`None` writes `null`)."""

Getter: TypeAlias = Callable[..., Any]
"""`(object)` or `(object, Rendering)` to a value, `None` or `ABSENT`."""

Bound: TypeAlias = Callable[[Any, Rendering], Any]


def wire_name(name: str) -> str:
    """The spelling on the wire: `auto_apply` is `auto-apply`."""
    return name.replace("_", "-")


def bound(getter: Getter) -> Bound:
    """The same getter, taking both arguments whatever it asked for."""
    try:
        parameters = inspect.signature(getter).parameters.values()
    except ValueError:  # written in C, as `operator.attrgetter` is: those take the object
        parameters = ()  # type: ignore[assignment]
    required = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD) and one.default is one.empty]
    if len(required) >= 2:
        return getter
    return lambda obj, _rendering: getter(obj)


@dataclass(frozen=True)
class Attribute:
    """One attribute: `name` in Python, `wire` in documents; `writable` says that clients may send it, for the reference."""

    name: str
    wire: str
    writable: bool
    compute: Bound | None
    """`None` reads the object's attribute of this name."""


def attr(name: str, *, writable: bool = False, from_: Getter | None = None, wire: str | None = None) -> Attribute:
    """An attribute, read from the object's attribute `name` or computed by `from_`; `wire` overrides the kebab spelling."""
    return Attribute(name, wire or wire_name(name), writable, bound(from_) if from_ else None)


class Identifier(msgspec.Struct, gc=False):
    """A resource identifier."""

    id: str
    type: str


@dataclass(frozen=True)
class Relationship:
    """One relationship. `identify` gives an `Identifier`, a list of them, `None`, or `ABSENT` for a link without data."""

    name: str
    wire: str
    type: str
    many: bool
    writable: bool
    identify: Bound
    related: str | Getter | None
    """A root-relative path with `{id}` and other fields of the object, or a getter of one, which may answer `ABSENT`."""

    def identifiers(self, obj: object, rendering: Rendering) -> tuple[Identifier, ...]:
        """What the relationship points to, none, one or many."""
        data = self.identify(obj, rendering)
        if data is None or data is ABSENT:
            return ()
        return tuple(data) if isinstance(data, list) else (data,)


def to_one(
    name: str,
    type: str,  # noqa: A002 — JSON:API's word for it
    *,
    writable: bool = False,
    id_from: Getter | str | None = None,
    type_from: Getter | str | None = None,
    related: str | Getter | None = None,
    wire: str | None = None,
) -> Relationship:
    """A relationship to at most one thing, whose id is the object's `<name>_id`, or `id_from` (a getter or an attribute's name).

    An id of `None` writes `"data": null`. `type_from` names the type for each object where it varies (a lock is held by a user
    or a run); its `None` falls back to `type`.
    """
    id_of = _getter(id_from if id_from is not None else f"{name}_id")
    type_of = _getter(type_from) if type_from is not None else None

    def identify(obj: Any, rendering: Rendering) -> object:
        ident = id_of(obj, rendering)
        if ident is None or ident is ABSENT:
            return ident
        return Identifier(ident, (type_of(obj, rendering) if type_of else None) or type)

    return Relationship(name, wire or wire_name(name), type, False, writable, identify, related)


def to_many(
    name: str,
    type: str,  # noqa: A002 — JSON:API's word for it
    *,
    ids_from: Getter | str,
    writable: bool = False,
    related: str | Getter | None = None,
    wire: str | None = None,
) -> Relationship:
    """A relationship to any number of things; `ids_from` gives their ids in order (a getter or an attribute's name).

    `None` counts as no ids; `ABSENT` leaves `data` out, for lists too long to name, which then need `related`.
    """
    ids_of = _getter(ids_from)

    def identify(obj: Any, rendering: Rendering) -> object:
        ids: Iterable[str] | msgspec.UnsetType | None = ids_of(obj, rendering)
        if isinstance(ids, msgspec.UnsetType):
            return ids
        return [Identifier(ident, type) for ident in ids or ()]

    return Relationship(name, wire or wire_name(name), type, True, writable, identify, related)


def _getter(getter: Getter | str) -> Bound:
    return bound(attrgetter(getter) if isinstance(getter, str) else getter)
