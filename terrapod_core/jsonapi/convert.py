"""JSON values to the fields of a struct, and every refusal to a sentence with a pointer.

Each field is converted alone, so that a document with three wrong attributes is told all three at once.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import inspect as kinds

from terrapod_core.errors import Invalid, Problem
from terrapod_core.jsonapi.explain import explain
from terrapod_core.jsonapi.refs import Ref, read_ref, read_refs

S = TypeVar("S", bound=msgspec.Struct)

_RECORDS = (kinds.StructType, kinds.DataclassType, kinds.TypedDictType)
_OBJECTS = (*_RECORDS, kinds.DictType)
_LISTS = (kinds.ListType, kinds.VarTupleType, kinds.SetType, kinds.FrozenSetType)
_MISSING = object()


@dataclass(frozen=True)
class Field:
    """A field of a struct that documents are read into."""

    name: str
    wire: str
    keys: tuple[str, ...]
    """The spellings under which it may arrive, the best first."""
    type: Any
    required: bool
    refers: Literal["one", "many"] | None
    """Whether it comes from the relationships."""
    nullable: bool
    kind: kinds.Type
    """What msgspec knows about the type."""


@cache
def fields_of(into: type[msgspec.Struct]) -> tuple[Field, ...]:
    """The fields, looked at once for each struct."""
    return tuple(_field(info) for info in msgspec.structs.fields(into))


def build(into: type[S], attributes: Mapping[str, Any], relationships: Mapping[str, Any], root: str) -> S:
    """The struct; `root` is the pointer of what holds the attributes (`/data/attributes`).

    `Invalid` with every problem found; a `ValueError` of the struct's own `__post_init__` becomes one.
    """
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for field in fields_of(into):
        value = _relationship(field, relationships) if field.refers else _attribute(field, attributes, root)
        if isinstance(value, Problem):
            problems.append(value)
        elif value is not _MISSING:
            values[field.name] = value
    if problems:
        raise Invalid(problems=tuple(problems))
    try:
        return into(**values)
    except ValueError as error:
        raise Invalid(str(error)) from error


def _field(info: msgspec.structs.FieldInfo) -> Field:
    options = _options(info.type)
    refers: Literal["one", "many"] | None = None
    if Ref in options:
        refers = "one"
    elif any(get_origin(option) is list and get_args(option) == (Ref,) for option in options):
        refers = "many"
    wire = info.encode_name.replace("_", "-")
    return Field(
        name=info.name,
        wire=wire,
        keys=tuple(dict.fromkeys((wire, info.encode_name, info.name))),
        type=info.type,
        required=info.required,
        refers=refers,
        nullable=types.NoneType in options,
        kind=kinds.type_info(info.type),
    )


def _options(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, a single type as the only one."""
    if get_origin(annotation) is Annotated:
        return _options(get_args(annotation)[0])
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def _found(field: Field, members: Mapping[str, Any]) -> Any:
    return next((members[key] for key in field.keys if key in members), _MISSING)


def _attribute(field: Field, attributes: Mapping[str, Any], root: str) -> Any:
    value = _found(field, attributes)
    pointer = f"{root}/{field.wire}"
    if value is _MISSING:
        return Problem(f"{field.wire} is required", pointer) if field.required else _MISSING
    try:
        converted = msgspec.convert(_respelled(value, field.kind), field.type)
    except msgspec.ValidationError as error:
        steps, sentence = explain(field.wire, str(error), field.kind)
        return Problem(sentence, pointer + steps)
    return _moment(converted, field.wire, pointer) if isinstance(converted, datetime) else converted


def _moment(value: datetime, wire: str, pointer: str) -> datetime | Problem:
    """A time in UTC; one without a zone could be any of 26 hours."""
    if value.tzinfo is None:
        return Problem(f"{wire} needs a time zone, as in 2026-01-31T12:00:00Z", pointer)
    try:
        return value.astimezone(UTC)
    except OverflowError:
        return Problem(f"{wire} is not a time anybody lives in", pointer)


def _relationship(field: Field, relationships: Mapping[str, Any]) -> Any:
    found = _found(field, relationships)
    value = {} if found is _MISSING else found
    pointer = f"/data/relationships/{field.wire}"
    if not isinstance(value, dict):
        return Problem(f"{field.wire} must be an object with a member data", pointer)
    if "data" not in value:  # absent, or only links: it does not say what is meant
        return Problem(f"{field.wire} is required", pointer) if field.required else _MISSING
    data = value["data"]
    if data is None:
        return None if field.nullable else Problem(f"{field.wire} may not be null", pointer)
    read: Callable[[object, str, str], object] = read_refs if field.refers == "many" else read_ref
    return read(data, field.wire, f"{pointer}/data")


def _respelled(value: Any, kind: kinds.Type) -> Any:
    """The value with the keys of nested structs as msgspec wants them. Keys of plain dictionaries are data and stay."""
    if not isinstance(value, dict | list):
        return value
    if isinstance(kind, kinds.UnionType):
        wanted = _OBJECTS if isinstance(value, dict) else _LISTS
        options = [option for option in kind.types if isinstance(option, wanted)]
        return _respelled(value, options[0]) if len(options) == 1 else value
    if isinstance(value, list):
        return [_respelled(item, kind.item_type) for item in value] if isinstance(kind, _LISTS) else value
    if isinstance(kind, kinds.DictType):
        return {key: _respelled(item, kind.value_type) for key, item in value.items()}
    return _record(value, kind.fields) if isinstance(kind, _RECORDS) else value


def _record(members: dict[str, Any], fields: Sequence[kinds.Field]) -> dict[str, Any]:
    record = {}
    for field in fields:
        for key in (field.encode_name.replace("_", "-"), field.encode_name):
            if key in members:
                record[field.encode_name] = _respelled(members[key], field.type)
                break
    return record
