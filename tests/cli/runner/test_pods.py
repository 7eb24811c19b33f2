"""The pod of the Kubernetes runner's own manifest, played by bubblewrap: its commands, mounts, user, environment and read-only root.

What it runs is real: the shell, the runner program as process 1, terraform.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from terrapod_core.plugin import PhaseSpec
from terrapod_runner_kubernetes import manifests
from terrapod_runner_kubernetes.settings import KubernetesRunnerSettings
from tests.cli.runner.conftest import RunnerProgram
from tests.cli.runner.phase_server import TOKEN, PhaseServer
from tests.cli.runner.steps import THREE, apply, plan, resources, slow
from tests.support import ROOT, sandboxes
from tests.support.sandboxes import pipe

INSIDE = Path("/opt/image")
"""Where the pod sees what stands for its image beside the system's own programs."""

SETTINGS = KubernetesRunnerSettings(image="runner")

LOOKS_AROUND = """
resource "terraform_data" "spy" {
  provisioner "local-exec" {
    command = <<-EOT
      exec >/tmp/seen 2>&1
      id -u; id -g; env; ls -AR /run/terrapod; touch /x
      cat /proc/1/fd/0 /proc/1/environ /proc/1/mem /run/terrapod/*/* || true
    EOT
  }
}
"""


class Pod(RunnerProgram):
    """Starts the runner program as the pod's containers do, one after the other."""

    def __init__(self, server: PhaseServer, directory: Path) -> None:
        super().__init__(server, directory, None)
        self.image = directory / "image"
        (self.image / "bin").mkdir(parents=True)
        python = self.image / "bin/python"
        python.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.base_prefix}/bin/python3 "$@"\n')
        python.chmod(0o755)
        (self.image / "hosts").write_text("127.0.0.1 localhost terrapod.test\n")

    def start(self, **order: object) -> subprocess.Popen[bytes]:
        """A new pod: nothing of the one before it is in its volumes."""
        spec = PhaseSpec(
            run_id="run-1",
            phase_id="plan-1",
            phase="plan",
            epoch=1,
            url=self.server.url.replace("127.0.0.1", "terrapod.test"),
            token=TOKEN,
            certificate=None,
            program=(),
            engines_dir=None,
            organization="default",
            workspace="demo",
        )
        pod = manifests.job(spec, SETTINGS)["spec"]["template"]["spec"]
        volumes = self._volumes(pod, manifests.secret(spec, SETTINGS, {"name": "job", "uid": "1"}))
        for first in pod["initContainers"]:
            subprocess.run(self._container(pod, first, volumes), check=True)
        process = subprocess.Popen(self._container(pod, pod["containers"][0], volumes), stderr=subprocess.PIPE)
        self.running.append(process)
        return process

    def _volumes(self, pod: Mapping[str, Any], secret: Mapping[str, Any]) -> dict[str, Path]:
        places = {}
        for volume in pod["volumes"]:
            place = places[volume["name"]] = self.work_dir / "volumes" / volume["name"]
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            place.chmod(0o777)
            for name, text in (secret["stringData"] if "secret" in volume else {}).items():
                (place / name).write_text(text)
                (place / name).chmod(volume["secret"]["defaultMode"])
        return places

    def _container(self, pod: Mapping[str, Any], container: Mapping[str, Any], volumes: Mapping[str, Path]) -> list[str]:
        user = str(pod["securityContext"]["runAsUser"])
        seen = [str(path) for path in (Path("/usr"), Path("/etc"), Path(sys.base_prefix), ROOT)]
        links = [path for path in map(Path, ("/bin", "/sbin", "/lib", "/lib64")) if path.is_symlink()]
        assert container["securityContext"]["readOnlyRootFilesystem"]
        return [
            *("bwrap", "--unshare-user", "--unshare-pid", "--as-pid-1", "--cap-drop", "ALL", "--uid", user, "--gid", user),
            *(word for path in seen for word in ("--ro-bind", path, path)),
            *(word for path in links for word in ("--symlink", str(path.readlink()), str(path))),
            *(
                "--ro-bind",
                str(self.image),
                str(INSIDE),
                "--ro-bind",
                str(self.image / "hosts"),
                "/etc/hosts",
                "--proc",
                "/proc",
                "--dev",
                "/dev",
            ),
            *(
                word
                for mount in container["volumeMounts"]
                for word in ("--ro-bind" if mount["readOnly"] else "--bind", str(volumes[mount["name"]]), mount["mountPath"])
            ),
            *("--remount-ro", "/", "--chdir", container["workingDir"], "--clearenv"),
            *("--setenv", "PATH", f"{INSIDE}/bin:/usr/local/bin:/usr/bin:/bin"),
            *(word for each in container["env"] for word in ("--setenv", each["name"], each["value"])),
            *("--", *container["command"]),
        ]


@pytest.fixture
def pod(server: PhaseServer, tmp_path: Path) -> Iterator[Pod]:
    sandboxes.order()
    tmp_path.chmod(0o755)
    made = Pod(server, tmp_path)
    yield made
    made.close()


def test_a_plan_and_its_apply_are_carried_out_in_two_pods(pod: Pod, server: PhaseServer) -> None:
    assert plan(pod, THREE)["additions"] == 3
    report = apply(pod)
    assert (report["status"], report["additions"]) == ("finished", 3), server.text
    assert len(resources(server.state)) == 3
    assert pod.said == ""


def test_terraform_finds_no_token_in_its_pod(pod: Pod, server: PhaseServer) -> None:
    plan(pod, LOOKS_AROUND)
    assert apply(pod)["status"] == "finished", server.text
    seen = (pod.work_dir / "volumes/tmp/seen").read_text()
    assert seen.startswith("65532\n65532\n")
    assert "/run/terrapod/order:\n" in seen
    assert "Read-only file system" in seen
    assert seen.count("Permission denied") >= 2, "the files of process 1 are closed to it"
    assert TOKEN not in seen
    assert "secret" not in seen


def test_a_pod_that_is_told_to_go_ends_as_a_cancelled_run(pod: Pod, server: PhaseServer) -> None:
    ready = pipe(pod.image / "ready")
    plan(pod, slow(INSIDE / "ready", INSIDE / "never"))
    server.begin("apply")
    process = pod.start()
    ready.read_text()
    [first] = psutil.Process(process.pid).children()
    first.send_signal(signal.SIGTERM)
    assert pod.finish(process) == 0, pod.said
    assert server.report is not None
    assert server.report["status"] == "canceled", server.text
    assert resources(server.state) == {"quick": "good", "slow": "tainted"}
