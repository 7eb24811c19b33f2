"""The server's API for commands that are its clients: where it is, who asks, and every way in which it can refuse."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import click
import msgspec

from terrapod_core.cli.common import UsageProblem, load_settings
from terrapod_core.cli.connection import is_encrypted
from terrapod_core.cli.hiding import taken
from terrapod_core.outgoing import HTTPClients

if TYPE_CHECKING:
    import httpx

URL_VARIABLE: Final = "TERRAPOD_URL"
TOKEN_VARIABLE: Final = "TERRAPOD_TOKEN"  # noqa: S105  # its name
JSON_API: Final = "application/vnd.api+json"
PIECE: Final = 1 << 18
SECONDS: Final = 60.0
UPLOAD_SECONDS: Final = 24 * 3600.0
REASON_SECONDS: Final = 10.0
ANSWER_BYTES: Final = 32 << 20


@dataclass(frozen=True)
class Place:
    """A server, and the token that is shown to it."""

    url: str
    token: str = field(repr=False)

    @property
    def host(self) -> str:
        """As terraform writes it in a source address."""
        return urlsplit(self.url).netloc


class Refused(click.ClickException):
    """The server said no, in its own words; `status` is that of its answer."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def place(url: str | None, token_file: Path | None, *, plain_http: bool) -> Place:
    """Where to and as whom, from what is given, the environment, or what `terraform login` keeps. Raises `UsageProblem`."""
    text, variable, path = os.environ.pop(URL_VARIABLE, None), taken(TOKEN_VARIABLE), taken(f"{TOKEN_VARIABLE}_FILE")
    url = (url or text or "").rstrip("/")
    if not url:
        raise UsageProblem(f"name the server: --url https://terrapod.example.com, or {URL_VARIABLE}")
    is_encrypted(url, "the token", plain_http=plain_http)
    file = token_file or (Path(path) if path else None)
    if file is not None and variable:
        raise UsageProblem(f"the token is given twice: keep one of --token-file, {TOKEN_VARIABLE} and its _FILE")
    token = _read(file) if file is not None else variable or _kept_by_terraform(urlsplit(url).netloc)
    if not token:
        host = urlsplit(url).netloc
        raise UsageProblem(f"no token for {host}: give it in {TOKEN_VARIABLE} or --token-file, or run `terraform login {host}`")
    return Place(url, token.strip())


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageProblem(f"the token's file {file} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}") from None


def _kept_by_terraform(host: str) -> str | None:
    """What `terraform login` wrote for this host."""
    try:
        file = Path.home() / ".terraform.d" / "credentials.tfrc.json"
        found = json.loads(file.read_bytes())["credentials"][host]["token"]
    except (OSError, ValueError, LookupError, TypeError, RuntimeError):  # the last for a user who has no home
        return None
    return found if isinstance(found, str) else None


class BrokenOff(click.ClickException):
    """No answer came."""


