"""From what a file or a variable says to what a field needs."""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from terrapod_core.settings._fields import Field, SettingsError, fields_of, is_table, masked, subsection_of, variable

S = TypeVar("S")


@dataclass(frozen=True)
class Raw:
    """A value as it was found, and where: a file's path, the name of a variable, or `the command line`."""

    value: object = field(repr=False)
    origin: str
    from_variable: bool = False
    """It came from the environment, where everything is text; `origin` is then the variable's name."""

    def spelled(self, key: str) -> str:
        """A key as one writes it in the place this value came from."""
        return variable(key) if self.from_variable else key

    def place(self) -> str:
        """Where it came from, in a sentence."""
        return "the environment" if self.from_variable else self.origin


def _alternatives(kind: Any) -> tuple[Any, ...]:
    """The type without `Annotated`, and without `None`."""
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) in (Union, types.UnionType):
        return tuple(part for each in get_args(kind) if each is not type(None) for part in _alternatives(each))
    return (kind,)


def _bounds(kind: Any) -> str:
    """The limits of an annotated number as words; "" when it has none."""
    for each in (kind, *get_args(kind)):
        for note in getattr(each, "__metadata__", ()):
            if isinstance(note, msgspec.Meta):
                words = [f"at least {note.ge}" if note.ge is not None else "", f"at most {note.le}" if note.le is not None else ""]
                return " and ".join(word for word in words if word)
    return ""


SECTIONS_OF_NAMES = "sections, one for each name"


def wording(kind: Any) -> str:
    """What values a field takes, in words: for errors and for the reference."""
    if subsection_of(kind) is not None:
        return SECTIONS_OF_NAMES
    words = []
    for part in _alternatives(kind):
        if get_origin(part) is Literal:
            words.append("one of " + ", ".join(str(choice) for choice in get_args(part)))
        elif get_origin(part) in (tuple, list):
            numbers = _alternatives(get_args(part)[0]) == (int,)
            words.append("a list of whole numbers" if numbers else "a list of texts")
        elif is_table(part):
            words.append("a table" if not is_table(get_args(part)[1]) else "a table of tables")
        elif part is bool:
            words.append("true or false")
        elif part is int:
            words.append(" ".join(filter(None, ("a whole number,", _bounds(kind)))).rstrip(","))
        elif part is float:
            words.append(" ".join(filter(None, ("a number,", _bounds(kind)))).rstrip(","))
        elif part is Path:
            words.append("a path")
        else:
            words.append("text")
    return " or ".join(words)


def _path(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, (str, Path)) and str(value):
        return Path(value).expanduser().absolute()
    raise ValueError("not a path")


def _from_text(text: str, kind: Any) -> object:
    """Text from a variable, made ready: a table is JSON, lists are separated by commas, words of a choice may be in upper case."""
    parts = _alternatives(kind)
    if any(is_table(part) for part in parts):
        return _from_json(text)
    if any(get_origin(part) in (tuple, list) for part in parts):
        return [item.strip() for item in text.split(",") if item.strip()]
    if any(get_origin(part) is Literal for part in parts):
        return text.strip().lower()
    return text if any(part in (str, Path) for part in parts) else text.strip()


