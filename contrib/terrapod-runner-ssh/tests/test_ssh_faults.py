"""Machines that are away, full, changed or broken; and what stays on them."""

# ruff: noqa: ASYNC240 - nobody waits for the event loop of a test

from __future__ import annotations

import json
import logging
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import Make, on
from sshd import Sshd
from terrapod_runner_ssh import host, register_runner_backends, register_settings, remote
from terrapod_runner_ssh.backend import SshRunner
from terrapod_runner_ssh.settings import HostSettings, SshRunnerSettings

from terrapod_core.plugin import UNDELIVERED_STATE, Handle, LaunchFailed, LaunchPostponed, PhaseSpec, PluginContext, SettingsError
from terrapod_core.testing.runners import RunnerBackendKit, ended, until

STUBBORN = """
import os, signal, subprocess, sys, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
    signal.signal(number, signal.SIG_IGN)
sys.stdin.read()
engine = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"], start_new_session=True, cwd="/")
with open(sys.argv[1] + ".part", "w") as file:
    file.write(str(engine.pid))
os.replace(sys.argv[1] + ".part", sys.argv[1])
time.sleep(600)
"""
"""Hears no signal, and has a child in a session of its own."""


class Kitchen(RunnerBackendKit):
    """Only the fixtures of the kit."""

    __test__ = False


@pytest.fixture
def phase(tmp_path: Path) -> PhaseSpec:
    return Kitchen().spec(tmp_path, "waiting")


@pytest.fixture
def runner(make: Make, settings: SshRunnerSettings) -> SshRunner:
    return make(settings)


@pytest.fixture
def begun(tmp_path: Path) -> Callable[[PhaseSpec], Awaitable[None]]:
    """Waits until a program has read its order."""

    async def wait(phase: PhaseSpec) -> None:
        async def is_there() -> bool:
            return (tmp_path / f"{phase.phase_id}.json").exists()

        await until(is_there)

    return wait


Begun = Callable[[PhaseSpec], Awaitable[None]]


@pytest.fixture
def of_run(sshd: Sshd, phase: PhaseSpec) -> Path:
    """The directory of the phase's run."""
    return sshd.home / "runs" / phase.run_id


def other(phase: PhaseSpec, number: int) -> PhaseSpec:
    return replace(phase, run_id=f"run-another{number}", phase_id=f"plan-another{number}")


async def heard(runner: SshRunner, handle: Handle, word: str) -> None:
    """Wait until a phase's detail has a word in it."""

    async def is_said() -> bool:
        return word in (await runner.poll(handle)).detail

    await until(is_said)


# -- machines that are away


async def test_a_machine_that_is_away_loses_nothing(
    runner: SshRunner, make: Make, settings: SshRunnerSettings, sshd: Sshd, phase: PhaseSpec, begun: Begun
) -> None:
    handle = await runner.launch(phase)
    await begun(phase)
    sshd.stop()
    await heard(runner, handle, "running when last heard of: the host one cannot be reached")
    assert (await runner.poll(handle)).running
    anew = make(settings)
    assert (await anew.poll(handle)).running, "also for a server that was started anew meanwhile"
    assert (await anew.poll(handle)).detail.startswith("not known: the host one cannot be reached: ")
    assert await anew.find(phase.run_id, phase.phase_id, phase.epoch) is None
    sshd.start()
    for each in (runner, anew):

        async def is_heard(each: SshRunner = each) -> bool:
            return (await each.poll(handle)).detail == "running"

        await until(is_heard)
    await runner.forget(handle)
    assert not (await runner.poll(handle)).running


