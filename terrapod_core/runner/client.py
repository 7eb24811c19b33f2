"""The phase protocol's client: patient with a server that is away, quick to stop when the phase is not ours any more."""

from __future__ import annotations

import http.client
import json
import random
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast
from urllib.parse import quote, urlencode, urljoin, urlsplit

from .failures import NotFetched, PhaseFailed, PhaseGone, Refused
from .notes import note

T = TypeVar("T")

PATIENCE = 24 * 3600.0
"""Seconds to wait for a server that does not answer; the engine runs on meanwhile."""
TIMEOUT = 60.0
"""Seconds a single answer may take before the request is repeated; every request is safe to repeat."""
FETCH_TRIES = 3
"""Of one file that a link leads to: whoever wants it can do without."""
REDIRECTS = 3
LEASE_TIMEOUT = 20.0
"""The same for what holds the lease: a connection that died without a word must not cost it, and it lasts 60 seconds."""


class _Away(Exception):
    """The server did not answer, or answered that it cannot for the moment."""


class Server:
    """One phase's view of the server; may be used by several threads, each has its own connection.

    `on_gone` hears about a `PhaseGone` before it is raised, whichever thread met it.
    """

    def __init__(
        self, url: str, token: str, phase_id: str, *, certificate: str | None, on_gone: Callable[[PhaseGone], None] = lambda _: None
    ) -> None:
        parts = urlsplit(url)
        self._secure = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._secure else 80)
        self._url = f"{parts.scheme}://{parts.netloc}"
        self._path = parts.path.rstrip("/")
        self._base = f"{self._path}/api/runner/v1/phases/{quote(phase_id, safe='')}"
        self._authorization = f"Bearer {token}"
        self._certificate = certificate
        self._on_gone = on_gone
        self._traced: dict[str, str] = {}
        self._own = threading.local()

    def follow(self, traceparent: str) -> None:
        """From now on say with each request that it belongs to this span (W3C's `traceparent`)."""
        self._traced = {"traceparent": traceparent}

    def get(self, path: str, **query: str) -> Mapping[str, Any]:
        """GET a JSON object. Raises `PhaseGone`, `Refused`."""
        return self._patiently(lambda: self._call("GET", f"{path}?{urlencode(query)}", b"", "application/json"))

    def post(self, path: str, document: Mapping[str, object]) -> Mapping[str, Any]:
        """POST a JSON document; the answer's JSON object, empty for a 204. Raises `PhaseGone`, `Refused`."""
        body = json.dumps(document).encode()
        return self._patiently(lambda: self._call("POST", path, body, "application/json"))

    def hold(self, path: str, document: Mapping[str, object]) -> Mapping[str, Any]:
        """The same for a request that holds the lease, and cannot wait for its answer that long."""
        self._own.timeout = LEASE_TIMEOUT
        try:
            return self.post(path, document)
        finally:
            self._own.timeout = TIMEOUT

    def put(self, path: str, body: bytes | Path, **query: str | int) -> Mapping[str, Any]:
        """PUT raw bytes, or a file's content as it is now; the answer's JSON object. Raises `PhaseGone`, `Refused`."""
        target = f"{path}?{urlencode(query)}" if query else path
        return self._patiently(lambda: self._put(target, body))

    def download(self, path: str, to: Path) -> bool:
        """GET into a file of ours, whole or not at all; false for a 204. Raises `PhaseGone`, `Refused`."""
        return self._patiently(lambda: self._download(path, to))

    def fetch(self, link: str, to: Path, *, limit: int, check: Callable[[], None]) -> None:
        """GET what a link of the server's gives, a path below its base, or leads to: the store, perhaps. Nothing of ours is shown there.

        Tried a few times, and no longer. Raises `NotFetched`, and whatever `check` does, which is asked between pieces.
        """
        for left in reversed(range(FETCH_TRIES)):
            try:
                self._follow(self._path + link, to, limit, check)
                break
            except (OSError, http.client.HTTPException, _Away) as error:
                if not left:
                    raise NotFetched(f"{type(error).__name__}: {error}") from error
                note(f"a download broke off and is tried again: {type(error).__name__}: {error}")

    def _follow(self, path: str, to: Path, limit: int, check: Callable[[], None]) -> None:
        url = self._url + path
        for _ in range(REDIRECTS + 1):
            parts = urlsplit(url)
            own = url.startswith(self._url + "/")
            host, port = (self._host, self._port) if own else (parts.hostname or "", parts.port)
            connection = self._connect(host, port, secure=parts.scheme == "https", own=own)
            try:
                connection.request("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path)
                response = connection.getresponse()
                if response.status not in (301, 302, 303, 307, 308):
                    return _kept(response, to, limit, check)
                url = urljoin(url, response.headers.get("Location", ""))
            finally:
                connection.close()
            if not url.startswith(("http://", "https://")):
                raise NotFetched("it leads to what is no address of the web")
        raise NotFetched("it leads from one address to the next")

    def _put(self, target: str, body: bytes | Path) -> Mapping[str, Any]:
        if isinstance(body, bytes):
            return self._call("PUT", target, body, "application/octet-stream")
        try:
            file, size = body.open("rb"), body.stat().st_size
        except OSError as error:  # ours, not the server's: waiting would not help
            raise PhaseFailed(f"{body} cannot be read: {error.strerror}.") from error
        with file:
            return self._call("PUT", target, file, "application/octet-stream", size)

    def _call(self, method: str, path: str, body: bytes | BinaryIO, content_type: str, length: int | None = None) -> Mapping[str, Any]:
        headers = {"Content-Type": content_type}
        if length is not None:
            headers["Content-Length"] = str(length)
        response = self._send(method, path, body, headers)
        raw = response.read()
        if not raw:
            return {}
        document = json.loads(raw)
        return document if isinstance(document, dict) else {}

    def _download(self, path: str, to: Path) -> bool:
        response = self._send("GET", path, None, {})
        if response.status == 204:
            response.read()
            return False
        expected = response.length
        received = 0
        with _opened(to) as file:
            while chunk := response.read(1 << 18):
                received += _written(file, chunk)
        if expected is not None and received != expected:
            raise _Away(f"the answer ended after {received} of {expected} bytes")
        return True

    def _send(self, method: str, path: str, body: bytes | BinaryIO | None, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        """One exchange; a status other than 2xx raises."""
        connection = self._connection()
        try:
            sent = {"Authorization": self._authorization, **self._traced, **headers}
            connection.request(method, self._base + path, body=body, headers=sent)
        except (BrokenPipeError, ConnectionResetError):
            # A server that refuses a body closes before reading all of it: its answer may still be there.
            if connection.sock is None:
                raise
        response = connection.getresponse()
        if 200 <= response.status < 300:
            return response
        raise self._refusal(response, response.read(1 << 20))

    def _refusal(self, response: http.client.HTTPResponse, raw: bytes) -> Exception:
        status = response.status
        if status >= 500 or status in (408, 429) or 300 <= status < 400:
            return _Away(f"the server answered {status}")
        detail, meta = _explain(raw)
        if status in (401, 404):
            return PhaseGone(detail or f"the server answered {status}: the phase is not this runner's any more")
        if status == 409 and meta.get("lost"):
            return PhaseGone(detail or "the lease of this phase was lost", lost=True)
        size = meta.get("size")
        return Refused(status, detail or f"the server answered {status}", size=size if isinstance(size, int) else None)

    def _patiently(self, exchange: Callable[[], T]) -> T:
        waited, pause, deadline = False, 0.2, time.monotonic() + PATIENCE
        while True:
            reused = getattr(self._own, "connection", None) is not None
            try:
                return exchange()
            except PhaseGone as gone:
                self._on_gone(gone)
                raise
            except (OSError, http.client.HTTPException, ValueError, _Away) as error:
                self.close()
                if reused and not waited and not isinstance(error, _Away):
                    waited = True  # an idle connection that the server closed says nothing about the server
                    continue
                if time.monotonic() > deadline:
                    forgotten = PhaseGone(f"the server did not answer for {PATIENCE / 3600:.0f} hours")
                    self._on_gone(forgotten)
                    raise forgotten from error
                if pause <= 0.2:
                    note(f"waiting for the server: {type(error).__name__}: {error}")
                time.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311  # spreads runners, hides nothing
                pause = min(5.0, pause * 1.6)

    def close(self) -> None:
        """Close the calling thread's connection; the next request opens another."""
        connection: http.client.HTTPConnection | None = getattr(self._own, "connection", None)
        if connection is not None:
            connection.close()
            self._own.connection = None

    def _connection(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._own, "connection", None)
        timeout: float = getattr(self._own, "timeout", TIMEOUT)
        if connection is None:
            connection = self._connect(self._host, self._port, secure=self._secure, own=True)
            self._own.connection = connection
        elif connection.sock is not None:  # else the server has closed it, and the request will say so
            connection.sock.settimeout(timeout)
        return connection

    def _connect(self, host: str, port: int | None, *, secure: bool, own: bool) -> http.client.HTTPConnection:
        """A new connection; to the server itself (`own`) only where it shows the certificate that we were given, if we were."""
        timeout: float = getattr(self._own, "timeout", TIMEOUT)
        connection = self._secured(host, port, timeout, own=own) if secure else http.client.HTTPConnection(host, port, timeout=timeout)
        connection.connect()
        if own:
            self._check(connection)
        connection.auto_open = 0  # it may not reconnect by itself: that would go around the check
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _secured(self, host: str, port: int | None, timeout: float, *, own: bool) -> http.client.HTTPConnection:
        import ssl  # only here: it costs a phase over plain HTTP nothing

        context = ssl.create_default_context()
        if own and self._certificate is not None:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE  # the certificate itself is compared: nobody needs to vouch for it
        return http.client.HTTPSConnection(host, port, timeout=timeout, context=context)

    def _check(self, connection: http.client.HTTPConnection) -> None:
        """Raise unless the server shows exactly the certificate given, before anything is sent to it."""
        if not self._secure or self._certificate is None:
            return
        import ssl

        seen = cast("ssl.SSLSocket", connection.sock).getpeercert(binary_form=True)
        if seen != ssl.PEM_cert_to_DER_cert(_first_certificate(self._certificate)):
            connection.close()
            raise _Away("it shows another certificate than the one this runner was given")


def _kept(response: http.client.HTTPResponse, to: Path, limit: int, check: Callable[[], None]) -> None:
    """The body into a file of ours. Raises `NotFetched` for an answer that will not be another one, `_Away` for a body that broke off."""
    if response.status != 200:
        detail, _ = _explain(response.read(1 << 20))
        said = f"the answer is {response.status}: {detail or response.reason}"
        raise _Away(said) if response.status >= 500 else NotFetched(said)
    expected, received = response.length, 0
    with _opened(to) as file:
        while chunk := response.read(1 << 18):
            check()
            received += _written(file, chunk)
            if received > limit:
                raise NotFetched(f"it is larger than {limit} bytes")
    if expected is not None and received != expected:
        raise _Away(f"the answer ended after {received} of {expected} bytes")


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("wb")
    except OSError as error:  # ours, not the server's: waiting would not help
        raise PhaseFailed(f"{path} cannot be written: {error.strerror}.") from error


def _written(file: BinaryIO, chunk: bytes) -> int:
    try:
        return file.write(chunk)
    except OSError as error:
        raise PhaseFailed(f"{file.name} cannot be written: {error.strerror}.") from error


def _first_certificate(pem: str) -> str:
    end = "-----END CERTIFICATE-----"
    start = pem.find("-----BEGIN CERTIFICATE-----")
    return pem[start : pem.find(end) + len(end)] + "\n"


def _explain(raw: bytes) -> tuple[str, dict[str, Any]]:
    """Detail and meta of a JSON:API error document; `meta` is read from the top level and from each error."""
    try:
        document = json.loads(raw)
        errors = document.get("errors") or []
        meta = dict(document.get("meta") or {})
        for error in errors:
            meta.update(error.get("meta") or {})
        detail = "; ".join(str(error.get("detail") or error.get("title") or "") for error in errors)
    except (ValueError, AttributeError, TypeError):
        return "", {}
    return detail, meta
