"""Whether the keys given are those of this database, and how every server learns of a new one before anybody seals under it.

A key that the database has not met is registered with the moment from which it seals, `SETTLE` later. Every server looks at
its source every `LOOK_SECONDS`, so at that moment all know the key, and all begin at once: no session, no link and no sealed
value that one server makes is ever strange to another. Should a server have missed it (its source did not answer), sealed
values still make it look again; see `Keyring`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy import delete, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from terrapod_core.db import Database
from terrapod_core.errors import Unavailable
from terrapod_core.plugin import KeyringError
from terrapod_core.secrets.keyring import Keyring
from terrapod_core.secrets.models import Instance, KeyCheck
from terrapod_core.secrets.providers import SettingsKeys

LOOK_SECONDS: Final = 30.0
SETTLE: Final = timedelta(seconds=45)
"""Longer than from one look to the end of the next."""
NOTED: Final = timedelta(minutes=10)

Needed = Callable[[Collection[str]], Awaitable[Mapping[str, Sequence[str]]]]
"""Which keys, but for those named, something still needs, and what: `{"k1": ["12 values of variables.value", …]}`."""

log = structlog.get_logger("terrapod.secrets")


class KeyWatch:
    """Watches over the keys of one process."""

    def __init__(self, db: Database, keyring: Keyring, stored: Needed, hashed: Needed, *, settle: timedelta = SETTLE) -> None:
        """`stored` tells of sealed values and objects, `hashed` of live tokens and sessions."""
        self._db = db
        self._keyring = keyring
        self._stored = stored
        self._hashed = hashed
        self._settle = settle
        self._task: asyncio.Task[None] | None = None
        self._warned: set[str] = set()

    async def check(self) -> None:
        """Before anything else is done with the database: raise `KeyringError` when the keys given are not the ones it needs."""
        if self._is_new:  # somebody else may have written the file meanwhile
            await asyncio.to_thread(self._keyring.reload)
        known = await self._known()
        self._refuse_wrong(known)
        gone = sorted(set(known) - set(self._keyring.given))
        # A database without any check was written by a version that made none: what it needs is asked of the data itself.
        if gone or not known:
            await self._refuse_missing(gone, strange=known.keys().isdisjoint(self._keyring.given))
        await self._register(known)

    async def look(self) -> None:
        """Read the source again where it can be, register what is new, and seal under what has settled. Raises `KeyringError`."""
        known = await self._known()
        self._keyring.expect({key_id: check.fingerprint for key_id, check in known.items()})
        if self._keyring.provider.live:
            before = set(self._keyring.given)
            await asyncio.to_thread(self._keyring.reload)
            if fresh := sorted(set(self._keyring.given) - before):
                log.info("new keys are known", keys=fresh)
        self._refuse_wrong(known)
        known = await self._register(known)
        self._warn(sorted(set(known) - set(self._keyring.given)))

    async def settle_now(self, key_id: str) -> None:
        """Let a key seal from now on: only for one who knows that no server runs."""
        async with self._db.uow() as uow:
            await uow.session.execute(update(KeyCheck).where(KeyCheck.key_id == key_id).values(settles_at=uow.now()))
            await uow.commit()
        await self.look()

    async def registered(self, key_id: str) -> KeyCheck:
        """What is known of a key that is given, after a look."""
        return (await self._known())[key_id]

    async def forget(self, key_ids: Collection[str]) -> None:
        """Strike keys out that nothing needs any more."""
        async with self._db.uow() as uow:
            await uow.session.execute(delete(KeyCheck).where(KeyCheck.key_id.in_(key_ids)))
            await uow.commit()

    def start(self) -> None:
        """Look every 30 s from now on."""
        self._task = asyncio.create_task(self._loop(), name="keys")

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _loop(self) -> None:
        while True:
            try:
                await self.look()
            except KeyringError as error:
                log.error("the keys could not be looked at; those in force stay", error=str(error))
            except Unavailable as error:
                log.warning("the look at the keys waits for the database", error=error.detail)
            except Exception:
                log.exception("the look at the keys failed and is tried again")
            await asyncio.sleep(LOOK_SECONDS)

    async def _known(self) -> dict[str, KeyCheck]:
        rows, self._keyring.epoch = await self._db.read(_known)
        return {row.key_id: row for row in rows}

    def _refuse_wrong(self, known: Mapping[str, KeyCheck]) -> None:
        wrong = [each for each in self._keyring.given if each in known and known[each].fingerprint != self._keyring.fingerprint(each)]
        if wrong:
            which = f"The key {wrong[0]!r}" if len(wrong) == 1 else f"Each of the keys {', '.join(map(repr, wrong))}"
            raise KeyringError(
                f"{which} given in {self._keyring.provider.where} is not the key of that id that sealed this "
                "database: with it nothing could be read. Give the right key there, from the copy that is kept apart from the data; "
                "if the key is meant to be a new one, give it an id of its own and put it before the old one."
            )

    @property
    def _is_new(self) -> bool:
        """Whether the key was made by this process just now, and is nowhere but in its memory."""
        provider = self._keyring.provider
        return isinstance(provider, SettingsKeys) and provider.pending

    async def _refuse_missing(self, gone: Sequence[str], *, strange: bool) -> None:
        """Look for what needs a key that is not given. With none but `strange` ones given, tokens and sessions are enough to refuse:
        somebody who takes an old key away knows the new one, and somebody with the wrong keys knows none.
        """
        if gone:
            log.warning("keys that this database knows are not given; looking whether anything needs them", keys=list(gone))
        stored, hashed = await self._stored(self._keyring.given), await self._hashed(self._keyring.given)
        if stored or (strange and hashed):
            needed = {key_id: [*stored.get(key_id, ()), *hashed.get(key_id, ())] for key_id in sorted({*stored, *hashed})}
            raise KeyringError(f"Stored secrets need keys that are not given: {_told(needed)}. {self._remedy()}")
        if hashed:
            log.warning("tokens and sessions rest on keys that are not given, and are refused", needed=_told(hashed))
        await self.forget([key_id for key_id in gone if key_id not in hashed])

    def _remedy(self) -> str:
        where = self._keyring.provider.where
        if self._is_new:
            return f"They are kept in {where}, which is not there: put it back, from the copy that is kept apart from the data."
        return (
            f"The keys are given in {where}, which has {', '.join(self._keyring.given)}. Add the missing ones there, after the newest one."
        )

    async def _keep_own(self) -> None:
        provider = self._keyring.provider
        if isinstance(provider, SettingsKeys) and provider.pending:
            await asyncio.to_thread(provider.keep)
            await asyncio.to_thread(self._keyring.reload)

    async def _register(self, known: Mapping[str, KeyCheck]) -> dict[str, KeyCheck]:
        """Write down the keys that are new, and that the newest is in use."""
        await self._keep_own()
        fresh = [key_id for key_id in self._keyring.given if key_id not in known]
        if fresh:
            now = self._db.clock.now()
            settles = now + self._settle if known else now
            try:
                async with self._db.uow() as uow:
                    uow.add(*(self._check_of(key_id, now, settles) for key_id in fresh))
                    await uow.commit()
            except IntegrityError:
                log.info("another server registered the same keys", keys=fresh)
            known = await self._known()
            self._refuse_wrong(known)
        self._keyring.expect({key_id: check.fingerprint for key_id, check in known.items()})
        self._keyring.settle({key_id: check.settles_at for key_id, check in known.items()})
        await self._note_newest(known)
        return dict(known)

    def _check_of(self, key_id: str, now: object, settles: object) -> KeyCheck:
        return KeyCheck(key_id=key_id, fingerprint=self._keyring.fingerprint(key_id), registered_at=now, settles_at=settles)

    async def _note_newest(self, known: Mapping[str, KeyCheck]) -> None:
        newest, now = self._keyring.newest, self._db.clock.now()
        said = known[newest].newest_at if newest in known else now
        if said is not None and said > now - NOTED:
            return
        async with self._db.uow() as uow:
            stale = or_(KeyCheck.newest_at.is_(None), KeyCheck.newest_at <= now - NOTED)
            await uow.session.execute(update(KeyCheck).where(KeyCheck.key_id == newest, stale).values(newest_at=now))
            await uow.commit()

    def _warn(self, missing: Sequence[str]) -> None:
        """Say once that another server has a key that this one was not given."""
        for key_id in set(missing) - self._warned:
            log.warning("another server was given a key that is missing here: add it", key=key_id, where=self._keyring.provider.where)
        self._warned = set(missing)


def _known(session: Session) -> tuple[Sequence[KeyCheck], str]:
    """The keys this database has met, and its epoch."""
    return session.execute(select(KeyCheck)).scalars().all(), session.execute(select(Instance.epoch)).scalar_one()


def _told(needed: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(f"{key_id!r} ({', '.join(what)})" for key_id, what in sorted(needed.items()))
