"""One engine command as a child process: its own group, a given environment and nothing else, both outputs on one pipe."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from .failures import PhaseFailed
from .interruption import Interruption

DRAIN_SECONDS = 5.0
"""How long to wait for the pipe's end after the group is dead: a process that left the group may hold it for ever."""


class Command:
    """A child that leads its own process group (so that its grandchildren can be ended with it)."""

    def __init__(self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], stdout: int | BinaryIO, stderr: int) -> None:
        try:
            self._popen = subprocess.Popen(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, process_group=0)
        except OSError as error:
            raise PhaseFailed(f"{argv[0]} cannot be started: {error.strerror or error}.") from error
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
        with self._lock:
            if not self._ended:
                os.kill(self._popen.pid, signal.SIGINT)

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


def stream(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], interruption: Interruption, sink: Callable[[bytes], None]) -> int:
    """Run a command, both outputs to `sink` as they come; the exit status. Raises `PhaseFailed` when it cannot be started."""
    command = Command(argv, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return _attend(command, interruption, sink)


def capture(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], interruption: Interruption, into: Path) -> tuple[int, str]:
    """Run a command, its standard output into a file of ours; the exit status, and the start of what it said on standard error."""
    said = bytearray()

    def keep(chunk: bytes) -> None:
        if len(said) < 8192:
            said.extend(chunk)

    with into.open("wb") as file:
        command = Command(argv, cwd=cwd, env=env, stdout=file, stderr=subprocess.PIPE)
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
