"""The server's own key: made when a version is first signed with it, kept sealed, and never another.

It vouches that these are the bytes that were uploaded here. Who made them it does not know.
"""

from __future__ import annotations

import asyncio
from typing import Final

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from terrapod_core.db import Database
from terrapod_core.packages import openpgp
from terrapod_core.registry.providers.models import SERVER_KEY, ProviderSigningKey
from terrapod_core.secrets import Keyring

ROW: Final = "server"
USER: Final = "Terrapod, for providers that their publishers do not sign"


class ServerKey:
    """Signs sums."""

    def __init__(self, db: Database, keyring: Keyring) -> None:
        self._db = db
        self._keyring = keyring

    async def sign(self, sums: bytes) -> tuple[bytes, str]:
        """The signature, and the id of the key. May take seconds the first time; the event loop goes on meanwhile."""
        key = await self._db.read(own) or await self._make()
        secret = self._keyring.open(key.secret, column=SERVER_KEY, row=key.id)
        return await asyncio.to_thread(openpgp.sign, sums, secret), key.key_id

    async def _make(self) -> ProviderSigningKey:
        made = await asyncio.to_thread(openpgp.new_key, USER)
        try:
            async with self._db.uow() as uow:
                sealed = self._keyring.seal(made.secret, column=SERVER_KEY, row=ROW)
                key = ProviderSigningKey(id=ROW, key_id=made.key_id, ascii_armor=made.armor, secret=sealed, created_at=uow.now())
                uow.add(key)
                await uow.flush()
                await uow.commit()
        except IntegrityError:
            found = await self._db.read(own)  # another process was quicker, and what it made is the key
            assert found is not None
            return found
        return key


def own(session: Session) -> ProviderSigningKey | None:
    """The server's key, if there is one already."""
    return session.execute(select(ProviderSigningKey).where(ProviderSigningKey.id == ROW)).scalar_one_or_none()
