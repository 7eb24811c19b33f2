"""The backend `s3`: an object is an object of a bucket.

s3fs makes the session, with the credential chain of AWS; the requests are those of its aiobotocore client, because s3fs itself
can neither write nor read a stream on the event loop (`set_session` is the one call of s3fs that is used).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from terrapod_core.plugin import (
    CannotSign,
    Fault,
    ObjectExists,
    ObjectInfo,
    ObjectStore,
    Opened,
    Page,
    StoreFailed,
    Upload,
    Verdict,
    http_date,
)
from terrapod_storage_s3.settings import S3StorageSettings

PIECE: Final = 256 * 1024
LISTED_AT_ONCE: Final = 1000
NO_UPLOAD: Final = "NoSuchUpload"
_PROBE: Final = "health/creation"


class S3Storage(ObjectStore):
    """Keeps objects in one bucket, which any number of processes share."""

    name = "s3"

    def __init__(self, settings: S3StorageSettings) -> None:
        super().__init__(settings.where, settings)
        self.bucket = settings.bucket
        self._settings = settings
        self._files: Any = None
        self._connecting = asyncio.Lock()
        self._creates = False
        encryption = {"ServerSideEncryption": settings.encryption, "SSEKMSKeyId": settings.kms_key_id}
        self.encryption = {name: value for name, value in encryption.items() if value}

    async def create(self, key: str, chunks: AsyncIterable[bytes]) -> ObjectInfo:
        """Store an object where there is none. Raises `ObjectExists`, and `StoreFailed` for a store that cannot do it."""
        if not self._creates:
            await self._try_creation()
        return await self._write(key, chunks, create=True)

    async def signed_url(self, key: str, method: Literal["GET", "PUT"], expires: timedelta) -> str:
        """A URL with a signature of the credentials in use. Raises `CannotSign` when there are none."""
        from botocore.exceptions import NoCredentialsError

        where = {"Bucket": self.bucket, "Key": self._named(key)}
        more = self.encryption if method == "PUT" else {}
        client = await self.client()
        try:
            url: str = await client.generate_presigned_url(
                {"GET": "get_object", "PUT": "put_object"}[method], Params={**where, **more}, ExpiresIn=int(expires.total_seconds())
            )
        except NoCredentialsError:
            raise CannotSign("there are no AWS credentials to sign with") from None
        return url

    # -- requests

    async def client(self) -> Any:
        """The client of aiobotocore; connected when it is asked for first. Raises `StoreFailed` when no bucket is set."""
        if not self.bucket:
            raise StoreFailed("no bucket is set for objects; name one with storage.s3.bucket (TERRAPOD_STORAGE__S3__BUCKET)")
        async with self._connecting:
            if self._files is None:
                self._files = await asyncio.to_thread(self._made)
            client = await self._files.set_session()
            client.meta.events.register_last("before-call.s3", _at_once, unique_id="terrapod")
            return client

    def _made(self) -> Any:
        """The file system of s3fs. In a thread, for importing it and reading what botocore knows of S3 take a second."""
        import s3fs
        from aiobotocore.session import AioSession

        session = AioSession()
        loader = session.get_component("data_loader")
        for data in ("endpoints", "partitions"):
            loader.load_data(data)
        for model in ("service-2", "endpoint-rule-set-1"):
            loader.load_service_model("s3", model)

        chosen = self._settings
        config: dict[str, Any] = {
            "connect_timeout": chosen.connect_timeout_seconds,
            "read_timeout": chosen.read_timeout_seconds,
            "retries": {"total_max_attempts": 1},  # asked again by us, who know how long it may take
            "s3": {"addressing_style": chosen.addressing_style},
            "signature_version": "s3v4",
        }
        if chosen.endpoint_url:  # others than Amazon often do not know its newer checksums
            config |= {"request_checksum_calculation": "when_required", "response_checksum_validation": "when_required"}
        return s3fs.S3FileSystem(
            key=chosen.access_key_id or None,
            secret=chosen.secret_access_key or None,
            token=chosen.session_token or None,
            endpoint_url=chosen.endpoint_url or None,
            client_kwargs={"region_name": chosen.region} if chosen.region else {},
            config_kwargs=config,
            asynchronous=True,
            skip_instance_cache=True,
            session=session,
        )

    async def _disconnect(self) -> None:
        if self._files is not None:
            files, self._files = self._files, None
            await (await files.set_session()).close()

    async def _put(self, name: str, data: bytes, *, create: bool) -> ObjectInfo:
        client = await self.client()
        answer = await client.put_object(Bucket=self.bucket, Key=name, Body=data, **self.encryption, **_condition(create))
        return ObjectInfo(name, len(data), _date(answer))

    def _upload(self, name: str, *, create: bool) -> Upload:
        return _Upload(self, name, create=create)

    async def _open(self, name: str, start: int, end: int | None, version: str | None) -> Opened:
        asked = {"IfMatch": version} if version is not None else {}
        if start or end is not None:
            asked["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        answer = await (await self.client()).get_object(Bucket=self.bucket, Key=name, **asked)
        return Opened(answer["ETag"], start + answer["ContentLength"], _pieces(answer["Body"]))

    async def _head(self, name: str) -> ObjectInfo:
        answer = await (await self.client()).head_object(Bucket=self.bucket, Key=name)
        return ObjectInfo(name, answer["ContentLength"], answer["LastModified"])

    async def _remove(self, name: str) -> None:
        await (await self.client()).delete_object(Bucket=self.bucket, Key=name)

    async def _page(self, prefix: str, after: str | None) -> Page:
        more = {"ContinuationToken": after} if after is not None else {}
        client = await self.client()
        answer = await client.list_objects_v2(Bucket=self.bucket, Prefix=prefix, MaxKeys=LISTED_AT_ONCE, **more)
        objects = [ObjectInfo(each["Key"], each["Size"], each["LastModified"]) for each in answer.get("Contents", ())]
        return Page(objects, answer.get("NextContinuationToken") if answer.get("IsTruncated") else None)

    async def _try_creation(self) -> None:
        """Whether the store keeps `If-None-Match`, which some leave unread; found out once, by creating an object twice."""
        name = self._prefix + f"{_PROBE}-{secrets.token_hex(8)}"
        try:
            await self._kept_at(name, lambda: self._put(name, b"", create=False))
            await self._kept_at(name, lambda: self._put(name, b"", create=True))
        except ObjectExists:
            self._creates = True
            return
        finally:
            await self._kept_at(name, lambda: self._remove(name))
        raise StoreFailed(f"{self._where} does not keep If-None-Match, so that nothing can be created there only once; use another store")

    # -- errors

    def _judge(self, error: Exception) -> Verdict:
        import aiohttp
        from botocore import exceptions

        match error:
            case exceptions.ClientError():
                return self._answered(error.response)
            case exceptions.NoCredentialsError() | exceptions.PartialCredentialsError() | exceptions.TokenRetrievalError():
                return Verdict(
                    Fault.REFUSED,
                    f"there are no AWS credentials for {self._where}; set storage.s3.access_key_id and secret_access_key, or a role",
                )
            case exceptions.SSLError():
                return Verdict(Fault.REFUSED, f"{self._where} shows a certificate that is not trusted; name its authority in AWS_CA_BUNDLE")
            case exceptions.HTTPClientError() | exceptions.ConnectionError() | aiohttp.ClientError() | OSError():
                return self._unreachable(type(error).__name__)
            case _:
                return Verdict(Fault.REFUSED, f"{self._where} cannot be used ({type(error).__name__}); check its settings")

    def _answered(self, response: Any) -> Verdict:
        code = str(response.get("Error", {}).get("Code", ""))
        meta = response.get("ResponseMetadata", {})
        if code == "NoSuchBucket":
            return Verdict(Fault.REFUSED, f"{self._where} does not exist; make it, or correct storage.s3.bucket")
        if code == "ConditionalRequestConflict":
            return Verdict(Fault.AWAY, f"{self._where} answers 409 ({code}): others write the same object")
        return self._answer(meta.get("HTTPStatusCode"), code, meta.get("HTTPHeaders", {}).get("retry-after"))


class _Upload:
    """A multipart upload."""

    def __init__(self, store: S3Storage, name: str, *, create: bool) -> None:
        self._store = store
        self._name = name
        self._create = create
        self._id: str | None = None
        self._tags: dict[int, str] = {}
        self._size = 0
        self._asked = False

    async def begin(self) -> None:
        answer = await self._call("create_multipart_upload", **self._store.encryption)
        self._id = answer["UploadId"]

    async def part(self, number: int, data: bytes, *, last: bool) -> None:
        answer = await self._call("upload_part", UploadId=self._id, PartNumber=number + 1, Body=data)
        self._tags[number + 1] = answer["ETag"]
        self._size += len(data)

    async def finish(self) -> ObjectInfo:
        from botocore.exceptions import ClientError

        parts = [{"PartNumber": number, "ETag": tag} for number, tag in sorted(self._tags.items())]
        again, self._asked = self._asked, True
        try:
            answer = await self._call(
                "complete_multipart_upload", UploadId=self._id, MultipartUpload={"Parts": parts}, **_condition(self._create)
            )
        except ClientError as error:
            if not again or error.response["Error"]["Code"] != NO_UPLOAD:
                raise
            return await self._store._head(self._name)  # the store had done it, and its answer was lost
        return ObjectInfo(self._name, self._size, _date(answer))

    async def abort(self) -> None:
        if self._id is not None:
            await self._call("abort_multipart_upload", UploadId=self._id)

    async def _call(self, method: str, **arguments: Any) -> Any:
        client = await self._store.client()
        return await getattr(client, method)(Bucket=self._store.bucket, Key=self._name, **arguments)


def _at_once(params: Any, **_: Any) -> None:
    """Send bodies without asking first: it costs a way to the store and back, and for the answer nobody waits with a time limit."""
    params["headers"].pop("Expect", None)


def _condition(create: bool) -> dict[str, str]:
    return {"IfNoneMatch": "*"} if create else {}


def _date(answer: Any) -> datetime:
    return http_date(answer["ResponseMetadata"]["HTTPHeaders"].get("date"), lambda: datetime.now(UTC))


async def _pieces(body: Any) -> AsyncGenerator[bytes]:
    async with body:
        async for piece in body.iter_chunks(PIECE):
            yield piece
