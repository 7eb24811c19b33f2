"""Documents in: a struct of the room's own from what a client sent, or a refusal a person can act on."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from terrapod_core.errors import BadRequest, Invalid, Problem
from terrapod_core.jsonapi.convert import build
from terrapod_core.jsonapi.decode import decode
from terrapod_core.jsonapi.refs import Ref, read_ref, read_refs

S = TypeVar("S", bound=msgspec.Struct)


def parse(raw: bytes, into: type[S]) -> S:
    """The struct described by a JSON:API document.

    Fields typed `Ref`, `Ref | None` or `list[Ref]` come from `data.relationships`, all others from `data.attributes`. Keys may be
    written `auto-apply` or `auto_apply`, those of nested structs too; of both, the first wins. Unknown members are ignored,
    `data.type` is not looked at (the CLI locks a workspace with the type ""). Times come back in UTC. A whole number is one
    without a point: `1.0` is not.

    `BadRequest` when there is no such document, `Invalid` with a pointer for each value that is wrong or missing.
    """
    data = _data(decode(raw))
    if not isinstance(data, dict):
        raise BadRequest("The member data must be an object", pointer="/data")
    return build(into, _members(data, "attributes"), _members(data, "relationships"), "/data/attributes")


def parse_open(raw: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Attributes and relationships of a document whose members are not known beforehand, by their names as `auto-apply`.

    Nothing is checked of their values. `BadRequest` and `Invalid` as in `parse`.
    """
    data = _data(decode(raw))
    if not isinstance(data, dict):
        raise BadRequest("The member data must be an object", pointer="/data")
    return _kebab(_members(data, "attributes")), _kebab(_members(data, "relationships"))


def _kebab(members: dict[str, Any]) -> dict[str, Any]:
    return {name.replace("_", "-"): value for name, value in reversed(members.items())}


def parse_plain(raw: bytes, into: type[S]) -> S:
    """The struct described by a plain JSON object, its fields at the top; no body at all is an empty object.

    Keys and refusals as in `parse`; pointers start at the field (`/comment`). `Ref` fields have no place here.
    """
    document = decode(raw) if raw.strip() else {}
    if not isinstance(document, dict):
        raise BadRequest("The body must be a JSON object")
    return build(into, document, {}, "")


def parse_action(raw: bytes, member: str = "comment") -> str | None:
    """The remark that comes with an action (`comment`, or the `reason` of a lock); `None` when there is none.

    Taken from a plain object, as the CLI sends it to a run, or from `data.attributes`, as it locks a workspace. An empty body,
    `{}` and `null` say nothing. `BadRequest` when the body is no object, `Invalid` when the remark is not a string.
    """
    document = decode(raw) if raw.strip() else None
    if document is None:
        return None
    if not isinstance(document, dict):
        raise BadRequest("The body must be a JSON object")
    root, holder = "", document
    if member not in document and document.get("data") is not None:
        if not isinstance(document["data"], dict):
            raise BadRequest("The member data must be an object", pointer="/data")
        root, holder = "/data/attributes", _members(document["data"], "attributes")
    remark = holder.get(member)
    if remark is not None and not isinstance(remark, str):
        raise Invalid(f"{member} must be a string", pointer=f"{root}/{member}")
    return remark


def parse_refs(raw: bytes) -> list[Ref]:
    """What a relationship endpoint is sent: `{"data": [...]}`, a single identifier, or `null` for none.

    An identifier without an id must have attributes (`{"type": "tags", "attributes": {"name": "app"}}`).
    `BadRequest` when there is no `data`, `Invalid` with a pointer for an identifier that is none.
    """
    data = _data(decode(raw))
    if data is None:
        return []
    if isinstance(data, list):
        refs = read_refs(data, "item", "/data")
    elif isinstance(data, dict):
        single = read_ref(data, "data", "/data")
        refs = single if isinstance(single, Problem) else [single]
    else:
        raise BadRequest("The member data must be a list, an object or null", pointer="/data")
    if isinstance(refs, Problem):
        raise Invalid(problems=(refs,))
    return refs


def _data(document: object) -> Any:
    if not isinstance(document, dict) or "data" not in document:
        raise BadRequest('The body must be a JSON:API document: an object with the member "data"')
    return document["data"]


def _members(data: dict[str, Any], name: str) -> dict[str, Any]:
    """The attributes or relationships; none when they are absent or `null`."""
    members = data.get(name)
    if members is None:
        return {}
    if not isinstance(members, dict):
        raise Invalid(f"{name} must be an object", pointer=f"/data/{name}")
    return members
