"""Where GitHub is, and what people call its repositories."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, quote, urlsplit

from terrapod_core.plugin import Repo, Unreadable

HOSTED: Final = "https://github.com"

_OWNER: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,38})")
"""Also with `_`, as the accounts are called that a company's identity provider manages."""

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")
_SCP: Final = re.compile(r"(?:[A-Za-z0-9_-]+@)([A-Za-z0-9.-]+):(?!/)(.+)")
"""`git@github.com:org/repo.git`."""


def api_url(base_url: str) -> str:
    """Where the API of the GitHub is whose pages are at `base_url`.

    Sources: GitHub's documentation, "Getting started with the REST API" for github.com, of Enterprise Server for `/api/v3`, and of
    Enterprise Cloud with data residency for `api.SUBDOMAIN.ghe.com`.
    """
    parts = _split(base_url)
    host = parts.netloc.lower()
    if host in ("github.com", "www.github.com") or host.endswith(".ghe.com"):
        return f"https://api.{host.removeprefix('www.')}"
    return f"{base_url}/api/v3"


def check_base_url(base_url: str) -> None:
    """Raises `Unreadable` for an address that is not that of GitHub's pages."""
    parts = _split(base_url)
    if parts.scheme != "https" or not parts.hostname or "@" in parts.netloc or parts.query or parts.fragment:
        raise Unreadable("The address of a GitHub begins with https:// and has no user, query or fragment.", "base-url")
    if parts.hostname == "api.github.com" or parts.path.rstrip("/").endswith("/api/v3"):
        raise Unreadable("Give the address of GitHub's pages, as https://github.com, and not that of its API.", "base-url")


def repository_of(base_url: str, text: str) -> Repo:
    """The repository that a person means. Raises `Unreadable`."""
    path = _path_of(urlsplit(base_url), text)
    owner, slash, name = path.removesuffix("/").removesuffix(".git").partition("/")
    if not slash or not _OWNER.fullmatch(owner) or not _NAME.fullmatch(name) or name in (".", ".."):
        raise Unreadable(f"{text[:100]!r} is no repository of GitHub: write it as owner/name, or as the URL of its page.")
    return Repo(f"{owner}/{name}")


def in_path(text: str) -> str:
    """Text as one segment of a path, slashes and all; also of a branch whose name is no UTF-8."""
    return quote(text, safe="", errors="surrogateescape")


def _path_of(base: SplitResult, text: str) -> str:
    scp = _SCP.fullmatch(text)
    if scp:
        return _of_host(scp[1], base.hostname, scp[2], text)
    if "://" not in text:
        return text.removeprefix(f"{base.netloc}/")
    parts = _split(text)
    if parts.scheme == "https":
        return _of_host(parts.netloc.rpartition("@")[2].removeprefix("www."), base.netloc.removeprefix("www."), parts.path[1:], text)
    if parts.scheme == "ssh":
        return _of_host(parts.hostname, base.hostname, parts.path[1:], text)
    raise Unreadable(f"{text[:100]!r} is no address of a GitHub repository: it begins with https:// or ssh://.")


def _of_host(found: str | None, wanted: str | None, path: str, text: str) -> str:
    if (found or "").lower() != (wanted or "").lower():
        raise Unreadable(f"{text[:100]!r} is not at {wanted}, where this connection leads.")
    return path


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise Unreadable(f"{url[:100]!r} is no URL.") from None
    return parts
