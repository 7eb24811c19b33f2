"""Where a phase's engine runs, and what it sees there: in a sandbox, or beside this program as what this program is."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from .engines import Engine
from .process import Start
from .sandbox import INSIDE, SHARED_MEMORY, TEMPORARY, Sandbox, Shown
from .workdir import Layout, write_new


class Room:
    """Without a sandbox everything is seen where it is, and belongs to whom it belongs."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root)
        self.layout.create()
        self.temporary = Path(tempfile.mkdtemp(prefix="tp-", dir="/tmp"))  # short: providers put their sockets there
        """The engine's TMPDIR, as it sees it."""

    def give(self, *paths: Path) -> None:
        """Let the engine have these files and directories."""

    def carrying_out(self, engine: Engine, arguments: Sequence[str], *, relative: Path, env: Mapping[str, str]) -> Start:
        """A command that carries out the configuration; `relative` is the working directory in it."""
        return Start((str(engine.path), *arguments), cwd=self.layout.configuration / relative, env=env)

    def reading(self, engine: Engine, arguments: Sequence[str], *, relative: Path, env: Mapping[str, str], network: bool = True) -> Start:
        """A command that only reads the configuration and the saved plan."""
        return self.carrying_out(engine, arguments, relative=relative, env=env)

    def close(self) -> None:
        """No command follows."""
        shutil.rmtree(self.temporary, ignore_errors=True)


class SandboxedRoom(Room):
    """Every command in a sandbox of its own."""

    def __init__(self, root: Path, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.layout = Layout(root, INSIDE)
        self.layout.create()
        self.temporary = TEMPORARY
        self._write_accounts(os.geteuid() if sandbox.user is None else sandbox.user)

    def _write_accounts(self, user: int) -> None:
        """ssh and git look up who they are, and refuse to be nobody."""
        lines = {
            "passwd": f"root:x:0:0:root:/:/bin/sh\nterrapod:x:{user}:{user}:terrapod:{self.layout.seen(self.layout.home)}:/bin/sh\n",
            "group": f"root:x:0:\nterrapod:x:{user}:\n",
        }
        for path in self.layout.accounts.values():
            write_new(path, lines[path.name])
            self.give(path)

    def give(self, *paths: Path) -> None:
        """Make its user their owner, where that is another than ours."""
        self._sandbox.give(*paths)

    def carrying_out(self, engine: Engine, arguments: Sequence[str], *, relative: Path, env: Mapping[str, str]) -> Start:
        """Writes into configuration, its own directory and `/tmp`; sees what it was given, and a saved plan when it shall be applied."""
        layout = self.layout
        shown = [
            Shown(layout.temporary, TEMPORARY, writable=True),
            Shown(layout.shared_memory, SHARED_MEMORY, writable=True),
            self._shown(layout.configuration, writable=True),
            self._shown(layout.engine, writable=True),
            self._shown(layout.given),
        ]
        if layout.plan_file.exists():
            shown.append(self._shown(layout.plan_file))
        return self._start(engine, arguments, shown, relative=relative, env=env)

    def reading(self, engine: Engine, arguments: Sequence[str], *, relative: Path, env: Mapping[str, str], network: bool = True) -> Start:
        """Writes nowhere but in memory, and sees no variable and no token; without `network` it reaches nobody."""
        shown = [self._shown(self.layout.configuration), self._shown(self.layout.plan_file)]
        return self._start(engine, arguments, shown, relative=relative, env={**env, "HOME": str(TEMPORARY)}, network=network)

    def _start(
        self,
        engine: Engine,
        arguments: Sequence[str],
        shown: list[Shown],
        *,
        relative: Path,
        env: Mapping[str, str],
        network: bool = True,
    ) -> Start:
        layout = self.layout
        program = engine.path.resolve()
        if not self._sandbox.sees(program):
            program, shown = INSIDE / "bin" / engine.tool, [*shown, Shown(program, INSIDE / "bin" / engine.tool)]
        shown += [self._shown(layout.cli_config), *(Shown(path, Path(inside)) for inside, path in layout.accounts.items())]
        cwd = layout.seen(layout.configuration) / relative
        return self._sandbox.start((str(program), *arguments), cwd=cwd, env=env, shown=shown, network=network)

    def _shown(self, path: Path, *, writable: bool = False) -> Shown:
        return Shown(path, self.layout.seen(path), writable)

    def close(self) -> None:
        """What there was lies in the work directory."""
