"""A real `terrapod listener` as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.server import NO_SANDBOX, STOP_SECONDS, Server, working_in
from tests.support.waiting import until


class Program:
    """One listener: its directory and name stay the same however often it is killed and started again."""

    def __init__(self, directory: Path, server: Server, name: str, *, settings: Mapping[str, str] | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.data = directory / "listener"
        self.log = directory / "listener.log"
        self.name = name
        self.url = server.url
        self.program: tuple[str, ...] = ("-m", "terrapod_core")
        """What the interpreter is given before the command."""
        self.options: tuple[str, ...] = ()
        self._settings = NO_SANDBOX | dict(settings or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._said_before = 0

    # -- its life

    def begin(self, token: str | None = None, *options: str, bare: bool = False) -> Program:
        """Start it, and return at once; `bare`, where no other program is found."""
        assert self._process is None, "the listener runs already"
        environment = {name: os.environ[name] for name in ("PATH", "CHECKPOINT_DISABLE") if name in os.environ}
        environment |= {"HOME": str(self.directory), "LANG": "C.UTF-8"}
        environment |= {f"TERRAPOD_{name}": value for name, value in self._settings.items()}
        if bare:
            environment["PATH"] = ""
        if token is not None:
            environment["TERRAPOD_POOL_TOKEN"] = token
        arguments = ["listener", "--url", self.url, "--data-dir", str(self.data), "--name", self.name, *self.options, *options]
        self._said_before = len(self.said())
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *self.program, *arguments],
                cwd=self.directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def start(self, token: str | None = None, *options: str) -> Program:
        """Start it, and return when it waits for runs."""
        return self.begin(token, *options).says("waiting for runs")

    def says(self, text: str) -> Program:
        """Wait until it has written this since it was started."""

        def looked() -> bool:
            assert text in self.news or self.runs, f"the listener ended:\n{self.said()[-4000:]}"
            return text in self.news

        until(looked, f"the listener to say {text!r}")
        return self

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None, "the listener does not run"
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL to the listener alone: its programs go on."""
        self.signal(signal.SIGKILL)
        self.wait()

    def stop(self) -> int:
        """SIGTERM, and wait for its end; the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        assert self._process is not None, "the listener does not run"
        try:
            code = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the listener did not end within {STOP_SECONDS:g} s:\n{self.said()[-4000:]}") from None
        self._process = None
        return code

    def close(self) -> None:
        """The end, whatever it does; what still works in its directory ends too."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        for process in working_in(self.directory):
            process.kill()

    @property
    def runs(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the process."""
        assert self._process is not None, "the listener does not run"
        return self._process.pid

    # -- what can be seen of it

    def said(self) -> str:
        """All that it ever wrote."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    @property
    def news(self) -> str:
        """What it wrote since it was started last."""
        return self.said()[self._said_before :]

    @property
    def identity(self) -> dict[str, Any]:
        """Who it is, by its directory."""
        known: dict[str, Any] = json.loads((self.data / "identity.json").read_text())
        return known

    @property
    def in_hand(self) -> list[str]:
        """The phases that it keeps, as `holds` names them."""
        return sorted(path.stem for path in (self.data / "phases").glob("*.json"))


class NewListener:
    """Makes listeners."""

    def __init__(self, directory: Path, server: Server, engines: Mapping[str, str]) -> None:
        self._directory = directory
        self._engines = engines
        self._server = server
        self._made: list[Program] = []

    def __call__(self, name: str, *, server: Server | None = None, settings: Mapping[str, str] | None = None) -> Program:
        """One that was not started yet."""
        program = Program(self._directory / name, server or self._server, name, settings={**self._engines, **(settings or {})})
        self._made.append(program)
        return program

    def close(self) -> None:
        """End them all, and what they started."""
        for each in self._made:
            each.close()
