"""Replicas and what they stand on go and come back, one after the other; and what that cost the clients."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import psutil
from rich.console import Console
from rich.table import Table

from tests.faults.tools.patient import Failure, Journal
from tests.faults.tools.victims import kill
from tests.support.object_stores import Store
from tests.support.postgres import PostgresServer
from tests.support.redis_server import RedisServer
from tests.support.server import Server

GRACE_SECONDS: Final = 15.0
"""How long after an outage a request may still fail: connections that are dead, a pause before the next try."""
CALM_SECONDS: Final = (5.0, 10.0)
"""And how long none may, before the next."""
WAIT_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Outage:
    """One thing that can happen. `begin` ends when it is away, `end` when it is there again, by its own account."""

    name: str
    begin: Callable[[], object]
    end: Callable[[], object]
    seconds: tuple[float, float] = (2, 8)
    unseen: bool = False
    """Clients may meet a connection that is closed, and nothing worse."""


@dataclass(frozen=True)
class Past:
    """An outage that is over."""

    outage: Outage
    began: float
    ended: float

    @property
    def forgiven_until(self) -> float:
        """From then on no request may fail."""
        return self.ended + GRACE_SECONDS


def all_outages(replicas: Sequence[Server], database: PostgresServer, redis: RedisServer, store: Store) -> list[Outage]:
    """Everything that is done to a site."""

    def crash() -> None:
        processes = database.processes
        kill(processes[:1])
        # Its children notice; a new one would not start beside them.
        psutil.wait_procs(processes, timeout=WAIT_SECONDS)

    first, second = replicas
    return [
        Outage("replica 1: SIGKILL", first.kill, first.start),
        Outage("replica 2: SIGTERM", second.stop, second.start, unseen=True),
        Outage("PostgreSQL: SIGKILL", crash, database.start),
        Outage("PostgreSQL: restart", database.stop, database.start),
        Outage("Redis: SIGKILL", redis.kill, redis.start),
        Outage("Redis: stands still", redis.freeze, redis.thaw, seconds=(3, 10)),
        Outage("object store: SIGKILL", store.stop, store.start, seconds=(5, 20)),
        Outage("object store: stands still", store.freeze, store.thaw, seconds=(5, 20)),
    ]


def suffer(outages: Sequence[Outage], rounds: int, chance: random.Random, say: Callable[[str], None], journal: Journal) -> list[Past]:
    """Let each happen so often, with a calm stretch before and after."""
    past: list[Past] = []
    for _ in range(rounds):
        for outage in chance.sample(outages, len(outages)):
            time.sleep(chance.uniform(*CALM_SECONDS))
            began = time.monotonic()
            outage.begin()
            time.sleep(chance.uniform(*outage.seconds))
            outage.end()
            past.append(Past(outage, began, time.monotonic()))
            time.sleep(GRACE_SECONDS)
            inside = sum(began <= each.at for each in journal.failures)
            say(f"{outage.name}: {past[-1].ended - began:.1f} s, {inside} requests failed; {journal.requests} answered so far")
    time.sleep(CALM_SECONDS[1])
    return past


def of_outages(past: Sequence[Past], journal: Journal) -> list[str]:
    """Requests that failed though nothing was away, or worse than they may."""
    wrong = [f"failed outside of every outage: {_words(each)}" for each in journal.failures if _cause(past, each) is None]
    for each in journal.failures:
        cause = _cause(past, each)
        if cause is not None and cause.outage.unseen and not each.unsent:
            wrong.append(f"{cause.outage.name}: {_words(each)}")
    return wrong


def show(past: Sequence[Past], journal: Journal, console: Console) -> None:
    """Print a row for each outage."""
    table = Table(title=f"outages, each with {GRACE_SECONDS:g} s of grace", title_justify="left", pad_edge=False)
    for heading in (
        "what",
        "away",
        "failed meanwhile",
        "after its end",
        "of these unsent",
        "failed in the calm after",
        "first answer",
        "last failure",
    ):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    for number, each in enumerate(past):
        until = past[number + 1].began if number + 1 < len(past) else float("inf")
        failed = [failure for failure in journal.failures if each.began <= failure.at <= each.forgiven_until]
        late = [failure for failure in failed if failure.at > each.ended]
        outside = sum(each.forgiven_until < failure.at < until for failure in journal.failures)
        answer = journal.first_answer_after(each.ended)
        table.add_row(
            each.outage.name,
            f"{each.ended - each.began:.1f} s",
            str(len(failed) - len(late)),
            str(len(late)),
            str(sum(failure.unsent for failure in failed)),
            f"[red]{outside}[/red]" if outside else "0",
            "never" if answer is None else f"{answer - each.ended:.2f} s",
            f"{late[-1].at - each.ended:.1f} s" if late else "",
        )
    console.print(table)


def _cause(past: Sequence[Past], failure: Failure) -> Past | None:
    return next((each for each in past if each.began <= failure.at <= each.forgiven_until), None)


def _words(failure: Failure) -> str:
    return f"{failure.who}: {failure.what} (after {failure.at - failure.began:.1f} s)"
