"""Configurations that attack: everything that security.md says a sandbox keeps them from, tried by programs that they bring."""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import sandboxes, wire
from tests.support.gate import Gate
from tests.support.sandboxes import pipe
from tests.support.server import Server
from tests.support.waiting import until

PLANTED = "planted-in-the-servers-environment"
OTHERS = "secret-of-another-run"
FORGED = '{"forged": true}'
SYSCALL = {"x86_64": 101, "aarch64": 117}.get(platform.machine(), 101)
"""ptrace(2)"""

ATTACK = """#!/bin/sh
try() {{
    name=$1
    shift
    echo "$name=$("$@" 2>/dev/null | tr -d '\\0' | tr '\\n' ' ' | head -c 4000)"
}}
everything() {{
    cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline
    find /workspace /tmp /dev/shm . "$HOME" {data}/runs -type f -exec cat {{}} +
}}
of_runner() {{
    for process in /proc/[0-9]*; do
        grep -q terrapod_core.runner $process/cmdline && cat $process/environ $process/maps
    done
}}
forge() {{
    for place in . .. ../.. /workspace /workspace/* "$HOME" /tmp {data}/runs/*/phase; do
        echo '{forged}' >$place/plan.json
    done
    find / -name plan.json -not -path '/proc/*' -not -path '/sys/*' -path '*/phase/*'
}}
(
    try data-directory ls {data}
    try database head -c 15 {data}/terrapod.db
    try key cat {data}/keys
    try servers-log head -c 100 {log}
    try another-run cat {data}/runs/run-other/config/secret.tf
    try servers-environment cat /proc/{pid}/environ
    try any-environment sh -c "cat /proc/[0-9]*/environ | grep -a -o {planted}"
    try servers-memory cat /proc/{pid}/maps
    try servers-files ls /proc/{pid}/fd
    try servers-directory ls -a /proc/{pid}/cwd/
    try signal sh -c 'kill -CONT {pid} && echo sent'
    try ptrace perl -e 'print "attached" if syscall({ptrace}, 16902, {pid}, 0, 0) == 0'
    try runner of_runner
    try runners-credential sh -c "$(cat <<'SCRIPT'
cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline /proc/[0-9]*/mem 2>/dev/null | grep -a -o 'terrapod-phase-[A-Za-z0-9_-]\\{{20,\\}}'
find /workspace /tmp /dev/shm . "$HOME" {data}/runs -type f -exec grep -a -h -o 'terrapod-phase-[A-Za-z0-9_-]\\{{20,\\}}' {{}} +
SCRIPT
)"
    try plan-of-this-run forge
    try inherited-files sh -c 'ls -l /proc/self/fd /proc/$PPID/fd | grep -E "socket|{data}"'
    try capabilities sh -c "grep -E 'Cap(Eff|Prm|Bnd):.*[1-9a-f]' /proc/self/status"
    try write-system sh -c '(echo >/usr/owned) && (echo >/etc/owned) && echo written'
    try namespaces sh -c 'unshare --user true && echo nested'
    echo "engines-token=$(grep -h -o 'terrapod-engine-[A-Za-z0-9_-]*' "$TF_CLI_CONFIG_FILE" | head -n 1)"
) >{loot} 2>/dev/null
cat {gate}
"""
"""Says what each attempt got, which should be nothing; then waits."""

LEGITIMATE = {"engines-token"}
OF_USER = ("data-directory", "database", "key", "servers-log", "another-run", "signal")
"""What the server's own user can do to it."""
OF_ROOT = ("servers-environment", "servers-memory", "servers-files", "servers-directory", "ptrace", "runner")
"""What root can do, though the server hides it from its user."""
PROVIDER = "terraform.d/plugins/example.invalid/x/evil/1.0.0/{platform}/terraform-provider-evil_v1.0.0"
WANTS_PROVIDER = """
terraform {
  required_providers {
    evil = { source = "example.invalid/x/evil" }
  }
}
provider "evil" {}
resource "evil_thing" "one" {}
"""
RUNS_SCRIPT = """
resource "terraform_data" "evil" {
  provisioner "local-exec" {
    command = "sh ./attack.sh"
  }
}
"""


