"""What a committed file may hold, and how large code may grow."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.sources import committed, is_product, text, tree

Function = ast.FunctionDef | ast.AsyncFunctionDef

LONGEST_FUNCTION = 60
LONGEST_FILE = 450

# Put together here, so that this file does not hold what it looks for.
MACHINE_PATHS = [rf"(?<![\w./-])/{name}/" for name in ("work", "root", "farm", r"home/\w+", r"Users/\w+")] + [r"\.\./sha" + "red/"]
REGISTRY_HOSTS = [
    name.replace("@", r"\.")
    for name in ("pypi@org", "pythonhosted@org", "npmjs@(org|com)", "deb@debian@org", "crates@io", "proxy@golang@org")
]
SECRETS = [
    r"\bAKIA[0-9A-Z]{16}\b",
    r"\bgh[pousr]_(?!16C7e42F)[A-Za-z0-9]{36}\b",  # but for the example of GitHub's own description of its API
    r"\bglpat-[\w-]{20}\b",
    r"\bxox[abp]-[\w-]{10,}",
    r"\b[A-Za-z0-9]{14}\.atlasv1\.[\w-]{60,}",
    r"-----BEGIN [A-Z ]*PRIVATE" + " KEY-----",
]
UNFINISHED = [r"\b(TO" + r"DO|FIX" + r"ME|XXX|HACK)\b", r"\bNotImplemented" + r"Error\b"]


@pytest.mark.parametrize(
    ("what", "patterns"),
    [("a path of somebody's machine", MACHINE_PATHS), ("a package registry's host", REGISTRY_HOSTS), ("a secret", SECRETS)],
    ids=["machine-path", "registry-host", "secret"],
)
def test_no_committed_file_holds(what: str, patterns: list[str]) -> None:
    found = [place for path in committed() for place in search(path, patterns)]
    assert not found, f"{what} would be committed:\n" + "\n".join(found)


def test_product_code_is_finished() -> None:
    found = [place for path in committed() if is_product(path) for place in search(path, UNFINISHED)]
    assert not found, "finish it, or leave it out:\n" + "\n".join(found)


def test_functions_are_taken_in_at_a_glance() -> None:
    found = [
        f"{path}:{node.lineno} {node.name}: {own_length(node)} lines"
        for path in committed()
        if is_product(path) and "migrations" not in path.parts  # a migration is a list, written once
        for node in ast.walk(tree(path))
        if isinstance(node, Function) and own_length(node) > LONGEST_FUNCTION
    ]
    assert not found, f"longer than {LONGEST_FUNCTION} lines:\n" + "\n".join(found)


def test_files_hold_one_idea() -> None:
    sizes = {path: len((text(path) or "").splitlines()) for path in committed() if is_product(path) and "migrations" not in path.parts}
    found = [f"{path}: {lines} lines" for path, lines in sizes.items() if lines > LONGEST_FILE]
    assert not found, f"longer than {LONGEST_FILE} lines:\n" + "\n".join(found)


def own_length(function: Function) -> int:
    """A function's lines without those of the functions inside it: a blueprint factory is as long as its table of handlers."""
    inner: list[Function] = []
    waiting = list(ast.iter_child_nodes(function))
    while waiting:
        node = waiting.pop()
        if isinstance(node, Function):
            inner.append(node)
        else:
            waiting += ast.iter_child_nodes(node)
    return length(function) - sum(length(node) for node in inner)


def length(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def search(path: Path, patterns: list[str]) -> Iterator[str]:
    pattern = re.compile("|".join(f"(?:{part})" for part in patterns))
    for number, line in enumerate((text(path) or "").splitlines(), 1):
        if pattern.search(line):
            yield f"{path}:{number} {line.strip()[:100]}"
