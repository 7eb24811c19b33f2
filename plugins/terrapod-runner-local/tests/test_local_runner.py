"""The kit, and what is special about processes of this machine."""

# ruff: noqa: ASYNC220, ASYNC222, ASYNC240 - nobody waits for the event loop of a test

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import terrapod_runner_local
from terrapod_core.plugin import UNDELIVERED_STATE, Handle, LaunchFailed, PhaseSpec, PluginContext, RunnerBackend, SettingsError
from terrapod_core.testing.runners import Anew, RunnerBackendKit, ended, until
from terrapod_runner_local import processes, workdir
from terrapod_runner_local.backend import INSIST_SECONDS, LocalRunner
from terrapod_runner_local.settings import LocalRunnerSettings
from terrapod_runner_local.workdir import WorkDir

SHOWS_ITSELF = """
import json, os, sys
json.dump({"env": dict(os.environ), "argv": sys.argv, "cwd": os.getcwd(), "sid": os.getsid(0) == os.getpid(),
           "fds": sorted(os.listdir("/proc/self/fd"))}, open(sys.argv[1], "w"))
sys.stdin.read()
"""

HAS_ENGINE = """
import os, subprocess, sys
sys.stdin.read()
engine = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"], start_new_session=True)
with open(sys.argv[1] + ".part", "w") as file:
    file.write(str(engine.pid))
os.replace(sys.argv[1] + ".part", sys.argv[1])
engine.wait()
"""
"""Starts something in a session of its own, as the runner program does with terraform, and dies of the first signal."""

log = logging.getLogger("terrapod.plugins.runner-local")


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """Where runs work; a test that fails leaves no process there either."""
    yield tmp_path / "data" / "runs"
    for process in processes.belonging(-1, 0, tmp_path / "data" / "runs"):
        processes.send(process, signal.SIGKILL)


@pytest.fixture
def backend(root: Path) -> LocalRunner:
    return LocalRunner(root, LocalRunnerSettings(), log=log)


def pid_of(handle: Handle) -> int:
    pid = handle["pid"]
    assert isinstance(pid, int)
    return pid


def directory_of(handle: Handle) -> Path:
    return Path(str(handle["work-dir"]))


def gone(pid: int) -> bool:
    process = processes.look(pid)
    return process is None or not process.alive


class TestLocalRunner(RunnerBackendKit):
    @pytest.fixture
    def backend(self, anew: Anew) -> RunnerBackend:
        return anew()

    @pytest.fixture
    def restarted(self, anew: Anew) -> RunnerBackend:
        return anew()

    @pytest.fixture
    def anew(self, root: Path) -> Iterator[Anew]:
        """Each of them is as dead as its server, but for the children: in a test they are still this process's."""
        made: list[LocalRunner] = []

        def make() -> LocalRunner:
            made.append(LocalRunner(root, LocalRunnerSettings(), log=log))
            return made[-1]

        yield make
        for each in made:
            for child in each._children.values():
                child.wait(10)


class Kitchen(RunnerBackendKit):
    """Only the fixtures of the kit."""

    __test__ = False


def spec_of(tmp_path: Path, source: str, *arguments: str) -> PhaseSpec:
    """A phase whose program is `source`."""
    script = tmp_path / "special.py"
    script.write_text(source)
    whole = Kitchen().spec(tmp_path, "waiting")
    return dataclasses.replace(whole, program=(sys.executable, "-I", "-S", str(script), *arguments))


async def with_engine(backend: LocalRunner, tmp_path: Path) -> tuple[Handle, int]:
    """A phase with a child in a session of its own, and the child's id."""
    noted = tmp_path / "engine"
    handle = await backend.launch(spec_of(tmp_path, HAS_ENGINE, str(noted)))

    async def is_noted() -> bool:
        return noted.exists()

    await until(is_noted)
    return handle, int(noted.read_text())


