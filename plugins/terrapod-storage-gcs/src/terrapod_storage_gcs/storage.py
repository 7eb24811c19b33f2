"""The backend `gcs`: an object is an object of a bucket.

gcsfs finds the credentials and makes the session; the requests of the JSON API are made here, because gcsfs itself can neither
write nor read a stream on the event loop. `connection.py` is all that touches gcsfs.

Source: the JSON API v1 of Cloud Storage, "Resumable uploads" and "Objects".
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import AsyncGenerator, AsyncIterable
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any, Final, Literal
from urllib.parse import quote

from terrapod_core.plugin import (
    Fault,
    ObjectInfo,
    ObjectStore,
    Opened,
    Page,
    StoreFailed,
    Upload,
    Verdict,
)
from terrapod_core.plugin.object_stores import BLOCK
from terrapod_storage_gcs.connection import Connection, Refused
from terrapod_storage_gcs.settings import GCSStorageSettings

BYTES: Final = "application/octet-stream"
PIECE: Final = 256 * 1024
LISTED_AT_ONCE: Final = 1000
INCOMPLETE: Final = 308
CANCELLED: Final = 499


class GCSStorage(ObjectStore):
    """Keeps objects in one bucket, which any number of processes share."""

    name = "gcs"
    in_flight = 1  # the blocks of a resumable upload come one after the other

    def __init__(self, settings: GCSStorageSettings) -> None:
        super().__init__(settings.where, settings)
        self._settings = settings
        self._connection: Connection | None = None
        self._connecting = asyncio.Lock()

    async def create(self, key: str, chunks: AsyncIterable[bytes]) -> ObjectInfo:
        """Store an object where there is none. Raises `ObjectExists` and `StoreFailed`."""
        return await self._write(key, chunks, create=True)

    async def signed_url(self, key: str, method: Literal["GET", "PUT"], expires: timedelta) -> str:
        """A V4 signed URL. Raises `CannotSign` without the key of a service account."""
        connection = await self.connection()
        return await asyncio.to_thread(connection.signed, self._settings.bucket, self._named(key), method, expires)

    # -- requests

    async def connection(self) -> Connection:
        """The connection; made when it is asked for first. Raises `StoreFailed` when no bucket is set."""
        if not self._settings.bucket:
            raise StoreFailed("no bucket is set for objects; name one with storage.gcs.bucket (TERRAPOD_STORAGE__GCS__BUCKET)")
        async with self._connecting:
            if self._connection is None:
                self._connection = await asyncio.to_thread(Connection, self._settings)
        return self._connection

    async def _disconnect(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.close()

    def uploads(self, name: str, *, create: bool, kind: str) -> tuple[str, dict[str, str]]:
        """Where an object is sent, and with which query."""
        query = {"uploadType": kind, "name": name}
        if create:
            query["ifGenerationMatch"] = "0"
        if self._settings.kms_key_name:
            query["kmsKeyName"] = self._settings.kms_key_name
        return f"/upload/storage/v1/b/{quote(self._settings.bucket, safe='')}/o", query

    def _object(self, name: str) -> str:
        return f"/storage/v1/b/{quote(self._settings.bucket, safe='')}/o/{quote(name, safe='')}"

    async def _put(self, name: str, data: bytes, *, create: bool) -> ObjectInfo:
        path, query = self.uploads(name, create=create, kind="multipart")
        headers, body = _related(name, data)
        connection = await self.connection()
        async with connection.request("POST", path, query, headers, body) as answer:
            return described(await answer.read())

    def _upload(self, name: str, *, create: bool) -> Upload:
        return _Upload(self, name, create=create)

    async def _open(self, name: str, start: int, end: int | None, version: str | None) -> Opened:
        query = {"alt": "media"} | ({"ifGenerationMatch": version} if version is not None else {})
        headers = {"Range": f"bytes={start}-{'' if end is None else end - 1}"} if start or end is not None else {}
        connection = await self.connection()
        answering = connection.request("GET", self._object(name), query, headers)
        answer = await answering.__aenter__()
        return Opened(answer.headers["x-goog-generation"], start + int(answer.headers["Content-Length"]), _pieces(answering, answer))

    async def _head(self, name: str) -> ObjectInfo:
        connection = await self.connection()
        async with connection.request("GET", self._object(name), {"fields": "name,size,updated"}) as answer:
            return described(await answer.read())

    async def _remove(self, name: str) -> None:
        connection = await self.connection()
        async with connection.request("DELETE", self._object(name), {}):
            pass

    async def _page(self, prefix: str, after: str | None) -> Page:
        query = {"prefix": prefix, "maxResults": str(LISTED_AT_ONCE), "fields": "items(name,size,updated),nextPageToken"}
        if after is not None:
            query["pageToken"] = after
        connection = await self.connection()
        async with connection.request("GET", f"/storage/v1/b/{quote(self._settings.bucket, safe='')}/o", query) as answer:
            found = json.loads(await answer.read())
        return Page([_info(each) for each in found.get("items", ())], found.get("nextPageToken") or None)

    # -- errors

    def _judge(self, error: Exception) -> Verdict:
        import aiohttp
        import google.auth.exceptions

        match error:
            case Refused():
                return self._answered(error)
            case google.auth.exceptions.DefaultCredentialsError():
                return Verdict(
                    Fault.REFUSED, f"there are no Google credentials for {self._where}; set storage.gcs.credentials, or give it an identity"
                )
            case aiohttp.ClientConnectorCertificateError():
                return Verdict(Fault.REFUSED, f"{self._where} shows a certificate that is not trusted; name its authority in SSL_CERT_FILE")
            case aiohttp.ClientError() | OSError():
                return self._unreachable(type(error).__name__)
            case google.auth.exceptions.GoogleAuthError():
                return Verdict(Fault.REFUSED, f"Google gives no token for {self._where}; check the credentials, and the clock")
            case _:
                return Verdict(Fault.REFUSED, f"{self._where} cannot be used ({type(error).__name__}); check its settings")

    def _answered(self, refused: Refused) -> Verdict:
        if refused.status == 404 and (refused.of_bucket or "bucket does not exist" in refused.text):
            return Verdict(Fault.REFUSED, f"{self._where} does not exist; make it, or correct storage.gcs.bucket")
        return self._answer(refused.status, refused.reason, refused.retry_after)


class _Upload:
    """A resumable upload."""

    def __init__(self, store: GCSStorage, name: str, *, create: bool) -> None:
        self._store = store
        self._name = name
        self._create = create
        self._session: str | None = None
        self._tried = -1
        self._found: ObjectInfo | None = None

    async def begin(self) -> None:
        path, query = self._store.uploads(self._name, create=self._create, kind="resumable")
        connection = await self._store.connection()
        async with connection.request("POST", path, query, {"X-Upload-Content-Type": BYTES}) as answer:
            self._session = answer.headers["Location"]

    async def part(self, number: int, data: bytes, *, last: bool) -> None:
        first = at = number * BLOCK
        end = first + len(data)
        if self._tried == number:
            at = await self._received()  # the connection broke, and some of it may be there
        self._tried = number
        if self._found is None and (at < end or last):
            which = f"{at}-{end - 1}" if at < end else "*"
            if await self._send(f"bytes {which}/{end if last else '*'}", data[at - first :]) < end:
                raise ConnectionResetError("the store took a part of a block")

    async def finish(self) -> ObjectInfo:
        assert self._found is not None, "the last block makes the object"
        return self._found

    async def abort(self) -> None:
        if self._session is not None:
            connection = await self._store.connection()
            async with connection.request("DELETE", self._session, {}, also=(CANCELLED, 404, 410)):
                pass

    async def _received(self) -> int:
        """How many bytes of the whole are at the store."""
        return await self._send("bytes */*", b"")

    async def _send(self, which: str, data: bytes) -> int:
        assert self._session is not None, "begin was called"
        connection = await self._store.connection()
        async with connection.request("PUT", self._session, {}, {"Content-Range": which}, BytesIO(data), also=(INCOMPLETE,)) as answer:
            if answer.status != INCOMPLETE:
                self._found = described(await answer.read())
                return self._found.size
            received = re.fullmatch(r"bytes=0-(\d+)", answer.headers.get("Range", ""))
            return int(received[1]) + 1 if received else 0


def described(document: bytes) -> ObjectInfo:
    """An object out of the document that Google has of it."""
    return _info(json.loads(document))


def _info(found: Any) -> ObjectInfo:
    return ObjectInfo(found["name"], int(found["size"]), datetime.fromisoformat(found["updated"]))


def _related(name: str, data: bytes) -> tuple[dict[str, str], BytesIO]:
    """An object and what is said of it in one body, as Google's own libraries send it."""
    boundary = secrets.token_hex(16)
    said = json.dumps({"name": name})
    head = f"--{boundary}\r\nContent-Type: application/json\r\n\r\n{said}\r\n--{boundary}\r\nContent-Type: {BYTES}\r\n\r\n"
    body = b"".join([head.encode(), data, f"\r\n--{boundary}--\r\n".encode()])
    return {"Content-Type": f'multipart/related; boundary="{boundary}"'}, BytesIO(body)


async def _pieces(answering: Any, answer: Any) -> AsyncGenerator[bytes]:
    try:
        async for piece in answer.content.iter_chunked(PIECE):
            yield piece
    finally:
        await answering.__aexit__(None, None, None)
