"""Finds the processes of a run, and does to them what faults do."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

RUNNERS = {"terrapod_core.runner", str(Path(__file__).with_name("hurried_runner.py"))}
"""The server's, and the listeners'."""


def of_run(runs: Path, run_id: str) -> list[psutil.Process]:
    """The runner program of a run and all that descends from it; the local runner's note says which process it is."""
    try:
        leader = psutil.Process(json.loads((runs / f"{run_id}.json").read_text())["pid"])
        return [leader, *leader.children(recursive=True)]
    except (FileNotFoundError, ValueError, KeyError, psutil.Error):
        return []


def runner(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Of these the runner program alone."""
    return [process for process in processes if RUNNERS & set(_arguments(process))]


def terraform(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Of these the terraform that a runner has started, if one is at work."""
    return [process for process in processes if _name(process) in ("terraform", "tofu")]


def left(runs: Path, run_id: str) -> list[str]:
    """What a run that is over has left behind: processes, files."""
    place = runs / run_id
    found = [f"process {each.pid} ({_name(each)})" for each in psutil.process_iter() if _works_in(each, place)]
    note = place.with_name(f"{run_id}.json")
    return [*found, *(str(path) for path in (place, note) if path.exists())]


def kill(processes: Sequence[psutil.Process]) -> None:
    """SIGKILL to each that is still there."""
    _each(processes, psutil.Process.kill)


def stand_still(processes: Sequence[psutil.Process], seconds: float) -> None:
    """SIGSTOP, some seconds of nothing, SIGCONT to those that are still there."""
    _each(processes, psutil.Process.suspend)
    time.sleep(seconds)
    _each(processes, psutil.Process.resume)


def _each(processes: Sequence[psutil.Process], act: Callable[[psutil.Process], object]) -> None:
    for process in processes:
        try:
            act(process)
        except psutil.NoSuchProcess:
            continue


def _name(process: psutil.Process) -> str:
    try:
        return str(process.name())
    except psutil.Error:
        return ""


def _arguments(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def _works_in(process: psutil.Process, place: Path) -> bool:
    """Whether it stands there or, in a sandbox, sees something of it under another name."""
    try:
        where = Path(process.cwd())
        mounts = Path(f"/proc/{process.pid}/mountinfo").read_text()
    except (psutil.Error, OSError):
        return False
    return where == place or place in where.parents or f"/{place.name}/" in mounts
