"""What plugins of forges with an API have in common: how repositories are named, how it is asked, and how its webhooks are signed."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from terrapod_core.outgoing import HTTPClients
from terrapod_core.plugin.git_refs import refs_of
from terrapod_core.plugin.vcs import BadSignature, Connection, Field, RefKind, Refs, Repo, Unreadable, VCSDenied, VCSFailed, VCSMissing

if TYPE_CHECKING:
    import httpx

_SEGMENT: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}")


class ForgeProvider:
    """Most of a `VCSProvider` that is asked over https: extend it, give it `name` and `display_name`, and add `client`."""

    service_providers: Sequence[str] = ()
    default_url: str | None = None
    webhook_secret: str | None = None
    fields: Sequence[Field] = (Field("token", "Access token", required=True),)
    nested = False
    """Whether the forge has groups in groups."""

    def __init__(self, http: HTTPClients) -> None:
        self.http = http

    def check(self, connection: Connection) -> None:
        """Asks for an https address, and for the fields that are required."""
        _check_base(connection.base_url)
        for each in self.fields:
            if each.required and not connection.values.get(each.name, "").strip():
                raise Unreadable(f"The connection needs {each.name}.", each.name)

    def repository(self, connection: Connection, text: str) -> Repo:
        """`owner/name`, or a URL of it below the forge's address."""
        return repo_below(connection.base_url, text, nested=self.nested)


class ForgeClient:
    """What the API and git's own door of a forge are asked with. `http` has the credentials."""

    api = ""
    """Where the API is below the forge's address: `/api/v1`."""

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        """`url` is the forge's address, without a slash at its end."""
        self.http = http
        self.url = url

    async def refs(self, repo: Repo, kinds: frozenset[RefKind], validator: str | None) -> Refs | None:
        """Of the repository that is cloned from `owner/name.git`."""
        return await refs_of(self.http, f"{self.url}/{repo}.git", kinds, validator)

    async def ask(self, method: str, path: str, body: object = None) -> Any:
        """The document that the API answers, with `VCSFailed` for members that it lacks; `None` for an empty answer.

        Raises `VCSMissing`, `VCSDenied` and `VCSFailed`.
        """
        answer = await self.http.request(method, f"{self.url}{self.api}{path}", json=body, headers={"Accept": "application/json"})
        _check(answer)
        host = answer.url.host
        try:
            return _read(answer.content, lambda name: VCSFailed(f"{host}: answered without {name}")) if answer.content else None
        except ValueError:
            raise VCSFailed(f"{host}: answered with what is no JSON") from None

    async def download(self, path: str) -> AsyncIterator[bytes]:
        """A file of the API, as it comes. Raises as `ask` does, and an `OutgoingError` when the bytes stop before their end."""
        async with self.http.stream("GET", f"{self.url}{self.api}{path}") as answer:
            _check(answer)
            async for piece in answer.aiter_raw():
                yield piece


def repo_below(base_url: str, text: str, *, nested: bool = False) -> Repo:
    """The repository that a person means by `owner/name`, or by a URL of it below the forge's address, with or without `.git`.

    `nested` is for forges with groups in groups. Raises `Unreadable`.
    """
    path = text.strip()
    if "://" in path:
        below = path.removeprefix(f"{base_url}/")
        path = "" if below == path else below
    segments = path.strip("/").removesuffix(".git").split("/")
    right = len(segments) == 2 or (nested and len(segments) > 2)
    if not right or not all(_SEGMENT.fullmatch(each) and ".." not in each for each in segments):
        raise Unreadable(f"Name a repository as owner/name, or by its URL below {base_url}.")
    return Repo("/".join(segments))


def signed_json(headers: Mapping[str, str], header: str, body: bytes, secret: str) -> Mapping[str, Any]:
    """The document of a webhook whose `header` is the HMAC-SHA256 of its body, in hexadecimal.

    Raises `BadSignature`, and `Unreadable` for a signed body that is none, also when a member is asked for that it lacks.
    """
    expected = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    if not secret or not hmac.compare_digest(expected.encode(), headers.get(header, "").encode("utf-8", "replace")):
        raise BadSignature(f"{header} is not the signature of this body with the connection's webhook secret")
    try:
        document = _read(body, lambda name: Unreadable(f"The webhook has no {name}."))
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise Unreadable("The webhook's body is no JSON object.")
    return document


class _Members(dict[str, Any]):
    """An object of JSON that says in its own words what it lacks."""

    def __init__(self, members: Mapping[str, Any], lacks: Callable[[str], Exception]) -> None:
        super().__init__(members)
        self._lacks = lacks

    def __missing__(self, name: str) -> Any:
        raise self._lacks(name)


def _read(text: bytes, lacks: Callable[[str], Exception]) -> Any:
    return json.loads(text, object_hook=lambda members: _Members(members, lacks))


def _check_base(url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme == "https" and bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        usable = False
    if not usable or re.search(r"[\s?#\\]", url):
        raise Unreadable("The address must begin with https://, and have no user, query and fragment.", "base-url")


def _check(answer: httpx.Response) -> None:
    status, host = answer.status_code, answer.url.host
    if answer.is_success:
        return
    if status in (401, 403):
        raise VCSDenied(f"{host} does not let these credentials do this. They are wrong, have expired, or lack a right.")
    if status in (404, 410):
        raise VCSMissing(f"{host} has no such repository or commit, or does not show it to these credentials.")
    after = answer.headers.get("retry-after", "")
    raise VCSFailed(f"{host}: answered {status}", retry_after=float(after) if after.isdecimal() else None)
