"""Listeners: join, heartbeat, renew; list, show, drain, revoke, remove."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from msgspec import UNSET
from sqlalchemy import Select, delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from terrapod_core import ids
from terrapod_core.agents import authority, queries
from terrapod_core.agents.authority import RENEWED_BEFORE, Issued
from terrapod_core.agents.documents import Heartbeat, JoinListener
from terrapod_core.agents.identity import Identities, ListenerIdentity, SignedRequest
from terrapod_core.agents.models import AgentPool, Listener, ListenerCertificate, ListenerNonce, PoolAuthority, PoolToken
from terrapod_core.agents.service import Pools
from terrapod_core.agents.status import REMOVABLE, status_of
from terrapod_core.agents.tokens import PoolTokens
from terrapod_core.audit import record
from terrapod_core.authz import Actor, ActorKind, Authorizer
from terrapod_core.authz.gate import missing
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.errors import Conflict, PreconditionFailed, Unauthorized
from terrapod_core.jsonapi import Page, Query
from terrapod_core.secrets import Keyring
from terrapod_core.signatures import PublicKey

KEPT: Final = timedelta(days=7)
"""Tokens that ended, and listeners that left, are shown for so long."""

NONCES_KEPT: Final = timedelta(minutes=5)
"""Beyond their end, for servers whose clocks differ."""


class Listeners:
    """Programs that wait for runs, and go-tfe's `Agents`, which are the same."""

    def __init__(
        self, db: Database, authz: Authorizer, keyring: Keyring, pools: Pools, tokens: PoolTokens, busy: Callable[[], Select[str | None]]
    ) -> None:
        """`busy` gives the ids of the listeners that carry out runs, as a query; the runs' room knows."""
        self._db = db
        self._authz = authz
        self._keyring = keyring
        self._pools = pools
        self._tokens = tokens
        self._busy = busy
        self._identities = Identities(db)

    # -- what listeners do

    async def join(self, pool_id: str, token: str, new: JoinListener, address: str | None) -> Listener:
        """Make a listener of whoever shows a token of the pool; the returned one knows its `certificate`, `chain` and `key_id`.

        Raises `Unauthorized` for the token, `Invalid` for the document, and `Conflict` for a name or a key that another has; in
        either case the token is not used.
        """
        new.check()
        public = authority.key_of_request(new.csr)
        async with self._db.uow() as uow:
            pool = await uow.run(lambda session: queries.pool_for_update(session, pool_id))
            token_id = await self._tokens.use(uow, token, pool_id)
            assert pool is not None  # it has a token
            listener = _listener_of(new, pool, public, uow, address)
            await _insert(uow, listener)
            issued = await self._certify(uow, listener, public)
            detail = {"name": listener.name, "pool": pool_id, "token": token_id}
            record(uow, _actor_of(listener), "listener.join", "listeners", listener.id, **detail)
            await uow.commit()
        return _shown(listener, issued)

    async def authenticate(self, request: SignedRequest, listener_id: str, *, renewing: bool = False) -> ListenerIdentity:
        """The listener of this id, when it signed the request. Raises as `Identities.authenticate`, and `NotFound` for another's id."""
        identity = await self._identities.authenticate(request, renewing=renewing)
        if identity.listener_id != listener_id:
            raise missing("listener")
        return identity

    async def heartbeat(self, identity: ListenerIdentity, said: Heartbeat) -> Listener:
        """Take what the listener tells of itself, and tell it how it stands: whether it is `draining`, when to renew."""
        said.check()
        listener = await self._db.read(lambda session: queries.known(session, identity.listener_id, self._busy()))
        told = {"version": said.version, "capacity": said.capacity}
        new = {name: value for name, value in told.items() if value is not UNSET and value != getattr(listener, name, value)}
        if listener is not None and not new and said.status is UNSET:
            return listener  # as nearly always: nothing to write but that it was heard, which is written
        async with self._db.uow() as uow:
            busy = listener is not None and listener.busy
            listener = await self._own(uow, identity)
            listener.busy = busy
            for name, value in new.items():
                setattr(listener, name, value)
            if said.status is not UNSET:
                listener.exited_at = uow.now()
                record(uow, identity.actor, "listener.exit", "listeners", listener.id, name=listener.name)
            await uow.commit()
        return listener

    async def renew(self, identity: ListenerIdentity) -> Listener:
        """A new certificate over the same key, as `join` gives one. Those before the one that was shown, and expired, are forgotten."""
        async with self._db.uow() as uow:
            # The pool's row before the listener's, as whoever joins locks them.
            await uow.run(lambda session: queries.pool_for_update(session, identity.pool_id))
            listener = await self._own(uow, identity)
            shown = await uow.session.get(ListenerCertificate, identity.key_id)
            if shown is not None:
                older = (ListenerCertificate.listener_id == listener.id, ListenerCertificate.issued_at < shown.issued_at)
                await uow.session.execute(delete(ListenerCertificate).where(*older, ListenerCertificate.expires_at <= uow.now()))
            issued = await self._certify(uow, listener, authority.decoded(listener.public_key))
            record(uow, identity.actor, "listener.renew", "listeners", listener.id, name=listener.name, certificate=issued.key_id)
            await uow.commit()
        return _shown(listener, issued)

    # -- what people do

    async def list(self, actor: Actor, pool_id: str, query: Query) -> Page[Listener]:
        """One page of a pool's listeners."""
        now = self._db.clock.now()

        def look(session: Session) -> Page[Listener]:
            self._pools.readable(actor, queries.pool(session, pool_id))
            return queries.listeners(session, pool_id, query, now, self._busy())

        return await self._db.read(look)

    async def read(self, actor: Actor, listener_id: str) -> Listener:
        """The listener; `NotFound` when it is not there or the actor may not read its pool."""
        listener = await self._db.read(lambda session: queries.listener(session, self._authz, actor, listener_id, self._busy()))
        if listener is None:
            raise missing("listener")
        return listener

    async def drain(self, actor: Actor, listener_id: str, *, on: bool) -> Listener:
        """Give the listener nothing more, or (`on` false) give it runs again; for platform admins."""

        def change(uow: UnitOfWork, listener: Listener) -> None:
            if not listener.is_trusted:
                raise Conflict("the listener has left or was revoked", code="listener_exited")
            if listener.draining != on:
                listener.draining = on
                record(uow, actor, "listener.drain" if on else "listener.undrain", "listeners", listener.id, name=listener.name)

        return await self._change(actor, listener_id, change)

    async def revoke(self, actor: Actor, listener_id: str) -> Listener:
        """Believe nothing any more that is signed with the listener's key; for platform admins.

        Its name stays taken until it is removed.
        """

        def change(uow: UnitOfWork, listener: Listener) -> None:
            if listener.revoked_at is None:
                listener.revoked_at = uow.now()
                record(uow, actor, "listener.revoke", "listeners", listener.id, name=listener.name)

        return await self._change(actor, listener_id, change)

    async def remove(self, actor: Actor, listener_id: str) -> None:
        """Forget a listener, and free its name; `PreconditionFailed` while it is heard. Its key is then unknown here."""
        pool_id = (await self.read(actor, listener_id)).pool_id
        async with self._db.uow() as uow:
            await self._pools.changeable(uow, actor, pool_id)
            listener = await uow.run(lambda session: queries.listener_for_update(session, listener_id))
            if listener is None:
                raise missing("listener")
            status = status_of(listener, uow.now())
            if status not in REMOVABLE:
                raise PreconditionFailed(f"the listener {listener.name} is {status}: stop or revoke it first", code="listener_live")
            await uow.session.delete(listener)
            record(uow, actor, "listener.remove", "listeners", listener_id, name=listener.name, status=status.value)
            await uow.commit()

    async def sweep(self) -> None:
        """Forget what is over: nonces that nobody can use again, tokens that ended and listeners that left a week ago."""
        async with self._db.uow() as uow:
            now = uow.now()
            for old in (
                delete(ListenerNonce).where(ListenerNonce.expires_at <= now - NONCES_KEPT),
                delete(PoolToken).where(PoolToken.expires_at <= now - KEPT),
                delete(Listener).where(Listener.exited_at <= now - KEPT, Listener.revoked_at.is_(None)),
            ):
                await uow.session.execute(old.execution_options(synchronize_session=False))
            await uow.commit()

    async def _change(self, actor: Actor, listener_id: str, change: Callable[[UnitOfWork, Listener], None]) -> Listener:
        known = await self.read(actor, listener_id)
        async with self._db.uow() as uow:
            await self._pools.changeable(uow, actor, known.pool_id)
            listener = await uow.run(lambda session: queries.listener_for_update(session, listener_id))
            if listener is None:
                raise missing("listener")
            listener.busy = known.busy
            change(uow, listener)
            await uow.commit()
        return listener

    async def _own(self, uow: UnitOfWork, identity: ListenerIdentity) -> Listener:
        """The listener that asks, locked; it may have been revoked since it proved itself."""
        listener = await uow.run(lambda session: queries.listener_for_update(session, identity.listener_id))
        if listener is None or not listener.is_trusted:
            raise Unauthorized("the listener was revoked just now", code="listener_revoked")
        return listener

    async def _certify(self, uow: UnitOfWork, listener: Listener, public: PublicKey) -> Issued:
        """Issue a certificate; the caller locked the pool, so that one authority is made for it and not two."""
        now = uow.now()
        signer = await uow.session.get(PoolAuthority, listener.pool_id)
        if signer is None or signer.expires_at <= now + RENEWED_BEFORE:
            signer = await uow.session.merge(authority.new_authority(listener.pool_id, self._keyring, now))
        issued = authority.issue(signer, self._keyring, public, listener.id, now)
        uow.add(ListenerCertificate(serial=issued.key_id, listener_id=listener.id, issued_at=now, expires_at=issued.expires_at))
        listener.certificate_expires_at = issued.expires_at
        return issued


