"""The gate says the same in Python and in SQL, whatever roles, names and labels there are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from hypothesis import HealthCheck, example, given, settings, strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from terrapod_core.authz import Actor, ActorKind, Authorizer, EngineRights, GuardKind, Level, PlatformRole, Rule, Scope, Selector, role_set
from terrapod_core.authz.matching import composed, matches
from terrapod_core.db import UnitOfWork
from terrapod_core.organizations import DEFAULT_PROJECT_ID
from terrapod_core.workspaces.models import GUARD, Label, Workspace
from tests.support.rooms import House

GATE = Authorizer()
LEVELS = (Level.READ, Level.PLAN, Level.WRITE, Level.ADMIN)
USERS = ("user-1", "user-2", None)

# Few letters, so that they meet; and all that SQL's own patterns take for special, in either case and in both spellings of é.
LETTERS = "aAbB_%[]?\\^-!.éÉe\u0301"
names = st.text(LETTERS, min_size=1, max_size=5).map(composed)
patterns = st.text(LETTERS + "***", min_size=1, max_size=6)
keys = st.sampled_from(["env", "Env", "e%v", "e_v", "access", "é"])
values = st.sampled_from(["", "dev", "Dev", "d%v", "d_v", "everyone", "[d]ev"])
labels = st.dictionaries(keys, values, max_size=3)
selectors = st.builds(
    Selector.of,
    st.lists(patterns, max_size=3),
    st.dictionaries(keys, st.one_of(values, st.lists(values, min_size=1, max_size=2)), max_size=2),
)
levels = st.sampled_from([Level.NONE, *LEVELS])


@dataclass(frozen=True)
class Case:
    """Who asks, and what there is."""

    actor: Actor
    things: list[tuple[str, str | None, dict[str, str]]]
    """Name, owner, labels."""


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    name = f"role-{draw(st.integers(0, 999))}"
    return Rule(name, {GuardKind.WORKSPACE: draw(levels)}, draw(selectors), draw(selectors | st.just(Selector())))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    things = draw(st.lists(st.tuples(names, st.sampled_from(USERS), labels), max_size=8, unique_by=lambda thing: thing[0]))
    scope = draw(st.none() | st.builds(Scope, levels, st.none() | st.frozensets(st.integers(0, 8).map(lambda at: f"ws-{at}"), max_size=4)))
    kind = draw(st.sampled_from([ActorKind.USER, ActorKind.USER, ActorKind.USER, ActorKind.PHASE]))
    engines = st.none() | st.builds(EngineRights, st.just("ws-0"), st.just(frozenset({"ws-1"})), st.booleans())
    actor = Actor(
        kind,
        "user-1",
        "alice",
        platform=draw(st.sampled_from([frozenset(), frozenset(), frozenset(), frozenset({PlatformRole.AUDIT}), frozenset(PlatformRole)])),
        roles=role_set(draw(st.lists(rules(), max_size=4, unique_by=lambda rule: rule.name))),
        scope=scope,
        engine=draw(engines) if kind is ActorKind.PHASE else None,
    )
    return Case(actor, things)


def _one(pattern: str, name: str, **more: Any) -> Case:
    """A role about one pattern, and one thing."""
    rule = Rule("role", {GuardKind.WORKSPACE: Level.READ}, Selector.of([pattern], {}), Selector())
    return Case(Actor(ActorKind.USER, "user-1", "alice", roles=role_set([rule])), [(name, None, more)])


@given(cases())
@example(_one("prod_*", "PRODX1"))
@example(_one("prod_*", "prodX1"))
@example(_one("[ab]*", "a"))
@example(_one("a?*", "ab"))
@example(_one("*[^b]", "a"))
@example(_one("a\\*", "a\\b"))
@example(_one("*%", "a%"))
@example(_one("e\u0301*", "\u00e9a"))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
async def test_level_and_visible_never_disagree(house: House, case: Case) -> None:
    async with house.db.uow() as uow:
        await _insert(uow, case)
        for at_least in LEVELS:
            found = await uow.run(partial(_visible, actor=case.actor, at_least=at_least))
            judged = await uow.run(partial(_judged, actor=case.actor, at_least=at_least))
            assert found == judged, at_least


@given(patterns, names)
def test_a_star_means_any_characters_and_nothing_else_is_special(pattern: str, name: str) -> None:
    pieces = composed(pattern).split("*")
    assert matches(composed(pattern), name) == _slowly(pieces, name)


async def test_a_statement_is_the_same_whatever_the_patterns_are(house: House) -> None:
    def sql(pattern: str) -> str:
        actor = _one(pattern, "x").actor
        return str(GATE.visible(select(Workspace.id), actor, GUARD).compile(dialect=house.db.engine.dialect))

    assert sql("a*") == sql("b*") != sql("b")


def _slowly(pieces: list[str], name: str) -> bool:
    """What the rule says, tried out at every place."""
    if len(pieces) == 1:
        return name == pieces[0]
    first, *rest = pieces
    return name.startswith(first) and any(
        _slowly(rest, name[at:]) if len(rest) > 1 else name[at:] == rest[0] for at in range(len(first), len(name) + 1)
    )


def _visible(session: Session, actor: Actor, at_least: Level) -> set[str]:
    return set(session.execute(GATE.visible(select(Workspace.id), actor, GUARD, at_least=at_least)).scalars())


def _judged(session: Session, actor: Actor, at_least: Level) -> set[str]:
    return {one.id for one in session.execute(select(Workspace)).scalars() if GATE.level(actor, one) >= at_least}


async def _insert(uow: UnitOfWork, case: Case) -> None:
    now = uow.now()
    for at, (name, owner, given_labels) in enumerate(case.things):
        stored = {key: value or None for key, value in given_labels.items()}
        uow.add(_workspace(f"ws-{at}", name, owner, stored, now))
        await uow.flush()
        uow.add(
            *(Label(id=f"tb-{at}-{key}", workspace_id=f"ws-{at}", key=key, value=value, created_at=now) for key, value in stored.items())
        )
    await uow.flush()


def _workspace(workspace_id: str, name: str, owner_id: str | None, stored: dict[str, str | None], now: Any) -> Workspace:
    return Workspace(
        id=workspace_id,
        name=name,
        owner_id=owner_id,
        labels=stored,
        project_id=DEFAULT_PROJECT_ID,
        admitted=False,
        execution_mode="remote",
        terraform_version="latest",
        auto_apply=False,
        auto_apply_run_trigger=False,
        allow_destroy_plan=True,
        queue_all_runs=False,
        speculative_enabled=True,
        file_triggers_enabled=True,
        global_remote_state=False,
        latest_change_at=now,
        created_at=now,
        updated_at=now,
    )
