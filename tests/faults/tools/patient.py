"""A client that asks again as a sensible one does, and a journal of every request that failed and every moment one was answered."""

from __future__ import annotations

import bisect
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from tests.support.server import Server
from tests.support.wire import JSON_API

PATIENCE_SECONDS: Final = 90.0
"""How long one thing is tried."""
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 2.0
ANSWER_SECONDS: Final = 30.0


class GivenUp(Exception):
    """It was refused, or tried for too long: a broken promise."""


@dataclass(frozen=True)
class Failure:
    """One request that was not answered as it should be."""

    at: float
    """When it failed, by `time.monotonic`."""
    began: float
    who: str
    what: str
    unsent: bool
    """The connection was refused, or closed before a byte of the answer: whoever asks again loses nothing."""


@dataclass
class Journal:
    """Shared by all clients; its times are those of `time.monotonic`."""

    failures: list[Failure] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """Sentences about promises that were seen to be broken."""
    _answered: list[float] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def requests(self) -> int:
        """How many were answered well, or refused as was to be expected."""
        return len(self._answered)

    def succeeded(self) -> None:
        """A request was answered."""
        with self._lock:
            self._answered.append(time.monotonic())

    def failed(self, failure: Failure) -> None:
        """A request was not."""
        with self._lock:
            self.failures.append(failure)

    def breaks(self, sentence: str) -> None:
        """A promise is broken."""
        with self._lock:
            self.broken.append(sentence)

    def first_answer_after(self, moment: float) -> float | None:
        """When the first request after this moment was answered."""
        with self._lock:
            place = bisect.bisect_right(self._answered, moment)
            return self._answered[place] if place < len(self._answered) else None


class Patient:
    """Asks the site as the bootstrap admin; a context, which hangs up at its end."""

    def __init__(self, server: Server, who: str, journal: Journal) -> None:
        self.who = who
        self.journal = journal
        headers = {"Accept": JSON_API, "Content-Type": JSON_API, "Authorization": f"Bearer {server.token}"}
        self._api = httpx.Client(base_url=f"{server.url}/api/v2/", headers=headers, timeout=ANSWER_SECONDS, trust_env=False)
        self._links = httpx.Client(timeout=ANSWER_SECONDS, trust_env=False)

    def __enter__(self) -> Patient:
        return self

    def __exit__(self, *_: object) -> None:
        self._api.close()
        self._links.close()

    def get(self, path: str, **query: Any) -> Any:
        """The `data` of an answer."""
        return self.ask("GET", path, query=query).json()["data"]

    def ask(self, method: str, path: str, document: object = None, *, query: Any = None, bears: tuple[int, ...] = ()) -> httpx.Response:
        """A success, or one of the refusals that the caller bears: an earlier try may have done what is asked, and its answer was lost."""
        return self._try(self._api, method, path, bears, json=document, params=query)

    def download(self, link: str, **query: Any) -> bytes:
        """What is behind a link that needs no token."""
        return self._try(self._links, "GET", link, (), params=query, follow_redirects=True).content

    def upload(self, link: str, content: bytes) -> None:
        """Bring bytes to a link that needs no token."""
        self._try(self._links, "PUT", link, (), content=content, headers={"Content-Type": "application/octet-stream"})

    def _try(self, client: httpx.Client, method: str, path: str, bears: tuple[int, ...], **options: Any) -> httpx.Response:
        end, pause = time.monotonic() + PATIENCE_SECONDS, FIRST_PAUSE
        name = f"{method} {path.partition('/api/')[2] or path}".partition("?")[0][:120]
        while True:
            began, wait = time.monotonic(), pause
            try:
                answer = client.request(method, path, **options)
            except httpx.TransportError as error:
                self.journal.failed(Failure(time.monotonic(), began, self.who, f"{name}: {error!r}", is_unsent(error)))
            else:
                if answer.status_code < 500:
                    self.journal.succeeded()
                    if answer.is_success or answer.status_code in bears:
                        return answer
                    raise GivenUp(f"{name} -> {answer.status_code}: {answer.text[:400]}")
                text = f"{name} -> {answer.status_code}: {answer.text[:300]}"
                self.journal.failed(Failure(time.monotonic(), began, self.who, text, unsent=False))
                wait = max(pause, float(answer.headers.get("Retry-After", 0)))
            if time.monotonic() + wait > end:
                raise GivenUp(f"{name} was not answered for {PATIENCE_SECONDS:g} s")
            time.sleep(wait)
            pause = min(2 * pause, LONGEST_PAUSE)


def is_unsent(error: httpx.TransportError) -> bool:
    """Whether the connection was gone before an answer began."""
    text = str(error)
    gone = isinstance(error, httpx.RemoteProtocolError) and "without sending a response" in text
    return gone or isinstance(error, httpx.ConnectError | httpx.WriteError) or (isinstance(error, httpx.ReadError) and "reset" in text)
