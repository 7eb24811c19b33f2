"""From the files of a module's archive to what is known of it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Final, TypeVar

from . import licence, readme
from .description import describe, in_order, parse
from .structs import Configuration, Licence, ModuleContents, Problem, Readme
from .syntax import Block, NotConfiguration
from .tree import PROBLEMS, Tree, is_configuration, is_licence, is_readme

T = TypeVar("T")

CPU_SECONDS: Final = 20.0
"""What all files of configuration together may take to be parsed; the module comes first, then submodules, then examples."""
AGAIN_SECONDS: Final = 0.5
"""The alarm comes again until it is heard: where Python calls back from C, such as in its garbage collector, it is not."""
DIRECTORIES: Final = 200
"""Submodules, and examples, that are described."""


class _OutOfTime(BaseException):
    """Comes at any moment, and nothing on the way may take it for a failure of its own."""


def understand(tree: Tree) -> ModuleContents:
    """Everything that is known. What cannot be read is a problem that is told, and no reason to refuse the module."""
    return _Understanding(tree).all()


class _Understanding:
    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._problems = [Problem(file=path, detail=f"not read: {why}") for path, why in sorted(tree.unread.items())]
        self._by_directory: dict[str, list[str]] = {}
        for path in sorted(tree.files):
            directory, _, name = path.rpartition("/")
            self._by_directory.setdefault(directory, []).append(name)
        self._left = CPU_SECONDS

    def all(self) -> ModuleContents:
        module = self._configuration("")
        submodules = [self._configuration(path) for path in self._below("modules")]
        examples = [self._configuration(path) for path in self._below("examples")]
        return ModuleContents(
            wrapper=self._tree.wrapper,
            module=module,
            submodules=submodules,
            examples=examples,
            licence=self._licence(),
            problems=self._problems[:PROBLEMS],
        )

    def _below(self, kind: str) -> list[str]:
        """Directories `kind/<name>` that hold configuration."""
        paths = [
            path
            for path, names in self._by_directory.items()
            if path.startswith(kind + "/") and path.count("/") == 1 and any(map(is_configuration, names))
        ]
        if len(paths) > DIRECTORIES:
            self._problem(kind, f"of {len(paths)} directories in it the first {DIRECTORIES} are described")
        return sorted(paths)[:DIRECTORIES]

    def _configuration(self, path: str) -> Configuration:
        names = self._by_directory.get(path, [])
        files: dict[str, list[Block]] = {}
        for name in in_order([name for name in names if is_configuration(name)]):
            files[name] = self._parsed(f"{path}/{name}" if path else name) or []
        found = describe(path, files)
        found.readme = self._readme(path, names)
        return found

    def _parsed(self, path: str) -> list[Block] | None:
        return self._bounded(path, lambda: parse(path.rpartition("/")[2], self._tree.files[path]))

    def _readme(self, path: str, names: Sequence[str]) -> Readme | None:
        """Of several the Markdown one."""
        chosen = min(filter(is_readme, names), key=lambda name: (not name.lower().endswith((".md", ".markdown")), name), default=None)
        if chosen is None:
            return None
        file = f"{path}/{chosen}" if path else chosen
        content = self._tree.files[file]
        if len(content) > readme.READ_BYTES:
            self._problem(file, f"only its first {readme.READ_BYTES} bytes are shown")
        return self._bounded(file, lambda: readme.read(file, content))

    def _licence(self) -> Licence | None:
        file = min(filter(is_licence, self._by_directory.get("", [])), default=None)
        return Licence(file=file, spdx=licence.identifier(self._tree.files[file])) if file is not None else None

    def _bounded(self, path: str, act: Callable[[], T]) -> T | None:
        """What `act` gives, or `None` and a problem."""
        try:
            with self._clock():
                return act()
        except NotConfiguration as problem:
            self._problem(path, str(problem))
        except _OutOfTime:
            self._left = 0.0  # the alarm's clock may be some milliseconds ahead
            self._problem(path, "not read: it, or what was read before it, takes too long to be understood")
        except RecursionError:
            self._problem(path, "not read: it is nested too deeply")
        except MemoryError:
            self._problem(path, "not read: it takes too much memory to be understood")
        return None

    @contextmanager
    def _clock(self) -> Iterator[None]:
        """Let what is inside take what is left of the time, of this process's on a processor; raises `_OutOfTime`."""
        if self._left <= 0:
            raise _OutOfTime
        begun = time.process_time()
        signal.signal(signal.SIGPROF, _ring)
        signal.setitimer(signal.ITIMER_PROF, self._left, AGAIN_SECONDS)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            self._left -= time.process_time() - begun

    def _problem(self, file: str, detail: str) -> None:
        self._problems.append(Problem(file=file, detail=detail))


def _ring(_signal: int, _frame: FrameType | None) -> None:
    raise _OutOfTime
