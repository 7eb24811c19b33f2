"""Users as holders of roles. The room of roles does not know this one; `app` hands it over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from terrapod_core.accounts.authentication import Authentication
from terrapod_core.accounts.models import LOCAL, SERVICE, User
from terrapod_core.accounts.platform_roles import keep_an_admin
from terrapod_core.db import UnitOfWork


class Holders:
    """What is asked about users when roles are assigned."""

    def __init__(self, providers: Iterable[str], authentication: Authentication) -> None:
        """`providers` are the names of those that are in use."""
        self._providers = frozenset(providers)
        self._authentication = authentication

    def providers(self, session: Session) -> frozenset[str]:
        """Names of the providers that users have or may have, those of users of a provider that is switched off included."""
        return self._providers | {LOCAL, SERVICE} | set(session.execute(select(User.provider).distinct()).scalars())

    def with_address(self, session: Session, provider: str | None, email_key: str) -> Sequence[User]:
        """The users of a provider, or of any, who have this address now, verified or not, by id."""
        query = select(User).where(User.email_key == email_key).order_by(User.id)
        return session.execute(query if provider is None else query.where(User.provider == provider)).scalars().all()

    def by_id(self, session: Session, user_ids: Sequence[str]) -> Mapping[str, User]:
        """Those of the users who are there."""
        return {user.id: user for user in session.execute(select(User).where(User.id.in_(user_ids))).scalars()}

    async def keep_an_admin(self, uow: UnitOfWork, user_id: str) -> None:
        """Raise `Conflict` when nobody who can sign in would be platform admin without this user; hold that until the commit."""
        user = await uow.session.get(User, user_id)
        if user is not None:
            await keep_an_admin(uow, user, self._providers)

    def forget(self) -> None:
        """Resolve everybody's roles anew at their next request to this process."""
        self._authentication.forget()
