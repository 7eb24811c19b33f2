"""`include=current_run.plan`: what stands beside the primary data, loaded by one query for each type and step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeAlias

from terrapod_core.jsonapi.rendering import Rendering
from terrapod_core.jsonapi.resource import Resource, ResourceObject

MAX_STEPS: Final = 8
"""Steps of one path that are followed; real paths have three at most, and a cycle could go on for ever."""

Key: TypeAlias = tuple[str, str]
"""Type and id."""


class Loader(Protocol):
    """Loads things of one type."""

    def __call__(self, session: Any, actor: Any, ids: Sequence[str], /) -> Sequence[Any]:
        """Those of `ids` that exist and the actor may see, in any order; one query, synchronous."""
        ...


class Bringer(Protocol):
    """Loads what a relationship leads to whose ids the things themselves do not have."""

    def __call__(self, session: Any, actor: Any, objs: Sequence[Any], /) -> Sequence[Any]:
        """What `objs` point to and the actor may see; `objs` name their ids from then on. One query, synchronous."""
        ...


@dataclass
class _Tree:
    """Paths folded together: `plan`, `current_run.plan` share no node, `workspace` and `workspace.project` share one."""

    below: dict[str, _Tree] = field(default_factory=dict)

    @classmethod
    def of(cls, paths: Iterable[Sequence[str]]) -> _Tree:
        root = cls()
        for path in paths:
            node = root
            for name in path[:MAX_STEPS]:
                node = node.below.setdefault(name, cls())
        return root


@dataclass
class _Walk:
    """One resolution: what is known so far, by type and id (`None`: not there, or not visible)."""

    session: Any
    rendering: Rendering
    known: dict[Key, Any] = field(default_factory=dict)
    rendered: dict[Key, ResourceObject] = field(default_factory=dict)


class Includes:
    """Which types can be included, and how each is loaded. Filled once, where the rooms are put together."""

    def __init__(self) -> None:
        self._types: dict[str, tuple[Resource, Loader]] = {}
        self._bringers: dict[tuple[str, str], Bringer] = {}

    def add(self, resource: Resource, loader: Loader) -> None:
        """Let things of the resource's type be included; `ValueError` when the type is there already."""
        if resource.type in self._types:
            raise ValueError(f"{resource.type} can be included already")
        self._types[resource.type] = (resource, loader)

    def bring(self, resource: Resource, relationship: str, bringer: Bringer) -> None:
        """Ask `bringer` when the relationship of primary data shall be included; things of its type are included as `add` says."""
        self._bringers[resource.type, relationship] = bringer

    def resolve(
        self,
        session: Any,
        rendering: Rendering,
        resource: Resource,
        objs: Iterable[object],
        include_paths: Iterable[Sequence[str]],
    ) -> list[ResourceObject]:
        """What the paths lead to from `objs`, each thing once and none of `objs` themselves.

        A name that is no relationship, a type nobody registered, and a thing the actor may not see are left out: the terraform
        CLI dies on a 400 here, and newer ones ask for relationships this server has never heard of.
        """
        walk = _Walk(session, rendering)
        start = [(resource, obj) for obj in objs]
        walk.known = {(resource.type, resource.id_of(obj, rendering)): obj for obj in objs} if start else {}
        primary = frozenset(walk.known)
        tree = _Tree.of(include_paths)
        if start:
            self._bring(walk, resource, tree.below, [obj for _, obj in start])
        steps = [(tree, start)] if start else []
        while steps:
            steps = self._step(walk, primary, steps)
        return list(walk.rendered.values())

    def _bring(self, walk: _Walk, resource: Resource, names: Iterable[str], objs: Sequence[Any]) -> None:
        for name in names:
            relationship = resource.relationship(name)
            if relationship is not None and (bringer := self._bringers.get((resource.type, relationship.name))):
                target = self._types[relationship.type][0]
                for obj in bringer(walk.session, walk.rendering.actor, objs):
                    walk.known[target.type, target.id_of(obj, walk.rendering)] = obj

    def _step(
        self, walk: _Walk, primary: frozenset[Key], steps: list[tuple[_Tree, list[tuple[Resource, Any]]]]
    ) -> list[tuple[_Tree, list[tuple[Resource, Any]]]]:
        """Follow every first name of every tree; gives the trees below with the things they start from."""
        targets = [(below, list(self._targets(walk, name, things))) for tree, things in steps for name, below in tree.below.items()]
        self._load(walk, (key for _, keys in targets for key in keys))
        onwards = []
        for below, keys in targets:
            reached = []
            for key in dict.fromkeys(keys):
                obj = walk.known.get(key)
                if obj is None:
                    continue
                resource = self._types[key[0]][0]
                reached.append((resource, obj))
                if key not in primary and key not in walk.rendered:
                    walk.rendered[key] = resource.render(obj, walk.rendering)
            if below.below and reached:
                onwards.append((below, reached))
        return onwards

    def _targets(self, walk: _Walk, name: str, things: list[tuple[Resource, Any]]) -> Iterable[Key]:
        for resource, obj in things:
            relationship = resource.relationship(name)
            if relationship is None:
                continue
            for identifier in relationship.identifiers(obj, walk.rendering):
                if identifier.type in self._types:
                    yield identifier.type, identifier.id

    def _load(self, walk: _Walk, keys: Iterable[Key]) -> None:
        """Load what is not known yet; afterwards every key is known, if only as `None`."""
        missing: defaultdict[str, list[str]] = defaultdict(list)
        for key in dict.fromkeys(keys):
            if key not in walk.known:
                walk.known[key] = None
                missing[key[0]].append(key[1])
        for type_, ids in missing.items():
            resource, loader = self._types[type_]
            for obj in loader(walk.session, walk.rendering.actor, ids):
                walk.known[(type_, resource.id_of(obj, walk.rendering))] = obj
