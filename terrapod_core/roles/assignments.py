"""Who holds which roles. People are named by provider and address, also before their first sign-in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError

from terrapod_core import audit, ids
from terrapod_core.authz import BUILT_IN, EVERYONE, Actor, Authorizer, PlatformRole, RoleAssignment
from terrapod_core.authz.emails import checked_email, email_key
from terrapod_core.authz.locking import Lock, exclusive
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.errors import Conflict, Invalid, NotFound, Problem, Problems, Unavailable
from terrapod_core.jsonapi import Page, Query
from terrapod_core.roles import queries
from terrapod_core.roles.documents import MOST_HELD, SetRoles
from terrapod_core.roles.views import AssignmentView, People, Person

NAMED: Final = 20
"""How many of the known roles a refusal names."""


@dataclass(frozen=True)
class _Set:
    """The rows of one person, and who that is when somebody is known by the address."""

    provider: str
    email: str
    person: Person | None
    rows: Sequence[RoleAssignment]

    @property
    def roles(self) -> frozenset[str]:
        return frozenset(row.role for row in self.rows)


class Assignments:
    """The contract's role assignments. Platform admins change them; platform auditors see them.

    A user who shows the address verified, or is vouched for here, holds the roles at once and keeps them when the address
    changes. Without such a user they wait, and the first one binds them.
    """

    def __init__(self, db: Database, authz: Authorizer, people: People) -> None:
        self._db = db
        self._authz = authz
        self._people = people

    async def list(self, actor: Actor, query: Query) -> Page[AssignmentView]:
        """One page of people with their roles, by address."""
        self._authz.require_platform(actor, PlatformRole.AUDIT, to="list role assignments")
        return await self._db.read(lambda session: queries.assignments_page(session, self._people, query))

    async def set(self, actor: Actor, sent: SetRoles) -> AssignmentView:
        """Let the person hold exactly these roles.

        `Invalid` for an unknown role or provider; `Conflict` when the address is of several users, when its roles are somebody
        else's, and when nobody would be platform admin any more.
        """
        self._authz.require_platform(actor, PlatformRole.ADMIN, to="assign roles")
        async with self._db.uow() as uow:
            await exclusive(uow, Lock.ASSIGNMENTS)
            email = await uow.run(lambda session: self._checked(session, sent))
            found = await uow.run(lambda session: self._find(session, sent.provider_name, email))
            wanted = frozenset(sent.roles)
            await self._take(uow, found, found.roles - wanted)
            rows = await self._give(uow, found, wanted)
            view = queries.assignment(found.provider, found.email, rows, found.person)
            if wanted != found.roles:
                audit.record(
                    uow, actor, "role-assignment.set", "role-assignments", view.id,
                    old=sorted(found.roles), new=sorted(wanted), user=view.user_id,
                )  # fmt: skip
            await uow.commit()
        self._people.forget()
        return view

    async def remove(self, actor: Actor, provider: str, email: str, role: str) -> None:
        """Take one role away; `NotFound` when the person does not hold it by assignment, `Conflict` as `set` raises it."""
        self._authz.require_platform(actor, PlatformRole.ADMIN, to="take roles away")
        async with self._db.uow() as uow:
            await exclusive(uow, Lock.ASSIGNMENTS)
            found = await uow.run(lambda session: self._find(session, provider, email))
            if role not in found.roles:
                raise NotFound("there is no such role assignment")
            await self._take(uow, found, frozenset({role}))
            view = queries.assignment(found.provider, found.email, [], found.person)
            audit.record(
                uow, actor, "role-assignment.remove", "role-assignments", view.id,
                old=sorted(found.roles), new=sorted(found.roles - {role}), user=view.user_id,
            )  # fmt: skip
            await uow.commit()
        self._people.forget()

    # -- what is asked for

    def _checked(self, session: Session, sent: SetRoles) -> str:
        """The address. Raises `Invalid` with everything that is wrong; the roles stay until the transaction ends."""
        problems = Problems()
        known = self._people.providers(session)
        if sent.provider_name not in known:
            problems.add(
                f"there is no auth provider {sent.provider_name[:80]!r}; there are {', '.join(sorted(known))}", attribute="provider-name"
            )
        email = ""
        try:
            email = checked_email(sent.email)
        except Invalid as error:
            problems.found.extend(error.problems)
        problems.found.extend(_wrong_roles(session, sent.roles))
        problems.refuse()
        return email

    def _find(self, session: Session, provider: str, email: str) -> _Set:
        """The rows of the person with this address. Raises `Conflict` when it is not one person."""
        key = email_key(email)
        candidates = self._people.with_address(session, provider, key)
        held, mine = RoleAssignment, [person.id for person in candidates]
        here = (held.provider == provider) & (held.email_key == key)
        rows = session.execute(select(held).where(or_(here, held.user_id.in_(mine))).order_by(held.id)).scalars().all()
        bound = {row.user_id for row in rows if row.user_id is not None and row.email_key == key}
        persons = [person for person in candidates if person.email_verified or person.id in bound]
        if len(persons) > 1:
            raise Conflict(
                f"several users of {provider} have the address {email}: {', '.join(person.id for person in persons)}; "
                "delete all but one of them first"
            )
        person = persons[0] if persons else None
        strangers = sorted(bound - {person.id if person is not None else None})
        if strangers:
            theirs = self._people.by_id(session, strangers)
            named = ", ".join(f"{one} ({theirs[one].email})" if one in theirs else one for one in strangers)
            raise Conflict(f"roles given to {email} belong to {named}, who had that address; set theirs by the address they have now")
        own = [row for row in rows if row.user_id is None or (person is not None and row.user_id == person.id)]
        return _Set(provider, email, person, own)

    # -- changing

    async def _take(self, uow: UnitOfWork, found: _Set, roles: frozenset[str]) -> None:
        if PlatformRole.ADMIN.value in roles and found.person is not None:
            await self._people.keep_an_admin(uow, found.person.id)
        gone = [row.id for row in found.rows if row.role in roles]
        if gone:
            await uow.session.execute(
                delete(RoleAssignment).where(RoleAssignment.id.in_(gone)).execution_options(synchronize_session=False)
            )

    async def _give(self, uow: UnitOfWork, found: _Set, roles: frozenset[str]) -> Sequence[RoleAssignment]:
        """The rows of the roles, the person's from now on and under the address they have, each once."""
        person = found.person
        email, key = (person.email, person.email_key) if person is not None else (found.email, email_key(found.email))
        # Those under the present address first: a role that an older one has too is kept once.
        ordered = sorted((row for row in found.rows if row.role in roles), key=lambda row: (row.email_key != key, row.created_at))
        kept: dict[str, RoleAssignment] = {}
        for row in ordered:
            kept.setdefault(row.role, row)
        spare = [row.id for row in ordered if kept[row.role] is not row]
        if spare:
            await uow.session.execute(
                delete(RoleAssignment).where(RoleAssignment.id.in_(spare)).execution_options(synchronize_session=False)
            )
        for role in sorted(roles - kept.keys()):
            kept[role] = RoleAssignment(id=ids.new("ra"), provider=found.provider, role=role, created_at=uow.now())
            uow.add(kept[role])
        for row in kept.values():
            row.email, row.email_key = email, key
            row.user_id = person.id if person is not None else None
        try:
            await uow.flush()
        except (IntegrityError, StaleDataError):
            raise Unavailable("somebody else changes this person's roles at the moment; try again", retry_after=1) from None
        return list(kept.values())


def _wrong_roles(session: Session, names: Sequence[str]) -> list[Problem]:
    pointer = "/data/attributes/roles"
    if len(names) > MOST_HELD:
        return [Problem(f"one person may hold at most {MOST_HELD} roles, not {len(names)}", pointer)]
    custom = queries.held_still(session, names)
    found: list[Problem] = []
    known = ""
    for at, name in enumerate(names):
        if name in custom or name in BUILT_IN:
            continue
        if name == EVERYONE.name:
            found.append(Problem("everybody holds the role everyone already; it is not assigned", f"{pointer}/{at}"))
            continue
        known = known or _known(session)
        found.append(Problem(f"there is no role {name[:80]!r}; there are {known}", f"{pointer}/{at}"))
    return found


def _known(session: Session) -> str:
    names = [*sorted(BUILT_IN), *queries.role_names(session)]
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
