"""The sandbox where the server is not root: it belongs to the server's own user, by way of user namespaces."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support import sandboxes, wire
from tests.support.server import Server
from tests.support.waiting import until

LOOKS_AROUND = """
resource "terraform_data" "one" {{
  provisioner "local-exec" {{
    command = "echo I am $(id -u); ls {data} || echo nothing of the server; cat /proc/{pid}/environ /proc/{pid}/cmdline || echo no server"
  }}
}}
"""


@pytest.fixture
def starter() -> tuple[str, ...]:
    return sandboxes.somebody()


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory of that user; not pytest's, which shows itself to nobody else."""
    with tempfile.TemporaryDirectory(prefix="tp-user-", dir="/tmp") as name:
        _give(Path(name))
        yield Path(name)


def _give(path: Path) -> None:
    if os.geteuid() == 0:
        os.chown(path, sandboxes.NOBODY, sandboxes.NOBODY)


def test_an_ordinary_users_sandbox_passes_the_self_test(starter: tuple[str, ...], place: Path) -> None:
    secret = place / "secret"
    secret.write_text("of the server")
    secret.chmod(0o600)
    _give(secret)
    order = {"work-dir": str(place), "sandbox": {"program": shutil.which("bwrap"), "user": None}, "hidden": [str(secret)]}
    command = [*starter, sys.executable, "-I", "-m", "terrapod_core.runner.selftest"]
    done = subprocess.run(command, cwd=place, input=json.dumps(order).encode(), capture_output=True, check=True)
    assert json.loads(done.stdout) == {"problem": None}, done.stderr
    assert list(place.iterdir()) == [secret]


def test_a_server_that_is_not_root_carries_out_runs_in_a_sandbox(starter: tuple[str, ...], place: Path, engines: dict[str, str]) -> None:
    server = Server(place / "server", settings={**engines, "RUNNER__LOCAL__ISOLATION": "sandbox"})
    server.starter = starter
    _give(server.directory)
    try:
        server.start()
        assert httpx.get(f"{server.url}/ready", trust_env=False).json()["detail"]["isolation"] == "sandbox"
        workspace = wire.make_workspace(server.api, auto_apply=True)["id"]
        configuration = wire.make_configuration(server.api, workspace, {"main.tf": LOOKS_AROUND.format(data=server.data, pid=server.pid)})
        run_id = wire.make_run(server.api, workspace, configuration)
        run = wire.run_at(server.api, run_id, *wire.FINAL)
        log = wire.log_of(server.api, run_id, "apply")
        assert run["attributes"]["status"] == "applied", log
        assert f"I am {server.data.stat().st_uid}" in log
        assert "(local-exec): nothing of the server" in log
        assert "(local-exec): no server" in log
        until(lambda: not (server.data / "runs" / run_id).exists(), "the directory of the run to be removed")
    finally:
        server.close()
