"""A terraform that notes when each of its commands began and ended: what of a run is the engine's own time."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

WRAPPER = """\
#!/bin/bash
began=$EPOCHREALTIME
"{program}" "$@"
code=$?
echo "$began $EPOCHREALTIME $1 $TFC_RUN_ID" >> "{log}"
exit $code
"""


@dataclass(frozen=True)
class Command:
    """One command of the engine; seconds since the epoch."""

    name: str
    began: float
    ended: float
    run: str = ""
    """The run's id; empty for commands that are not told (`version`, and those that only read a plan)."""


def engine(directory: Path) -> Path:
    """Make a directory of engines with the terraform of `PATH` in it, wrapped; its notes are `<directory>/engine.log`."""
    program = shutil.which("terraform")
    if program is None:
        raise SystemExit("there is no terraform on PATH")
    engines = directory / "engines"
    engines.mkdir(parents=True)
    wrapper = engines / "terraform"
    wrapper.write_text(WRAPPER.format(program=program, log=directory / "engine.log"))
    wrapper.chmod(0o755)
    return engines


def commands(directory: Path) -> list[Command]:
    """What was noted since the last time, in the order in which it ended."""
    log = directory / "engine.log"
    lines = log.read_text().splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    return [Command(name, float(began), float(ended), *run) for began, ended, name, *run in map(str.split, lines)]


def busy(commands: Iterable[Command]) -> float:
    """Seconds in which at least one of the commands ran."""
    total, until = 0.0, 0.0
    for command in sorted(commands, key=lambda each: each.began):
        total += max(0.0, command.ended - max(command.began, until))
        until = max(until, command.ended)
    return total
