"""A real terraform as a person uses it: a directory, a CLI configuration, commands with an exit code, and prompts."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pexpect

from tests.support.server import Server

COMMAND_SECONDS = 120
EXPECT_SECONDS = 60
PROMPT = "Enter a value:"
CTRL_C = "\x03"

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_BETWEEN = r"(?:\s|\x1b\[[0-9;]*m)+"
_FRAME = re.compile(r"^[╷│╵] ?", re.MULTILINE)


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    output: str
    """Standard output as it came."""
    errors: str

    @property
    def text(self) -> str:
        """Everything it wrote as running text: no colours, no frames, no line breaks."""
        return words(self.output + "\n" + self.errors)


class Terraform:
    """One working directory of one person.

    Over plain HTTP the CLI configuration carries the services of the host, because terraform discovers over HTTPS alone;
    over TLS it discovers them and trusts the server's authority. `token` is `None` for somebody who has none yet.
    """

    def __init__(self, program: Path, directory: Path, server: Server, *, token: str | None = None, signed_in: bool = True) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.program = program
        self.directory = directory
        self.server = server
        self.home = directory.with_name(directory.name + ".home")
        (self.home / ".terraform.d").mkdir(parents=True, exist_ok=True)
        self.configuration = self.home / ".terraformrc"
        told = "".join(f'credentials "{host}" {{\n  token = "{token or server.token}"\n}}\n' for host in (server.host, dotted(server)))
        credentials = told if signed_in else ""
        self.configuration.write_text(("" if server.authority else services(server)) + credentials)

    def write(self, text: str, name: str = "main.tf") -> Path:
        """Write a file of the configuration; directories are made."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def run(self, *arguments: str, check: bool = True, env: Mapping[str, str] | None = None, typed: str | None = None) -> Done:
        """Run a command to its end; `typed` is its standard input. With `check`, an exit code other than 0 fails the test."""
        with self.background(*arguments, env=env, typing=typed is not None) as command:
            done = command.end(typed)
        assert not check or done.code == 0, f"{command} ended with {done.code}:\n{done.output}\n{done.errors}"
        return done

    @contextmanager
    def background(self, *arguments: str, env: Mapping[str, str] | None = None, typing: bool = False) -> Iterator[Command]:
        """Run a command without a terminal beside what the test does; it is killed at the end of the block if it still runs."""
        process = subprocess.Popen(
            [str(self.program), *arguments],
            cwd=self.directory,
            env=self.environment(env),
            stdin=subprocess.PIPE if typing else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        command = Command(process, f"terraform {' '.join(arguments)}")
        try:
            yield command
        finally:
            process.kill()  # nothing, when it has ended
            with process:  # lets go of its pipes, also of one that ended by itself and was not asked what it said
                pass

    @contextmanager
    def terminal(self, *arguments: str, env: Mapping[str, str] | None = None) -> Iterator[Terminal]:
        """Run a command at a terminal, where it asks and takes Ctrl-C."""
        child = pexpect.spawn(
            str(self.program),
            list(arguments),
            cwd=str(self.directory),
            env=self.environment(env),
            encoding="utf-8",
            timeout=COMMAND_SECONDS,
            dimensions=(50, 200),
        )
        terminal = Terminal(child)
        try:
            yield terminal
        finally:
            child.close(force=True)

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """What the person's shell holds: nothing of the machine's but the place of its programs.

        No TF_CLI_CONFIG_FILE: with one, terraform reads no credentials that `terraform login` has kept.
        """
        environment = {"SSL_CERT_FILE": str(self.server.authority)} if self.server.authority is not None else {}
        return {
            **environment,
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "TERM": "xterm",
            "CHECKPOINT_DISABLE": "1",
            **(more or {}),
        }


class Command:
    """A command that runs without a terminal."""

    def __init__(self, process: subprocess.Popen[str], name: str) -> None:
        self._process = process
        self._name = name

    def __str__(self) -> str:
        return self._name

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Let it stand still in this block, as on a machine that has no time for it."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def end(self, typed: str | None = None) -> Done:
        """Wait until it has ended, however it does."""
        try:
            output, errors = self._process.communicate(typed, timeout=COMMAND_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            output, errors = self._process.communicate()
            raise AssertionError(f"{self} did not end:\n{output}\n{errors}") from None
        return Done(self._process.returncode, output, errors)


class Terminal:
    """A command that runs at a terminal."""

    def __init__(self, child: pexpect.spawn[str]) -> None:
        self._child = child
        self._read = ""

    def expect(self, text: str) -> None:
        """Wait until it has written `text`, whatever the colours and line breaks in it."""
        self.find(_BETWEEN.join(re.escape(word) for word in text.split()))

    def find(self, pattern: str) -> str:
        """Wait until it has written something that matches; the match. Fails, and shows what it wrote, when it ends before."""
        try:
            self._child.expect(pattern, timeout=EXPECT_SECONDS)
        except (pexpect.EOF, pexpect.TIMEOUT) as failure:
            raise AssertionError(f"terraform said nothing like {pattern}:\n{words(self._read + (self._child.before or ''))}") from failure
        match = self._child.match
        assert isinstance(match, re.Match)
        self._read += (self._child.before or "") + match[0]
        return str(match[0])

    def answer(self, text: str) -> None:
        """Wait for a prompt, and type."""
        self.expect(PROMPT)
        self._child.sendline(text)

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._child.send(CTRL_C)

    def end(self) -> Done:
        """Wait until it has ended."""
        try:
            self._child.expect(pexpect.EOF)
        except pexpect.TIMEOUT as failure:
            raise AssertionError(f"terraform did not end:\n{words(self._read + (self._child.before or ''))}") from failure
        self._read += self._child.before or ""
        self._child.close()
        code = self._child.exitstatus
        return Done(code if code is not None else -(self._child.signalstatus or 0), self._read, "")


def words(text: str) -> str:
    """Text without colours, frames and line breaks, so that a sentence is found however a terminal broke it."""
    return " ".join(_FRAME.sub("", _ANSI.sub("", text.replace("\r\n", "\n"))).split())


def dotted(server: Server) -> str:
    """The server's name in a module's source: terraform takes none for a host that has no dot in it, such as `localhost`."""
    return server.host.replace("localhost", "127.0.0.1")


def services(server: Server) -> str:
    """The CLI configuration that tells terraform where a server without TLS has its services, by either name."""
    return "".join(map(_services, (server.host, dotted(server)), (server.url, server.url)))


def _services(host: str, url: str) -> str:
    api = f"{url}/api/v2/"
    return f"""
host "{host}" {{
  services = {{
    "tfe.v2"       = "{api}"
    "tfe.v2.1"     = "{api}"
    "state.v2"     = "{api}"
    "modules.v1"   = "{api}registry/modules/"
    "providers.v1" = "{api}registry/providers/"
  }}
}}
"""


def cloud(server: Server, workspaces: str) -> str:
    """A `cloud` block; `workspaces` is what stands inside its `workspaces` block."""
    return f"""
terraform {{
  cloud {{
    hostname     = "{server.host}"
    organization = "default"
    workspaces {{
      {workspaces}
    }}
  }}
}}
"""


def remote(server: Server, workspaces: str) -> str:
    """A `backend "remote"` block."""
    return cloud(server, workspaces).replace("cloud {", 'backend "remote" {')


def resources(state: Mapping[str, Any]) -> dict[str, str]:
    """Name of each resource instance in a state, with its status: `good`, or `tainted`."""
    found = {}
    for resource in state["resources"]:
        for instance in resource["instances"]:
            found[f"{resource['name']}{instance.get('index_key', '')}"] = instance.get("status", "good")
    return found
