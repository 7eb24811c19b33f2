"""The backend `azure`: an object is a block blob of a container.

The requests are those of Azure's own library. adlfs, which is made of it, can neither write nor read a stream on the event loop, and
leaves connections to an exit hook that fails when the loop is gone.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import secrets
from collections.abc import AsyncGenerator, AsyncIterable
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any, Final, Literal

from terrapod_core.plugin import (
    CannotSign,
    Fault,
    ObjectInfo,
    ObjectStore,
    Opened,
    Page,
    StoreFailed,
    Upload,
    Verdict,
)
from terrapod_storage_azure.settings import AzureStorageSettings

READ_AT_ONCE: Final = 4 * 1024 * 1024
"""Bytes of one request: Azure's library holds the whole of an answer."""
LISTED_AT_ONCE: Final = 1000


class AzureStorage(ObjectStore):
    """Keeps objects in one container, which any number of processes share."""

    name = "azure"
    in_flight = 1  # with two, or larger blocks, an upload held more than it may: Azure's library copies them
    block = 4 * 1024 * 1024
    single = 1024 * 1024  # what is larger, Azure's library hands to its transport in a form that this warns of

    def __init__(self, settings: AzureStorageSettings) -> None:
        super().__init__(settings.where, settings)
        self._settings = settings
        self._service: Any = None
        self._credential: Any = None
        self._connecting = asyncio.Lock()
        self.encryption = {"encryption_scope": settings.encryption_scope} if settings.encryption_scope else {}

    async def create(self, key: str, chunks: AsyncIterable[bytes]) -> ObjectInfo:
        """Store an object where there is none. Raises `ObjectExists` and `StoreFailed`."""
        return await self._write(key, chunks, create=True)

    async def signed_url(self, key: str, method: Literal["GET", "PUT"], expires: timedelta) -> str:
        """A URL with a shared access signature. A PUT there needs the header `x-ms-blob-type: BlockBlob`.

        Raises `CannotSign` unless the key of the account is known.
        """
        from azure.storage.blob import BlobSasPermissions, generate_blob_sas

        blob = await self.blob(self._named(key))
        account_key = getattr(blob.credential, "account_key", None)
        if account_key is None:
            raise CannotSign("only a key of the account signs URLs; set storage.azure.account_key")
        signature = generate_blob_sas(
            blob.account_name,
            blob.container_name,
            blob.blob_name,
            account_key=account_key,
            permission=BlobSasPermissions(read=method == "GET", create=method == "PUT", write=method == "PUT"),
            expiry=datetime.now(UTC) + expires,
        )
        return f"{blob.url}?{signature}"

    # -- requests

    async def container(self) -> Any:
        """The client of the container; made when it is asked for first. Raises `StoreFailed` when none is set."""
        if not self._settings.container:
            raise StoreFailed("no container is set for objects; name one with storage.azure.container (TERRAPOD_STORAGE__AZURE__CONTAINER)")
        async with self._connecting:
            if self._service is None:
                self._service = await asyncio.to_thread(self._made)
        return self._service.get_container_client(self._settings.container)

    async def blob(self, name: str) -> Any:
        """The client of one blob."""
        return (await self.container()).get_blob_client(name)

    def _made(self) -> Any:
        """The client of the account. In a thread, for its imports take a second."""
        from azure.storage.blob.aio import BlobServiceClient

        chosen = self._settings
        options: dict[str, Any] = {
            "retry_total": 0,  # asked again by us, who know how long it may take
            "connection_timeout": chosen.connect_timeout_seconds,
            "read_timeout": chosen.read_timeout_seconds,
            "max_single_get_size": READ_AT_ONCE,
            "max_chunk_get_size": READ_AT_ONCE,
        }
        try:
            if chosen.connection_string:
                return BlobServiceClient.from_connection_string(chosen.connection_string, **options)
            return BlobServiceClient(chosen.account_url, self._credentials(), **options)
        except ValueError as error:
            raise StoreFailed(f"{self._where} cannot be used: its account or its credentials in [storage.azure] are malformed") from error

    def _credentials(self) -> Any:
        from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
        from azure.identity.aio import ClientSecretCredential, DefaultAzureCredential

        chosen = self._settings
        if chosen.account_key:
            return AzureNamedKeyCredential(chosen.account_name, chosen.account_key)
        if chosen.sas_token:
            return AzureSasCredential(chosen.sas_token.removeprefix("?"))
        if chosen.client_id:
            self._credential = ClientSecretCredential(chosen.tenant_id, chosen.client_id, chosen.client_secret)
        else:
            self._credential = DefaultAzureCredential()
        return self._credential

    async def _disconnect(self) -> None:
        service, credential = self._service, self._credential
        self._service = self._credential = None
        for each in (service, credential):
            if each is not None:
                await each.close()

    async def _put(self, name: str, data: bytes, *, create: bool) -> ObjectInfo:
        answer = await (await self.blob(name)).upload_blob(
            data, length=len(data), overwrite=not create, max_concurrency=1, **self.encryption
        )
        return ObjectInfo(name, len(data), answer["last_modified"])

    def _upload(self, name: str, *, create: bool) -> Upload:
        return _Upload(self, name, create=create)

    async def _open(self, name: str, start: int, end: int | None, version: str | None) -> Opened:
        first, version, size = await self._range(name, start, end, version)
        beyond = size if end is None else min(end, size)
        return Opened(version, beyond, self._pieces(name, first, start + len(first), beyond, version))

    async def _pieces(self, name: str, first: bytes, at: int, end: int, version: str) -> AsyncGenerator[bytes]:
        """What was read, while the next is asked for."""
        while first:
            coming = asyncio.create_task(self._range(name, at, end, version)) if at < end else None
            try:
                yield first
                first = (await coming)[0] if coming is not None else b""
            finally:
                if coming is not None and not coming.done():
                    coming.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await coming
            at += len(first)

    async def _range(self, name: str, start: int, end: int | None, version: str | None) -> tuple[bytes, str, int]:
        from azure.core import MatchConditions

        length = READ_AT_ONCE if end is None else min(READ_AT_ONCE, end - start)
        pinned = {"etag": version, "match_condition": MatchConditions.IfNotModified} if version is not None else {}
        answer = await (await self.blob(name)).download_blob(start, length, max_concurrency=1, **pinned)
        found = answer.properties
        size = int(found.content_range.rpartition("/")[2]) if found.content_range else found.size
        return await answer.readall(), found.etag, size

    async def _head(self, name: str) -> ObjectInfo:
        found = await (await self.blob(name)).get_blob_properties()
        return ObjectInfo(name, found.size, found.last_modified)

    async def _remove(self, name: str) -> None:
        await (await self.blob(name)).delete_blob(delete_snapshots="include")

    async def _page(self, prefix: str, after: str | None) -> Page:
        container = await self.container()
        pages = container.list_blobs(name_starts_with=prefix, results_per_page=LISTED_AT_ONCE).by_page(after)
        page = await anext(pages)
        objects = [ObjectInfo(each.name, each.size, each.last_modified) async for each in page]
        return Page(objects, pages.continuation_token or None)

    # -- errors

    def _judge(self, error: Exception) -> Verdict:
        from azure.core import exceptions

        match error:
            case exceptions.ServiceRequestError() | exceptions.ServiceResponseError() | exceptions.IncompleteReadError() | OSError():
                return self._unreachable(type(error).__name__)
            case exceptions.HttpResponseError() if error.response is not None:
                return self._answered(error)
            case exceptions.ClientAuthenticationError():
                return Verdict(
                    Fault.REFUSED,
                    f"there are no Azure credentials for {self._where}; set storage.azure.account_key, or give it an identity",
                )
            case _:
                return Verdict(Fault.REFUSED, f"{self._where} cannot be used ({type(error).__name__}); check its settings")

    def _answered(self, error: Any) -> Verdict:
        headers = error.response.headers
        code = str(headers.get("x-ms-error-code", ""))
        if code == "ContainerNotFound":
            return Verdict(Fault.REFUSED, f"{self._where} does not exist; make it, or correct storage.azure.container")
        if code == "InvalidBlockList":
            return Verdict(Fault.REFUSED, f"{self._where} lost parts of an object that somebody else wrote at the same time; try again")
        if code == "BlobAlreadyExists":
            return Verdict(Fault.UNMET)
        return self._answer(error.status_code, code, headers.get("Retry-After"))