async def test_what_a_machine_did_not_hear_it_is_told_when_it_is_back(
    runner: SshRunner, sshd: Sshd, phase: PhaseSpec, begun: Begun, of_run: Path
) -> None:
    handle = await runner.launch(phase)
    await begun(phase)
    sshd.stop()
    await runner.cancel(handle, force=False)
    assert (await runner.poll(handle)).running
    sshd.start()
    assert await ended(runner, handle) == "ended"
    sshd.stop()
    await runner.forget(handle)
    assert of_run.exists()
    assert not (await runner.poll(handle)).running
    sshd.start()  # nobody asks after it any more

    async def is_removed() -> bool:
        return not of_run.exists()

    await until(is_removed)


async def test_a_launch_waits_for_machines_that_are_away_and_takes_another_meanwhile(
    runner: SshRunner, make: Make, settings: SshRunnerSettings, hosts: tuple[Sshd, Sshd], phase: PhaseSpec
) -> None:
    hosts[0].stop()
    with pytest.raises(LaunchPostponed, match="no host can be used; the host one cannot be reached: .*Connection refused"):
        await runner.launch(phase)
    hosts[1].start()
    both = make(replace(settings, hosts={**settings.hosts, "two": on(hosts[1], 1)}))
    handle = await both.launch(phase)
    assert handle["host"] == "two"
    await both.forget(handle)