async def test_the_program_gets_nothing_of_the_servers(backend: LocalRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERRAPOD_SECRETS__KEYS", "k1:c2VjcmV0")
    inherited = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(inherited, True)
    shown = tmp_path / "shown.json"
    phase = spec_of(tmp_path, SHOWS_ITSELF, str(shown))
    handle = await backend.launch(phase)
    await ended(backend, handle)
    os.close(inherited)
    seen = json.loads(shown.read_text())
    assert set(seen["env"]) <= {"PATH", "LANG", "HOME", "LC_CTYPE"}
    assert seen["env"]["HOME"] == seen["cwd"] == str(directory_of(handle))
    assert seen["sid"]
    assert len(seen["fds"]) == 4, "0, 1 and 2, and the directory it lists"
    assert phase.token not in shown.read_text()
    await backend.forget(handle)


async def test_the_token_is_in_no_file_and_no_argument(backend: LocalRunner, root: Path, tmp_path: Path) -> None:
    phase = Kitchen().spec(tmp_path, "waiting")
    handle = await backend.launch(phase)
    process = Path(f"/proc/{pid_of(handle)}")
    assert phase.token.encode() not in (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
    assert not [path for path in root.rglob("*") if path.is_file() and phase.token.encode() in path.read_bytes()]
    await backend.forget(handle)


async def test_directory_and_log_are_for_the_owner_alone(backend: LocalRunner, root: Path, tmp_path: Path) -> None:
    handle = await backend.launch(Kitchen().spec(tmp_path, "waiting"))
    directory = directory_of(handle)
    assert directory == root / "run-2uPXtbAVfmCkwGsT"
    assert [path.stat().st_mode & 0o777 for path in (root, directory, directory / "runner.log")] == [0o700, 0o700, 0o600]
    await backend.forget(handle)
    assert list(root.iterdir()) == []


async def test_a_program_that_fails_says_why(backend: LocalRunner, tmp_path: Path) -> None:
    handle = await backend.launch(spec_of(tmp_path, "import sys; sys.exit('no such thing as a free lunch')"))
    assert await ended(backend, handle) == "ended with exit code 1: no such thing as a free lunch"
    await backend.forget(handle)


async def test_a_program_that_is_not_there_is_a_failed_launch(backend: LocalRunner, root: Path, tmp_path: Path) -> None:
    phase = dataclasses.replace(Kitchen().spec(tmp_path, "waiting"), program=(str(tmp_path / "none"),))
    with pytest.raises(LaunchFailed, match="could not be started"):
        await backend.launch(phase)
    assert list(root.iterdir()) == []


async def test_a_child_that_ended_is_no_running_zombie(backend: LocalRunner, tmp_path: Path) -> None:
    handle = await backend.launch(spec_of(tmp_path, "pass"))
    os.waitid(os.P_PID, pid_of(handle), os.WEXITED | os.WNOWAIT)
    assert not (await LocalRunner(directory_of(handle).parent, LocalRunnerSettings(), log=log).poll(handle)).running
    assert not (await backend.poll(handle)).running
    assert processes.look(pid_of(handle)) is None, "its entry in the process table is gone"
    await backend.forget(handle)


async def test_a_process_id_used_again_is_not_taken_for_ours(backend: LocalRunner, root: Path) -> None:
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as stranger:
        process = processes.look(stranger.pid)
        assert process is not None
        handle: Handle = {"pid": stranger.pid, "started": process.started - 1, "work-dir": str(root / "run-1")}
        assert not (await backend.poll(handle)).running
        await backend.cancel(handle, force=False)
        await backend.cancel(handle, force=True)
        await backend.forget(handle)
        assert stranger.poll() is None
        assert stranger.stdin is not None
        stranger.stdin.close()
        assert stranger.wait() == 0, "it ended by itself, not by a signal"


async def test_a_forced_cancel_of_a_stopped_program_kills_all_of_it(backend: LocalRunner, tmp_path: Path) -> None:
    handle, engine = await with_engine(backend, tmp_path)
    os.kill(pid_of(handle), signal.SIGSTOP)

    async def is_stopped() -> bool:
        return (await backend.poll(handle)).detail == "stopped"

    await until(is_stopped)
    assert (await backend.poll(handle)).running
    await backend.cancel(handle, force=True)
    assert gone(engine)
    assert not (await backend.poll(handle)).running
    await backend.cancel(handle, force=True)
    await backend.forget(handle)


async def test_a_forced_cancel_finds_the_engine_of_a_program_that_is_gone(backend: LocalRunner, tmp_path: Path) -> None:
    handle, engine = await with_engine(backend, tmp_path)
    os.kill(pid_of(handle), signal.SIGKILL)
    await ended(backend, handle)
    assert not gone(engine)
    await backend.cancel(handle, force=True)
    assert gone(engine)
    await backend.forget(handle)


async def test_a_forgotten_phase_leaves_no_engine_behind(backend: LocalRunner, tmp_path: Path) -> None:
    handle, engine = await with_engine(backend, tmp_path)
    await backend.forget(handle)
    assert gone(engine)
    assert not directory_of(handle).exists()


async def test_insisting_on_a_forced_cancel_kills_a_program_that_ignores_it(backend: LocalRunner, root: Path, tmp_path: Path) -> None:
    stubborn = (
        "import signal, sys, time\nsignal.signal(signal.SIGQUIT, signal.SIG_IGN)\nsys.stdin.read()\nopen(sys.argv[1], 'w')\ntime.sleep(600)"
    )
    ready = tmp_path / "ready"
    handle = await backend.launch(spec_of(tmp_path, stubborn, str(ready)))
    await until(lambda: asyncio.sleep(0, ready.exists()))
    await backend.cancel(handle, force=True)
    await backend.cancel(handle, force=True)
    assert (await backend.poll(handle)).running, "it still may hand in the state"
    forced = WorkDir(directory_of(handle)).forced
    before = forced.stat().st_mtime - INSIST_SECONDS - 1
    os.utime(forced, (before, before))
    await backend.cancel(handle, force=True)
    assert not (await backend.poll(handle)).running
    await backend.forget(handle)


async def test_plan_and_apply_of_a_run_are_forgotten_at_once(backend: LocalRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handle = await backend.launch(spec_of(tmp_path, "pass"))
    await ended(backend, handle)
    (directory_of(handle) / "left").touch()
    both, remove = threading.Barrier(2), workdir._remove

    def removed_together(path: Path) -> None:
        with suppress(threading.BrokenBarrierError):
            both.wait(1)  # in vain where one waits for the other
        remove(path)

    monkeypatch.setattr(workdir, "_remove", removed_together)
    await asyncio.gather(backend.forget(handle), backend.forget(handle))
    assert not directory_of(handle).exists()


async def test_a_launch_that_is_forgotten_late_takes_nothing_from_the_next(
    backend: LocalRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await backend.launch(spec_of(tmp_path, "pass"))
    await ended(backend, first)
    (directory_of(first) / "left").touch()
    removing, launched, remove = threading.Event(), threading.Event(), workdir._remove

    def removed_late(path: Path) -> None:
        if not removing.is_set():
            removing.set()
            launched.wait(1)  # in vain where the launch waits
        remove(path)

    monkeypatch.setattr(workdir, "_remove", removed_late)
    forgetting = asyncio.create_task(backend.forget(first))
    await asyncio.to_thread(removing.wait)
    second = await backend.launch(Kitchen().spec(tmp_path, "waiting"))
    launched.set()
    await forgetting
    assert directory_of(second) == directory_of(first)
    assert WorkDir(directory_of(second)).log.exists()
    assert WorkDir(directory_of(second)).read_note() is not None
    assert (await backend.poll(second)).running
    await backend.forget(second)


async def test_a_state_that_was_not_handed_in_is_kept(backend: LocalRunner, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    phase = Kitchen().spec(tmp_path, "waiting")
    handle = await backend.launch(phase)
    state = directory_of(handle) / UNDELIVERED_STATE
    state.write_text('{"serial": 3}')
    (directory_of(handle) / "config").mkdir()
    await backend.forget(handle)
    assert list(directory_of(handle).iterdir()) == [state]
    assert str(directory_of(handle)) in caplog.text
    again = await backend.launch(phase)
    assert state.read_text() == '{"serial": 3}'
    await backend.forget(again)
    assert state.exists()


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A directory of a user who is not root, and the test run as that user: root may write everywhere."""
    with tempfile.TemporaryDirectory() as name:
        nobody = 65534 if os.geteuid() == 0 else os.geteuid()
        os.chown(name, nobody, -1)
        before = os.geteuid()
        os.seteuid(nobody)
        try:
            yield Path(name)
        finally:
            os.seteuid(before)


def test_directories_without_write_permission_are_removed_too(unprivileged: Path) -> None:
    place = WorkDir.of(unprivileged, "run-1")
    place.create()
    cache = place.path / "cache" / "module"
    cache.mkdir(parents=True)
    (cache / "main.tf").touch()
    cache.chmod(0o555)
    cache.parent.chmod(0o555)
    assert place.clear()
    assert not place.path.exists()


@pytest.mark.parametrize("run_id", ["..", "../x", "a/b", "", ".hidden"])
async def test_a_run_id_that_leads_elsewhere_is_refused(backend: LocalRunner, tmp_path: Path, run_id: str) -> None:
    with pytest.raises(ValueError, match="no run id"):
        await backend.launch(dataclasses.replace(Kitchen().spec(tmp_path, "waiting"), run_id=run_id))


async def test_a_handle_that_names_another_directory_is_refused(backend: LocalRunner, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    with pytest.raises(ValueError, match="no work directory"):
        await backend.forget({"pid": 99999, "started": 1, "work-dir": str(precious)})
    assert precious.exists()


def test_it_registers_a_runner_called_local(plugin_context: PluginContext, tmp_path: Path) -> None:
    context = dataclasses.replace(plugin_context, settings=LocalRunnerSettings(concurrency=3, allow_unisolated_users=True))
    (runner,) = terrapod_runner_local.register_runner_backends(context)
    assert isinstance(runner, LocalRunner)
    assert (runner.name, runner.capacity, runner.isolation, runner.allow_unisolated_users) == ("local", 3, "none", True)


def test_as_many_phases_run_as_there_are_cores() -> None:
    assert LocalRunnerSettings().capacity == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    "wrong", [{"sandbox_uid": 0}, {"sandbox_paths": ("tools",)}, {"sandbox_paths": ("/",)}], ids=["root", "relative", "everything"]
)
def test_settings_that_would_give_the_machine_away_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        LocalRunnerSettings(**wrong)


@pytest.fixture
def on_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A program called bwrap that is not allowed anything, alone on PATH. Everybody can reach it."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        bwrap = Path(name) / "bwrap"
        bwrap.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
        bwrap.chmod(0o755)
        monkeypatch.setenv("PATH", name)
        yield bwrap


async def test_a_sandbox_that_works_is_used_and_the_program_is_told(root: Path, tmp_path: Path) -> None:
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    backend = LocalRunner(root, LocalRunnerSettings(sandbox_paths=("/usr/share",)), log=log)
    said: list[str] = [backend.isolation]
    reason = await backend.self_test()
    if reason is not None:
        pytest.skip(f"no sandbox can be made on this machine: {reason}")
    assert [*said, backend.isolation] == ["none", "sandbox"], "nothing is promised before it was tried"
    assert list(root.iterdir()) == []
    told = tmp_path / "told.json"
    handle = await backend.launch(Kitchen().spec(tmp_path, "waiting"))
    await until(lambda: asyncio.sleep(0, told.exists()))
    order = json.loads(told.read_text())["sandbox"]
    assert order["program"] == os.path.realpath(str(shutil.which("bwrap")))
    assert order["user"] == (60_650 if os.geteuid() == 0 else None)
    assert order["readable"] == ["/usr/share"]
    await backend.forget(handle)


@pytest.mark.usefixtures("on_path")
async def test_a_sandbox_that_does_not_work_is_none_and_the_reason_is_told(root: Path, tmp_path: Path) -> None:
    backend = LocalRunner(root, LocalRunnerSettings(), log=log)
    assert await backend.self_test() == "no command can be started in it: bwrap: No permissions to create new namespace"
    assert backend.isolation == "none"
    told = tmp_path / "told.json"
    handle = await backend.launch(Kitchen().spec(tmp_path, "waiting"))
    await until(lambda: asyncio.sleep(0, told.exists()))
    assert json.loads(told.read_text())["sandbox"] is None
    await backend.forget(handle)


async def test_a_machine_without_bubblewrap_has_no_sandbox(root: Path, on_path: Path) -> None:
    on_path.unlink()
    backend = LocalRunner(root, LocalRunnerSettings(), log=log)
    assert "not installed" in (await backend.self_test() or "")
    assert backend.isolation == "none"


async def test_a_sandbox_that_was_asked_for_and_does_not_work_stops_the_start(root: Path, on_path: Path, tmp_path: Path) -> None:
    on_path.unlink()
    backend = LocalRunner(root, LocalRunnerSettings(isolation="sandbox"), log=log)
    with pytest.raises(SettingsError, match="no sandbox can be made: bubblewrap is not installed"):
        await backend.self_test()
    with pytest.raises(LaunchFailed, match="isolation is sandbox"):
        await backend.launch(Kitchen().spec(tmp_path, "waiting"))


async def test_no_sandbox_is_tried_where_none_is_wanted(root: Path) -> None:
    backend = LocalRunner(root, LocalRunnerSettings(isolation="none"), log=log)
    assert await backend.self_test() == "runner.local.isolation is none"
    assert not root.exists()


def test_a_concurrency_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        LocalRunnerSettings(concurrency=0)
