"""What plugins say about a run: all are asked, and the strictest answer counts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog

from terrapod_core.plugin import Advise, Allow, CheckedRun, Decision, Deny, Hold, RunCheck, Stage

SECONDS: Final = 10.0
"""How long a check may take. A runner waits for the answer, and its lease with it."""

REASON: Final = 4000
"""Characters of a reason."""

log = structlog.get_logger("terrapod.extensions")


class RunChecks:
    """The checks of all plugins, by name."""

    def __init__(self, checks: Mapping[str, RunCheck]) -> None:
        self._checks = dict(checks)

    @property
    def any(self) -> bool:
        """Whether anybody has a say."""
        return bool(self._checks)

    async def decide(self, run: CheckedRun, stage: Stage) -> list[Decision]:
        """What each of them decided, with its name in front of the reason; `Allow` and `None` are left out."""
        said = await asyncio.gather(*(self._ask(name, check, run, stage) for name, check in self._checks.items()))
        return [each for each in said if each is not None]

    async def _ask(self, name: str, check: RunCheck, run: CheckedRun, stage: Stage) -> Decision | None:
        try:
            async with asyncio.timeout(SECONDS):
                decision = await check.check(run, stage)
        except TimeoutError:
            return _undecided(name, run, stage, f"did not decide within {SECONDS:g} s")
        except Exception as error:
            log.exception("a check of runs failed", check=name, run=run.id, stage=stage.value)
            return _undecided(name, run, stage, f"could not decide ({type(error).__name__}; the server's log says more)")
        if decision is None or isinstance(decision, Allow):
            return None
        if type(decision) not in (Advise, Hold, Deny):
            return _undecided(name, run, stage, f"answered {decision!r}, which is no decision")
        return type(decision)(f"{name}: {_plain(decision.reason)}")


def _plain(reason: object) -> str:
    """What both databases keep, at a length that people read: names in a plan are whatever somebody wrote there."""
    return str(reason).replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()[:REASON]


def _undecided(name: str, run: CheckedRun, stage: Stage, what: str) -> Decision:
    """What cannot be judged is not applied."""
    reason = f"{name}: the check {_plain(what)}, so the run does not go on by itself"
    log.warning("a check of runs did not decide", check=name, run=run.id, stage=stage.value, what=what)
    return Hold(reason) if stage is Stage.PLANNED else Deny(reason)
