"""What a label may be, on whatever roles choose by labels, and how clients send labels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from terrapod_core.errors import Problems
from terrapod_core.jsonapi import Ref

MOST: Final = 50
"""Labels of one thing."""

KEY: Final = re.compile(r"[A-Za-z0-9_.=+\-@:/]{1,255}")
VALUE: Final = re.compile(r"[A-Za-z0-9_.=+\-@:/ ]{0,256}")

RESERVED: Final = ("hc:", "hcp:")
"""Prefixes of keys that HashiCorp keeps for itself."""


def of_attribute(labels: Mapping[str, str | None], problems: Problems) -> dict[str, str | None]:
    """The attribute `labels`, an object of keys and values."""
    return {key: _value(key, value, problems, attribute="labels") for key, value in labels.items()}


def of_bindings(bindings: Iterable[Ref], problems: Problems) -> dict[str, str | None]:
    """`tag-bindings`, as resources with the attributes `key` and `value`; the last of a key wins."""
    found = {}
    for binding in bindings:
        key, value = binding.text("key"), binding.attributes.get("value")
        if key is None:
            problems.add("A tag binding needs the attribute key", relationship="tag-bindings")
        elif value is not None and not isinstance(value, str):
            problems.add(f"The value of the tag binding {key!r} must be a string", relationship="tag-bindings")
        else:
            found[key] = _value(key, value, problems, relationship="tag-bindings")
    return found


def of_tags(tags: Iterable[Ref], known: Mapping[str, str], problems: Problems) -> dict[str, str | None]:
    """`tags`, each by the attribute `name`, or by an id that `known` translates to a name."""
    found: dict[str, str | None] = {}
    for tag in tags:
        name = tag.name if tag.name is not None else known.get(tag.id or "")
        if name is None:
            problems.add(f"There is no tag {tag.id}" if tag.id else "A tag needs the attribute name", relationship="tags")
        else:
            found[name] = _value(name, None, problems, relationship="tags")
    return found


def limit(labels: Mapping[str, str | None], problems: Problems) -> None:
    """Note when a thing would have too many."""
    if len(labels) > MOST:
        problems.add(f"At most {MOST} labels are possible (tags and tag bindings together); these would be {len(labels)}")


def _value(key: str, value: str | None, problems: Problems, *, attribute: str | None = None, relationship: str | None = None) -> str | None:
    """The value as stored: an empty one is none. Notes what is wrong with it or its key."""
    if KEY.fullmatch(key) is None:
        problem = f"The key {key[:80]!r} must have 1 to 255 characters: letters, digits and _ . = + - @ : /"
        problems.add(problem, attribute=attribute, relationship=relationship)
    elif key.lower().startswith(RESERVED):
        problems.add(f"The key {key!r} begins with a reserved prefix (hc: or hcp:)", attribute=attribute, relationship=relationship)
    if value is not None and VALUE.fullmatch(value) is None:
        problem = f"The value of {key[:80]!r} must have at most 256 characters: letters, digits, spaces and _ . = + - @ : /"
        problems.add(problem, attribute=attribute, relationship=relationship)
    return value or None
