"""Many runs at once, and one run alone: who waits for whom, and how long until terraform says something."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

import httpx

from tests.bench.tools.asking import Asking
from tests.bench.tools.report import Report, seconds
from tests.bench.tools.servers import BenchServer, serving
from tests.bench.tools.timed import Command, commands
from tests.support.listeners import make_pool, make_token, to_pool
from tests.support.listening import NewListener
from tests.support.postgres import PostgresServer

CHANGES = 'resource "terraform_data" "one" {\n  input = plantimestamp()\n}\n'
"""Something to apply, each time."""

LOOK_SECONDS = 0.005
ALONE = (("init", "-input=false"), ("plan", "-input=false", "-out=plan"), ("apply", "-input=false", "plan"))


@dataclass(frozen=True)
class Queued:
    """A run of the crowd; seconds since the epoch."""

    run_id: str
    workspace: int
    round: int
    created: float


def crowd(report: Report, directory: Path, *, workspaces: int, each: int, alone: int, listeners: int = 0) -> None:
    """Many runs of many workspaces at once: is the order kept, does anybody starve, and what does the queue cost?

    With `listeners`, so many of an agent pool carry them out, one phase at a time each.
    """
    total = workspaces * each
    cores = len(os.sched_getaffinity(0))
    who = f"{listeners} listeners" if listeners else f"{cores} phases at a time"
    report.section(f"{total} auto-applied runs of {workspaces} workspaces at once, {who} (SQLite)")
    settings = {"LIMITS__PENDING_RUNS_PER_USER": "100000", "RUNNER__LOCAL__CONCURRENCY": str(cores)}
    with ExitStack() as ending:
        server = ending.enter_context(serving(directory / "crowd", timed=True, settings=settings))
        asking = Asking(server)
        places = [asking.workspace(f"crowd-{number}", CHANGES) for number in range(workspaces)]
        make = NewListener(directory / "crowd", server, {"RUNNER__ENGINES_DIR": str(directory / "crowd/engines")})
        ending.callback(make.close)
        if listeners:
            _send_to(make, server, places, listeners)
        commands(directory / "crowd")
        report.doing(f"queueing {total} runs")
        runs = [
            Queued(asking.run(place, auto_apply=True), number, turn, time.time())
            for turn in range(each)
            for number, place in enumerate(places)
        ]
        report.doing("waiting for the last")
        ends = Counter(asking.ends([run.run_id for run in runs]))
        done = commands(directory / "crowd")
    _order(report, runs, done, workspaces)
    _waits(report, runs, done, each)
    _cost(report, done, total, cores, _alone(directory / "alone", cores, alone))
    report.add(
        "ended as", ", ".join(f"{status} {count}" for status, count in ends.items()), aim="all applied", met=set(ends) == {"applied"}
    )


def _send_to(make: NewListener, server: BenchServer, places: Sequence[str], listeners: int) -> None:
    """Let a pool of so many listeners carry out the runs of these workspaces."""
    pool = make_pool(server.api)["id"]
    for number in range(listeners):
        make(f"host-{number}").start(make_token(server.api, pool), "--capacity", "1")
    for place in places:
        to_pool(server.api, place, pool)


def _begun(done: Sequence[Command]) -> dict[str, float]:
    """When the first command of each run began."""
    begun: dict[str, float] = {}
    for command in sorted(done, key=lambda each: each.began):
        if command.run:
            begun.setdefault(command.run, command.began)
    return begun


def _order(report: Report, runs: Sequence[Queued], done: Sequence[Command], workspaces: int) -> None:
    begun = _begun(done)
    ended = {command.run: command.ended for command in done}
    kept = 0
    for number in range(workspaces):
        mine = [run.run_id for run in runs if run.workspace == number]
        kept += all(ended[before] <= begun[after] for before, after in pairwise(mine))
    report.add(
        "workspaces whose runs came one after the other, in their order", f"{kept} of {workspaces}", aim="all", met=kept == workspaces
    )
    overtaken = max(sum(begun[other.run_id] < begun[run.run_id] for other in runs[place + 1 :]) for place, run in enumerate(runs))
    report.add("most later runs that began before one", str(overtaken), aim="fewer than the workspaces", met=overtaken < workspaces)


def _waits(report: Report, runs: Sequence[Queued], done: Sequence[Command], each: int) -> None:
    begun = _begun(done)
    waits = [begun[run.run_id] - run.created for run in runs]
    report.add("wait of a run until terraform works for it, p50 / p99", f"{_at(waits, 0.5):.1f} / {_at(waits, 0.99):.1f} s")
    for turn in range(each):
        mine = [wait for run, wait in zip(runs, waits, strict=True) if run.round == turn]
        report.add(f"the same, run {turn + 1} of each workspace", f"{min(mine):.1f} to {max(mine):.1f} s")


def _cost(report: Report, done: Sequence[Command], total: int, cores: int, alone: float) -> None:
    whole = max(command.ended for command in done) - min(command.began for command in done)
    report.add("throughput", f"{60 * total / whole:.0f} runs a minute", f"{whole:.0f} s in all")
    each = whole * cores / total
    report.add("a run, all processors busy", f"{each:.2f} s", f"terraform alone (init, plan, apply, {cores} at a time): {alone:.2f} s")


def _alone(directory: Path, cores: int, rounds: int) -> float:
    """Seconds that a run takes terraform alone, with as many at a time as there are processors."""
    program = shutil.which("terraform")
    assert program is not None, "the engine's wrapper was made from it"

    def work(number: int) -> None:
        place = directory / str(number)
        place.mkdir(parents=True)
        (place / "main.tf").write_text(CHANGES)
        environment = {"PATH": os.environ["PATH"], "HOME": str(place), "CHECKPOINT_DISABLE": "1"}
        for arguments in ALONE:
            subprocess.run([program, *arguments], cwd=place, env=environment, check=True, capture_output=True)

    began = time.monotonic()
    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(work, range(rounds * cores)))
    shutil.rmtree(directory)
    return (time.monotonic() - began) / rounds


def _at(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


@dataclass(frozen=True)
class FirstByte:
    """Seconds from the answer that made the run to ..."""

    launched: float
    """... the runner's first command: a queue look, a process, a Python, the claim."""
    text: float
    """... the first text of the log, seen by somebody who reads it: which engine, and where."""
    init: float
    """... terraform's `init`."""
    plan: float
    """... terraform's `plan`."""
    byte: float
    """... the first text of terraform's own, seen by the same reader."""


