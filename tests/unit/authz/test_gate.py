"""The gate: platform roles, owner, roles with what they deny, the label for everybody, and what a narrowed token leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest

from terrapod_core.authz import (
    NEEDS,
    SYSTEM,
    Actor,
    ActorKind,
    Authorizer,
    EngineRights,
    GuardKind,
    Level,
    Permission,
    PlatformRole,
    Rule,
    Scope,
    Selector,
    role_set,
)
from terrapod_core.authz.rules import levels_of
from terrapod_core.errors import Forbidden, NotFound

GATE = Authorizer()
NONE, READ, PLAN, WRITE, ADMIN = Level


@dataclass
class Thing:
    """Something to be guarded; alice's workspace unless said otherwise."""

    owner_id: str | None = "user-alice"
    guarded_as: GuardKind = GuardKind.WORKSPACE
    id: str = "ws-1"
    name: str = "net"
    labels: Mapping[str, str | None] = field(default_factory=dict)


def user(name: str, *held: PlatformRole | Rule, scope: Scope | None = None) -> Actor:
    """Somebody with these roles."""
    platform = frozenset(each for each in held if isinstance(each, PlatformRole))
    roles = role_set(each for each in held if isinstance(each, Rule))
    return Actor(ActorKind.USER, f"user-{name}", name, platform=platform, roles=roles, scope=scope)


def role(
    level: str, *names: str, deny: tuple[str, ...] = (), registry: str | None = None, pool: str | None = "read", **labels: str
) -> Rule:
    """A custom role on these names and labels."""
    return Rule(f"{level} {names} {labels} {deny}", levels_of(level, registry, pool), Selector.of(names, labels), Selector.of(deny, {}))


PLATFORM_ADMIN, AUDIT = PlatformRole.ADMIN, PlatformRole.AUDIT
PHASE = Actor(ActorKind.PHASE, "user-alice", "a phase whose id looks like the owner's", platform=frozenset({PLATFORM_ADMIN}))
DENY = role("read", deny=("net",))
MINE, SHARED = Thing(), Thing(labels={"access": "everyone"})
MODULE, POOL = Thing(guarded_as=GuardKind.REGISTRY), Thing(guarded_as=GuardKind.POOL)

RESOLUTION: list[tuple[str, Actor, Thing, Level]] = [
    ("the system may do everything", SYSTEM, Thing(None), ADMIN),
    ("a phase nothing, whatever it calls itself", PHASE, MINE, NONE),
    ("a phase owns nothing that nobody owns", PHASE, Thing(None), NONE),
    ("a platform admin everything", user("bob", PLATFORM_ADMIN), MINE, ADMIN),
    ("and no role denies them", user("bob", PLATFORM_ADMIN, DENY), MINE, ADMIN),
    ("an auditor reads everything", user("bob", AUDIT), MINE, READ),
    ("and no role denies them", user("bob", AUDIT, DENY), MINE, READ),
    ("an auditor's roles may give more", user("bob", AUDIT, role("write", "net")), MINE, WRITE),
    ("an owner is admin", user("alice"), MINE, ADMIN),
    ("and no role denies them", user("alice", DENY), MINE, ADMIN),
    ("nor does a small role make them less", user("alice", role("read", "net"), AUDIT), MINE, ADMIN),
    ("a stranger nothing", user("bob"), MINE, NONE),
    ("what nobody owns is no user's", user("bob"), Thing(None), NONE),
    ("a role gives its level by name", user("bob", role("plan", "net")), MINE, PLAN),
    ("or by a pattern", user("bob", role("plan", "n*")), MINE, PLAN),
    ("in its own case", user("bob", role("plan", "Net")), MINE, NONE),
    ("or by a label", user("bob", role("write", env="dev")), Thing(labels={"env": "dev"}), WRITE),
    ("with the same value", user("bob", role("write", env="dev")), Thing(labels={"env": "prod"}), NONE),
    ("a bare label is one without a value", user("bob", role("write", dev="")), Thing(labels={"dev": None}), WRITE),
    ("and not any value", user("bob", role("write", dev="")), Thing(labels={"dev": "1"}), NONE),
    ("any allow will do", user("bob", role("write", "net", env="dev")), Thing(labels={"env": "prod"}), WRITE),
    ("of several roles the highest counts", user("bob", role("read", "net"), role("write", "n*"), role("plan", "*")), MINE, WRITE),
    ("a role that allows nothing gives nothing", user("bob", role("admin")), MINE, NONE),
    ("an unknown level gives nothing", user("bob", role("owner", "*")), MINE, NONE),
    ("a role's own deny wins", user("bob", role("admin", "*", deny=("net",))), MINE, NONE),
    ("one role's deny takes what another gives", user("bob", role("admin", "net"), DENY), MINE, NONE),
    ("but only where it denies", user("bob", role("write", "*"), DENY), Thing(name="db"), WRITE),
    ("everybody reads what is labelled so", user("bob"), SHARED, READ),
    ("and may hold more", user("bob", role("write", "net")), SHARED, WRITE),
    ("a deny takes that too", user("bob", DENY), SHARED, NONE),
    ("the label's value counts", user("bob"), Thing(labels={"access": "Everyone"}), NONE),
    ("a registry item goes by its own level", user("bob", role("read", "net", registry="admin")), MODULE, ADMIN),
    ("without one by the workspaces' level", user("bob", role("write", "net")), MODULE, WRITE),
    ("where plan is read", user("bob", role("plan", "net")), MODULE, READ),
    ("a deny is about every kind", user("bob", role("admin", "net"), DENY), MODULE, NONE),
    ("a pool by its own", user("bob", role("admin", "net", pool="write")), POOL, WRITE),
    ("which is read when it is not given", user("bob", role("admin", "net", pool=None)), POOL, READ),
    ("no role is about what is its owner's alone", user("bob", role("admin", "*")), Thing(guarded_as=GuardKind.OWNED), NONE),
    ("nor is the label", user("bob"), Thing(guarded_as=GuardKind.OWNED, labels={"access": "everyone"}), NONE),
    ("an auditor sees it", user("bob", AUDIT), Thing(guarded_as=GuardKind.OWNED), READ),
    ("and its owner has it", user("alice"), Thing(guarded_as=GuardKind.OWNED), ADMIN),
]  # fmt: skip


