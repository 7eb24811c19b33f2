"""Runs with a real terraform, each with one fault at a random moment, in lanes side by side; the table, and what was broken.

Each lane is a server of its own, so that a fault meets one run and nobody else. After the fault everything is given time to
settle; then what the API says is held against what really happened. The table and every broken promise are printed, and the
exit status is 1 when there was one.
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
import threading
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Protocol

import psutil
from rich.console import Console

from tests.faults.tools import truth, victims
from tests.faults.tools.experiments import Experiment, Fault, Moment, Victim, experiment
from tests.faults.tools.lane import Lane
from tests.faults.tools.table import Result, show
from tests.faults.tools.witness import Story, Witness
from tests.support.workspace import OVER

ATTEMPTS = 5
MILESTONE_SECONDS = 60.0
NOT_ORDERED = ("pending", "plan_queued", "planning", "planned")
"""Before the apply."""


class OpenLane(Protocol):
    """Starts the lane of a number in a directory, and ends it."""

    def __call__(self, directory: Path, number: int, *, sandbox: bool) -> AbstractContextManager[Lane]: ...


class Suite:
    """The lanes, what is wanted of them, and what came of it."""

    def __init__(self, lanes: Sequence[Lane], faults: Sequence[Fault], witness: Witness, seed: int, console: Console) -> None:
        self._lanes = lanes
        self._witness = witness
        self._seed = seed
        self._console = console
        self._printing = threading.Lock()
        self._order = random.Random(seed).sample(faults, len(faults))
        self._began = time.monotonic()
        self.results: list[Result] = []
        self.violations: list[str] = []

    def run(self, numbers: list[int]) -> None:
        """Make these experiments, in every lane at once."""
        with ThreadPoolExecutor(len(self._lanes)) as pool:
            shares = [[number for number in numbers if number % len(self._lanes) == each] for each in range(len(self._lanes))]
            for _ in pool.map(self._work, self._lanes, shares):
                pass

    def _work(self, lane: Lane, numbers: list[int]) -> None:
        ended: dict[str, str] = {}
        try:
            for number in numbers:
                result = self._one(lane, number)
                ended |= {result.run_id: result.status} if result.status else {}
                self._note(result)
                if lane.is_locked:
                    lane.move()
            self.violations += [f"{lane.title}: {sentence}" for sentence in truth.of_lane(lane, ended)]
        except Exception:  # noqa: BLE001 - a lane that breaks is a finding, and the others go on
            self.violations.append(f"{lane.title}: the lane broke: {traceback.format_exc()}")

    def _one(self, lane: Lane, number: int) -> Result:
        faults = lane.faults(self._order)
        round_, place = divmod(number, len(self._lanes))
        fault = faults[(round_ + place * len(faults) // len(self._lanes)) % len(faults)]
        for attempt in range(ATTEMPTS):
            result = self._try(lane, experiment(self._seed, number, fault, attempt))
            if result is not None:
                return result
        raise AssertionError(f"#{number} came too late {ATTEMPTS} times")

    def _try(self, lane: Lane, wanted: Experiment) -> Result | None:
        """`None` when the run was over before it could be hit."""
        story = Story(wanted.plan_seconds, wanted.resource_seconds)
        text = self._witness.begin(wanted.key, story)
        for name, after in zip(wanted.names, [None, *wanted.names], strict=False):
            text += self._witness.resource(wanted.key, name, after)
        run_id = lane.begin(wanted, text)
        struck, processes = self._aim(lane, wanted, run_id, story)
        if struck in OVER:
            lane.settle(run_id)
            return None
        began = time.monotonic()
        lane.strike(wanted.fault, wanted.hold, run_id, processes)
        status = lane.settle(run_id)
        seconds = time.monotonic() - began
        violations = truth.of_run(lane, wanted, run_id, status, story)
        return Result(wanted, lane.title, run_id, struck, status, seconds, violations)

    def _aim(self, lane: Lane, wanted: Experiment, run_id: str, story: Story) -> tuple[str, list[psutil.Process]]:
        """Wait for the moment; the run's status then, and which of its own processes are to be hit."""
        milestone = {Moment.PLANNING: story.planning, Moment.APPLYING: story.applying}.get(wanted.moment)
        end = time.monotonic() + MILESTONE_SECONDS
        while milestone is not None and not milestone.wait(0.05) and time.monotonic() < end:
            lane.look_after(run_id)
        while wanted.moment is Moment.GOING_ON and lane.look_after(run_id) in NOT_ORDERED and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(wanted.delay)
        while True:
            status = lane.status(run_id)
            processes = _own(lane, wanted, run_id)
            if processes or wanted.fault.victim not in (Victim.RUNNER, Victim.TERRAFORM) or status in OVER:
                return status, processes
            lane.look_after(run_id)

    def _note(self, result: Result) -> None:
        with self._printing:
            self.results.append(result)
            seconds = int(time.monotonic() - self._began)
            verdict = "[red]BROKEN[/red]" if result.violations else "ok"
            self._console.print(
                f"[dim]{seconds // 60}:{seconds % 60:02}[/dim] {len(self.results):3} {verdict} {result.experiment} "
                f"({result.lane}), hit when {result.struck}: {result.status} after {result.seconds:.1f} s"
            )


def _own(lane: Lane, wanted: Experiment, run_id: str) -> list[psutil.Process]:
    match wanted.fault.victim:
        case Victim.RUNNER:
            return victims.runner(lane.processes(run_id))
        case Victim.TERRAFORM:
            return victims.terraform(lane.processes(run_id))
        case _:
            return []


def run_suite(name: str, faults: Sequence[Fault], open_lane: OpenLane, *, runs: int, lanes: int) -> int:
    """Do what the command line says; the exit status."""
    parser = argparse.ArgumentParser(prog=f"nox -s faults -- {name}")
    parser.add_argument("--runs", type=int, default=runs, help=f"how many runs (default {runs})")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000), help="of everything that is chosen")
    parser.add_argument("--lanes", type=int, default=lanes, help=f"servers side by side (default {lanes})")
    parser.add_argument("--no-sandbox", action="store_true", help="for a machine that can make none")
    parser.add_argument("--number", type=int, action="append", help="this experiment alone (may be repeated)")
    parser.add_argument("--keep", action="store_true", help="leave the servers' directories")
    chosen = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True)
    numbers = chosen.number or list(range(chosen.runs))
    console.print(f"seed {chosen.seed}, {len(numbers)} runs in {chosen.lanes} lanes")
    directory = Path(tempfile.mkdtemp(prefix="terrapod-faults-"))
    witness = Witness()
    with ExitStack() as stack:
        places = [(directory / f"lane-{number}", number) for number in range(chosen.lanes)]
        opened = [stack.enter_context(open_lane(*place, sandbox=not chosen.no_sandbox)) for place in places]
        suite = Suite(opened, faults, witness, chosen.seed, console)
        suite.run(numbers)
    witness.close()
    show(suite.results, Console(highlight=False, width=max(130, console.width)))
    for sentence in suite.violations:
        console.print(f"[red]{sentence}[/red]")
    broken = sum(bool(result.violations) for result in suite.results) + len(suite.violations)
    console.print(f"{len(suite.results)} runs, {broken or 'no'} broken; seed {chosen.seed}")
    if chosen.keep or broken:
        console.print(f"the servers' directories: {directory}")
    else:
        shutil.rmtree(directory, ignore_errors=True)
    return 1 if broken or len(suite.results) < len(numbers) else 0
