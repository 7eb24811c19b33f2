from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.runner.phase_server import TOKEN, PhaseServer
from tests.support import sandboxes


class RunnerProgram:
    """Starts `python -m terrapod_core.runner` as a backend would: own session, an environment with next to nothing in it."""

    def __init__(self, server: PhaseServer, work_dir: Path, sandbox: dict[str, Any] | None) -> None:
        self.server = server
        self.sandbox = sandbox
        self.work_dir = work_dir
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, **order: object) -> subprocess.Popen[bytes]:
        members: dict[str, Any] = {
            "url": self.server.url,
            "token": TOKEN,
            "phase-id": "plan-1",
            "run-id": "run-1",
            "certificate": None,
            "work-dir": str(self.work_dir),
            "engines-dir": None,
            "state-transport": "http",
            "sandbox": self.sandbox,
            **order,
        }
        terraform = shutil.which("terraform")
        assert terraform is not None
        process = subprocess.Popen(
            [sys.executable, "-m", "terrapod_core.runner"],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env={"PATH": f"{Path(terraform).parent}:/usr/bin:/bin", "SERVERS_OWN_SECRET": "must-not-leak"},
            cwd=Path(__file__).parents[3],
        )
        self.running.append(process)
        assert process.stdin is not None
        process.stdin.write(json.dumps(members).encode())
        process.stdin.close()
        return process

    def finish(self, process: subprocess.Popen[bytes]) -> int:
        assert process.stderr is not None
        self.said = process.stderr.read().decode()
        process.stderr.close()
        return process.wait(120)

    def carry_out(self, **order: object) -> dict[str, Any]:
        """One whole phase; the report."""
        code = self.finish(self.start(**order))
        assert code == 0, self.said
        assert self.server.report is not None
        return self.server.report

    def close(self) -> None:
        for process in self.running:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()
            for pipe in (process.stdin, process.stderr):
                if pipe is not None:
                    pipe.close()


@pytest.fixture
def server() -> Iterator[PhaseServer]:
    server = PhaseServer()
    yield server
    server.close()


@pytest.fixture(params=["none", "sandbox"])
def isolation(request: pytest.FixtureRequest) -> str:
    """How the engine is kept apart; a test that needs one of them says `@pytest.mark.parametrize("isolation", [...], indirect=True)`."""
    return str(request.param)


@pytest.fixture
def runner(server: PhaseServer, tmp_path: Path, isolation: str) -> Iterator[RunnerProgram]:
    """What the configurations of a test tell it, they write to pipes in `tmp_path`: a sandbox shows it, but nobody makes files there."""
    tmp_path.chmod(0o755)
    program = RunnerProgram(server, tmp_path / "work", sandboxes.order(readable=[tmp_path]) if isolation == "sandbox" else None)
    yield program
    program.close()