class Loot:
    """What the attack brings back, and the place where it waits meanwhile."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        directory.chmod(0o755)
        self.directory = directory
        self.path = pipe(directory / "loot")
        self.gate = Gate(directory / "gate")
        self.gate.path.chmod(0o666)
        self._lines: list[str] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        self._lines = self.path.read_text(errors="replace").splitlines()

    def found(self) -> dict[str, str]:
        """Each attempt with what it got, once all were made."""
        self._thread.join(120)
        assert self._lines, "the attack did not run"
        return {name: got.strip() for name, _, got in (line.partition("=") for line in self._lines)}


@pytest.fixture
def loot(tmp_path: Path) -> Iterator[Loot]:
    loot = Loot(tmp_path / "loot")
    yield loot
    loot.gate.close()


def begin(new_server: Callable[..., Server], engines: dict[str, str], loot: Loot, isolation: str) -> Server:
    """A server that has secrets wherever it may have some."""
    settings = {
        **engines,
        "RUNNER__LOCAL__ISOLATION": isolation,
        "RUNNER__LOCAL__SANDBOX_PATHS": str(loot.directory),
        "BOOTSTRAP__ADMIN_PASSWORD": PLANTED,
    }
    server = new_server(settings=settings).start()
    other = server.data / "runs" / "run-other" / "config"
    other.mkdir(parents=True)
    (other / "secret.tf").write_text(OTHERS)
    return server


def attack_of(server: Server, loot: Loot) -> str:
    return ATTACK.format(
        data=server.data,
        log=server.log,
        pid=server.pid,
        planted=PLANTED,
        forged=FORGED,
        loot=loot.path,
        gate=loot.gate.path,
        ptrace=SYSCALL,
    )


def start_run(api: httpx.Client, attack: str, how: str) -> str:
    """Upload the attack, as a provider that runs at the plan or as a script that runs at the apply, and start it; the run's id."""
    machine = {"x86_64": "linux_amd64", "aarch64": "linux_arm64"}[platform.machine()]
    workspace = wire.make_workspace(api, vendored_providers=how == "provider", auto_apply=True)["id"]
    files = {
        "provider": [wire.entry("main.tf", WANTS_PROVIDER.encode()), wire.entry(PROVIDER.format(platform=machine), attack.encode())],
        "provisioner": [wire.entry("main.tf", RUNS_SCRIPT.encode()), wire.entry("attack.sh", attack.encode())],
    }[how]
    for member, _ in files:
        member.mode = 0o755
    version = wire.data(
        api.post(f"workspaces/{workspace}/configuration-versions", json=wire.document("configuration-versions", auto_queue_runs=False)), 201
    )
    assert wire.put(version["attributes"]["upload-url"], wire.packed(files)).status_code == 200
    return wire.make_run(api, workspace, version["id"])


def phase_of(api: httpx.Client, run_id: str, how: str) -> str:
    related = wire.data(api.get(f"runs/{run_id}"))["relationships"]
    return str(related["plan" if how == "provider" else "apply"]["data"]["id"])


def refusals(server: Server, phase_id: str, token: str) -> dict[str, int]:
    """What the phase protocol answers to whoever shows this token."""
    base = f"{server.url}/api/runner/v1/phases/{phase_id}"
    report = {"status": "finished", "has-changes": True, "log-size": 0}
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("PUT", "/plan-json", {"content": FORGED}),
        ("PUT", "/plan-file", {"content": b"forged"}),
        ("PUT", "/log?offset=0", {"content": b"forged"}),
        ("PUT", "/state?serial=9&lineage=x&md5=y", {"content": b"{}"}),
        ("POST", "/report", {"json": report}),
        ("POST", "/claim", {"json": {"runner": "evil", "version": "1"}}),
        ("POST", "/renew", {"json": {}}),
        ("GET", "/configuration", {}),
        ("GET", "/state", {}),
    ]
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(headers=headers, trust_env=False) as client:
        return {f"{method} {path}": client.request(method, base + path, **more).status_code for method, path, more in calls}


