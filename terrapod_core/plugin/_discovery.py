"""Which plugins are there: by entry point, each still to be loaded."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from terrapod_core.plugin.hookspecs import PROJECT


@dataclass(frozen=True)
class Candidate:
    """A plugin before it is loaded."""

    name: str
    distribution: str | None
    version: str | None
    load: Callable[[], object]
    """Imports it; may raise anything."""

    @property
    def source(self) -> str:
        """Where it comes from, for people."""
        return f"{self.distribution} {self.version}" if self.distribution else "the modules given"


def installed() -> list[Candidate]:
    """Every entry point of the group, sorted by name, then by distribution."""
    found: dict[tuple[str, str, str], Candidate] = {}
    for entry in importlib.metadata.entry_points(group=PROJECT):
        distribution = entry.dist.name if entry.dist else ""
        version = entry.dist.version if entry.dist else None
        candidate = Candidate(entry.name, distribution or None, version, entry.load)
        found.setdefault((entry.name, distribution, entry.value), candidate)
    return [found[key] for key in sorted(found)]


def given(modules: Mapping[str, object]) -> list[Candidate]:
    """Modules handed over by name, for tests."""
    return [Candidate(name, None, None, lambda name=name: modules[name]) for name in sorted(modules)]  # type: ignore[misc]
