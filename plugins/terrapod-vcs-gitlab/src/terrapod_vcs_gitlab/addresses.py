"""Where a GitLab is, and which of its projects people mean.

A project's path is that of its groups and its own: letters, digits, `_`, `.` and `-`, at least one group (GitLab's documentation, "Reserved
project and group names" and "Namespaces").
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

from terrapod_core.plugin import Repo, Unreadable

LONGEST_PATH: Final = 1024

_SEGMENT: Final = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]{0,254}")
_SCP: Final = re.compile(r"[A-Za-z0-9_.-]+@([A-Za-z0-9_.-]+):(?!/)(.+)")


def check_base(url: str) -> None:
    """Refuse an address at which no GitLab can be asked. Raises `Unreadable`."""
    parts = _split(url)
    if parts is None or parts.scheme != "https" or "@" in parts.netloc or parts.query or parts.fragment:
        raise Unreadable("The address of a GitLab begins with https:// and has neither user nor query.", "base-url")


def is_path(path: str) -> bool:
    """Whether a project may be called this."""
    words = path.split("/")
    return (
        len(words) >= 2
        and len(path) <= LONGEST_PATH
        and all(_SEGMENT.fullmatch(word) and word.strip(".") and not word.endswith((".git", ".atom")) for word in words)
    )


def repo_of(base: str, text: str) -> Repo:
    """The project that is meant by a path, or by the URL of a page or for cloning. Raises `Unreadable`."""
    host = urlsplit(base).hostname or "the GitLab"
    path = _path(base, host, text.strip()).partition("/-/")[0].strip("/").removesuffix(".git")
    if not is_path(path):
        raise Unreadable(f"{text[:100]!r} is no project of {host}: write its path, as group/project, or the address of its page.")
    return Repo(path)


def _path(base: str, host: str, text: str) -> str:
    """Of whatever form; what is no path is found out later."""
    if "://" not in text:
        by_ssh = _SCP.fullmatch(text)
        if by_ssh is None:
            return text
        _check_host(host, by_ssh[1], text)
        return by_ssh[2]
    parts = _split(text)
    if parts is None or parts.scheme not in ("https", "ssh"):
        raise Unreadable(f"{text[:100]!r} is no address of a project: it has to begin with https:// or ssh://.")
    _check_host(host, parts.hostname or "", text)
    if parts.scheme == "ssh":
        return parts.path
    if "@" in parts.netloc:
        raise Unreadable("Leave the user and the password out of the address: the connection has its own.")
    root = urlsplit(base)
    if (parts.port or 443) != (root.port or 443) or not f"{parts.path}/".startswith(f"{root.path.rstrip('/')}/"):
        raise Unreadable(f"{text[:100]!r} is not at {base}, where the connection goes.")
    return parts.path.removeprefix(root.path.rstrip("/"))


def _check_host(host: str, named: str, text: str) -> None:
    if named.lower() != host.lower():
        raise Unreadable(f"{text[:100]!r} is not at {host}, where the connection goes.")


def _split(url: str) -> SplitResult | None:
    """`None` for what cannot be read."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    return parts if parts.hostname and port != 0 and url.isprintable() and " " not in url else None
