"""See Terrapod work: make an environment, start a server, and drive a real terraform through a remote run.

    python3 contrib/first-run/try.py            the server stays up until Ctrl-C
    python3 contrib/first-run/try.py --exit     stops it when the run is over
    python3 contrib/first-run/try.py --engine /path/to/tofu

Everything it makes lies in `.venv` and `.try`, which git ignores. Further options are those of `terrapod try`.
"""

from __future__ import annotations

import engine
import environment
from launch import become, start
from progress import say


def main(arguments: list[str]) -> None:
    environment.prepare("run")
    if not any(argument.split("=")[0] in ("--engine", "--help") for argument in arguments):
        arguments = ["--engine", str(engine.find()), *arguments]
    say(f"terrapod try {' '.join(arguments)}")
    become(environment.program("terrapod"), ["try", *arguments])


if __name__ == "__main__":
    start(main)
