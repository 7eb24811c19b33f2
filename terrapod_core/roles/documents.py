"""What may be sent about roles and assignments, and what of it is refused."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from terrapod_core.authz import BUILT_IN, EVERYONE
from terrapod_core.authz.matching import ANY, composed
from terrapod_core.errors import Problems
from terrapod_core.jsonapi import wire_name

WORKSPACE_LEVELS: Final = ("read", "plan", "write", "admin")
OTHER_LEVELS: Final = ("read", "write", "admin")
"""On registry items and agent pools, where nothing is planned."""

MAX_DESCRIPTION: Final = 1024
MOST_KEYS: Final = 50
MOST_VALUES: Final = 50
MOST_NAMES: Final = 200
MOST_WILDCARDS: Final = 10
MOST_HELD: Final = 100
"""Roles of one assignment."""
KEY_LENGTH: Final = 255
VALUE_LENGTH: Final = 256
PATTERN_LENGTH: Final = 255

NAME: Final = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,64}")
"""Not `.` and `..`: clients and proxies resolve those in a path."""

LabelValues: TypeAlias = str | list[str | None] | None
Labels: TypeAlias = dict[str, LabelValues]


class UpdateRole(msgspec.Struct, kw_only=True):
    """What may be sent; what is absent stays as it is."""

    name: str | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    workspace_permission: str | UnsetType = UNSET
    registry_permission: str | UnsetType | None = UNSET
    pool_permission: str | UnsetType | None = UNSET
    allow_labels: Labels | UnsetType | None = UNSET
    allow_names: list[str] | UnsetType | None = UNSET
    deny_labels: Labels | UnsetType | None = UNSET
    deny_names: list[str] | UnsetType | None = UNSET


class CreateRole(UpdateRole, kw_only=True):
    """The same for a new one, which needs a name and a level on workspaces."""

    name: str
    workspace_permission: str


class SetRoles(msgspec.Struct, kw_only=True):
    """Who shall hold exactly which roles."""

    provider_name: str
    email: str
    roles: list[str]


DEFAULTS: Final[dict[str, Any]] = {
    "description": None,
    "registry_permission": None,
    "pool_permission": "read",
    "allow_labels": {},
    "allow_names": [],
    "deny_labels": {},
    "deny_names": [],
}
"""What is not sent with a new role. A `null` means these too."""


def columns(sent: UpdateRole) -> dict[str, Any]:
    """The columns that the document sets, without the name, checked and in NFC. Raises `Invalid` with everything that is wrong."""
    problems = Problems()
    if isinstance(sent, CreateRole):
        _check_name(sent.name, problems)
    values = {name: getattr(sent, name) for name in ("workspace_permission", *DEFAULTS) if getattr(sent, name) is not UNSET}
    values = {name: DEFAULTS.get(name) if value is None else value for name, value in values.items()}
    if isinstance(values.get("description"), str):
        values["description"] = composed(values["description"]) or None
        if len(values["description"] or "") > MAX_DESCRIPTION:
            problems.add(f"description must have at most {MAX_DESCRIPTION} characters", attribute="description")
    for name in ("workspace_permission", "registry_permission", "pool_permission"):
        _check_level(name, values.get(name), problems)
    for name in ("allow_labels", "deny_labels"):
        if name in values:
            values[name] = _labels(wire_name(name), values[name], problems)
    for name in ("allow_names", "deny_names"):
        if name in values:
            values[name] = _names(wire_name(name), values[name], problems)
    problems.refuse()
    return values


def is_taken_by_the_server(name: str) -> bool:
    """Whether a built-in role has this name, in whatever case."""
    return name.lower() in {*BUILT_IN, EVERYONE.name}


def _check_name(name: str, problems: Problems) -> None:
    if NAME.fullmatch(name) is None:
        problems.add("name must have 1 to 64 characters: letters, digits and - _ . (not dots alone)", attribute="name")
    elif is_taken_by_the_server(name):
        problems.add(f"{name} is the name of a built-in role; choose another", attribute="name")


def _check_level(name: str, word: str | None, problems: Problems) -> None:
    allowed = WORKSPACE_LEVELS if name == "workspace_permission" else OTHER_LEVELS
    if word is not None and word not in allowed:
        problems.add(f"{wire_name(name)} must be one of {', '.join(allowed)}, not {word[:40]!r}", attribute=wire_name(name))


def _labels(attribute: str, labels: Labels, problems: Problems) -> dict[str, str | list[str]]:
    if len(labels) > MOST_KEYS:
        problems.add(f"{attribute} may have at most {MOST_KEYS} keys, not {len(labels)}", attribute=attribute)
        return {}
    found: dict[str, str | list[str]] = {}
    for sent, values in labels.items():
        key = composed(sent)
        if key in found:
            problems.add(f"{attribute} has the key {_short(key)} twice, in two spellings of Unicode", attribute=attribute)
        for problem in (*_wrong_key(key), *_wrong_values(key, values)):
            problems.add(f"{attribute}: {problem}", attribute=attribute)
        found[key] = [composed(value or "") for value in values] if isinstance(values, list) else composed(values or "")
    return found


def _wrong_key(key: str) -> Iterator[str]:
    if not 0 < len(key) <= KEY_LENGTH or not key.isprintable():
        yield f"the key {_short(key)} must have 1 to {KEY_LENGTH} printable characters"


def _wrong_values(key: str, values: LabelValues) -> Iterator[str]:
    several = values if isinstance(values, list) else [values]
    if not several:
        yield f"the list of values of {_short(key)} is empty, which would match nothing; leave the key out, or write null for a bare label"
    if len(several) > MOST_VALUES:
        yield f"{_short(key)} may have at most {MOST_VALUES} values, not {len(several)}"
        return
    for value in several:
        text = composed(value or "")
        if len(text) > VALUE_LENGTH or (text and not text.isprintable()):
            yield f"the value {_short(text)} of {_short(key)} must have at most {VALUE_LENGTH} printable characters"


def _names(attribute: str, names: Iterable[str], problems: Problems) -> list[str]:
    patterns = list(dict.fromkeys(composed(name) for name in names))
    if len(patterns) > MOST_NAMES:
        problems.add(f"{attribute} may hold at most {MOST_NAMES} names, not {len(patterns)}", attribute=attribute)
        return []
    for pattern in patterns:
        if not 0 < len(pattern) <= PATTERN_LENGTH or not pattern.isprintable():
            problems.add(f"{attribute}: {_short(pattern)} must have 1 to {PATTERN_LENGTH} printable characters", attribute=attribute)
        elif pattern.count(ANY) > MOST_WILDCARDS:
            problems.add(f"{attribute}: {_short(pattern)} may have at most {MOST_WILDCARDS} {ANY}", attribute=attribute)
    return patterns


def _short(text: str) -> str:
    """A part of what was sent, fit for a sentence."""
    return repr(text if len(text) <= 60 else text[:60] + "…")