def _listener_of(new: JoinListener, pool: AgentPool, public: PublicKey, uow: UnitOfWork, address: str | None) -> Listener:
    now, stored = uow.now(), authority.encoded(public)
    return Listener(
        id=ids.new("agent"),
        pool_id=pool.id,
        name=new.name,
        public_key=stored,
        key_hash=authority.key_hash(stored),
        version=new.version,
        capacity=new.capacity,
        draining=False,
        ip_address=address,
        certificate_expires_at=now,
        created_at=now,
        last_seen_at=now,
    )


async def _insert(uow: UnitOfWork, listener: Listener) -> None:
    uow.add(listener)
    try:
        await uow.flush()
    except IntegrityError as error:
        if "key_hash" in str(error.orig):
            raise Conflict("this key belongs to a listener already; each makes a key of its own", code="key_taken") from error
        raise Conflict(
            f"a listener of this pool is called {listener.name}; choose another name, or let a platform admin remove it", code="name_taken"
        ) from error


def _actor_of(listener: Listener) -> Actor:
    return Actor(ActorKind.LISTENER, listener.id, listener.name)


def _shown(listener: Listener, issued: Issued) -> Listener:
    listener.certificate, listener.chain, listener.key_id = issued.certificate, issued.chain, issued.key_id
    return listener
