"""Starts runner programs as processes beside the server, and finds them again after it came back."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

from terrapod_core.plugin import JSON, Handle, LaunchFailed, PhaseSpec, PhaseState, SettingsError
from terrapod_runner_local import processes, sandbox
from terrapod_runner_local.locks import Locks
from terrapod_runner_local.settings import LocalRunnerSettings
from terrapod_runner_local.workdir import WorkDir

INSIST_SECONDS = 30.0
"""How long a program that was told to kill terraform may take to hand in the state before it is killed itself."""

_KILL_ROUNDS = 50


class LocalRunner:
    """A `RunnerBackend` of child processes. Handles are `{"pid", "started", "work-dir"}`.

    Everything that touches processes or disk runs in a thread.
    """

    def __init__(self, root: Path, settings: LocalRunnerSettings, *, log: logging.Logger) -> None:
        self._root = root
        self._settings = settings
        self._log = log
        self._sandbox: Mapping[str, JSON] | None = None
        self._children: dict[tuple[int, int], subprocess.Popen[bytes]] = {}
        self._locks = Locks(root)
        self._place = f"{socket.gethostname()} {_machine()} {root}"

    @property
    def name(self) -> str:
        return "local"

    @property
    def capacity(self) -> int:
        return self._settings.capacity

    @property
    def place(self) -> str:
        return self._place

    @property
    def isolation(self) -> Literal["none", "sandbox"]:
        return "none" if self._sandbox is None else "sandbox"

    @property
    def allow_unisolated_users(self) -> bool:
        return self._settings.allow_unisolated_users

    @property
    def shared_network(self) -> Literal["refused", "accepted"]:
        return self._settings.shared_network

    async def self_test(self) -> str | None:
        tried = await asyncio.to_thread(sandbox.attempt, self._settings, self._root)
        if tried.reason is not None and self._settings.isolation == "sandbox":
            raise SettingsError(
                f"runner.local.isolation is sandbox, but no sandbox can be made: {tried.reason}. Install bubblewrap and allow "
                "unprivileged user namespaces, or set it to auto or none"
            )
        self._sandbox = tried.sandbox
        return tried.reason

    async def launch(self, phase: PhaseSpec) -> Handle:
        return await asyncio.to_thread(self._launch, phase)

    async def poll(self, handle: Handle) -> PhaseState:
        return await asyncio.to_thread(self._poll, _Phase.of(handle, self._root))

    async def find(self, run_id: str, phase_id: str, epoch: int) -> Handle | None:
        return await asyncio.to_thread(WorkDir.of(self._root, run_id).handle_of, phase_id, epoch)

    async def tidy(self, run_ids: Collection[str]) -> None:
        await asyncio.to_thread(self._tidy, frozenset(run_ids))

    async def cancel(self, handle: Handle, *, force: bool) -> None:
        phase = _Phase.of(handle, self._root)
        await asyncio.to_thread(self._force if force else self._interrupt, phase)

    async def forget(self, handle: Handle) -> None:
        await asyncio.to_thread(self._forget, _Phase.of(handle, self._root))

    def _launch(self, spec: PhaseSpec) -> Handle:
        if self._settings.isolation == "sandbox" and self._sandbox is None:
            raise LaunchFailed("runner.local.isolation is sandbox, and none was made yet")
        place = WorkDir.of(self._root, spec.run_id)
        with self._locks.of(place):
            return self._launch_in(place, spec)

    def _launch_in(self, place: WorkDir, spec: PhaseSpec) -> Handle:
        note = place.read_note()
        if note is not None:
            self._kill(_Phase.of(note, self._root))
        try:
            place.create()
            child = self._start(spec, place)
        except OSError as error:
            place.clear()
            raise LaunchFailed(f"the runner program could not be started: {error}") from error
        process = processes.look(child.pid)
        assert process is not None, "a child that nobody waited for has its entry in /proc"
        self._children[child.pid, process.started] = child
        handle: dict[str, JSON] = {"pid": child.pid, "started": process.started, "work-dir": str(place.path)}
        try:
            place.write_note(handle, spec.phase_id, spec.epoch)
            self._tell(child, spec, place)
        except OSError as error:
            self._clear(_Phase.of(handle, self._root))
            raise LaunchFailed(f"the runner program could not be given its work: {error}") from error
        return handle

    def _start(self, spec: PhaseSpec, place: WorkDir) -> subprocess.Popen[bytes]:
        log = os.open(place.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            return subprocess.Popen(
                spec.program,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=place.path,
                env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "HOME": str(place.path)},
                start_new_session=True,
                close_fds=True,
                umask=0o077,
            )
        finally:
            os.close(log)

    def _tell(self, child: subprocess.Popen[bytes], spec: PhaseSpec, place: WorkDir) -> None:
        order = {
            "url": spec.url,
            "token": spec.token,
            "phase-id": spec.phase_id,
            "run-id": spec.run_id,
            "certificate": spec.certificate,
            "work-dir": str(place.path),
            "engines-dir": spec.engines_dir,
            "engines-cache": str(self._root.with_name("engine-cache").absolute()),
            "state-transport": self._settings.state_transport,
            "sandbox": self._sandbox,
        }
        assert child.stdin is not None
        try:
            child.stdin.write(json.dumps(order).encode())
            child.stdin.close()
        except BrokenPipeError:
            # It ended without reading; the next poll says how.
            child.stdin.close()

    def _poll(self, phase: _Phase) -> PhaseState:
        child = self._children.get((phase.pid, phase.started))
        code = child.poll() if child is not None else None
        process = phase.process()
        if process is not None:
            return PhaseState(True, "stopped" if process.state in ("T", "t") else "running")
        return PhaseState(False, _ending(code, phase.place))

    def _interrupt(self, phase: _Phase) -> None:
        process = phase.process()
        if process is not None:
            processes.send(process, signal.SIGINT)

    def _force(self, phase: _Phase) -> None:
        process = phase.process()
        if process is None or process.state in ("T", "t") or _waited(phase.place.forced):
            self._kill(phase)
            return
        if not phase.place.forced.exists():
            phase.place.forced.touch(mode=0o600)
        processes.send(process, signal.SIGQUIT)

    def _kill(self, phase: _Phase) -> None:
        """Kill all that belongs to a phase; what it starts meanwhile is met in the next round."""
        directory = phase.place.path if self._is_latest(phase) else None
        for _ in range(_KILL_ROUNDS):
            left = processes.belonging(phase.pid, phase.started, directory)
            if not left:
                break
            for process in left:
                processes.send(process, signal.SIGKILL)
            time.sleep(0.02)
        else:
            self._log.warning("processes of the run in %s do not end", phase.place.path)
        child = self._children.get((phase.pid, phase.started))
        if child is not None and child.poll() is not None:
            del self._children[phase.pid, phase.started]

    def _is_latest(self, phase: _Phase) -> bool:
        """Whether no later phase of the same run works in its directory by now."""
        note = phase.place.read_note()
        return note is None or (note.get("pid"), note.get("started")) == (phase.pid, phase.started)

    def _forget(self, phase: _Phase) -> None:
        with self._locks.of(phase.place):
            self._clear(phase)

    def _clear(self, phase: _Phase) -> None:
        self._kill(phase)
        if self._is_latest(phase) and not phase.place.clear():
            self._log.warning("a state that could not be handed in was kept in %s", phase.place.path)

    def _tidy(self, kept: Collection[str]) -> None:
        for place in WorkDir.all_of(self._root):
            if place.path.name in kept:
                continue
            note = place.read_note()
            if note is not None:
                self._kill(_Phase.of(note, self._root))
            try:
                if not place.clear():
                    self._log.warning("a state that could not be handed in is kept in %s", place.path)
            except OSError as error:
                self._log.warning("what is left of a run in %s cannot be removed: %s", place.path, error)


class _Phase:
    """A handle, read."""

    def __init__(self, pid: int, started: int, place: WorkDir) -> None:
        self.pid = pid
        self.started = started
        self.place = place

    @classmethod
    def of(cls, handle: Handle, root: Path) -> _Phase:
        """`ValueError` for a handle that this backend did not make."""
        pid, started, directory = handle.get("pid"), handle.get("started"), handle.get("work-dir")
        if not (isinstance(pid, int) and isinstance(started, int) and isinstance(directory, str) and pid > 1):
            raise ValueError("this is no handle of the local runner: it needs pid, started and work-dir")
        place = WorkDir.of(root, Path(directory).name)
        if place.path != Path(directory):
            raise ValueError(f"{directory} is no work directory below {root}")
        return cls(pid, started, place)

    def process(self) -> processes.Process | None:
        """The program, while it lives."""
        return processes.same(self.pid, self.started)


def _machine() -> str:
    """What systemd or D-Bus call this machine: hosts may share a name, and a path."""
    try:
        return Path("/etc/machine-id").read_text("ascii").strip()
    except (OSError, ValueError):
        return ""


def _waited(marker: Path) -> bool:
    try:
        return time.time() - marker.stat().st_mtime > INSIST_SECONDS
    except FileNotFoundError:
        return False


def _ending(code: int | None, place: WorkDir) -> str:
    """How a program ended, with the last line it wrote when it did not end well. `None`: it was another server's child."""
    if code == 0:
        return "ended"
    how = "ended" if code is None else f"ended with exit code {code}" if code > 0 else f"ended by signal {-code}"
    line = _last_line(place.log)
    return f"{how}: {line}" if line else how


def _last_line(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4096))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except FileNotFoundError:
        return ""
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")
