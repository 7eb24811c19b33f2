"""The first request: a join token becomes a certificate."""

from __future__ import annotations

import asyncio
import re
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from terrapod_core import __version__
from terrapod_core.listener.answers import ListenerDocument
from terrapod_core.listener.asking import JSON_API, Outage, Pause, decoded, encoded, exchange, refusal_of
from terrapod_core.listener.errors import Away
from terrapod_core.listener.state import Identity
from terrapod_core.outgoing import HTTPClients
from terrapod_core.signatures import PrivateKey

_POOL: Final = re.compile(r"terrapod-at-[A-Za-z0-9]+-(apool-[A-Za-z0-9]+)-[A-Za-z0-9]+")


class JoinRefused(Exception):
    """The server does not take this listener; the text says what a person can do."""


def pool_of(token: str) -> str | None:
    """The id of the pool that a join token carries; `None` for another text."""
    found = _POOL.fullmatch(token)
    return found[1] if found is not None else None


async def join(http: HTTPClients, url: str, pool_id: str, token: str, name: str, capacity: int, key: PrivateKey) -> Identity:
    """Join, and wait for a server that is away. Raises `JoinRefused`."""
    sent = {"name": name, "csr": _request_of(key), "version": __version__, "capacity": capacity}
    body = encoded("listeners", sent)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": JSON_API}
    pause, outage, lost = Pause(), Outage(), False
    async with http.trusted() as client:
        while True:
            try:
                target = f"{url}/api/v2/agent-pools/{pool_id}/listeners/join"
                status, answer = await exchange(client, "POST", target, body, headers, outage)
                if status == 201:
                    return Identity.of(decoded(answer, ListenerDocument, outage).data, url, pool_id)
                raise JoinRefused(f"{url} does not let this listener join: {_why(status, answer, url, name, lost=lost)}")
            except Away as error:
                lost = True
                await asyncio.sleep(error.retry_after or pause.next())


def _why(status: int, body: bytes, url: str, name: str, *, lost: bool) -> str:
    """Why it was refused, and what a person can do. `lost`: an earlier try had no answer, and may have been taken."""
    refusal = refusal_of(body)
    said = "; ".join(each.detail or each.title or "" for each in refusal.errors) or f"the server answered {status}"
    if lost and refusal.first.code in ("token_used_up", "name_taken", "key_taken"):
        return (
            f"{said}. An answer to an earlier try was lost, so it may be this very listener that joined: "
            f"let a platform admin remove the listener {name} and make a new token"
        )
    if refusal.first.code == "name_taken":
        return f"{said} (--name)"
    return f"{said}; is {url} the address of a Terrapod server (its setting external_url)?" if status == 404 else said


def _request_of(key: PrivateKey) -> str:
    """A signing request in PEM. The server reads nothing of it but the key."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    digest = None if isinstance(key, Ed25519PrivateKey) else SHA256()
    return builder.sign(key, digest).public_bytes(Encoding.PEM).decode()
