"""What is the same for every kind of registry item: names, who may make one, deprecated and revoked versions."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from terrapod_core.authz import SYSTEM, Actor, ActorKind, Authorizer, Level, PlatformRole, Rule, Scope, Selector, role_set
from terrapod_core.authz.rules import levels_of
from terrapod_core.errors import Forbidden, Gone, Invalid, InvalidTransition, Problems
from terrapod_core.registry import lifecycle
from terrapod_core.registry.lifecycle import Deprecation, Revocation, UpdateVersion
from terrapod_core.registry.models import Item, Version, VersionStatus
from terrapod_core.registry.names import namespace_of, registry_name
from terrapod_core.registry.publishing import check_new_name, check_release, holds_back

GATE = Authorizer()
NOW = datetime(2026, 11, 29, 8, 0, tzinfo=UTC)
ROOT = Actor(ActorKind.USER, "user-root", "root", platform=frozenset({PlatformRole.ADMIN}))


def bob(level: str, *names: str, deny: tuple[str, ...] = (), scope: Scope | None = None, **labels: str) -> Actor:
    """Holds a role with this level on the registry alone."""
    rule = Rule("net", levels_of("read", level, None), Selector.of(names, labels), Selector.of(deny, {"secret": ""}))
    return Actor(ActorKind.USER, "user-bob", "bob", roles=role_set([rule]), scope=scope)


class Thing(Item):
    """An item that is in no database."""

    address = "default/vpc/aws"

    def __init__(self, *publishers: str) -> None:
        self.publishers = list(publishers)


class Edition(Version):
    """A version that is in no database."""

    def __init__(self, status: VersionStatus = VersionStatus.PUBLISHED, *, held: bool = False) -> None:
        self.version, self.status, self.is_held, self.published_at = "1.2.0", status.value, held, None
        self.deprecation = self.revocation = None
        self.updated_at = NOW


@pytest.mark.parametrize("sent", ["private", "public", "Net", "a_b", "-a", "a-", "a--b", "a/b", "a.b", "ä", "a" * 65])
def test_a_namespace_that_terraform_or_the_paths_could_not_tell_apart_is_refused(sent: str) -> None:
    problems = Problems()
    namespace_of(sent, problems)
    with pytest.raises(Invalid) as refusal:
        problems.refuse()
    assert refusal.value.problems[0].pointer == "/data/attributes/namespace"


def test_a_namespace_is_the_organizations_unless_another_is_named() -> None:
    problems = Problems()
    assert [namespace_of(sent, problems) for sent in (None, "", "default", "team-7")] == ["default", "default", "default", "team-7"]
    for sent in (None, "", "private"):
        registry_name(sent, problems)
    problems.refuse()
    registry_name("public", problems)
    with pytest.raises(Invalid, match="registry-name must be private"):
        problems.refuse()


@pytest.mark.parametrize(
    "actor",
    [ROOT, SYSTEM, bob("admin", "vpc"), bob("admin", "v*")],
    ids=["platform admin", "the server", "admin of the name", "admin of a pattern"],
)
def test_a_name_is_given_by_who_answers_for_it(actor: Actor) -> None:
    check_new_name(GATE, actor, "vpc", {"team": "net"}, noun="module")


@pytest.mark.parametrize(
    "actor",
    [
        bob("write", "vpc"),
        bob("admin", "subnet"),
        bob("admin", "VPC"),
        bob("admin", team="net"),
        bob("admin", "*", deny=("vpc",)),
        bob("admin", "*", scope=Scope(Level.WRITE)),
        bob("admin", "*", scope=Scope(workspace_ids=frozenset({"ws-1"}))),
        replace(ROOT, scope=Scope(Level.WRITE)),
        Actor(ActorKind.PHASE, "plan-1", "an engine"),
    ],
    ids=["write", "another name", "case", "labels are chosen by the maker", "denied", "ceiling", "token of a workspace", "narrowed", "run"],
)
def test_and_by_nobody_else(actor: Actor) -> None:
    with pytest.raises(Forbidden, match="is made by a platform admin"):
        check_new_name(GATE, actor, "vpc", {"team": "net"}, noun="module")


def test_nor_with_a_label_that_a_role_of_theirs_denies() -> None:
    with pytest.raises(Forbidden):
        check_new_name(GATE, bob("admin", "*"), "vpc", {"secret": None}, noun="module")


def test_versions_of_those_who_are_no_publishers_wait_for_one_who_is() -> None:
    item, maker = Thing("user-root"), bob("write", "*")
    assert holds_back(item, maker)
    assert not holds_back(item, ROOT)
    assert holds_back(Thing(), ROOT)
    version = Edition(VersionStatus.PENDING, held=True)
    version.complete(NOW)
    assert (version.status, version.published_at) == (VersionStatus.HELD, None)
    with pytest.raises(Forbidden, match="only a publisher"):
        check_release(item, version, maker)
    check_release(item, version, ROOT)
    version.release(NOW)
    assert (version.is_published, version.published_at, version.is_held) == (True, NOW, False)
    with pytest.raises(InvalidTransition, match="is published already"):
        check_release(item, version, ROOT)
    with pytest.raises(InvalidTransition, match="waits for its upload"):
        check_release(item, Edition(VersionStatus.PENDING), ROOT)


def test_a_deprecation_keeps_its_date_while_its_words_change_and_can_be_taken_back() -> None:
    version = Edition()
    first = lifecycle.change(version, UpdateVersion(deprecation=Deprecation(reason=" old ")), NOW)
    assert first == {"deprecation": {"reason": "old", "link": None, "at": "2026-11-29T08:00:00Z"}}
    later = NOW.replace(hour=9)
    again = lifecycle.change(version, UpdateVersion(deprecation=Deprecation(reason="old", link="https://example.com/2")), later)
    assert again["deprecation"]["at"] == "2026-11-29T08:00:00Z"
    assert lifecycle.change(version, UpdateVersion(), later) == {}
    assert lifecycle.change(version, UpdateVersion(deprecation=Deprecation(deprecated_status="Undeprecated")), later) == {
        "deprecation": None
    }
    assert version.deprecation is None
    assert lifecycle.change(version, UpdateVersion(deprecation=None), later) == {}


def test_a_revoked_version_is_refused_with_the_reason_the_date_and_what_to_take_instead() -> None:
    version, item = Edition(), Thing()
    lifecycle.refuse_revoked(item, version, "1.1.0")
    lifecycle.change(version, UpdateVersion(revocation=Revocation(reason="Opens port 22.", link="https://example.com/a")), NOW)
    with pytest.raises(Gone) as refusal:
        lifecycle.refuse_revoked(item, version, "1.1.0")
    assert refusal.value.detail == (
        "version 1.2.0 of default/vpc/aws was revoked on 2026-11-29: Opens port 22 (https://example.com/a). "
        "The newest version that is not revoked is 1.1.0"
    )
    with pytest.raises(Gone, match="There is no version that is not revoked"):
        lifecycle.refuse_revoked(item, version, None)
    lifecycle.change(version, UpdateVersion(revocation=None), NOW)
    lifecycle.refuse_revoked(item, version, None)


@pytest.mark.parametrize(
    ("sent", "attribute"),
    [
        (UpdateVersion(deprecation=Deprecation()), "deprecation"),
        (UpdateVersion(deprecation=Deprecation(reason="  ")), "deprecation"),
        (UpdateVersion(deprecation=Deprecation(reason="x" * 1001)), "deprecation"),
        (UpdateVersion(deprecation=Deprecation(reason="x", deprecated_status="Old")), "deprecation"),
        (UpdateVersion(deprecation=Deprecation(reason="x", link="javascript:alert(1)")), "deprecation"),
        (UpdateVersion(deprecation=Deprecation(reason="x", link="https://")), "deprecation"),
        (UpdateVersion(deprecation=Deprecation(reason="x", link="https://[")), "deprecation"),
        (UpdateVersion(revocation=Revocation(link="https://example.com")), "revocation"),
        (UpdateVersion(revocation=Revocation(reason="x", revoked_status="Deprecated")), "revocation"),
    ],
)
def test_what_cannot_be_said_of_a_version_is_refused(sent: UpdateVersion, attribute: str) -> None:
    with pytest.raises(Invalid) as refusal:
        sent.check()
    assert refusal.value.problems[0].pointer == f"/data/attributes/{attribute}"


def test_what_nobody_can_use_yet_is_neither_deprecated_nor_revoked() -> None:
    with pytest.raises(InvalidTransition, match="delete it instead"):
        lifecycle.change(Edition(VersionStatus.HELD), UpdateVersion(revocation=Revocation(reason="x")), NOW)