def first_byte(report: Report, directory: Path, postgres: PostgresServer, *, rounds: int) -> None:
    """One run at a time on an idle server: how long until somebody who watches its log sees something?"""
    for title, url in (("SQLite", None), ("PostgreSQL", postgres.url(postgres.create()))):
        report.section(f"from queued to the first byte, idle server, {title} (medians of {rounds})")
        place = directory / f"first-{title}"
        with serving(place, timed=True, database_url=url) as server:
            asking = Asking(server)
            workspace = asking.workspace("first", CHANGES)
            found = [_watch(asking, workspace, place) for _ in range(rounds + 1)][1:]
        for name, values in (
            ("first command of the runner (`version`)", [each.launched for each in found]),
            ("first text of the log", [each.text for each in found]),
            ("`init` begins", [each.init for each in found]),
            ("`plan` begins", [each.plan for each in found]),
            ("terraform's first byte", [each.byte for each in found]),
            ("of that, after `plan` began", [each.byte - each.plan for each in found]),
        ):
            report.add(name, seconds(median(values)), f"p99 {seconds(_at(values, 0.99))}")


def _watch(asking: Asking, workspace: str, place: Path) -> FirstByte:
    commands(place)
    run_id = asking.run(workspace, plan_only=True)
    queued = time.time()
    link = asking.log_link(run_id)
    text = byte = 0.0
    with httpx.Client(trust_env=False) as reader:
        log = b""
        while not byte:
            log += reader.get(link, params={"offset": len(log), "limit": 65536}).content
            now = time.time()
            text = text or (now if len(log) > 1 else 0.0)
            byte = now if len(log.split(b"\n", 3)) == 4 and log.split(b"\n", 3)[3] else 0.0
            time.sleep(LOOK_SECONDS)
    asking.end(run_id)
    begun = {command.name: command.began for command in reversed(commands(place))}
    moments = (begun["version"], text, begun["init"], begun["plan"], byte)
    return FirstByte(*(moment - queued for moment in moments))
