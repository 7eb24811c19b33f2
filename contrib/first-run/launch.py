"""What both commands do first and last: the right Python, and a failure as a sentence instead of a traceback."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from progress import StepFailed

OLDEST = (3, 11)


def start(main: Callable[[list[str]], None]) -> None:
    """Call `main` with the command line's arguments, under Python 3.11 or newer. Exit code 1 for a step that failed."""
    try:
        if sys.version_info[:2] < OLDEST:
            _continue_with_a_newer_python()
        main(sys.argv[1:])
    except StepFailed as failure:
        sys.exit(f"\n{failure}")
    except KeyboardInterrupt:
        sys.exit(130)


def become(program: Path, arguments: Sequence[str]) -> None:
    """Go on as another program in this process, so that signals and the exit code are that program's. Its folder comes first on PATH."""
    path = os.pathsep.join([str(program.parent), os.environ.get("PATH", os.defpath)])
    sys.stdout.flush()
    os.execve(program, [str(program), *arguments], {**os.environ, "PATH": path})


def _continue_with_a_newer_python() -> None:
    for minor in range(20, OLDEST[1] - 1, -1):
        newer = shutil.which(f"python3.{minor}")
        if newer:
            os.execv(newer, [newer, *sys.argv])
    raise StepFailed(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]} ({sys.executable}).")