class _Upload:
    """A blob of blocks. Azure itself removes, after a week, blocks that were never made a blob."""

    def __init__(self, store: AzureStorage, name: str, *, create: bool) -> None:
        self._store = store
        self._name = name
        self._create = create
        self._own = secrets.token_hex(8)  # two who write one blob never take each other's blocks
        self._sizes: dict[int, int] = {}

    async def begin(self) -> None:
        """Nothing is to be said before the first block."""

    async def part(self, number: int, data: bytes, *, last: bool) -> None:
        blob = await self._store.blob(self._name)
        await blob.stage_block(self._id(number), BytesIO(data), length=len(data), **self._store.encryption)
        self._sizes[number] = len(data)

    async def finish(self) -> ObjectInfo:
        from azure.core import MatchConditions
        from azure.storage.blob import BlobBlock

        blocks = [BlobBlock(self._id(number)) for number in sorted(self._sizes)]
        missing = {"match_condition": MatchConditions.IfMissing} if self._create else {}
        blob = await self._store.blob(self._name)
        answer = await blob.commit_block_list(blocks, **missing, **self._store.encryption)
        return ObjectInfo(self._name, sum(self._sizes.values()), answer["last_modified"])

    async def abort(self) -> None:
        """Azure has no call for it, and shows nothing of blocks that are no blob."""

    def _id(self, number: int) -> str:
        return base64.b64encode(f"{self._own}-{number:06}".encode()).decode()
