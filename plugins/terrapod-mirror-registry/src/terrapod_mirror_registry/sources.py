"""What `X-Terraform-Get` says, as an archive that can be fetched.

It may be anything that go-getter knows. Here it is an archive by https, or a repository at GitHub or GitLab, of which the forge makes one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urljoin, urlsplit

KINDS: Final = {"tar.gz": "tar.gz", "tgz": "tar.gz", "zip": "zip"}
"""What is unpacked, by what it is called."""

ONLY: Final = "*"
"""The only folder at an archive's top."""

_GETTER: Final = re.compile(r"([A-Za-z0-9]+)::(.+)", re.DOTALL)
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_REF: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z._/+-]{0,199}")
_WORD: Final = re.compile(r"[0-9A-Za-z_][0-9A-Za-z._-]{0,99}")
_SUM: Final = re.compile(r"(?:sha256:)?([0-9a-fA-F]{64})")


class Unusable(Exception):
    """This source is not fetched. The text is the rest of a sentence that begins with the module."""


@dataclass(frozen=True)
class Archive:
    """Where a module's archive is."""

    url: str
    kind: str
    """`tar.gz` or `zip`."""
    root: str
    """As in `Package`."""
    sha256: str | None = None


def archive_of(get: str, base: str) -> Archive:
    """Raises `Unusable`. `base` is the URL that said so."""
    try:
        return _archive_of(get, base)
    except ValueError:  # of urllib, for brackets and ports that are none
        raise Unusable("has a source that cannot be read") from None


def _archive_of(get: str, base: str) -> Archive:
    if not get or len(get) > 4096 or not get.isprintable() or not get.isascii() or " " in get:
        raise Unusable("has a source that cannot be read")
    if get.startswith(("/", "./", "../")):
        get = urljoin(base, get)
    elif get.startswith(("github.com/", "gitlab.com/")):
        get = f"git::https://{get}"
    getter = _GETTER.fullmatch(get)
    if getter is None and not _SCHEME.match(get):
        raise Unusable("has a source that is no URL")
    if getter is not None and getter[1] != "git":
        raise Unusable(f"is fetched by {getter[1]}, and only archives by https are cached")
    where, folder = _divided(get if getter is None else getter[2])
    _check_url(where, by_git=getter is not None)
    return _forge(where, folder) if getter is not None else _plain(where, folder)


def _divided(source: str) -> tuple[str, str]:
    """The URL, and the folder behind `//`; the query belongs to the URL."""
    head, mark, query = source.partition("?")
    at = head.find("//", head.find("://") + 3)
    where, folder = (head, "") if at < 0 else (head[:at], head[at + 2 :].strip("/"))
    words = folder.split("/") if folder else []
    if any(not _WORD.fullmatch(word) or ".." in word for word in words[1:] if word) or (words and not _is_first(words[0])):
        raise Unusable(f"is in a folder called {folder[:60]!r}, which is none")
    return where + mark + query, "/".join(word for word in words if word)


def _is_first(word: str) -> bool:
    return word == ONLY or bool(_WORD.fullmatch(word) and ".." not in word)


def _check_url(where: str, *, by_git: bool) -> None:
    parts = urlsplit(where)
    if parts.scheme != "https" or not parts.hostname:
        way = f"git over {parts.scheme or 'ssh'}" if by_git else (parts.scheme or "no way that is known")
        raise Unusable(f"is fetched by {way}, and only archives by https are cached")
    if "@" in parts.netloc:
        raise Unusable("has a source with a user or a password in it, which is sent nowhere")
    if parts.fragment:
        raise Unusable("has a source with a fragment, which means nothing")


def _plain(where: str, folder: str) -> Archive:
    parts = urlsplit(where)
    query = parse_qsl(parts.query, keep_blank_values=True)
    said = [value for name, value in query if name == "archive"]
    kind = said[0] if said else next((each for each in KINDS if parts.path.endswith(f".{each}")), None)
    if kind is None:
        raise Unusable("is no archive: its source ends in none of .tar.gz, .tgz and .zip, and names none by archive=")
    if kind not in KINDS:
        raise Unusable(f"is packed as {kind[:20]!r}, and only tar.gz, tgz and zip are cached")
    sums = [_SUM.fullmatch(value) for name, value in query if name == "checksum"]
    if not all(sums):
        raise Unusable("has a checksum that is no SHA-256")
    sha256 = sums[0][1].lower() if sums and sums[0] is not None else None
    kept = urlencode([(name, value) for name, value in query if name not in ("archive", "checksum")])
    return Archive(parts._replace(query=kept).geturl(), KINDS[kind], folder, sha256)


def _forge(where: str, folder: str) -> Archive:
    parts = urlsplit(where)
    if parts.netloc not in ("github.com", "gitlab.com"):
        raise Unusable(f"is a repository at {parts.netloc[:100]}, and of those only github.com's and gitlab.com's are fetched")
    words = parts.path.strip("/").removesuffix(".git").split("/")
    right = len(words) == 2 if parts.netloc == "github.com" else 2 <= len(words) <= 20
    if not right or not all(_WORD.fullmatch(word) for word in words):
        raise Unusable(f"is at {parts.netloc} in what is no repository")
    ref = _ref(parts.query)
    quoted = quote(ref, safe="/")
    path = "/".join(words)
    if parts.netloc == "github.com":
        url = f"https://github.com/{path}/archive/{quoted}.tar.gz"
    else:
        url = f"https://gitlab.com/{path}/-/archive/{quoted}/{words[-1]}-{quoted.replace('/', '-')}.tar.gz"
    return Archive(url, "tar.gz", f"{ONLY}/{folder}" if folder else ONLY)


def _ref(query: str) -> str:
    options = dict(parse_qsl(query, keep_blank_values=True))
    ref = options.pop("ref", "")
    options.pop("depth", None)
    if options:
        raise Unusable(f"wants {', '.join(sorted(options))[:60]} of git, and only ref is understood")
    if not ref:
        raise Unusable("names no ref, so what it is may change at any time")
    if not _REF.fullmatch(ref) or ".." in ref or "//" in ref or ref.endswith("/"):
        raise Unusable(f"names a ref {ref[:60]!r}, which is none")
    return ref
