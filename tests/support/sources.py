"""The files of the checkout as house tests see them: what git holds or would take."""

from __future__ import annotations

import ast
import functools
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support import ROOT

PLUGINS = sorted(path.parent for path in (ROOT / "plugins").glob("*/pyproject.toml"))


@functools.cache
def committed() -> tuple[Path, ...]:
    """Every file that git tracks, or would with `git add .`, relative to the checkout."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return tuple(sorted(Path(name) for name in set(names) if name and (ROOT / name).is_file()))


def is_product(path: Path) -> bool:
    """Whether a file is code that is shipped or run by users, and not a test."""
    return path.suffix == ".py" and "tests" not in path.parts and path.parts[0] in ("terrapod_core", "plugins", "contrib")


def text(path: Path) -> str | None:
    """A committed file's text; None for a binary one."""
    try:
        return (ROOT / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


@functools.cache
def tree(path: Path) -> ast.Module:
    """The parsed form of a committed Python file."""
    return ast.parse((ROOT / path).read_bytes(), filename=str(path))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Each line and absolute module name that a Python file imports, those for type checkers included.

    `from a import b` gives both `a` and `a.b`: only the import system could tell whether b is a module.
    """
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(path.with_suffix("").parts[: -node.level]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            yield node.lineno, module
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
