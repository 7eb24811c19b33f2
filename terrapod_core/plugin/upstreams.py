"""What mirrors that ask over HTTPS have in common: bounded documents, downloads that may take long, and refusals in one form.

A plugin has an `Upstream` for each list of hosts that it asks, and makes of what comes the values of `RegistryMirror`. Whatever an upstream
answers that is no answer ends as `UpstreamFailed`, with the host and the reason and nothing of what was sent.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Final, Generic, TypeVar
from urllib.parse import unquote, urljoin, urlsplit

import msgspec
from msgspec import Meta

from terrapod_core.outgoing import HostList, HTTPClients, OutgoingError
from terrapod_core.plugin.mirrors import Platform, UpstreamFailed, UpstreamMissing
from terrapod_core.plugin.settings import PluginSettings
from terrapod_core.settings import setting

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

T = TypeVar("T")

DOCUMENT_BYTES: Final = 16 << 20
"""Of a document in JSON: HashiCorp's index of terraform has more than one million."""

SUMS_BYTES: Final = 1 << 20
SIGNATURE_BYTES: Final = 64 << 10
KEY_BYTES: Final = 256 << 10
MOST_VERSIONS: Final = 10_000
"""Of one engine, provider or module."""

LONGEST_VERSION: Final = 128

_NONE: Final[Mapping[str, str]] = MappingProxyType({})
_VERSION: Final = re.compile(
    r"(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})(-[0-9A-Za-z]+([.-]+[0-9A-Za-z]+)*)?(\+[0-9A-Za-z]+([.-]+[0-9A-Za-z]+)*)?"
)
_HARMLESS: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_~-]{0,127}")
_PLATFORM_WORD: Final = re.compile(r"[a-z0-9]{1,32}")


@dataclass(frozen=True, kw_only=True)
class UpstreamSettings(PluginSettings):
    """What can be chosen of every upstream."""

    archive_hosts: tuple[str, ...] = setting(
        (),
        "Hosts besides its own that an upstream may lead to, by a document or a redirect: `example.com`, `example.com:8443`, `*.x.org`.",
    )
    document_seconds: Annotated[float, Meta(gt=0, le=600)] = setting(10.0, "How long a document, sums or a signature may take.")
    idle_seconds: Annotated[float, Meta(gt=0, le=600)] = setting(30.0, "How long a download may go on without a byte.")
    download_seconds: Annotated[float, Meta(gt=0)] = setting(3600.0, "How long a download may take in all.")
    max_archive_bytes: Annotated[int, Meta(gt=0)] = setting(2 << 30, "The largest file that is fetched.")

    def __post_init__(self) -> None:
        HostList.of(self.archive_hosts, "archive_hosts")


@dataclass(frozen=True)
class Answer:
    """What was asked for, whole."""

    body: bytes
    url: str
    """Where it came from in the end, for what it names relative to itself."""
    headers: Mapping[str, str]
    """Names in lower case."""

    @property
    def validator(self) -> str | None:
        """For the next `get`: an `ETag`, or else a `Last-Modified`."""
        return self.headers.get("etag") or self.headers.get("last-modified") or None

    @property
    def host(self) -> str:
        """As it is named in sentences."""
        return host_of(self.url)


@dataclass(frozen=True)
class Document(Generic[T]):
    """An answer in JSON, read."""

    value: T
    answer: Answer

    def link(self, to: str, base: str | None = None) -> str:
        """An absolute URL of one that may be relative: to `base`, or else to where this came from. Raises `UpstreamFailed`."""
        try:
            return urljoin(self.answer.url if base is None else base, to)
        except ValueError:
            raise self.odd("names an address that cannot be read") from None

    def odd(self, what: str) -> UpstreamFailed:
        """To raise: `what` says what the host does wrong, as `names no version`."""
        return UpstreamFailed(f"{self.answer.host}: {what}")

    def is_version(self, text: str) -> bool:
        """Whether this is a version that terraform reads (SemVer). Raises `UpstreamFailed` for what no version could ever be."""
        if _VERSION.fullmatch(text) and len(text) <= LONGEST_VERSION:
            return True
        if not _HARMLESS.fullmatch(text):
            raise self.odd(f"names a version {text[:40]!r}, which is none")
        return False

    def platform(self, os: str, arch: str) -> Platform:
        """Raises `UpstreamFailed` for what is none."""
        if not (_PLATFORM_WORD.fullmatch(os) and _PLATFORM_WORD.fullmatch(arch)):
            raise self.odd(f"names a platform {f'{os}_{arch}'[:40]!r}, which is none")
        return Platform(os, arch)

    def check_count(self, versions: Sized) -> None:
        """Raises `UpstreamFailed` for more versions than anybody has."""
        if len(versions) > MOST_VERSIONS:
            raise self.odd(f"names more than {MOST_VERSIONS} versions")