@pytest.mark.parametrize("how", ["provider", "provisioner"])
def test_under_the_sandbox_a_hostile_configuration_gets_nothing(
    new_server: Callable[..., Server], engines: dict[str, str], loot: Loot, how: str
) -> None:
    sandboxes.order()
    server = begin(new_server, engines, loot, "sandbox")
    ready = httpx.get(f"{server.url}/ready", trust_env=False).json()
    assert ready["detail"]["isolation"] == "sandbox"
    with closing(wire.make_person(server, "alice").api) as alice:
        run_id = start_run(alice, attack_of(server, loot), how)
    found = loot.found()
    assert {name: got for name, got in found.items() if got and name not in LEGITIMATE} == {}
    assert len(found) == ATTACK.count("    try ") + len(LEGITIMATE)
    assert found["engines-token"].startswith("terrapod-engine-")
    answers = refusals(server, phase_of(server.api, run_id, how), found["engines-token"])
    assert {status for status in answers.values() if status not in (401, 404)} == set(), answers
    loot.gate.open()
    run = wire.run_at(server.api, run_id, *wire.FINAL)
    assert run["attributes"]["status"] == ("errored" if how == "provider" else "applied")
    if how == "provisioner":
        plan = server.api.get(f"plans/{run['relationships']['plan']['data']['id']}/json-output", follow_redirects=True).json()
        assert "forged" not in plan
        assert [change["address"] for change in plan["resource_changes"]] == ["terraform_data.evil"]
    assert httpx.get(f"{server.url}/ready", trust_env=False).status_code == 200
    until(lambda: not (server.data / "runs" / run_id).exists(), "the directory of the run to be removed")


def test_without_a_sandbox_only_admins_run_because_their_configurations_get_all(
    new_server: Callable[..., Server], engines: dict[str, str], loot: Loot
) -> None:
    server = begin(new_server, engines, loot, "none")
    ready = httpx.get(f"{server.url}/ready", trust_env=False).json()
    assert ready["detail"] == {"isolation": "none", "isolation-reason": "runner.local.isolation is none", "may-run": "platform admins"}
    with closing(wire.make_person(server, "alice").api) as alice:
        workspace = wire.make_workspace(alice)["id"]
        sent = wire.document("configuration-versions", auto_queue_runs=False, speculative=True)
        errors = wire.refused(alice.post(f"workspaces/{workspace}/configuration-versions", json=sent), 403, says="platform admins")
    assert errors[0]["code"] == "runner_not_isolated"

    run_id = start_run(server.api, attack_of(server, loot), "provisioner")
    found = loot.found()
    # What the documents say that such a run can; and that the attempts are true ones.
    assert {name for name in (*OF_USER, *(OF_ROOT if os.geteuid() == 0 else ())) if not found[name]} == set()
    assert OTHERS in found["another-run"]
    loot.gate.open()
    assert wire.run_at(server.api, run_id, *wire.FINAL)["attributes"]["status"] == "applied"


def test_a_provider_in_the_archive_is_not_run_unless_the_workspace_says_so(
    new_server: Callable[..., Server], engines: dict[str, str], tmp_path: Path
) -> None:
    server = new_server(settings=engines).start()
    ran = tmp_path / "ran"
    machine = {"x86_64": "linux_amd64", "aarch64": "linux_arm64"}[platform.machine()]
    script = wire.entry(PROVIDER.format(platform=machine), f"#!/bin/sh\ntouch {ran}\n".encode())
    script[0].mode = 0o755
    for allowed in (False, True):
        workspace = wire.make_workspace(server.api, vendored_providers=allowed)
        assert workspace["attributes"]["vendored-providers"] is allowed
        sent = wire.document("configuration-versions", auto_queue_runs=False)
        version = wire.data(server.api.post(f"workspaces/{workspace['id']}/configuration-versions", json=sent), 201)
        archive = wire.packed([wire.entry("main.tf", WANTS_PROVIDER.encode()), script])
        assert wire.put(version["attributes"]["upload-url"], archive).status_code == 200
        run_id = wire.make_run(server.api, workspace["id"], version["id"])
        assert wire.run_at(server.api, run_id, *wire.FINAL)["attributes"]["status"] == "errored"
        assert ran.exists() is allowed, wire.log_of(server.api, run_id)
