"""Where the seconds of a remote apply go, told from the server's access log and the engine's own times.

Every request is one line of that log: when it was answered and how long it took. What the CLI asks for and what the runner
tells are different routes, so the points at which the work passes from one to the other can be read off.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from tests.bench.tools.timed import Command, busy

UPLOAD, RUNS = "/c/<token>", "/api/v2/runs"
PAUSE = 0.2
"""Seconds without a request that are no work of the CLI's."""

PHASES = "/api/runner/v1/phases/<phase_id>"


@dataclass(frozen=True)
class Asked:
    """One request; seconds since the epoch."""

    method: str
    route: str
    began: float
    ended: float


@dataclass(frozen=True)
class Phase:
    """A plan or an apply; all in seconds."""

    launch: float
    """From the moment at which it could begin to the runner's first word: a queue look, a process, a Python."""
    work: float
    """From that word to the end of the report."""
    engine: float
    """In which terraform itself was busy."""

    @property
    def around(self) -> float:
        """The runner's own part of the work."""
        return self.work - self.engine

    @property
    def overhead(self) -> float:
        """Everything that is not terraform."""
        return self.launch + self.around


@dataclass(frozen=True)
class Journey:
    """One remote apply, its parts one after the other; all in seconds."""

    whole: float
    upload: float
    """Until the configuration was with the server."""
    pause: float
    """In which nobody works: the CLI waits before it looks whether the upload arrived, and before it looks at the run again."""
    create: float
    """The request that makes the run."""
    plan: Phase
    apply: Phase
    closing: float
    """From the end of the apply to the end of the command, but for pauses."""


def requests(text: str) -> list[Asked]:
    """The access lines of a server's JSON log, in the order in which they were answered."""
    found = []
    for line in text.splitlines():
        if '"event":"request"' in line:
            entry = json.loads(line)
            ended = datetime.fromisoformat(entry["timestamp"]).timestamp()
            found.append(Asked(entry["method"], entry["route"], ended - entry["ms"] / 1000, ended))
    return found


def journey(began: float, ended: float, asked: Sequence[Asked], commands: Sequence[Command]) -> Journey:
    """Read one apply out of what was logged while it ran; `ValueError` when it was no remote apply from beginning to end."""
    uploaded, created = _first(asked, "PUT", UPLOAD), _first(asked, "POST", RUNS)
    claims = [each for each in asked if each.route == f"{PHASES}/claim"]
    reports = [each for each in asked if each.route == f"{PHASES}/report"]
    if len(claims) != 2 or len(reports) != 2:
        raise ValueError(f"a run has two phases, and this one {len(claims)}")
    plan = _phase(created.ended, claims[0], reports[0], commands)
    apply = _phase(reports[0].ended, claims[1], reports[1], commands)
    over = reports[1].ended
    # What is left is the CLI reading logs, and waiting: one request follows the other at once, or after a pause.
    looks = sorted((each.began, each.ended) for each in asked if not each.route.startswith(PHASES) and each.ended > over)
    gaps = [after - before for before, after in pairwise((over, *(moment for look in looks for moment in look), ended))]
    paused = sum(gap for gap in gaps if gap > PAUSE)
    return Journey(
        whole=ended - began,
        upload=uploaded.ended - began,
        pause=(created.began - uploaded.ended) + paused,
        create=created.ended - created.began,
        plan=plan,
        apply=apply,
        closing=ended - over - paused,
    )


def _phase(ready: float, claim: Asked, report: Asked, commands: Sequence[Command]) -> Phase:
    engine = busy(each for each in commands if claim.began <= each.began <= report.ended)
    return Phase(claim.began - ready, report.ended - claim.began, engine)


def _first(asked: Sequence[Asked], method: str, route: str) -> Asked:
    for each in asked:
        if each.method == method and each.route == route:
            return each
    raise ValueError(f"nobody asked {method} {route}")
