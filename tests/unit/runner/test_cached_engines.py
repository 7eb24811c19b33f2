"""Engines of the server's cache, as a runner gets and keeps them."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from terrapod_core.runner.cached_engines import UNUSED_SECONDS, CachedEngines, platform
from terrapod_core.runner.client import FETCH_TRIES, Server
from terrapod_core.runner.engines import find
from terrapod_core.runner.failures import Interrupted, NotFetched, PhaseFailed
from terrapod_core.runner.interruption import Interruption, Level
from tests.support.releases import zipped

SCRIPT = b"#!/bin/sh\necho terraform\n"
ZIP = zipped({"terraform": SCRIPT, "LICENSE.txt": b"free\n"})
DIGEST = hashlib.sha256(ZIP).hexdigest()


class Offering:
    """In the place of the server: one engine, and what a fetch brings."""

    def __init__(self) -> None:
        self.content = ZIP
        self.answers: list[Mapping[str, Any]] = []
        self.asked: list[Mapping[str, str]] = []
        self.fetches = 0
        self.failure: Exception | None = None
        self.meanwhile: Callable[[], None] = lambda: None

    @property
    def engine(self) -> dict[str, Any]:
        found = {"tool": "terraform", "version": "1.11.4", "platform": platform(), "sha256": DIGEST, "size": len(ZIP), "link": "/c/x"}
        return {"engine": found, "reason": None, "waiting": False}

    def get(self, path: str, **query: str) -> Mapping[str, Any]:
        assert path == "/engine"
        self.asked.append(query)
        return self.answers.pop(0) if self.answers else self.engine

    def fetch(self, link: str, to: Path, *, limit: int, check: Callable[[], None]) -> None:
        assert (link, limit > len(ZIP)) == ("/c/x", True)
        check()
        self.fetches += 1
        if self.failure is not None:
            raise self.failure
        to.write_bytes(self.content)
        self.meanwhile()


@pytest.fixture
def offering() -> Offering:
    return Offering()


def cached(offering: Offering, tmp_path: Path, interruption: Interruption | None = None) -> CachedEngines:
    return CachedEngines(offering, tmp_path / "cache", platform(), interruption or Interruption())  # type: ignore[arg-type]


def test_an_engine_is_fetched_once_and_kept_for_later_phases(offering: Offering, tmp_path: Path) -> None:
    first = cached(offering, tmp_path).find("terraform", "~> 1.11")
    assert first == (tmp_path / "cache" / DIGEST / "terraform", "1.11.4")
    assert os.access(first[0], os.X_OK)
    assert first[0].read_bytes() == SCRIPT
    os_name, arch = platform().split("_")
    assert offering.asked == [{"tool": "terraform", "version": "~> 1.11", "os": os_name, "arch": arch}]
    assert cached(offering, tmp_path).find("terraform", "1.11.4") == first
    assert offering.fetches == 1
    assert [each.name for each in (tmp_path / "cache").iterdir()] == [DIGEST]


@pytest.mark.parametrize("harm", ["changed", "cut", "gone", "unnoted"])
def test_a_kept_engine_that_is_not_what_it_was_is_fetched_again(offering: Offering, tmp_path: Path, harm: str) -> None:
    found = cached(offering, tmp_path).find("terraform", "latest")
    assert found is not None
    program = found[0]
    if harm == "changed":
        program.write_bytes(b"#!/bin/sh\necho evil\n")
    elif harm == "cut":
        program.write_bytes(SCRIPT[:5])
    elif harm == "gone":
        program.unlink()
    else:
        (program.parent / "sha256").unlink()
    assert cached(offering, tmp_path).find("terraform", "latest") == found
    assert program.read_bytes() == SCRIPT
    assert cached(offering, tmp_path).find("terraform", "latest") == found
    assert offering.fetches == 2


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (ZIP[:-1] + b"x", "the SHA-256 of what came is"),
        (b"", "the SHA-256 of what came is"),
        (b"<html>", "the SHA-256 of what came is"),
    ],
)
def test_what_is_not_what_the_server_verified_is_never_kept(offering: Offering, tmp_path: Path, content: bytes, says: str) -> None:
    offering.content = content
    asked = cached(offering, tmp_path)
    assert asked.find("terraform", "latest") is None
    assert says in asked.reasons[0]
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize(
    ("engine", "says"),
    [
        ({"sha256": "../../etc"}, "the server's answer is none"),
        ({"sha256": None}, "the server's answer is none"),
        ({"tool": "../sh"}, "the server's answer is none"),
    ],
)
def test_an_answer_that_is_none_leads_nowhere(offering: Offering, tmp_path: Path, engine: dict[str, Any], says: str) -> None:
    offering.answers = [{**offering.engine, "engine": {**offering.engine["engine"], **engine}}]
    asked = cached(offering, tmp_path)
    assert asked.find("terraform", "latest") is None
    assert says in asked.reasons[0]
    assert not (tmp_path / "cache").exists()


def test_a_zip_without_the_program_is_refused(offering: Offering, tmp_path: Path) -> None:
    offering.content = zipped({"tofu": SCRIPT})
    digest = hashlib.sha256(offering.content).hexdigest()
    offering.answers = [{**offering.engine, "engine": {**offering.engine["engine"], "sha256": digest}}]
    asked = cached(offering, tmp_path)
    assert asked.find("terraform", "latest") is None
    assert "the zip holds no terraform" in asked.reasons[0]
    assert list((tmp_path / "cache").iterdir()) == []


def test_two_phases_that_fetch_the_same_do_not_meet(offering: Offering, tmp_path: Path) -> None:
    quicker = Offering()

    def meanwhile() -> None:
        assert cached(quicker, tmp_path).find("terraform", "latest") is not None

    offering.meanwhile = meanwhile
    found = cached(offering, tmp_path).find("terraform", "latest")
    assert found is not None
    assert found[0].read_bytes() == SCRIPT
    assert (offering.fetches, quicker.fetches) == (1, 1)
    assert [each.name for each in (tmp_path / "cache").iterdir()] == [DIGEST]


def test_the_server_is_asked_again_while_it_fetches_itself(offering: Offering, tmp_path: Path) -> None:
    offering.answers = [{"engine": None, "reason": None, "waiting": True}] * 3
    assert cached(offering, tmp_path).find("terraform", "latest") is not None
    assert len(offering.asked) == 4


def test_a_run_that_is_cancelled_waits_for_nothing(offering: Offering, tmp_path: Path) -> None:
    interruption = Interruption()
    interruption.request(Level.INTERRUPT)
    with pytest.raises(Interrupted):
        cached(offering, tmp_path, interruption).find("terraform", "latest")
    assert offering.asked == []


def test_what_was_not_used_for_long_is_removed(offering: Offering, tmp_path: Path) -> None:
    old, new = tmp_path / "cache" / ("a" * 64), tmp_path / "cache" / ("b" * 64)
    for each, age in ((old, UNUSED_SECONDS + 3600), (new, UNUSED_SECONDS - 3600)):
        each.mkdir(parents=True)
        then = each.stat().st_mtime - age
        os.utime(each, (then, then))
    assert cached(offering, tmp_path).find("terraform", "latest") is not None
    assert (old.exists(), new.exists()) == (False, True)


def test_the_directory_of_engines_comes_first_then_the_cache_then_the_path(offering: Offering, tmp_path: Path) -> None:
    def program(path: Path, version: str) -> None:
        path.parent.mkdir(parents=True)
        path.write_text(f'#!/bin/sh\necho \'{{"terraform_version": "{version}", "platform": "linux_amd64"}}\'\n')
        path.chmod(0o755)

    def look(version: str) -> Path:
        return find(
            "terraform",
            version,
            engines_dir=tmp_path / "engines",
            search_path=str(tmp_path / "path"),
            interruption=Interruption(),
            cached=cached(offering, tmp_path),
        ).path

    program(tmp_path / "engines/terraform", "1.10.0")
    program(tmp_path / "path/terraform", "1.9.0")
    assert look("latest") == tmp_path / "engines/terraform"
    assert offering.asked == []
    assert look("1.11.4") == tmp_path / "cache" / DIGEST / "terraform"
    offering.answers = [{"engine": None, "reason": "terraform has no version 1.9.0", "waiting": False}]
    assert look("1.9.0") == tmp_path / "path/terraform"
    offering.answers = [{"engine": None, "reason": "this server is sealed", "waiting": False}]
    with pytest.raises(PhaseFailed) as failed:
        look("1.8.0")
    assert "was found in the engines directory" in failed.value.message
    assert ", the server's binary cache and PATH" in failed.value.message
    assert "The binary cache has none: this server is sealed." in failed.value.message


class Store(ThreadingHTTPServer):
    """Answers with what `answers` holds, by path, and remembers what was shown to it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.shown: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Answering(BaseHTTPRequestHandler):
    server: Store

    def do_GET(self) -> None:
        self.server.shown.append((self.path, self.headers["Authorization"]))
        status, headers, body = self.server.answers.get(self.path, (404, {}, b"{}"))
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def stores() -> Iterator[tuple[Store, Store]]:
    made = (Store(), Store())
    for each in made:
        threading.Thread(target=each.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield made
    for each in made:
        each.shutdown()
        each.server_close()


def fetched(store: Store, to: Path, limit: int = 1000) -> bytes:
    server = Server(f"{store.url}/base", "tok", "plan-1", certificate=None)
    server.fetch("/c/link", to, limit=limit, check=lambda: None)
    return to.read_bytes()


def test_a_link_is_followed_to_the_store_and_nothing_of_ours_is_shown(stores: tuple[Store, Store], tmp_path: Path) -> None:
    own, other = stores
    own.answers["/base/c/link"] = (302, {"Location": f"{other.url}/bucket/zip?signature=x"}, b"")
    other.answers["/bucket/zip?signature=x"] = (200, {}, b"the zip")
    assert fetched(own, tmp_path / "zip") == b"the zip"
    assert (own.shown, other.shown) == ([("/base/c/link", None)], [("/bucket/zip?signature=x", None)])


@pytest.mark.parametrize(
    ("answer", "says", "times"),
    [
        ((404, {}, b'{"errors": [{"detail": "this link is over"}]}'), "the answer is 404: this link is over", 1),
        ((503, {}, b""), "the answer is 503", FETCH_TRIES),
        ((200, {"Content-Length": "20"}, b"short"), "the answer ended after 5 of 20 bytes|IncompleteRead", FETCH_TRIES),
        ((200, {}, b"x" * 1001), "it is larger than 1000 bytes", 1),
        ((302, {"Location": "/base/c/link"}, b""), "it leads from one address to the next", 4),
        ((302, {"Location": "file:///etc/passwd"}, b""), "no address of the web", 1),
        ((302, {}, b""), "it leads from one address to the next", 4),
    ],
)
def test_a_link_that_leads_to_no_file_is_given_up(
    stores: tuple[Store, Store], tmp_path: Path, answer: tuple[int, dict[str, str], bytes], says: str, times: int
) -> None:
    stores[0].answers["/base/c/link"] = answer
    with pytest.raises(NotFetched, match=says):
        fetched(stores[0], tmp_path / "zip")
    assert len(stores[0].shown) == times
