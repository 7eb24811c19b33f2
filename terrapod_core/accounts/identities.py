"""From an identity that a provider vouches for to a user of this server, and to the roles that wait for them.

A user is (provider, issuer, subject), and nothing else makes two sign-ins one person: neither an equal address nor an equal
name. Roles that an admin gave to an address bind to the first who shows it verified, and to nobody after.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog
from sqlalchemy import delete, select, update

from terrapod_core import ids
from terrapod_core.accounts.models import LOCAL, User
from terrapod_core.accounts.reserved import is_of_the_server, reserved_among
from terrapod_core.accounts.users import USERNAME_LENGTH
from terrapod_core.audit import record
from terrapod_core.audit.refusals import ANONYMOUS
from terrapod_core.authz import BUILT_IN, Actor, ClaimedRole, Role, RoleAssignment
from terrapod_core.authz.emails import email_key
from terrapod_core.authz.locking import Lock, exclusive
from terrapod_core.db import UnitOfWork
from terrapod_core.plugin.auth import Identity, LoginRefused
from terrapod_core.settings import Auth

log = structlog.get_logger("terrapod.accounts")


class AddressTaken(LoginRefused):
    """The roles given to this address belong to another user already."""

    def __init__(self, detail: Mapping[str, Any]) -> None:
        super().__init__("the roles of this e-mail address belong to another account; ask an administrator of this server")
        self.detail = dict(detail)
        """Both accounts, for the audit: ids, issuers and subjects."""


async def welcomed(uow: UnitOfWork, provider: str, identity: Identity, settings: Auth) -> User:
    """The user this identity is, made at the first sign-in, with the roles that wait for them.

    Raises `LoginRefused` for a disabled user, for a newcomer whom nothing was assigned to where that is asked for, and
    `AddressTaken`; the caller's transaction is then given up.
    """
    # Roles that are given to the address at this moment are seen here, or see the user that is made here.
    await exclusive(uow, Lock.ASSIGNMENTS)
    user = await _known(uow, provider, identity)
    is_new = user is None
    if user is None:
        user = await _newcomer(uow, provider, identity)
    elif user.disabled_at is not None:
        raise LoginRefused("this account is disabled; ask an administrator of this server")
    bound = await bind_assignments(uow, user, is_new=is_new)
    claimed = await claim_roles(uow, user, identity.groups, settings.role_mapping.get(provider, {}))
    if is_new and settings.allow_new_users == "assigned" and not bound and not claimed:
        raise LoginRefused("nothing on this server was given to this account yet; ask an administrator of it")
    user.last_seen_at = uow.now()
    return user


async def bind_assignments(uow: UnitOfWork, user: User, *, is_new: bool = False) -> Sequence[str]:
    """Give the user the roles that wait for their address, when it is verified; names of the roles that were bound now.

    Raises `AddressTaken` when roles of the address are another user's. The update decides between two who come at once.
    """
    same = (RoleAssignment.provider == user.provider, RoleAssignment.email_key == user.email_key)
    bound: Sequence[str] = ()
    if user.email_verified:
        waiting = update(RoleAssignment).where(*same, RoleAssignment.user_id.is_(None)).values(user_id=user.id)
        bound = sorted((await uow.session.execute(waiting.returning(RoleAssignment.role))).scalars())
    others = select(User).join(RoleAssignment, RoleAssignment.user_id == User.id).where(*same, User.id != user.id).limit(1)
    other = (await uow.session.execute(others)).scalar_one_or_none()
    if other is not None:
        theirs = {"refused-user": None if is_new else user.id, "refused-issuer": user.issuer, "refused-subject": user.subject}
        raise AddressTaken(
            {"email": user.email, "user": other.id, "issuer": other.issuer, "subject": other.subject, **theirs},
        )
    if bound:
        record(uow, _actor(user), "role-assignment.bind", "users", user.id, email=user.email, roles=list(bound))
    return bound


async def claim_roles(uow: UnitOfWork, user: User, groups: frozenset[str], mapping: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """Let the roles that this sign-in's groups are mapped to take the place of those of the last one; their names.

    Names of no role are left out and told to the operator in the log. Groups of local users do not exist.
    """
    if user.is_local:
        return frozenset()
    wanted = {role for group in groups for role in mapping.get(group, ())}
    custom = (await uow.session.execute(select(Role.name).where(Role.name.in_(wanted)))).scalars() if wanted else ()
    claimed = frozenset(wanted & BUILT_IN) | frozenset(custom)
    if wanted - claimed:
        log.warning("groups are mapped to roles that do not exist", provider=user.provider, roles=sorted(wanted - claimed))
    before = frozenset((await uow.session.execute(select(ClaimedRole.role).where(ClaimedRole.user_id == user.id))).scalars())
    if before - claimed:
        gone = (ClaimedRole.user_id == user.id, ClaimedRole.role.in_(before - claimed))
        await uow.session.execute(delete(ClaimedRole).where(*gone))
    for role in claimed - before:
        uow.add(ClaimedRole(user_id=user.id, role=role))
    if claimed != before:
        record(uow, _actor(user), "user.claim-roles", "users", user.id, roles=sorted(claimed), before=sorted(before))
    user.roles_claimed_at = uow.now()
    await uow.flush()
    return claimed


async def _known(uow: UnitOfWork, provider: str, identity: Identity) -> User | None:
    """The user of an earlier sign-in, with the address they have now. Whoever disables them waits, or was first."""
    query = select(User).where(User.provider == provider, User.issuer == identity.issuer, User.subject == identity.subject)
    user = (await uow.session.execute(query.with_for_update())).scalar_one_or_none()
    if user is None or user.is_local or (user.email, user.email_verified) == (identity.email, identity.email_verified):
        return user
    was = {"email": user.email, "verified": user.email_verified}
    user.email, user.email_key = identity.email, email_key(identity.email)
    user.email_verified = identity.email_verified
    record(uow, _actor(user), "user.update", "users", user.id, email=user.email, verified=user.email_verified, was=was)
    await uow.flush()
    return user


async def _newcomer(uow: UnitOfWork, provider: str, identity: Identity) -> User:
    if provider == LOCAL:
        # Local users are made by admins; this one was deleted while the password was being checked.
        raise LoginRefused("the e-mail address or the password is wrong")
    user = User(
        id=ids.new("user"),
        username=await _free_name(uow, _proposed_name(identity), provider),
        email=identity.email,
        email_key=email_key(identity.email),
        email_verified=identity.email_verified,
        provider=provider,
        issuer=identity.issuer,
        subject=identity.subject,
        created_at=uow.now(),
    )
    uow.add(user)
    await uow.flush()
    record(uow, _actor(user), "user.create", "users", user.id, provider=provider, email=identity.email)
    return user


def _proposed_name(identity: Identity) -> str:
    """What the provider calls them, unless that looks like an address of somebody else: people choose such names themselves."""
    name = identity.username or identity.email
    return identity.email if "@" in name and email_key(name) != email_key(identity.email) else name


async def _free_name(uow: UnitOfWork, wanted: str, provider: str) -> str:
    """The proposed name, or one that tells its bearer from the one who has it, or from a service account that had it."""
    wanted = wanted[: USERNAME_LENGTH - 32].strip() or "user"
    for name in (wanted, f"{wanted} ({provider[:24]})", f"{wanted} ({ids.new('user')[-6:]})"):
        taken = (await uow.session.execute(select(User.id).where(User.username == name))).first() is not None
        if not taken and not is_of_the_server(name) and not await reserved_among(uow, [name]):
            return name
    return ids.new("user")


def _actor(user: User) -> Actor:
    return replace(ANONYMOUS, id=user.id, name=user.username)