async def test_a_machine_with_another_key_is_told_nothing(
    make: Make, settings: SshRunnerSettings, hosts: tuple[Sshd, Sshd], sshd: Sshd, phase: PhaseSpec, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text(hosts[1].line.replace(str(hosts[1].port), str(sshd.port)))
    with pytest.raises(LaunchPostponed, match="Host key verification failed"):
        await make(replace(settings, known_hosts=wrong)).launch(phase)
    wrong.write_text("")
    with pytest.raises(LaunchPostponed, match="Host key verification failed"):
        await make(replace(settings, known_hosts=wrong)).launch(phase)
    assert "Accepted" not in sshd.log
    assert not list(sshd.home.iterdir())


async def test_a_machine_that_does_not_let_us_in_is_waited_for(
    make: Make, settings: SshRunnerSettings, hosts: tuple[Sshd, Sshd], phase: PhaseSpec
) -> None:
    with pytest.raises(LaunchPostponed, match="Permission denied"):
        await make(replace(settings, identity=hosts[1].directory / "user")).launch(phase)


async def test_a_launch_of_which_nobody_knows_whether_it_was_heard_is_taken_back(
    runner: SshRunner, sshd: Sshd, phase: PhaseSpec, monkeypatch: pytest.MonkeyPatch, of_run: Path
) -> None:
    asked = host.Host.ask

    async def ask(self: host.Host, calls: Any) -> Any:
        answer = await asked(self, calls)
        if calls[0][0] == "start":
            raise host.Away("the connection broke")
        return answer

    monkeypatch.setattr(host.Host, "ask", ask)
    with pytest.raises(LaunchPostponed, match="the connection broke"):
        await runner.launch(phase)
    monkeypatch.undo()
    assert of_run.exists()
    assert await runner.find(phase.run_id, phase.phase_id, phase.epoch) is None
    assert not of_run.exists()


# -- several machines


async def test_each_machine_has_its_places(make: Make, settings: SshRunnerSettings, hosts: tuple[Sshd, Sshd], phase: PhaseSpec) -> None:
    hosts[1].start()
    runner = make(replace(settings, hosts={"one": on(hosts[0], 1), "two": on(hosts[1], 1)}))
    assert runner.capacity == 2
    handles = [await runner.launch(other(phase, number)) for number in (1, 2)]
    assert {handle["host"] for handle in handles} == {"one", "two"}
    with pytest.raises(LaunchPostponed, match="every place of the hosts is taken"):
        await runner.launch(phase)
    await runner.forget(handles[0])
    assert (await runner.launch(phase))["host"] == handles[0]["host"]


async def test_what_a_run_left_on_another_machine_is_ended_first(
    runner: SshRunner, make: Make, settings: SshRunnerSettings, hosts: tuple[Sshd, Sshd], phase: PhaseSpec, begun: Begun, of_run: Path
) -> None:
    first = await runner.launch(phase)
    await begun(phase)
    hosts[1].start()
    both = make(replace(settings, hosts={**settings.hosts, "two": on(hosts[1], 9)}))
    second = await both.launch(replace(phase, epoch=2))
    assert (first["host"], second["host"]) == ("one", "two")
    await ended(runner, first)
    assert not of_run.exists()
    gone = make(replace(settings, hosts={"one": settings.hosts["one"]}))
    assert (await gone.poll(second)).detail == "its host two is none of the settings any more"
    await gone.forget(second)
    await both.forget(second)


# -- what stays, and what does not


async def test_the_token_is_in_no_file_argument_or_log(runner: SshRunner, sshd: Sshd, phase: PhaseSpec, begun: Begun) -> None:
    handle = await runner.launch(phase)
    await begun(phase)
    kept = [path for path in sshd.home.rglob("*") if path.is_file()]
    assert len(kept) >= 3
    said = [path.read_text() for path in kept] + [sshd.log, *(shown(path) for path in Path("/proc").iterdir() if path.name.isdigit())]
    assert not any(phase.token in each for each in said)
    assert (sshd.home / "runs").stat().st_mode & 0o077 == 0
    await runner.forget(handle)


def shown(process: Path) -> str:
    """Arguments and environment of a process."""
    try:
        return (process / "cmdline").read_text() + (process / "environ").read_text()
    except (OSError, UnicodeDecodeError):
        return ""


async def test_a_state_that_could_not_be_handed_in_stays(runner: SshRunner, phase: PhaseSpec, begun: Begun, of_run: Path) -> None:
    handle = await runner.launch(phase)
    await begun(phase)
    (of_run / "work" / UNDELIVERED_STATE).write_text("the only account of it")
    (of_run / "work" / "modules").mkdir(mode=0o500)
    await runner.forget(handle)
    assert [path.relative_to(of_run) for path in of_run.rglob("*")] == [Path("work"), Path("work") / UNDELIVERED_STATE]
    second = await runner.launch(replace(phase, epoch=2))
    assert (of_run / "work" / UNDELIVERED_STATE).exists()
    await runner.forget(second)


async def test_a_program_that_hears_nothing_is_killed_with_what_it_started(
    make: Make, settings: SshRunnerSettings, phase: PhaseSpec, tmp_path: Path, of_run: Path
) -> None:
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    noted = tmp_path / "engine"
    runner = make(replace(settings, program=(settings.python, "-I", "-S", str(tmp_path / "stubborn.py"), str(noted))))
    handle = await runner.launch(phase)

    async def is_noted() -> bool:
        return noted.exists()

    await until(is_noted)
    await runner.cancel(handle, force=False)
    await runner.cancel(handle, force=True)
    assert (await runner.poll(handle)).running
    for path in of_run.glob("forced.*"):
        os.utime(path, (0, 0))
    await runner.cancel(handle, force=True)
    assert await ended(runner, handle) == "ended by signal 9"
    assert not alive(int(noted.read_text()))
    await runner.forget(handle)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


async def test_what_ran_when_its_machine_was_started_anew_is_over(
    runner: SshRunner, phase: PhaseSpec, begun: Begun, of_run: Path, make: Make, settings: SshRunnerSettings
) -> None:
    handle = await runner.launch(phase)
    await begun(phase)
    note = of_run / "launch.json"
    known = json.loads(note.read_text())
    note.write_text(json.dumps({**known, "boot": "another"}))
    assert await ended(make(settings), handle) == "ended when its machine was started anew"
    note.write_text(json.dumps(known))
    await runner.forget(handle)


async def test_what_nobody_removed_is_removed_after_days(runner: SshRunner, phase: PhaseSpec, manner: Path, of_run: Path) -> None:
    manner.write_text("failing")
    handle = await runner.launch(phase)
    await ended(runner, handle)
    assert of_run.exists()
    os.utime(of_run / "launch.json", (0, 0))
    await runner.find("run-x", "plan-x", 1)
    assert not of_run.exists()


# -- machines and settings that are wrong


async def test_a_machine_without_python_is_named(make: Make, settings: SshRunnerSettings, phase: PhaseSpec) -> None:
    with pytest.raises(LaunchPostponed, match="the host one cannot run /nowhere/python3: .*(not found|No such file)"):
        await make(replace(settings, python="/nowhere/python3")).launch(phase)


@pytest.mark.parametrize("answer", ["nonsense", "[]", "[1, 2]", '[{"answer": "no number"}]', "[{}, {}]"])
async def test_a_machine_that_answers_something_else_is_not_believed(
    make: Make, settings: SshRunnerSettings, phase: PhaseSpec, tmp_path: Path, answer: str
) -> None:
    liar = tmp_path / "liar"
    liar.write_text(f"#!/bin/sh\ncat >/dev/null\necho '{remote.MARK}{answer}'\n")
    liar.chmod(0o755)
    runner = make(replace(settings, python=str(liar)))
    with pytest.raises(LaunchPostponed, match="the host one cannot end|not understood"):
        await runner.launch(phase)
    state = await runner.poll({"host": "one", "run": phase.run_id, "phase": phase.phase_id, "epoch": 1})
    assert state.running
    assert state.detail.startswith("not known: ")


async def test_a_program_that_is_not_there_fails_the_launch(
    make: Make, settings: SshRunnerSettings, phase: PhaseSpec, of_run: Path
) -> None:
    runner = make(replace(settings, program=("/nowhere/runner",)))
    with pytest.raises(LaunchFailed, match="the host one cannot start the runner program: .*/nowhere/runner"):
        await runner.launch(phase)
    assert not of_run.exists()


async def test_a_service_account_is_refused(runner: SshRunner, phase: PhaseSpec) -> None:
    with pytest.raises(LaunchFailed, match="no service account 'deployer'"):
        await runner.launch(replace(phase, service_account="deployer"))


@pytest.mark.parametrize("missing", ["hosts", "identity", "known_hosts"])
async def test_settings_that_are_missing_are_named(make: Make, settings: SshRunnerSettings, phase: PhaseSpec, missing: str) -> None:
    without: dict[str, Any] = {missing: {} if missing == "hosts" else None}
    runner = make(replace(settings, **without))
    with pytest.raises(SettingsError, match=f"runner.ssh.{missing}"):
        await runner.self_test()
    with pytest.raises(LaunchFailed, match=f"runner.ssh.{missing}"):
        await runner.launch(phase)


@pytest.mark.parametrize(
    "wrong",
    [{"address": "-oProxyCommand=x"}, {"address": ""}, {"address": "a b"}, {"user": "-l"}, {"port": 0}, {"places": 0}],
)
def test_a_wrong_setting_of_a_machine_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        HostSettings(**{"address": "build-1", **wrong})


@pytest.mark.parametrize(
    "wrong",
    [
        {"hosts": {"a/b": HostSettings(address="x")}},
        {"known_hosts": Path('a"b')},
        {"identity": Path("%h")},
        {"connect_seconds": 0},
        {"keep_days": 0},
        {"directory": "runs"},
        {"engines_dir": "engines"},
        {"program": ()},
    ],
)
def test_a_wrong_setting_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SshRunnerSettings(**wrong)


async def test_the_hook_needs_settings_and_a_log_alone(plugin_context: PluginContext, settings: SshRunnerSettings) -> None:
    assert register_settings() is SshRunnerSettings
    bare: Any = type("Bare", (), {"settings": settings, "log": logging.getLogger("terrapod.plugins.runner-ssh")})()
    for context in (replace(plugin_context, settings=settings), bare):
        (backend,) = register_runner_backends(context)
        assert isinstance(backend, SshRunner)
        assert await backend.self_test() is None
        assert backend.isolation == "sandbox"
        await backend.close()