@pytest.mark.parametrize(("actor", "thing", "level"), [pytest.param(*case, id=words) for words, *case in RESOLUTION])
def test_the_order_of_resolution(actor: Actor, thing: Thing, level: Level) -> None:
    assert GATE.level(actor, thing) is level


READ_ONLY, ONE, OTHER = Scope(READ), Scope(workspace_ids=frozenset({"ws-1"})), Scope(workspace_ids=frozenset({"ws-2"}))
NARROWED: list[tuple[str, Actor, Thing, Level]] = [
    ("a ceiling lowers an owner", user("alice", scope=READ_ONLY), MINE, READ),
    ("and a platform admin", user("bob", PLATFORM_ADMIN, scope=Scope(PLAN)), MINE, PLAN),
    ("and raises nobody", user("bob", scope=Scope(ADMIN)), MINE, NONE),
    ("a list lets through what it names", user("alice", scope=ONE), MINE, ADMIN),
    ("and nothing else", user("alice", scope=OTHER), MINE, NONE),
    ("no workspace outside for an admin either", user("bob", PLATFORM_ADMIN, scope=OTHER), MINE, NONE),
    ("nor for the label", user("bob", scope=OTHER), SHARED, NONE),
    ("and no other kind of thing of the same id", user("alice", scope=ONE), POOL, NONE),
    ("a list gives nothing by itself", user("bob", scope=ONE), MINE, NONE),
    ("both bind at once", user("alice", scope=replace(ONE, ceiling=WRITE)), MINE, WRITE),
]  # fmt: skip


@pytest.mark.parametrize(("actor", "thing", "level"), [pytest.param(*case, id=words) for words, *case in NARROWED])
def test_a_narrowed_token_gives_at_most_what_it_says(actor: Actor, thing: Thing, level: Level) -> None:
    assert GATE.level(actor, thing) is level


ACTORS = [actor for _, actor, _, _ in (*RESOLUTION, *NARROWED)]
THINGS = [thing for _, _, thing, _ in RESOLUTION]


def test_every_permission_has_a_level() -> None:
    assert set(NEEDS) == set(Permission)


@pytest.mark.parametrize("permission", list(Permission))
def test_allows_and_require_agree_with_the_level(permission: Permission) -> None:
    for actor in ACTORS:
        for thing in THINGS:
            level = GATE.level(actor, thing)
            outcome: type[Exception] | None = None
            try:
                GATE.require(actor, permission, thing)
            except (Forbidden, NotFound) as error:
                outcome = type(error)
            expected = None if level >= NEEDS[permission] else NotFound if level is NONE else Forbidden
            assert (outcome, GATE.allows(actor, permission, thing)) == (expected, expected is None)


def engine(*sharing: str, own: str = "ws-9", with_all: bool = False) -> Actor:
    """terraform itself, in a run of the workspace `own`; under the owner's id, which shall mean nothing."""
    rights = EngineRights(own, frozenset(sharing), reads_shared_with_all=with_all)
    return Actor(ActorKind.PHASE, "user-alice", "the engine", platform=frozenset({PLATFORM_ADMIN}), engine=rights)