class API:
    """Asks one server. Raises `Refused` for a refusal, and `BrokenOff` when no answer comes."""

    def __init__(self, where: Place, certificate: str | None = None) -> None:
        self.where = where
        self._http = HTTPClients(load_settings(None, {}).outgoing, certificate=certificate)
        self._client = self._http.trusted(
            base_url=f"{where.url}/api/v2/",
            headers={"Authorization": f"Bearer {where.token}", "Accept": JSON_API},
            timeout=SECONDS,
            max_bytes=ANSWER_BYTES,
        )

    async def close(self) -> None:
        """Hang up."""
        await self._client.aclose()

    async def get(self, path: str) -> dict[str, Any]:
        """The document at a path below `/api/v2/`, or an absolute one."""
        return await self._asked("GET", path)

    async def find(self, path: str) -> dict[str, Any] | None:
        """The same; `None` when there is nothing that the token's user may see."""
        try:
            return await self.get(path)
        except Refused as refusal:
            if refusal.status == 404:
                return None
            raise

    async def post(self, path: str, type_: str = "", **attributes: object) -> dict[str, Any]:
        """The answer to a document with these attributes, of which those that are `None` are left out; without any, to none."""
        sent = {name.replace("_", "-"): value for name, value in attributes.items() if value is not None}
        body = msgspec.json.encode({"data": {"type": type_, "attributes": sent}}) if type_ else b""
        return await self._asked("POST", path, body)

    async def make(self, path: str, found_at: str, type_: str, **attributes: object) -> dict[str, Any]:
        """What is made by posting to a path, or what lies at `found_at` already. Raises the refusal to make it where nothing does."""
        try:
            answer = await self.post(path, type_, **attributes)
        except Refused as refusal:
            there = await self.find(found_at) if refusal.status in (409, 422) else None
            if there is None:
                raise
            answer = there
        data: dict[str, Any] = answer["data"]
        return data

    async def delete(self, path: str) -> None:
        """Delete what is there."""
        await self._asked("DELETE", path)

    async def ask(self, method: str, path: str, document: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The answer to plain JSON at a path of the server, whatever part of it speaks there."""
        body = msgspec.json.encode(document) if document is not None else b""
        return await self._asked(method, self.where.url + path, body, "application/json")

    async def put_file(self, link: str, file: Path, sent: Callable[[int], None]) -> None:
        """Upload a file to a link that needs no token, and so gets none; `sent` hears of the bytes as they go.

        A server that has heard enough hangs up, and its reason is lost among what was still on the way to it. So it is asked once more,
        with the same headers and nothing behind them.
        """
        with await asyncio.to_thread(file.open, "rb") as content:

            async def pieces() -> AsyncIterator[bytes]:
                while piece := await asyncio.to_thread(content.read, PIECE):
                    yield piece
                    sent(len(piece))

            size = os.fstat(content.fileno()).st_size
            try:
                await self._put(link, size, pieces(), UPLOAD_SECONDS)
            except BrokenOff as error:
                await self._put(link, size, _nothing(), REASON_SECONDS, else_=error)

    async def _put(self, link: str, size: int, content: AsyncIterator[bytes], seconds: float, else_: BrokenOff | None = None) -> None:
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size), "Accept": JSON_API}
        async with self._http.trusted(timeout=seconds) as client:
            try:
                await self._checked(client, client.build_request("PUT", link, headers=headers, content=content))
            except BrokenOff as error:
                raise else_ or error from None

    async def _asked(self, method: str, path: str, body: bytes = b"", content_type: str = JSON_API) -> dict[str, Any]:
        headers = {"Content-Type": content_type} if body else {}
        response = await self._checked(self._client, self._client.build_request(method, path, content=body, headers=headers))
        if not response.content:
            return {}
        try:
            document: dict[str, Any] = msgspec.json.decode(response.content, type=dict[str, Any])
        except msgspec.DecodeError:
            raise click.ClickException(f"{self.where.url} does not answer as Terrapod does: is it the address of the server?") from None
        return document

    async def _checked(self, client: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
        import httpx

        try:
            response = await client.send(request)
        except httpx.TransportError as error:
            raise BrokenOff(f"{self.where.url} cannot be asked: {str(error) or type(error).__name__}") from None
        if response.is_success:
            return response
        raise _refusal(response)


async def _nothing(*pieces: bytes) -> AsyncIterator[bytes]:
    from terrapod_core.outgoing.transport import NotSent

    for piece in pieces:
        yield piece
    raise NotSent


def _refusal(response: httpx.Response) -> Refused:
    """What the answer says, all of it, as one sentence a line."""
    try:
        document = msgspec.json.decode(response.content, type=dict[str, Any])
        # Below the prefix of a plugin refusals may look as its own contract has them.
        errors = document["errors"] if "errors" in document else [{"detail": document["message"], "code": document["error"]}]
        details = [str(error.get("detail") or error.get("title")) for error in errors]
        code = errors[0].get("code")
    except (msgspec.DecodeError, LookupError, TypeError, AttributeError):
        details, code = [f"the server answers {response.status_code} {response.reason_phrase}"], None
    if response.status_code == 401:
        details = ["the server does not accept the token: it is unknown, was revoked, or has expired"]
    return Refused(response.status_code, "\n".join(details), code)
