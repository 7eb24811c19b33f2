"""Engines of the binary cache for phases: what a runner is told when it asks for one."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from terrapod_core.clock import Clock
from terrapod_core.errors import TerrapodError, Unavailable
from terrapod_core.mirrors import addresses
from terrapod_core.mirrors.engines import TOOLS, EngineCache
from terrapod_core.mirrors.upstreams import UpstreamTrouble
from terrapod_core.settings import Mirrors

WAIT_SECONDS: Final = 15.0
"""How long a runner waits for one answer: well within what its client gives a request. The download goes on meanwhile."""

log = structlog.get_logger("terrapod.runs")


class EnginesOffered:
    """Asks the cache; a runner is told why it has nothing, and goes on without."""

    def __init__(self, cache: EngineCache, clock: Clock, settings: Mirrors) -> None:
        self._cache = cache
        self._clock = clock
        self._settings = settings
        self._away: dict[tuple[str, str], tuple[datetime, str]] = {}
        """By tool and version: until when the upstream is not asked for it again, and why it could not be."""

    def to(self, tool: str | None) -> bool:
        """Whether a runner shall ask for this tool; for either when it is none of them."""
        return self._settings.engines and any(self._cache.offers(each) for each in TOOLS if tool == each or tool not in TOOLS)

    async def find(self, tool: str, version: str, os: str, arch: str) -> dict[str, Any]:
        """The document of `GET …/engine`. Raises `Unavailable` alone: for the time that a part of the server is away."""
        if not self.to(tool):
            return _nothing("this server has no binary cache for it")
        away = self._reason(tool, version)
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                platform = addresses.platform(os, arch)
                engine = await (self._cache.find if away is None else self._cache.here)(tool, version, platform)
                if engine is None:
                    return _nothing(away or "")
                package = await self._cache.whole(engine)
        except TimeoutError:
            return {"engine": None, "reason": None, "waiting": True}
        except Unavailable:
            raise
        except TerrapodError as error:
            log.warning("the binary cache has no engine for a runner", tool=tool, version=version, reason=error.detail)
            if isinstance(error, UpstreamTrouble) and error.code == "upstream_failed":
                self._note(tool, version, error.detail)
            return _nothing(error.detail)
        found = {
            "tool": engine.tool,
            "version": engine.version,
            "platform": str(engine.platform),
            "sha256": package.sha256,
            "size": package.size,
            "link": self._cache.path(package),
        }
        return {"engine": found, "reason": None, "waiting": False}

    def _note(self, tool: str, version: str, reason: str) -> None:
        """The upstream could not be asked: without the internet, say, only the first runner waits to find that out."""
        now = self._clock.now()
        self._away = {key: each for key, each in self._away.items() if each[0] > now}
        self._away[tool, version] = now + timedelta(seconds=self._settings.missing_seconds), reason

    def _reason(self, tool: str, version: str) -> str | None:
        until, reason = self._away.get((tool, version), (None, None))
        return reason if until is not None and self._clock.now() < until else None


def _nothing(reason: str) -> dict[str, Any]:
    return {"engine": None, "reason": reason, "waiting": False}
