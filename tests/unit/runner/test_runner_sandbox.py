"""What the engine is started with in a sandbox, and what files of its making are taken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from terrapod_core.runner.beneath import open_beneath, read_beneath
from terrapod_core.runner.order import BadOrder, Order
from terrapod_core.runner.process import Start
from terrapod_core.runner.sandbox import INSIDE, Sandbox, Shown
from tests.support import sandboxes

BWRAP = Path("/usr/bin/bwrap")


def options_of(start: Start) -> list[str]:
    assert start.wrapping is not None
    *options, end = start.wrapping.decode().split("\0")
    assert end == ""
    return options


def pairs(options: list[str], name: str) -> list[tuple[str, str]]:
    """The two words after each option of that name."""
    return [(options[index + 1], options[index + 2]) for index, option in enumerate(options) if option == name]


def start(sandbox: Sandbox, **more: Any) -> Start:
    shown = [Shown(Path("/data/runs/run-1/config"), INSIDE / "config", writable=True), Shown(Path("/data/rc"), INSIDE / "rc")]
    return sandbox.start(
        ("/usr/local/bin/terraform", "plan"), cwd=INSIDE / "config", env={"TF_VAR_s": "hunter2hunter2"}, shown=shown, **more
    )


def test_no_secret_is_an_argument_or_in_bwraps_own_environment() -> None:
    started = start(Sandbox(BWRAP))
    assert started.argv == ("/usr/bin/bwrap", "/usr/local/bin/terraform", "plan")
    assert started.env == {}
    assert ("TF_VAR_s", "hunter2hunter2") in pairs(options_of(started), "--setenv")


def test_a_command_gets_namespaces_of_its_own_and_no_rights() -> None:
    options = options_of(start(Sandbox(BWRAP)))
    for namespace in ("user", "pid", "ipc", "uts", "cgroup-try"):
        assert f"--unshare-{namespace}" in options
    assert {"--die-with-parent", "--new-session"} <= set(options)
    assert options[options.index("--cap-drop") + 1] == "ALL"
    assert "--unshare-net" not in options, "the state backend is on the loopback interface"
    assert "--unshare-net" in options_of(start(Sandbox(BWRAP), network=False))


def test_only_what_is_shown_can_be_written() -> None:
    options = options_of(start(Sandbox(BWRAP, readable=(Path("/opt/tools"),))))
    assert pairs(options, "--bind") == [("/data/runs/run-1/config", "/workspace/config")]
    read_only = dict(pairs(options, "--ro-bind"))
    assert read_only["/data/rc"] == "/workspace/rc"
    assert read_only["/opt/tools"] == "/opt/tools"
    assert read_only["/usr"] == "/usr"
    assert {path.split("/")[1] for path in read_only} <= {"usr", "etc", "lib", "lib64", "bin", "sbin", "lib32", "libx32", "opt", "data"}
    remounted = [options[index + 1] for index, option in enumerate(options) if option == "--remount-ro"]
    assert remounted == ["/dev", "/"]
    assert "/etc/passwd" not in read_only
    assert "/etc/ssl" not in read_only, "private keys lie beside the certificates"


def test_namespaces_inside_are_forbidden_where_bwrap_can() -> None:
    assert "--disable-userns" in options_of(start(Sandbox(BWRAP, forbids_nesting=True)))
    assert "--disable-userns" not in options_of(start(Sandbox(BWRAP)))


def test_as_root_the_engine_is_somebody_else() -> None:
    assert start(Sandbox(BWRAP, user=60_650)).user == 60_650
    assert start(Sandbox(BWRAP)).user is None


ORDER = {"url": "http://x", "token": "t", "phase-id": "plan-1", "run-id": "run-1", "work-dir": "/w"}


def test_an_order_without_a_sandbox_asks_for_none() -> None:
    assert Order.parse(json.dumps(ORDER).encode()).sandbox is None
    assert Order.parse(json.dumps({**ORDER, "sandbox": None}).encode()).sandbox is None


@pytest.mark.parametrize(
    "members",
    [
        {},
        [],
        "bwrap",
        {"program": "bwrap"},
        {"program": "/b", "user": 0},
        {"program": "/b", "user": "x"},
        {"program": "/b", "readable": ["x"]},
    ],
)
def test_an_order_whose_sandbox_is_none_is_refused_and_nothing_runs_without(members: object) -> None:
    with pytest.raises(BadOrder, match="`sandbox` cannot be read"):
        Order.parse(json.dumps({**ORDER, "sandbox": members}).encode())


# -- files that the engine made


def test_a_file_in_a_directory_is_read(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "state").write_text("{}")
    assert read_beneath(tmp_path, Path("a/b/state")) == b"{}"


def test_no_link_and_no_pipe_is_followed_wherever_it_is_on_the_way(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "state").write_text("of another run")
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(secret / "state")
    (root / "directory").symlink_to(secret)
    os.mkfifo(root / "pipe")
    for name in ("link", "directory/state", "pipe", "missing", "directory"):
        with pytest.raises(OSError):
            open_beneath(root, Path(name))


# -- the self-test


def tried(tmp_path: Path, **members: Any) -> str | None:
    """What the self-test says of a sandbox; `hidden` is one of its members too."""
    hidden = members.pop("hidden", [])
    sandbox = {**sandboxes.order(), **members}
    asked = {"work-dir": str(tmp_path), "sandbox": sandbox, "hidden": [str(each) for each in hidden]}
    command = [sys.executable, "-I", "-m", "terrapod_core.runner.selftest"]
    answer = subprocess.run(command, input=json.dumps(asked).encode(), capture_output=True, check=True)
    problem: str | None = json.loads(answer.stdout)["problem"]
    return problem


def test_the_self_test_is_content_with_a_sandbox_and_leaves_nothing_behind(tmp_path: Path) -> None:
    key = tmp_path / "keys"
    key.write_text("secret")
    assert tried(tmp_path, hidden=[key]) is None
    assert list(tmp_path.iterdir()) == [key]
    assert key.read_text() == "secret"


def test_the_self_test_says_what_can_be_read(tmp_path: Path) -> None:
    assert tried(tmp_path, hidden=["/usr/bin/env"]) == "/usr/bin/env can be read"


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("exit 1", "no command can be started in it: bwrap says nothing"),
        (
            "echo 'bwrap: setting up uid map: Permission denied' >&2; exit 1",
            "no command can be started in it: bwrap: setting up uid map: Permission denied",
        ),
    ],
)
def test_the_self_test_hands_on_why_bwrap_does_not_work(tmp_path: Path, script: str, problem: str) -> None:
    tmp_path.chmod(0o755)
    bwrap = tmp_path / "bwrap"
    bwrap.write_text(f"#!/bin/sh\n{script}\n")
    bwrap.chmod(0o755)
    assert tried(tmp_path, program=str(bwrap), user=None) == problem


def test_the_self_test_sees_through_a_sandbox_that_is_none(tmp_path: Path) -> None:
    """A program that calls itself bwrap and runs the command as it is."""
    work = tmp_path / "work"
    work.mkdir()
    bwrap = tmp_path / "bwrap"
    bwrap.write_text('#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done\nshift\nVICTIM=999999999 WORK=/nowhere TMPDIR=/nowhere exec "$@"\n')
    bwrap.chmod(0o755)
    assert tried(work, program=str(bwrap), user=None) == "the environment of a process outside can be read"
