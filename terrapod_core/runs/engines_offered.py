"""Engines of the binary cache for phases: what a runner is told when it asks for one."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import structlog

from terrapod_core.errors import TerrapodError, Unavailable
from terrapod_core.mirrors import addresses
from terrapod_core.mirrors.engines import TOOLS, EngineCache

WAIT_SECONDS: Final = 15.0
"""How long a runner waits for one answer: well within what its client gives a request. The download goes on meanwhile."""

log = structlog.get_logger("terrapod.runs")


class EnginesOffered:
    """Asks the cache; a runner is told why it has nothing, and goes on without."""

    def __init__(self, cache: EngineCache, *, enabled: bool) -> None:
        self._cache = cache
        self._enabled = enabled

    def to(self, tool: str | None) -> bool:
        """Whether a runner shall ask for this tool (`None`: for either)."""
        return self._enabled and any(self._cache.offers(each) for each in TOOLS if tool in (each, None))

    async def find(self, tool: str, version: str, os: str, arch: str) -> dict[str, Any]:
        """The document of `GET …/engine`. Raises `Unavailable` alone: for the time that a part of the server is away."""
        if not self.to(tool):
            return _nothing("this server has no binary cache for it")
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                engine = await self._cache.find(tool, version, addresses.platform(os, arch))
                package = await self._cache.whole(engine)
        except TimeoutError:
            return {"engine": None, "reason": None, "waiting": True}
        except Unavailable:
            raise
        except TerrapodError as error:
            log.warning("the binary cache has no engine for a runner", tool=tool, version=version, reason=error.detail)
            return _nothing(error.detail)
        found = {
            "tool": engine.tool,
            "version": engine.version,
            "platform": str(engine.platform),
            "sha256": package.sha256,
            "size": package.size,
            "link": self._cache.path(package.id),
        }
        return {"engine": found, "reason": None, "waiting": False}


def _nothing(reason: str) -> dict[str, Any]:
    return {"engine": None, "reason": reason, "waiting": False}
