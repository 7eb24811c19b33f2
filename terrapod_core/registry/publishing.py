"""Who may publish what. A version of a module or provider is code in the runs of all who use it.

* A new name: a platform admin, or who holds a role with the registry permission `admin` that allows this name. Labels are no help
  there, because whoever makes a thing chooses its labels.
* A new version: the level write on the item. From somebody who is none of the item's `publishers` it is held until one of them
  releases it.
* A name, and a number that was published, stay taken when they are deleted, for everybody and for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

from sqlalchemy.orm import Session

from terrapod_core.authz import SYSTEM, Actor, Authorizer, GuardKind, Level, Permission
from terrapod_core.authz.reserved import reserve, reserved_among
from terrapod_core.db import UnitOfWork
from terrapod_core.errors import Conflict, Forbidden, InvalidTransition
from terrapod_core.packages.versions import SemanticVersion
from terrapod_core.registry.models import Item, Version, VersionStatus

ActorOf: TypeAlias = Callable[[Session, str], Actor | None]
"""A user as they are now, by their id; `None` when disabled or gone."""


@dataclass(frozen=True)
class _Unlabelled:
    """What is about to be made, as the gate sees it: nobody's, and known by its name alone."""

    guarded_as: ClassVar[GuardKind] = GuardKind.REGISTRY
    name: str
    id: str = ""
    owner_id: str | None = None
    labels: Mapping[str, str | None] = field(default_factory=dict)


def check_new_name(authz: Authorizer, actor: Actor, name: str, labels: Mapping[str, str | None], *, noun: str) -> None:
    """Pass for whoever may give this name to a new item; `Forbidden` for anybody else, and where a role of theirs denies name or labels."""
    if actor.is_platform_admin:
        return
    denied = actor.roles.denied.means(name, labels)
    if denied or actor.user_id is None or authz.level(actor, _Unlabelled(name)) < Level.ADMIN:
        raise Forbidden(
            f"the {noun} {name} is made by a platform admin, "
            "or by who holds a role with the registry permission admin that allows this name",
            code="may_not_create",
        )


def holds_back(item: Item, actor: Actor) -> bool:
    """Whether a version that the actor makes has to wait for a publisher."""
    return actor.user_id not in item.publishers


def maker(session: Session, authz: Authorizer, actor_of: ActorOf, item: Item, version: Version) -> Actor:
    """Who made the version, as they are now. An hour may have passed since: `Forbidden` when they may not publish it any more."""
    who = actor_of(session, version.created_by_id) if version.created_by_id is not None else SYSTEM
    if who is None or not authz.allows(who, Permission.REGISTRY_PUBLISH, item):
        raise Forbidden(f"{version.created_by_name}, who made this version, may not publish it any more", code="level_too_low")
    return who


def check_release(item: Item, version: Version, actor: Actor) -> None:
    """Pass when the actor may publish a version that is held; they have the level write on the item already.

    Raises `Forbidden` for who is no publisher, `InvalidTransition` when it is not held.
    """
    if actor.user_id not in item.publishers:
        raise Forbidden(
            f"only a publisher of {item.address} releases its versions; who has its admin says who they are (publishers)",
            code="publisher_needed",
        )
    if version.status != VersionStatus.HELD:
        why = "is published already" if version.is_published else "waits for its upload"
        raise InvalidTransition(f"version {version.version} of {item.address} {why}")


def burn_name(uow: UnitOfWork, kind: str, item: Item) -> None:
    """Let nobody ever have the address of this item again, which is being deleted. `kind` is that of `authz.reserved`."""
    reserve(uow, kind, item.address)


def check_name_unburnt(session: Session, kind: str, item: Item) -> None:
    """`Conflict` when something that was deleted had this address.

    Ask after the row is flushed: whoever was deleting the old one has then committed, and is seen.
    """
    if reserved_among(session, kind, [item.address]):
        raise Conflict(
            f"{item.address} was deleted, and its name is not given away again: configurations still name it; choose another name",
            code="name_burnt",
        )


def burn_number(uow: UnitOfWork, kind: str, item: Item, version: Version) -> None:
    """Let nobody ever publish this number of the item again, which is being deleted; one that nobody ever saw stays free.

    The item's row is locked by the caller, as it is in `check_number_free`. `kind` is the item's.
    """
    if version.is_published:
        reserve(uow, _of_versions(kind), f"{item.id} {version.version_order}")


def check_number_free(session: Session, kind: str, item: Item, number: SemanticVersion, there: Version | None) -> None:
    """`Conflict` for a number that the item has already (`there`), and for one that a version had that was deleted."""
    if there is not None:
        state = {
            VersionStatus.PENDING: "waits for its upload; upload to it, or delete it",
            VersionStatus.HELD: "waits for a publisher to release it",
            VersionStatus.PUBLISHED: "is published, and a published version never changes; take the next number",
        }[VersionStatus(there.status)]
        raise Conflict(f"version {there.version} of {item.address} {state}", code="version_exists")
    if reserved_among(session, _of_versions(kind), [f"{item.id} {number.order}"]):
        raise Conflict(
            f"version {number.precedence} of {item.address} was published and deleted, and its number is not given away again; "
            "take the next one",
            code="number_burnt",
        )


def _of_versions(kind: str) -> str:
    return f"{kind}-version"