class Upstream:
    """Asks hosts of a list, by https."""

    def __init__(self, http: HTTPClients, urls: Iterable[str], section: str, settings: UpstreamSettings) -> None:
        """`urls` are the upstream's own; `section` is where its settings are, as `mirror.registry`. Raises `ValueError` for no URLs."""
        self._http = http
        self._hosts = (*map(host_of, urls), *settings.archive_hosts)
        self._setting = f"{section}.archive_hosts"
        self._settings = settings
        HostList.of(self._hosts, self._setting)

    async def get(
        self, url: str, *, most: int, missing: str, validator: str | None = None, headers: Mapping[str, str] = _NONE
    ) -> Answer | None:
        """The whole answer, of at most so many bytes; `None` when nothing has changed since the one with this validator.

        Raises `UpstreamMissing` with the sentence `missing` when there is no such thing, and `UpstreamFailed`.
        """
        with told():
            client = self._http.listed(self._hosts, self._setting, timeout=self._settings.document_seconds, max_bytes=most)
            async with client as http, http.stream("GET", url, headers={**headers, **_condition(validator)}) as response:
                if response.status_code == 304 and validator is not None:
                    return None
                _check_status(response, missing)
                return Answer(await response.aread(), str(response.url), dict(response.headers.items()))

    async def document(
        self, url: str, kind: type[T], *, missing: str, validator: str | None = None, headers: Mapping[str, str] = _NONE
    ) -> Document[T] | None:
        """The same for a document in JSON, of this type."""
        found = await self.get(
            url, most=DOCUMENT_BYTES, missing=missing, validator=validator, headers={"Accept": "application/json", **headers}
        )
        return None if found is None else Document(decoded(found.body, kind, found.host), found)

    async def whole(self, url: str, *, most: int, missing: str) -> bytes:
        """Just the bytes: of sums, of a signature."""
        found = await self.get(url, most=most, missing=missing)
        assert found is not None, "there was no condition"
        return found.body

    async def stream(self, url: str, *, missing: str) -> AsyncIterator[bytes]:
        """A file's bytes, as they come. Raises as `get` does, also when they stop before their end."""
        settings = self._settings
        with told():
            client = self._http.listed(
                self._hosts,
                self._setting,
                timeout=settings.download_seconds,
                idle=settings.idle_seconds,
                max_bytes=settings.max_archive_bytes,
            )
            async with client as http, http.stream("GET", url) as response:
                _check_status(response, missing)
                _check_kind(response)
                async for piece in response.aiter_raw():
                    yield piece


@contextmanager
def told() -> Iterator[None]:
    """Turn what the way out says into `UpstreamFailed`."""
    try:
        yield
    except OutgoingError as error:
        raise UpstreamFailed(str(error)) from None


def decoded(body: bytes, kind: type[T], host: str) -> T:
    """Raises `UpstreamFailed` for what is no JSON of this type."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise UpstreamFailed(f"{host}: answered with a document that is not as it should be: {str(error)[:200]}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        page = " but a page for people" if body[:512].lstrip()[:1] == b"<" else ""
        raise UpstreamFailed(f"{host}: answered with what is no JSON{page}") from None


def host_of(url: str) -> str:
    """`example.com`, or `example.com:8443`; of a file, its path."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "the upstream"
    if parts.scheme == "file":
        return unquote(parts.path)
    host = parts.hostname or "the upstream"
    return (f"[{host}]" if ":" in host else host) + (f":{port}" if port not in (None, 443) else "")


def segments(*names: str) -> str:
    """Names as a part of a path; raises `UpstreamMissing` for one that could lead elsewhere."""
    for name in names:
        if not _HARMLESS.fullmatch(name):
            raise UpstreamMissing(f"There can be nothing called {name[:64]!r}.")
    return "/".join(each.replace("+", "%2B") for each in names)


def read_keys(path: Path) -> tuple[str, ...]:
    """Public keys in ASCII armour, of a file that may hold several; for `__post_init__` of settings: raises `ValueError`."""
    try:
        with path.open("rb") as file:
            text = file.read(KEY_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    found = re.findall(
        rb"-----BEGIN PGP PUBLIC KEY BLOCK-----.+?-----END PGP PUBLIC KEY BLOCK-----", text if len(text) <= KEY_BYTES else b"", re.DOTALL
    )
    if not found or not text.isascii():
        raise ValueError(f"{path} holds no public key as `gpg --armor --export` writes it")
    return tuple(f"{each.decode('ascii')}\n" for each in found)


def check_address(name: str, url: str) -> None:
    """`ValueError` unless `url` is an https address without query, fragment and user; for `__post_init__` of settings."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme != "https" or not parts.hostname or port == 0 or "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(f"{name} must be an https:// address without user, query and fragment")


def _condition(validator: str | None) -> Mapping[str, str]:
    if validator is None or not validator.isprintable() or not validator.isascii():
        return _NONE
    return {"If-None-Match" if '"' in validator else "If-Modified-Since": validator}


def _check_status(response: httpx.Response, missing: str) -> None:
    status, host = response.status_code, host_of(str(response.url))
    if status in (404, 410):
        raise UpstreamMissing(missing)
    if status in (401, 403):
        raise UpstreamFailed(f"{host}: refuses us (HTTP {status}); it may want a token, or another one")
    if status == 429:
        raise UpstreamFailed(f"{host}: has been asked too often (HTTP 429)")
    if status not in (200, 204):
        raise UpstreamFailed(f"{host}: answered with HTTP {status}")


def _check_kind(response: httpx.Response) -> None:
    """A file is no page, whatever its status says: of a proxy that wants a sign-in, of a hotel's network."""
    if response.headers.get("Content-Type", "").lower().startswith("text/html"):
        raise UpstreamFailed(f"{host_of(str(response.url))}: answered with a page for people in the place of a file")
