"""The examples of docs/explanation/access.md, worked out by the gate itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import pytest

from terrapod_core.authz import Actor, ActorKind, Authorizer, GuardKind, PlatformRole, Rule, Selector, role_set
from terrapod_core.authz.rules import levels_of
from tests.support import ROOT

PAGE: Final = ROOT / "docs" / "explanation" / "access.md"


@dataclass(frozen=True)
class Workspace:
    """A row of the table."""

    name: str
    labels: Mapping[str, str | None]
    id: str = "ws-1"
    guarded_as: GuardKind = GuardKind.WORKSPACE

    @property
    def owner_id(self) -> str | None:
        """As the page tells it."""
        return "user-dora" if self.name == "prod-db" else None


def role(name: str, level: str, allow: Selector, deny: Selector | None = None) -> Rule:
    return Rule(name, levels_of(level, None, "read"), allow, deny or Selector())


DEVELOPER = role("developer", "write", Selector.of([], {"env": "dev"}))
SRE = role("sre", "plan", Selector.of(["prod-*"], {"env": "dev"}))
FREEZE = role("freeze", "read", Selector(), Selector.of(["prod-db"], {}))
HOLD: Final[dict[str, tuple[Rule, ...]]] = {
    "alice": (DEVELOPER,),
    "bob": (DEVELOPER, SRE),
    "carol": (DEVELOPER, SRE, FREEZE),
    "dora": (FREEZE,),
    "erin": (FREEZE,),
}


def examples() -> Iterator[tuple[str, str, str, str]]:
    """Workspace, label, person and level."""
    rows = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in PAGE.read_text().splitlines() if line.startswith("|")]
    start = next(number for number, row in enumerate(rows) if row[0] == "workspace")
    people = rows[start][2:]
    for name, label, *levels in rows[start + 2 :]:
        yield from ((name, label, person, level) for person, level in zip(people, levels, strict=True))


@pytest.mark.parametrize(("name", "label", "person", "level"), list(examples()))
def test_the_page_says_what_the_gate_says(name: str, label: str, person: str, level: str) -> None:
    key, _, value = label.partition("=")
    platform = frozenset({PlatformRole.AUDIT}) if person == "erin" else frozenset()
    actor = Actor(ActorKind.USER, f"user-{person}", person, platform=platform, roles=role_set(HOLD[person]))
    assert Authorizer().level(actor, Workspace(name, {key: value})).name.lower() == level


def test_all_the_examples_are_looked_at() -> None:
    assert len(list(examples())) == 25
    assert {person for _, _, person, _ in examples()} == set(HOLD)