def _from_json(text: str) -> object:
    """What the text says as JSON; the text itself when it is none, which no table field takes."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def convert(target: Field, key: str, raw: Raw) -> object:
    """The value of one field; `SettingsError` says what it must be."""
    value = _from_text(raw.value, target.type) if raw.from_variable and isinstance(raw.value, str) else raw.value
    try:
        return msgspec.convert(value, target.type, strict=not raw.from_variable, dec_hook=_path)
    except msgspec.ValidationError:
        where = raw.origin if raw.from_variable else f"{key} in {raw.origin}"
        found = "" if target.secret else f", not {masked(raw.value, secret=False) or 'empty'}"
        raise SettingsError(f"{where} must be {wording(target.type)}{found}") from None


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.7)
    return close[0] if close else None


def unknown(key: str, raw: Raw, known: Iterable[str]) -> SettingsError:
    """The error for a setting nobody has; `known` are the keys there are."""
    name = raw.origin if raw.from_variable else key
    meant = nearest(name, [raw.spelled(each) for each in known])
    return SettingsError(f"unknown setting {name} in {raw.place()}" + (f"; did you mean {meant}?" if meant else ""))


def build(section: type[S], prefix: str, given: Mapping[str, Raw], made: Mapping[str, Any] = MappingProxyType({})) -> S:
    """A settings dataclass of what was given for it; what was not keeps its default.

    `prefix` is the section's name with its dot, as `runner.local.`; `made` are fields that are ready. Raises
    `SettingsError`, for a `ValueError` of the dataclass's own `__post_init__` too.
    """
    fields = {each.name: each for each in fields_of(section)}
    below = {name: kind for name, each in fields.items() if (kind := subsection_of(each.type)) is not None}
    given, named = _apart(prefix, given, below)
    for name, raw in given.items():
        if name not in fields:
            raise unknown(prefix + name, raw, [prefix + each for each in fields])
    for name, each in fields.items():
        if each.default is MISSING and name not in given:
            raise SettingsError(f"the setting {prefix}{name} is missing; set it in terrapod.toml or as {variable(prefix + name)}")
    values = {name: convert(fields[name], prefix + name, raw) for name, raw in given.items()}
    for name, found in named.items():
        values[name] = MappingProxyType({key: build(below[name], f"{prefix}{name}.{key}.", raws) for key, raws in found.items()})
    try:
        return section(**values, **made)
    except ValueError as refused:
        origins = ", ".join(sorted({raw.origin for raw in given.values()}))
        raise SettingsError(
            (f"[{prefix.rstrip('.')}] " if prefix else "") + str(refused) + (f" (from {origins})" if origins else "")
        ) from None


Named = dict[str, dict[str, Raw]]
"""What was given for the sections of one field: by name, then by setting."""


def _apart(prefix: str, given: Mapping[str, Raw], below: Mapping[str, type]) -> tuple[dict[str, Raw], dict[str, Named]]:
    """Plain values, and those of sections `below`: `{"okta": {"issuer": …}}` in a file, `providers__okta__issuer` as a variable."""
    plain: dict[str, Raw] = {}
    variables: dict[str, Raw] = {}
    named: dict[str, Named] = {}
    for name, raw in given.items():
        field, _, rest = name.partition("__") if raw.from_variable else (name, "", "")
        if field not in below:
            plain[name] = raw
        elif raw.from_variable and "__" in rest:
            variables[name] = raw
        else:
            named[field] = _from_file(f"{prefix}{field}", raw)
    for name, raw in variables.items():
        field, word, inner = name.split("__", 2)
        named.setdefault(field, {}).setdefault(_checked(f"{prefix}{field}", word.replace("_", "-"), raw), {})[inner] = raw
    return plain, named


def _from_file(key: str, raw: Raw) -> Named:
    if raw.from_variable or not isinstance(raw.value, Mapping) or not all(isinstance(each, Mapping) for each in raw.value.values()):
        where = raw.origin if raw.from_variable else f"{key} in {raw.origin}"
        raise SettingsError(f"{where} must be {SECTIONS_OF_NAMES}: [{key}.NAME] in the file, or {variable(key)}__NAME__… as variables")
    return {_checked(key, name, raw): {each: Raw(value, raw.origin) for each, value in found.items()} for name, found in raw.value.items()}


def _checked(key: str, name: str, raw: Raw) -> str:
    """The name of a section, if a variable can spell it too."""
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        where = raw.origin if raw.from_variable else f"[{key}.{name}] in {raw.origin}"
        raise SettingsError(f"{where}: the name has lower-case letters and digits, with single dashes between them")
    return name
