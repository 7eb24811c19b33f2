"""Where repositories are: the address of a connection, and paths below it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, quote, unquote, urlsplit

from terrapod_core.plugin import Repo, Unreadable

_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|[0-9a-f:]+:[0-9a-f:.]*")
_USER: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_SEGMENT: Final = re.compile(r"(?!-)(?!\.{1,2}$)[\w.~+@ -]{1,255}")
_PORTS: Final = {"https": 443, "ssh": 22}
_LONGEST: Final = 1024
_EXAMPLES: Final = "https://git.example.com/path or ssh://git@git.example.com"


@dataclass(frozen=True)
class Base:
    """The part that all addresses of a connection's repositories begin with."""

    scheme: str
    """`https` or `ssh`."""
    user: str
    """For ssh; empty for https."""
    host: str
    port: int
    path: str
    """Begins with a slash when it is not empty, and has none at its end. Not quoted."""

    @classmethod
    def of(cls, text: str) -> Base:
        """Raises `Unreadable` for what is no address of a git server."""
        parts = _split(text)
        if parts is None or parts.scheme not in _PORTS:
            raise Unreadable(f"The address must be like {_EXAMPLES}; other protocols are not used.", "base-url")
        host, port = (parts.hostname or "").lower(), parts.port or _PORTS[parts.scheme]
        if not _HOST.fullmatch(host) or parts.query or parts.fragment or parts.password is not None:
            raise Unreadable(f"The address must be like {_EXAMPLES}, without a password, a query or a fragment.", "base-url")
        if parts.scheme == "ssh" and not _USER.fullmatch(parts.username or ""):
            raise Unreadable("An ssh address names the user to sign in as: ssh://git@git.example.com.", "base-url")
        if parts.scheme == "https" and parts.username is not None:
            raise Unreadable("Leave the user out of the address, and give it as username.", "base-url")
        path = _path(parts.path)
        if path is None:
            raise Unreadable("The path of the address cannot be read.", "base-url")
        return cls(parts.scheme, parts.username or "", host, port, f"/{path}" if path else "")

    @property
    def named(self) -> str:
        """The host as it stands in URLs, with its port when that says something."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def root(self) -> str:
        """The address without a path."""
        return f"{self.scheme}://{f'{self.user}@' if self.user else ''}{self.named}"

    def url(self, repo: Repo | None = None) -> str:
        """Where a repository is cloned from; the address itself without one. Raises `Unreadable` for a path that leads elsewhere."""
        path = "" if repo is None else _path(repo.path)
        if path is None or (repo is not None and not path):
            raise Unreadable(f"{repo} is no path of a repository.")
        return self.root + quote(self.path + (f"/{path}" if path else ""), safe="/~@+")

    def repository(self, text: str) -> Repo:
        """The repository that is meant by a path below the address, or by a whole URL. Raises `Unreadable`."""
        text = text.strip()
        found = self._below(text) if "://" in text else self._short(text)
        path = None if found is None else _path(found)
        if not path:
            raise Unreadable(f"Name a repository by its path below {self.url()}, as team/network.git, or by the URL it is cloned from.")
        return Repo(path)

    def _below(self, text: str) -> str | None:
        """The path of a URL below this one."""
        parts = _split(text)
        if parts is None or parts.scheme != self.scheme or parts.query or parts.fragment or parts.password is not None:
            return None
        there = ((parts.hostname or "").lower(), parts.port or _PORTS[self.scheme], parts.username or "")
        path = unquote(parts.path)
        if there != (self.host, self.port, self.user) or not path.startswith(f"{self.path}/"):
            return None
        return quote(path.removeprefix(self.path))

    def _short(self, text: str) -> str | None:
        """A path, or ssh's short form `git@host:path` where that means the same."""
        short = f"{self.user}@{self.host}:"
        if self.user and text.startswith(short):
            return text.removeprefix(short) if not self.path and self.port == _PORTS["ssh"] else None
        return None if ":" in text else text


def _split(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        usable = parts.port != 0
    except ValueError:
        return None
    return parts if usable and text.isprintable() and len(text) <= _LONGEST and not re.search(r"[\s\\]", text) else None


def _path(text: str) -> str | None:
    """A path without slashes around it, unquoted; `None` for one that no repository has."""
    path = unquote(text).strip("/")
    if len(path) > _LONGEST or not all(_SEGMENT.fullmatch(each) for each in path.split("/") if path):
        return None
    return path
