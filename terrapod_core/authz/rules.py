"""What the roles that somebody holds come to: levels on things, by name and label."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from terrapod_core.authz.levels import GuardKind, Level
from terrapod_core.authz.matching import Labels, Selector


@dataclass(frozen=True)
class Rule:
    """One role: a level on each kind of thing that it allows; what it denies no role of the same holder grants."""

    name: str
    levels: Mapping[GuardKind, Level] = field(hash=False)
    allow: Selector
    deny: Selector

    def level_on(self, kind: GuardKind) -> Level:
        """What it grants on a thing of this kind that it allows."""
        return self.levels.get(kind, Level.NONE)


@dataclass(frozen=True)
class RoleSet:
    """All the roles of one holder, merged. The order of roles does not matter."""

    rules: tuple[Rule, ...] = ()
    key: str = field(init=False, compare=False, repr=False)
    """Says which rules these are: equal for equal ones, and short."""
    denied: Selector = field(init=False, compare=False, repr=False)
    """What is denied, whichever role says so."""
    _merged: dict[GuardKind, tuple[tuple[Level, Selector], ...]] = field(default_factory=dict, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        denied = Selector()
        for rule in self.rules:
            denied |= rule.deny
        object.__setattr__(self, "denied", denied)
        object.__setattr__(self, "key", hashlib.sha256("\n".join(sorted(map(_spelled, self.rules))).encode()).hexdigest())

    def granted(self, kind: GuardKind) -> tuple[tuple[Level, Selector], ...]:
        """For each level that some role grants on things of this kind, the highest first: on which."""
        found = self._merged.get(kind)
        if found is None:
            merged: dict[Level, Selector] = {}
            for rule in self.rules:
                level = rule.level_on(kind)
                if level > Level.NONE and rule.allow:
                    merged[level] = merged.get(level, Selector()) | rule.allow
            found = self._merged[kind] = tuple(sorted(merged.items(), reverse=True, key=lambda pair: pair[0]))
        return found

    def allowed(self, kind: GuardKind, at_least: Level) -> Selector:
        """What the roles choose at this level or above, before anything is denied."""
        chosen = Selector()
        for level, selector in self.granted(kind):
            if level >= at_least:
                chosen |= selector
        return chosen

    def level(self, kind: GuardKind, name: str, labels: Labels) -> Level:
        """The level on one thing."""
        for level, selector in self.granted(kind):
            if selector.means(name, labels):
                return Level.NONE if self.denied.means(name, labels) else level
        return Level.NONE


def _spelled(rule: Rule) -> str:
    """The whole rule as text that no other rule has."""
    selectors = [[sorted(each.names), sorted(each.labels)] for each in (rule.allow, rule.deny)]
    return json.dumps([rule.name, sorted(rule.levels.items()), selectors])


EVERYONE_LABEL: Final = ("access", "everyone")
EVERYONE: Final = Rule(
    name="everyone",
    levels=dict.fromkeys((GuardKind.WORKSPACE, GuardKind.REGISTRY, GuardKind.POOL), Level.READ),
    allow=Selector(labels=frozenset({EVERYONE_LABEL})),
    deny=Selector(),
)
"""The built-in role that everybody who is signed in holds: read what its owner labelled `access=everyone`."""


@lru_cache(maxsize=1024)
def _merge(rules: tuple[Rule, ...]) -> RoleSet:
    return RoleSet((EVERYONE, *rules))


def role_set(rules: Iterable[Rule]) -> RoleSet:
    """The roles of one holder together with the one that everybody holds; the same rules give the same object."""
    return _merge(tuple(sorted(rules, key=lambda rule: rule.name)))


NO_ROLES: Final = role_set(())

_WORKSPACE: Final = {level.name.lower(): level for level in (Level.READ, Level.PLAN, Level.WRITE, Level.ADMIN)}
_OTHER: Final = {name: level for name, level in _WORKSPACE.items() if level is not Level.PLAN}


def levels_of(workspace: str, registry: str | None, pool: str | None) -> dict[GuardKind, Level]:
    """A role's levels from its words. An unknown word grants nothing.

    Without one of its own, the registry takes the level on workspaces, where `plan` counts as `read`; pools are read.
    """
    on_workspaces = _WORKSPACE.get(workspace, Level.NONE)
    on_registry = _OTHER.get(registry, Level.NONE) if registry is not None else on_workspaces
    return {
        GuardKind.WORKSPACE: on_workspaces,
        GuardKind.REGISTRY: Level.READ if on_registry is Level.PLAN else on_registry,
        GuardKind.POOL: _OTHER.get(pool, Level.NONE) if pool is not None else Level.READ if on_workspaces else Level.NONE,
    }
