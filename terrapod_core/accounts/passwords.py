"""The door through which a password plugin reaches the hashes it made."""

from __future__ import annotations

from sqlalchemy import select, update

from terrapod_core.accounts.models import LOCAL, User
from terrapod_core.authz.emails import email_key
from terrapod_core.db import Database
from terrapod_core.plugin.auth import StoredPassword


class UserPasswords:
    """`PasswordStore` over the table of users."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def find(self, email: str) -> StoredPassword | None:
        """The password of the local user with this address; `None` when there is no such user, or no password."""
        query = select(User.id, User.email, User.username, User.password_hash)
        query = query.where(User.email_key == email_key(email), User.provider == LOCAL, User.password_hash.is_not(None))
        row = await self._db.read(lambda session: session.execute(query).one_or_none())
        return StoredPassword(row[0], row[1], row[2], row[3] or "") if row else None

    async def save(self, user_id: str, new_hash: str) -> None:
        """Replace a user's hash; `KeyError` when the user is gone."""
        async with self._db.uow() as uow:
            saved = await uow.session.execute(update(User).where(User.id == user_id).values(password_hash=new_hash).returning(User.id))
            if saved.first() is None:
                raise KeyError(user_id)
            await uow.commit()
