"""One engine command as a child process: its own group, a given environment and nothing else, both outputs on one pipe."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from .failures import PhaseFailed
from .interruption import Interruption

DRAIN_SECONDS = 5.0
"""How long to wait for the pipe's end after the group is dead: a process that left the group may hold it for ever."""

LOOK_SECONDS = 0.005
"""Between two looks for an engine that its sandbox is about to start."""


@dataclass(frozen=True)
class Start:
    """What to start. With `wrapping` the program is the sandbox's, and the engine its grandchild (see `sandbox`)."""

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    wrapping: bytes | None = None
    """Options of the sandbox, each ended by NUL. They hold the engine's environment, so they pass through memory and not as arguments."""
    user: int | None = None
    """User and group to become; `None` stays who we are."""


class Command:
    """A child that leads its own process group (so that its grandchildren can be ended with it)."""

    def __init__(self, start: Start, *, stdout: int | BinaryIO, stderr: int) -> None:
        self._wrapped = start.wrapping is not None
        options = () if start.wrapping is None else (_in_memory(start.wrapping),)
        program, *arguments = start.argv
        try:
            self._popen = subprocess.Popen(
                [program, *(word for number in options for word in ("--args", str(number), "--")), *arguments],
                cwd=start.cwd,
                env=start.env,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                process_group=0,
                pass_fds=options,
                user=start.user,
                group=start.user,
                extra_groups=None if start.user is None else [],
            )
        except OSError as error:
            raise PhaseFailed(f"{program} cannot be started: {error.strerror or error}.") from error
        finally:
            for number in options:
                os.close(number)
        self._lock = threading.Lock()
        self._ended = False

    @property
    def output(self) -> BinaryIO:
        """The reading end of the pipe asked for."""
        stream = self._popen.stdout or self._popen.stderr
        assert stream is not None
        return stream  # type: ignore[return-value]  # a Popen in binary mode has binary pipes

    def interrupt(self) -> None:
        """One SIGINT to the engine alone: it is the engine that winds its children down."""
        while not self._interrupted():
            time.sleep(LOOK_SECONDS)

    def _interrupted(self) -> bool:
        """Whether the engine has the signal, or has ended; false while its sandbox has not started it yet."""
        with self._lock:
            if self._ended:
                return True
            if not self._wrapped:
                os.kill(self._popen.pid, signal.SIGINT)
                return True
            # A signal to the sandbox itself would kill everything in it at once.
            return _interrupt_inside(self._popen.pid)

    def kill(self) -> None:
        """SIGKILL to everything in the group."""
        with self._lock:
            if not self._ended:
                self._kill_group()

    def wait(self) -> int:
        """Wait for the engine, then end whatever it left in its group; the exit status, negative for a signal."""
        # Not reaped before the group is dead: until then nobody else can get the same process group id.
        os.waitid(os.P_PID, self._popen.pid, os.WEXITED | os.WNOWAIT)
        with self._lock:
            self._kill_group()
            self._ended = True
        return self._popen.wait()

    def _kill_group(self) -> None:
        # Refused when nobody is left but the one that waits to be reaped.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, signal.SIGKILL)


def _in_memory(data: bytes) -> int:
    """A descriptor from which the data can be read, and that no disk knows."""
    number = os.memfd_create("options")
    view = memoryview(data)
    while view:
        view = view[os.write(number, view) :]
    os.lseek(number, 0, os.SEEK_SET)
    return number


def _interrupt_inside(sandbox: int) -> bool:
    """Interrupt the first child of the sandbox's child, which is the init of its processes; whether that is there already."""
    for init in _children(sandbox)[:1]:
        for engine in _children(init)[:1]:
            with contextlib.suppress(ProcessLookupError):
                descriptor = os.pidfd_open(engine)
                try:
                    # The descriptor keeps naming one process: if that is the child still, it was when the descriptor was made.
                    if engine in _children(init):
                        signal.pidfd_send_signal(descriptor, signal.SIGINT)
                        return True
                finally:
                    os.close(descriptor)
    return False


def _children(parent: int) -> list[int]:
    """Process ids of a process's children, the oldest first. proc(5), `stat`: parent is the second field after the name, start the 20th."""
    found: list[tuple[int, int]] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
                if int(fields[1]) == parent:
                    found.append((int(fields[19]), int(entry.name)))
    return [number for _, number in sorted(found)]


def stream(start: Start, *, interruption: Interruption, sink: Callable[[bytes], None]) -> int:
    """Run a command, both outputs to `sink` as they come; the exit status. Raises `PhaseFailed` when it cannot be started."""
    command = Command(start, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return _attend(command, interruption, sink)


def capture(start: Start, *, interruption: Interruption, into: Path) -> tuple[int, str]:
    """Run a command, its standard output into a file of ours; the exit status, and the start of what it said on standard error."""
    said = bytearray()

    def keep(chunk: bytes) -> None:
        if len(said) < 8192:
            said.extend(chunk)

    with into.open("wb") as file:
        command = Command(start, stdout=file, stderr=subprocess.PIPE)
        code = _attend(command, interruption, keep)
    return code, said.decode("utf-8", "replace").strip()


def _attend(command: Command, interruption: Interruption, sink: Callable[[bytes], None]) -> int:
    reader = threading.Thread(target=_pump, args=(command.output, sink), name="engine output", daemon=True)
    reader.start()
    interruption.attach(command)
    try:
        return command.wait()
    finally:
        interruption.detach(command)
        reader.join(DRAIN_SECONDS)


def _pump(pipe: BinaryIO, sink: Callable[[bytes], None]) -> None:
    with pipe:
        while chunk := os.read(pipe.fileno(), 1 << 16):
            sink(chunk)
