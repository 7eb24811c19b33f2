"""Runs the command and reads what it prints.

What it prints are keys: standard output goes into `Keys` and nowhere else. Standard error is for people and is shown when the
command fails, without whatever stood on standard output too.
"""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic
from typing import Final

from terrapod_core.plugin import KeyringError, Keys

MOST_BYTES: Final = 64 * 1024
"""Of standard output: some thousand keys."""

SHOWN: Final = 400
"""Characters of standard error that an error repeats, from its end."""

_SETTING: Final = "TERRAPOD_KEYS__COMMAND__COMMAND"


class CommandKeys:
    """The key provider `command`."""

    name = "command"
    live = True

    def __init__(self, command: Sequence[str], timeout_seconds: float) -> None:
        self._command = tuple(command)
        self._timeout = timeout_seconds

    @property
    def where(self) -> str:
        """The program alone: an argument may say more than the log should know."""
        return f"the output of the command {self._command[0]}" if self._command else f"a command that {_SETTING} names"

    def keys(self) -> Keys:
        if not self._command:
            raise KeyringError(
                f"secrets.provider is command, and no command is set: name it in [keys.command] command, or in {_SETTING} with commas "
                "between program and arguments."
            )
        output = self._run()
        try:
            text = output.decode("ascii")
        except UnicodeDecodeError:
            raise KeyringError(f"{self._named} printed something that is no text of id:base64key lines.") from None
        return Keys.read(text, self.where)

    @property
    def _named(self) -> str:
        return f"The command {self._command[0]}, which gives the keys,"

    def _run(self) -> bytes:
        try:
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={name: value for name, value in os.environ.items() if not name.startswith("TERRAPOD_")},
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            raise KeyringError(f"{self._named} cannot be run: {why}.") from None
        with process:
            try:
                output, said = self._listen(process)
            except BaseException:
                self._kill(process)
                raise
        if process.returncode != 0:
            raise KeyringError(f"{self._named} failed with exit code {process.returncode}{_shown(said, output)}.")
        return output

    def _listen(self, process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
        """Standard output, whole, and the end of standard error; never more than a little of what a program gone wild prints."""
        assert process.stdout is not None
        assert process.stderr is not None
        heard = {process.stdout: bytearray(), process.stderr: bytearray()}
        end = monotonic() + self._timeout
        with selectors.DefaultSelector() as waiting:
            for pipe in heard:
                waiting.register(pipe, selectors.EVENT_READ)
            while waiting.get_map() and monotonic() < end:
                for ready, _ in waiting.select(end - monotonic()):
                    piece = os.read(ready.fd, MOST_BYTES)
                    if not piece:
                        waiting.unregister(ready.fileobj)
                    heard[ready.fileobj] += piece  # type: ignore[index]
                del heard[process.stderr][:-MOST_BYTES]
                if len(heard[process.stdout]) > MOST_BYTES:
                    raise KeyringError(f"{self._named} printed more than {MOST_BYTES} bytes, which cannot be keys.")
            unfinished = bool(waiting.get_map())
        try:
            process.wait(0 if unfinished else max(0.0, end - monotonic()))
        except subprocess.TimeoutExpired:
            unfinished = True
        if unfinished:
            raise KeyringError(f"{self._named} did not end within {self._timeout:g} s (keys.command.timeout_seconds).")
        return bytes(heard[process.stdout]), bytes(heard[process.stderr])

    @staticmethod
    def _kill(process: subprocess.Popen[bytes]) -> None:
        """The program and whatever it started."""
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _shown(said: bytes, output: bytes) -> str:
    """The end of standard error on one line, for a sentence; what stood on standard output too is blotted out."""
    text = " ".join(said.decode("utf-8", "replace").split())
    for word in {word for word in re.split(r"[\s:,\"']+", output.decode("utf-8", "replace")) if len(word) >= 8}:
        text = text.replace(word, "********")
    text = "".join(each if each.isprintable() else "?" for each in text)[-SHOWN:]
    return f": {text}" if text else ""
