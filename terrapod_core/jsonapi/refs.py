"""References to other things, as clients send them in relationships."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from terrapod_core.errors import Problem


@dataclass(frozen=True)
class Ref:
    """A thing a client points to.

    `id` is `None` for one that does not exist yet: go-tfe then sends `attributes` in its place (a tag's `name`, the `key` and
    `value` of a tag binding). `type` is what the client wrote, possibly nothing; it has not been checked.
    """

    type: str
    id: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str | None:
        """The attribute `name`, if it is there and text."""
        return self.text("name")

    def text(self, attribute: str) -> str | None:
        """An attribute that is text; `None` when it is absent or something else."""
        value = self.attributes.get(attribute)
        return value if isinstance(value, str) else None


def read_ref(value: object, name: str, pointer: str) -> Ref | Problem:
    """One identifier; `name` is what to call it in a sentence."""
    if not isinstance(value, dict):
        return Problem(f"{name} must be an object with a type and an id", pointer)
    kind, ident, attributes = value.get("type"), value.get("id"), value.get("attributes")
    if kind is not None and not isinstance(kind, str):
        return Problem(f"the type of {name} must be a string", f"{pointer}/type")
    if ident is not None and not isinstance(ident, str):
        return Problem(f"the id of {name} must be a string", f"{pointer}/id")
    if attributes is not None and not isinstance(attributes, dict):
        return Problem(f"the attributes of {name} must be an object", f"{pointer}/attributes")
    if not ident and not attributes:
        return Problem(f"{name} needs an id", f"{pointer}/id")
    return Ref(kind or "", ident or None, attributes or {})


def read_refs(value: object, name: str, pointer: str) -> list[Ref] | Problem:
    """A list of identifiers; the first that is wrong stands for all."""
    if not isinstance(value, list):
        return Problem(f"{name} must be a list of objects with a type and an id", pointer)
    refs = []
    for number, item in enumerate(value):
        ref = read_ref(item, f"{name} {number + 1}", f"{pointer}/{number}")
        if isinstance(ref, Problem):
            return ref
        refs.append(ref)
    return refs
