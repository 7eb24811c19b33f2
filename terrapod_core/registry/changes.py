"""Changing an item: its labels, its owner, its publishers; the same for every kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import delete, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from terrapod_core import audit
from terrapod_core.accounts import User
from terrapod_core.authz import SYSTEM, Actor, Authorizer, GuardKind, trust, visibility
from terrapod_core.db import Base, Database, UnitOfWork
from terrapod_core.errors import Forbidden, Invalid, Problems
from terrapod_core.jsonapi import Ref
from terrapod_core.registry.documents import UpdateItem
from terrapod_core.registry.models import Item, in_order

BATCH: Final = 500


async def label(uow: UnitOfWork, table: type[Base], item: Item, wanted: Mapping[str, str | None]) -> bool:
    """Make `wanted` the labels of the item, rows of `table` and the copy on its own row; `False` when nothing had to change."""
    if dict(wanted) == item.labels:
        return False
    columns: Any = table
    await uow.flush()  # the item's own row first, for one that is new
    await uow.session.execute(delete(table).where(columns.item_id == item.id))
    uow.add(*(table(item_id=item.id, key=key, value=value) for key, value in wanted.items()))
    item.labels = in_order(wanted)
    await uow.flush()
    return True


def labels_of(table: type[Base], item: Item) -> list[Any]:
    """The labels of an item as rows of `table`, by key."""
    return [table(item_id=item.id, key=key, value=value) for key, value in item.labels.items()]


async def update_item(
    uow: UnitOfWork, authz: Authorizer, actor: Actor, table: type[Base], item: Item, changes: UpdateItem, *, noun: str
) -> dict[str, Any]:
    """Write the changes to an item whose row is locked and whose admin the actor has; what an audit entry says of them.

    Empty when nothing changed. Raises `Invalid`, and `Forbidden` for what its owner or a platform admin alone changes.
    """
    wanted = changes.labels_or(item.labels)
    owner_id = await uow.run(lambda session: _owner(session, actor, changes.owner, item.owner_id, noun))
    publishers = await uow.run(lambda session: _publishers(session, changes, item.publishers))
    force = changes.force is True
    await uow.run(lambda session: trust.check_labels(session, authz, actor, item, wanted, force=force, noun=noun))
    of_trust = wanted != item.labels or owner_id != item.owner_id
    before = await uow.run(lambda session: trust.granted(session, item)) if of_trust else {}
    detail: dict[str, Any] = {}
    if owner_id != item.owner_id:
        item.owner_id = detail["owner_id"] = owner_id
    if publishers != item.publishers:
        detail |= {"old_publishers": item.publishers, "new_publishers": publishers}
        item.publishers = publishers
    old = item.labels
    if await label(uow, table, item, wanted):
        detail |= {"old_labels": old, "new_labels": item.labels}
    if of_trust:
        detail |= {"old_grants": before, "new_grants": await uow.run(lambda session: trust.granted(session, item))}
    if detail:
        item.updated_at = uow.now()
    return detail


async def seen(uow: UnitOfWork) -> None:
    """Note that who sees what of the registry may have changed; the last thing before a commit."""
    await visibility.changed(uow, GuardKind.REGISTRY)


async def disown(
    db: Database, item_id: InstrumentedAttribute[str], owner_id: InstrumentedAttribute[str | None], user_id: str, action: str
) -> None:
    """Leave everything of a kind that a user owned to platform admins and roles, a batch to a transaction.

    The columns are those of its items; `action` is what the audit record calls it (`registry-module.disown`).
    """
    while True:
        async with db.uow() as uow:
            some = select(item_id).where(owner_id == user_id).limit(BATCH)
            theirs = update(item_id.class_).where(item_id.in_(some)).values({owner_id: None}).returning(item_id)
            freed = (await uow.session.execute(theirs.execution_options(synchronize_session=False))).all()
            if freed:
                audit.record(uow, SYSTEM, action, "users", user_id, items=sorted(row[0] for row in freed))
                await seen(uow)
            await uow.commit()
        if len(freed) < BATCH:
            return


def _owner(session: Session, actor: Actor, sent: object, now: str | None, noun: str) -> str | None:
    """The owner's id; a platform admin gives an item to another user, nobody else."""
    if not isinstance(sent, Ref) or sent.id == now:
        return now
    if not actor.is_platform_admin:
        raise Forbidden(f"only a platform admin gives a {noun} to another owner", code="platform_role_needed")
    user = session.get(User, sent.id or "")
    if user is None or user.disabled_at is not None:
        raise Invalid("there is no such user, or the account is disabled", pointer="/data/relationships/owner")
    return user.id


def _publishers(session: Session, changes: UpdateItem, now: list[str]) -> list[str]:
    """The ids of the publishers; whoever is new among them must be there."""
    problems = Problems()
    wanted = changes.publisher_ids(problems)
    problems.refuse()
    if wanted is None:
        return now
    known = set(session.execute(select(User.id).where(User.id.in_(wanted), User.disabled_at.is_(None))).scalars())
    unknown = [each for each in wanted if each not in known and each not in now]
    if unknown:
        raise Invalid(f"there is no user {unknown[0]}, or the account is disabled", pointer="/data/relationships/publishers")
    return wanted
