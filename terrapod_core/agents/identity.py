"""From a signed request to the listener that sent it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from terrapod_core.agents import queries
from terrapod_core.agents.authority import decoded
from terrapod_core.agents.models import Listener, ListenerCertificate, ListenerNonce
from terrapod_core.authz import Actor, ActorKind
from terrapod_core.db import Database
from terrapod_core.errors import Unauthorized
from terrapod_core.signatures import Message, NotSigned, Signature, parse

AHEAD: Final = timedelta(seconds=30)
"""How far a listener's clock may be ahead of ours; how far it may be behind, the request's own `expires` says."""


@dataclass(frozen=True)
class SignedRequest:
    """What of a request says who sent it."""

    message: Message
    signature_input: str
    """The header `Signature-Input`; empty when it was not sent, or more than once. So is the next."""
    signature: str
    digest: str
    """What `Content-Digest` must be, told from the body that came."""
    address: str | None = None


@dataclass(frozen=True)
class ListenerIdentity:
    """A listener that proved itself with this request."""

    listener_id: str
    pool_id: str
    name: str
    key_id: str = field(repr=False)
    """Serial number of the certificate that it showed."""

    @property
    def actor(self) -> Actor:
        """The listener as one who asks. It has no level on anything: what it may, its pool and its leases say."""
        return Actor(ActorKind.LISTENER, self.listener_id, self.name)


class Identities:
    """Asks who signed a request. Nothing is remembered: who is revoked is refused at once, on every server."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def authenticate(self, request: SignedRequest, *, renewing: bool = False) -> ListenerIdentity:
        """The listener whose key signed the request; it counts as heard now. A request is taken once.

        `renewing` takes an expired certificate too. Raises `Unauthorized`, whose `code` says why: `not_signed`, `digest_mismatch`,
        `certificate_unknown`, `signature_invalid`, `listener_revoked`, `listener_exited`, `clock-skew` (with the server's time in
        `meta`), `certificate_expired`, `replayed`.
        """
        signature = _signature_of(request)
        found = await self._db.read(lambda session: _look(session, signature.key_id))
        if found is None:
            raise Unauthorized("no certificate of this server has this keyid; join again with a new token", code="certificate_unknown")
        listener, certificate = found
        if not signature.is_of(decoded(listener.public_key), request.message):
            raise Unauthorized(
                f"the signature does not fit this request; it is checked for {request.message.method} at the authority "
                f"{request.message.authority} (the setting external_url)",
                code="signature_invalid",
            )
        _check_trust(listener)
        _check_time(signature, certificate, self._db.clock.now(), renewing=renewing)
        await self._take(listener, signature, request.address)
        return ListenerIdentity(listener.id, listener.pool_id, listener.name, certificate.serial)

    async def _take(self, listener: Listener, signature: Signature, address: str | None) -> None:
        """Note the nonce and that the listener was heard, in one transaction: the primary key decides who came first."""
        async with self._db.uow() as uow:
            heard = update(Listener).where(Listener.id == listener.id, Listener.revoked_at.is_(None), Listener.exited_at.is_(None))
            heard = heard.values(last_seen_at=uow.now(), ip_address=address).returning(Listener.id)
            if (await uow.session.execute(heard.execution_options(synchronize_session=False))).first() is None:
                raise Unauthorized("the listener was revoked just now", code="listener_revoked")
            uow.add(ListenerNonce(listener_id=listener.id, nonce=signature.nonce, expires_at=signature.expires))
            try:
                await uow.commit()
            except IntegrityError:
                raise Unauthorized("this request was taken already; sign each with a nonce of its own", code="replayed") from None


def _signature_of(request: SignedRequest) -> Signature:
    if not request.signature_input or not request.signature:
        raise Unauthorized("a listener signs its requests: send Signature-Input and Signature, once each", code="not_signed")
    try:
        signature = parse(request.signature_input, request.signature, request.message)
    except NotSigned as error:
        raise Unauthorized(str(error), code="not_signed") from None
    if request.message.headers["content-digest"] != request.digest:
        raise Unauthorized("Content-Digest is not the sha-256 of the body that arrived", code="digest_mismatch")
    return signature


def _look(session: Session, serial: str) -> tuple[Listener, ListenerCertificate] | None:
    return queries.by_serial(session, serial)


def _check_trust(listener: Listener) -> None:
    if listener.revoked_at is not None:
        raise Unauthorized("this listener was revoked; what runs here joins with another name and a new key", code="listener_revoked")
    if listener.exited_at is not None:
        raise Unauthorized("this listener said that it leaves; join again with a new key", code="listener_exited")


def _check_time(signature: Signature, certificate: ListenerCertificate, now: datetime, *, renewing: bool) -> None:
    if signature.created > now + AHEAD or signature.expires <= now:
        time = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        raise Unauthorized(
            f"the request is signed for another time than {time}, the server's; sign it by that clock",
            code="clock-skew",
            meta={"server-time": time},
        )
    if certificate.expires_at <= now and not renewing:
        raise Unauthorized("the certificate is expired; renew it with the same key", code="certificate_expired")
