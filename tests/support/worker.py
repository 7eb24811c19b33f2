"""A real `terrapod worker` as a process of its own, beside a server on PostgreSQL that was started without jobs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.support.server import NO_SANDBOX, STOP_SECONDS, Server


class ServerWithoutJobs(Server):
    """`terrapod serve --no-jobs`: what it is asked for, a worker does."""

    def _begin(self, arguments: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        return super()._begin([*arguments, "--no-jobs"], log)


@contextmanager
def working(server: Server, **settings: str) -> Iterator[Path]:
    """A worker with the server's database, keys and objects, and these settings beside them; where it writes what it says.

    At the end it is stopped as an operator would.
    """
    said = server.directory / "worker.log"
    command = [sys.executable, "-m", "terrapod_core", "worker", "--data-dir", str(server.data)]
    with (
        said.open("ab") as log,
        subprocess.Popen(command, env=_environment(server, settings), cwd=server.directory, stdout=log, stderr=log) as worker,
    ):
        try:
            yield said
        finally:
            worker.terminate()
            code = worker.wait(STOP_SECONDS)
    assert code == 0, said.read_text()


def _environment(server: Server, settings: Mapping[str, str]) -> dict[str, str]:
    passed = {name: os.environ[name] for name in ("PATH", "CHECKPOINT_DISABLE") if name in os.environ}
    given = {f"TERRAPOD_{name}": value for name, value in {**NO_SANDBOX, **settings}.items()}
    return {**passed, "HOME": str(server.directory), "LANG": "C.UTF-8", **server.where, **given}
