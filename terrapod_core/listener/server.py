"""The listener protocol's client: signs every request anew, is patient with a server that is away, and stops when it is not believed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import httpx
import structlog

from terrapod_core import __version__
from terrapod_core.listener.answers import Given, ListenerDocument, Refusal
from terrapod_core.listener.asking import JSON_API, Outage, Pause, decoded, encoded, exchange, refusal_of
from terrapod_core.listener.errors import Away, Ended, Refused
from terrapod_core.listener.state import Identity, StateDir, Word
from terrapod_core.outgoing import HTTPClients
from terrapod_core.signatures import Signer

T = TypeVar("T")

WAIT_SECONDS: Final = 300
"""Of a long poll."""

TRIES: Final = 5
"""Of one request that is repeated at once, signed by another clock, under another certificate, or with another nonce."""

FATAL: Final = ("certificate_unknown", "listener_revoked", "listener_exited")

log = structlog.get_logger("terrapod.listener")


class Server:
    """The server, as one listener sees it. Close it.

    Every call may raise `Away`, `Refused` and `Ended`; `ended` is set with the last, whoever met it.
    """

    def __init__(self, http: HTTPClients, state: StateDir, identity: Identity, *, clock: Callable[[], float] = time.time) -> None:
        self._http = http.trusted(timeout=60.0)
        self._poll = http.trusted(timeout=WAIT_SECONDS + 120.0)
        self._state = state
        self.identity = identity
        self._signer = Signer(state.key(), identity.key_id, clock=clock)
        self._base = f"{identity.url}/api/v2"
        self._renewing = asyncio.Lock()
        self._outage = Outage()
        self.ended = asyncio.Event()
        self.why = ""
        """Why the server is done with this listener, once `ended` is set."""

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()
        await self._poll.aclose()

    @property
    def now(self) -> datetime:
        """The time by the server's clock, as far as it said."""
        return datetime.fromtimestamp(self._signer.clock() + self._signer.offset, UTC)

    # -- the calls

    async def heartbeat(self, **attributes: object) -> None:
        """Say that the listener is there, and what changed: `version`, `capacity`, or `status="exited"` for good."""
        body = encoded("listeners", attributes) if attributes else b""
        await self._ask("POST", f"/listeners/{self.identity.listener_id}/heartbeat", body)

    async def introduce(self, capacity: int) -> None:
        """The first heartbeat."""
        await self.heartbeat(version=__version__, capacity=capacity)

    async def next(self, holds: Iterable[str]) -> Given:
        """Wait for something to do."""
        query = f"wait={WAIT_SECONDS}&holds={','.join(sorted(holds))}"
        path = f"/listeners/{self.identity.listener_id}/runs/next?{query}"
        return decoded(await self._ask("GET", path, http=self._poll), Given, self._outage)

    async def tell(self, run_id: str, phase_id: str, epoch: int, word: Word) -> None:
        """Tell how a phase is."""
        attributes: dict[str, Any] = {"phase-id": phase_id, "epoch": epoch, "status": word.status, "message": word.message}
        if not word.launched:
            attributes["launched"] = False
        path = f"/listeners/{self.identity.listener_id}/runs/{run_id}"
        await self._ask("PATCH", path, encoded("runs", attributes, id=run_id))

    async def renew(self, instead_of: str | None = None) -> None:
        """Take a new certificate over the same key, unless the one with this `key-id` was replaced meanwhile."""
        async with self._renewing:
            if instead_of not in (None, self._signer.key_id):
                return
            body = await self._ask("POST", f"/listeners/{self.identity.listener_id}/renew")
            await self._certified(decoded(body, ListenerDocument, self._outage))

    async def patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Repeat a call until the server answers. Raises `Refused` and `Ended`."""
        pause = Pause()
        while True:
            try:
                return await call()
            except Away as error:
                await asyncio.sleep(error.retry_after or pause.next())

    # --

    async def _ask(self, method: str, path: str, body: bytes = b"", *, http: httpx.AsyncClient | None = None) -> bytes:
        """The body of a good answer."""
        refusal, status = Refusal(), 0
        for _ in range(TRIES):
            key_id = self._signer.key_id
            status, answer = await self._send(http or self._http, method, self._base + path, body)
            if 200 <= status < 300:
                return answer
            refusal = refusal_of(answer)
            if status != 401 or not await self._can_mend(refusal, path, key_id):
                break
        raise self._refused(status, refusal)

    async def _send(self, http: httpx.AsyncClient, method: str, url: str, body: bytes) -> tuple[int, bytes]:
        url = str(httpx.URL(url))  # as it is sent, so that what is signed is what arrives
        return await exchange(http, method, url, body, self._signer.headers(method, url, body, JSON_API), self._outage)

    async def _can_mend(self, refusal: Refusal, path: str, key_id: str) -> bool:
        """Whether the same request may be good when it is signed again."""
        code = refusal.first.code
        if code == "clock-skew" and refusal.server_time is not None:
            self._signer.heard(refusal.server_time.timestamp())
            log.warning("this machine's clock is wrong; requests are signed by the server's", seconds=round(self._signer.offset))
            return True
        if code == "certificate_expired" and not path.endswith("/renew"):
            await self.renew(instead_of=key_id)
            return True
        return code == "replayed"

    def _refused(self, status: int, refusal: Refusal) -> Ended | Refused:
        first = refusal.first
        detail = "; ".join(each.detail or each.title or "" for each in refusal.errors) or f"the server answered {status}"
        if first.code in FATAL:
            self.why = detail
            self.ended.set()
            return Ended(detail)
        return Refused(status, first.code, detail)

    async def _certified(self, document: ListenerDocument) -> None:
        self.identity = Identity.of(document.data, self.identity.url, self.identity.pool_id)
        await asyncio.to_thread(self._state.save_identity, self.identity)
        self._signer.key_id = self.identity.key_id
        log.info("the certificate was renewed", good_until=f"{self.identity.certificate_expires_at:%Y-%m-%dT%H:%M:%SZ}")