@dataclass
class Global(Thing):
    """A workspace that shares its state with all or none."""

    global_remote_state: bool = True


ENGINES: list[tuple[str, Actor, Thing, bool]] = [
    ("of its own workspace", engine(own="ws-1"), MINE, True),
    ("of one that lists it", engine("ws-1", "ws-2"), MINE, True),
    ("of no other", engine("ws-2"), MINE, False),
    ("not for the label everybody reads by", engine(), SHARED, False),
    ("of one that shares with all", engine(with_all=True), Global(), True),
    ("unless its configuration is not trusted", engine(), Global(), False),
    ("not where none is shared", engine(with_all=True), Global(global_remote_state=False), False),
    ("of no other kind of thing with that id", engine("ws-1", own="ws-1"), POOL, False),
]  # fmt: skip


@pytest.mark.parametrize("permission", list(Permission))
@pytest.mark.parametrize(("actor", "thing", "reads"), [pytest.param(*case, id=words) for words, *case in ENGINES])
def test_the_engine_of_a_run_reads_state_and_does_nothing_else(actor: Actor, thing: Thing, reads: bool, permission: Permission) -> None:
    state = {"workspace:read", "state:read", "state:download", "output:read-sensitive"}
    may = reads and str(permission) in state
    assert GATE.allows(actor, permission, thing) is may
    assert GATE.level(actor, thing) is NONE
    if may:
        GATE.require(actor, permission, thing)
    else:
        with pytest.raises(NotFound):
            GATE.require(actor, permission, thing)


READER, OWNER, NOBODY = user("bob", role("read", "net")), user("alice"), user("carol", role("admin", "net", deny=("net",)))
REGISTRY_READS: list[tuple[str, tuple[Actor, ...], bool]] = [
    ("what the one who answers for the run may read", (READER,), True),
    ("and no more, where that one may do all", (OWNER,), True),
    ("what each of several may read", (READER, OWNER), True),
    ("and nothing that one of them may not", (OWNER, NOBODY), False),
    ("nothing when nobody answers for it", (), False),
]  # fmt: skip


@pytest.mark.parametrize("permission", list(Permission))
@pytest.mark.parametrize(("answering", "reads"), [pytest.param(*case, id=words) for words, *case in REGISTRY_READS])
def test_the_engine_of_a_run_reads_of_the_registry(answering: tuple[Actor, ...], reads: bool, permission: Permission) -> None:
    actor = Actor(ActorKind.PHASE, "plan-1", "the engine", engine=EngineRights("ws-1", answering=answering))
    assert GATE.allows(actor, permission, MODULE) is (reads and permission is Permission.REGISTRY_READ)


def test_what_may_not_be_read_is_not_found_and_counts_as_a_refusal() -> None:
    with pytest.raises(NotFound) as caught:
        GATE.require(user("bob"), Permission.RUN_APPLY, MINE)
    assert caught.value.refusal


def test_what_may_be_read_but_not_done_is_forbidden_and_names_both_levels() -> None:
    with pytest.raises(Forbidden, match="needs the level write on this workspace; you have plan"):
        GATE.require(user("bob", role("plan", "net")), Permission.RUN_APPLY, MINE)


@pytest.mark.parametrize(
    ("actor", "admin", "audit"),
    [
        (SYSTEM, True, True),
        (user("bob", PLATFORM_ADMIN), True, True),
        (user("bob", AUDIT), False, True),
        (user("bob", role("admin", "*")), False, False),
        (PHASE, False, False),
        (user("bob", PLATFORM_ADMIN, scope=Scope(ADMIN)), False, True),
        (user("bob", PLATFORM_ADMIN, scope=ONE), False, False),
        (user("bob", AUDIT, scope=ONE), False, False),
    ],
)
def test_what_is_asked_of_platform_roles(actor: Actor, admin: bool, audit: bool) -> None:
    for wanted, passes in ((PLATFORM_ADMIN, admin), (AUDIT, audit)):
        if passes:
            GATE.require_platform(actor, wanted, to="try")
            continue
        with pytest.raises(Forbidden, match="may (not )?try|may try"):
            GATE.require_platform(actor, wanted, to="try")


def test_a_narrowed_token_is_told_that_it_is_one() -> None:
    with pytest.raises(Forbidden, match="this token is narrowed") as caught:
        GATE.require_platform(user("bob", PLATFORM_ADMIN, scope=READ_ONLY), PLATFORM_ADMIN, to="try")
    assert caught.value.code == "token_scope"
    with pytest.raises(Forbidden, match="this token is narrowed"):
        GATE.require_unscoped(user("alice", scope=READ_ONLY), to="try")
    GATE.require_unscoped(user("alice"), to="try")
