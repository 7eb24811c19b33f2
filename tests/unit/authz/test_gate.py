"""The gate: owner, platform roles, nobody."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from terrapod_core.authz import NEEDS, SYSTEM, Actor, ActorKind, Authorizer, Level, Permission, PlatformRole
from terrapod_core.errors import Forbidden, NotFound

GATE = Authorizer()


@dataclass
class Thing:
    owner_id: str | None


OWNER = Actor(ActorKind.USER, "user-1", "alice")
OTHER = Actor(ActorKind.USER, "user-2", "bob")
AUDITOR = Actor(ActorKind.USER, "user-3", "carol", platform=frozenset({PlatformRole.AUDIT}))
ADMIN = Actor(ActorKind.USER, "user-4", "dave", platform=frozenset({PlatformRole.ADMIN}))
PHASE = Actor(ActorKind.PHASE, "user-1", "a phase whose id looks like the owner's")
MINE = Thing("user-1")


def test_every_permission_has_a_level() -> None:
    assert set(NEEDS) == set(Permission)


@pytest.mark.parametrize(
    ("actor", "level"),
    [(OWNER, Level.ADMIN), (ADMIN, Level.ADMIN), (SYSTEM, Level.ADMIN), (AUDITOR, Level.READ), (OTHER, Level.NONE), (PHASE, Level.NONE)],
)
def test_the_level_follows_from_ownership_and_platform_role(actor: Actor, level: Level) -> None:
    assert GATE.level(actor, MINE) is level


def test_a_thing_of_nobody_belongs_to_no_user() -> None:
    assert GATE.level(OWNER, Thing(None)) is Level.NONE
    assert GATE.level(PHASE, Thing(None)) is Level.NONE


def test_what_may_not_be_read_is_not_found_and_counts_as_a_refusal() -> None:
    with pytest.raises(NotFound) as caught:
        GATE.require(OTHER, Permission.RUN_APPLY, MINE)
    assert caught.value.refusal


def test_what_may_be_read_but_not_done_is_forbidden_and_names_both_levels() -> None:
    with pytest.raises(Forbidden, match="needs the level write on this workspace; you have read"):
        GATE.require(AUDITOR, Permission.RUN_APPLY, MINE)


@pytest.mark.parametrize("permission", list(Permission))
def test_allows_and_require_agree(permission: Permission) -> None:
    for actor in (OWNER, OTHER, AUDITOR, ADMIN, PHASE):
        try:
            GATE.require(actor, permission, MINE)
            passed = True
        except (Forbidden, NotFound):
            passed = False
        assert GATE.allows(actor, permission, MINE) is passed
