"""A place where terraform stops until the test lets it go on: no sleeping, on either side."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from tests.support.waiting import until


class Gate:
    """A pipe in the file system: whoever reads it waits until the gate is opened; then it is an ordinary file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self._writer: int | None = None

    @property
    def plan(self) -> str:
        """An expression at which a plan stops."""
        return f'file("{self.path}")'

    @property
    def command(self) -> str:
        """A shell command at which an apply stops."""
        return f"cat {self.path}"

    def wait(self) -> None:
        """Return when somebody stands before the gate."""
        until(self.is_reached, f"somebody to read {self.path}")

    def open(self) -> None:
        """Let those pass who stand before the gate, and everybody who comes later."""
        if self._writer is None:
            self.wait()
        assert self._writer is not None
        passed = self.path.with_name(self.path.name + ".open")
        passed.write_text("passed\n")
        passed.replace(self.path)
        os.write(self._writer, b"passed\n")
        self.close()

    def close(self) -> None:
        """Let go of the pipe: whoever still reads it finds its end."""
        if self._writer is not None:
            os.close(self._writer)
            self._writer = None

    def is_reached(self) -> bool:
        """Whether somebody stands before the gate."""
        if self._writer is None:
            try:
                self._writer = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno != errno.ENXIO:  # nobody reads it yet
                    raise
                return False
        return True
