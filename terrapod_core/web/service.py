"""The routes that belong to no room: health, readiness, ping, service discovery."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final

import msgspec
import structlog
from quart import Blueprint, Response

from terrapod_core.errors import Unavailable
from terrapod_core.plugin import StorageBackend

Check = Callable[[], Awaitable[str | None]]
"""Asks one part whether it works; returns what to add to `healthy`, or `None`; raises when it does not work."""


class Degraded(Exception):
    """A part is away without which everything is slower and nothing wrong: no reason to send nobody here."""


CHECK_SECONDS: Final = 2.0
READY_SECONDS: Final = 1.0
STORAGE_SECONDS: Final = 15.0
ANSWER_SECONDS: Final = 1.5
"""Shorter than a check may take, so that it can say itself what it waits for."""
PROBE_KEY: Final = "health/probe"
JSON: Final = "application/json"

DISCOVERY: Final = {
    "login.v1": {
        "client": "terraform-cli",
        "grant_types": ["authz_code"],
        "authz": "/oauth/authorize",
        "token": "/oauth/token",
        "ports": [10000, 10010],
    },
    "modules.v1": "/api/v2/registry/modules/",
    "providers.v1": "/api/v2/registry/providers/",
    # The contract's document ends here; without these terraform's cloud block and remote backend stop at init.
    "state.v2": "/api/v2/",
    "tfe.v2": "/api/v2/",
    "tfe.v2.1": "/api/v2/",
    "tfe.v2.2": "/api/v2/",
}

log = structlog.get_logger("terrapod.health")


def routes(
    checks: Mapping[str, Check], detail: Callable[[], Awaitable[Mapping[str, object]]], leaving: Callable[[], bool] = lambda: False
) -> Blueprint:
    """`checks` are asked by `/ready`; `detail` is shown beside them (how runs are isolated, failed plugins) and raises nothing.

    While this process is `leaving`, balancers are told to send nobody here any more.
    """
    service = Blueprint("service", __name__)
    discovery = msgspec.json.encode(DISCOVERY)
    healthy = msgspec.json.encode({"status": "healthy"})
    leaves = msgspec.json.encode({"status": "unavailable", "checks": {}, "detail": {"leaving": "this server is being stopped"}})
    readiness = Readiness(checks, detail)

    @service.get("/health")
    async def health() -> Response:
        return Response(healthy, content_type=JSON)

    @service.get("/api/v2/ping")
    async def ping() -> Response:
        return Response(b"{}", content_type=JSON)

    @service.get("/.well-known/terraform.json")
    async def discover() -> Response:
        # terraform refuses any other content type here.
        return Response(discovery, content_type=JSON)

    @service.get("/ready")
    async def ready() -> Response:
        status, document = (503, leaves) if leaving() else await readiness.now()
        return Response(document, status=status, content_type=JSON)

    return service


class Readiness:
    """Asks every part, at most once a second: anybody may ask us, and as often as they like."""

    def __init__(self, checks: Mapping[str, Check], detail: Callable[[], Awaitable[Mapping[str, object]]]) -> None:
        self._checks = checks
        self._detail = detail
        self._lock = asyncio.Lock()
        self._told = (503, b"")
        self._until = 0.0

    async def now(self) -> tuple[int, bytes]:
        """The status and the document. Whoever asks meanwhile waits for the same answer."""
        async with self._lock:
            if time.monotonic() >= self._until:
                self._told = await self._ask()
                self._until = time.monotonic() + READY_SECONDS
        return self._told

    async def _ask(self) -> tuple[int, bytes]:
        results = await asyncio.gather(*(_ask(name, check) for name, check in self._checks.items()))
        well = not any(result.startswith("unhealthy") for result in results)
        told = dict(zip(self._checks, results, strict=True))
        document = {"status": "ready" if well else "unavailable", "checks": told, "detail": await self._detail()}
        return 200 if well else 503, msgspec.json.encode(document)


class StorageCheck:
    """Writes and reads a tiny object, some times a minute; in between it tells what it found.

    A store that is away takes its time to say so, longer than anybody waits for `/ready`: the question goes on meanwhile, and
    the next who ask are told what came of it.
    """

    def __init__(self, backend: StorageBackend) -> None:
        self._backend = backend
        self._asked = 0.0
        self._problem: str | None = None
        self._asking: asyncio.Task[str | None] | None = None

    async def __call__(self) -> str | None:
        if self._asking is None and (not self._asked or self._problem is not None or time.monotonic() - self._asked > STORAGE_SECONDS):
            self._asking = asyncio.create_task(self._problem_now())
        asking = self._asking
        if asking is not None:
            await asyncio.wait({asking}, timeout=ANSWER_SECONDS)
            if asking.done():
                self._problem, self._asked, self._asking = asking.result(), time.monotonic(), None
            elif self._problem is None:
                self._problem = f"the storage {self._backend.name} does not answer"
        if self._problem is not None:
            raise Unavailable(self._problem)
        return None

    async def _problem_now(self) -> str | None:
        probe = b"terrapod is here"

        async def chunks() -> AsyncIterator[bytes]:
            yield probe

        try:
            await self._backend.write(PROBE_KEY, chunks())
            found = b"".join([piece async for piece in self._backend.read(PROBE_KEY)])
        except Exception as error:  # noqa: BLE001 - whatever the backend raises, it does not work
            return f"the storage {self._backend.name} does not work: {error}"
        return None if found == probe else f"the storage {self._backend.name} gives back other bytes than were written"


async def _ask(name: str, check: Check) -> str:
    try:
        said = await asyncio.wait_for(check(), CHECK_SECONDS)
    except TimeoutError:
        return f"unhealthy: no answer within {CHECK_SECONDS:g} s"
    except Degraded as error:
        return f"degraded: {error}"
    except Exception as error:  # noqa: BLE001 - whatever a part says, it is not ready
        log.warning("not ready", part=name, error=str(error))
        return f"unhealthy: {error}"
    return f"healthy ({said})" if said else "healthy"
