"""The connection to Google Cloud Storage: gcsfs's session and credentials.

Used of gcsfs: `GCSFileSystem(token=…)` of `gcsfs.core`, its `_set_session`, `_get_headers`, `_location` and `credentials`. A test
of this plugin says which of them a new version no longer has.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from io import BytesIO
from typing import Any, Final

from terrapod_core.plugin import CannotSign
from terrapod_storage_gcs.settings import GCSStorageSettings

SCOPE: Final = "https://www.googleapis.com/auth/devstorage.read_write"
TRIALS: Final = "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"
ERROR_BYTES: Final = 64 * 1024


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, *, text: str, reason: str, retry_after: str | None, of_bucket: bool) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status
        self.text = text
        self.reason = reason
        self.retry_after = retry_after
        self.of_bucket = of_bucket
        """Whether the request named no object, so that a 404 means the bucket."""


class Connection:
    """Makes requests. To be made in a thread: it imports much, and looks for credentials."""

    def __init__(self, settings: GCSStorageSettings) -> None:
        import aiohttp

        self._timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=settings.connect_timeout_seconds, sock_read=settings.read_timeout_seconds
        )
        self._endpoint = settings.endpoint_url.rstrip("/") or None
        self._files = _file_system()(
            project="",
            access="read_write",
            token=_token(settings),
            endpoint_url=self._endpoint,
            asynchronous=True,
            skip_instance_cache=True,
            session_kwargs={"trust_env": True},
        )

    async def close(self) -> None:
        """The end of its session."""
        await (await self._files._set_session()).close()

    @asynccontextmanager
    async def request(
        self,
        method: str,
        target: str,
        query: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
        data: BytesIO | None = None,
        *,
        also: Collection[int] = (),
    ) -> AsyncGenerator[Any]:
        """The answer, its body still to be read. Raises `Refused` unless it is a success, or of a status that is expected `also`."""
        session = await self._files._set_session()
        url = target if target.startswith(("http://", "https://")) else f"{self._files._location}{target}"
        # In a thread, for a token that has run out is asked for there.
        signed = await asyncio.to_thread(self._files._get_headers, {"Accept-Encoding": "identity", **(headers or {})})
        async with session.request(
            method, url, params=query, headers=signed, data=data, timeout=self._timeout, allow_redirects=False
        ) as answer:
            if answer.status >= 300 and answer.status not in also:
                raise _refused(answer, await answer.content.read(ERROR_BYTES), of_bucket=not re.search(r"/o/.", target))
            yield answer

    def signed(self, bucket: str, name: str, method: str, expires: timedelta) -> str:
        """A V4 signed URL; may block. Raises `CannotSign`."""
        from google.auth.credentials import Signing
        from google.cloud.storage import Client

        credentials = self._files.credentials.credentials
        if not isinstance(credentials, Signing):
            raise CannotSign("only the key of a service account signs URLs; set storage.gcs.credentials")
        client = Client(project="-", credentials=credentials)
        url: str = client.bucket(bucket).blob(name).generate_signed_url(
            version="v4", expiration=expires, method=method, api_access_endpoint=self._endpoint
        )  # fmt: skip
        client.close()
        return url


def _file_system() -> Any:
    """gcsfs without its trial of other kinds of buckets, for which it would ask over gRPC, and wait."""
    chosen = os.environ.get(TRIALS)
    os.environ[TRIALS] = "false"  # read once, while it is imported
    try:
        from gcsfs.core import GCSFileSystem
    finally:
        if chosen is None:
            del os.environ[TRIALS]
        else:
            os.environ[TRIALS] = chosen
    return GCSFileSystem


def _token(settings: GCSStorageSettings) -> Any:
    from google.oauth2.service_account import Credentials

    if settings.anonymous:
        return "anon"
    if settings.credentials:
        made: Any = Credentials
        return made.from_service_account_info(settings.account, scopes=[SCOPE])
    return "google_default"


def _refused(answer: Any, body: bytes, *, of_bucket: bool) -> Refused:
    text = body.decode(errors="replace")
    try:
        reason = str(json.loads(body)["error"]["errors"][0]["reason"])
    except (ValueError, LookupError, TypeError):
        reason = ""
    return Refused(
        answer.status,
        text=text,
        reason=reason if re.fullmatch(r"\w{1,40}", reason) else "",
        retry_after=answer.headers.get("Retry-After"),
        of_bucket=of_bucket,
    )
