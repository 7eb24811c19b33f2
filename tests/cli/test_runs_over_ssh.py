"""terraform against a real server whose runs are carried out over a real SSH, by a plugin that no distribution of the core brings."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from terrapod_core.storage import Holder
from terrapod_core.storage.phase_tokens import PREFIXES
from tests.cli.conftest import NewWorkspace
from tests.support import ROOT
from tests.support.server import Server
from tests.support.tf import resources
from tests.support.waiting import until

PLUGIN = ROOT / "contrib/terrapod-runner-ssh"
ENGINE_USER = "60650"
THREE = 'resource "terraform_data" "a" {\n  count = 3\n}\n'


class WithSsh(Server):
    """A server beside whose packages the plugin lies, as an installer would put it there."""

    program = ("-c", "import sys; sys.path.insert(0, sys.argv.pop(1)); from terrapod_core.cli import main; main()", "site")


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Any]:
    """The machine that the plugin's own tests use."""
    spec = importlib.util.spec_from_file_location("ssh_host", PLUGIN / "tests/sshd.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["ssh_host"] = module
    spec.loader.exec_module(module)
    if module.PROGRAM is None:
        pytest.skip("no sshd on this machine (Debian: apt-get install openssh-server)")
    host = module.Sshd(tmp_path / "one")
    (tmp_path / "known_hosts").write_text(host.line)
    yield host.start()
    host.stop()


@pytest.fixture
def server(sshd: Any, tmp_path: Path) -> Iterator[Server]:
    directory = tmp_path / "server"
    info = directory / "site" / "terrapod_runner_ssh-0.1.0.dist-info"
    info.mkdir(parents=True)
    (directory / "site" / "terrapod_runner_ssh").symlink_to(PLUGIN / "src/terrapod_runner_ssh")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: terrapod-runner-ssh\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text("[terrapod]\nrunner-ssh = terrapod_runner_ssh\n")
    settings = {
        "HOSTS__ONE__ADDRESS": "127.0.0.1",
        "HOSTS__ONE__PORT": str(sshd.port),
        "HOSTS__ONE__USER": sshd.user,
        "IDENTITY": str(sshd.identity),
        "KNOWN_HOSTS": str(tmp_path / "known_hosts"),
        "PYTHON": sys.executable,
        "PROGRAM": f"{sys.executable},-m,terrapod_core.runner",
        "ISOLATION": "sandbox" if shutil.which("bwrap") == "/usr/bin/bwrap" else "none",
        **({"ENGINE_USER": ENGINE_USER} if os.geteuid() == 0 else {}),
    }
    server = WithSsh(directory, settings={"RUNNER__BACKEND": "ssh", **{f"RUNNER__SSH__{name}": value for name, value in settings.items()}})
    server.set("RUNNER__URL", server.url)
    yield server.start()
    server.close()


def test_a_plan_and_its_apply_run_on_another_machine(new_workspace: NewWorkspace, server: Server, sshd: Any) -> None:
    workspace = new_workspace(THREE)
    done = workspace.tf.run("apply", "-auto-approve")
    assert "Apply complete! Resources: 3 added" in done.text
    assert len(resources(workspace.state())) == 3
    until(
        lambda: [path.name for path in (sshd.home / ".terrapod-runs").iterdir()] == ["lock"], "the host to have nothing of the run any more"
    )
    assert "Accepted publickey" in sshd.log
    assert not any(PREFIXES[Holder.SUPERVISOR] in each for each in (server.said(), sshd.log))
