"""What clients may send about a variable set, and what of it is refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from terrapod_core.authz.matching import composed
from terrapod_core.errors import Invalid, Problem, Problems
from terrapod_core.jsonapi import Ref, build
from terrapod_core.organizations import NAME
from terrapod_core.variables.documents import MAX_DESCRIPTION, CreateVariable

MAX_NAME: Final = 90


class UpdateVariableSet(msgspec.Struct, kw_only=True):
    """What may be sent; what is absent stays as it is. A list of workspaces or projects takes the place of the former one."""

    name: str | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    is_global: bool | UnsetType | None = msgspec.field(default=UNSET, name="global")
    priority: bool | UnsetType | None = UNSET
    unadmitted_workspaces: bool | UnsetType | None = UNSET
    workspaces: list[Ref] | UnsetType = UNSET
    projects: list[Ref] | UnsetType = UNSET
    stacks: list[Ref] | UnsetType = UNSET
    vars: list[Ref] | UnsetType = UNSET
    parent: Ref | UnsetType | None = UNSET


class CreateVariableSet(UpdateVariableSet, kw_only=True):
    """The same for a new one, which needs a name. `vars` may hold whole variables."""

    name: str


def columns(sent: UpdateVariableSet) -> dict[str, Any]:
    """The columns that the document sets, checked. Raises `Invalid` with everything that is wrong. A `null` flag says nothing."""
    problems = Problems()
    values: dict[str, Any] = {name: getattr(sent, name) for name in ("is_global", "priority", "unadmitted_workspaces")}
    values = {name: value for name, value in values.items() if isinstance(value, bool)}
    if sent.name is not UNSET:
        values["name"] = composed(sent.name)
        if not 0 < len(values["name"]) <= MAX_NAME or not values["name"].isprintable() or values["name"] != values["name"].strip():
            problems.add(f"Name must have 1 to {MAX_NAME} printable characters, with no space at either end", attribute="name")
    if sent.description is not UNSET:
        values["description"] = sent.description or ""
        if len(values["description"]) > MAX_DESCRIPTION:
            problems.add(f"Description must have at most {MAX_DESCRIPTION} characters", attribute="description")
    if isinstance(sent.parent, Ref) and (sent.parent.type, sent.parent.id) != ("organizations", NAME):
        problems.add("Variable sets belong to the organization here; assign the set to the project instead", relationship="parent")
    if sent.stacks:
        problems.add("There are no stacks here", relationship="stacks")
    if sent.vars and not isinstance(sent, CreateVariableSet):
        problems.add("Change the variables of a set at /varsets/{id}/relationships/vars", relationship="vars")
    problems.refuse()
    return values


def variables(sent: CreateVariableSet) -> Sequence[tuple[str, CreateVariable]]:
    """The variables that come with a new set, each with the pointer to its attributes."""
    found = []
    for number, one in enumerate(sent.vars or ()):
        root = f"/data/relationships/vars/data/{number}/attributes"
        if one.id is not None:
            raise Invalid(
                "a variable belongs to one set; send this one's attributes without its id", pointer=root.removesuffix("/attributes")
            )
        found.append((root, build(CreateVariable, one.attributes, {}, root)))
    return found


@contextmanager
def within(root: str) -> Iterator[None]:
    """Let what is said of a variable's attributes point into the document that it came in."""
    try:
        yield
    except Invalid as error:
        problems = [Problem(each.detail, (each.pointer or "").replace("/data/attributes", root) or None) for each in error.problems]
        raise Invalid(problems=tuple(problems)) from error
