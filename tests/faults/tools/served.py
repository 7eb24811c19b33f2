"""`terrapod serve` as it is, with four additions that only a fault test wants. A program: `tests/faults/tools/lane.py` starts it.

A runner is given up after ten seconds of silence instead of sixty, in proportion with everything that hangs on it, so that
the test is not mostly waiting. An apply takes its time before it is launched and before it is claimed, moments that are else too short
to be hit. And every state that the server acknowledges to a runner is noted in a ledger outside of the
data directory, before the answer goes out: what stands there must be readable for ever after. Last, its clock can be put forward by a
file: an outage of ten minutes is then one that the server takes for that long.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from terrapod_core.agents import authority, resources
from terrapod_core.cli import main
from terrapod_core.clock import SystemClock
from terrapod_core.plugin import PhaseSpec
from terrapod_core.runs import dispatch, listener_runs, material, offers, phases, takes
from terrapod_core.runs.requests import Claim
from terrapod_core.storage import PhaseClaim

LEASE: Final = timedelta(seconds=10)
DEAF_AFTER: Final = timedelta(seconds=3)
RENEW_SECONDS: Final = 1
PAUSE_SECONDS: Final = 0.25
CERTIFICATE_LIFE: Final = timedelta(minutes=30)
"""A listener's."""

SIGN_OF_LIFE_SECONDS: Final = 2.5
"""How often a long poll sends a byte."""

CLOCK: Final = "clock-is-ahead"
"""Holds by how many seconds, in the server's home directory; where it is not there, the clock is right."""

LEDGER: Final = "acknowledged.jsonl"
"""Lines of `run`, `version`, `serial` and `sha256`, in the server's home directory."""


def hurry() -> None:
    """Shorten the lease, and how often and how closely it is looked at."""
    changed: tuple[tuple[Any, str, object], ...] = (
        (phases, "LEASE", LEASE),
        (dispatch, "LEASE", LEASE),
        (takes, "LEASE", LEASE),
        (listener_runs, "LEASE", LEASE),
        (dispatch, "DEAF_AFTER", DEAF_AFTER),
        (material, "RENEW_SECONDS", RENEW_SECONDS),
        (offers, "BEAT_SECONDS", SIGN_OF_LIFE_SECONDS),
        (offers, "HEARD_EVERY", timedelta(seconds=SIGN_OF_LIFE_SECONDS)),
        (authority, "LIFE", CERTIFICATE_LIFE),
        (resources, "LIFE", CERTIFICATE_LIFE),
    )
    for module, name, value in changed:
        change(module, name, value)


def change(module: Any, name: str, value: object) -> None:
    """Give a module another constant than it has."""
    if not hasattr(module, name):
        raise SystemExit(f"{module.__name__} has no {name} any more: the faults would not be what they say")
    setattr(module, name, value)


def turn_the_clock(path: Path) -> None:
    """Go by a clock that is ahead by as much as the file says at that moment."""

    def now(self: SystemClock) -> datetime:
        try:
            ahead = float(path.read_text())
        except FileNotFoundError:
            ahead = 0.0
        return datetime.now(UTC) + timedelta(seconds=ahead)

    SystemClock.now = now  # type: ignore[method-assign]


def take_time() -> None:
    """Between the order of an apply and its launch, and between that and its claim."""
    dispatcher: Any = dispatch.Dispatcher
    service: Any = phases.Phases
    start, claimed = dispatcher._start, service.claim

    async def started_late(self: Any, spec: PhaseSpec) -> None:
        await _pause(spec.phase)
        await start(self, spec)

    async def claimed_late(self: Any, claim: PhaseClaim, who: Claim) -> dict[str, Any]:
        await _pause(claim.phase)
        answer: dict[str, Any] = await claimed(self, claim, who)
        return answer

    dispatcher._start, service.claim = started_late, claimed_late


async def _pause(phase: str) -> None:
    if phase == "apply":
        await asyncio.sleep(PAUSE_SECONDS)


def keep_a_ledger(path: Path) -> None:
    """Note each state that a runner was told is kept."""
    service: Any = phases.Phases
    put = service.put_state

    async def noted(self: Any, claim: PhaseClaim, serial: int, lineage: str, md5: str, chunks: AsyncIterator[bytes]) -> dict[str, Any]:
        digest = hashlib.sha256()

        async def seen() -> AsyncIterator[bytes]:
            async for chunk in chunks:
                digest.update(chunk)
                yield chunk

        answer: dict[str, Any] = await put(self, claim, serial, lineage, md5, seen())
        entry = {"run": claim.run_id, "version": answer["state-version"], "serial": serial, "sha256": digest.hexdigest()}
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a") as ledger:
            ledger.write(json.dumps(entry) + "\n")
        return answer

    service.put_state = noted


if __name__ == "__main__":
    hurry()
    take_time()
    turn_the_clock(Path.home() / CLOCK)
    keep_a_ledger(Path.home() / LEDGER)
    main()
