"""What upstreams failed at, or said that they have not, a moment ago: the next who asks the same is told so at once.

In memory, of one process: a host that flaps costs each process one timeout every few seconds, and not every request its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Final

from terrapod_core.errors import BadGateway, NotFound
from terrapod_core.plugin import EngineSource, Platform, Source

SLOW_SECONDS: Final = 2.0
"""A failure that took longer is one of the host's, and whoever asks it for something else would wait as long."""
MOST: Final = 10_000


class Sealed(NotFound):
    """Nobody is asked: the setting says so."""


class UpstreamTrouble(BadGateway):
    """The upstream of an address did not bring what it should."""


class Troubles:
    """One per process."""

    def __init__(
        self, failed_seconds: float = 5.0, missing_seconds: float = 60.0, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._failed_seconds = failed_seconds
        self._missing_seconds = missing_seconds
        self._monotonic = monotonic
        self._known: dict[Hashable, tuple[float, str, bool]] = {}
        """Until when, the sentence, and whether something is missing (else it failed)."""

    @contextmanager
    def of(self, source: Source, version: str = "", platform: Platform | None = None) -> Iterator[None]:
        """Ask inside. Raises what is remembered of this question, or of its host, before anything is asked; notes what is raised."""
        question: Hashable = (source, version, platform)
        self._refuse(question, host_of(source))
        began = self._monotonic()
        try:
            yield
        except Sealed:
            raise
        except NotFound as error:
            if version:  # which versions there are not is remembered by the rows of indexes
                self._note(question, error.detail, self._missing_seconds, is_missing=True)
            raise
        except UpstreamTrouble as error:
            is_slow = self._monotonic() - began >= SLOW_SECONDS
            self._note(host_of(source) if is_slow else question, error.detail, self._failed_seconds, is_missing=False)
            raise

    def forget(self, source: Source, version: str, platform: Platform | None) -> None:
        """Ask again the next time."""
        self._known.pop((source, version, platform), None)

    def _refuse(self, *keys: Hashable) -> None:
        for key in keys:
            until, detail, is_missing = self._known.get(key, (0.0, "", False))
            if self._monotonic() < until:
                if is_missing:
                    raise NotFound(detail, code="upstream_missing")
                raise UpstreamTrouble(f"{detail} (that was a moment ago; it is asked again in a few seconds)", code="upstream_failed")

    def _note(self, key: Hashable, detail: str, seconds: float, *, is_missing: bool) -> None:
        self._known.pop(key, None)
        while len(self._known) >= MOST:
            del self._known[next(iter(self._known))]
        self._known[key] = (self._monotonic() + seconds, detail, is_missing)


def host_of(source: Source) -> str:
    """Whom the source is asked of."""
    return source.tool if isinstance(source, EngineSource) else source.host
