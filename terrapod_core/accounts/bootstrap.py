"""The first admin, as the settings say. Applied at each start; applying it again changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Select, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from terrapod_core import ids
from terrapod_core.accounts.authentication import Authentication
from terrapod_core.accounts.models import LOCAL, APIToken, TokenOrigin, User
from terrapod_core.accounts.password_changes import PasswordChanges
from terrapod_core.accounts.platform_roles import grant
from terrapod_core.accounts.texts import LONGEST, SESSION_PREFIX, Pepper, secret
from terrapod_core.accounts.tokens import revoke_tree
from terrapod_core.accounts.users import add_local_user
from terrapod_core.audit import record
from terrapod_core.authz import SYSTEM, PlatformRole
from terrapod_core.authz.emails import checked_email, email_key
from terrapod_core.authz.locking import Lock, exclusive
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.errors import Conflict, Invalid
from terrapod_core.secrets import Keyring
from terrapod_core.settings import Bootstrap, SettingsError

DEFAULT_EMAIL: Final = "admin@localhost"
SHORTEST_TOKEN: Final = 32


@dataclass(frozen=True)
class FirstAdmin:
    """The admin that the settings, or the lack of any user, ask for."""

    email: str
    created: bool
    password: str | None = field(repr=False)
    """Made here and to be shown once; `None` when the settings gave it, or the admin was there already."""


class FirstStart:
    """Sees to it that somebody may do everything."""

    def __init__(self, db: Database, keyring: Keyring, passwords: PasswordChanges, authentication: Authentication) -> None:
        self._db = db
        self._pepper = Pepper(keyring)
        self._passwords = passwords
        self._authentication = authentication

    async def apply(self, settings: Bootstrap) -> FirstAdmin | None:
        """Make the admin when missing, give them the role and the token; `None` when nobody is asked for.

        Without an address it makes `admin@localhost` while there is no user at all. An existing admin's password stays theirs.
        Raises `SettingsError` for a password that is too weak or a token that cannot be one.
        """
        check_token(settings.admin_token)
        email = checked_email(settings.admin_email or DEFAULT_EMAIL)
        exists, anybody = await self._db.read(lambda session: _look(session, email))
        if not exists and anybody and settings.admin_email is None:
            return None
        generated = None if exists or settings.admin_password is not None else secret()
        hashed = None if exists else await self._hashed(settings.admin_password or generated or "", email, chosen=generated is None)
        try:
            created = await self._write(email, hashed, settings.admin_token)
        except IntegrityError:
            # Another replica started at the same moment and was first.
            created = await self._again(email, settings.admin_token)
        self._authentication.forget()
        return FirstAdmin(email, created, generated if created else None)

    async def _again(self, email: str, token: str | None) -> bool:
        try:
            return await self._write(email, None, token)
        except IntegrityError:
            raise SettingsError(
                f"bootstrap.admin_email cannot be {email}: another user is called that; give another address, or rename the user"
            ) from None

    async def _hashed(self, password: str, email: str, *, chosen: bool) -> str:
        try:
            return await self._passwords.hashed(password, known=(email,))
        except Invalid as refusal:
            raise SettingsError(f"bootstrap.admin_password cannot be used: {refusal.detail}") from None
        except Conflict as missing:
            where = "bootstrap.admin_password" if chosen else "the first admin"
            raise SettingsError(f"{where} needs passwords: {missing.detail}") from None

    async def _write(self, email: str, password_hash: str | None, token: str | None) -> bool:
        async with self._db.uow() as uow:
            await exclusive(uow, Lock.ASSIGNMENTS)
            user = (await uow.session.execute(_local(email))).scalar_one_or_none()
            created = user is None
            if user is None:
                user = await add_local_user(uow, email, None, password_hash)
                record(uow, SYSTEM, "user.create", "users", user.id, email=email)
            await grant(uow, SYSTEM, user, PlatformRole.ADMIN)
            if token is not None:
                await self._give_token(uow, user, token)
            await uow.commit()
        return created

    async def _give_token(self, uow: UnitOfWork, user: User, text: str) -> None:
        """Let the settings' token be the only one of its origin; one that somebody revoked stays revoked."""
        known = (await uow.session.execute(select(APIToken).where(APIToken.hash.in_(self._pepper.candidates(text))))).scalar_one_or_none()
        stale = select(APIToken.id).where(APIToken.origin == TokenOrigin.BOOTSTRAP.value, APIToken.revoked_at.is_(None))
        for token_id in (await uow.session.execute(stale.where(APIToken.id != (known.id if known else "")).with_for_update())).scalars():
            await revoke_tree(uow, token_id)
        if known is not None:
            if known.origin == TokenOrigin.BOOTSTRAP.value and known.user_id != user.id:
                known.user_id = user.id  # the settings name another admin now
                record(uow, SYSTEM, "authentication-token.move", "authentication-tokens", known.id, user=user.id)
            return
        token_id = ids.new("at")
        uow.add(
            APIToken(
                id=token_id,
                user_id=user.id,
                hash=(digest := self._pepper.digest(text)),
                hash_key=digest.key_id,
                description="bootstrap.admin_token",
                origin=TokenOrigin.BOOTSTRAP.value,
                created_at=uow.now(),
            )
        )
        record(
            uow, SYSTEM, "authentication-token.create", "authentication-tokens", token_id, user=user.id, origin=TokenOrigin.BOOTSTRAP.value
        )
        await uow.flush()


def check_token(text: str | None) -> None:
    """`SettingsError` for a fixed token that could not be told from others, or guessed."""
    if text is None:
        return
    if not SHORTEST_TOKEN <= len(text) <= LONGEST:
        raise SettingsError(f"bootstrap.admin_token must have {SHORTEST_TOKEN} to {LONGEST} characters")
    if text.startswith((SESSION_PREFIX, "terrapod-phase-")):
        raise SettingsError("bootstrap.admin_token begins like a token that the server makes itself; choose another")


def _local(email: str) -> Select[User]:
    return select(User).where(User.email_key == email_key(email), User.provider == LOCAL)


def _look(session: Session, email: str) -> tuple[bool, bool]:
    """Whether this local user exists, and whether anybody does."""
    exists = session.execute(_local(email)).first() is not None
    return exists, session.execute(select(func.count()).select_from(User)).scalar_one() > 0
