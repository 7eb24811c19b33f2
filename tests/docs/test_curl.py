"""The curl commands of the guides: curl takes their addresses as they stand, and the server answers there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support import ROOT
from tests.support.routes import routes
from tests.support.sources import committed

BLOCK = re.compile(r"^ *```(?:sh|bash|console|shell)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
VARIABLE = re.compile(r"\$\{?\w+\}?")
API = ("$API", "$TERRAPOD")
"""What the guides call the address of `/api/v2`."""
OURS = ("localhost:8080", "terrapod.example.com")
METHODS = ("-X", "--request")
VALUED = {"-X", "--request", "-H", "--header", "-d", "--data", "--data-binary", "-o", "--output", "-u", "--user", "--cacert"}


def commands(page: Path) -> Iterator[list[str]]:
    """The words of every curl command of a page."""
    for block in BLOCK.findall(page.read_text()):
        for start in re.finditer(r"\bcurl\s", block):
            yield _words(block[start.start() :])


def _words(text: str) -> list[str]:
    """Those of the first command of a text, as a shell reads them: up to a pipe, a bracket that closes, or the line's end."""
    lexer = shlex.shlex(text.replace("\\\n", " "), posix=True, punctuation_chars="|;)&\n")
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t", True, ""
    words: list[str] = []
    for word in lexer:
        if set(word) <= set("|;)&\n"):
            break
        words.append(word)
    return words


def address(words: list[str]) -> str:
    """What is asked for."""
    rest = iter(words[1:])
    for word in rest:
        if word in VALUED:
            next(rest)
        elif not word.startswith("-"):
            return word
    raise AssertionError(f"no address in {words}")


ALL = [(str(page), words) for page in committed() if page.suffix == ".md" for words in commands(ROOT / page)]


def test_there_are_curl_commands() -> None:
    assert len(ALL) >= 10


@pytest.mark.parametrize(("page", "words"), ALL, ids=lambda value: value if isinstance(value, str) else address(value)[-40:])
def test_curl_takes_the_address_as_it_stands(page: str, words: list[str]) -> None:
    """It reads brackets and braces as patterns: `curl: (3) bad range in URL position …`."""
    globs = not any(word == "--globoff" or re.fullmatch(r"-[a-zA-Z]*g[a-zA-Z]*", word) for word in words)
    assert not (globs and re.search(r"[\[\]{}]", VARIABLE.sub("", address(words)))), f"{page}: give -g to {' '.join(words)}"


def test_the_server_answers_where_curl_asks(tmp_path: Path) -> None:
    patterns = [(method, re.compile(re.sub(r"<\w+>", "[^/]+", re.sub(r"([.])", r"\\\1", path)))) for method, path in routes(tmp_path)]
    missing = []
    for page, words in ALL:
        url = address(words)
        for name in API:
            url = url.replace(name, "http://localhost:8080/api/v2")
        asked = urlsplit(url)
        if asked.netloc not in OURS:
            continue
        method = next((words[i + 1] for i, word in enumerate(words) if word in METHODS), "GET")
        if not any(method == one and pattern.fullmatch(asked.path) for one, pattern in patterns):
            missing.append(f"{page}: {method} {asked.path}")
    assert not missing
