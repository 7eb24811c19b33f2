"""A thing described once, compiled once, rendered often.

The attributes become a msgspec struct whose fields carry their wire names, so that a page costs one `attrgetter` and one
constructor per object and a single pass of the encoder; no dictionary is built on the way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from string import Formatter
from typing import Any, Final, TypeAlias
from urllib.parse import quote

import msgspec

from terrapod_core.jsonapi.describe import ABSENT, Attribute, Bound, Getter, Relationship, bound
from terrapod_core.jsonapi.page import Page, page_links, page_meta
from terrapod_core.jsonapi.rendering import Rendering

_ENCODER: Final = msgspec.json.Encoder()
_MAY_HOLD_TIMES: Final = frozenset({datetime, dict, list, tuple})
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.~-]+").fullmatch

_Template: TypeAlias = Callable[[Any, str], str]
"""The object and its id to a path."""


class ResourceObject(msgspec.Struct, gc=False):
    """A rendered thing, ready for the encoder; it stands in `data` or `included`."""

    id: str
    type: str
    attributes: Any
    relationships: Any = msgspec.UNSET
    links: Any = msgspec.UNSET


class _Document(msgspec.Struct, gc=False):
    data: Any
    included: Any = msgspec.UNSET
    links: Any = msgspec.UNSET
    meta: Any = msgspec.UNSET


class _RelationshipObject(msgspec.Struct, gc=False):
    data: Any = msgspec.UNSET
    links: Any = msgspec.UNSET


class _Related(msgspec.Struct, gc=False):
    related: str


class Resource:
    """What a kind of thing looks like on the wire.

    `attributes` are written in the order given. `id_from` is the name of the object's attribute that is its id, or a getter.
    A link is a template over the object's attributes, `{id}` standing for the id (`/app/{organization_name}/{name}`), whose
    values are percent-encoded, or a getter that may answer `None` or `ABSENT`.

    An attribute may be `None`, `str`, `bool`, `int`, `float`, `dict`, `list`, an aware `datetime`, an enum or `msgspec.Raw`.
    Times are written in UTC and end in `Z`, the only form go-tfe reads; a naive one is a `ValueError`.
    """

    def __init__(
        self,
        type: str,  # noqa: A002 — JSON:API's word for it
        attributes: Sequence[Attribute] = (),
        relationships: Sequence[Relationship] = (),
        links: Mapping[str, str | Getter] | None = None,
        id_from: str | Getter = "id",
        more: Callable[[Any], Mapping[str, Any]] | None = None,
    ) -> None:
        """`more` gives attributes that are not known beforehand, under their wire names; they stand behind the others."""
        self._more = more
        self.type = type
        self.attributes = tuple(attributes)
        self.relationships = tuple(relationships)
        self._by_name = {relationship.name: relationship for relationship in self.relationships}
        self._id: Bound = bound(attrgetter(id_from) if isinstance(id_from, str) else id_from)
        self._wires = [attribute.wire for attribute in self.attributes]
        self._attributes = _compiled(f"{type} attributes", self._wires)
        self._relationships = _compiled(f"{type} relationships", [relationship.wire for relationship in self.relationships])
        self._plain = _columns([attribute.name for attribute in self.attributes if attribute.compute is None])
        self._computed = [(at, attribute.compute) for at, attribute in enumerate(self.attributes) if attribute.compute is not None]
        self._identify = [
            (relationship.identify, _link(relationship.related) if relationship.related else None) for relationship in self.relationships
        ]
        self._links = [(name, _link(link)) for name, link in (links or {}).items()]

    def __repr__(self) -> str:
        return f"<Resource {self.type}>"

    def id_of(self, obj: object, rendering: Rendering) -> str:
        """The id under which this object appears."""
        ident: str = self._id(obj, rendering)
        return ident

    def relationship(self, name: str) -> Relationship | None:
        """The relationship of this Python name; `None` if there is none."""
        return self._by_name.get(name)

    def render(self, obj: object, rendering: Rendering) -> ResourceObject:
        """The object as it stands in a document; for `included`, and for rooms that put documents together themselves."""
        ident: str = self._id(obj, rendering)
        values = self._plain(obj)
        for at, compute in self._computed:
            values.insert(at, compute(obj, rendering))
        if not _MAY_HOLD_TIMES.isdisjoint(map(type, values)):
            values = [_in_utc(value) if type(value) in _MAY_HOLD_TIMES else value for value in values]
        more = self._more(obj) if self._more is not None else None
        return ResourceObject(
            ident,
            self.type,
            {**dict(zip(self._wires, values, strict=True)), **_in_utc(dict(more))} if more else self._attributes(*values),
            self._rendered_relationships(obj, ident, rendering) if self._identify else msgspec.UNSET,
            self._rendered_links(obj, ident, rendering) if self._links else msgspec.UNSET,
        )

    def document(
        self,
        obj: object | None,
        rendering: Rendering,
        *,
        included: Iterable[ResourceObject] = (),
        meta: Mapping[str, Any] | None = None,
    ) -> bytes:
        """A document about one thing; `None` writes `"data": null`."""
        data = self.render(obj, rendering) if obj is not None else None
        return _encode(data, [data] if data else [], included, meta=meta)

    def listing(
        self,
        page: Page[Any],
        rendering: Rendering,
        *,
        url: str,
        included: Iterable[ResourceObject] = (),
        meta: Mapping[str, Any] | None = None,
    ) -> bytes:
        """A document about one page of things.

        `url` is the request's own, with its query, absolute or root-relative (then `rendering.base_url` goes in front). Further
        `meta` stands beside `pagination`.
        """
        data = [self.render(obj, rendering) for obj in page.items]
        links = page_links(page, url if "://" in url.partition("?")[0] else rendering.base_url.rstrip("/") + url)
        return _encode(data, data, included, links=links, meta={"pagination": page_meta(page), **(meta or {})})

    def _rendered_relationships(self, obj: object, ident: str, rendering: Rendering) -> object:
        rendered: list[object] = []
        for identify, related in self._identify:
            data = identify(obj, rendering)
            target = related(obj, ident, rendering) if related else ABSENT
            links = _Related(target) if target is not ABSENT else ABSENT
            rendered.append(ABSENT if data is ABSENT and links is ABSENT else _RelationshipObject(data, links))
        return self._relationships(*rendered)

    def _rendered_links(self, obj: object, ident: str, rendering: Rendering) -> dict[str, object]:
        links: dict[str, object] = {}
        for name, link in self._links:
            target = link(obj, ident, rendering)
            if target is not ABSENT:
                links[name] = target
        return links


def unique(objects: Iterable[ResourceObject], primary: Iterable[ResourceObject] = ()) -> list[ResourceObject]:
    """The objects in their order, each type and id once and none that is primary data (JSON:API: "full linkage")."""
    seen = {(one.type, one.id) for one in primary}
    kept = []
    for one in objects:
        if (one.type, one.id) not in seen:
            seen.add((one.type, one.id))
            kept.append(one)
    return kept


def _encode(
    data: object, primary: list[ResourceObject], included: Iterable[ResourceObject], *, links: object = None, meta: object
) -> bytes:
    beside = unique(included, primary) if included else []
    return _ENCODER.encode(_Document(data, beside or msgspec.UNSET, links or msgspec.UNSET, meta or msgspec.UNSET))


def _compiled(title: str, wires: list[str]) -> Callable[..., Any]:
    """A struct with one field for each wire name. Fields are numbered, so that an attribute may be called `global`."""
    repeated = {wire for wire in wires if wires.count(wire) > 1}
    if repeated:
        raise ValueError(f"{title}: described twice: {', '.join(sorted(repeated))}")
    fields = [(f"field_{number}", Any) for number in range(len(wires))]
    rename = {field: wire for (field, _), wire in zip(fields, wires, strict=True)}
    return msgspec.defstruct("Members", fields, rename=rename, gc=False)


def _columns(names: list[str]) -> Callable[[Any], list[Any]]:
    """Reads these attributes of an object into a new list."""
    if not names:
        return lambda _obj: []
    read = attrgetter(*names)
    if len(names) == 1:  # `attrgetter` of one name gives the bare value
        return lambda obj: [read(obj)]
    return lambda obj: list(read(obj))


def _link(link: str | Getter) -> Callable[[Any, str, Rendering], Any]:
    if isinstance(link, str):
        template = _template(link)
        return lambda obj, ident, _rendering: template(obj, ident)
    getter = bound(link)
    return lambda obj, _ident, rendering: getter(obj, rendering)


def _template(path: str) -> _Template:
    """Compiles `/api/v2/workspaces/{id}`; `ValueError` when the braces do not match."""
    texts, fields = [], []
    for text, field, _spec, _conversion in Formatter().parse(path):
        texts.append(text)
        if field is not None:
            fields.append(field)
    if fields == ["id"]:
        head, tail = texts[0], "".join(texts[1:])
        return lambda _obj, ident: f"{head}{_quoted(ident)}{tail}"
    readers = {field: attrgetter(field) for field in fields if field != "id"}

    def fill(obj: Any, ident: str) -> str:
        values = {field: _quoted(str(read(obj))) for field, read in readers.items()}
        return path.format(id=_quoted(ident), **values)

    return fill


def _quoted(text: str) -> str:
    return text if _PLAIN(text) else quote(text, safe="")


def _in_utc(value: Any) -> Any:
    """The value with every time in it in UTC; unchanged, and not copied, when it holds none."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"a time without a zone cannot be sent: {value.isoformat()}")
        return value if value.tzinfo is UTC else value.astimezone(UTC)
    if isinstance(value, dict):
        if _MAY_HOLD_TIMES.isdisjoint(map(type, value.values())):
            return value
        return {key: _in_utc(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return value if _MAY_HOLD_TIMES.isdisjoint(map(type, value)) else [_in_utc(item) for item in value]
    return value
