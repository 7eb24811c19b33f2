"""One host: calls to it over ssh, and what is known of the launches there.

The OpenSSH client is used, by subprocess: it is the one that operators know, configure hosts for, and get patched with their system.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

from terrapod_runner_ssh.remote import MARK
from terrapod_runner_ssh.settings import HostSettings, SshRunnerSettings

DO_SECONDS: Final = 15.0
"""What a host may take for what it is asked, beyond letting us in."""

LONGEST_PAUSE: Final = 30.0

MOST_BYTES: Final = 4 << 20
"""More than this a host never has to say."""

BEGIN: Final = "import sys; f = sys.stdin.buffer; exec(compile(f.read(int(f.readline())), 'remote', 'exec'))"
REMOTE: Final = files("terrapod_runner_ssh").joinpath("remote.py").read_bytes()

Call = tuple[str, Mapping[str, Any]]


class HostError(Exception):
    """A host did not do what it was asked; the text says why, for an operator."""


class Away(HostError):
    """It could not be reached, or did not answer: whether it did what it was asked is not known. Another try may do."""


@dataclass(frozen=True, order=True)
class Launch:
    """Which launch of which phase."""

    run: str
    phase: str
    epoch: int

    @property
    def arguments(self) -> dict[str, Any]:
        return {"run": self.run, "phase": self.phase, "epoch": self.epoch}


class Host:
    """What is asked of one machine."""

    def __init__(self, name: str, host: HostSettings, settings: SshRunnerSettings, log: logging.Logger) -> None:
        self.name = name
        self.places = host.places
        self._host = host
        self._settings = settings
        self._log = log
        self.known: dict[Launch, tuple[bool, str]] = {}
        """Each launch that the host has something of: whether it runs, and how it is or was."""
        self.trouble: str | None = None
        """Why what is known may be old."""
        self._orders: list[Call] = []
        self._pause = 0.0
        self._again = 0.0
        self._heard: float | None = None
        self._changes = 0
        self._later: asyncio.TimerHandle | None = None
        self._looks: list[asyncio.Task[None]] = []
        """One that goes on, and one that waits for it."""

    @property
    def rests(self) -> bool:
        """Whether it was away a moment ago, so that it is not asked at all."""
        return self.trouble is not None and asyncio.get_running_loop().time() < self._again

    def is_heard_since(self, moment: float) -> bool:
        """Whether it told what it has at a time that was after `moment` of the event loop."""
        return self._heard is not None and self._heard >= moment

    def order(self, name: str, launch: Launch, **more: Any) -> None:
        """Something it is to do as soon as it can be reached."""
        call = (name, {**launch.arguments, **more})
        if call not in self._orders:
            self._orders.append(call)

    def is_ordered(self, name: str, launch: Launch) -> bool:
        """Whether it still has to be told this."""
        return any(call == name and Launch(each["run"], each["phase"], each["epoch"]) == launch for call, each in self._orders)

    def began(self, launch: Launch) -> None:
        """It carries out this launch from now on."""
        self._changes += 1
        self.known[launch] = (True, "running")

    def drop(self, run: str) -> None:
        """It has nothing of this run any more, and is to do nothing more about it."""
        self._changes += 1
        self.known = {launch: state for launch, state in self.known.items() if launch.run != run}
        self._orders = [(name, each) for name, each in self._orders if each["run"] != run]

    def look(self, *, anew: bool = False) -> asyncio.Task[None]:
        """Give it its orders and ask what it has; the task ends with that, and never raises: see `trouble`.

        A look that goes on already will do, unless it must be `anew`: begun after this was called.
        """
        going_on = [each for each in self._looks if not each.done()]
        if going_on and not (anew and len(going_on) == 1):
            return going_on[-1]
        task = asyncio.create_task(self._look_after(going_on), name=f"ssh-{self.name}")
        self._looks = [*going_on, task]
        return task

    async def close(self) -> None:
        """Look no longer."""
        if self._later is not None:
            self._later.cancel()
        for each in self._looks:
            each.cancel()
        await asyncio.gather(*self._looks, return_exceptions=True)

    async def _look_after(self, others: Sequence[asyncio.Task[None]]) -> None:
        if others:
            await asyncio.wait(others)
        orders, begun, changes = list(self._orders), asyncio.get_running_loop().time(), self._changes
        try:
            *done, found = await self.ask([*orders, ("look", {"keep": self._settings.keep_days * 86_400})])
        except HostError:
            if self._orders:
                self._later = asyncio.get_running_loop().call_later(self._pause, self.look)
            return
        for order, result in zip(orders, done, strict=True):
            if order in self._orders:
                self._orders.remove(order)
            if "problem" in result:
                self._log.warning("the host %s could not %s a run: %s", self.name, order[0], result["problem"])
        try:
            known = {
                Launch(each["run"], each["phase"], each["epoch"]): (bool(each["running"]), str(each["detail"])) for each in found["answer"]
            }
        except (LookupError, TypeError):
            self._is_away(f"the host {self.name} does not say what it has: {found.get('problem', 'its answer is not understood')}")
            return
        if self._changes == changes:  # or it told of what was before
            self.known, self._heard = known, begun

    async def ask(self, calls: Sequence[Call]) -> list[Mapping[str, Any]]:
        """Let it do some calls of `remote.py`; an `answer` or a `problem` for each. Raises `HostError`."""
        asked = json.dumps({"root": self._settings.directory, "calls": calls}).encode()
        try:
            answers = await self._run(b"%d\n%b%b" % (len(REMOTE), REMOTE, asked))
            if len(answers) != len(calls):
                raise HostError(f"the answer of the host {self.name} is not understood")
        except HostError as error:
            self._is_away(str(error))
            raise
        if self.trouble is not None:
            self._log.info("the host %s answers again", self.name)
        self.trouble, self._pause = None, 0.0
        return answers

    def _is_away(self, why: str) -> None:
        if self.trouble != why:
            self._log.warning("%s", why)
        self.trouble = why
        self._pause = min(LONGEST_PAUSE, self._pause * 2 or 1.0)
        self._again = asyncio.get_running_loop().time() + self._pause

    async def _run(self, told: bytes) -> list[Mapping[str, Any]]:
        # Nothing of the server's own environment, settings or keys: neither its ssh_config nor its agent.
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(*self.command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment)
        except OSError as error:
            raise HostError(f"ssh cannot be started: {error}") from error
        try:
            async with asyncio.timeout(self._settings.connect_seconds + DO_SECONDS):
                said, complaint = await _talk(process, told)
                code = await process.wait()
        except TimeoutError as error:
            raise Away(f"the host {self.name} does not answer") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if code == 255:
            raise Away(f"the host {self.name} cannot be reached: {_last_line(complaint)}")
        line = next((line for line in reversed(said.splitlines()) if line.startswith(MARK)), None)
        if code != 0 or line is None:
            raise HostError(f"the host {self.name} cannot run {self._settings.python}: {_last_line(complaint)}")
        return _answers(line.removeprefix(MARK), self.name)

    @property
    def command(self) -> list[str]:
        """The ssh command. No configuration file counts, no other key of a host is trusted, and nobody is asked anything."""
        options = {
            "BatchMode": "yes",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": f'"{self._settings.known_hosts}"',
            "GlobalKnownHostsFile": "none",
            "UpdateHostKeys": "no",
            "IdentityFile": f'"{self._settings.identity}"',
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "PreferredAuthentications": "publickey",
            "ClearAllForwardings": "yes",
            "ForwardAgent": "no",
            "ConnectTimeout": str(self._settings.connect_seconds),
            "ServerAliveInterval": "5",
            "LogLevel": "ERROR",
        }
        given = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
        remote = shlex.join([self._settings.python, "-I", "-S", "-c", BEGIN])
        return ["ssh", "-F", "none", "-T", *given, "-p", str(self._host.port), "-l", self._host.user, "--", self._host.address, remote]


async def _talk(process: asyncio.subprocess.Process, told: bytes) -> tuple[str, str]:
    """Tell a program something and hear it out: a host that says too much is not heard to its end."""
    assert process.stdin is not None, "all three are pipes"
    assert process.stdout is not None, "all three are pipes"
    assert process.stderr is not None, "all three are pipes"
    process.stdin.write(told)
    reading = asyncio.gather(_all_of(process.stdout), _all_of(process.stderr))
    with contextlib.suppress(ConnectionError):  # it ended before it had heard everything, and says why
        await process.stdin.drain()
    process.stdin.close()
    said, complaint = await reading
    return said.decode("utf-8", "replace"), complaint.decode("utf-8", "replace")


async def _all_of(stream: asyncio.StreamReader) -> bytes:
    text = bytearray()
    while len(text) < MOST_BYTES and (chunk := await stream.read(1 << 16)):
        text += chunk
    return bytes(text)


def _answers(text: str, host: str) -> list[Mapping[str, Any]]:
    try:
        answers = json.loads(text)
    except ValueError as error:
        raise HostError(f"the answer of the host {host} is not understood") from error
    if not isinstance(answers, list) or not all(isinstance(each, dict) for each in answers):
        raise HostError(f"the answer of the host {host} is not understood")
    return answers


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no word why")
